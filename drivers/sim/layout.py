"""What a simulated line is made of: belts, stations with their places, packers; plain data.

A layout travels to the plant's process as JSON, so every part is a frozen dataclass of plain
values. Places are mm from the head of the belt, times s, speeds mm/s, pictures px.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from agent.core.errors import ConfigError
from drivers.sim.world import SLOTS

_STRICT = ConfigDict(extra="forbid")

MAX_LANES = 8  # the STROKE event has 32 bits: 4 per lane
MAX_ROWS = 15


@dataclass(frozen=True, slots=True)
class Seen:
    """A code that a camera has in view.

    `of`: own = the item's own code, content = the same role of each child (of the first `most`, if
    that is not 0), cap = the cap that the capper will take next. `x`, `y` are the middle of an own
    or cap symbol as shares of the frame; `size` is the symbol's edge without quiet zone, in px (a
    Code128 is that wide).
    """

    __pydantic_config__ = _STRICT
    role: str
    kind: str
    size: float
    of: Literal["own", "content", "cap"] = "own"
    x: float = 0.5
    y: float = 0.5
    gs1: bool = False
    most: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """One camera's picture. Content is laid out row by row on `columns` x `rows` over the whole
    frame; `jitter` (px) and `angle` (degrees) are how far a symbol strays at most."""

    __pydantic_config__ = _STRICT
    camera: str
    width: int
    height: int
    see: tuple[Seen, ...]
    columns: int = 0
    rows: int = 0
    blur: float = 0.6
    noise: float = 3.0
    light: float = 1.0
    jitter: float = 4.0
    angle: float = 4.0


@dataclass(frozen=True, slots=True)
class Coder:
    """A photo-eye fires a printer; what comes out is on the item, one text per role. With
    `station` the PLC reports it as a TRIGGER too."""

    __pydantic_config__ = _STRICT
    name: str
    at: float
    printer: str
    roles: tuple[str, ...]
    station: int | None = None
    kind: Literal["coder"] = "coder"


@dataclass(frozen=True, slots=True)
class Preprinted:
    """From here on the item carries the next code of a supply (it came with it)."""

    __pydantic_config__ = _STRICT
    name: str
    at: float
    role: str
    supply: str
    kind: Literal["preprinted"] = "preprinted"


@dataclass(frozen=True, slots=True)
class Capper:
    """Puts the next cap of its chute on the item, with `heads` heads in turn; a camera before it
    may have seen that cap."""

    __pydantic_config__ = _STRICT
    name: str
    at: float
    role: str
    supply: str
    heads: int = 1
    kind: Literal["capper"] = "capper"


@dataclass(frozen=True, slots=True)
class Camera:
    """A photo-eye fires cameras; the gate at `gate` obeys the verdict slots of `station`."""

    __pydantic_config__ = _STRICT
    name: str
    at: float
    station: int
    views: tuple[View, ...]
    gate: float | None = None
    kind: Literal["camera"] = "camera"


@dataclass(frozen=True, slots=True)
class Applicator:
    """Puts the next printed label on a container. The belt waits for it, `wait` s at most."""

    __pydantic_config__ = _STRICT
    name: str
    at: float
    station: int
    printer: str
    roles: tuple[str, ...]
    wait: float = 3.0
    kind: Literal["applicator"] = "applicator"


Station = Annotated[
    Coder | Preprinted | Capper | Camera | Applicator,
    Field(discriminator="kind"),
]


@dataclass(frozen=True, slots=True)
class Packer:
    """At the end of a belt: a divider fills `lanes` in turn, a stroke moves `rows` of each lane
    into the container, `strokes` fill it. `views` take a picture of each stroke's children."""

    __pydantic_config__ = _STRICT
    name: str
    station: int
    lanes: int
    rows: int
    strokes: int = 1
    views: tuple[View, ...] = ()

    @property
    def count(self) -> int:
        """Children in a full container."""
        return self.lanes * self.rows * self.strokes


@dataclass(frozen=True, slots=True)
class Belt:
    """One level's conveyor. `speed` is the least it runs with: a feed that needs more speeds it
    up. Without a packer its end is the warehouse. `loose`: two things on it may change places
    before they have a code."""

    __pydantic_config__ = _STRICT
    level: str
    primary: str
    speed: float
    pitch: float
    length: float
    stations: tuple[Station, ...] = ()
    packer: Packer | None = None
    loose: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """A line: belts from the smallest level upwards, each packed into the next one.

    `supplies` are codes that come on things, in the order they come, `roll` of them on one roll
    (0: all); `foreign` are codes of
    another product, `campaign` of another campaign of this one. `first_number` is the PLC's first
    item and container number.
    """

    __pydantic_config__ = _STRICT
    belts: tuple[Belt, ...]
    supplies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    foreign: tuple[str, ...] = ()
    campaign: tuple[str, ...] = ()
    roll: int = 0
    first_number: int = 1
    pulses_per_mm: float = 1.0

    def printers(self) -> set[str]:
        """Names of the printers and coders that something fires."""
        return {
            station.printer
            for belt in self.belts
            for station in belt.stations
            if isinstance(station, Coder | Applicator)
        }

    def cameras(self) -> dict[str, View]:
        """Every camera by name."""
        return {view.camera: view for view in _views(self)}

    def rates(self, bph: float) -> list[float]:
        """Items per second on each belt at `bph` bottles an hour."""
        rate = bph / 3600
        out = [rate]
        for belt in self.belts[:-1]:
            if belt.packer is not None:
                rate /= belt.packer.count
            out.append(rate)
        return out

    def speeds(self, bph: float) -> list[float]:
        """The speed of each belt in mm/s at `bph`: its own, or what keeps its items a pitch apart
        (containers come in strokes, so their belts have a fifth in hand)."""
        return [
            max(belt.speed, belt.pitch * rate * (1.0 if index == 0 else 1.2))
            for index, (belt, rate) in enumerate(zip(self.belts, self.rates(bph), strict=True))
        ]


@dataclass(frozen=True, slots=True)
class Feed:
    """How many bottles come (None: until stopped), and how many an hour."""

    __pydantic_config__ = _STRICT
    total: int | None
    bph: float


_ADAPTER = TypeAdapter(Layout)


def load(data: Mapping[str, Any]) -> Layout:
    """A checked layout from plain data (parsed JSON). ConfigError names the place."""
    try:
        layout = _ADAPTER.validate_python(data)
    except ValidationError as error:
        raise ConfigError(f"layout: {error}") from error
    check(layout)
    return layout


def dump(layout: Layout) -> dict[str, Any]:
    """Plain data that `load` takes back and JSON can carry."""
    data: dict[str, Any] = _ADAPTER.dump_python(layout, mode="json")
    return data


def _views(layout: Layout) -> Iterator[View]:
    for belt in layout.belts:
        for station in belt.stations:
            if isinstance(station, Camera):
                yield from station.views
        if belt.packer is not None:
            yield from belt.packer.views


def check(layout: Layout) -> None:
    """ConfigError where the line cannot be built: what, and what to write instead."""
    if not layout.belts:
        raise ConfigError("layout: no belts; describe one belt per level")
    cameras = [view.camera for view in _views(layout)]
    _unique("camera", cameras)
    names = [station.name for belt in layout.belts for station in belt.stations]
    names += [belt.packer.name for belt in layout.belts if belt.packer is not None]
    _unique("station name", names)
    # A packer and the camera over its open container, or an applicator and its label camera, may
    # be one station of the PLC; two gates or two packers may not.
    for what in (Coder, Camera, Applicator):
        found = [
            station.station
            for belt in layout.belts
            for station in belt.stations
            if isinstance(station, what) and station.station is not None
        ]
        _unique(f"PLC station of a {what.__name__.lower()}", found)
    packers = [belt.packer.station for belt in layout.belts if belt.packer is not None]
    _unique("PLC station of a packer", packers)
    for index, belt in enumerate(layout.belts):
        _check_belt(layout, index, belt)


def _check_belt(layout: Layout, index: int, belt: Belt) -> None:
    where = f"layout, belt {belt.level}"
    last = index == len(layout.belts) - 1
    if belt.speed <= 0 or belt.pitch <= 0 or belt.length <= 0:
        raise ConfigError(f"{where}: speed, pitch and length must be above 0")
    if (belt.packer is None) != last:
        raise ConfigError(f"{where}: every belt but the last needs a packer, the last has none")
    at = -1.0
    for station in belt.stations:
        here = f"{where}, station {station.name}"
        if not at <= station.at < belt.length:
            raise ConfigError(f"{here}: list stations by their place, 0 to {belt.length} mm")
        at = station.at
        if isinstance(station, Preprinted | Capper) and station.supply not in layout.supplies:
            raise ConfigError(f"{here}: supply {station.supply!r} is missing; add it to supplies")
        if isinstance(station, Capper) and station.heads < 1:
            raise ConfigError(f"{here}: a capper has at least one head")
        if isinstance(station, Applicator) and not index:
            raise ConfigError(f"{here}: an applicator stops its belt; put it on a container's belt")
        if isinstance(station, Camera):
            _check_camera(here, belt, station)
            below = layout.belts[index - 1].packer if index else None
            for view in station.views:
                _check_grid(here, view, below.count if below else 0)
    if belt.packer is not None:
        packer = belt.packer
        here = f"{where}, packer {packer.name}"
        if not (1 <= packer.lanes <= MAX_LANES and 1 <= packer.rows <= MAX_ROWS):
            raise ConfigError(f"{here}: at most {MAX_LANES} lanes of at most {MAX_ROWS} rows")
        if packer.strokes < 1:
            raise ConfigError(f"{here}: at least one stroke fills a container")
        for view in packer.views:
            _check_grid(here, view, packer.lanes * packer.rows)


def _check_camera(here: str, belt: Belt, camera: Camera) -> None:
    if camera.gate is None:
        return
    if not camera.at < camera.gate < belt.length:
        raise ConfigError(f"{here}: the gate must stand between the camera and the end of the belt")
    if (camera.gate - camera.at) / belt.pitch >= SLOTS:
        raise ConfigError(
            f"{here}: more than {SLOTS - 1} items fit between camera and gate, but the PLC has "
            f"{SLOTS} verdict slots; move the gate nearer"
        )


def _check_grid(here: str, view: View, children: int) -> None:
    shown = [seen.most or children for seen in view.see if seen.of == "content"]
    if not shown:
        return
    if not children:
        raise ConfigError(f"{here}: camera {view.camera} sees content, but nothing is packed here")
    if view.columns * view.rows < max(shown):
        raise ConfigError(
            f"{here}: camera {view.camera} has {view.columns} x {view.rows} places for "
            f"{max(shown)} children; write columns and rows that hold them"
        )


def _unique(what: str, values: list[str] | list[int]) -> None:
    seen: set[str | int] = set()
    for value in values:
        if value in seen:
            raise ConfigError(f"layout: {what} {value!r} is used twice; give each its own")
        seen.add(value)
