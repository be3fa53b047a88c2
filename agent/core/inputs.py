"""Everything that can happen to a line, as the shell reports it to `decide`. No fact yet: what it
means is decided in the core.

Code texts in inputs are canonical already (`codes.canonical`); a symbol whose text was refused is
counted in `refused`. `item` and `number` are the PLC's 16-bit numbers.
"""

from enum import StrEnum

from agent.core.facts import CodeKey
from agent.core.life import CodeState
from agent.core.scheme import WorkOrder
from agent.core.values import value


@value(frozen=True, slots=True)
class Input:
    """Base of all inputs."""


# --------------------------------------------------------------------------------- from the PLC


@value(frozen=True, slots=True)
class RunChanged(Input):
    """The PLC numbers anew, or we did not see what happened on the belt (`why`: first_start,
    plc_restart, agent_restart, ring_overrun)."""

    run: int
    why: str


@value(frozen=True, slots=True)
class ItemTriggered(Input):
    """A photo-eye saw an item. Over a packer: a stroke's children stand before the camera, and
    `layer` is the index of that stroke in its container."""

    station: str
    item: int
    lane: int = 0
    encoder: int = 0
    layer: int = 0


class GateSaw(StrEnum):
    PASSED = "passed"
    REJECTED = "rejected"
    FAILED = "failed"
    NOTHING = "nothing"  # the window went by and neither sensor saw anything


@value(frozen=True, slots=True)
class GateReported(Input):
    station: str
    item: int
    saw: GateSaw


@value(frozen=True, slots=True)
class ItemEntered(Input):
    """The photo-eye of a lane at the packer's infeed saw the item."""

    station: str
    lane: int
    item: int


@value(frozen=True, slots=True)
class Stroked(Input):
    """The packer moved `counts[lane]` children of each lane into container `number`; `last` says
    that the container moves on after this stroke."""

    station: str
    number: int
    counts: tuple[int, ...]
    last: bool = True


@value(frozen=True, slots=True)
class LanesCleared(Input):
    """A person took everything out of the packer's lanes and confirmed it at the PLC."""

    station: str


@value(frozen=True, slots=True)
class ForeignReject(Input):
    """A rejector that is not ours took the item, after the named station."""

    station: str
    item: int


@value(frozen=True, slots=True)
class PathDisturbed(Input):
    """Something happened after which the content of paths may have changed unseen (`why`: estop,
    guard_open, jam, plc_link; restart: the belt stood and starts, and may creep); into this
    station, or "" for the whole line."""

    why: str
    station: str = ""


# ----------------------------------------------------------------------------- from the readers


@value(frozen=True, slots=True)
class ItemReadings(Input):
    """What one reader made of one item (or of the content of one container).

    Given for every trigger and every reader of the station: `late` when the deadline passed first.
    `places` (content only) names the grid place of each text. `repeated` counts symbols whose text
    stood twice in the frame. `graded` is False when the quality index is below the station's limit.
    `blind`: late through no fault of the reader, as its pictures are not in step with the items and
    only a stop of the belt can bring them into step. `old_picture`: the camera answered with the
    picture that it had sent before, so nothing is known of this item.
    """

    station: str
    item: int
    reader: str
    texts: tuple[str, ...]
    refused: int = 0
    repeated: int = 0
    late: bool = False
    places: tuple[int, ...] = ()
    graded: bool = True
    blind: bool = False
    old_picture: bool = False


# --------------------------------------------------------------------------------- from printers


@value(frozen=True, slots=True)
class PrinterConnected(Input):
    """A new session: `cleared` says that the device acknowledged an empty queue.

    `counter` is where its counter of prints stood after that, -1 where it has none to rely on;
    `steady`: it stood still then. `kept`: it survives that the device is switched off. `last` is
    the position of the record that it printed last, -1 where it cannot say.
    """

    station: str
    cleared: bool
    counter: int = -1
    steady: bool = False
    kept: bool = False
    last: int = -1


@value(frozen=True, slots=True)
class PrinterCounted(Input):
    """The device's counter was compared with its reports: `missing` of its prints were not reported
    (< 0: so many reports of no print); 0: they agree at `counter`, with all reports told so far."""

    station: str
    counter: int
    missing: int = 0


@value(frozen=True, slots=True)
class RefillWanted(Input):
    """The device can take `room` more records."""

    station: str
    room: int


@value(frozen=True, slots=True)
class PrintAccepted(Input):
    """The device took the records from `first` on, of this pool column (-1: of the last one)."""

    station: str
    first: int
    count: int
    pool: int = -1
    column: int = 0


@value(frozen=True, slots=True)
class PrintReported(Input):
    """The device reports that the record at `position` of this pool column (-1: of the last one)
    was printed, with ports.Evidence."""

    station: str
    position: int
    evidence: int
    pool: int = -1
    column: int = 0


@value(frozen=True, slots=True)
class PrintDoubtful(Input):
    """It is not known whether the records were taken or printed (`why`: catalogue key).

    `held` are the codes that wait for the device or are in its hand for sure; None: the device is
    gone, and may still print what it took.
    """

    station: str
    why: str
    held: tuple[CodeKey, ...] | None = None


# ----------------------------------------------------------------------------------- from people


@value(frozen=True, slots=True)
class CreateOrder(Input):
    order: WorkOrder
    by: str


@value(frozen=True, slots=True)
class StartOrder(Input):
    """Start or resume the order on this line."""

    number: str
    by: str


@value(frozen=True, slots=True)
class ChangeOrder(Input):
    """Finish the line's order and start this one at the next item; what is on the belt keeps the
    order that it came with."""

    number: str
    by: str


@value(frozen=True, slots=True)
class PauseOrder(Input):
    by: str
    why: str = ""


@value(frozen=True, slots=True)
class FinishOrder(Input):
    by: str


@value(frozen=True, slots=True)
class ClosePartial(Input):
    """The container that is open at this pack station, or the next one that comes short, is a
    partial container for this reason."""

    station: str
    reason: str
    by: str


@value(frozen=True, slots=True)
class HandScanned(Input):
    """A person scanned codes of one container at the line: children, and its own code if they
    could. `complete`: these are all children that it holds. `empty`: it holds none, and `texts` is
    its own code."""

    texts: tuple[str, ...]
    complete: bool
    by: str
    empty: bool = False


@value(frozen=True, slots=True)
class BeginBypass(Input):
    """A leader, whose PIN was checked, lets the line run without coding for `seconds`."""

    by: str
    reason: str
    seconds: int


@value(frozen=True, slots=True)
class EndBypass(Input):
    by: str


@value(frozen=True, slots=True)
class BeginTestMode(Input):
    """Try the line with the scheme and pools of a work order that is not started by this."""

    order: str
    by: str


@value(frozen=True, slots=True)
class EndTestMode(Input):
    by: str


@value(frozen=True, slots=True)
class Tick(Input):
    """Time passes: what has a time limit may be over. Told every second while there is one."""


@value(frozen=True, slots=True)
class CodeCount:
    """The balance of a pool column (`name` is pool/role): `row` as in facts.LineCleared."""

    name: str
    row: tuple[str, int, int, int, int, int, int, int, int, int, int]
    difference: int


@value(frozen=True, slots=True)
class PoolRun:
    """Neighbouring codes of a pool column in the same state."""

    pool: int
    column: int
    first: int
    many: int
    state: CodeState


@value(frozen=True, slots=True)
class Roll:
    """A roll or carton of a pool that is used up, and how many of its codes were never read."""

    pool: int
    name: str
    first: int
    count: int
    unseen: int


@value(frozen=True, slots=True)
class ClearLine(Input):
    """A person says that the line is clear of a finished order. What the store counted comes with
    it: balances, the codes of the order's pools that are neither left, void nor on a unit, and how
    many units of each level are `loose`. `reason`: sign for what is missing."""

    order: str
    by: str
    reason: str = ""
    counts: tuple[CodeCount, ...] = ()
    runs: tuple[PoolRun, ...] = ()
    loose: tuple[tuple[str, int], ...] = ()
    rolls: tuple[Roll, ...] = ()


@value(frozen=True, slots=True)
class AcknowledgeAlarm(Input):
    alarm: str
    by: str


@value(frozen=True, slots=True)
class ConditionChanged(Input):
    """A standing condition of the shell (device lost, PLC lost, printer fault): raised or over."""

    alarm: str
    active: bool
    priority: int
    key: str
    station: str = ""
    args: tuple[tuple[str, str], ...] = ()


# --------------------------------------------------- from people, of units wherever they are


@value(frozen=True, slots=True)
class Rework(Input):
    """Base of what people do with units, on a line or off it: `reason` in their words or as a key
    of the catalogue, `by` who. It concerns the whole agent, so it is decided without a line."""

    reason: str
    by: str


@value(frozen=True, slots=True)
class Unpack(Rework):
    """Take these children out of the container; without children: empty it. A `text` that is on no
    container is taken out of the one it is in."""

    text: str
    children: tuple[str, ...] = ()


@value(frozen=True, slots=True)
class Replace(Rework):
    """Put child `new` into the place of `old`, or of an unknown child of `container`."""

    new: str
    old: str = ""
    container: str = ""


@value(frozen=True, slots=True)
class Sample(Rework):
    """These units leave the stock for a test or to be kept; a container with its content."""

    texts: tuple[str, ...]


@value(frozen=True, slots=True)
class Destroy(Rework):
    """These units are gone; a container with its content."""

    texts: tuple[str, ...]


@value(frozen=True, slots=True)
class Void(Rework):
    """These codes never live: by text, or all codes of a pool from position `first` to `last`."""

    texts: tuple[str, ...] = ()
    pool: int = -1
    first: int = 0
    last: int = -1


@value(frozen=True, slots=True)
class Hold(Rework):
    """Quality stops units (by text), or a lot of a product, or a pool's rows `first` to `last`."""

    texts: tuple[str, ...] = ()
    product: str = ""
    lot: str = ""
    pool: int = -1
    first: int = 0
    last: int = -1


@value(frozen=True, slots=True)
class Release(Rework):
    """Quality lets go: a hold by its number, or these units of every hold that names them."""

    hold: int = 0
    texts: tuple[str, ...] = ()


@value(frozen=True, slots=True)
class Pack(Rework):
    """Children that were scanned go into the container whose own code was scanned: a new one, or an
    open one. `preset` are the children that a linked set names for it, of which `children` were
    scanned to check it. `reason` (may be empty): why it stays partial. `layer` (from 1; 0 = none)
    of a container that is bound layer by layer: it stays open until the last one, in any order;
    without children, with a reason, it is closed as it is."""

    container: str
    children: tuple[str, ...]
    preset: tuple[str, ...] = ()
    layer: int = 0


@value(frozen=True, slots=True)
class Reopen(Rework):
    """A closed container is opened to be topped up."""

    container: str


@value(frozen=True, slots=True)
class Relabel(Rework):
    """The container with this code (or that holds the unit with it) gets the code `new`."""

    text: str
    new: str
