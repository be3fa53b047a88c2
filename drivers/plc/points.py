"""Single points of a PLC or of remote I/O on the same wire: one bit or one number each, as data.

A point replaces what the handshake's block would say (docs/plc.md): a lamp that hangs on an I/O
module of its own, an E-stop contact that is a discrete input, a speed that an inverter reports.
Reading is coalesced: points that stand close together come in one request.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drivers.plc.link import READ_LIMIT, Table

Kind = Literal["bit", "u16", "s16", "u32", "s32", "f32"]
_WIDTH: Mapping[Kind, int] = {"bit": 1, "u16": 1, "s16": 1, "u32": 2, "s32": 2, "f32": 2}
_FORMAT: Mapping[Kind, str] = {"u16": ">H", "s16": ">h", "u32": ">I", "s32": ">i", "f32": ">f"}


class Point(BaseModel):
    """Where one value stands.

    `unit` is another unit on the same wire than the PLC's. Coils and discrete inputs are bits; of
    a register, `bit` picks one (0 is the lowest) and `type` says what number it is. `invert` turns
    a bit round (a contact that opens). A number means `scale` x register + `offset`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: Table
    address: Annotated[int, Field(ge=0, le=0xFFFF)]
    unit: Annotated[int, Field(ge=1, le=255)] | None = None
    type: Kind = "u16"
    bit: Annotated[int, Field(ge=0, le=15)] | None = None
    invert: bool = False
    scale: float = 1.0
    offset: float = 0.0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.table in ("coil", "discrete") and self.bit is not None:
            raise ValueError(f"a {self.table} is one bit: leave `bit` out")
        if self.bit is not None and self.type not in ("u16", "bit"):
            raise ValueError("`bit` picks a bit of one register: leave `type` out")
        if self.scale == 0:
            raise ValueError("`scale` is 0: nothing could be told apart")
        if self.address + self.width > 0x10000:
            raise ValueError("the value ends beyond address 65535")
        return self

    @property
    def width(self) -> int:
        """Registers, or bits of a table of bits."""
        return 1 if self.is_bit else _WIDTH[self.type]

    @property
    def is_bit(self) -> bool:
        """A coil, a discrete input, or a bit of a register."""
        return self.table in ("coil", "discrete") or self.bit is not None or self.type == "bit"

    def on(self, words: Sequence[int]) -> bool:
        """Whether the bit (for a number: anything but 0) is set in what was read."""
        value = words[0] >> self.bit & 1 if self.bit is not None else words[0]
        return bool(value) != self.invert

    def number(self, words: Sequence[int], high_first: bool) -> float:
        """The number in what was read, scaled."""
        if self.is_bit:
            return float(self.on(words))
        ordered = words if high_first else tuple(reversed(words))
        raw = struct.pack(f">{len(ordered)}H", *ordered)
        return self.scale * float(struct.unpack(_FORMAT[self.type], raw)[0]) + self.offset


class Span(NamedTuple):
    """One request: `many` values of a table of a unit from `first`, and the points in it."""

    unit: int
    table: Table
    first: int
    many: int
    names: tuple[str, ...]


def spans(points: Mapping[str, Point], unit: int, most_unused: int) -> list[Span]:
    """The fewest requests that read these points, when up to `most_unused` values between two of
    them may be read along."""
    found: list[Span] = []
    order = sorted(points, key=lambda name: _place(points[name], unit))
    for name in order:
        point = points[name]
        here = point.unit or unit
        end = point.address + point.width
        if found:
            last = found[-1]
            near = point.address <= last.first + last.many + most_unused
            fits = end - last.first <= READ_LIMIT[point.table]
            if (last.unit, last.table) == (here, point.table) and near and fits:
                many = max(last.many, end - last.first)
                found[-1] = last._replace(many=many, names=(*last.names, name))
                continue
        found.append(Span(here, point.table, point.address, point.width, (name,)))
    return found


def values(
    span: Span, words: Sequence[int], points: Mapping[str, Point]
) -> Iterator[tuple[str, Sequence[int]]]:
    """Each point of a span with its own registers or bits."""
    for name in span.names:
        start = points[name].address - span.first
        yield name, words[start : start + points[name].width]


class Write(NamedTuple):
    """Values to write, consecutive in one table of one unit."""

    unit: int
    table: Table
    first: int
    values: list[int]


def writes(told: Mapping[str, int], points: Mapping[str, Point], unit: int) -> Iterator[Write]:
    """The requests that write these values; nothing between them is touched."""
    cells: dict[tuple[int, Table, int], int] = {}
    for name, value in told.items():
        point = points[name]
        if point.is_bit:
            value = int(bool(value) != point.invert)
        cells[point.unit or unit, point.table, point.address] = value & 0xFFFF
    current: Write | None = None
    for (at, table, address), value in sorted(cells.items()):
        if current is not None and (at, table, address) == (
            current.unit,
            current.table,
            current.first + len(current.values),
        ):
            current.values.append(value)
            continue
        if current is not None:
            yield current
        current = Write(at, table, address, [value])
    if current is not None:
        yield current


def clashes(points: Iterable[tuple[str, Point]], unit: int) -> Iterator[str]:
    """Points that are to be written and stand at the same place."""
    seen: dict[tuple[int, Table, int], str] = {}
    for name, point in points:
        place = (point.unit or unit, point.table, point.address)
        if place in seen:
            yield f"{seen[place]} and {name} stand at the same {point.table} {point.address}"
        seen[place] = name


def _place(point: Point, unit: int) -> tuple[int, str, int, int]:
    return point.unit or unit, point.table, point.address, point.width
