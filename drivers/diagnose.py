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

from drivers.wireread import printable

BY_ID = Path("/dev/serial/by-id")
HEARD = 512
"""Bytes of a greeting that are looked at."""
LISTEN = 1.5
"""Seconds to listen for a greeting."""

_STRANGERS: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), words)
    for pattern, words in (
        (rb"SSH-\d", "an SSH server"),
        (rb"HTTP/\d|<!doctype html|<html", "a web server"),
        (rb"\xff[\xfb-\xfe][\x00-\x7f]", "a telnet server"),
        (rb"(log ?in|user ?name|user|password)\s*[:>]\s*(\x1b\S*)?$", "a login prompt"),
        (rb"^220[ -].*(ftp|mail|smtp)", "an FTP or mail server"),
        (rb"^\x03\x00\x00", "a Windows desktop or a Siemens S7 service"),
        (rb"^[\x15\x16]\x03", "a TLS server"),
        (rb"^@PJL|%-12345X", "an office printer (PJL)"),
        (rb"^RFB \d", "a screen that is shared (VNC)"),
        (rb"mysql|mariadb|^-ERR|^\+PONG", "a database"),
    )
)


def stranger(heard: bytes) -> str:
    """Who speaks here, if it is somebody whom every driver knows to be the wrong one; else ""."""
    head = heard[:HEARD]
    return next((words for pattern, words in _STRANGERS if pattern.search(head.rstrip())), "")


def who_answers(heard: bytes, device_type: str) -> str:
    """A sentence for a person about what answered, "" when nothing is strange about it."""
    found = stranger(heard)
    if not found:
        return ""
    said = printable(heard.strip()[:60])
    return (
        f'What answers is {found} ("{said}"), not a device of type {device_type}: '
        "is it the right address and port?"
    )


def why_unreachable(error: BaseException, where: str, ports: tuple[int, ...] = ()) -> str:
    """A sentence for a person about why no connection to `where` came about; "" if not known."""
    for each in _causes(error):
        if isinstance(each, ConnectionRefusedError):
            usual = " or ".join(str(port) for port in ports)
            hint = f" Such devices listen on port {usual} as a rule." if usual else ""
            return (
                f"A machine is there, but nothing takes connections at {where}: wrong port, or the "
                f"device's network service is off, or another client has its only place.{hint}"
            )
        if isinstance(each, socket.gaierror):
            return f"The host name in {where} is not known here: write the IP address instead."
        if isinstance(each, PermissionError):
            return (
                f"This user may not open {where}: add it to the group dialout "
                "(usermod -aG dialout USER) and log in again."
            )
        if isinstance(each, OSError) and each.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
            return (
                f"No machine answers for the address of {where}: power, cable, or this machine "
                "and the device are not in the same network."
            )
    if any(isinstance(each, TimeoutError) for each in _causes(error)):
        return f"Nobody answers at {where}: power, cable, wrong address, or a firewall between."
    return ""


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


def about_serial(path: str, folder: Path = BY_ID) -> str:
    """What to mend about the path of a serial device; "" when nothing is."""
    ports = serial_ports(folder)
    stable = next((link for link, target in ports if target == path), "")
    if stable:
        return (
            f"{path} is a name that changes when devices are plugged in in another order: "
            f"write serial://{stable} instead."
        )
    if not Path(path).exists():
        there = ", ".join(link for link, _ in ports) or "none"
        return f"{path} is not there: plug the device in. Serial devices found here: {there}."
    return ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
