"""The simulated PLC on Modbus RTU, over a pseudo-terminal. Written from the public specification
(Modbus over serial line 1.02, chapter 2.5): frames end by silence, CRC-16 low byte first.
"""

import os
import select
import struct
import threading
import tty

from drivers.sim.plc_memory import (
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    PlcLayout,
    PlcMemory,
    PlcTrouble,
)
from drivers.sim.world import AgentImage, PlcImage

SILENCE = 0.002
"""Seconds without a byte that end a frame: 3.5 characters of 11 bits at 19,200 baud."""
LONGEST = 256
STOP_DEADLINE = 5.0


def crc16(data: bytes) -> bytes:
    """The checksum of a frame as it follows the data on the wire."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return struct.pack("<H", crc)


class SimRtuServer:
    """A PLC as unit `unit` of a serial line; `start` returns the path of the line's other end."""

    def __init__(self, layout: PlcLayout | None = None, *, unit: int = 1) -> None:
        self.memory = PlcMemory(layout or PlcLayout())
        self.trouble = PlcTrouble()
        self.requests = 0
        self.unit = unit
        self._line = self._far = self._wake = self._waker = -1
        self._thread: threading.Thread | None = None

    def start(self) -> str:
        """Lay the line and listen on it."""
        self._line, self._far = os.openpty()
        # Our own open end of the far side keeps the line up while no client has it open.
        tty.setraw(self._far)
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._run, name="sim-rtu", daemon=True)
        self._thread.start()
        return os.ttyname(self._far)

    def stop(self) -> None:
        """End the thread and take the line away: a client sees a hang-up."""
        if self._thread is None:
            return
        os.write(self._waker, b"x")
        self._thread.join(STOP_DEADLINE)
        self._thread = None
        for descriptor in (self._line, self._far, self._wake, self._waker):
            os.close(descriptor)

    def publish(self, image: PlcImage) -> None:
        """Show the plant's state to the agent."""
        self.memory.publish(image)

    def agent(self) -> AgentImage:
        """What the agent has written so far."""
        return self.memory.agent()

    def _run(self) -> None:
        frame = b""
        while True:
            wait = SILENCE if frame else None
            ready, _, _ = select.select([self._line, self._wake], [], [], wait)
            if self._wake in ready:
                return
            if ready:
                # A frame that is too long stays too long until the line is silent.
                frame = (frame + os.read(self._line, LONGEST))[: LONGEST + 1]
                continue
            answer = self._answer(frame)
            frame = b""
            if answer:
                os.write(self._line, answer)

    def _answer(self, frame: bytes) -> bytes:
        """What goes back on the line; nothing for a frame that is broken or not for us."""
        if not 4 <= len(frame) <= LONGEST or crc16(frame[:-2]) != frame[-2:]:
            return b""
        if frame[0] not in (0, self.unit):
            return b""
        self.requests += 1
        trouble = self.trouble
        if trouble.ignores():
            return b""
        function, pdu = frame[1], frame[1:-2]
        body = bytes([function | 0x80, trouble.exception]) if trouble.exception else self._do(pdu)
        if frame[0] == 0 or trouble.mute:
            return b""
        answer = bytes([self.unit]) + body
        return answer + crc16(answer) if trouble.garbage is None else trouble.garbage

    def _do(self, pdu: bytes) -> bytes:
        function = pdu[0]
        if function not in (3, 4, 6, 16):
            return bytes([function | 0x80, ILLEGAL_FUNCTION])
        if len(pdu) < 5:
            return bytes([function | 0x80, ILLEGAL_VALUE])
        address, second = struct.unpack(">HH", pdu[1:5])
        if function in (3, 4):
            if not 1 <= second <= 125 or len(pdu) != 5:
                return bytes([function | 0x80, ILLEGAL_VALUE])
            words = self.memory.read(function == 3, address, second)
            if words is None:
                return bytes([function | 0x80, ILLEGAL_ADDRESS])
            return struct.pack(f">BB{second}H", function, 2 * second, *words)
        values = [second] if function == 6 else self._values(pdu, second)
        if values is None:
            return bytes([function | 0x80, ILLEGAL_VALUE])
        if not self.memory.write(address, values):
            return bytes([function | 0x80, ILLEGAL_ADDRESS])
        return pdu[:5]

    @staticmethod
    def _values(pdu: bytes, count: int) -> list[int] | None:
        """The registers of a function 16 request; None when its lengths do not agree."""
        if not 1 <= count <= 123 or len(pdu) != 6 + 2 * count or pdu[5] != 2 * count:
            return None
        return list(struct.unpack(f">{count}H", pdu[6:]))
