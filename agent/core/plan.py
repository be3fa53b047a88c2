"""A line as data: its stations, the paths between them, and the tracking zones that follow.

A station works on units of one level. A pack station makes containers, so its level is the
container's; its children come over the path that ends at it. A tracking zone is a chain of stations
of one level over captive or single-file paths, throughout which one number names the same thing;
across zones nothing is known by counting.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Literal

StationKind = Literal["print", "verify", "pack", "label"]
PackMode = Literal["multi_read", "sequence"]


class PathKind(StrEnum):
    CAPTIVE = "captive"
    SINGLE_FILE = "single_file"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class ReaderPlan:
    """A camera or code reader at a station and the roles it reads.

    `loose`: what carries these codes is not on its unit yet (a cap before the capper), so the pair
    is never more than inferred or supplied.
    """

    id: str
    roles: tuple[str, ...]
    loose: bool = False


@dataclass(frozen=True, slots=True)
class Station:
    """One station. `index` is its number in the PLC (0..15). `device` prints (print, label).

    `role` is the role that is printed; `gate` says that the PLC can reject here; a verify station
    without a gate hands a fault on to the next gate of its zone. `lanes` counts the packer's lanes.
    `anchor_every`: another number for this packer than the line's. `unseen_after`: a printed code
    that was not read when so many later ones were cannot be on its way to the reader any more.
    """

    id: str
    index: int
    kind: StationKind
    level: str
    readers: tuple[ReaderPlan, ...] = ()
    gate: bool = True
    device: str = ""
    role: str = ""
    mode: PackMode = "multi_read"
    lanes: int = 1
    window: int = 8
    anchor_every: int | None = None
    unseen_after: int = 256


@dataclass(frozen=True, slots=True)
class Path:
    source: str
    target: str
    kind: PathKind


@dataclass(frozen=True, slots=True)
class Limits:
    """When a line comes down by itself (core.stopping): after so many rejects in a row at one
    station, 0 = never. `bypass_seconds` is the longest that a bypass may last."""

    rejects_in_a_row: int = 0
    bypass_seconds: int = 3600


@dataclass(slots=True)
class LinePlan:
    """Stations in the order of the belt. `problems()` must be empty before a line may run.

    `anchor_every`: when so many containers were packed by order since the last full reading, a
    person is asked to scan one by hand (0 = never). `creeps`: items may lag behind a belt that
    starts after a stop. `clearance`: before an order of another product starts, the line must be
    cleared of the one before."""

    id: str
    stations: tuple[Station, ...]
    paths: tuple[Path, ...]
    limits: Limits = Limits()
    anchor_every: int = 0
    creeps: bool = True
    clearance: bool = False
    by_id: dict[str, Station] = field(init=False)
    by_index: dict[int, Station] = field(init=False)
    into: dict[str, Path] = field(init=False)
    out_of: dict[str, Path] = field(init=False)
    zone: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.by_id = {station.id: station for station in self.stations}
        self.by_index = {station.index: station for station in self.stations}
        self.into = {path.target: path for path in self.paths}
        self.out_of = {path.source: path for path in self.paths}
        self.zone = {}
        for station in self.stations:
            path = self.into.get(station.id)
            source = self.by_id.get(path.source) if path else None
            same = (
                path is not None
                and source is not None
                and path.kind is not PathKind.MIXED
                and source.level == station.level
                and station.kind != "pack"
            )
            # A zone is named by its first station.
            self.zone[station.id] = (
                self.zone.get(path.source, path.source) if same and path else station.id
            )

    def first_of_zone(self, station: str) -> bool:
        return self.zone[station] == station

    def zone_stations(self, zone: str) -> tuple[Station, ...]:
        """The stations of a zone in the order of the belt."""
        return tuple(station for station in self.stations if self.zone[station.id] == zone)

    def between(self, source: str, target: str) -> PathKind | None:
        """The weakest path on the way from one station to a later one; None if there is no way."""
        weakest: PathKind = PathKind.CAPTIVE
        order = [PathKind.CAPTIVE, PathKind.SINGLE_FILE, PathKind.MIXED]
        at = source
        for _ in self.stations:
            if at == target:
                return weakest
            path = self.out_of.get(at)
            if path is None:
                return None
            weakest = max(weakest, path.kind, key=order.index)
            at = path.target
        return None

    def label_station(self, pack: str) -> Station | None:
        """The label station of the containers that a pack station makes."""
        for station in self.zone_stations(self.zone[pack]):
            if station.kind == "label":
                return station
        return None

    def coder_of(self, station: str) -> Station | None:
        """The print station upstream in the same zone."""
        for other in self.zone_stations(self.zone[station]):
            if other.kind == "print":
                return other
        return None

    def problems(self) -> list[str]:
        """What a person must mend before the line may run, each with its remedy."""
        found: list[str] = []
        if len(self.by_id) != len(self.stations):
            found.append("two stations have the same id: give each its own")
        if len(self.by_index) != len(self.stations):
            found.append("two stations have the same index: the PLC needs one number each")
        found += [
            f"path {path.source} -> {path.target}: there is no station {end}"
            for path in self.paths
            for end in (path.source, path.target)
            if end not in self.by_id
        ]
        if found:
            return found
        for one, two in pairwise(self.stations):
            if not any(path.source == one.id and path.target == two.id for path in self.paths):
                found.append(
                    f"stations {one.id} and {two.id} follow each other but no path joins them: "
                    "add one and say whether it is captive, single_file or mixed"
                )
        for station in self.stations:
            found += self._station_problems(station)
        for level in {station.level for station in self.stations}:
            found += self._pairing_problems(level)
        for zone in dict.fromkeys(self.zone.values()):
            last = self.zone_stations(zone)[-1]
            if last.kind in ("verify", "label") and not last.gate:
                found.append(
                    f"station {last.id}: nothing after it in its zone has a gate, so nobody takes "
                    "off what it finds wrong or tells that the rest went on; set gate = true"
                )
        return found

    def _station_problems(self, station: Station) -> list[str]:
        found = []
        path = self.into.get(station.id)
        if station.kind == "pack" and station.mode == "sequence":
            if path is not None and path.kind is PathKind.MIXED:
                found.append(
                    f"station {station.id}: sequence packing counts on the order of the children, "
                    f"but the path {path.source} -> {station.id} is mixed; use multi_read, or make "
                    "the path single_file and put a photo-eye at its end"
                )
            if station.readers:
                found.append(
                    f"station {station.id}: sequence packing reads no children; remove its readers "
                    "or use multi_read"
                )
        if station.kind == "pack" and station.mode == "multi_read" and not station.readers:
            found.append(f"station {station.id}: multi_read needs a reader")
        if station.kind in ("print", "label") and station.device and not station.role:
            found.append(f"station {station.id}: name the role that {station.device} prints")
        if station.kind == "print" and not station.device:
            found.append(f"station {station.id}: a print station needs a printer")
        if station.kind in ("verify", "label") and not station.readers:
            found.append(f"station {station.id}: a {station.kind} station needs a reader")
        if station.kind in ("pack", "label") and len(station.readers) > 1:
            found.append(
                f"station {station.id}: a container is judged by one reader; let one read all its "
                "roles, or give the other a station of its own"
            )
        return found

    def _pairing_problems(self, level: str) -> list[str]:
        """Roles of one unit that are read (or printed and read) at different stations are paired by
        item number, so a mixed path must not lie between them."""
        found = []
        reading = [
            station
            for station in self.stations
            if station.level == level and station.kind in ("print", "verify")
        ]
        for one, two in pairwise(reading):
            if self.between(one.id, two.id) is PathKind.MIXED:
                found.append(
                    f"stations {one.id} and {two.id} pair the codes of a {level} by item number, "
                    "but a mixed path lies between them; read the roles in one place or make the "
                    "path single_file"
                )
        return found
