"""Registers over a wire: Modbus TCP and RTU by pymodbus, the only module that imports it.

pymodbus does the framing and nothing else: it does not retry (a write whose answer was lost would
reach the PLC twice while the call reports success), and it does not reconnect. One exchange runs
at a time. Whatever cannot be explained - no answer in time, bytes that are not the answer owed, a
cancelled wait - ends the session, so that a late answer can never be taken for the next one's
(RTU has no transaction number); the supervisor opens a new one.

Several units may share the wire. On a serial line a frame ends by silence, so the next request
waits until the line has been silent for 3.5 characters (Modbus over serial line 1.02, 2.5.1.1).
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Literal, NamedTuple

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from agent.core.errors import CaselinkError, ConfigError, Said, TransientError, say
from agent.told import told
from drivers.transport import SerialAddress, TcpAddress
from drivers.wirelog import WireLog

Table = Literal["coil", "discrete", "input", "holding"]

READ_LIMIT: Mapping[Table, int] = {"coil": 2000, "discrete": 2000, "input": 125, "holding": 125}
"""What one answer can carry (Modbus application protocol 1.1b3, functions 1 to 4)."""
WRITE_LIMIT = 123
"""Registers that one request can write (Modbus application protocol 1.1b3, function 16)."""
WRITE_BITS = 1968
"""Coils that one request can write (function 15)."""

_READ: Mapping[Table, int] = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
_WRITE_COIL, _WRITE_REGISTER, _WRITE_COILS, _WRITE_REGISTERS = 5, 6, 15, 16
_WHAT = {
    1: "plc_coils",
    2: "plc_discretes",
    3: "plc_holdings",
    4: "plc_inputs",
    _WRITE_COIL: "plc_coils",
    _WRITE_REGISTER: "plc_holdings",
    _WRITE_COILS: "plc_coils",
    _WRITE_REGISTERS: "plc_holdings",
}
_REFUSALS = {
    4: "plc_device_failure",
    5: "plc_still_working",
    6: "plc_busy",
    8: "plc_parity",
}
_BITS_A_CHARACTER = 11
"""Start, 8 data, parity and stop, as the specification counts also without parity."""


class _Exchange(NamedTuple):
    """What was asked, to know the answer that is owed; `length` is that of its PDU in bytes."""

    unit: int
    function: int
    address: int
    many: int
    length: int
    logged: bool
    of: int | None

    @property
    def said(self) -> Said:
        """What was asked, for people."""
        span = {"first": self.address, "last": self.address + self.many - 1}
        where = say(_WHAT[self.function], **span)
        return where if self.of is None else say("plc_of_unit", where=where, unit=self.of)


def silence(baud: int) -> float:
    """Seconds of silence that end a frame at this speed: 3.5 characters, above 19,200 baud fixed
    1.75 ms (Modbus over serial line 1.02, 2.5.1.1)."""
    return 0.00175 if baud > 19_200 else 3.5 * _BITS_A_CHARACTER / baud


class ModbusLink:
    """One session with what is at `endpoint`; `text` is the address as the config has it.

    `unit` is asked where no other one is named. `deadline` bounds every exchange and
    `connect_deadline` the connection, both in seconds; `gap` is the least silence between two
    frames (None: what the serial line's speed demands).
    """

    def __init__(
        self,
        name: str,
        endpoint: TcpAddress | SerialAddress,
        text: str,
        unit: int,
        *,
        deadline: float,
        connect_deadline: float,
        wire: WireLog | None,
        gap: float | None = None,
    ) -> None:
        self._who = say("plc_who", name=name, unit=unit, where=text)
        self._endpoint = endpoint
        self._unit = unit
        self._deadline = deadline
        self._connect_deadline = connect_deadline
        self._wire = wire
        self._client: AsyncModbusTcpClient | AsyncModbusSerialClient | None = None
        self._turn = asyncio.Lock()
        self._owed: _Exchange | None = None
        self._over: tuple[str, Said] | None = told("plc_not_connected", who=self._who)
        if gap is None:
            gap = silence(endpoint.baud) if isinstance(endpoint, SerialAddress) else 0.0
        self._gap = gap
        self._silent_since = 0.0

    @property
    def over(self) -> bool:
        """True when this session can do nothing more."""
        return self._over is not None

    async def connect(self) -> None:
        """Connect once. TransientError when nobody is there within the deadline."""
        _quiet_pymodbus()
        # Ours is the deadline that counts; pymodbus' own is a backstop.
        backstop = max(self._deadline, self._connect_deadline) + 1.0
        client = self._client = self._build(backstop)
        connected = False
        try:
            async with asyncio.timeout(self._connect_deadline):
                connected = await client.connect()
        except TimeoutError:
            pass
        finally:
            if not connected:
                self.close()
        if not connected:
            raise TransientError(*told("plc_unreachable", who=self._who, advice=self._advice()))
        self._over = None
        self._silent_since = time.monotonic()

    def close(self) -> None:
        """End the session at once; whoever waits for an answer is told."""
        client, self._client = self._client, None
        if client is None:
            return
        self._end(told("plc_closed", who=self._who), client)
        client.close()

    async def read(
        self,
        table: Table,
        address: int,
        count: int,
        *,
        unit: int | None = None,
        logged: bool = True,
    ) -> Sequence[int]:
        """`count` registers, or bits as 0 and 1, of a table from `address`.

        TransientError: no usable answer, the session is over unless the PLC said that it is busy.
        ConfigError: the PLC refuses, and will refuse again until the config or its program is
        mended; the session goes on.
        """
        client = self._live()
        unit, of = self._at(unit)
        bits = table in ("coil", "discrete")
        length = 2 + ((count + 7) // 8 if bits else 2 * count)
        owed = _Exchange(unit, _READ[table], address, count, length, logged, of)
        match table:
            case "coil":
                ask = client.read_coils
            case "discrete":
                ask = client.read_discrete_inputs
            case "input":
                ask = client.read_input_registers
            case "holding":
                ask = client.read_holding_registers
        answer = await self._exchange(owed, partial(ask, address, count=count, device_id=unit))
        if bits and len(answer.bits) >= count:
            return [int(bit) for bit in answer.bits[:count]]
        if bits or len(answer.registers) != count:
            found = len(answer.bits) if bits else len(answer.registers)
            raise self._end(told("plc_other_count", who=self._who, many=found, owed=owed.said))
        return answer.registers

    async def write(
        self,
        address: int,
        values: list[int],
        *,
        unit: int | None = None,
        single: bool = False,
        logged: bool = True,
    ) -> None:
        """Write holding registers with function 16 (`single`: each with function 6), once. Errors
        as `read`; after TransientError it is not known whether they were written."""
        client = self._live()
        unit, of = self._at(unit)
        if single:
            for at, value in enumerate(values, address):
                owed = _Exchange(unit, _WRITE_REGISTER, at, 1, 5, logged, of)
                answer = await self._exchange(
                    owed, partial(client.write_register, at, value, device_id=unit)
                )
                if (answer.address, list(answer.registers)) != (at, [value]):
                    raise self._end(told("plc_other_write", who=self._who, owed=owed.said))
            return
        owed = _Exchange(unit, _WRITE_REGISTERS, address, len(values), 5, logged, of)
        answer = await self._exchange(
            owed, partial(client.write_registers, address, values, device_id=unit)
        )
        self._confirmed(owed, answer)

    async def write_bits(
        self,
        address: int,
        values: list[bool],
        *,
        unit: int | None = None,
        single: bool = False,
        logged: bool = True,
    ) -> None:
        """Write coils with function 15 (`single`: each with function 5), once. Errors as
        `write`."""
        client = self._live()
        unit, of = self._at(unit)
        if single:
            for at, value in enumerate(values, address):
                owed = _Exchange(unit, _WRITE_COIL, at, 1, 5, logged, of)
                answer = await self._exchange(
                    owed, partial(client.write_coil, at, value, device_id=unit)
                )
                if (answer.address, list(answer.bits[:1])) != (at, [value]):
                    raise self._end(told("plc_other_write", who=self._who, owed=owed.said))
            return
        owed = _Exchange(unit, _WRITE_COILS, address, len(values), 5, logged, of)
        answer = await self._exchange(
            owed, partial(client.write_coils, address, values, device_id=unit)
        )
        self._confirmed(owed, answer)

    def _at(self, unit: int | None) -> tuple[int, int | None]:
        """The unit that is asked, and the same when it is another than the PLC's."""
        if unit is None or unit == self._unit:
            return self._unit, None
        return unit, unit

    def _confirmed(self, owed: _Exchange, answer: ModbusPDU) -> None:
        if (answer.address, answer.count) != (owed.address, owed.many):
            raise self._end(told("plc_other_write", who=self._who, owed=owed.said))

    def _live(self) -> AsyncModbusTcpClient | AsyncModbusSerialClient:
        if self._over is not None or self._client is None:
            raise self._ended()
        return self._client

    def _ended(self) -> TransientError:
        return TransientError(*(self._over or told("plc_closed", who=self._who)))

    async def _exchange(
        self, owed: _Exchange, ask: Callable[[], Awaitable[ModbusPDU]]
    ) -> ModbusPDU:
        try:
            async with asyncio.timeout(self._deadline), self._turn:
                self._live()
                if self._gap:
                    # The bytes that were heard last may still have been on the wire.
                    await asyncio.sleep(self._silent_since + self._gap - time.monotonic())
                    self._live()
                self._owed = owed
                answer = await ask()
                self._silent_since = time.monotonic()
        except TimeoutError:
            limit = f"{self._deadline:g}"
            about = {"who": self._who, "owed": owed.said, "s": limit, "advice": self._advice()}
            raise self._end(told("plc_silent", **about)) from None
        except ConnectionResetError:  # ours: _end() woke us
            raise self._ended() from None
        except ModbusException as error:
            raise self._end(
                told("plc_failed", who=self._who, why=error, advice=self._advice())
            ) from error
        except asyncio.CancelledError:
            if self._owed is owed:
                self._end(told("plc_interrupted", who=self._who))
            raise
        finally:
            if self._owed is owed:
                self._owed = None
        if answer.isError():
            raise self._refused(owed, answer.exception_code)
        return answer

    def _refused(self, owed: _Exchange, code: int) -> CaselinkError:
        """The error for an exception answer (Modbus application protocol 1.1b3, chapter 7)."""
        if code == 1:
            writes = owed.function in (_WRITE_COILS, _WRITE_REGISTERS)
            do = say("plc_set_single" if writes else "plc_set_table")
            about = {"function": owed.function, "owed": owed.said, "remedy": do}
            return ConfigError(*told("plc_function", who=self._who, **about))
        if code in (2, 3):
            wrong = "plc_illegal_address" if code == 2 else "plc_illegal_value"
            return ConfigError(*told(wrong, who=self._who, owed=owed.said))
        if code in (10, 11):
            return TransientError(*told("plc_no_unit", who=self._who))
        why = say(_REFUSALS[code]) if code in _REFUSALS else say("plc_exception", code=code)
        return TransientError(*told("plc_refuses", who=self._who, owed=owed.said, why=why))

    def _end(
        self,
        why: tuple[str, Said],
        client: AsyncModbusTcpClient | AsyncModbusSerialClient | None = None,
    ) -> TransientError:
        """The session is over for the first reason given; whoever waits for an answer is told."""
        self._over = self._over or why
        client = client or self._client
        if client is not None and self._owed is not None:
            answer = client.ctx.response_future
            if not answer.done():
                answer.set_exception(ConnectionResetError(why[0]))
        return TransientError(*why)

    def _build(self, timeout: float) -> AsyncModbusTcpClient | AsyncModbusSerialClient:
        at = self._endpoint
        if isinstance(at, TcpAddress):
            return AsyncModbusTcpClient(
                at.host,
                port=at.port,
                timeout=timeout,
                retries=0,
                reconnect_delay=0,
                trace_packet=self._on_packet,
                trace_connect=self._on_connect,
            )
        return AsyncModbusSerialClient(
            at.path,
            baudrate=at.baud,
            bytesize=at.bits,
            parity=at.parity,
            stopbits=at.stop,
            timeout=timeout,
            retries=0,
            reconnect_delay=0,
            trace_packet=self._on_packet,
            trace_connect=self._on_connect,
        )

    def _on_connect(self, connected: bool) -> None:
        if not connected:
            self._end(told("plc_peer_closed", who=self._who))

    def _on_packet(self, sending: bool, data: bytes) -> bytes:
        """Every packet passes here, received ones with what was left of the one before."""
        owed = self._owed
        if self._wire is not None and owed is not None and owed.logged:
            self._wire.whole(data, sent=sending)
        if sending or not isinstance(self._endpoint, TcpAddress):
            return data
        if fault := self._fault(data):
            # pymodbus would raise in the protocol's callback, where nobody can catch it.
            self._end(told("plc_not_modbus", who=self._who, fault=fault))
            return b""
        return data

    def _fault(self, data: bytes) -> Said | None:
        """Why these bytes are not (the beginning of) the answer owed; None if they may be."""
        owed = self._owed
        if owed is None:
            return say("plc_unasked")
        head = data.ljust(9, b"\0")
        length, function, shown = int.from_bytes(head[4:6], "big"), head[7], data[:12].hex(" ")
        if head[2:4] != b"\0\0" or (len(data) >= 6 and not 3 <= length <= 254):
            return say("plc_odd", bytes=shown)
        if len(data) < 8:
            return None
        if head[6] != owed.unit:
            return say("plc_as_unit", unit=head[6])
        refusal = function == owed.function | 0x80 and length == 3
        fits = function == owed.function and length == owed.length + 1
        counted = owed.function > 4 or len(data) < 9 or head[8] == owed.length - 2
        if not (refusal or (fits and counted)) or len(data) > 6 + length:
            return say("plc_other_answer", bytes=shown)
        return None

    def _advice(self) -> Said:
        tcp = isinstance(self._endpoint, TcpAddress)
        return say("plc_advice_tcp" if tcp else "plc_advice_serial")


def _quiet_pymodbus() -> None:
    """pymodbus dumps its last frames at level ERROR on every fault; our own line says it once.
    Whoever wants them sets a level on this logger."""
    logger = logging.getLogger("pymodbus.logging")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL + 1)
