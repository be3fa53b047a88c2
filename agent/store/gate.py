"""The commit gate: what happened -> look up, decide, append, commit -> and only then effects.

Serial for all lines of the agent, in the writer's thread. The gate owns each line's state; a group
of inputs that was refused or could not be kept leaves no trace, in the tables or in the state.

What people do with units is decided for the line `AGENT`, which has no stations: its facts concern
the whole agent and change the state of every line.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import msgspec

from agent import clockwatch
from agent.core import facts as f
from agent.core.decide import decide, questions
from agent.core.effects import Effect, PrintLabel, SendCodes
from agent.core.evolve import evolve
from agent.core.facts import CodeKey, Fact
from agent.core.inputs import ItemReadings, ItemTriggered, RunChanged
from agent.core.known import Clock, Questions
from agent.core.plan import LinePlan
from agent.core.state import LineState
from agent.ports.line import Committed, Stamped
from agent.store import journal, pools, snapshots
from agent.store.database import Connection
from agent.store.lookup import answer
from agent.store.record import record
from agent.store.turns import Turn
from agent.store.writer import Writer

log = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds after which a group that is not durable counts as lost."""
SNAPSHOT_EVERY = 1000
"""Journal rows between two snapshots of the lines' states."""


AGENT = ""
"""The name under which facts of the whole agent are written."""


@dataclass(slots=True)
class _Line:
    """`stale`: the state must be read again before the next input, as it has seen what the tables
    may not keep; it is so from a job's first fact to the job's end. `began`: it was read once, so
    that reading it again means that something was lost. `stored`: the hash of a journal row and the
    state as of it, for the next one who reads it: while a disk is full, every input does."""

    plan: LinePlan
    state: LineState
    stale: bool = True
    began: bool = False
    stored: tuple[bytes, bytes] = (b"", b"")


class Gate:
    """ports.CommitGate over a Writer."""

    def __init__(
        self, writer: Writer, plans: Iterable[LinePlan], snapshot_every: int = SNAPSHOT_EVERY
    ) -> None:
        self._writer = writer
        self._snapshot_every = snapshot_every
        everywhere = LinePlan(AGENT, (), ())
        self._lines = {plan.id: _Line(plan, LineState(plan.id)) for plan in (*plans, everywhere)}
        self._saved_at = 0
        writer.on_rollback(self._lost)

    async def submit(self, line: str, inputs: Sequence[Stamped]) -> Committed:
        """ports.CommitGate.submit."""
        began = time.perf_counter()
        urgent = any(isinstance(what, ItemTriggered | ItemReadings) for what, _ in inputs)
        turn = Turn.LINE if urgent else Turn.REPORT
        done = await self._writer.run(lambda conn: self.decide(conn, line, inputs), PATIENCE, turn)
        return replace(done, commit=time.perf_counter() - began - done.decide)

    async def view(self, line: str, read: Callable[[LineState], T]) -> T:
        """ports.CommitGate.view."""
        return await self._writer.run(lambda conn: self.look(conn, line, read), PATIENCE, Turn.LINE)

    # ------------------------------------------------------------------ in the writer's thread

    def look(self, conn: Connection, line: str, read: Callable[[LineState], T]) -> T:
        """`view`, as a job of the writer."""
        mine = self._lines[line]
        if mine.stale and mine.began:
            # The next input writes down what was lost. Until the disk can keep that, people must
            # see the line all the same.
            state = _stored(conn, mine)
            for fact in self._after_loss(conn, mine, state)[0]:
                state = evolve(mine.plan, state, fact)
            return read(state)
        mine, _ = self._ready(conn, line)
        seen = read(mine.state)
        mine.stale = False
        return seen

    def decide(self, conn: Connection, line: str, inputs: Sequence[Stamped]) -> Committed:
        """One group of inputs, as a job of the writer."""
        began = time.perf_counter()
        mine, facts = self._ready(conn, line)
        effects: list[Effect] = []
        read: dict[CodeKey, str] = {}
        durable = bool(facts)
        touched = [mine] if line != AGENT else self._true_ones()
        for what, clock in inputs:
            known = answer(conn, questions(mine.plan, mine.state, what), clock)
            new, todo = decide(mine.plan, mine.state, what, known)
            if not new:
                effects += todo
                continue
            self._keep(conn, line, touched, new, clock)
            durable = durable or any(fact.durable for fact in new)
            for code in known.codes.values():
                read[code.key] = code.text
            facts += new
            effects += todo
        if durable:
            self._snapshot(conn, mine)
        texts = _texts(conn, effects, facts, read)
        for each in (mine, *touched):
            each.stale = False
        return Committed(tuple(facts), tuple(effects), texts, decide=time.perf_counter() - began)

    def forget(self) -> None:
        """What was decided in this job is not kept: every line reads its state again."""
        for line in self._lines.values():
            line.stale = True

    def _true_ones(self) -> list[_Line]:
        """The lines whose state is true; the others read it again, with what happens now."""
        return [line for line in self._lines.values() if not line.stale]

    @staticmethod
    def _keep(
        conn: Connection, name: str, touched: Iterable[_Line], facts: Sequence[Fact], clock: Clock
    ) -> None:
        record(conn, name, facts, clock)
        for each in touched:
            each.stale = True
            for fact in facts:
                each.state = evolve(each.plan, each.state, fact)

    def _ready(self, conn: Connection, line: str) -> tuple[_Line, list[Fact]]:
        """The line with a state that is true, and the facts that made it so: what was in flight
        when a state was lost is not known any more, it is doubtful, as after a restart."""
        mine = self._lines[line]
        facts: list[Fact] = []
        if not mine.stale:
            return mine, facts
        state = mine.state = _stored(conn, mine)
        mine.stale = False
        if mine.began:
            facts, clock = self._after_loss(conn, mine, state)
            self._keep(conn, line, [mine], facts, clock)
        mine.began = line != AGENT
        return mine, facts

    @staticmethod
    def _after_loss(conn: Connection, mine: _Line, state: LineState) -> tuple[list[Fact], Clock]:
        """What is to be written down when a state was lost."""
        clock = clockwatch.clock()
        known = answer(conn, Questions(), clock)
        lost = RunChanged(state.run, "state_lost")
        return decide(mine.plan, state, lost, known)[0], clock

    def _lost(self, conn: Connection) -> None:
        """A transaction was not kept: every state may have seen facts that are not there."""
        self.forget()

    def _snapshot(self, conn: Connection, mine: _Line) -> None:
        seq, _, _ = journal.tail(conn)
        if seq - self._saved_at < self._snapshot_every:
            return
        for name, line in self._lines.items():
            # A line that nobody asked for yet, or that was lost, is saved as it is stored: else its
            # next start reads every row that the other lines write meanwhile.
            true = line is mine or not line.stale
            state = line.state if true else _stored(conn, line)
            snapshots.save(conn, name, msgspec.msgpack.encode(state))
        self._saved_at = seq


def _stored(conn: Connection, line: _Line) -> LineState:
    """A line's state as of the newest journal row: its snapshot and what was written since."""
    _, newest, _ = journal.tail(conn)
    if line.stored[0] != newest:
        line.stored = newest, msgspec.msgpack.encode(_read(conn, line.plan))
    return msgspec.msgpack.decode(line.stored[1], type=LineState)


def _read(conn: Connection, plan: LinePlan) -> LineState:
    seq, body = snapshots.load(conn, plan.id)
    state = LineState(plan.id)
    try:
        state = msgspec.msgpack.decode(body, type=LineState) if body else state
    except msgspec.DecodeError as error:
        log.warning(
            "Line %s: the saved state is of another version (%s); the journal is read from its "
            "beginning, which takes longer this once.",
            plan.id,
            error,
        )
        seq = 0
    for entry in snapshots.tail(conn, plan.id, seq):
        state = evolve(plan, state, entry.fact)
    return state


def _texts(
    conn: Connection,
    effects: Sequence[Effect],
    facts: Sequence[Fact],
    read: Mapping[CodeKey, str],
) -> dict[CodeKey, str]:
    """The texts that printing needs, as the pool spells them, and the canonical ones of codes just
    attached that a screen may show; `read` are those that were just looked up."""
    found: dict[CodeKey, str] = {}
    for effect in effects:
        match effect:
            case SendCodes(pool=pool, column=column, first=first, count=count):
                for n, text in enumerate(pools.texts(conn, pool, column, first, count)):
                    found[CodeKey(pool, first + n, column)] = text
            case PrintLabel(key=key):
                (found[key],) = pools.texts(conn, key.pool, key.column, key.position, 1)
    for fact in facts:
        if isinstance(fact, f.ItemPassed | f.LabelBound):
            for attachment in fact.codes[:1]:
                key = attachment.key
                owner = pools.describe(conn, key.pool)
                if key in found or owner is None or attachment.role in owner.secret:
                    continue
                known = read.get(key) or pools.text_of(conn, key)
                if known is not None:
                    found[key] = known
    return found
