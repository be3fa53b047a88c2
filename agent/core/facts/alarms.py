"""Facts of alarms."""

from agent.core.facts.words import Fact
from agent.core.values import value


@value(frozen=True, slots=True)
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


@value(frozen=True, slots=True)
class AlarmCleared(Fact):
    alarm: str


@value(frozen=True, slots=True)
class AlarmAcknowledged(Fact):
    alarm: str
    by: str
