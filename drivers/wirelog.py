"""The raw wire log of one device: a bounded ring of files that settles disputes.

One line per message: wall time (UTC), monotonic seconds, `>` sent or `<` received, the bytes in
hex. Secret values are masked before they are written. What arrives is cut at message ends first,
because a code that came in two pieces would pass the mask in two pieces.
"""

import logging
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

log = logging.getLogger(__name__)

DAY = 86_400.0
MAX_BYTES = 4 * 1024 * 1024
FILES = 8
MAX_AGE = 7 * DAY
MAX_HELD = 8192
HOLD = 0.2
RETRY = 60.0
SHOWN = 2048
"""Bytes of one message that are written out; the rest is only counted."""


def log_path(directory: Path, name: str) -> Path:
    """The file that the log of device `name` is written to."""
    safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in name) or "device"
    return directory / f"{safe}.log"


def files_of(directory: Path, name: str) -> list[Path]:
    """The files of a device's log that there are, the oldest first."""
    current = log_path(directory, name)
    turned = [current.with_suffix(f".{number}.log") for number in range(FILES - 1, 0, -1)]
    return [path for path in (*turned, current) if path.exists()]


class WireLog:
    """Ring files `<name>.log` (current), `<name>.1.log` .. in `directory`, mode 0600.

    `mask` takes the bytes of a message and gives them back with secret values replaced. A disk
    that is full or read-only never reaches the caller: the log pauses, says so once, and tries
    again after a minute.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        mask: Callable[[bytes], bytes],
        *,
        max_bytes: int = MAX_BYTES,
        files: int = FILES,
        max_age: float = MAX_AGE,
        retry: float = RETRY,
        ends: bytes = b"\n\r\x03",
    ) -> None:
        self._path = log_path(directory, name)
        self._name = name
        self._mask = mask
        self._max_bytes = max_bytes
        self._files = max(1, files)
        self._max_age = max_age
        self._retry = retry
        self._ends = frozenset(ends)
        self._file: BinaryIO | None = None
        self._size = 0
        self._started = 0.0
        self._retry_at = 0.0
        self._failed = False
        self._held = bytearray()
        self._held_at = 0.0

    def sent(self, data: bytes) -> None:
        """Write down a message that was handed to the network."""
        self._flush_old(time.monotonic())
        self._line(b">", data, time.monotonic())

    def received(self, data: bytes) -> None:
        """Write down what arrived, up to its last message end; the rest waits for its end."""
        now = time.monotonic()
        self._flush_old(now)
        self._held += data
        self._held_at = now
        cut = max((self._held.rfind(end) for end in self._ends), default=-1) + 1
        if cut == 0 and len(self._held) > MAX_HELD:
            cut = len(self._held)
        if cut:
            self._line(b"<", bytes(self._held[:cut]), now)
            del self._held[:cut]

    def whole(self, data: bytes, *, sent: bool) -> None:
        """Write down one message of a protocol that tells by itself where messages end."""
        self._flush()
        self._line(b">" if sent else b"<", data, time.monotonic())

    def note(self, text: str) -> None:
        """Write down something about the connection itself, such as its loss."""
        self._flush()
        self._write(b"- " + text.encode("utf-8", "replace"), time.monotonic())

    def close(self) -> None:
        """Write down what is held and close the file."""
        self._flush()
        self._close_file()

    def _flush_old(self, now: float) -> None:
        if self._held and now - self._held_at > HOLD:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            self._line(b"<", bytes(self._held), self._held_at)
            self._held.clear()

    def _line(self, direction: bytes, data: bytes, mono: float) -> None:
        shown = self._mask(data)
        rest = len(shown) - SHOWN
        text = shown[:SHOWN].hex().encode() + (b" +%d bytes" % rest if rest > 0 else b"")
        self._write(direction + b" " + text, mono)

    def _write(self, text: bytes, mono: float) -> None:
        if self._failed and mono < self._retry_at:
            return
        wall = datetime.now(UTC)
        stamp = wall.isoformat(timespec="microseconds").replace("+00:00", "Z")
        line = b"%s %.6f %s\n" % (stamp.encode(), mono, text)
        try:
            file = self._current(len(line), wall.timestamp())
            file.write(line)
        except OSError as error:
            self._close_file()
            self._retry_at = mono + self._retry
            if not self._failed:
                self._failed = True
                log.warning(
                    "The wire log of %s cannot be written to %s (%s); the device works on. "
                    "Free space there or mend its permissions.",
                    self._name,
                    self._path.parent,
                    error,
                )
            return
        self._size += len(line)
        if self._failed:
            self._failed = False
            log.warning("The wire log of %s is written again.", self._name)

    def _current(self, needed: int, wall: float) -> BinaryIO:
        """The file that takes the next line; turns the ring when it is full or a day old."""
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._drop_old(wall)
            self._open(wall)
        if (
            self._file is None
            or self._size + needed > self._max_bytes
            or (self._size and wall - self._started > DAY)
        ):
            self._turn(wall)
        assert self._file is not None
        return self._file

    def _open(self, wall: float) -> None:
        file = open(self._path, "ab", buffering=0, opener=_private)  # noqa: SIM115
        self._file = file
        self._size = file.tell()
        self._started = self._first_stamp(wall) if self._size else wall

    def _first_stamp(self, wall: float) -> float:
        with open(self._path, "rb") as file:
            text = file.readline(64).split(b" ")[0].decode("ascii", "replace")
        try:
            return datetime.fromisoformat(text).timestamp()
        except ValueError:
            return wall

    def _turn(self, wall: float) -> None:
        self._close_file()
        if self._files == 1:
            self._path.unlink(missing_ok=True)
        for number in range(self._files - 2, -1, -1):
            source = self._numbered(number)
            if source.exists():
                source.replace(self._numbered(number + 1))
        self._drop_old(wall)
        self._open(wall)

    def _drop_old(self, wall: float) -> None:
        for number in range(self._files):
            path = self._numbered(number)
            if path.exists() and wall - path.stat().st_mtime > self._max_age:
                path.unlink()

    def _numbered(self, number: int) -> Path:
        return self._path if number == 0 else self._path.with_suffix(f".{number}.log")

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
