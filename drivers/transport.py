"""Byte streams to devices, `tcp://` and `serial://`, in which every wait has a deadline.

A TCP session may be opened by us (role client) or by the device (role server: the newest
connection wins, the older one is dead). `send()` success means nothing on TCP: a peer that never
reads swallows megabytes, so a stream keeps no buffer of its own above the kernel's, asks for
keepalive 5/2/3 s and TCP_USER_TIMEOUT, and its owner must ask the device for signs of life.
"""

import asyncio
import contextlib
import re
import socket
import termios
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlsplit

import serial
import serial_asyncio_fast
from pydantic import AfterValidator

from agent.core.errors import ConfigError, Said, TransientError, say
from agent.told import os_said, spoken, told
from drivers.context import DeviceContext
from drivers.wirelog import WireLog

CHUNK = 65_536
CLOSE_TIMEOUT = 2.0
USER_TIMEOUT_MS = 11_000
Role = Literal["client", "server"]

_FORM = "tcp://HOST:PORT or serial:///dev/ttyUSB0?baud=9600&bits=8&parity=N&stop=1&flow=none"
_SERIAL_KEYS = {"baud", "bits", "parity", "stop", "flow"}
_FLOWS = {"none", "rtscts", "xonxoff"}


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A TCP endpoint; in role server the address on which we listen."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class SerialAddress:
    """A serial port: baud in bits/s, data bits 7 or 8, parity N/E/O, stop bits 1 or 2, flow
    none, rtscts or xonxoff."""

    path: str
    baud: int = 9600
    bits: int = 8
    parity: str = "N"
    stop: int = 1
    flow: str = "none"


def parse_address(text: str) -> TcpAddress | SerialAddress:
    """The endpoint that an address in the config names. ValueError says what to write instead."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"'{text}' is not an address; write {_FORM}") from None
    if parts.scheme == "tcp":
        if not parts.hostname or port is None or parts.path or parts.query:
            raise ValueError(f"'{text}' is not a TCP address; write tcp://HOST:PORT")
        return TcpAddress(parts.hostname, port)
    if parts.scheme != "serial" or parts.netloc or not parts.path.startswith("/"):
        raise ValueError(f"'{text}' is not an address; write {_FORM}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(set(options) - _SERIAL_KEYS)
    if unknown:
        raise ValueError(f"'{text}' has the unknown option {unknown[0]}; write {_FORM}")
    address = SerialAddress(
        parts.path,
        _number(options, "baud", 9600),
        _number(options, "bits", 8),
        options.get("parity", "N").upper(),
        _number(options, "stop", 1),
        options.get("flow", "none"),
    )
    good = address.bits in (7, 8) and address.parity in "NEO" and len(address.parity) == 1
    if not good or address.stop not in (1, 2) or address.flow not in _FLOWS or address.baud < 50:
        raise ValueError(f"'{text}' has an option out of range; write {_FORM}")
    return address


def _number(options: dict[str, str], key: str, default: int) -> int:
    text = options.get(key, str(default))
    if not re.fullmatch(r"\d{1,7}", text):
        raise ValueError(f"{key} must be a number, not '{text}'; write {_FORM}")
    return int(text)


def _check_address(text: str) -> str:
    parse_address(text)
    return text


AddressText = Annotated[str, AfterValidator(_check_address)]
"""A config value that `parse_address` understands."""


class Transport:
    """One session at a time with the device `name` at `address`.

    `open` raises TransientError when the device is not there within `connect_timeout` seconds and
    ConfigError when role and address do not fit. After any TransientError the session is over:
    `close` it and open a new one.
    """

    def __init__(
        self,
        name: str,
        address: str,
        *,
        role: Role = "client",
        connect_timeout: float = 3.0,
        context: DeviceContext | None = None,
    ) -> None:
        self.name = name
        self.address = address
        self._endpoint = parse_address(address)
        self._role = role
        self._connect_timeout = connect_timeout
        self._context = context if context is not None else DeviceContext()
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._server: asyncio.Server | None = None
        self._arrived = asyncio.Event()
        self._in_session = False
        self._replaced = False
        self._wire: WireLog | None = None
        if role == "server" and isinstance(self._endpoint, SerialAddress):
            raise ConfigError(*told("role_serial", name=name, where=address))

    async def open(self) -> None:
        """Connect, or in role server listen and wait for the device to connect."""
        if self._context.wire_log_dir is not None:
            self._wire = WireLog(self._context.wire_log_dir, self.name, self._context.mask)
        try:
            async with asyncio.timeout(self._connect_timeout):
                if isinstance(self._endpoint, SerialAddress):
                    await self._open_serial(self._endpoint)
                elif self._role == "client":
                    reader, writer = await asyncio.open_connection(
                        self._endpoint.host, self._endpoint.port
                    )
                    self._adopt(reader, writer)
                else:
                    await self._listen(self._endpoint)
        except TimeoutError:
            await self.close()
            key = "not_connected" if self._role == "server" else "not_answered"
            limit = f"{self._connect_timeout:g}"
            raise TransientError(*told(key, **self._about(), s=limit)) from None
        except (OSError, serial.SerialException) as error:
            await self.close()
            why = os_said(error)
            raise TransientError(*told("unreachable", **self._about(), why=why)) from error
        except BaseException:
            await self.close()
            raise
        self._in_session = True
        self._note("session open")

    async def close(self) -> None:
        """End the session; within about 2 s, and never an error for a peer that is gone."""
        writer, self._writer = self._writer, None
        server, self._server = self._server, None
        self._reader = None
        self._arrived.clear()
        self._in_session = self._replaced = False
        if server is not None:
            server.close()
        if writer is not None:
            await _end(writer)
        if self._wire is not None:
            self._wire.note("session closed")
            self._wire.close()
            self._wire = None

    async def read_some(self, timeout: float) -> bytes | None:
        """At least one byte and at most 64 KiB; None when nothing came within `timeout` seconds;
        TransientError when the device ended the session."""
        reader = self._live_reader()
        try:
            async with asyncio.timeout(timeout):
                data = await reader.read(CHUNK)
        except TimeoutError:
            return None
        except (OSError, serial.SerialException) as error:
            raise self._lost(os_said(error)) from error
        if not data:
            raise self._lost(say("peer_closed"))
        if self._wire is not None:
            self._wire.received(data)
        return data

    async def write(self, data: bytes, timeout: float, shown: bytes | None = None) -> None:
        """Hand `data` to the operating system. TransientError when it takes nothing more within
        `timeout` seconds: the device does not read. `shown` replaces `data` in the wire log."""
        self._live_reader()
        writer = self._writer
        assert writer is not None
        if self._wire is not None:
            self._wire.sent(data if shown is None else shown)
        try:
            writer.write(data)
            async with asyncio.timeout(timeout):
                await writer.drain()
        except TimeoutError:
            writer.transport.abort()
            limit = f"{timeout:g}"
            raise self._lost(say("takes_nothing", s=limit)) from None
        except (OSError, serial.SerialException) as error:
            raise self._lost(os_said(error)) from error

    @property
    def lost(self) -> bool:
        """True when the session is known to be over although nobody has read its end yet."""
        reader, writer = self._reader, self._writer
        return reader is None or writer is None or reader.at_eof() or writer.is_closing()

    def _live_reader(self) -> asyncio.StreamReader:
        if self._replaced:
            raise self._lost(say("peer_anew"))
        if self._reader is None:
            raise TransientError(*told("transport_no_session", name=self.name, where=self.address))
        return self._reader

    def _adopt(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        # The transport buffers nothing, so that drain() waits until the kernel has the bytes.
        writer.transport.set_write_buffer_limits(high=0)
        sock: socket.socket | None = writer.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            _tune(sock)

    async def _open_serial(self, at: SerialAddress) -> None:
        reader, writer = await serial_asyncio_fast.open_serial_connection(
            url=at.path,
            baudrate=at.baud,
            bytesize=at.bits,
            parity=at.parity,
            stopbits=at.stop,
            rtscts=at.flow == "rtscts",
            xonxoff=at.flow == "xonxoff",
            exclusive=True,
        )
        self._adopt(reader, writer)

    async def _listen(self, at: TcpAddress) -> None:
        self._server = await asyncio.start_server(
            self._connected, at.host, at.port, start_serving=False
        )
        await self._server.start_serving()
        await self._arrived.wait()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A device connected. While `open` still waits the newest takes the place; later the
        session that was running is over, and the supervisor opens one with the newest."""
        older = self._writer
        if self._server is None:
            writer.transport.abort()
            return
        self._adopt(reader, writer)
        if older is not None:
            older.transport.abort()
            self._replaced = self._in_session
        self._arrived.set()

    def _lost(self, why: Said) -> TransientError:
        words, said = told("session_ended", **self._about(), why=why)
        self._note(f"session lost: {spoken('en', why)}")
        return TransientError(words, said)

    def _note(self, text: str) -> None:
        if self._wire is not None:
            self._wire.note(text)

    def _about(self) -> dict[str, object]:
        """Who it is, and what to look at."""
        advice = "advice_serial"
        if isinstance(self._endpoint, TcpAddress):
            advice = f"advice_{self._role}"
        return {"name": self.name, "where": self.address, "advice": say(advice)}


async def _end(writer: asyncio.StreamWriter) -> None:
    transport: Any = writer.transport
    port: serial.Serial | None = writer.get_extra_info("serial")
    if port is not None:
        # Draining a serial port whose peer holds it by flow control takes half a minute.
        if not transport.is_closing():
            with contextlib.suppress(OSError, serial.SerialException, termios.error):
                port.reset_output_buffer()
            transport.abort()
    else:
        writer.close()
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await writer.wait_closed()
    except TimeoutError:
        if port is None:
            transport.abort()
    except (OSError, serial.SerialException):
        pass


def _tune(sock: socket.socket) -> None:
    """Notice a dead peer in seconds instead of hours (idle 5 s, interval 2 s, 3 probes)."""
    for level, option, value in (
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS),
    ):
        with contextlib.suppress(OSError):  # the peer is gone already: reading will say so
            sock.setsockopt(level, option, value)
