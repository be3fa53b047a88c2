"""Builds a line of the site file: its runner, its panel, and a supervised session per device."""

import logging
from collections.abc import Coroutine, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from agent.app.label_fields import label_fields
from agent.app.site import decode_settings
from agent.core import inputs as i
from agent.core.effects import PrintLabel
from agent.core.plan import ReaderPlan, Station
from agent.health import Health
from agent.line.handscan import HandScans
from agent.line.panel import LinePanel, PanelSettings
from agent.line.printing import PrintDesk
from agent.line.runner import LineRunner
from agent.line.secrecy import SecretValues, hide_all
from agent.line.watch import Watch
from agent.now import wall_ms
from agent.ports.devices import Device
from agent.ports.line import CommitGate, Committed
from agent.ports.plc import LinePlc
from agent.ports.printing import Printer
from agent.ports.reading import CodeReader, Decoded, FrameDecoder, FrameSource, Image, PictureSink
from agent.sections import LineSection, ReaderSection, ScannerSection, Site, StationSection
from agent.supervisor import Changed, Session
from agent.vision.evidence import EvidenceSettings, EvidenceWriter
from agent.vision.look import load as load_look
from agent.vision.quality_trend import TrendSettings
from agent.vision.quality_watch import QualityWatch, SampleSettings
from agent.vision.workers import StationDecoder, VisionWorkers
from drivers import registry
from drivers.context import DeviceContext, no_mask

log = logging.getLogger(__name__)


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
        return Decoded(
            tuple(reads),
            cells.seconds,
            cells.late,
            tuple(places),
            len(cells.doubles),
            verdicts=tuple(map(str, cells.verdicts)),
            boxes=cells.boxes,
        )


class Devices(Protocol):
    """Where a line's devices come from."""

    def build(self, name: str, section: Mapping[str, Any], context: DeviceContext) -> Device:
        """The device of a checked section, not yet opened. ConfigError when it cannot be built."""

    def decoder(self, reader: ReaderSection) -> FrameDecoder:
        """What reads the pictures of a camera."""


class RealDevices:
    """Devices by their drivers, pictures read by `vision`; `looks` is the folder of what
    `caselink vision tune` learnt of children in cases."""

    def __init__(self, vision: VisionWorkers, looks: Path | None = None) -> None:
        self._vision = vision
        self._looks = looks

    def build(self, name: str, section: Mapping[str, Any], context: DeviceContext) -> Device:
        return registry.build(name, section, context)

    def decoder(self, reader: ReaderSection) -> FrameDecoder:
        look = None if self._looks is None else load_look(self._looks / f"{reader.device}.json")
        one = StationDecoder(self._vision, decode_settings(reader, look))
        return ContentDecoder(one) if reader.grid else one


class Line:
    """One line with everything that was built for it."""

    def __init__(self, section: LineSection, runner: LineRunner, panel: LinePanel) -> None:
        self.section = section
        self.runner = runner
        self.panel = panel
        self.sessions: list[Session] = []
        self.snapshot: Mapping[str, Any] = {}

    def work(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What runs as long as the line does, by name: a task for each."""
        return {
            "writer": self.runner.run_writer(),
            "wishes": self.runner.run_wishes(),
            **{session.health.id: session.run() for session in self.sessions},
        }


class Told(Protocol):
    """Raises or clears an alarm of a camera, with what there is to say of it."""

    def __call__(self, key: str, on: bool, told: Mapping[str, str] = ...) -> None: ...


class Pictures(NamedTuple):
    """Who writes the pictures that cameras leave as evidence, and the folder they are kept in."""

    writer: EvidenceWriter
    folder: Path


class LineBuilder:
    """Builds the lines of one site. `wire` is the folder of the wire logs, None for none;
    `pictures` keeps what cameras leave as evidence, None keeps nothing; `grading` measures the
    quality index when it has nothing else to do, None measures none."""

    def __init__(
        self,
        site: Site,
        wire: Path | None,
        devices: Devices,
        pictures: Pictures | None = None,
        grading: VisionWorkers | None = None,
    ) -> None:
        self._site = site
        self._wire = wire
        self._devices = devices
        self._pictures = pictures
        self._grading = grading

    def build(self, section: LineSection, gate: CommitGate) -> Line:
        """A line with its devices, unopened. ConfigError when a device cannot be built."""
        plan = section.plan()
        context = DeviceContext(wire_log_dir=self._wire)
        secret = _secret_roles(self._site)
        plc = self._devices.build(section.plc, self._site.devices[section.plc], context)
        health = Health(section.plc, "plc")
        observers: list[LinePanel] = []

        def observe(committed: Committed) -> None:
            for panel in observers:
                panel.observe(committed)

        assert isinstance(plc, LinePlc)
        runner = LineRunner(plan, gate, plc, health, observe)
        panel = LinePanel(runner, _panel_settings(self._site, section))
        observers.append(panel)
        line = Line(section, runner, panel)

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

        # A PLC in STOP is opened and answers as well as any other.
        session = Session(plc, health, runner.run_plc, changed, ok_when_open=False)
        runner.plc_up = session.up
        line.sessions.append(session)
        for station, described in zip(plan.stations, section.stations, strict=True):
            for reader, wanted in zip(station.readers, described.readers, strict=True):
                hidden = bool(secret & set(reader.roles))
                watch = self._watch(station, described, reader, wanted, runner, hidden=hidden)
                runner.watches.append(watch)
                runner.healths.append(watch.health)
                line.sessions.append(Session(watch.source, watch.health, watch.run, changed))
            for scanner in described.scanners:
                scans = self._scans(section.id, scanner, station, runner, hidden=bool(secret))
                runner.healths.append(scans.health)
                line.sessions.append(Session(scans.source, scans.health, scans.run, changed))
            if station.device:
                hidden = station.role in secret
                desk, printer, state = self._desk(
                    station, described, runner, changed, hidden=hidden
                )
                runner.desks.append(desk)
                runner.healths.append(state)
                # One that hangs is connected to as well as any other.
                session = Session(printer, state, desk.run, changed, ok_when_open=False)
                desk.up = session.up
                line.sessions.append(session)
        return line

    def _scans(
        self,
        line: str,
        described: ScannerSection,
        station: Station,
        runner: LineRunner,
        *,
        hidden: bool,
    ) -> HandScans:
        """A hand scanner; what it may scan that is secret is not known before."""
        name = described.device
        context = DeviceContext(self._wire, hide_all if hidden else no_mask)
        device = self._devices.build(name, self._site.devices[name], context)
        assert isinstance(device, CodeReader)
        return HandScans(
            line,
            station.id,
            device,
            Health(name, "reader"),
            runner.command,
            runner.tell,
            by=described.by,
            pause=described.pause_s,
        )

    def _watch(
        self,
        station: Station,
        described: StationSection,
        reader: ReaderPlan,
        wanted: ReaderSection,
        runner: LineRunner,
        *,
        hidden: bool,
    ) -> Watch:
        context = DeviceContext(self._wire, hide_all if hidden else no_mask)
        device = self._devices.build(reader.id, self._site.devices[reader.id], context)
        decoder: FrameDecoder | None = None
        kind = "reader"
        if isinstance(device, FrameSource):
            kind = "camera"
            decoder = self._devices.decoder(wanted)
        assert isinstance(device, FrameSource | CodeReader)

        def condition(key: str, on: bool, told: Mapping[str, str] = MappingProxyType({})) -> None:
            name = f"{runner.plan.id}/{reader.id}/{key}"
            args = (("device", reader.id), *told.items())
            runner.tell(i.ConditionChanged(name, on, 2, key, station.id, args))

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
            evidence=self._evidence(station, reader, wanted, hidden=hidden)
            if decoder is not None
            else None,
            quality=None if decoder is None else self._quality(reader, wanted, runner, condition),
            condition=condition,
        )

    def _quality(
        self, reader: ReaderPlan, wanted: ReaderSection, runner: LineRunner, condition: Told
    ) -> QualityWatch | None:
        """What follows the quality of a camera's symbols; its alarm names what prints them."""
        if self._grading is None or not wanted.quality.every:
            return None
        section = wanted.quality
        makers = [s.device for s in runner.plan.stations if s.device and s.role in reader.roles]
        printer = {"printer": makers[0]} if makers else {}
        return QualityWatch(
            self._grading,
            wanted.symbology,
            SampleSettings(
                section.every, float(section.white), TrendSettings(section.limit, section.window)
            ),
            lambda low, told: condition("quality_low", low, {**printer, **told}),
            wall_ms,
        )

    def _evidence(
        self, station: Station, reader: ReaderPlan, wanted: ReaderSection, *, hidden: bool
    ) -> PictureSink | None:
        kept = wanted.evidence
        # A picture of a secret code is the code.
        if self._pictures is None or (hidden and not kept.secret):
            return None
        folder = self._pictures.folder / reader.id
        settings = EvidenceSettings(
            kept.failed, kept.good_every, kept.megabytes, kept.days, kept.quality
        )
        return self._pictures.writer.camera(folder, station.id, settings)

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
        context = DeviceContext(self._wire, secrets)
        printer = self._devices.build(station.device, self._site.devices[station.device], context)
        assert isinstance(printer, Printer)

        def fields(effect: PrintLabel, text: str) -> dict[str, str]:
            return label_fields(self._site.products, station.role, effect, text)

        if printer.capability.repeat_risk and not described.interlock:
            log.warning(
                "Station %s: %s prints the last code again if a product comes before the next one. "
                "Let the PLC gate its trigger (docs/plc.md) and write interlock = true.",
                station.id,
                station.device,
            )
        desk = PrintDesk(
            station,
            printer,
            runner.report,
            fields,
            described.template,
            hide=secrets.hide if hidden else None,
            health=health,
            changed=changed,
            gate=runner.print_gate(station) if described.interlock else None,
        )
        return desk, printer, health


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
