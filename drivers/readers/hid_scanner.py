"""Hand scanners that type like a keyboard, read from Linux's input device, so that what they type
goes to us and to nobody else.

The device is addressed by its stable path (/dev/input/by-id/...-event-kbd) and grabbed. Needs no
package: an input device is a file of fixed records.
"""

import asyncio
import errno
import fcntl
import os
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from agent.core.errors import ConfigError, Said, TransientError, say
from agent.ports.devices import DeviceCheck
from agent.ports.reading import Reading
from agent.told import os_said, told
from drivers.context import DeviceContext
from drivers.readers.keys import EVENT, KeyCodec
from drivers.readers.payload import PayloadConfig
from drivers.wirelog import WireLog

BY_ID = Path("/dev/input/by-id")
MAX_READINGS = 256
CHUNK = 64 * EVENT.size
_GRAB = 0x40044590
"""EVIOCGRAB of linux/input.h: _IOW('E', 0x90, int)."""


def _check_path(text: str) -> str:
    if not text.startswith("/") or text.startswith("/dev/input/event"):
        raise ValueError(
            f"write the path that stays when things are plugged in anew, of {BY_ID}"
            "/...-event-kbd, not /dev/input/eventN"
        )
    return text


class HidScannerConfig(PayloadConfig):
    """Section of a device of type `hid_scanner`. `path` is its input device; the scanner itself
    must be set to the US keyboard `layout` and to end each code with `terminator`. What is not
    ended within `gap_s` seconds of its last key is no scan."""

    type: Literal["hid_scanner"] = "hid_scanner"
    path: Annotated[str, Field(min_length=2, max_length=400), AfterValidator(_check_path)]
    layout: Literal["us"] = "us"
    terminator: Literal["enter", "tab"] = "enter"
    grab: bool = True
    gap_s: float = Field(1.0, ge=0.05, le=10)
    no_read: tuple[str, ...] = Field((), max_length=16)


class HidScanner:
    """ports.CodeReader over an input device."""

    def __init__(self, name: str, config: HidScannerConfig, context: DeviceContext) -> None:
        self.name = name
        self._config = config
        self._context = context
        self._codec = self._fresh()
        self._file = -1
        self._wire: WireLog | None = None
        self._readings: deque[Reading] = deque()
        self._arrived = asyncio.Event()
        self._error: TransientError | None = None

    async def open(self) -> None:
        """Open and grab it. TransientError when it is not plugged in or another program has it,
        ConfigError when we may not read it."""
        try:
            self._file = os.open(self._config.path, os.O_RDONLY | os.O_NONBLOCK)
            if self._config.grab:
                fcntl.ioctl(self._file, _GRAB, 1)
        except OSError as error:
            await self.close()
            raise self._why_not(error) from error
        self._codec = self._fresh()
        self._readings.clear()
        self._error = None
        self._arrived.clear()
        if self._context.wire_log_dir is not None:
            self._wire = WireLog(self._context.wire_log_dir, self.name, self._context.mask)
        asyncio.get_running_loop().add_reader(self._file, self._readable)

    async def close(self) -> None:
        """Let go of it; see ports.Device."""
        file, self._file = self._file, -1
        if file >= 0:
            asyncio.get_running_loop().remove_reader(file)
            os.close(file)  # which ends the grab
        if self._wire is not None:
            self._wire.close()
            self._wire = None
        self._lose(say("it_is_closed"))

    async def next_reading(self, timeout: float) -> Reading | None:
        """The next scan; see ports.CodeReader."""
        deadline = time.monotonic() + timeout
        while not self._readings:
            if self._error is not None:
                raise self._error
            if self._file < 0:
                raise TransientError(*told("not_open", name=self.name))
            self._arrived.clear()
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    await self._arrived.wait()
            except TimeoutError:
                return None
        return self._readings.popleft()

    async def check(self) -> Sequence[DeviceCheck]:
        """What can be known of a scanner; see ports.Checked."""
        spoiled = self._codec.dropped
        if not spoiled:
            return [DeviceCheck(True, say("plugged_in"))]
        ends = self._config.terminator.capitalize()
        return [DeviceCheck(False, say("scans_spoiled", many=spoiled, ends=ends))]

    def _fresh(self) -> KeyCodec:
        config = self._config
        return KeyCodec(config, tab=config.terminator == "tab", gap=config.gap_s)

    def _readable(self) -> None:
        try:
            data = os.read(self._file, CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(say("unplugged_why", why=os_said(error)))
            return
        if not data:
            self._end(say("unplugged"))
            return
        now = time.monotonic()
        for found in self._codec.feed(data):
            if self._wire is not None:
                said = ";".join(read.symbology + read.text for read in found.reads)
                self._wire.received(f"{said}\r".encode())
            if len(self._readings) >= MAX_READINGS:
                self._end(say("scanner_untaken", many=MAX_READINGS))
                return
            self._readings.append(Reading(found.reads, now, found.trigger))
            self._arrived.set()

    def _end(self, why: Said) -> None:
        # A device that is gone stays readable for ever.
        asyncio.get_running_loop().remove_reader(self._file)
        self._lose(why)

    def _lose(self, why: Said) -> None:
        if self._error is None:
            self._error = TransientError(
                *told("scanner_lost", name=self.name, where=self._config.path, why=why)
            )
        self._arrived.set()

    def _why_not(self, error: OSError) -> ConfigError | TransientError:
        where = say("at", name=self.name, where=self._config.path)
        if error.errno in (errno.EACCES, errno.EPERM):
            return ConfigError(*told("scanner_not_allowed", who=where))
        if error.errno == errno.EBUSY:
            return TransientError(*told("scanner_taken", who=where))
        if error.errno in (errno.ENOTTY, errno.EINVAL):
            return ConfigError(*told("scanner_no_input", who=where, folder=BY_ID))
        there = ", ".join(keyboards()) or "-"
        return TransientError(
            *told("scanner_not_opened", who=where, why=os_said(error), there=there)
        )


def keyboards(folder: Path = BY_ID) -> list[str]:
    """Paths of input devices that type."""
    try:
        return sorted(str(path) for path in folder.iterdir() if path.name.endswith("-event-kbd"))
    except OSError:
        return []
