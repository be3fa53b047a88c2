"""A driver that is not part of caselink: a code reader that says `CODE <text>;` or `NONE;`."""

import time
from collections import deque
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from agent.core.errors import TransientError
from agent.ports.reading import Read, Reading
from drivers.context import DeviceContext
from drivers.registry import Entry
from drivers.transport import AddressText, Transport

LONGEST = 4096

ENTRY = Entry("reader", "plant_reader:PlantReaderConfig", "plant_reader:PlantReader")


class PlantReaderConfig(BaseModel):
    """`connect_timeout` in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["plant_reader"] = "plant_reader"
    address: AddressText
    connect_timeout: float = Field(default=3.0, gt=0, le=60)


class Codec:
    """Bytes -> messages; bounded, and no I/O."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> list[str]:
        """The messages that became complete; what is too long for one is dropped."""
        *whole, self._held = (self._held + data).split(b";")
        if len(self._held) > LONGEST:
            self._held = b""
        return [each.decode("ascii", "replace").strip() for each in whole if len(each) <= LONGEST]


class PlantReader:
    """ports.CodeReader."""

    def __init__(self, name: str, config: PlantReaderConfig, context: DeviceContext) -> None:
        self.name = name
        self._transport = Transport(
            name, config.address, connect_timeout=config.connect_timeout, context=context
        )
        self._codec = Codec()
        self._waiting: deque[Reading] = deque(maxlen=256)

    async def open(self) -> None:
        """One session; TransientError when it is not there. The supervisor calls it again."""
        await self._transport.open()
        self._codec = Codec()
        self._waiting.clear()

    async def close(self) -> None:
        """Never raises for a device that is gone."""
        await self._transport.close()

    async def next_reading(self, timeout: float) -> Reading | None:
        """The next reading, None when none came within `timeout` seconds."""
        end = time.monotonic() + timeout
        while not self._waiting:
            data = await self._transport.read_some(max(0.0, end - time.monotonic()))
            if data is None:
                return None
            for message in self._codec.feed(data):
                self._waiting.append(self._reading(message))
        return self._waiting.popleft()

    def _reading(self, message: str) -> Reading:
        word, _, text = message.partition(" ")
        if word not in ("CODE", "NONE"):
            raise TransientError(
                f"{self.name} says '{message[:40]}', which no such reader says: is it the right "
                "device and port?"
            )
        return Reading((Read(text),) if text else (), time.monotonic())
