"""What is wrong with the devices of a site file."""

import re
from collections.abc import Iterable
from pathlib import Path

from agent.config import LineSection, ReaderSection, Site, Where, located
from agent.core.errors import ConfigError
from agent.site_file import in_effect
from agent.vision.look import Look
from agent.vision.settings import DecodeSettings
from drivers import registry


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
        problems += _wrong_kinds(site, n, line)
        for m, station in enumerate(line.stations):
            for reader in station.readers:
                if reader.symbology:
                    try:
                        decode_settings(reader)
                    except ConfigError as error:
                        at: Where = ("lines", n, "stations", m, "readers")
                        problems.append((at, f"station {station.id}: {error}."))
    slips: list[tuple[Where, str, tuple[registry.Kind, ...]]] = [
        (("warehouse", n, "slip"), warehouse.slip, ("printer",))
        for n, warehouse in enumerate(site.warehouse)
        if warehouse.slip
    ]
    problems += _strays(site, slips)
    return located(in_effect(config), problems)


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
