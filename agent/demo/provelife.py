"""One life of an agent that drives one printer: store, commit gate, line shell, print desk, driver.

All of it is what runs at a plant, but for the PLC and the reader, which the proof plays. It can be
killed at any moment, with all that was not committed, and another one started on the same store.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from agent.clockwatch import clock
from agent.core import clearance
from agent.core import facts as f
from agent.core import inputs as i
from agent.core.errors import CaselinkError
from agent.core.plan import LinePlan, PathKind, ReaderPlan, Station
from agent.core.plan import Path as BeltPath
from agent.core.poolfile import Declared
from agent.core.poolread import read_pool
from agent.core.scheme import LevelSpec, PackingScheme, WorkOrder
from agent.demo.simagent import InlineGate, Moment
from agent.health import Health
from agent.line.printing import Pace, PrintDesk
from agent.line.runner import LineRunner
from agent.ports.line import Committed
from agent.ports.plc import PlcOutputs, PlcReport, Slot, SlotVerdict
from agent.ports.printing import Printer
from agent.services import pool_files
from agent.store.database import Database
from agent.store.writer import Writer
from drivers import registry
from drivers.context import DeviceContext

LINE, ROLE, ORDER, POOL = "proof", "code", "WO-1", 1
CODER, READER = "coder", "reader"
NEAR = 16
"""Products that fit between printer and reader, with a margin."""
PACE = Pace(full=0.02, look=0.02, settle=0.01, silent=0.3, compare=100)
ENDS = 10.0
AGAIN = 0.01
"""Seconds between two sessions with the printer."""


def plan_of(window: int) -> LinePlan:
    """A printer and a reader with a gate."""
    coder = Station(
        CODER, 0, "print", "item", device="dut", role=ROLE, window=window, unseen_after=NEAR
    )
    reader = Station(READER, 1, "verify", "item", readers=(ReaderPlan("eye", (ROLE,)),))
    return LinePlan(LINE, (coder, reader), (BeltPath(CODER, READER, PathKind.SINGLE_FILE),))


class SimPlc:
    """ports.LinePlc and ports.PrintGate as the proof needs them: it keeps verdicts, and lets one
    signal of the photo-eye through for each number that it was given."""

    def __init__(self) -> None:
        self.verdicts: dict[int, SlotVerdict] = {}
        self.judged = asyncio.Event()
        self.open_for = 0
        self._number = 0

    def product(self) -> bool:
        """A product is at the printer's photo-eye: whether its signal goes through."""
        let, self.open_for = self.open_for, 0
        return bool(let)

    async def allow(self, number: int) -> None:
        if number != self._number:
            self._number = self.open_for = number

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def poll(self) -> PlcReport:
        raise NotImplementedError("the proof tells what a PLC would")

    async def write_slots(self, slots: Sequence[Slot]) -> None:
        for slot in slots:
            self.verdicts[slot.number] = slot.verdict
        self.judged.set()

    async def write_outputs(self, outputs: PlcOutputs) -> None: ...


class Record:
    """What the facts of all lives said that the proof asks about later."""

    def __init__(self) -> None:
        self.sessions = 0
        self.inferred: set[int] = set()
        self.by_clearance: set[int] = set()
        self.alarms: dict[str, int] = {}

    def observe(self, committed: Committed) -> None:
        """Take note of facts that are durable."""
        for fact in committed.facts:
            if isinstance(fact, f.CodesMoved) and fact.why in ("inferred", clearance.WHY):
                about = self.inferred if fact.why == "inferred" else self.by_clearance
                about.update(range(fact.first, fact.first + fact.count))
            elif isinstance(fact, f.PrinterSessionBegan):
                self.sessions += 1
            elif isinstance(fact, f.AlarmRaised):
                self.alarms[fact.key] = self.alarms.get(fact.key, 0) + 1


class Life:
    """One life of the agent, from a folder with a store in it to its end. `texts` are the codes to
    issue, for a folder without."""

    def __init__(
        self, folder: Path, plc: SimPlc, section: dict[str, object], window: int, record: Record
    ) -> None:
        self.database = Database.open(folder / "caselink.db", folder / "caselink.key")
        self.writer = Writer(self.database.conn)
        plan = plan_of(window)
        self.gate = InlineGate(self.writer, [plan])
        self._health = Health("dut", "printer")
        self.runner = LineRunner(plan, self.gate, plc, Health("plc", "plc"), record.observe)
        self.printer = registry.build("dut", section, DeviceContext())
        assert isinstance(self.printer, Printer)
        gated = plc if self.printer.capability.repeat_risk else None
        self.gated = gated is not None
        self.desk = PrintDesk(
            plan.by_id[CODER],
            self.printer,
            self.runner.report,
            lambda effect, text: {ROLE: text},
            health=self._health,
            gate=gated,
            pace=PACE,
        )
        self.runner.desks.append(self.desk)
        self._tasks: list[asyncio.Task[None]] = []

    def issue(self, texts: Sequence[str]) -> None:
        """Import the codes to print."""
        data = "\n".join([ROLE, *texts, ""]).encode()
        file = read_pool(data, Declared("proof", "item", (ROLE,)))
        self.writer.run_inline(lambda conn: pool_files.keep(conn, file, clock()))

    async def begin(self, *, first: bool) -> None:
        """Begin to run; the first life creates the work order and starts it."""
        if first:
            level = LevelSpec("item", ROLE, (ROLE,))
            scheme = PackingScheme("proof", (level,))
            order = WorkOrder(ORDER, LINE, "p", "A", scheme, 1, {f"item/{ROLE}": POOL})
            await self.runner.command(i.RunChanged(1, "first_start"))
            await self.runner.command(i.CreateOrder(order, "proof"))
            await self.runner.command(i.StartOrder(ORDER, "proof"))
        else:
            await self.runner.command(i.RunChanged(1, "agent_restart"))
        loop = asyncio.get_running_loop()
        work = (self.runner.run_writer(), self._sessions())
        self._tasks = [loop.create_task(each) for each in work]

    async def kill(self, moment: Moment, patience: float) -> None:
        """End here and now, or at the next commit if there is one soon; nothing is said good-bye
        to, and what was not committed is gone."""
        self.gate.dying = moment
        if moment != "now":
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self.gate.reached.wait()
        await self.end()

    async def end(self) -> None:
        """Stop everything where it stands; a bug of its tasks comes out here."""
        for task in self._tasks:
            task.cancel()
        async with asyncio.timeout(ENDS):
            for task in self._tasks:
                with suppress(asyncio.CancelledError):
                    await task
        await self.printer.close()
        self.database.close()

    async def _sessions(self) -> None:
        """Session after session with the printer, as the supervisor does."""
        while True:
            try:
                await self.printer.open()
                await self.desk.run()
            except CaselinkError:
                pass
            finally:
                await self.printer.close()
            await asyncio.sleep(AGAIN)
