"""Everything that can happen to a line, as the shell reports it to `decide`. No fact yet: what it
means is decided in the core.

Code texts in inputs are canonical already (`codes.canonical`); a symbol whose text was refused is
counted in `refused`. `item` and `number` are the PLC's 16-bit numbers.
"""

from dataclasses import dataclass
from enum import StrEnum

from agent.core.scheme import WorkOrder


@dataclass(frozen=True, slots=True)
class Input:
    """Base of all inputs."""


# --------------------------------------------------------------------------------- from the PLC


@dataclass(frozen=True, slots=True)
class RunChanged(Input):
    """The PLC numbers anew, or we did not see what happened on the belt (`why`: first_start,
    plc_restart, agent_restart, ring_overrun)."""

    run: int
    why: str


@dataclass(frozen=True, slots=True)
class ItemTriggered(Input):
    station: str
    item: int
    lane: int = 0
    encoder: int = 0


class GateSaw(StrEnum):
    PASSED = "passed"
    REJECTED = "rejected"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class GateReported(Input):
    station: str
    item: int
    saw: GateSaw


@dataclass(frozen=True, slots=True)
class ItemEntered(Input):
    """The photo-eye of a lane at the packer's infeed saw the item."""

    station: str
    lane: int
    item: int


@dataclass(frozen=True, slots=True)
class Stroked(Input):
    """The packer moved `counts[lane]` children of each lane into container `number`; `last` says
    that the container moves on after this stroke."""

    station: str
    number: int
    counts: tuple[int, ...]
    last: bool = True


@dataclass(frozen=True, slots=True)
class ForeignReject(Input):
    """A rejector that is not ours took the item, after the named station."""

    station: str
    item: int


# ----------------------------------------------------------------------------- from the readers


@dataclass(frozen=True, slots=True)
class ItemReadings(Input):
    """What one reader made of one item (or of the content of one container).

    Given for every trigger and every reader of the station: `late` when the deadline passed first.
    `places` (content only) names the grid place of each text. `repeated` counts symbols whose text
    stood twice in the frame. `graded` is False when the quality index is below the station's limit.
    `blind`: late through no fault of the reader, as its pictures are not in step with the items and
    only a stop of the belt can bring them into step.
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


# --------------------------------------------------------------------------------- from printers


@dataclass(frozen=True, slots=True)
class PrinterConnected(Input):
    """A new session: `cleared` says that the device acknowledged an empty queue."""

    station: str
    cleared: bool


@dataclass(frozen=True, slots=True)
class RefillWanted(Input):
    """The device can take `room` more records."""

    station: str
    room: int


@dataclass(frozen=True, slots=True)
class PrintAccepted(Input):
    """The device took the records from `first` on, of this pool column (-1: of the last one)."""

    station: str
    first: int
    count: int
    pool: int = -1
    column: int = 0


@dataclass(frozen=True, slots=True)
class PrintReported(Input):
    """The device reports that the record at `position` of this pool column (-1: of the last one)
    was printed, with ports.Evidence."""

    station: str
    position: int
    evidence: int
    pool: int = -1
    column: int = 0


@dataclass(frozen=True, slots=True)
class PrintDoubtful(Input):
    """It is not known whether the records were taken or printed (`why`: catalogue key)."""

    station: str
    why: str


# ----------------------------------------------------------------------------------- from people


@dataclass(frozen=True, slots=True)
class CreateOrder(Input):
    order: WorkOrder
    by: str


@dataclass(frozen=True, slots=True)
class StartOrder(Input):
    """Start or resume the order on this line."""

    number: str
    by: str


@dataclass(frozen=True, slots=True)
class PauseOrder(Input):
    by: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class FinishOrder(Input):
    by: str


@dataclass(frozen=True, slots=True)
class ClosePartial(Input):
    """The container that is open at this pack station, or the next one that comes short, is a
    partial container for this reason."""

    station: str
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class AcknowledgeAlarm(Input):
    alarm: str
    by: str


@dataclass(frozen=True, slots=True)
class ConditionChanged(Input):
    """A standing condition of the shell (device lost, PLC lost, printer fault): raised or over."""

    alarm: str
    active: bool
    priority: int
    key: str
    station: str = ""
    args: tuple[tuple[str, str], ...] = ()
