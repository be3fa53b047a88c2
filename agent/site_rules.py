"""What the sections of a site file say of each other and cannot be true together."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from agent.core import gs1
from agent.sections import Site, StationSection, SyncSection, Where


def problems(site: Site) -> list[tuple[Where, str]]:
    """Where, and what is wrong there and to be done about it, for each of them."""
    found: list[tuple[Where, str]] = []
    for name in site.schemes:
        try:
            site.scheme(name)
        except ValueError as error:
            found.append((("schemes", name), f"{error}."))
    for sku, product in site.products.items():
        right = gs1.check_digit(product.gtin[:-1]) if product.gtin else ""
        if product.gtin and product.gtin[-1] != right:
            what = f"its check digit is {right}, not {product.gtin[-1]}: compare it with the label"
            found.append((("products", sku, "gtin"), f"gtin {product.gtin}: {what}."))
    if site.sync is not None:
        found += [(("sync",), problem) for problem in _half(site.sync)]
    lan = site.web.lan
    if lan is not None and bool(lan.cert) != bool(lan.key):
        found.append((("web", "lan"), "cert and key belong together: give both or neither."))
    if lan is not None and lan.port and lan.port in (lan.setup_port, site.web.port):
        found.append((("web", "lan"), "port is used twice: give each listener its own."))
    found += _warehouses(site)
    used: list[tuple[Where, str]] = []
    ids = [line.id for line in site.lines]
    for n, line in enumerate(site.lines):
        here: Where = ("lines", n)
        if ids.count(line.id) > 1:
            found.append((here, f"line id {line.id} is used twice: give each line its own."))
        found += [(here, f"line {line.id}: {problem}.") for problem in line.plan().problems()]
        used.append((here, line.plc))
        for m, station in enumerate(line.stations):
            at: Where = ("lines", n, "stations", m)
            used += [(at, reader.device) for reader in station.readers]
            used += [(at, scanner.device) for scanner in station.scanners]
            if station.scanners and station.kind not in ("pack", "label"):
                what = "only a pack or label station has containers to scan by hand"
                found.append((at, f"station {station.id}: {what}: remove scanners."))
            used += [(at, station.printer)] if station.printer else []
            found += [(at, f"station {station.id}: {what}.") for what in _misfits(site, station)]
    taken: set[str] = set()
    for where, device in used:
        if device not in site.devices:
            found.append((where, f"device {device} is not described: add [devices.{device}]."))
        elif device in taken:
            found.append((where, f"device {device} is used twice: give each place its own."))
        taken.add(device)
    for n, warehouse in enumerate(site.warehouse):  # one printer may serve several
        if warehouse.slip and warehouse.slip not in site.devices:
            what = f"device {warehouse.slip} is not described: add [devices.{warehouse.slip}]."
            found.append((("warehouse", n, "slip"), what))
        elif warehouse.slip in taken:
            what = f"device {warehouse.slip} is used by a line: give slips a printer of their own."
            found.append((("warehouse", n, "slip"), what))
    ports: dict[str, str] = {}
    for name, section in site.devices.items():
        address = str(section.get("address", ""))
        if address.startswith("serial:"):
            port = address.partition("?")[0]
            first = ports.setdefault(port, name)
            if first != name:
                what = f"device {name} is on the same serial port as {first}"
                found.append((("devices", name, "address"), f"{what}: {_one_port(section)}."))
        if not isinstance(section.get("type"), str):
            found.append((("devices", name), f'device {name}: add type = "...".'))
    return found


def _one_port(section: Mapping[str, Any]) -> str:
    """What to do about a second device on a serial port."""
    if section.get("type") == "modbus":
        return (
            "the units of one bus are one section, whose register map names the unit of each point "
            "(unit = N); another PLC of a line's own needs a port of its own"
        )
    return "give it a port of its own"


def _warehouses(site: Site) -> list[tuple[Where, str]]:
    """What warehouses say twice."""
    found: list[tuple[Where, str]] = []
    parties = [each.party for each in site.warehouse]
    for n, each in enumerate(site.warehouse):
        here: Where = ("warehouse", n)
        if each.party in parties[:n]:
            found.append(
                (here, f"party {each.party} has a warehouse already: add these locations to it.")
            )
        twice = sorted({name for name in each.locations if each.locations.count(name) > 1})
        if twice:
            at: Where = (*here, "locations")
            found.append((at, f"location {twice[0]} is named twice: name each once."))
    return found


def _half(sync: SyncSection) -> list[str]:
    """What is said by halves of the way to the cloud."""
    found = []
    if bool(sync.cert) != bool(sync.key):
        found.append("cert and key belong together: give both or neither.")
    if sync.url.startswith("mqtt://") and (sync.ca or sync.cert):
        found.append("mqtt:// uses no certificates: write mqtts://, or remove ca, cert and key.")
    return found


def _misfits(site: Site, station: StationSection) -> list[str]:
    """What a station wants of units that no packing scheme has."""
    levels = [level for scheme in site.schemes.values() for level in scheme.levels]
    if not any(level.name == station.level for level in levels):
        return [f"no packing scheme has a level {station.level}"]
    roles = {role for level in levels if level.name == station.level for role in level.roles}
    if station.kind in ("pack", "label"):  # their readers may see the children too
        for scheme in site.schemes.values():
            pairs = pairwise(scheme.levels)
            roles |= {
                r for below, level in pairs if level.name == station.level for r in below.roles
            }
    wanted = [role for reader in station.readers for role in reader.roles]
    wanted += [station.role] if station.role else []
    return [
        f"no packing scheme has a role {role} here (there are {', '.join(sorted(roles))})"
        for role in dict.fromkeys(wanted)
        if role not in roles
    ]
