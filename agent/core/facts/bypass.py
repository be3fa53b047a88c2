"""Facts of bypass: the line runs without coding, and what passes is counted unseen."""

from agent.core.facts.words import Fact
from agent.core.values import value


@value(frozen=True, slots=True)
class BypassBegan(Fact):
    """A leader lets the line run without coding for at most `seconds` from the monotonic time
    `mono_ms` on."""

    by: str
    reason: str
    seconds: int
    mono_ms: int


@value(frozen=True, slots=True)
class BypassEnded(Fact):
    """The line codes again. `why` is person, time, restart (the clock began anew) or order;
    `unseen` is how many passed each station unseen."""

    by: str
    why: str
    unseen: tuple[tuple[str, int], ...]


@value(frozen=True, slots=True)
class ItemUnseen(Fact):
    """An item passed a station in bypass: it is no unit. `unit` is what it had become at an
    earlier station; where that is, nobody knows any more."""

    station: str
    item: int
    order: str
    unit: int | None = None


@value(frozen=True, slots=True)
class ContainerUnseen(Fact):
    """A container passed a station in bypass: nothing was read in it or on it. `unit` is None
    where it was never formed; `children` of those just packed had passed unseen before."""

    station: str
    number: int
    unit: int | None = None
    children: int = 0
