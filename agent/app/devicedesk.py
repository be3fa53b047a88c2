"""The devices of a running agent for people: how each is, what went over its wire, a check, a test.

Reached by the panel's device page and by `caselink device` (agent.web.device_routes).
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from anyio import to_thread

from agent.app import checking
from agent.app.lines import Line
from agent.core.errors import ConfigError, DomainError, Said, said_data, say
from agent.health import Health
from agent.now import monotonic
from agent.ports.devices import Device, DeviceCheck, Fired
from agent.ports.plc import LinePlc
from agent.ports.printing import Printer
from agent.ports.reading import CodeReader, FrameSource
from agent.sections import Site
from agent.supervisor import Session
from agent.told import spoken
from drivers import registry
from drivers.diagnose import serial_ports
from drivers.printers.label_draw import draw, png
from drivers.printers.label_files import load_label
from drivers.printers.label_sample import sample
from drivers.printers.label_template import LabelTemplate, lay_out
from drivers.wireread import WireEntry, printable, tail

SHOW_LAMPS = 1.0
"""Seconds for which the light tower shows each lamp in a test."""
LOOK_AGAIN = 0.05
_WHERE = ("address", "listen", "path", "serial", "user_id", "producer")
"""Keys of a device's section that say where it is, the first that it has."""
MOST = 500
"""Messages of a wire log that are shown at a time."""


class DeviceDesk:
    """The devices of one agent. `lines` are filled while it runs."""

    def __init__(self, site: Site, wire: Path, lines: Mapping[str, Line]) -> None:
        self._site = site
        self._wire = wire
        self._lines = lines
        self._testing = asyncio.Lock()

    def every(self) -> list[dict[str, Any]]:
        """All devices of the site file, those that a line holds with their health."""
        held = {session.health.id: (line, session) for line, session in self._sessions()}
        return [
            {**about(name, section), **_health(*held[name])}
            if name in held
            else about(name, section)
            for name, section in self._site.devices.items()
        ]

    def serial(self) -> list[dict[str, str]]:
        """Serial devices that are plugged in."""
        return [{"path": path, "now": now} for path, now in serial_ports()]

    async def wire(self, name: str, count: int) -> list[dict[str, Any]]:
        """The newest messages of a device, oldest first."""
        self._section(name)
        found = await to_thread.run_sync(tail, self._wire, name, min(count, MOST))
        return [shown(entry) for entry in found]

    async def labels(self, name: str) -> list[str]:
        """The labels of a label printer; none of another device."""
        section = self._section(name)
        return sorted(section["labels"]) if "labels" in section else []

    async def label(self, name: str, label: str, fields: Mapping[str, str]) -> bytes:
        """A label as the printer would print it, a PNG; a field that is not given shows an example.
        DomainError: there is no such label, or it cannot carry a value."""
        section = self._section(name)
        if label not in section.get("labels", {}):
            raise DomainError("unknown_label", f"{name} has no label {label}.")
        return await to_thread.run_sync(_drawn, name, section, label, fields)

    async def check(self, name: str) -> list[dict[str, Any]]:
        """Look at a device; every finding with whether it is good."""
        section = self._section(name)
        held = self._held(name)
        if held is None:
            found = await checking.check(name, section)
        else:
            session = held[1]
            found = await checking.check_open(session.device, session.health, section, self._wire)
        return shown_checks(found)

    async def test(self, name: str, seconds: float) -> Said:
        """Do one harmless thing with it. DomainError while its line runs."""
        section = self._section(name)
        if self._testing.locked():
            raise DomainError("device_busy", "Another test is running: wait until it has ended.")
        async with self._testing:
            held = self._held(name)
            if held is None:
                return await checking.test(name, section, seconds)
            line, session = held
            _refuse_while_running(line, name)
            if session.health.state != "ok":
                raise DomainError(
                    "device_not_ready",
                    f"{name} cannot be tested now: {session.health.error or 'it is starting'}",
                )
            if isinstance(session.device, Printer):
                # What a test prints would not fit into the counts of a session that goes on.
                async with session.lent():
                    return await checking.test(name, section, seconds)
            return await _test(line, session, seconds)

    def _section(self, name: str) -> Mapping[str, Any]:
        if name not in self._site.devices:
            known = ", ".join(self._site.devices) or "none"
            raise DomainError(
                "unknown_device", f"There is no device {name} in the site file (it has: {known})."
            )
        return self._site.devices[name]

    def _held(self, name: str) -> tuple[Line, Session] | None:
        return next((each for each in self._sessions() if each[1].health.id == name), None)

    def _sessions(self) -> Iterator[tuple[Line, Session]]:
        for line in self._lines.values():
            for session in line.sessions:
                yield line, session


def about(name: str, section: Mapping[str, Any]) -> dict[str, Any]:
    """What the site file says of a device."""
    return {
        "id": name,
        "type": section.get("type"),
        "kind": registry.kind_of(section),
        "address": next((str(section[key]) for key in _WHERE if section.get(key)), ""),
        "line": None,
        "state": None,
    }


def shown_checks(found: Sequence[DeviceCheck]) -> list[dict[str, Any]]:
    """What a check found: in English, and for the catalogue."""
    return [
        {"good": each.good, "words": spoken("en", each.said), "said": said_data(each.said)}
        for each in found
    ]


def shown(entry: WireEntry) -> dict[str, Any]:
    """One message of a wire log for the panel."""
    return {
        "at": int(entry.at.timestamp() * 1000),
        "direction": entry.direction,
        "text": entry.note or printable(entry.data),
        "hex": entry.data.hex(" "),
        "more": entry.more,
    }


def _drawn(name: str, section: Mapping[str, Any], label: str, fields: Mapping[str, str]) -> bytes:
    try:
        described = section["labels"][label]
        template = (
            load_label(described, name)
            if isinstance(described, str)
            else LabelTemplate.model_validate(described)
        )
        layout = lay_out(template, section.get("dots_per_mm", 8), name)
        return png(draw(layout, sample(template) | dict(fields)))
    except ConfigError as error:  # the file was changed since the start
        raise DomainError("label_wrong", str(error)) from None


def _health(line: Line, session: Session) -> dict[str, Any]:
    health: Health = session.health
    device: Device = session.device
    return {
        "line": line.section.id,
        "state": health.state,
        "latency_ms": None if health.latency is None else round(health.latency * 1000, 2),
        "last": health.last_ms,
        "error": health.error,
        "said": said_data(health.said),
        "warnings": list(health.warnings),
        "losses": health.losses,
        "faults": health.faults,
        **({"evidence": int(device.capability.evidence)} if isinstance(device, Printer) else {}),
    }


def _refuse_while_running(line: Line, name: str) -> None:
    runner = line.runner
    moves = "running" in runner.plc_flags or runner.plc_speed > 0
    if runner.wants_running or runner.in_bypass or moves:
        raise DomainError(
            "line_runs",
            f"Line {line.section.id} runs: pause its work order and wait until the belt stands, "
            f"then test {name}.",
        )
    for desk in runner.desks:
        if desk.station.device == name and desk.held:
            raise DomainError(
                "device_busy",
                f"{name} still holds {len(desk.held)} codes to print: finish the work order first.",
            )


async def _test(line: Line, session: Session, seconds: float) -> Said:
    """Of a device that the line holds: through its session, never beside it."""
    device, health = session.device, session.health
    if isinstance(device, LinePlc):
        for lamp in ("red", "amber", "green", "horn"):
            line.runner.show_lamps(frozenset({lamp}), SHOW_LAMPS)
            await asyncio.sleep(SHOW_LAMPS)
        return say("tested_tower", s=f"{SHOW_LAMPS:g}")
    if isinstance(device, FrameSource | CodeReader):
        before, until = health.last_ms, monotonic() + seconds
        if isinstance(device, Fired):
            await device.fire()
        while monotonic() < until:
            if health.last_ms != before:
                what = "picture" if isinstance(device, FrameSource) else "reading"
                return say(f"tested_came_{what}", device=health.id)
            await asyncio.sleep(LOOK_AGAIN)
        raise DomainError(
            "device_silent",
            f"Nothing came from {health.id} within {seconds:.0f} s: trigger it by hand, and look "
            "at its trigger wire.",
        )
    raise DomainError("no_test", f"There is no test for {health.id}.")
