"""The way to the cloud of a running agent: its parts put together, its troubles as alarms, how it
stands for the panel and the command line."""

import asyncio
import logging
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from agent import now
from agent.app.archiving import keep_archiving
from agent.app.files import Files
from agent.app.lines import Line
from agent.app.site import check_devices
from agent.clockwatch import clock
from agent.core import inputs as i
from agent.core.errors import TransientError
from agent.health import Health
from agent.sections import Site, SyncSection
from agent.services import settle
from agent.services.commands import Around, Desk
from agent.services.orders import Orders
from agent.store.outbox import Outbox
from agent.store.readers import Readers
from agent.store.writer import Writer
from agent.supervisor import LONGEST_WAIT, unless_bug
from sync.inbox import Inbox
from sync.messages import DeviceState
from sync.mqtt import Broker
from sync.restored import Restored
from sync.sealed import load_key
from sync.status import About
from sync.uplink import Uplink
from sync.uris import Identity

log = logging.getLogger(__name__)

ALARMS = {"sync_fork": 1, "sync_refused": 2, "sync_parked": 2, "archive_failed": 2}
"""Conditions that become alarms, with their priority."""
READERS = 3
"""Connections of its own: a batch that is being built must not keep people waiting."""


def identity(site: Site, sync: SyncSection) -> Identity:
    """Who the agent is for the cloud."""
    gtins = {sku: product.gtin for sku, product in site.products.items() if product.gtin}
    return Identity(
        sync.tenant, sync.site, site.agent.id, sync.base, sync.namespace, sync.offset, gtins
    )


def broker(site: Site, sync: SyncSection, config: Path) -> Broker:
    """Where the broker is and who we are there."""

    def file(name: str) -> Path | None:
        return config.resolve().parent / name if name else None

    client = f"{sync.tenant}.{sync.site}.{site.agent.id}"
    return Broker(sync.url, client, file(sync.ca), file(sync.cert), file(sync.key))


def settle_all(writer: Writer, readers: Readers, told: Restored) -> None:
    """The cloud said how far pools were used after the backup that was restored."""
    for each in settle.by_cloud(writer.wait, readers.connection, told):
        log.warning(
            "Pool %s is settled: %d codes may have been printed after the backup and are void, "
            "%d rows are left.",
            *(each.pool, each.voided, each.left),
        )


class CloudWay:
    """The way to the cloud that the site file describes. `run` until cancelled."""

    def __init__(
        self,
        site: Site,
        sync: SyncSection,
        config: Path,
        files: Files,
        writer: Writer,
        lines: Mapping[str, Line],
        orders: Orders,
        readers: Readers,
    ) -> None:
        self._identity = identity(site, sync)
        self._broker = broker(site, sync, config)
        self._files = files
        self._days = sync.keep_days
        self._writer = writer
        self._lines = lines
        self._uplink: Uplink | None = None
        self._key = load_key(files.box_key)
        around = Around(
            name=self._identity.name,
            site=site,
            data=files.data,
            key=self._key,
            orders=orders,
            resend=self._resend,
            device_problems=check_devices,
        )
        self._inbox = Inbox(Desk(around, readers, writer))

    async def run(self) -> None:
        """Send, for ever; a bug in it must not stop the lines."""
        while True:
            for key in ALARMS:  # what an earlier run raised may be over
                self._condition(key, False, {})
            await unless_bug("the way to the cloud", self._run)
            await asyncio.sleep(LONGEST_WAIT)

    async def close(self) -> None:
        """Wait for a command that is being carried out; the store must have closed."""
        await self._inbox.close()

    async def _resend(self, first: int) -> None:
        if self._uplink is None:
            raise TransientError("The way to the cloud is starting: ask again.")
        await self._uplink.resend(first)

    async def _run(self) -> None:
        readers = await asyncio.to_thread(Readers, self._files.database, self._files.key, READERS)
        try:
            self._uplink = Uplink(
                self._identity,
                self._broker,
                Outbox(readers, self._writer),
                self._about,
                condition=self._condition,
                commands=self._inbox,
                key=self._key.public,
                restored=lambda told: settle_all(self._writer, readers, told),
            )
            archiving = asyncio.create_task(self._archive(readers), name="archive")
            try:
                await self._uplink.run()
            finally:
                archiving.cancel()
                await asyncio.wait({archiving})
        finally:
            readers.close()

    async def _archive(self, readers: Readers) -> None:
        if self._days:
            args = self._files, self._writer, readers, self._days, self._condition
            await unless_bug("archiving", lambda: keep_archiving(*args))

    def data(self) -> dict[str, Any]:
        """How it stands, for people and programs."""
        found = {"configured": True, "broker": self._broker.url, "agent": self._identity.name}
        return found if self._uplink is None else found | self._uplink.status.data(now.wall_ms())

    def backlog(self) -> dict[str, Any]:
        """For the panel's frame."""
        if self._uplink is None:
            return {"events": None, "oldest": None}
        status = self._uplink.status
        waits = status.backlog
        return {"events": waits.rows, "oldest": waits.oldest_ms, "connected": status.connected}

    def _about(self) -> About:
        states = {
            name: str(line.snapshot.get("state", {}).get("packml", "starting"))
            for name, line in self._lines.items()
        }
        at = clock()
        healths = [health for line in self._lines.values() for health in line.runner.healths]
        devices = {health.id: device_state(health) for health in healths}
        return About(version("caselink"), states, at.wall_ms, at.quality, devices)

    def _condition(self, key: str, on: bool, args: Mapping[str, str]) -> None:
        given = tuple(args.items())
        for name, line in self._lines.items():
            line.runner.tell(
                i.ConditionChanged(f"{name}/sync/{key}", on, ALARMS[key], key, "", given)
            )


MOST_WARNINGS = 32


def device_state(health: Health) -> DeviceState:
    """How a device is, for the state topic."""
    return DeviceState(
        kind=health.kind,
        state=health.state,
        latency_ms=round((health.latency or 0.0) * 1000, 2),
        last_ms=health.last_ms or 0,
        lost=health.losses,
        faults=health.faults,
        warnings=list(health.warnings)[:MOST_WARNINGS],
    )
