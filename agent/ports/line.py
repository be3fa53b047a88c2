"""Between a line and the store: inputs in, durable facts and effects out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from agent.core.effects import Effect
from agent.core.facts import CodeKey, Fact
from agent.core.inputs import Input
from agent.core.known import Clock
from agent.core.state import LineState
from agent.core.values import value

T = TypeVar("T")
Stamped = tuple[Input, Clock]


@value(frozen=True, slots=True)
class Committed:
    """What became durable of a group of inputs, and what it cost.

    `facts` are all facts of the group, transient ones too; `effects` are to be carried out now, in
    order; `texts` are the code texts that the printing effects among them need, by code. Times in
    seconds: `decide` is look-up, decision and append, `commit` the durable transaction.
    """

    facts: tuple[Fact, ...]
    effects: tuple[Effect, ...]
    texts: Mapping[CodeKey, str]
    decide: float = 0.0
    commit: float = 0.0


class CommitGate(Protocol):
    """The only way from what happened to what is done: decide, append, commit, and only then
    hand out effects."""

    async def submit(self, line: str, inputs: Sequence[Stamped]) -> Committed:
        """Decide these inputs in order and make their facts durable together. DomainError: one of
        them was refused, nothing of this group was kept. TransientError: the store could not keep
        it; nothing of this group happened."""

    async def view(self, line: str, read: Callable[[LineState], T]) -> T:
        """Call `read` with the line's present state. It must not keep or change it."""


class LineControl(Protocol):
    """How services reach a running line."""

    async def command(self, line: str, what: Input) -> None:
        """Carry out what a person asked for (start, pause, finish ...); returns when it is durable.
        DomainError when the core refuses it, TransientError when the store cannot keep it."""

    def snapshot(self, line: str) -> Mapping[str, Any]:
        """The line as the panel shows it (docs/live-feed.md)."""
