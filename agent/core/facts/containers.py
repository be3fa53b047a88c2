"""Facts of containers: strokes, content, labels."""

from typing import ClassVar

from agent.core.facts.words import Attachment, CodeKey, Fact, Integrity, LinkEvidence, OwnCode
from agent.core.values import value


@value(frozen=True, slots=True)
class StrokeSeen(Fact):
    """The packer moved children into container `number`: `units` by lane and count, None where the
    lane's order is not known."""

    durable: ClassVar[bool] = False
    station: str
    number: int
    units: tuple[int | None, ...]
    counts: tuple[int, ...]
    last: bool


@value(frozen=True, slots=True)
class ContainerSeen(Fact):
    """A trigger: a container is at a station of its zone; at its packer with this layer of it."""

    durable: ClassVar[bool] = False
    station: str
    number: int
    layer: int = 0


@value(frozen=True, slots=True)
class ContainerJudged(Fact):
    """A verdict was given for the container at this station; what it was is in other facts.
    `shown` are the units that strokes moved into it and the picture of its content shows, `codes`
    what was read of its own level."""

    durable: ClassVar[bool] = False
    station: str
    number: int
    shown: tuple[int, ...] = ()
    codes: tuple[CodeKey, ...] = ()


@value(frozen=True, slots=True)
class PartialAllowed(Fact):
    """A person said why the open (or the next short) container of this station is partial. With a
    `number` that one is: it came short and used the permission up, or the agent itself closes the
    last container of a lot (`by` empty)."""

    station: str
    reason: str
    by: str
    number: int = -1


@value(frozen=True, slots=True)
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


@value(frozen=True, slots=True)
class Packed(Fact):
    """Children were bound to a parent. `children[i]` is at place `first_place + i`; None is an
    unknown child. `evidence` has one value for all or one for each child.

    By order: `lanes` is how many each lane gave (the children stand row by row across them),
    `doubt` why their order is not certain ("" = it is), `disturbed` that something happened to
    them, or just before, that nothing explains, `child` that one of them was in doubt itself."""

    container: int
    children: tuple[int | None, ...]
    evidence: tuple[LinkEvidence, ...]
    first_place: int = 0
    lanes: tuple[int, ...] = ()
    doubt: str = ""
    disturbed: bool = False
    child: bool = False


@value(frozen=True, slots=True)
class ContainerRefused(Fact):
    """A container was rejected before it held a link: too many unknown children, a child that is
    not allowed there, too many children. `unit` is None where it had not been formed."""

    station: str
    number: int
    verdict: str
    order: str
    unit: int | None = None
    seen: tuple[CodeKey, ...] = ()


@value(frozen=True, slots=True)
class LabelAssigned(Fact):
    """A code was chosen for the label that is to be printed for this container. Not yet bound."""

    container: int
    key: CodeKey
    device: str


@value(frozen=True, slots=True)
class LabelBound(Fact):
    """The container's own codes were read on it."""

    container: int
    codes: tuple[Attachment, ...]
    own: OwnCode
    station: str


@value(frozen=True, slots=True)
class ContainerClosed(Fact):
    """Nothing more goes in. `reason` is set for a partial container."""

    container: int
    count: int
    unknown: int
    integrity: Integrity
    reason: str = ""
    by: str = ""


@value(frozen=True, slots=True)
class ContainerRejected(Fact):
    """A container that holds links was rejected (label unread, wrong label, ...). It keeps its
    content; `verdict` says why it left the line."""

    container: int
    station: str
    verdict: str
