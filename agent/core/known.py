"""What the store says of the codes and units that an input concerns.

`questions` (core.decide) names what must be looked up, the store answers with a `Known`, and
`decide` sees nothing else of the world. `Clock` is when the input happened.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from agent.core.facts import CodeKey, Integrity, LinkEvidence, OwnCode
from agent.core.life import CodeState, UnitState
from agent.core.scheme import WorkOrder
from agent.core.values import value


class Clock(NamedTuple):
    """Wall time in ms since 1970 (UTC), monotonic ms, and how good the wall clock is
    ("synced", "unsynced", "jumped"). Order is the journal's sequence, never these."""

    wall_ms: int
    mono_ms: int
    quality: str = "unsynced"


@value(frozen=True, slots=True)
class KnownPool:
    """`next_position` is the first position that was never allocated (list) or seen (rule);
    `holes` are (first, count) of the next rows from there on that were made void meanwhile.
    `in_question`: after a restore, nobody can say yet which of its codes were printed."""

    pool: int
    name: str
    level: str
    roles: tuple[str, ...]
    secret: tuple[str, ...]
    product: str
    campaign: str
    lot: str
    membership: str
    preprinted: bool
    count: int
    next_position: int
    holes: tuple[tuple[int, int], ...] = ()
    in_question: bool = False


@value(frozen=True, slots=True)
class KnownUnit:
    """`parent` is the open parent or None; `order` the work order's number; `open`: a container
    that is not closed (any more)."""

    unit: int
    level: str
    state: UnitState
    order: str
    product: str
    lot: str
    parent: int | None = None
    held: bool = False
    doubtful: bool = False
    open: bool = False


@value(frozen=True, slots=True)
class KnownCode:
    """A text of some pool, or one that a pool's rule admits (`key.position` is then the position
    it will get, and `registered` is False until a CodeRegistered fact is written). `held`: quality
    holds a range that it stands in."""

    text: str
    key: CodeKey
    role: str
    state: CodeState
    unit: KnownUnit | None
    registered: bool = True
    held: bool = False


class KnownLink(NamedTuple):
    """A place of a container that is taken; `since` is the journal row that bound the child."""

    place: int
    child: int | None
    evidence: LinkEvidence
    since: int


@value(frozen=True, slots=True)
class KnownContainer:
    """What a container holds. `integrity` is None while it is open, `code` until it has one;
    `codes` are its own codes by role."""

    unit: int
    expected: int
    links: tuple[KnownLink, ...]
    integrity: Integrity | None = None
    own: OwnCode | None = None
    codes: dict[str, CodeKey] = field(default_factory=dict)


class KnownHold(NamedTuple):
    """An open hold of units, of a lot (product, lot), or of a pool's positions (pool >= 0)."""

    hold: int
    units: frozenset[int]
    product: str
    lot: str
    pool: int
    first: int
    last: int


class CodeRun(NamedTuple):
    """Neighbouring codes of one pool column in the same state."""

    column: int
    first: int
    many: int
    state: CodeState


@value(frozen=True, slots=True)
class Questions:
    """What `decide` needs to know: code texts (canonical), unit ids, pools, work orders.

    `whole`: with all that these units hold, the containers around them, their orders, names and
    holds; `rows` is a range (pool, first, last) whose codes are wanted; `besides` are units without
    what is around them.
    """

    texts: tuple[str, ...] = ()
    units: tuple[int, ...] = ()
    pools: tuple[int, ...] = ()
    orders: tuple[str, ...] = ()
    whole: bool = False
    rows: tuple[int, int, int] | None = None
    besides: tuple[int, ...] = ()


NOTHING = Questions()
"""Most inputs ask nothing."""


@dataclass(slots=True)
class Known:
    """Answers. A text without an entry in `codes` belongs to no pool; a unit or pool without
    an entry does not exist. The pools of all `codes` are among `pools`. `next_unit` is the first
    unit id that was never given, `held_lots` the lots (product, lot) on hold.

    `orders` are those that were asked for.

    Only for `whole` questions: `containers` and (more) `orders` of all units, `names` as people may
    read them, open `holds` and the number of the next one. `runs` answer `rows`.
    """

    now: Clock
    next_unit: int
    codes: dict[str, KnownCode] = field(default_factory=dict)
    units: dict[int, KnownUnit] = field(default_factory=dict)
    pools: dict[int, KnownPool] = field(default_factory=dict)
    held_lots: frozenset[tuple[str, str]] = frozenset()
    containers: dict[int, KnownContainer] = field(default_factory=dict)
    orders: dict[str, WorkOrder] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    holds: tuple[KnownHold, ...] = ()
    next_hold: int = 1
    runs: tuple[CodeRun, ...] = ()
