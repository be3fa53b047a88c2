"""The demonstration's set-up: a site file with free ports, code pools, and the plant that plays it.

Everything is made from an example of `config/` and one seed; codes are random letters, as a brand
would issue them.
"""

import csv
import os
import random
import socket
import tomllib
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from itertools import count as counting
from pathlib import Path
from typing import Any

import tomli_w

from agent.core.errors import TransientError
from agent.core.gs1 import check_digit
from agent.core.poolfile import Declared
from drivers.shipped import CONFIG
from drivers.sim import troubles as sim_troubles
from drivers.sim.host import CameraSpec, HostSpec, PrinterSpec
from drivers.sim.layout import Feed, Layout
from drivers.sim.lines import Look, bottling, liquor

ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
HOST = "https://q.example.cn"
PRINT_TIME = 0.15
"""Seconds that a label takes."""
CAMPAIGN, OLD_CAMPAIGN = "SUMMER", "WINTER"
SPARE = 300
"""Codes that a pool has beyond what the bottles need."""

PORTS = range(12_000, 32_000)
"""Below those that a system gives to connections of its own, one of which might take a port before
it is listened on."""
# Each process begins elsewhere, so that no two choose the same.
_next_port = counting(64 * os.getpid())

SEEN = "seen"
"""Packing by order where the camera of a case's label also shows one child of each lane."""
STRANGE = ("foreign", "old-campaign")
"""Pools whose codes have no business on this line."""


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """A pool to make and import: `kind` of code per role."""

    declared: Declared
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Scene:
    """What a site of the demonstration needs besides its file. `loose`: containers may change
    places between packer and label, and the site file says so."""

    file: str
    line: str
    product: str
    scheme: str
    children: Mapping[str, int]  # level -> children of a full container
    pools: tuple[PoolPlan, ...]
    orders: Mapping[str, str]  # level/role -> pool name, for the work order
    loose: bool = False

    @property
    def lowest(self) -> str:
        """The level of what is fed."""
        return next(iter(self.orders)).partition("/")[0]


def _pool(name: str, level: str, roles: Mapping[str, str], **more: Any) -> PoolPlan:
    return PoolPlan(Declared(name=name, level=level, roles=tuple(roles), **more), dict(roles))


def _old_campaign(product: str) -> PoolPlan:
    """Bottles of the same product, left from the promotion before."""
    return _pool(
        "old-campaign",
        "bottle",
        {"body": "url"},
        product=product,
        campaign=OLD_CAMPAIGN,
        preprinted=True,
    )


SCENES: dict[str, Scene] = {
    "bottling": Scene(
        "bottling.toml",
        "L1",
        "COLA-500",
        "case24-pallet8",
        {"case": 24, "pallet": 8},
        (
            _pool("bottles", "bottle", {"body": "url"}, product="COLA-500"),
            _pool("cases", "case", {"case-outer": "url"}, product="COLA-500"),
            _pool("pallets", "pallet", {"pallet": "sscc"}),
            _pool("foreign", "bottle", {"body": "url"}, product="OTHER", preprinted=True),
            _old_campaign("COLA-500"),
        ),
        {"bottle/body": "bottles", "case/case-outer": "cases", "pallet/pallet": "pallets"},
    ),
    "liquor": Scene(
        "liquor.toml",
        "L1",
        "BAIJIU-52",
        "box1-case6-pallet4",
        {"box": 1, "case": 6, "pallet": 4},
        (
            _pool("bodies", "bottle", {"body": "url"}, product="BAIJIU-52", preprinted=True),
            _pool(
                "caps",
                "bottle",
                {"cap-inner": "serial"},
                product="BAIJIU-52",
                preprinted=True,
                secret=("cap-inner",),
            ),
            _pool("boxes", "box", {"box": "url"}, product="BAIJIU-52", preprinted=True),
            _pool("cases", "case", {"case-outer": "url"}, product="BAIJIU-52"),
            _pool("pallets", "pallet", {"pallet": "sscc"}),
            _pool("foreign", "bottle", {"body": "url"}, product="OTHER", preprinted=True),
            _old_campaign("BAIJIU-52"),
        ),
        {
            "bottle/body": "bodies",
            "bottle/cap-inner": "caps",
            "box/box": "boxes",
            "case/case-outer": "cases",
            "pallet/pallet": "pallets",
        },
    ),
}

SCENES["bottling-loose"] = replace(SCENES["bottling"], loose=True)


def make_code(kind: str, dice: random.Random, number: int) -> str:
    """A new code: a URL or serial of 16 random letters, or an SSCC that counts."""
    if kind == "sscc":
        body = f"0690123400{number:07d}"
        return f"00{body}{check_digit(body)}"
    text = "".join(dice.choices(ALPHABET, k=16))
    return f"{HOST}/{text}" if kind == "url" else text


def make_pools(scene: Scene, bottles: int, seed: int, folder: Path) -> dict[str, Path]:
    """Write a CSV for every pool of the scene; returns pool name -> file."""
    counts = {"bottle": bottles + SPARE}
    need = bottles
    for level, children in scene.children.items():
        need = -(-need // children)
        counts[level] = need + SPARE
    files = {}
    for n, plan in enumerate(scene.pools):
        dice = random.Random(f"{seed}/{plan.declared.name}")
        path = folder / f"{plan.declared.name}.csv"
        rows = counts[plan.declared.level] if plan.declared.name not in STRANGE else SPARE
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(plan.columns)
            for row in range(rows):
                writer.writerow(
                    make_code(kind, dice, n * 1_000_000 + row) for kind in plan.columns.values()
                )
        files[plan.declared.name] = path
    return files


def column(path: Path, role: str) -> tuple[str, ...]:
    """The codes of one role of a pool file, in order."""
    with path.open(newline="", encoding="utf-8") as file:
        return tuple(row[role] for row in csv.DictReader(file))


def layout(site: str, pack: str, pools: Mapping[str, Path]) -> Layout:
    """The physical line of a site."""
    foreign = column(pools["foreign"], "body")
    campaign = column(pools["old-campaign"], "body")
    url, serial = Look(f"{HOST}/{'W' * 16}"), Look("W" * 16, kind="DataMatrix")
    sscc = Look("00106901234000000018", kind="Code128", gs1=True)
    sequence, seen = pack in ("sequence", SEEN), pack == SEEN
    if site != "liquor":
        line = bottling(
            url, url, sscc, sequence=sequence, seen=seen, foreign=foreign, campaign=campaign
        )
        bottles, *containers = line.belts
        loose = [replace(belt, loose=SCENES[site].loose) for belt in containers]
        return replace(line, belts=(bottles, *loose))
    looks = {"cap-inner": serial, "body": url, "box": url, "case-outer": url, "pallet": sscc}
    supplies = {
        "body": column(pools["bodies"], "body"),
        "cap-inner": column(pools["caps"], "cap-inner"),
        "box": column(pools["boxes"], "box"),
    }
    return liquor(looks, supplies, sequence=sequence, seen=seen, foreign=foreign, campaign=campaign)


def free_ports(count: int) -> list[int]:
    """Ports on the loopback that nobody listens on at this moment; none twice in one process.
    TransientError if there are not so many."""
    with ExitStack() as stack:
        ports: list[int] = []
        for _ in PORTS:
            if len(ports) == count:
                return ports
            port = PORTS[next(_next_port) % len(PORTS)]
            one = stack.enter_context(socket.socket())
            with suppress(OSError):
                one.bind(("127.0.0.1", port))
                ports.append(port)
    raise TransientError(
        f"No {count} ports from {PORTS.start} to {PORTS.stop - 1} are free on this machine: "
        "end what uses them."
    )


def host_spec(
    site: str,
    pack: str,
    pools: Mapping[str, Path],
    cameras: Mapping[str, int],
    *,
    bottles: int | None,
    speed: int,
    seed: int,
    troubles: Mapping[str, float],
    folder: Path,
) -> HostSpec:
    """What the plant's process is to play. `cameras` are the ports that the agent listens on."""
    line = layout(site, pack, pools)
    printers = {
        name: PrinterSpec("text" if name == "coder" else "zpl", print_time=PRINT_TIME)
        for name in line.printers()
    }
    return HostSpec(
        layout=line,
        feed=Feed(bottles, speed),
        folder=str(folder),
        cameras={name: CameraSpec(cameras[name]) for name in line.cameras()},
        printers=printers,
        seed=seed,
        troubles=dict(troubles),
        limit=86_400.0,
        linger=4.0,
    )


def rates(preset: str, overrides: Mapping[str, float] | None = None) -> dict[str, float]:
    """The trouble rates of a preset, some of them replaced."""
    return sim_troubles.rates(preset, overrides)


def trouble_rate(written: str) -> tuple[str, float]:
    """A trouble and its rate as a person writes them. ConfigError where they are wrong."""
    return sim_troubles.parse(written)


def site_file(
    scene: Scene,
    speed: int,
    port: int,
    plant: Mapping[str, Any],
    cameras: Mapping[str, int],
    sync: Mapping[str, str] | None = None,
    warehouse: Mapping[str, Any] | None = None,
    *,
    pack: str = "",
) -> str:
    """The site file of this demonstration: the example with the plant's ports. A packer whose
    camera the plant does not have packs by sequence. `sync`: its way to the cloud; None: none.
    `warehouse`: sections of parties and warehouses. `pack`: see SEEN."""
    data = tomllib.loads((CONFIG / scene.file).read_text("utf-8"))
    data["web"]["port"] = port
    data.pop("sync", None)
    if sync is not None:
        data["sync"] = dict(sync)
    data |= warehouse or {}
    devices = data["devices"]
    devices["plc"]["address"] = f"tcp://127.0.0.1:{plant['plc']}"
    for name, printer in plant["printers"].items():
        devices[name]["address"] = f"tcp://127.0.0.1:{printer}"
    for name in [n for n, section in devices.items() if section["type"] == "http_push"]:
        if name in cameras:
            devices[name]["listen"] = f"127.0.0.1:{cameras[name]}"
        else:
            del devices[name]
    line = data["lines"][0]
    per_minute = speed / 60
    line["speed"] = {"low": round(per_minute * 0.95, 1), "high": round(per_minute * 1.05, 1)}
    packers = {station["id"] for station in line["stations"] if station["kind"] == "pack"}
    for path in line["paths"]:
        if scene.loose and path["from"] in packers:
            path["kind"] = "single_file"
    for station in line["stations"]:
        if any(reader["device"] not in cameras for reader in station.get("readers", ())):
            station["mode"] = "sequence"
            station["gate"] = False
            del station["readers"]
        if pack == SEEN and station["id"] == "case-label":
            role, lanes = ("box", 3) if "box" in scene.children else ("body", 4)
            station["readers"][0] |= {"roles": ["case-outer", role], "grid": [2, lanes]}
    return tomli_w.dumps(data)
