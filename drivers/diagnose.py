"""What is wrong with a connection, in words: who answers instead of the device, and why nobody
does.

A device is never sent anything for this: what a stranger sent may come out of a printer as paper.
"""

import asyncio
import errno
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from agent.core.errors import Said, say
from drivers.wireread import printable

BY_ID = Path("/dev/serial/by-id")
HEARD = 512
"""Bytes of a greeting that are looked at."""
LISTEN = 1.5
"""Seconds to listen for a greeting."""


class Stranger(NamedTuple):
    """Who speaks where a device should: `name` in the catalogue, `words` in English."""

    name: str
    words: str

    @property
    def said(self) -> Said:
        """For people."""
        return say(f"stranger_{self.name}")


_STRANGERS: tuple[tuple[re.Pattern[bytes], Stranger], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), who)
    for pattern, who in (
        (rb"SSH-\d", Stranger("ssh", "an SSH server")),
        (rb"HTTP/\d|<!doctype html|<html", Stranger("web", "a web server")),
        (rb"\xff[\xfb-\xfe][\x00-\x7f]", Stranger("telnet", "a telnet server")),
        (
            rb"(log ?in|user ?name|user|password)\s*[:>]\s*(\x1b\S*)?$",
            Stranger("login", "a login prompt"),
        ),
        (rb"^220[ -].*(ftp|mail|smtp)", Stranger("mail", "an FTP or mail server")),
        (
            rb"^\x03\x00\x00",
            Stranger("desktop", "a Windows desktop or a Siemens S7 service"),
        ),
        (rb"^[\x15\x16]\x03", Stranger("tls", "a TLS server")),
        (rb"^@PJL|%-12345X", Stranger("office_printer", "an office printer (PJL)")),
        (rb"^RFB \d", Stranger("screen", "a screen that is shared (VNC)")),
        (rb"mysql|mariadb|^-ERR|^\+PONG", Stranger("database", "a database")),
    )
)


def stranger(heard: bytes) -> Stranger | None:
    """Who speaks here, if it is somebody whom every driver knows to be the wrong one."""
    head = heard[:HEARD]
    return next((who for pattern, who in _STRANGERS if pattern.search(head.rstrip())), None)


def who_answers(heard: bytes, device_type: str) -> Said | None:
    """What answered; None when nothing is strange about it."""
    found = stranger(heard)
    if found is None:
        return None
    said = printable(heard.strip()[:60])
    return say("stranger", who=found.said, said=said, type=device_type)


def why_unreachable(error: BaseException, where: str, ports: tuple[int, ...] = ()) -> Said | None:
    """Why no connection to `where` came about; None if that is not known."""
    for each in _causes(error):
        if isinstance(each, ConnectionRefusedError):
            if ports:
                return say("nobody_takes_usual", where=where, ports=" / ".join(map(str, ports)))
            return say("nobody_takes", where=where)
        if isinstance(each, socket.gaierror):
            return say("host_unknown", where=where)
        if isinstance(each, PermissionError):
            return say("not_allowed", where=where)
        if isinstance(each, OSError) and each.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
            return say("no_machine", where=where)
    if any(isinstance(each, TimeoutError) for each in _causes(error)):
        return say("nobody_answers", where=where)
    return None


async def greeting(host: str, port: int) -> tuple[bytes, BaseException | None]:
    """What the other end says by itself when somebody connects (b"": nothing), and why there is no
    connection."""
    heard, connected = b"", False
    try:
        async with asyncio.timeout(LISTEN):
            reader, writer = await asyncio.open_connection(host, port)
            connected = True
            try:
                while len(heard) < HEARD:
                    data = await reader.read(HEARD - len(heard))
                    if not data:
                        break
                    heard += data
            finally:
                writer.close()
    except (TimeoutError, OSError) as error:
        return heard, None if connected else error
    return heard, None


def serial_ports(folder: Path = BY_ID) -> list[tuple[str, str]]:
    """Serial devices that are plugged in: stable path, and where it leads now (/dev/ttyUSB0)."""
    try:
        links = sorted(folder.iterdir())
    except OSError:
        return []
    return [(str(link), str(link.resolve())) for link in links]


def about_serial(path: str, folder: Path = BY_ID) -> Said | None:
    """What to mend about the path of a serial device; None when nothing is."""
    ports = serial_ports(folder)
    stable = next((link for link, target in ports if target == path), "")
    if stable:
        return say("serial_unstable", path=path, stable=f"serial://{stable}")
    if not Path(path).exists():
        there = ", ".join(link for link, _ in ports) or "-"
        return say("serial_gone", path=path, there=there)
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
