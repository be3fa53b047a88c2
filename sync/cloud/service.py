"""The consumer as a program: database, broker and answers, until it is told to stop."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from sync.cloud.consumer import Consumer
from sync.cloud.database import open_database
from sync.cloud.sqlite import Sqlite, only_consumer
from sync.mqtt import Broker
from sync.uris import BASE

LONGEST = 60.0
"""Seconds that one transaction may take before the consumer counts as stuck."""


@dataclass(frozen=True, slots=True)
class Settings:
    """See `caselink cloud run --help`."""

    db: str
    broker: str
    http: str = ""
    client: str = "caselink-cloud"
    group: str = "caselink"
    base: str = BASE
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


class Service:
    """Runs once. `address` is where the answers are, "" = nowhere; valid once `ready` is set."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ready = asyncio.Event()
        self.address = ""
        self._stop = asyncio.Event()
        self._consumer: Consumer | None = None

    def stop(self) -> None:
        """End soon."""
        self._stop.set()

    def alive(self) -> bool:
        """Whether its loops turn. Without a broker they do: it is not the consumer that is ill."""
        consumer = self._consumer
        if consumer is None or not consumer.counts.connected:
            return True
        return time.monotonic() - consumer.counts.beat < LONGEST

    async def run(self) -> None:
        """Until `stop`. ConfigError: something in the settings cannot be."""
        settings = self.settings
        broker = Broker(settings.broker, settings.client, settings.ca, settings.cert, settings.key)
        broker.place()
        database = open_database(settings.db)
        try:
            if isinstance(database, Sqlite):
                with only_consumer(database.path):
                    await self._consume(Consumer(database, broker, settings.group))
            else:
                await self._consume(Consumer(database, broker, settings.group))
        finally:
            database.close()

    async def _consume(self, consumer: Consumer) -> None:
        self._consumer = consumer
        consuming = asyncio.create_task(consumer.run())
        stopping = asyncio.create_task(self._stop.wait())
        self.ready.set()
        try:
            await asyncio.wait({consuming, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            if not consuming.done():
                consuming.cancel()
            await asyncio.wait({consuming, stopping})
        if not consuming.cancelled():
            consuming.result()
