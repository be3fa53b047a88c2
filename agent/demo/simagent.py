"""An agent in memory: store, commit gate, line shell and devices in one process and one thread.

It is put together by the same builder as the real one. It can be killed at any moment, with all
that was not committed, and another one started on the same database.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal, TypeVar

from agent.app.lines import Line, LineBuilder
from agent.app.services import account_of
from agent.clockwatch import clock
from agent.core import inputs as i
from agent.core.facts import AgentStarted
from agent.core.plan import LinePlan
from agent.core.state import LineState
from agent.demo.operator import attend
from agent.demo.simports import MemoryDevices, MemoryPlc
from agent.line.runner import LineRunner
from agent.ports.line import Committed, Stamped
from agent.sections import Site
from agent.store.database import Connection
from agent.store.gate import Gate
from agent.store.record import record
from agent.store.writer import Writer
from drivers.sim.text_coder import TextCoder
from drivers.sim.zpl_printer import ZplPrinter

T = TypeVar("T")

VERSION = "simulated"

Moment = Literal["now", "before_commit", "after_commit"]
"""When an agent dies: at once, with a group decided and not kept, or with a group that is durable
and whose effects never left."""


class InlineGate:
    """ports.CommitGate that decides and commits at once, in the caller's thread; while `commits`
    is not set, what is handed over waits for the disk."""

    def __init__(self, writer: Writer, plans: Sequence[LinePlan]) -> None:
        self._writer = writer
        self._gate = Gate(writer, plans)
        self.dying: Moment = "now"
        self.reached = asyncio.Event()
        self.commits = asyncio.Event()
        self.commits.set()

    async def submit(self, line: str, inputs: Sequence[Stamped]) -> Committed:
        """ports.CommitGate.submit."""
        if self.dying == "before_commit":
            await self._dead()
        if not self.commits.is_set():
            await self.commits.wait()
        done = self._writer.run_inline(lambda conn: self._gate.decide(conn, line, inputs))
        if self.dying == "after_commit":
            await self._dead()
        # How long it took here says nothing, and would differ from run to run.
        return Committed(done.facts, done.effects, done.texts)

    async def _dead(self) -> None:
        self.reached.set()
        await asyncio.get_running_loop().create_future()

    async def view(self, line: str, read: Callable[[LineState], T]) -> T:
        """ports.CommitGate.view."""
        return self.look(line, read)

    def look(self, line: str, read: Callable[[LineState], T]) -> T:
        """`view`, without a wait."""
        return self._writer.run_inline(lambda conn: self._gate.look(conn, line, read))


class SimAgent:
    """One life of an agent with one line. `models` are the plant's printers by device, `hand` is
    the person with the scanner (simscan)."""

    def __init__(
        self,
        site: Site,
        conn: Connection,
        plc: MemoryPlc,
        models: Mapping[str, TextCoder | ZplPrinter],
        seed: int,
        hand: Callable[[LineState], list[i.Input]] | None = None,
    ) -> None:
        self._hand = hand
        section = site.lines[0]
        writer = Writer(conn)
        writer.run_inline(lambda conn: record(conn, "", [AgentStarted(VERSION)], clock()))
        self.gate = InlineGate(writer, [section.plan()])
        self.devices = MemoryDevices(plc, models, seed)
        self.line: Line = LineBuilder(site, None, self.devices).build(section, self.gate)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def runner(self) -> LineRunner:
        return self.line.runner

    def start(self) -> None:
        """Begin to run; needs the running loop."""
        loop = asyncio.get_running_loop()
        runner = self.runner
        more = () if self._hand is None else (self._hand,)
        person = attend(lambda read: self.gate.look(runner.plan.id, read), runner.command, more)
        work = {**self.line.work(), "person": person}
        self._tasks = [loop.create_task(each, name=name) for name, each in work.items()]

    def due(self) -> float:
        """When something of the line is to be done by the clock."""
        return min(watch.due for watch in self.runner.watches)

    async def end(self) -> None:
        """Stop everything where it stands. TransientError and bugs of its tasks come out here."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task

    def account(self) -> dict[str, Any]:
        """The line's counts (agent.app.services)."""
        runner = self.runner
        found = self.gate.look(runner.plan.id, lambda state: account_of(runner, state))
        return {**found, "latency_ms": runner.latency.percentiles()}

    # LineControl, as services need it

    async def command(self, line: str, what: i.Input) -> None:
        """ports.LineControl.command."""
        await self.runner.command(what)

    def snapshot(self, line: str) -> Mapping[str, Any]:
        """ports.LineControl.snapshot."""
        return self.line.snapshot
