"""What is wrong with the devices of a site file."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from agent.config import located
from agent.core.errors import ConfigError
from agent.sections import LineSection, ReaderSection, Site, Where
from agent.site_file import in_effect
from agent.vision.attempts import CASCADES
from agent.vision.look import Look
from agent.vision.settings import DecodeSettings
from drivers import registry
from drivers.printers.label_printer import LabelPrinterConfig, layouts
from drivers.printers.profile import load_profile
from drivers.printers.text_coder import TextCoderConfig

ANYWHERE = ("", "0.0.0.0", "::")
"""Hosts that mean every address of this machine."""


def check_devices(site: Site, config: Path) -> list[str]:
    """Problems of the devices and readers of a site file, each with its line and remedy."""
    problems: list[tuple[Where, str]] = []
    configs: dict[str, BaseModel] = {}
    for name, section in site.devices.items():
        try:
            configs[name] = registry.check(name, section)
        except ConfigError as error:
            for told in str(error).splitlines():
                key = _KEY.search(told)
                inside = key[1].split(".") if key else []
                problems.append((("devices", name, *inside), told))
    for name, config_of in configs.items():
        try:
            _look_up(name, config_of)
        except ConfigError as error:
            problems.append((("devices", name), str(error)))
    problems += _shared_ports(site)
    for n, line in enumerate(site.lines):
        problems += _wrong_kinds(site, n, line)
        for m, station in enumerate(line.stations):
            printer = configs.get(station.printer)
            if isinstance(printer, LabelPrinterConfig):
                problems += [
                    (("lines", n, "stations", m), f"station {station.id}: {what}")
                    for what in _stray_template(station.printer, station.template, printer)
                ]
            for reader in station.readers:
                kind = registry.kind_of(site.devices.get(reader.device, {}))
                at: Where = ("lines", n, "stations", m, "readers")
                if kind == "camera" and not reader.symbology:
                    what = f"add symbology = one of: {', '.join(CASCADES)}"
                    problems.append((at, f"station {station.id}: camera {reader.device}: {what}."))
                if reader.symbology:
                    try:
                        decode_settings(reader)
                    except ConfigError as error:
                        problems.append((at, f"station {station.id}: {error}."))
    slips: list[tuple[Where, str, tuple[registry.Kind, ...]]] = [
        (("warehouse", n, "slip"), warehouse.slip, ("printer",))
        for n, warehouse in enumerate(site.warehouse)
        if warehouse.slip
    ]
    problems += _strays(site, slips)
    return located(in_effect(config), problems)


def _look_up(name: str, config: BaseModel) -> None:
    """ConfigError unless the files that a device's section names are there and right."""
    if isinstance(config, LabelPrinterConfig):
        layouts(name, config.labels, config.dots_per_mm)
    elif isinstance(config, TextCoderConfig) and isinstance(config.profile, str):
        load_profile(config.profile, name)


def _stray_template(name: str, template: str, printer: LabelPrinterConfig) -> list[str]:
    """A label that a station wants and its printer does not have."""
    known = ", ".join(sorted(printer.labels))
    if template in printer.labels or (not template and len(printer.labels) == 1):
        return []
    if not template:
        return [f"printer {name} has several labels: add template = one of: {known}."]
    return [f"printer {name} has no label {template}: write template = one of: {known}."]


def _shared_ports(site: Site) -> list[tuple[Where, str]]:
    """TCP ports of this machine on which two want to listen."""
    wanted: list[tuple[Where, str, int, str]] = [
        (("web", "port"), site.web.host, site.web.port, "the panel")
    ]
    if site.web.lan is not None:
        lan = site.web.lan
        wanted.append((("web", "lan"), lan.host, lan.port, "web.lan"))
        wanted.append((("web", "lan", "setup_port"), lan.host, lan.setup_port, "web.lan"))
    for name, section in site.devices.items():
        host, port = _listens(section)
        wanted.append((("devices", name), host, port, f"device {name}"))
    found = []
    for n, (where, host, port, who) in enumerate(wanted):
        for _, other, taken, whose in wanted[:n]:
            same = host == other or host in ANYWHERE or other in ANYWHERE
            if port and port == taken and same:
                found.append((where, f"{who} listens on port {port} as {whose} does: {_ELSE}."))
                break
    return found


_ELSE = "give one of them another port"


def _listens(section: dict[str, Any]) -> tuple[str, int]:
    """Where a device's section makes us listen; port 0 where it does not."""
    text = section.get("listen")
    if not isinstance(text, str):
        text = section.get("address") if section.get("role") == "server" else None
    if not isinstance(text, str):
        return "", 0
    try:
        parts = urlsplit(text if "//" in text else f"//{text}")
        return parts.hostname or "", parts.port or 0
    except ValueError:  # the driver's own model says what is wrong with it
        return "", 0


def _wrong_kinds(site: Site, n: int, line: LineSection) -> list[tuple[Where, str]]:
    """Devices that stand where a device of another kind is needed."""
    needed: list[tuple[Where, str, tuple[registry.Kind, ...]]] = [
        (("lines", n, "plc"), line.plc, ("plc",))
    ]
    for m, station in enumerate(line.stations):
        at: Where = ("lines", n, "stations", m)
        needed += [((*at, "readers"), r.device, ("camera", "reader")) for r in station.readers]
        needed += [((*at, "scanners"), one.device, ("reader",)) for one in station.scanners]
        needed += [((*at, "printer"), station.printer, ("printer",))] if station.printer else []
    return _strays(site, needed)


def _strays(
    site: Site, needed: Iterable[tuple[Where, str, tuple[registry.Kind, ...]]]
) -> list[tuple[Where, str]]:
    problems: list[tuple[Where, str]] = []
    for where, name, kinds in needed:
        kind = registry.kind_of(site.devices.get(name, {}))
        if kind is not None and kind not in kinds:
            problems.append(
                (where, f"device {name} is a {kind}; name a {' or a '.join(kinds)} here.")
            )
    return problems


_KEY = re.compile(r"key '([^']+)'")


def decode_settings(reader: ReaderSection, look: Look | None = None) -> DecodeSettings:
    """How a camera's pictures are read; `look` as `caselink vision tune` learnt it. ConfigError:
    see DecodeSettings."""
    return DecodeSettings(
        reader.symbology,
        region=reader.region,
        grid=reader.grid,
        cells=reader.cells,
        attempts=reader.attempts,
        look=look,
        track=reader.track,
        pitch=reader.pitch,
    )
