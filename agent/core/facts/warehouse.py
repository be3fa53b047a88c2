"""Facts of the warehouse: documents, what was scanned for them, and what they moved.

A unit is named by its `ref`: `u:<unit id>` where this agent made it (a secret code never stands
there), otherwise the canonical text of its primary code. A unit inside a parent has no place of its
own: its place is that of its outermost parent. All quantities are counted in `pieces`, units of the
lowest level.

A scan claims a unit for one open document (`ItemDone`); closing the document moves it
(`DocumentClosed`, `CountPosted`); a posted document is only taken back by a reversing one.
"""

from typing import NamedTuple

from agent.core.facts.words import Fact
from agent.core.values import value


class Told(NamedTuple):
    """A unit that this agent did not make, as an ASN or a blind receipt tells of it. `parent` is
    "" for an outermost unit; `codes` are its other codes; `expires` is an ISO date; `product` and
    `lot` are "" where its content is mixed or not told."""

    ref: str
    level: str
    product: str
    lot: str
    expires: str
    made_ms: int
    parent: str
    pieces: int
    integrity: str
    codes: tuple[str, ...] = ()


class Asked(NamedTuple):
    """A line of a document: `quantity` units of `level`, which are `pieces` of the lowest level.
    `lot` "" = any."""

    product: str
    level: str
    quantity: int
    lot: str
    pieces: int


class Content(NamedTuple):
    """So many pieces of a lot of a product."""

    product: str
    lot: str
    pieces: int


class Moved(NamedTuple):
    """A unit that a posting moved, with all that it holds.

    `state` is what it was before ("" = unknown here), `content` what it holds by product and lot.
    `source` and `target` are locations of the document's party ("" = outside). `implicit`: it was
    never received (or was booked as lost) and the posting makes up for that. `unscanned`: taken as
    received without being scanned. `integrity` is what the record of its content is worth.
    `level` is its level; `condition` that of returned goods ("" = good for sale).
    """

    ref: str
    content: tuple[Content, ...]
    state: str
    source: str
    target: str
    implicit: bool = False
    unscanned: bool = False
    integrity: str = ""
    level: str = ""
    condition: str = ""


@value(frozen=True, slots=True)
class GoodsTold(Fact):
    """Units that a document is about, and what is in them (at most 500 in one fact, parents before
    their children); in the transaction of its DocumentOpened, or of the item that took an unknown
    unit in, or after it where the document is `coming`: the `last` opens that. `document` is ""
    where they are told without one."""

    party: str
    document: str
    goods: tuple[Told, ...]
    last: bool = False


@value(frozen=True, slots=True)
class DocumentOpened(Fact):
    """A document of a party's warehouse: `kind` is receive, ship, return_in, return_out, transfer
    or count. `other` is the other party ("" = none), `location` where here ("" = not said), `to`
    the location where a transfer ends. `paper` is the number it refers to (an order, an ASN, the
    document it posts a part of), `blind` that nothing says what is to come, `source` who made it
    (cloud, panel, pda, import, agent). `condition` is that of returned goods. A document that is
    `coming` is there for nobody until all its goods are told."""

    party: str
    number: str
    kind: str
    location: str
    other: str
    to: str
    territory: str
    channel: str
    lines: tuple[Asked, ...]
    paper: str
    blind: bool
    source: str
    by: str
    reason: str = ""
    condition: str = ""
    at_ms: int = 0
    coming: bool = False


@value(frozen=True, slots=True)
class ItemDone(Fact):
    """An item of a PDA or of the panel, and what it was answered with; (device, seq) is unique.

    `do` is what was asked (open, scan, remove, close, hand_over, unpack, pack, count_done,
    accept_all, settle, stopped), `verdict` a word of `rules`, `args` its data as JSON. `ref` is the
    unit it concerns, `code` the text that was scanned ("" where it may not be shown or is none),
    `item` the client's own id. `at_ms` is the time of the scan by our clock, `device_ms` by the
    device's. `body` is JSON: what else the item said, and `instead`: refs whose claims this
    one replaces.
    """

    device: str
    seq: int
    party: str
    do: str
    document: str
    ref: str
    code: str
    verdict: str
    by: str
    at_ms: int
    device_ms: int
    body: str = ""
    args: str = ""
    item: str = ""
    reason: str = ""
    condition: str = ""


@value(frozen=True, slots=True)
class DocumentClosed(Fact):
    """A document is posted: these units moved. `missing` are outermost units that it expected and
    that did not come (or lines that were not filled, as "product/lot"); `difference` that there
    was one and somebody acknowledged it, with a `reason`. `sampled` units were scanned where a
    whole ASN was accepted (0 = every unit was scanned). `at_ms` is when, `day` that day (ISO) where
    the warehouse is: postings are summed by it."""

    party: str
    number: str
    moved: tuple[Moved, ...]
    missing: tuple[str, ...]
    difference: bool
    reason: str
    by: str
    sampled: int = 0
    at_ms: int = 0
    day: str = ""


@value(frozen=True, slots=True)
class DocumentReversed(Fact):
    """A posted document was wrong: everything that it moved is back where it was."""

    party: str
    number: str
    by: str
    reason: str
    at_ms: int = 0
    day: str = ""


@value(frozen=True, slots=True)
class DocumentHandedOver(Fact):
    """A document goes on at another device ("" = at any)."""

    party: str
    number: str
    device: str
    by: str


@value(frozen=True, slots=True)
class GoodsOpened(Fact):
    """Foreign units left their parent: they have a place of their own now, the parent's. (Units of
    this agent: `Unpacked`.)"""

    party: str
    parent: str
    children: tuple[str, ...]
    why: str
    by: str


@value(frozen=True, slots=True)
class GoodsPacked(Fact):
    """Foreign units of one place were put into a parent, which may be a new one of that `level`.
    (Units of this agent: `Packed`.)"""

    party: str
    parent: str
    children: tuple[str, ...]
    by: str
    level: str = ""


@value(frozen=True, slots=True)
class CountPosted(Fact):
    """A stock-take is posted: `found` units are here and the record had them elsewhere or nowhere,
    `lost` ones should be here and are not."""

    party: str
    number: str
    found: tuple[Moved, ...]
    lost: tuple[Moved, ...]
    by: str
    at_ms: int = 0
    day: str = ""


@value(frozen=True, slots=True)
class GoodsFollowed(Fact):
    """A unit of this agent that had a place in a warehouse, by itself or in `parent`, and what the
    fact before this one did with it. `why` is unpacked (it has its own place now, the parent's),
    packed (into `parent`: its place is that one's, or nowhere: back on the line), corrected (it
    holds `content`, not what was believed), sampled or destroyed. `content` is what it holds."""

    ref: str
    parent: str
    why: str
    content: tuple[Content, ...]
    level: str
    at_ms: int
    day: str


@value(frozen=True, slots=True)
class DeviceEnrolled(Fact):
    """A device may sign for a party: its public `key` (P-256, SEC 1 uncompressed, hex), where (()
    = everywhere) and for what. `token` is the SHA-256 (hex) of its bearer token."""

    device: str
    name: str
    key: str
    party: str
    locations: tuple[str, ...]
    operations: tuple[str, ...]
    by: str
    token: str = ""
    model: str = ""


@value(frozen=True, slots=True)
class DeviceRevoked(Fact):
    """Nothing that this device signs is taken any more."""

    device: str
    by: str
    why: str
