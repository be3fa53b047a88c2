"""Facts of work orders."""

from dataclasses import dataclass

from agent.core.facts.words import Fact
from agent.core.scheme import WorkOrder


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
