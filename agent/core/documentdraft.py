"""Documents as a file brings them, what such a file is held against, and why it was refused."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from agent.core.documentread import Problem
from agent.core.errors import DomainError

PIECE = "piece"
"""The unit of a product's lowest level where nothing says how that is called."""

KINDS: Mapping[str, tuple[str, ...]] = {
    "ship": ("出库", "发货", "销售出库", "出库单", "ship", "dispatch", "shipment", "delivery"),
    "receive": ("入库", "收货", "到货", "发货通知", "入库单", "receive", "asn", "receipt"),
    "transfer": ("调拨", "移库", "调拨单", "transfer", "move"),
    "return_in": ("退货", "退货入库", "客户退货", "return_in", "return"),
    "return_out": ("退货出库", "退供应商", "return_out"),
}
"""What a document of each kind may be called in a file, the usual Chinese name first."""

UNITS: Mapping[str, tuple[str, ...]] = {
    "bottle": ("瓶", "支"),
    "box": ("盒",),
    "pack": ("提", "包"),
    "case": ("箱", "件"),
    "pallet": ("垛", "托", "托盘", "板"),
    PIECE: ("支", "瓶", "个", "只", "pcs", "pc", "bottle", "unit"),
}
"""Chinese names of the usual levels. Any level's own name is good too, in any letters."""


@dataclass(frozen=True, slots=True)
class Item:
    """A product as documents ask for it: `units` are its levels and how many pieces each holds."""

    sku: str
    names: Mapping[str, str]
    units: Mapping[str, int]
    gtin: str = ""


@dataclass(frozen=True, slots=True)
class Book:
    """What a file is held against. `party` is whose warehouse it is, `parties` all that are known
    by id with their names, `taken` says whether a document of this number exists."""

    party: str
    items: Mapping[str, Item]
    parties: Mapping[str, Mapping[str, str]]
    locations: Collection[str]
    taken: Callable[[str], bool]


class DraftLine(NamedTuple):
    """So many units of a product's level, `pieces` in all; lot "" = any."""

    product: str
    level: str
    quantity: int
    lot: str
    pieces: int


class DraftUnit(NamedTuple):
    """A unit that is coming: canonical code, where it is packed ("" = outermost), what is in it."""

    code: str
    level: str
    product: str
    lot: str
    expires: str
    parent: str
    pieces: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A document that may be booked. `line` is where it begins in the file."""

    number: str
    kind: str
    party: str
    location: str
    to: str
    territory: str
    channel: str
    paper: str
    lines: tuple[DraftLine, ...]
    goods: tuple[DraftUnit, ...]
    line: int


class DocumentsRefused(DomainError):
    """Nothing was booked. `problems` are the first ones in order, `more` how many follow."""

    def __init__(self, problems: Sequence[Problem], more: int) -> None:
        listed = "".join(f"\n  {problem}" for problem in problems)
        rest = f"\n  ... and {more} more" if more else ""
        super().__init__(
            "documents_refused",
            f"The file was refused whole, none of its documents was booked:{listed}{rest}\n"
            "Mend the file and import it again.",
        )
        self.problems = tuple(problems)
        self.more = more

    def told(self) -> dict[str, Any]:
        """The problems as plain data."""
        return {
            "problems": [
                {"line": p.line, "column": p.column, "reason": p.reason, "args": dict(p.args)}
                for p in self.problems
            ],
            "more": self.more,
        }
