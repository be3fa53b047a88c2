"""The raw wire log of one device: a bounded ring of files that settles disputes.

One line per message: wall time (UTC), monotonic seconds, `>` sent or `<` received, the bytes in
hex. Secret values are masked before they are written. What arrives is cut at message ends first,
because a code that came in two pieces would pass the mask in two pieces. A file that is full or a
day old is packed by zstd, to a tenth or less, so that seven days fit also where much is printed.
"""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import zstandard

log = logging.getLogger(__name__)

DAY = 86_400.0
MAX_BYTES = 4 * 1024 * 1024
"""Bytes of the file that is written; then it is packed."""
TOTAL = 1024 * 1024 * 1024
"""Bytes of all packed files of one device; beyond them the oldest go before their time."""
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
    """The files of a device's log that there are, the oldest first; those that end in .zst are
    packed."""
    current = log_path(directory, name)
    turned: dict[str, Path] = {}
    for path in sorted(directory.glob(f"{current.stem}.*Z.log*")):
        if path.suffix in (".log", ".zst"):  # of both kinds of one file the packed one is whole
            turned[path.name.removesuffix(".zst")] = path
    return [*turned.values(), *([current] if current.exists() else [])]


def pack(path: Path) -> None:
    """Pack a turned file in place; it keeps its times. OSError leaves it as it was."""
    packed, half = path.with_suffix(".log.zst"), path.with_suffix(".log.half")
    about = path.stat()
    with open(path, "rb") as source, open(half, "wb", opener=_private) as target:
        zstandard.ZstdCompressor(level=3, write_checksum=True).copy_stream(source, target)
    os.utime(half, ns=(about.st_atime_ns, about.st_mtime_ns))
    half.replace(packed)
    path.unlink()


class WireLog:
    """Ring files `<name>.log` (current), `<name>.<time of its first line>.log.zst` .. in
    `directory`, mode 0600.

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
        total: int = TOTAL,
        max_age: float = MAX_AGE,
        retry: float = RETRY,
        ends: bytes = b"\n\r\x03\x04\x06\x15",
    ) -> None:
        self._path = log_path(directory, name)
        self._name = name
        self._mask = mask
        self._max_bytes = max_bytes
        self._total = total
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
        began = datetime.fromtimestamp(self._started, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        self._path.replace(self._path.with_suffix(f".{began}.log"))
        self._drop_old(wall)
        self._open(wall)
        # A few 10 ms of work: not in the loop that talks to devices.
        threading.Thread(target=self._pack, name="wire-log", daemon=True).start()

    def _pack(self) -> None:
        with _PACKING:
            for path in files_of(self._path.parent, self._name):
                if path != self._path and path.suffix == ".log":
                    with contextlib.suppress(OSError):  # it stays as it is, and is read as well
                        pack(path)

    def _drop_old(self, wall: float) -> None:
        left = self._total
        turned = [p for p in files_of(self._path.parent, self._name) if p != self._path]
        for path in reversed(turned):
            with contextlib.suppress(FileNotFoundError):  # packed just now
                about = path.stat()
                left -= about.st_size
                if left < 0 or wall - about.st_mtime > self._max_age:
                    path.unlink()

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


_PACKING = threading.Lock()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
