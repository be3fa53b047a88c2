"""What the store says of the codes and units that an input concerns.

`questions` (core.decide) names what must be looked up, the store answers with a `Known`, and
`decide` sees nothing else of the world. `Clock` is when the input happened.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from agent.core.facts import CodeKey
from agent.core.life import CodeState, UnitState


class Clock(NamedTuple):
    """Wall time in ms since 1970 (UTC), monotonic ms, and how good the wall clock is
    ("synced", "unsynced", "jumped"). Order is the journal's sequence, never these."""

    wall_ms: int
    mono_ms: int
    quality: str = "unsynced"


@dataclass(frozen=True, slots=True)
class KnownPool:
    """`next_position` is the first position that was never allocated (list) or seen (rule)."""

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


@dataclass(frozen=True, slots=True)
class KnownUnit:
    """`parent` is the open parent or None; `order` the work order's number."""

    unit: int
    level: str
    state: UnitState
    order: str
    product: str
    lot: str
    parent: int | None = None
    held: bool = False
    doubtful: bool = False


@dataclass(frozen=True, slots=True)
class KnownCode:
    """A text of some pool, or one that a pool's rule admits (`key.position` is then the position
    it will get, and `registered` is False until a CodeRegistered fact is written)."""

    text: str
    key: CodeKey
    role: str
    state: CodeState
    unit: KnownUnit | None
    registered: bool = True


@dataclass(frozen=True, slots=True)
class Questions:
    """What `decide` needs to know: code texts (canonical), unit ids, pools."""

    texts: tuple[str, ...] = ()
    units: tuple[int, ...] = ()
    pools: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """Answers. A text without an entry in `codes` belongs to no pool; a unit or pool without
    an entry does not exist. The pools of all `codes` are among `pools`. `next_unit` is the first
    unit id that was never given."""

    now: Clock
    next_unit: int
    codes: dict[str, KnownCode] = field(default_factory=dict)
    units: dict[int, KnownUnit] = field(default_factory=dict)
    pools: dict[int, KnownPool] = field(default_factory=dict)
