"""One agent: opens the store, builds every line, serves the panel, and runs all of it until it is
told to stop."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import APIRouter

from agent import clockwatch
from agent.app import warehousing, watchdog
from agent.app.cameradesk import CameraDesk
from agent.app.desk import WarehouseDesk, slip_printers
from agent.app.devicedesk import DeviceDesk
from agent.app.files import Files
from agent.app.lines import Line, LineBuilder, Pictures, RealDevices
from agent.app.scanning import Lan, Scanning
from agent.app.services import Services
from agent.app.site import check_devices
from agent.app.uplink import CloudWay
from agent.clockwatch import clock
from agent.core import inputs as i
from agent.core.errors import CaselinkError, ConfigError, DomainError, TransientError
from agent.core.facts import AgentStarted
from agent.line.panel import excerpt
from agent.line.runner import LineRunner
from agent.notify import Notifier
from agent.sections import Site
from agent.services import pool_files
from agent.services.orders import Orders
from agent.services.pins import Pins
from agent.services.warehouse import Warehouse
from agent.store import journal, outbox
from agent.store.database import Database
from agent.store.gate import Gate
from agent.store.readers import Readers
from agent.store.record import record
from agent.store.writer import Writer
from agent.supervisor import unless_bug
from agent.vision.evidence import EvidenceWriter
from agent.vision.workers import VisionWorkers
from agent.web.app import PanelServer, create_app
from agent.web.auth import local_token
from agent.web.camera_routes import camera_router
from agent.web.device_routes import device_router
from agent.web.local import local_router
from agent.web.rework import rework_router
from agent.web.uplink import uplink_router
from agent.web.warehouse_api import document_file_router, warehouse_router
from agent.web.warehouse_local import warehouse_local_router

log = logging.getLogger(__name__)

VISION_THREADS = 2
SNAPSHOT_EVERY = 0.2
"""Seconds between two looks at a line's state for the panel."""
END_SECONDS = 12.0
"""What all tasks together get to end."""
AGAIN = 4.0
"""Seconds after which a task that has not ended is told again: longer than a device may take to
close. A library may have swallowed the first word."""


class Agent:
    """One agent. `run` until `stop`; `ready` is set when the panel answers. `built` is called when
    all that it needs is there and no line runs yet: what takes long then keeps none waiting."""

    def __init__(
        self,
        site: Site,
        config: Path,
        *,
        web: bool = True,
        built: Callable[[], None] = lambda: None,
    ) -> None:
        self.site = site
        self._built = built
        self._config = config
        self.files = Files(site, config)
        self.ready = asyncio.Event()
        self.port = 0
        self._web = web
        self._stop = asyncio.Event()
        self._lines: dict[str, Line] = {}
        self._cloud: CloudWay | None = None
        self.scanning: Scanning | None = None
        self.lan: Lan | None = None
        self.writer: Writer | None = None
        self.warehouse: Warehouse | None = None
        """What PDAs and the warehouse's screens ask; None without a [[warehouse]]."""

    def stop(self) -> None:
        """Ask it to end; `run` returns when everything is closed."""
        self._stop.set()

    async def run(self) -> None:
        """Open, run, close. ConfigError or TransientError when it cannot start."""
        problems = check_devices(self.site, self._config)
        if problems:
            raise ConfigError("\n".join(problems))
        self.files.data.mkdir(parents=True, exist_ok=True)
        database = Database.open(self.files.database, self.files.key)
        last = journal.last_wall_ms(database.conn)
        if last is not None:
            clockwatch.watch().began_after(last)
        log.info("caselink %s starts: agent %s, state in %s.", *self._who())
        database.conn.offset_ms = self.site.offset_ms
        writer = self.writer = Writer(database.conn)
        gate = Gate(writer, [line.plan() for line in self.site.lines])
        readers: Readers | None = None
        vision = VisionWorkers(VISION_THREADS)
        evidence = EvidenceWriter()
        writer.start()
        cleaning = asyncio.create_task(asyncio.to_thread(pool_files.clean, writer.wait))
        try:
            readers = Readers(self.files.database, self.files.key)
            if self.site.warehouse:
                self.warehouse = Warehouse(self.site, readers, writer, gate)
            await writer.run(
                lambda conn: record(conn, "", [AgentStarted(version("caselink"))], clock()), 10.0
            )
            builder = LineBuilder(
                self.site,
                self.files.wire,
                RealDevices(vision, self.files.looks),
                Pictures(evidence, self.files.pictures),
                vision,
            )
            for section in self.site.lines:
                self._lines[section.id] = builder.build(section, gate)
            if self.site.sync is not None:
                self._cloud = CloudWay(
                    self.site,
                    self.site.sync,
                    self._config,
                    self.files,
                    writer,
                    self._lines,
                    Orders(self.site, readers, self),
                    readers,
                )
            await self._serve(gate, writer, readers, vision)
        finally:
            await vision.close()
            await asyncio.to_thread(evidence.close)
            writer.close()
            await cleaning
            if self._cloud is not None:
                await self._cloud.close()
            if readers is not None:
                readers.close()
            database.close()
            log.info("caselink %s has ended: agent %s, state in %s.", *self._who())

    def _who(self) -> tuple[str, str, Path]:
        return version("caselink"), self.site.agent.id, self.files.data

    async def _serve(
        self, gate: Gate, writer: Writer, readers: Readers, vision: VisionWorkers
    ) -> None:
        pins = Pins(self.files.pins, self.files.pepper)
        services = Services(self, gate, writer, readers, pins)
        tasks: list[asyncio.Task[None]] = []
        server: PanelServer | None = None
        self.scanning = self._scan(writer, readers)
        if self._web:
            app = create_app(
                services,
                token=local_token(self.files.token),
                changes={
                    each.party: partial(writer.changes, each.party) for each in self.site.warehouse
                },
                routers=[
                    # First, as routes are tried one after the other: every scan comes here.
                    *(self.scanning.routers() if self.scanning else []),
                    local_router(services),
                    rework_router(services),
                    device_router(DeviceDesk(self.site, self.files.wire, self._lines)),
                    camera_router(CameraDesk(self._lines)),
                    uplink_router(self.cloud, self._settle),
                    *self._desk(readers, writer),
                    *([warehouse_local_router(self.warehouse)] if self.warehouse else []),
                ],
            )
            server = PanelServer(app, self.site.web.host, self.site.web.port)
            self.port = server.port
            panel = unless_bug("panel", server.run)
            tasks.append(asyncio.create_task(panel, name="panel"))
            await server.started()
            if self.scanning is not None:
                tasks += self._to_the_network(self.scanning)
        self._built()
        for line in self._lines.values():
            tasks += [asyncio.create_task(work, name=name) for name, work in line.work().items()]
            tasks.append(asyncio.create_task(self._look(line, gate), name="snapshot"))
        if self._cloud is not None:
            tasks.append(asyncio.create_task(self._cloud.run(), name="cloud"))
        if self.warehouse is not None:
            late = warehousing.accept_unscanned(self.warehouse)
            tasks.append(asyncio.create_task(late, name="warehouse"))
        tasks.append(asyncio.create_task(_as_task(writer.ended), name="store"))
        stopped = asyncio.create_task(self._stop.wait(), name="stop")
        notifier = Notifier()

        async def probe(longest: float) -> list[str]:
            return await self._stuck(writer, vision, longest)

        feeding = asyncio.create_task(watchdog.feed(notifier, probe), name="watchdog")
        self.ready.set()
        notifier.ready()
        try:
            # The panel may fail and the lines go on; anything else that ends by itself is a bug.
            watched = {task for task in tasks if task.get_name() not in ("panel", "lan")}
            done, _ = await asyncio.wait({stopped, *watched}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopped}:
                task.result()
        finally:
            notifier.stopping()
            if self.scanning is not None:
                self.scanning.close()
            if server is not None:
                server.stop()
            await _end({stopped, feeding, *tasks})

    def _scan(self, writer: Writer, readers: Readers) -> Scanning | None:
        """What PDAs need, where there is a warehouse."""
        if self.warehouse is None:
            return None
        places = {each.party: each.locations for each in self.site.warehouse}
        return Scanning(self.site, self.files, readers, writer, self.warehouse, places)

    def _desk(self, readers: Readers, writer: Writer) -> list[APIRouter]:
        """The warehouse page, where there is a warehouse."""
        if self.warehouse is None or self.scanning is None:
            return []
        gatekeeper, printers = self.scanning.gatekeeper, slip_printers(self.site, self.files)
        desk = WarehouseDesk(self.site, self.warehouse, gatekeeper, readers, writer, printers)
        return [warehouse_router(desk), document_file_router(desk)]

    def _to_the_network(self, scanning: Scanning) -> list[asyncio.Task[None]]:
        scanning.port = self.port
        if self.site.web.lan is None:
            return []
        self.lan = Lan(self.site.web.lan, self.files, scanning)
        serving = unless_bug("the network's listeners", self.lan.run)
        return [asyncio.create_task(serving, name="lan")]

    async def _stuck(self, writer: Writer, vision: VisionWorkers, longest: float) -> list[str]:
        """What did not answer or turn within `longest` seconds."""
        found = [name for line in self._lines.values() for name in line.runner.stuck(longest)]
        began = time.monotonic()
        try:
            await writer.run(lambda conn: None, longest)
        except TransientError:
            # A full disk answers, and starting anew would not make room.
            if time.monotonic() - began >= longest:
                found.append("store")
        if not await vision.answers(longest):
            found.append("vision")
        return found

    async def _look(self, line: Line, gate: Gate) -> None:
        while True:
            with suppress(CaselinkError):
                shown = line.panel.snapshot(await gate.view(line.section.id, excerpt))
                if self._cloud is not None:
                    shown["backlog"] = self._cloud.backlog()
                line.snapshot = shown
            await asyncio.sleep(SNAPSHOT_EVERY)

    # ------------------------------------------------------------------------------- LineControl

    def lines(self) -> Sequence[str]:
        return list(self._lines)

    async def command(self, line: str, what: i.Input) -> None:
        """ports.LineControl.command."""
        if line not in self._lines:
            known = ", ".join(self._lines) or "none"
            raise DomainError(
                "unknown_line", f"There is no line {line} in the site file (it has: {known})."
            )
        await self._lines[line].runner.command(what)

    def snapshot(self, line: str) -> Mapping[str, Any]:
        """ports.LineControl.snapshot."""
        found = self._lines[line].snapshot
        if not found:
            raise DomainError("starting", f"Line {line} is starting: try again in a moment.")
        return found

    def cloud(self) -> dict[str, Any]:
        """How the way to the cloud stands."""
        return {"configured": False} if self._cloud is None else self._cloud.data()

    async def _settle(self, row: int, by: str, why: str) -> int:
        assert self.writer is not None
        return await self.writer.run(lambda conn: outbox.settle(conn, row, by, why), 10.0)

    def runner(self, line: str) -> LineRunner:
        """For the demonstration and the benchmark: the line's shell."""
        return self._lines[line].runner


async def _as_task(ended: Future[None]) -> None:
    """Until the store's thread has ended; raises what ended it."""
    await asyncio.wrap_future(ended)


async def _end(tasks: set[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they have ended; the panel ends by itself."""
    loop = asyncio.get_running_loop()
    until = loop.time() + END_SECONDS
    while tasks and loop.time() < until:
        for task in tasks:
            if task.get_name() != "panel":
                task.cancel()
        _, tasks = await asyncio.wait(tasks, timeout=AGAIN)
    for task in tasks:
        log.error("%s did not end within %.0f s.", task.get_name(), END_SECONDS)
        task.cancel()
