"""The shell when the store refuses, stands still, or is too slow: the line comes down honestly and
goes on by itself."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from agent.core import inputs as i
from agent.core.effects import PrinterReady, PrintLabel
from agent.core.errors import CaselinkError, TransientError
from agent.core.facts import CodeKey
from agent.core.life import IllegalTransition
from agent.core.plan import LinePlan, Path, PathKind, ReaderPlan, Station
from agent.core.state import LineState
from agent.health import Health
from agent.line import printing
from agent.line.printing import PrintDesk
from agent.line.runner import QUEUED, LineRunner
from agent.ports.line import Committed, Stamped
from agent.ports.plc import PlcEvent, PlcEventKind, PlcOutputs, PlcReport, Slot
from agent.ports.printing import Evidence, PrinterCapability, PrinterStatus, PrintEvent, PrintJob

T = TypeVar("T")

PLAN = LinePlan(
    "L1",
    (
        Station("verify", 0, "verify", "bottle", readers=(ReaderPlan("cam", ("body",)),)),
        Station("packer", 1, "pack", "case", readers=(ReaderPlan("top", ("body",)),), lanes=2),
    ),
    (Path("verify", "packer", PathKind.SINGLE_FILE),),
)


class MemoryGate:
    """ports.CommitGate that keeps groups in memory; `failures` are raised first, one a group."""

    def __init__(self, *failures: CaselinkError) -> None:
        self.failures = list(failures)
        self.groups: list[list[i.Input]] = []
        self.answers = True
        self.effects: tuple[PrintLabel, ...] = ()

    async def submit(self, line: str, inputs: Sequence[Stamped]) -> Committed:
        if self.failures:
            raise self.failures.pop(0)
        self.groups.append([what for what, _ in inputs])
        texts = {effect.key: "C" for effect in self.effects}
        return Committed((), self.effects, texts)

    async def view(self, line: str, read: Callable[[LineState], T]) -> T:
        if not self.answers:
            raise TransientError("the disk does not answer")
        return read(LineState(line, status="running"))


class MemoryPlc:
    """ports.LinePlc whose reports are given beforehand; the last one repeats with a new beat."""

    def __init__(self, *reports: PlcReport) -> None:
        self.reports = list(reports)
        self.polls = 0
        self.outputs: list[PlcOutputs] = []

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def poll(self) -> PlcReport:
        self.polls += 1
        if self.reports:
            return self.reports.pop(0)
        return report(heartbeat=self.polls)

    async def write_slots(self, slots: Sequence[Slot]) -> None: ...

    async def write_outputs(self, outputs: PlcOutputs) -> None:
        self.outputs.append(outputs)


class FullPrinter:
    """ports.Printer that takes nothing."""

    capability = PrinterCapability(Evidence.NONE, 0, repeat_risk=False, clears=False)

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def send(self, job: PrintJob) -> bool:
        return False

    async def next_event(self, timeout: float) -> PrintEvent | None:
        return None

    async def status(self) -> PrinterStatus:
        return PrinterStatus(ready=False)

    async def clear(self) -> bool:
        return False


def report(*events: PlcEvent, run: int = 7, heartbeat: int = 0) -> PlcReport:
    return PlcReport(run, heartbeat, events, 0, frozenset(), 0, 0, 0.0)


def event(kind: PlcEventKind, station: int = 0, number: int = 1) -> PlcEvent:
    return PlcEvent(0, kind, station, 0, number, 0)


def runner(gate: MemoryGate, plc: MemoryPlc) -> LineRunner:
    return LineRunner(PLAN, gate, plc, Health("plc", "plc", "ok"), lambda committed: None)


async def until(done: Callable[[], bool], *works: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run tasks until a condition holds; a task that ends before is a failure."""
    tasks = [asyncio.create_task(work()) for work in works]
    try:
        async with asyncio.timeout(5):
            while not done():
                for task in tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.005)
    finally:
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, CaselinkError):
                await task


def test_a_group_that_contradicts_the_tables_does_not_end_the_line() -> None:
    async def play() -> None:
        gate = MemoryGate(IllegalTransition("a code that is void cannot become attached"))
        line = runner(gate, MemoryPlc(report()))

        def stroke() -> bool:
            if not gate.failures and not line._urgent.qsize():
                line.tell(i.Stroked("packer", 1, (1, 1)))
            return any(isinstance(what, i.Stroked) for group in gate.groups for what in group)

        line.tell(i.ItemTriggered("verify", 1))
        await until(stroke, line.run_writer, line.run_plc)
        kinds = [type(what).__name__ for group in gate.groups for what in group]
        # What came after the loss is told only after the doubt.
        assert kinds.index("RunChanged") < kinds.index("Stroked")
        (doubt,) = [w for g in gate.groups for w in g if getattr(w, "why", "") == "inputs_lost"]
        assert doubt == i.RunChanged(7, "inputs_lost")

    asyncio.run(play())


def test_a_print_is_written_though_nothing_urgent_comes() -> None:
    async def play() -> None:
        gate = MemoryGate()
        line = runner(gate, MemoryPlc(report()))
        taken = i.PrintAccepted("coder", 4, 1, 1, 0)
        looks = 0

        def written() -> bool:
            nonlocal looks
            looks += 1
            if looks == 3:  # the writer waits by now
                line.tell(taken, lazy=True)
            return bool(gate.groups)

        await until(written, line.run_writer)
        assert gate.groups == [[taken]]

    asyncio.run(play())


def test_a_loss_is_told_though_nothing_else_comes() -> None:
    async def play() -> None:
        gate, plc = MemoryGate(), MemoryPlc(report())
        line = runner(gate, plc)
        await until(lambda: len(gate.groups) == 1, line.run_plc, line.run_writer)
        gate.failures.append(TransientError("the disk is full"))
        line.tell(i.ItemTriggered("verify", 1))
        await until(lambda: len(gate.groups) == 2, line.run_writer)
        assert gate.groups[1] == [i.RunChanged(7, "inputs_lost")]

    asyncio.run(play())


def test_a_writer_with_nothing_to_write_is_seen_to_turn() -> None:
    async def play() -> None:
        line = runner(MemoryGate(), MemoryPlc(report()))
        seen: set[float] = set()

        def turned() -> bool:
            seen.add(line._turned["writer"])
            return len(seen) > 3

        await until(turned, line.run_writer)

    asyncio.run(play())


def test_inputs_that_are_lost_make_the_belt_doubtful_and_nothing_older_is_told() -> None:
    async def play() -> None:
        gate, plc = MemoryGate(), MemoryPlc(report())
        line = runner(gate, plc)
        await until(lambda: plc.polls > 1, line.run_plc)
        for number in range(QUEUED + 1):
            line.tell(i.ItemEntered("packer", 0, number))
        await until(lambda: bool(gate.groups), line.run_writer)
        assert gate.groups[0][0] == i.RunChanged(7, "inputs_lost")
        told = [what for what in gate.groups[0] if isinstance(what, i.ItemEntered)]
        assert 0 < len(told) <= 2
        assert told[-1].item == QUEUED

    asyncio.run(play())


def test_a_line_without_inputs_runs_again_after_the_store_failed() -> None:
    async def play() -> None:
        gate, plc = MemoryGate(TransientError("disk full")), MemoryPlc(report())
        line = runner(gate, plc)
        await until(
            lambda: any(each.run_permission for each in plc.outputs),
            line.run_plc,
            line.run_writer,
            line.run_wishes,
        )
        assert gate.failures == []

    asyncio.run(play())


def test_events_that_came_with_a_new_link_are_told_while_the_store_stands_still() -> None:
    async def play() -> None:
        gate = MemoryGate()
        plc = MemoryPlc(report())
        line = runner(gate, plc)
        await until(lambda: plc.polls > 1, line.run_plc)
        gate.answers = False
        plc.reports = [report(event(PlcEventKind.STROKE, station=1))]
        before = plc.polls
        await until(lambda: plc.polls > before + 3, line.run_plc)
        gate.answers = True
        await until(lambda: bool(gate.groups), line.run_writer)
        told = [what for group in gate.groups for what in group]
        assert [type(what) for what in told] == [i.RunChanged, i.Stroked]

    asyncio.run(play())


def test_a_store_that_stands_still_takes_the_permission_and_not_the_polling() -> None:
    async def play() -> None:
        gate, plc = MemoryGate(), MemoryPlc(report())
        gate.answers = False
        line = runner(gate, plc)
        await until(lambda: len(plc.outputs) >= 3, line.run_plc, line.run_wishes)
        assert plc.polls > 20
        assert not any(each.run_permission for each in plc.outputs)

    asyncio.run(play())


def test_a_printer_that_takes_nothing_does_not_end_the_line() -> None:
    async def play() -> None:
        gate = MemoryGate()
        line = runner(gate, MemoryPlc(report()))
        label = Station("packer", 1, "label", "case", device="zpl", role="case-outer")
        line.desks.append(PrintDesk(label, FullPrinter(), line.report, lambda e, t: {"code": t}))
        line.desks[0].begin(PrinterReady("packer", 0))
        gate.effects = (PrintLabel("packer", 1, 1, CodeKey(1, 0, 0), "case", 2),)
        for _ in range(printing.QUEUED + 2):
            await line.command(i.PauseOrder("li"))
        assert len(gate.groups) == printing.QUEUED + 2

    asyncio.run(play())


def test_events_that_a_station_cannot_have_are_not_told() -> None:
    async def play() -> None:
        gate = MemoryGate()
        nonsense = [
            event(PlcEventKind.ENTERED),
            event(PlcEventKind.STROKE),
            event(PlcEventKind.TRIGGER, station=9),
        ]
        plc = MemoryPlc(report(), report(*nonsense, event(PlcEventKind.TRIGGER)))
        line = runner(gate, plc)
        await until(lambda: plc.polls > 3, line.run_plc)
        await until(lambda: bool(gate.groups), line.run_writer)
        told = [what for group in gate.groups for what in group]
        assert [type(what) for what in told] == [i.RunChanged, i.ItemTriggered]

    asyncio.run(play())


def test_an_idle_line_does_not_ask_for_codes_without_pause() -> None:
    async def play() -> None:
        gate = MemoryGate()
        line = runner(gate, MemoryPlc(report()))
        coder = Station("verify", 0, "print", "bottle", device="ink", role="body", window=4)
        desk = PrintDesk(coder, FullPrinter(), line.report, lambda e, t: {})
        line.desks.append(desk)
        desk.begin(PrinterReady(coder.id, 0))

        async def listen() -> None:
            await desk._send()

        def asked() -> list[i.Input]:
            return [w for group in gate.groups for w in group if isinstance(w, i.RefillWanted)]

        await until(lambda: len(asked()) >= 2, line.run_writer, listen)
        assert len(gate.groups) == 2

    loop = asyncio.new_event_loop()
    began = loop.time()
    loop.run_until_complete(play())
    assert loop.time() - began >= printing.ALWAYS.full
    loop.close()


def test_a_print_gate_is_told_to_the_plc_with_every_output() -> None:
    async def play() -> None:
        plc = MemoryPlc(report())
        line = runner(MemoryGate(), plc)
        gate = line.print_gate(Station("coder", 5, "print", "bottle", device="ink", role="body"))
        await gate.allow(3)
        assert [each.prints for each in plc.outputs] == [{5: 3}], "at once"
        await until(lambda: len(plc.outputs) >= 3, line.run_plc)
        assert {each.prints[5] for each in plc.outputs} == {3}
        await gate.allow(0)
        assert plc.outputs[-1].prints == {5: 0}

    asyncio.run(play())


def test_a_guard_that_is_opened_and_closed_disturbs_what_lies_on_the_belt() -> None:
    async def play() -> None:
        gate = MemoryGate()
        plc = MemoryPlc(
            report(),
            replace(report(event(PlcEventKind.STROKE, station=1)), flags=frozenset({"guard_open"})),
            report(event(PlcEventKind.STROKE, station=1)),
            report(),
        )
        line = runner(gate, plc)
        await until(lambda: not plc.reports[1:], line.run_plc)
        await until(lambda: sum(map(len, gate.groups)) >= 5, line.run_writer)
        told = [type(what) for group in gate.groups for what in group]
        around = [i.PathDisturbed, i.Stroked, i.Stroked, i.PathDisturbed]
        assert told == [i.RunChanged, *around], "before what came with it, and after"

    asyncio.run(play())


def test_a_belt_that_stood_and_starts_may_have_crept() -> None:
    """Told before what came with the start; not where a flag has told of the same stand."""

    def disturbances(*flags: str) -> list[str]:
        async def play() -> list[str]:
            gate = MemoryGate()
            reports = [replace(report(), flags=frozenset(each.split())) for each in flags]
            end = report(event(PlcEventKind.STROKE, station=1))
            plc = MemoryPlc(report(), *reports, end, report())
            line = runner(gate, plc)
            await until(lambda: not plc.reports[1:], line.run_plc)
            last = lambda: any(isinstance(w, i.Stroked) for g in gate.groups for w in g)  # noqa: E731
            await until(last, line.run_writer)
            told = [what for group in gate.groups for what in group]
            return [what.why for what in told if isinstance(what, i.PathDisturbed)]

        return asyncio.run(play())

    assert disturbances("running", "", "running") == ["restart"]
    assert disturbances("running", "jam", "", "running") == ["jam", "jam"]
    assert disturbances("", "running") == []
