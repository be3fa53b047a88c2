"""Registers over a wire: Modbus TCP and RTU by pymodbus, the only module that imports it.

pymodbus does the framing and nothing else: it does not retry (a write whose answer was lost would
reach the PLC twice while the call reports success), and it does not reconnect. One exchange runs
at a time. Whatever cannot be explained - no answer in time, bytes that are not the answer owed, a
cancelled wait - ends the session, so that a late answer can never be taken for the next one's
(RTU has no transaction number); the supervisor opens a new one.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from agent.core.errors import CaselinkError, ConfigError, TransientError
from drivers.transport import SerialAddress, TcpAddress
from drivers.wirelog import WireLog

WRITE_LIMIT = 123
"""Registers that one request can write (Modbus application protocol 1.1b3, function 16)."""

READ_HOLDING, READ_INPUT, WRITE_MULTIPLE = 3, 4, 16


@dataclass(frozen=True, slots=True)
class _Exchange:
    """What was asked, to know the answer that is owed; `length` is that of its PDU in bytes."""

    function: int
    address: int
    count: int
    logged: bool

    @property
    def length(self) -> int:
        return 5 if self.function == WRITE_MULTIPLE else 2 + 2 * self.count

    def __str__(self) -> str:
        what = {READ_HOLDING: "holding", READ_INPUT: "input", WRITE_MULTIPLE: "holding"}
        return f"{what[self.function]} registers {self.address} to {self.address + self.count - 1}"


class ModbusLink:
    """One session with unit `unit` at `endpoint`; `text` is the address as the config has it.

    `deadline` bounds every exchange and `connect_deadline` the connection, both in seconds.
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
    ) -> None:
        self._who = f"{name} (unit {unit} at {text})"
        self._endpoint = endpoint
        self._unit = unit
        self._deadline = deadline
        self._connect_deadline = connect_deadline
        self._wire = wire
        self._client: AsyncModbusTcpClient | AsyncModbusSerialClient | None = None
        self._turn = asyncio.Lock()
        self._owed: _Exchange | None = None
        self._over = f"{self._who} is not connected"

    @property
    def over(self) -> bool:
        """True when this session can do nothing more."""
        return bool(self._over)

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
            raise TransientError(f"{self._who} cannot be reached: {self._advice()}")
        self._over = ""

    def close(self) -> None:
        """End the session at once; whoever waits for an answer is told."""
        client, self._client = self._client, None
        if client is None:
            return
        self._end(f"{self._who}: the session was closed", client)
        client.close()

    async def read(
        self, table: str, address: int, count: int, *, logged: bool = True
    ) -> Sequence[int]:
        """`count` registers from `address`; `table` is "input" or "holding".

        TransientError: no usable answer, the session is over unless the PLC said that it is busy.
        ConfigError: the PLC refuses, and will refuse again until the config or its program is
        mended; the session goes on.
        """
        client = self._live()
        if table == "input":
            owed = _Exchange(READ_INPUT, address, count, logged)
            ask = client.read_input_registers
        else:
            owed = _Exchange(READ_HOLDING, address, count, logged)
            ask = client.read_holding_registers
        answer = await self._exchange(owed, lambda: ask(address, count=count, device_id=self._unit))
        if len(answer.registers) != count:
            raise self._end(f"{self._who} answers {len(answer.registers)} registers to {owed}")
        return answer.registers

    async def write(self, address: int, values: list[int], *, logged: bool = True) -> None:
        """Write holding registers with function 16, once. Errors as `read`; after TransientError
        it is not known whether they were written."""
        client = self._live()
        owed = _Exchange(WRITE_MULTIPLE, address, len(values), logged)
        answer = await self._exchange(
            owed, lambda: client.write_registers(address, values, device_id=self._unit)
        )
        if (answer.address, answer.count) != (address, len(values)):
            raise self._end(f"{self._who} confirms another write than that of {owed}")

    def _live(self) -> AsyncModbusTcpClient | AsyncModbusSerialClient:
        if self._over or self._client is None:
            raise TransientError(self._over)
        return self._client

    async def _exchange(
        self, owed: _Exchange, ask: Callable[[], Awaitable[ModbusPDU]]
    ) -> ModbusPDU:
        try:
            async with asyncio.timeout(self._deadline), self._turn:
                self._live()
                self._owed = owed
                answer = await ask()
        except TimeoutError:
            raise self._end(
                f"{self._who} did not answer for {owed} within {self._deadline:g} s: "
                + self._advice()
            ) from None
        except ConnectionResetError:  # ours: _end() woke us
            raise TransientError(self._over) from None
        except ModbusException as error:
            raise self._end(f"{self._who}: {error}: {self._advice()}") from error
        except asyncio.CancelledError:
            if self._owed is owed:
                self._end(f"{self._who}: an exchange was interrupted")
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
            return ConfigError(
                f"{self._who} does not know function {owed.function}, needed for {owed}: "
                "set `table` in the register map's [input] to the other of input and holding, "
                "or enable the function in the PLC's Modbus server"
            )
        if code in (2, 3):
            return ConfigError(
                f"{self._who} answers illegal {'address' if code == 2 else 'value'} for {owed}: "
                "is the register map the one that the PLC program uses?"
            )
        if code in (10, 11):
            return TransientError(
                f"{self._who}: the gateway has no connection to this unit: is the PLC powered, "
                "and is `unit` right?"
            )
        reason = {4: "device failure", 5: "still working", 6: "busy", 8: "memory parity error"}
        return TransientError(
            f"{self._who} refuses {owed}: {reason.get(code, f'exception {code}')}; "
            "if this stays, look at the PLC's diagnosis"
        )

    def _end(
        self, why: str, client: AsyncModbusTcpClient | AsyncModbusSerialClient | None = None
    ) -> TransientError:
        """The session is over for the first reason given; whoever waits for an answer is told."""
        self._over = self._over or why
        client = client or self._client
        if client is not None and self._owed is not None:
            answer = client.ctx.response_future
            if not answer.done():
                answer.set_exception(ConnectionResetError(why))
        return TransientError(why)

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
            self._end(f"{self._who} closed the connection")

    def _on_packet(self, sending: bool, data: bytes) -> bytes:
        """Every packet passes here, received ones with what was left of the one before."""
        owed = self._owed
        if self._wire is not None and owed is not None and owed.logged:
            self._wire.note(f"{'>' if sending else '<'} {data.hex()}")
        if sending or not isinstance(self._endpoint, TcpAddress):
            return data
        if fault := self._fault(data):
            # pymodbus would raise in the protocol's callback, where nobody can catch it.
            self._end(f"{self._who} {fault}: is this the PLC's Modbus port?")
            return b""
        return data

    def _fault(self, data: bytes) -> str:
        """Why these bytes are not (the beginning of) the answer owed; "" if they may be."""
        owed = self._owed
        if owed is None:
            return "sent bytes that nobody asked for"
        head = data.ljust(9, b"\0")
        length, function, shown = int.from_bytes(head[4:6], "big"), head[7], data[:12].hex(" ")
        if head[2:4] != b"\0\0" or (len(data) >= 6 and not 3 <= length <= 254):
            return f"answers what is not Modbus TCP ({shown} ...)"
        if len(data) < 8:
            return ""
        if head[6] != self._unit:
            return f"answers as unit {head[6]}"
        refusal = function == owed.function | 0x80 and length == 3
        fits = function == owed.function and length == owed.length + 1
        counted = owed.function == WRITE_MULTIPLE or len(data) < 9 or head[8] == 2 * owed.count
        if not (refusal or (fits and counted)) or len(data) > 6 + length:
            return f"answers what was not asked ({shown} ...)"
        return ""

    def _advice(self) -> str:
        if isinstance(self._endpoint, TcpAddress):
            return "check the PLC's power, the network cable, address and port"
        return (
            "check the PLC's power and the cable; baud, parity and `unit` must be those of the "
            "PLC, and no other program may have the port open"
        )


def _quiet_pymodbus() -> None:
    """pymodbus dumps its last frames at level ERROR on every fault; our own line says it once.
    Whoever wants them sets a level on this logger."""
    logger = logging.getLogger("pymodbus.logging")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL + 1)
