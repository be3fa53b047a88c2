"""Facts of work orders."""

from agent.core.facts.words import Fact
from agent.core.scheme import WorkOrder
from agent.core.values import value


@value(frozen=True, slots=True)
class OrderCreated(Fact):
    order: WorkOrder
    by: str


@value(frozen=True, slots=True)
class OrderStarted(Fact):
    number: str
    by: str


@value(frozen=True, slots=True)
class OrderPaused(Fact):
    number: str
    by: str
    why: str = ""


@value(frozen=True, slots=True)
class OrderFinished(Fact):
    number: str
    by: str
