"""What the shell has to do after the facts are durable. An effect that is lost in a crash does no
harm: no verdict is a reject, and a code in a state of sending is suspect at the next start."""

from dataclasses import field

from agent.core.facts import CodeKey
from agent.core.scheme import WorkOrder
from agent.core.values import value


@value(frozen=True, slots=True)
class Effect:
    """Base of all effects."""


@value(frozen=True, slots=True)
class SetSlot(Effect):
    """Write the verdict of one item or container into its slot at the PLC."""

    station: str
    number: int
    passed: bool


@value(frozen=True, slots=True)
class SendCodes(Effect):
    """Hand the codes of these pool rows to the coder of the station, in this session of its
    connection and in no other. They are SENDING already."""

    station: str
    pool: int
    column: int
    first: int
    count: int
    session: int = 0


@value(frozen=True, slots=True)
class PrintLabel(Effect):
    """Print the label of a container. Its code is SENDING already. `order` is the container's, `by`
    who started the line's; labels show what these say."""

    station: str
    container: int
    number: int
    key: CodeKey
    level: str
    count: int
    session: int = 0
    order: WorkOrder | None = field(default=None, compare=False)
    by: str = field(default="", compare=False)


@value(frozen=True, slots=True)
class PrinterReady(Effect):
    """The record knows of the new session with the station's printer: codes may be handed over."""

    station: str
    session: int
