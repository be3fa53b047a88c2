"""Facts of units on the belt, and of the belt itself."""

from typing import ClassVar

from agent.core.facts.words import Attachment, CodeKey, Fact
from agent.core.values import value


@value(frozen=True, slots=True)
class RunBegan(Fact):
    """The PLC numbers items anew: nothing that was in flight is known any longer.

    `doubtful` are units whose place on the belt was known and now is not.
    """

    run: int
    why: str
    doubtful: tuple[int, ...] = ()


@value(frozen=True, slots=True)
class ItemSeen(Fact):
    """A trigger: an item is at a station. Order attaches here, at the item's first station."""

    durable: ClassVar[bool] = False
    station: str
    item: int
    lane: int
    encoder: int
    order: str
    at_ms: int


@value(frozen=True, slots=True)
class ItemRead(Fact):
    """A reader of a station without a verdict of its own (or one of several) read an item."""

    durable: ClassVar[bool] = False
    station: str
    reader: str
    item: int
    reads: tuple[tuple[str, CodeKey], ...]  # (role, key)
    fault: str = ""  # verdict to carry on: no_read, duplicate ...


@value(frozen=True, slots=True)
class ItemPrinted(Fact):
    """The device reported a print and it was paired with the item that triggered it."""

    durable: ClassVar[bool] = False
    station: str
    item: int
    key: CodeKey


@value(frozen=True, slots=True)
class PrintUnpaired(Fact):
    """A print was reported before (or without) its trigger."""

    durable: ClassVar[bool] = False
    station: str
    key: CodeKey


@value(frozen=True, slots=True)
class PrintMissed(Fact):
    """The item triggered the coder while the coder had nothing to print."""

    durable: ClassVar[bool] = False
    station: str
    item: int


@value(frozen=True, slots=True)
class PrintPairingLost(Fact):
    """Prints and triggers of this coder are not in step (an event was lost): what was expected on
    which item is not known, and they are counted against each other anew."""

    durable: ClassVar[bool] = False
    station: str


@value(frozen=True, slots=True)
class ItemPassed(Fact):
    """Verdict PASS. `commissioned`: the unit's life begins here; else the codes are added to it."""

    station: str
    item: int
    unit: int
    level: str
    order: str
    codes: tuple[Attachment, ...]
    commissioned: bool


@value(frozen=True, slots=True)
class ItemRejected(Fact):
    """A verdict other than pass (Verdict value). The item is still on the belt until confirmed.

    `unit` is the unit it had become at an earlier station, `codes` what was read on it,
    `expected` what was printed on it, where known.
    """

    station: str
    item: int
    verdict: str
    order: str
    unit: int | None = None
    codes: tuple[CodeKey, ...] = ()
    expected: CodeKey | None = None


@value(frozen=True, slots=True)
class GatePassed(Fact):
    """The PLC saw the item leave the gate on the belt."""

    durable: ClassVar[bool] = False
    station: str
    item: int


@value(frozen=True, slots=True)
class RejectConfirmed(Fact):
    """The item is off the line. `unit` is set when the record had it as a live unit: the unit is
    rejected with it. `judged` is False when the gate rejected it before any verdict; `passed` is
    True when the verdict had been PASS and came too late for the gate. `order` is the item's, where
    it is known."""

    station: str
    item: int
    unit: int | None = None
    judged: bool = True
    passed: bool = False
    order: str = ""


@value(frozen=True, slots=True)
class RejectFailed(Fact):
    """The gate did not do its work: an item with a reject verdict is on the belt; or, `unseen`,
    neither sensor behind it saw anything: where the item is, nobody knows. `codes` were read on it
    and are on no unit: they are not off the line for certain."""

    station: str
    item: int
    codes: tuple[CodeKey, ...] = ()
    unseen: bool = False


@value(frozen=True, slots=True)
class RejectSeries(Fact):
    """So many items in a row were rejected (or unseen behind a gate), `first` the first of them; 0:
    the row is over. `row` is a station, or one of its gate's rows (core.stopping)."""

    durable: ClassVar[bool] = False
    row: str
    count: int
    first: int


@value(frozen=True, slots=True)
class ForeignRejected(Fact):
    """A rejector that is not ours took the item."""

    station: str
    item: int
    unit: int | None = None


@value(frozen=True, slots=True)
class PathEntered(Fact):
    """The photo-eye at the end of a path saw the item arrive in a lane."""

    durable: ClassVar[bool] = False
    station: str
    lane: int
    item: int


@value(frozen=True, slots=True)
class ItemsMissed(Fact):
    """Items left `station` and were overtaken on a path where nothing can overtake: they are off
    the belt or lying on it."""

    station: str
    items: tuple[int, ...]
    units: tuple[int, ...]


@value(frozen=True, slots=True)
class UnitsDoubted(Fact):
    """What the record says of these units' place or code may be wrong (`why`: catalogue key)."""

    units: tuple[int, ...]
    why: str
