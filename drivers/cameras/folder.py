"""Pictures that something else puts into a folder, taken in the order of their names.

For cameras that save by FTP or SMB, and for playing recorded pictures again. Whoever writes there
should write under another suffix and rename: a file that is still growing holds up those after it.
"""

import asyncio
import logging
import os
import re
import shutil
import time
from collections import deque
from itertools import islice
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agent.core.errors import ConfigError, TransientError
from agent.ports.reading import Frame
from agent.told import os_said, told
from drivers.cameras import picture
from drivers.context import DeviceContext

log = logging.getLogger(__name__)

_SUFFIXES = (".bmp", ".jpg", ".jpeg", ".png", ".pgm")
_MOST_FILES = 100_000
_NUMBER = re.compile(r"(\d{1,18})\D*$", re.ASCII)


class FolderConfig(BaseModel):
    """`path` is the folder, looked into every `interval_s`. `counter` of a picture is the last
    number in its `name` ("cam1_000123.bmp" is 123) or its place in the `order` of arrival.

    `after` says what becomes of a file that was taken: keep, delete, or move to `move_to`. A file
    that is no picture `settle_s` after its last change is left out and left where it is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["folder"] = "folder"
    path: Path
    interval_s: float = Field(0.1, ge=0.01, le=60)
    counter: Literal["name", "order"] = "name"
    after: Literal["keep", "delete", "move"] = "keep"
    move_to: Path | None = None
    max_bytes: int = Field(16 * 1024 * 1024, ge=1024, le=256 * 1024 * 1024)
    settle_s: float = Field(2.0, ge=0, le=60)

    @model_validator(mode="after")
    def _check_move(self) -> "FolderConfig":
        if (self.after == "move") != (self.move_to is not None):
            raise ValueError('write move_to together with after = "move", and only then')
        if self.move_to is not None and self.move_to == self.path:
            raise ValueError("move_to must be another folder than path")
        return self


class _NotYet(Exception):
    """The file may still be growing."""


class FolderCamera:
    """A folder as a camera. `skipped` counts files that were no pictures."""

    def __init__(self, name: str, config: FolderConfig, context: DeviceContext) -> None:
        # No wire log for the context: nothing goes over a wire.
        self.name = name
        self.skipped = 0
        self._config = config
        self._open = False
        self._order = 0
        self._waiting: deque[Path] = deque()
        self._done: set[str] = set()

    async def open(self) -> None:
        """Look for the folder. TransientError if it is not there (a share that is not mounted)."""
        try:
            await asyncio.to_thread(self._prepare)
        except OSError as error:
            raise self._lost(error) from error
        self._open = True

    async def close(self) -> None:
        """Forget the list; files that were taken stay known, so that none is taken twice."""
        self._open = False
        self._waiting.clear()

    async def next_frame(self, timeout: float) -> Frame | None:
        """The next picture by name, None when none came within `timeout` s."""
        if not self._open:
            raise TransientError(*told("camera_closed", name=self.name))
        deadline = time.monotonic() + timeout
        while True:
            try:
                frame = await asyncio.to_thread(self._take)
            except OSError as error:
                raise self._lost(error) from error
            left = deadline - time.monotonic()
            if frame is not None or left <= 0:
                return frame
            await asyncio.sleep(min(left, self._config.interval_s))

    def _prepare(self) -> None:
        with os.scandir(self._config.path):
            pass
        if self._config.move_to is not None:
            try:
                self._config.move_to.mkdir(parents=True, exist_ok=True)
            except FileExistsError as error:
                raise ConfigError(
                    *told("camera_move_to", name=self.name, path=self._config.move_to)
                ) from error

    def _take(self) -> Frame | None:
        """The next picture of the folder, read and put away; None if there is none now."""
        if not self._waiting:
            self._waiting.extend(self._list())
        while self._waiting:
            path = self._waiting[0]
            try:
                frame = self._read(path)
                self._put_away(path)
            except _NotYet:
                return None
            except FileNotFoundError:
                frame = None  # somebody else took it
            except picture.PictureError as error:
                frame = None
                self._skip(path, error)
            self._waiting.popleft()
            if frame is not None:
                return frame
        return None

    def _list(self) -> list[Path]:
        """The pictures that were not taken yet, by name; the names sort as text."""
        with os.scandir(self._config.path) as entries:
            names = [
                entry.name
                for entry in islice(entries, _MOST_FILES)
                if entry.name.lower().endswith(_SUFFIXES) and entry.is_file()
            ]
        # What is gone need not be remembered: the set stays no larger than the folder.
        self._done.intersection_update(names)
        return [self._config.path / name for name in sorted(names) if name not in self._done]

    def _read(self, path: Path) -> Frame:
        number = _NUMBER.search(path.stem)
        if self._config.counter == "name" and number is None:
            raise picture.PictureError(*told("picture_no_number"))
        about = path.stat()
        try:
            if about.st_size > self._config.max_bytes:
                raise picture.PictureError(*told("picture_too_long", most=self._config.max_bytes))
            image = picture.decode(path.read_bytes())
        except picture.PictureError as error:
            # A date in the future (a clock that is not set) must not hold up the line for ever.
            if 0 <= time.time() - about.st_mtime < self._config.settle_s:
                raise _NotYet from error
            raise
        self._order += 1
        counter = self._order
        if number is not None and self._config.counter == "name":
            counter = int(number[1])
        # A file's time says when it was written, not when the picture was taken.
        return Frame(image, counter, None, time.monotonic())

    def _put_away(self, path: Path) -> None:
        if self._config.after == "delete":
            path.unlink(missing_ok=True)
        elif self._config.move_to is not None:
            # Over another file system a rename does not work: shutil copies then.
            shutil.move(path, self._config.move_to / path.name)
        else:
            self._done.add(path.name)

    def _skip(self, path: Path, why: picture.PictureError) -> None:
        self._done.add(path.name)
        self._order += 1  # it was an exposure: its gap must show
        self.skipped += 1
        log.log(
            logging.WARNING if self.skipped == 1 else logging.DEBUG,
            "camera %s: file %s is left out: %s; it stays where it is, remove it by hand",
            self.name,
            path,
            why,
        )

    def _lost(self, error: OSError) -> TransientError:
        keeps = self._config.after == "keep"
        key = "camera_folder" if keeps else "camera_folder_taken"
        return TransientError(
            *told(key, name=self.name, path=self._config.path, why=os_said(error))
        )
