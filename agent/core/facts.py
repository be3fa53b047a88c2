"""Every fact that can happen: the vocabulary of the journal.

A fact is a frozen dataclass of plain values (int, str, bool, None, tuples and NamedTuples of them,
and the frozen dataclasses of `scheme`), so that any codec can write it. Its class name is its
`kind` in the journal: a released name and a released field never change meaning; a field that is
added later has a default.

A fact with `durable = False` changes the state of a line but is not written: it is what a restart
honestly forgets (an item that is on its way, a print that was reported). Everything a restart must
know is in a durable fact.

Units and containers are named by their unit id (int). Codes are named by CodeKey, never by text:
a secret code must not leave its pool in clear.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, NamedTuple

from agent.core.scheme import WorkOrder


class CodeKey(NamedTuple):
    """Where a code stands: pool, position (row, from 0) and column (index into the pool's roles).

    Written `pool/position` for people; codes that a rule admits get the next position of their
    pool when they are first seen.
    """

    pool: int
    position: int
    column: int


class PairIntegrity(StrEnum):
    """How well it is known that two codes are on one unit."""

    PROVEN = "proven"
    SUPPLIED = "supplied"
    INFERRED = "inferred"
    UNKNOWN = "unknown"


class LinkEvidence(StrEnum):
    """Why a child is believed to be in its parent."""

    READ = "read"
    SCANNED = "scanned"
    PRESET = "preset"
    ORDER = "order"


class OwnCode(StrEnum):
    """Where a container's own code was read, seen from its content."""

    SAME_FRAME = "same_frame"
    CAPTIVE = "captive"
    SINGLE_FILE = "single_file"
    SCANNED = "scanned"
    UNREAD = "unread"


class Integrity(StrEnum):
    """What a container's record is worth."""

    PROVEN = "proven"
    ANCHORED = "anchored"
    INFERRED = "inferred"
    INCOMPLETE = "incomplete"


class Attachment(NamedTuple):
    """One code on a unit, and how well it is known that it is on the same unit as the primary."""

    role: str
    key: CodeKey
    integrity: PairIntegrity


@dataclass(frozen=True, slots=True)
class Fact:
    """Base of all facts; `durable` facts are journal rows."""

    durable: ClassVar[bool] = True


# ------------------------------------------------------------------------------ agent and pools


@dataclass(frozen=True, slots=True)
class AgentStarted(Fact):
    version: str


@dataclass(frozen=True, slots=True)
class PoolImported(Fact):
    """Codes were issued to us. Texts stay in the pool's own table; `sha256` (hex) seals them.

    `membership` is "list" (count rows are stored) or "rule" (`rule` is a prefix; count is 0).
    `parent_column` is the index of the column that names the parent's code, -1 without one.
    `rolls` are (name, first position, count) of rolls or cartons.
    """

    pool: int
    name: str
    level: str
    roles: tuple[str, ...]
    secret: tuple[str, ...]
    product: str  # "" = any product
    scope: str  # "agent" | "plant" | "brand"
    membership: str
    rule: str
    count: int
    sha256: str
    campaign: str = ""
    lot: str = ""
    preprinted: bool = False
    parent_column: int = -1
    rolls: tuple[tuple[str, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class CodeRegistered(Fact):
    """A code that a rule admits was seen for the first time (never of a secret role)."""

    key: CodeKey
    text: str


@dataclass(frozen=True, slots=True)
class CodesMoved(Fact):
    """`count` codes from position `first` of one pool column changed state (CodeState value).

    `device` and `session` name the printer connection; `evidence` is ports.Evidence where the
    device reported; `why` is a catalogue key for suspect and void.
    """

    pool: int
    column: int
    first: int
    count: int
    to: str
    device: str = ""
    session: int = 0
    evidence: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class PrinterSessionBegan(Fact):
    """A new connection to a printer; `cleared`: the device acknowledged that its queue is empty.
    `session` counts per station, so that no two connections have the same number."""

    station: str
    device: str
    session: int
    cleared: bool


# ------------------------------------------------------------------------------------ work order


@dataclass(frozen=True, slots=True)
class OrderCreated(Fact):
    order: WorkOrder
    by: str


@dataclass(frozen=True, slots=True)
class OrderStarted(Fact):
    number: str
    by: str


@dataclass(frozen=True, slots=True)
class OrderPaused(Fact):
    number: str
    by: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class OrderFinished(Fact):
    number: str
    by: str


# ----------------------------------------------------------------------------- items on the belt


@dataclass(frozen=True, slots=True)
class RunBegan(Fact):
    """The PLC numbers items anew: nothing that was in flight is known any longer.

    `doubtful` are units whose place on the belt was known and now is not.
    """

    run: int
    why: str
    doubtful: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ItemSeen(Fact):
    """A trigger: an item is at a station. Order attaches here, at the item's first station."""

    durable: ClassVar[bool] = False
    station: str
    item: int
    lane: int
    encoder: int
    order: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class ItemRead(Fact):
    """A reader of a station without a verdict of its own (or one of several) read an item."""

    durable: ClassVar[bool] = False
    station: str
    reader: str
    item: int
    reads: tuple[tuple[str, CodeKey], ...]  # (role, key)
    fault: str = ""  # verdict to carry on: no_read, duplicate ...


@dataclass(frozen=True, slots=True)
class ItemPrinted(Fact):
    """The device reported a print and it was paired with the item that triggered it."""

    durable: ClassVar[bool] = False
    station: str
    item: int
    key: CodeKey


@dataclass(frozen=True, slots=True)
class PrintUnpaired(Fact):
    """A print was reported before (or without) its trigger."""

    durable: ClassVar[bool] = False
    station: str
    key: CodeKey


@dataclass(frozen=True, slots=True)
class PrintMissed(Fact):
    """The item triggered the coder while the coder had nothing to print."""

    durable: ClassVar[bool] = False
    station: str
    item: int


@dataclass(frozen=True, slots=True)
class PrintPairingLost(Fact):
    """Prints and triggers of this coder are not in step (an event was lost): what was expected on
    which item is not known, and they are counted against each other anew."""

    durable: ClassVar[bool] = False
    station: str


@dataclass(frozen=True, slots=True)
class ItemPassed(Fact):
    """Verdict PASS. `commissioned`: the unit's life begins here; else the codes are added to it."""

    station: str
    item: int
    unit: int
    level: str
    order: str
    codes: tuple[Attachment, ...]
    commissioned: bool


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class GatePassed(Fact):
    """The PLC saw the item leave the gate on the belt."""

    durable: ClassVar[bool] = False
    station: str
    item: int


@dataclass(frozen=True, slots=True)
class RejectConfirmed(Fact):
    """The item is off the line. `unit` is set when the record had it as a live unit: the unit is
    rejected with it. `judged` is False when the gate rejected it before any verdict; `passed` is
    True when the verdict had been PASS and came too late for the gate."""

    station: str
    item: int
    unit: int | None = None
    judged: bool = True
    passed: bool = False


@dataclass(frozen=True, slots=True)
class RejectFailed(Fact):
    """The gate did not do its work: an item with a reject verdict is on the belt."""

    station: str
    item: int


@dataclass(frozen=True, slots=True)
class ForeignRejected(Fact):
    """A rejector that is not ours took the item."""

    station: str
    item: int
    unit: int | None = None


@dataclass(frozen=True, slots=True)
class PathEntered(Fact):
    """The photo-eye at the end of a path saw the item arrive in a lane."""

    durable: ClassVar[bool] = False
    station: str
    lane: int
    item: int


@dataclass(frozen=True, slots=True)
class ItemsMissed(Fact):
    """Items left `station` and were overtaken on a path where nothing can overtake: they are off
    the belt or lying on it."""

    station: str
    items: tuple[int, ...]
    units: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class UnitsDoubted(Fact):
    """What the record says of these units' place or code may be wrong (`why`: catalogue key)."""

    units: tuple[int, ...]
    why: str


# ------------------------------------------------------------------------------------ containers


@dataclass(frozen=True, slots=True)
class StrokeSeen(Fact):
    """The packer moved children into container `number`: `units` by lane and count, None where the
    lane's order is not known."""

    durable: ClassVar[bool] = False
    station: str
    number: int
    units: tuple[int | None, ...]
    counts: tuple[int, ...]
    last: bool


@dataclass(frozen=True, slots=True)
class ContainerSeen(Fact):
    """A trigger: a container is at a station of its zone."""

    durable: ClassVar[bool] = False
    station: str
    number: int


@dataclass(frozen=True, slots=True)
class ContainerJudged(Fact):
    """A verdict was given for the container at this station; what it was is in other facts."""

    durable: ClassVar[bool] = False
    station: str
    number: int


@dataclass(frozen=True, slots=True)
class PartialAllowed(Fact):
    """A person said why the open (or the next short) container of this station is partial."""

    station: str
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class ContainerFormed(Fact):
    """The packer put children into a container: it exists, without a code yet.

    `number` is the PLC's container number in its run; `expected` the scheme's count.
    """

    unit: int
    level: str
    order: str
    station: str
    number: int
    expected: int


@dataclass(frozen=True, slots=True)
class Packed(Fact):
    """Children were bound to a parent. `children[i]` is at place `first_place + i`; None is an
    unknown child. `evidence` has one value for all or one for each child."""

    container: int
    children: tuple[int | None, ...]
    evidence: tuple[LinkEvidence, ...]
    first_place: int = 0


@dataclass(frozen=True, slots=True)
class ContainerRefused(Fact):
    """A container was rejected before it held a link: too many unknown children, a child that is
    not allowed there, too many children. `unit` is None where it had not been formed."""

    station: str
    number: int
    verdict: str
    order: str
    unit: int | None = None
    seen: tuple[CodeKey, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelAssigned(Fact):
    """A code was chosen for the label that is to be printed for this container. Not yet bound."""

    container: int
    key: CodeKey
    device: str


@dataclass(frozen=True, slots=True)
class LabelBound(Fact):
    """The container's own codes were read on it."""

    container: int
    codes: tuple[Attachment, ...]
    own: OwnCode
    station: str


@dataclass(frozen=True, slots=True)
class ContainerClosed(Fact):
    """Nothing more goes in. `reason` is set for a partial container."""

    container: int
    count: int
    unknown: int
    integrity: Integrity
    reason: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class ContainerRejected(Fact):
    """A container that holds links was rejected (label unread, wrong label, ...). It keeps its
    content; `verdict` says why it left the line."""

    container: int
    station: str
    verdict: str


# ---------------------------------------------------------------------------------------- alarms


@dataclass(frozen=True, slots=True)
class AlarmRaised(Fact):
    """`alarm` names the condition (one open alarm per name), `key` its text in the catalogue,
    `item` the first item it can concern, `args` what the text needs."""

    alarm: str
    priority: int
    key: str
    station: str = ""
    item: int | None = None
    args: tuple[tuple[str, str], ...] = ()
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class AlarmCleared(Fact):
    alarm: str


@dataclass(frozen=True, slots=True)
class AlarmAcknowledged(Fact):
    alarm: str
    by: str


KINDS: dict[str, type[Fact]] = {kind.__name__: kind for kind in Fact.__subclasses__()}
"""Every kind of fact by its name in the journal."""
