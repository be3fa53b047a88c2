"""Facts of what is not certain, and of what makes it certain again."""

from typing import ClassVar

from agent.core.facts.words import CodeKey, Fact, Integrity, LinkEvidence
from agent.core.values import value


@value(frozen=True, slots=True)
class PathDisturbed(Fact):
    """Hands, or a stop, may have changed what lies on the paths into these stations and in the
    lanes of those that pack (`why`: estop, guard_open, jam, plc_link, count ...). `containers` are
    those on the line that were not closed: what was put into them may have changed too."""

    stations: tuple[str, ...]
    why: str
    containers: tuple[int, ...] = ()


@value(frozen=True, slots=True)
class PlacesMixed(Fact):
    """These numbers stand between their picture and the gate of a station, where hands or a stop
    may have let them change places (`why`). All of them are good so far."""

    durable: ClassVar[bool] = False
    station: str
    numbers: tuple[int, ...]
    why: str


@value(frozen=True, slots=True)
class ChildrenSeen(Fact):
    """Some children were read in a container that was packed by order, and they were predicted."""

    durable: ClassVar[bool] = False
    container: int
    children: tuple[int, ...]


@value(frozen=True, slots=True)
class ContainerConfirmed(Fact):
    """A full reading of a container that was packed by order came out as predicted. `settles`: all
    that lay in the lanes at the last disturbance was packed before it, so the order of what follows
    is certain again."""

    station: str
    container: int
    settles: bool


@value(frozen=True, slots=True)
class ContainersAnchored(Fact):
    """These containers were packed by order between `first` and `last`, whose full readings came
    out as predicted, and nothing unexplained happened between: they are anchored."""

    station: str
    first: int
    last: int
    containers: tuple[int, ...]


@value(frozen=True, slots=True)
class LinksCorrected(Fact):
    """What the container holds is not (or is better known than) what was recorded: `children` by
    place from 0 take the place of all earlier links of it, `removed` are children that were
    recorded in it and are not. A child that stands in another container leaves it; that one has a
    correction of its own. `integrity` is what the record is worth now, None while the container is
    open. `why`: read, scanned, slip, elsewhere."""

    container: int
    children: tuple[int | None, ...]
    removed: tuple[int, ...]
    evidence: tuple[LinkEvidence, ...]
    integrity: Integrity | None
    why: str
    by: str = ""


@value(frozen=True, slots=True)
class SlipFound(Fact):
    """The reading of container `found` (`whole`: of all that it holds) shows that the order in the
    lanes had slipped. `shifts` are (lane, place in its order, children gone, children more) that
    explain every reading since container `since` (0 = none was read in full); what they change is
    told by corrections. `containers` are those between; of `doubtful` it is not certain what they
    hold: they must be scanned. `doubt` is why the order of what follows is still doubtful ("" = it
    is certain). Without shifts nothing explains it, or several things do."""

    station: str
    found: int
    whole: bool
    since: int
    shifts: tuple[tuple[int, int, int, int], ...]
    containers: tuple[int, ...]
    doubtful: tuple[int, ...]
    doubt: str


@value(frozen=True, slots=True)
class LaneRestated(Fact):
    """What stands in a lane, after a slip was found: units in order, None = unknown."""

    durable: ClassVar[bool] = False
    station: str
    lane: int
    units: tuple[int | None, ...]


@value(frozen=True, slots=True)
class NeighbourSuspected(Fact):
    """An item that should have shown the code `expected` showed one of these units': if it shows
    its own later, a camera had read its neighbour."""

    durable: ClassVar[bool] = False
    units: tuple[int, ...]
    expected: CodeKey


@value(frozen=True, slots=True)
class ContainersBroken(Fact):
    """`child`, which the record has in one of these containers, was seen elsewhere (`why`: read,
    scanned, elsewhere): what else they hold is not known until they are scanned. One that was
    proven or anchored is worth inferred from here on."""

    containers: tuple[int, ...]
    child: int
    why: str


@value(frozen=True, slots=True)
class DoubtResolved(Fact):
    """Later evidence shows that the record of these units is right (`why`: catalogue key)."""

    units: tuple[int, ...]
    why: str
