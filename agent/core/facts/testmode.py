"""Facts of test mode: codes run on the line that never live."""

from agent.core.facts.words import CodeKey, Fact
from agent.core.values import value


@value(frozen=True, slots=True)
class TestModeBegan(Fact):
    """A person runs the line to try it, with the scheme and pools of work order `order`, which is
    not started by this."""

    order: str
    by: str


@value(frozen=True, slots=True)
class TestModeEnded(Fact):
    """What comes from now on is no test. `why` is person, order (one was started), or the alarm
    that stopped it; `seen` is how many were judged, by verdict."""

    by: str
    why: str
    seen: tuple[tuple[str, int], ...]


@value(frozen=True, slots=True)
class ItemTested(Fact):
    """An item of a test was judged: it is rejected whatever `verdict` says and becomes no unit.
    `codes` are what was read and printed on it; those that we print are void from here on, those
    that come printed stay what they are."""

    station: str
    item: int
    verdict: str
    order: str
    codes: tuple[CodeKey, ...] = ()
