"""Reads the wire log of a device: what went over its wire, oldest first, as data and as text."""

import contextlib
import io
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple

import zstandard

from drivers.wirelog import files_of, log_path

_SHOWN = 512
"""Bytes of one message that are shown as text; the hex says how many there were."""

_TAIL = 1024 * 1024


class WireEntry(NamedTuple):
    """One line of a wire log. `at` is UTC, `mono` monotonic seconds, `direction` ">" sent, "<"
    received or "-" a note about the session; `data` the bytes (masked), `more` how many were left
    out of the log, `note` the words of a note."""

    at: datetime
    mono: float
    direction: str
    data: bytes
    more: int
    note: str

    def text(self) -> str:
        """One line for people: local time, direction, printable form, hex."""
        at = self.at.astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        if self.direction == "-":
            return f"{at} - {self.note}"
        shown = self.data[:_SHOWN]
        more = len(self.data) - len(shown) + self.more
        tail = f" +{more} bytes" if more else ""
        return f"{at} {self.direction} {printable(shown)}  [{shown.hex(' ')}]{tail}"


def printable(data: bytes) -> str:
    """Bytes as people read them: text as it is (UTF-8), a control byte as <ETX> or <9D>."""
    parts: list[str] = []
    for char in data.decode("utf-8", "surrogateescape"):
        code = ord(char)
        if 0xDC80 <= code <= 0xDCFF:
            parts.append(f"<{code - 0xDC00:02X}>")
        elif code < 0x20 or code == 0x7F:
            parts.append(f"<{_NAMES[code] if code < 0x20 else 'DEL'}>")
        else:
            parts.append(char if char.isprintable() else f"<U+{code:04X}>")
    return "".join(parts)


def parse(line: bytes) -> WireEntry | None:
    """One line of a file; None when it is not whole, as after a loss of power."""
    try:
        stamp, mono, direction, *rest = line.decode("utf-8").rstrip("\n").split(" ", 3)
        at, seconds = datetime.fromisoformat(stamp), float(mono)
        what = rest[0] if rest else ""
        if direction == "-":
            return WireEntry(at, seconds, "-", b"", 0, what)
        if direction not in ("<", ">"):
            return None
        digits, _, more = what.partition(" +")
        left = int(more.removesuffix(" bytes")) if more else 0
        return WireEntry(at, seconds, direction, bytes.fromhex(digits), left, "")
    except ValueError:
        return None


def entries(directory: Path, name: str, since: datetime | None = None) -> Iterator[WireEntry]:
    """What the log of device `name` holds, oldest first, from `since` on."""
    for path in files_of(directory, name):
        if since is not None and path.stat().st_mtime < since.timestamp():
            continue
        for line in _lines(path):
            entry = parse(line)
            if entry is not None and (since is None or entry.at >= since):
                yield entry


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, packed or not; one that is broken ends where it breaks."""
    with contextlib.suppress(FileNotFoundError, zstandard.ZstdError), path.open("rb") as file:
        if path.suffix != ".zst":
            yield from file
            return
        with zstandard.ZstdDecompressor().stream_reader(file) as plain:
            yield from io.BufferedReader(plain)


def tail(directory: Path, name: str, count: int) -> list[WireEntry]:
    """The newest `count` entries, oldest first, as far as the newest two files tell."""
    found: list[WireEntry] = []
    for path in reversed(files_of(directory, name)[-2:]):
        size = path.stat().st_size if path.exists() else 0
        if path.suffix == ".zst":
            lines = [*_lines(path)][-count:]
        else:
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                file.seek(max(0, size - _TAIL))
                lines = file.read().splitlines(keepends=True)
                del lines[: size > _TAIL]  # cut
        older = [entry for line in lines if (entry := parse(line)) is not None]
        found = older[-(count - len(found)) :] + found
        if len(found) >= count or size > _TAIL:
            break
    return found


class Follower:
    """What is written to a log from now on, also after its file was turned."""

    def __init__(self, directory: Path, name: str) -> None:
        self._path = log_path(directory, name)
        self._file: BinaryIO | None = None
        self._rest = b""
        self._open()

    def more(self) -> list[WireEntry]:
        """What came since the last call."""
        data = self._rest
        held = 0
        if self._file is not None:
            data += self._file.read()
            held = os.fstat(self._file.fileno()).st_ino
        if self._path.exists() and self._path.stat().st_ino != held:
            self.close()
            data += self._open()
        lines = data.splitlines(keepends=True)
        self._rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        return [entry for line in lines if (entry := parse(line)) is not None]

    def close(self) -> None:
        """Let the file go."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> bytes:
        """What the file holds up to now, b"" where there is none yet."""
        with contextlib.suppress(FileNotFoundError):
            self._file = file = open(self._path, "rb")  # noqa: SIM115
            return file.read()
        return b""


_NAMES = (
    *("NUL", "SOH", "STX", "ETX", "EOT", "ENQ", "ACK", "BEL", "BS", "TAB", "LF", "VT", "FF"),
    *("CR", "SO", "SI", "DLE", "DC1", "DC2", "DC3", "DC4", "NAK", "SYN", "ETB", "CAN", "EM"),
    *("SUB", "ESC", "FS", "GS", "RS", "US"),
)
