"""The composition root: the only place that names concrete classes.

`Agent` opens the store, builds every device and line of a site file, serves the panel, and runs all
of it until it is told to stop.
"""

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from agent.config import LineSection, ReaderSection, Site, StationSection, Where, located
from agent.core import inputs as i
from agent.core import tracking
from agent.core.effects import PrintLabel
from agent.core.errors import CaselinkError, ConfigError, DomainError
from agent.core.facts import AgentStarted
from agent.core.plan import ReaderPlan, Station
from agent.core.poolfile import Declared
from agent.core.state import LineState
from agent.health import Health
from agent.line.panel import LinePanel, PanelSettings, excerpt
from agent.line.printing import PrintDesk
from agent.line.runner import LineRunner, clock
from agent.line.secrecy import SecretValues, hide_all
from agent.line.watch import Watch
from agent.ports import CodeReader, Committed, Decoded, FrameDecoder, FrameSource, Image, Printer
from agent.ports import LinePlc as LinePlcPort
from agent.services import pool_files, reports
from agent.services.orders import Orders, OrderSpec
from agent.store.database import Database
from agent.store.gate import Gate
from agent.store.readers import Readers
from agent.store.record import record
from agent.store.writer import Writer
from agent.supervisor import Changed, Session
from agent.vision.settings import DecodeSettings
from agent.vision.workers import StationDecoder, VisionWorkers
from agent.web.api import NewOrder
from agent.web.app import PanelServer, create_app
from agent.web.auth import local_token
from agent.web.local import PartialBody, PoolBody, local_router
from drivers import registry
from drivers.context import DeviceContext, no_mask

log = logging.getLogger(__name__)

VISION_THREADS = 2
PICTURE_QUALITY = 70
SNAPSHOT_EVERY = 0.2
"""Seconds between two looks at a line's state for the panel."""


class Files:
    """Where an agent keeps its state, below the data directory of its site file."""

    def __init__(self, site: Site, config: Path) -> None:
        data = Path(site.agent.data)
        self.data = data if data.is_absolute() else config.resolve().parent / data
        self.database = self.data / "caselink.db"
        self.key = self.data / "caselink.key"
        self.token = self.data / "caselink.token"
        self.wire = self.data / "wire"


def check_devices(site: Site, config: Path) -> list[str]:
    """Problems of the devices and readers of a site file, each with its line and remedy."""
    problems: list[tuple[Where, str]] = []
    for name, section in site.devices.items():
        try:
            registry.check(name, section)
        except ConfigError as error:
            for told in str(error).splitlines():
                key = _KEY.search(told)
                inside = key[1].split(".") if key else []
                problems.append((("devices", name, *inside), told))
    for n, line in enumerate(site.lines):
        for m, station in enumerate(line.stations):
            for reader in station.readers:
                if reader.symbology:
                    try:
                        _settings(reader)
                    except ConfigError as error:
                        at: Where = ("lines", n, "stations", m, "readers")
                        problems.append((at, f"station {station.id}: {error}."))
    return located(config, problems)


_KEY = re.compile(r"key '([^']+)'")


def _settings(reader: ReaderSection) -> DecodeSettings:
    return DecodeSettings(reader.symbology, region=reader.region, grid=reader.grid)


class ContentDecoder:
    """ports.FrameDecoder over a content picture: the reads of its cells, with their places."""

    def __init__(self, decoder: StationDecoder) -> None:
        self._decoder = decoder

    async def decode(self, image: Image, deadline: float) -> Decoded:
        cells = await self._decoder.decode_cells(image, deadline)
        placed = [(place, read) for place, read in enumerate(cells.cells) if read is not None]
        # A symbol outside every cell is still a symbol in this container.
        reads = [read for _, read in placed] + list(cells.strays)
        places = [place for place, _ in placed]
        places += [len(cells.cells) + n for n in range(len(cells.strays))]
        return Decoded(tuple(reads), cells.seconds, cells.late, tuple(places), len(cells.doubles))


class _Line:
    """One line with everything that was built for it."""

    def __init__(self, section: LineSection, runner: LineRunner, panel: LinePanel) -> None:
        self.section = section
        self.runner = runner
        self.panel = panel
        self.sessions: list[Session] = []
        self.snapshot: Mapping[str, Any] = {}


class Agent:
    """One agent. `run` until `stop`; `ready` is set when the panel answers."""

    def __init__(self, site: Site, config: Path, *, web: bool = True) -> None:
        self.site = site
        self._config = config
        self.files = Files(site, config)
        self.ready = asyncio.Event()
        self.port = 0
        self._web = web
        self._stop = asyncio.Event()
        self._lines: dict[str, _Line] = {}

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
        writer = Writer(database.conn)
        gate = Gate(writer, [line.plan() for line in self.site.lines])
        readers: Readers | None = None
        vision = VisionWorkers(VISION_THREADS)
        writer.start()
        cleaning = asyncio.create_task(asyncio.to_thread(pool_files.clean, writer.wait))
        try:
            readers = Readers(self.files.database, self.files.key)
            await writer.run(
                lambda conn: record(conn, "", [AgentStarted(version("caselink"))], clock()), 10.0
            )
            for section in self.site.lines:
                self._lines[section.id] = self._line(section, gate, vision)
            await self._serve(gate, writer, readers)
        finally:
            await vision.close()
            writer.close()
            await cleaning
            if readers is not None:
                readers.close()
            database.close()

    # ---------------------------------------------------------------------------------- building

    def _line(self, section: LineSection, gate: Gate, vision: VisionWorkers) -> _Line:
        plan = section.plan()
        context = DeviceContext(wire_log_dir=self.files.wire)
        secret = _secret_roles(self.site)
        plc = registry.build(section.plc, self.site.devices[section.plc], context)
        health = Health(section.plc, "plc")
        observers: list[LinePanel] = []

        def observe(committed: Committed) -> None:
            for panel in observers:
                panel.observe(committed)

        assert isinstance(plc, LinePlcPort)
        runner = LineRunner(plan, gate, plc, health, observe)
        panel = LinePanel(runner, _panel_settings(self.site, section))
        observers.append(panel)
        line = _Line(section, runner, panel)

        async def changed(health: Health) -> None:
            name = f"{section.id}/{health.id}/device_lost"
            key = "plc_lost" if health.kind == "plc" else "device_lost"
            args = (("device", health.id), ("error", health.error or ""))
            lost = health.state == "lost"
            runner.tell(i.ConditionChanged(name, lost, 1, key, health.id, args))
            if health.kind == "printer":
                name = f"{section.id}/{health.id}/printer_fault"
                fault = health.state == "fault"
                runner.tell(i.ConditionChanged(name, fault, 1, "printer_fault", health.id, args))

        line.sessions.append(Session(plc, health, runner.run_plc, changed))
        for station, described in zip(plan.stations, section.stations, strict=True):
            for reader, wanted in zip(station.readers, described.readers, strict=True):
                hidden = bool(secret & set(reader.roles))
                watch = self._watch(
                    station, described, reader, wanted, runner, vision, hidden=hidden
                )
                runner.watches.append(watch)
                runner.healths.append(watch.health)
                line.sessions.append(Session(watch.source, watch.health, watch.run, changed))
            if station.device:
                hidden = station.role in secret
                desk, printer, state = self._desk(
                    station, described, runner, changed, hidden=hidden
                )
                runner.desks.append(desk)
                runner.healths.append(state)
                line.sessions.append(Session(printer, state, desk.run, changed))
        return line

    def _watch(
        self,
        station: Station,
        described: StationSection,
        reader: ReaderPlan,
        wanted: ReaderSection,
        runner: LineRunner,
        vision: VisionWorkers,
        *,
        hidden: bool,
    ) -> Watch:
        context = DeviceContext(self.files.wire, hide_all if hidden else no_mask)
        device = registry.build(reader.id, self.site.devices[reader.id], context)
        decoder: FrameDecoder | None = None
        kind = "reader"
        if isinstance(device, FrameSource):
            kind = "camera"
            one = StationDecoder(vision, _settings(wanted))
            decoder = ContentDecoder(one) if wanted.grid else one
        assert isinstance(device, FrameSource | CodeReader)
        return Watch(
            station,
            reader,
            device,
            decoder,
            described.deadline_ms / 1000,
            Health(reader.id, kind),
            runner.answer,
            expected_reads=wanted.grid[0] * wanted.grid[1] if wanted.grid else 1,
            keep_pictures=not hidden,
        )

    def _desk(
        self,
        station: Station,
        described: StationSection,
        runner: LineRunner,
        changed: Changed,
        *,
        hidden: bool,
    ) -> tuple[PrintDesk, Printer, Health]:
        health = Health(station.device, "printer")
        secrets = SecretValues()
        context = DeviceContext(self.files.wire, secrets)
        printer = registry.build(station.device, self.site.devices[station.device], context)
        assert isinstance(printer, Printer)

        def fields(effect: PrintLabel, text: str) -> dict[str, str]:
            return {"code": text, "level": effect.level, "count": str(effect.count)}

        desk = PrintDesk(
            station,
            printer,
            runner.report,
            fields,
            described.template,
            hide=secrets.hide if hidden else None,
            health=health,
            changed=changed,
        )
        return desk, printer, health

    # ----------------------------------------------------------------------------------- running

    async def _serve(self, gate: Gate, writer: Writer, readers: Readers) -> None:
        services = _Services(self, gate, writer, readers)
        tasks: list[asyncio.Task[None]] = []
        server: PanelServer | None = None
        if self._web:
            app = create_app(
                services,
                token=local_token(self.files.token),
                routers=[local_router(services)],
            )
            server = PanelServer(app, self.site.web.host, self.site.web.port)
            self.port = server.port
            tasks.append(asyncio.create_task(server.run(), name="panel"))
            await server.started()
        for line in self._lines.values():
            tasks.append(asyncio.create_task(line.runner.run_writer(), name="writer"))
            tasks.append(asyncio.create_task(line.runner.run_wishes(), name="wishes"))
            tasks += [
                asyncio.create_task(session.run(), name=session.health.id)
                for session in line.sessions
            ]
            tasks.append(asyncio.create_task(self._look(line, gate), name="snapshot"))
        stopped = asyncio.create_task(self._stop.wait(), name="stop")
        self.ready.set()
        try:
            done, _ = await asyncio.wait({stopped, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopped}:
                task.result()  # a task that ended by itself is a bug: be loud
        finally:
            if server is not None:
                server.stop()
            stopped.cancel()
            for task in tasks[1 if server is not None else 0 :]:
                task.cancel()
            for task in (*tasks, stopped):
                with suppress(asyncio.CancelledError):
                    await task

    async def _look(self, line: _Line, gate: Gate) -> None:
        while True:
            with suppress(CaselinkError):
                line.snapshot = line.panel.snapshot(await gate.view(line.section.id, excerpt))
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

    def runner(self, line: str) -> LineRunner:
        """For the demonstration and the benchmark: the line's shell."""
        return self._lines[line].runner


class _Services:
    """What the web asks for (agent.web.api.WebServices)."""

    def __init__(self, agent: Agent, gate: Gate, writer: Writer, readers: Readers) -> None:
        self._agent = agent
        self._writer = writer
        self._gate = gate
        self._readers = readers
        self._orders = Orders(agent.site, readers, agent)

    def lines(self) -> Sequence[str]:
        return self._agent.lines()

    def snapshot(self, line: str) -> Mapping[str, Any]:
        return self._agent.snapshot(line)

    async def create_order(self, order: NewOrder) -> None:
        await self._orders.create(OrderSpec(**order.model_dump()), by="")

    async def start(self, line: str, order: str, by: str) -> None:
        await self._agent.command(line, i.StartOrder(order, by))

    async def pause(self, line: str, by: str, why: str) -> None:
        await self._agent.command(line, i.PauseOrder(by, why))

    async def resume(self, line: str, by: str) -> None:
        number = await self._gate.view(line, lambda state: state.order and state.order.number)
        if not number:
            raise DomainError("no_order", f"Line {line} has no work order to resume.")
        await self._agent.command(line, i.StartOrder(number, by))

    async def finish(self, line: str, by: str) -> None:
        await self._agent.command(line, i.FinishOrder(by))

    async def acknowledge(self, line: str, alarm: str, by: str) -> None:
        await self._agent.command(line, i.AcknowledgeAlarm(alarm, by))

    async def trace(self, code: str) -> Mapping[str, Any]:
        return await asyncio.to_thread(self._trace, code)

    def _trace(self, code: str) -> Mapping[str, Any]:
        with self._readers.connection() as conn:
            return reports.trace(conn, code)

    async def import_pool(self, body: PoolBody) -> dict[str, Any]:
        values = body.model_dump(exclude={"path", "rule"})
        declared = Declared(**values)
        read = await asyncio.to_thread(
            lambda: (
                pool_files.of_rule(declared, body.rule)
                if body.rule
                else pool_files.read_file(Path(body.path), declared)
            )
        )
        fact = await asyncio.to_thread(pool_files.keep_in_steps, self._writer.wait, read, clock())
        return {"name": fact.name, "count": fact.count, "roles": fact.roles}

    async def close_partial(self, line: str, body: PartialBody) -> None:
        await self._agent.command(line, i.ClosePartial(body.station, body.reason, body.by))

    async def account(self, line: str) -> dict[str, Any]:
        if line not in self._agent.lines():
            raise DomainError("unknown_line", f"There is no line {line} in the site file.")
        runner = self._agent.runner(line)

        def read(state: LineState) -> dict[str, Any]:
            return {
                "counts": {name: asdict(counts) for name, counts in state.counts.items()},
                "differences": [asdict(d) for d in tracking.differences(runner.plan, state)],
                "tally": asdict(state.tally),
                "alarms": sorted(state.alarms),
                "slips": {watch.reader.id: watch.pairing.slips for watch in runner.watches},
            }

        found = await self._gate.view(line, read)
        return {**found, "latency_ms": runner.latency.percentiles()}

    async def picture(self, camera: str) -> bytes | None:
        for line in self._agent.lines():
            for watch in self._agent.runner(line).watches:
                if watch.reader.id == camera and watch.last is not None:
                    return await asyncio.to_thread(_jpeg, watch.last.frame.image)
        return None


def _jpeg(image: Image) -> bytes | None:
    import cv2

    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, PICTURE_QUALITY])
    return bytes(data) if done else None


def _secret_roles(site: Site) -> set[str]:
    """Roles that some packing scheme calls secret."""
    return {role for scheme in site.schemes.values() for lv in scheme.levels for role in lv.secret}


def _panel_settings(site: Site, section: LineSection) -> PanelSettings:
    return PanelSettings(
        names={str(tag): name for tag, name in section.names.items()} or {"en": section.id},
        products={
            sku: {str(tag): name for tag, name in product.names.items()}
            for sku, product in site.products.items()
        },
        speed=(section.speed.low, section.speed.high) if section.speed else None,
        reject_pct=section.limits.reject_pct,
        no_read_pct=section.limits.no_read_pct,
    )
