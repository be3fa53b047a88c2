"""Facts of alarms."""

from dataclasses import dataclass

from agent.core.facts.words import Fact


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
