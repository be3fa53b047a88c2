"""Facts of what people do with units: take out, replace, relabel, sample, destroy, hold, scan."""

from agent.core.facts.words import CodeKey, Fact, PairIntegrity
from agent.core.values import value


@value(frozen=True, slots=True)
class Unpacked(Fact):
    """Children left a container. `since[i]` is the journal row of the Packed that had bound
    `children[i]`; `unknown` is how many unknown children left with them."""

    container: int
    children: tuple[int, ...]
    since: tuple[int, ...]
    unknown: int
    reason: str
    by: str


@value(frozen=True, slots=True)
class ContainerReopened(Fact):
    """A closed container is open again: children may be put in until it is closed anew."""

    container: int
    reason: str
    by: str


@value(frozen=True, slots=True)
class Relabelled(Fact):
    """A unit goes on with another code of this role: `old` (None where it had none) never lives
    again, `new` was read on the unit."""

    unit: int
    role: str
    old: CodeKey | None
    new: CodeKey
    pair: PairIntegrity
    reason: str
    by: str


@value(frozen=True, slots=True)
class UnitsSampled(Fact):
    """Units left the stock for a test or to be kept; a container is named with its content."""

    units: tuple[int, ...]
    reason: str
    by: str


@value(frozen=True, slots=True)
class UnitsDestroyed(Fact):
    """Units existed and are gone; a container is named with its content."""

    units: tuple[int, ...]
    reason: str
    by: str


@value(frozen=True, slots=True)
class HoldPlaced(Fact):
    """Quality stopped these units (with the content of a container), or a lot of a product, or the
    codes of a pool from position `first` to `last`; the other fields are empty (pool -1). `hold`
    is its number."""

    hold: int
    units: tuple[int, ...]
    product: str
    lot: str
    pool: int
    first: int
    last: int
    reason: str
    by: str


@value(frozen=True, slots=True)
class HoldReleased(Fact):
    """The hold is over: for these of its units, or whole (no units named)."""

    hold: int
    units: tuple[int, ...]
    reason: str
    by: str


@value(frozen=True, slots=True)
class ContainerScanned(Fact):
    """A person scanned `seen` in this container by hand: all that it holds (`complete`), or some.
    `own`: the container's own code was among the scans, else the record named the container."""

    container: int
    seen: tuple[int, ...]
    complete: bool
    own: bool
    by: str


@value(frozen=True, slots=True)
class RollClosed(Fact):
    """A roll or carton of pre-printed codes is used up; `unseen` of its codes were never read (one
    that turns up later is attached as any other)."""

    pool: int
    roll: str
    first: int
    count: int
    unseen: int
    by: str


@value(frozen=True, slots=True)
class LineCleared(Fact):
    """Nothing of the order is left on the line (`balanced`), or a leader signed for what is
    `missing` (name, amount) with a reason. `counts` are the balances of its pool columns at that
    moment: (pool/role, issued, good, rejected, sampled, destroyed, void, suspect, in process, left,
    unseen), before `voided` codes became void."""

    order: str
    balanced: bool
    missing: tuple[tuple[str, int], ...]
    counts: tuple[tuple[str, int, int, int, int, int, int, int, int, int, int], ...]
    voided: int
    reason: str
    by: str
