"""The print desk between the real core and store and a real coder driver on a real socket.

The device is the simulated coder: what it took and printed is the truth that the record is held
against. Nothing may be sent twice, whatever happens in between.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.effects import PrinterReady, PrintLabel, SendCodes
from agent.core.errors import TransientError
from agent.core.facts import CodeKey
from agent.core.life import CodeState
from agent.health import Health
from agent.line.printing import QUEUED, Pace, PrintDesk
from agent.ports.printing import (
    Evidence,
    PrinterCapability,
    PrinterStatus,
    PrintEvent,
    PrintEventKind,
    PrintJob,
)
from agent.supervisor import Session
from drivers.context import DeviceContext
from drivers.printers.profile import Profile, load_profile
from drivers.printers.text_coder import TextCoder, TextCoderConfig
from drivers.sim.text_coder import CoderServer, Record, message
from drivers.sim.text_coder import TextCoder as SimCoder
from tests.core.lines import CODER, LABEL, VERIFY, Line, chain
from tests.drivers.contract_printer import until


class Recorded(SimCoder):
    """The simulated coder with a memory of every record that it took."""

    def __init__(self, capacity: int = 16) -> None:
        super().__init__(capacity=capacity)
        self.taken: list[str] = []
        self.fullest = 0
        self.asked = 0

    def add(self, record: Record) -> bool:
        self.asked += 1
        took = super().add(record)
        if took:
            self.taken.append(record.texts[0])
            self.fullest = max(self.fullest, len(self.buffer))
        return took


class Stage:
    """A line with core and store, a print desk, a driver, and a coder on a socket."""

    def __init__(self, folder: Path, *, bottles: int = 40, capacity: int = 16) -> None:
        self.line = Line(folder, chain(CODER, VERIFY), bottles=bottles)
        self.line.tell(i.RunChanged(1, "first_start"), i.CreateOrder(self.line.order, "li"))
        self.coder = Recorded(capacity)
        self.server = CoderServer(self.coder)
        self.health = Health("ink", "printer")
        self.heard: list[i.Input] = []
        self.gate: Gate | None = None
        self.profile: str | Profile = "generic-queue"

    async def report(self, inputs: Sequence[i.Input], lazy: bool) -> None:
        """What the desk says goes to the core; what the core wants sent goes to the desk."""
        self.heard += inputs
        done = self.line.tell(*inputs)
        for effect in done.effects:
            if isinstance(effect, PrinterReady):
                self.desk.begin(effect)
            else:
                assert isinstance(effect, SendCodes)
                self.desk.give(effect, dict(done.texts))

    def play(self, scene: Callable[["Stage"], Awaitable[None]]) -> None:
        async def staged() -> None:
            port = await self.server.start()
            config = TextCoderConfig(
                address=f"tcp://127.0.0.1:{port}", profile=self.profile, reply_timeout=1.0
            )
            self.driver = TextCoder("ink", config, DeviceContext())
            self.desk = PrintDesk(
                CODER,
                self.driver,
                self.report,
                lambda effect, text: {},
                health=self.health,
                gate=self.gate,
                pace=Pace(full=0.1, look=0.02, settle=0.01, silent=0.05, compare=5),
            )
            try:
                async with asyncio.timeout(20):
                    await scene(self)
            finally:
                await self.server.stop()
                self.line.database.close()

        asyncio.run(staged())

    async def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 5
        while not condition():
            assert time.monotonic() < end, f"it did not come true: {self.heard[-5:]}"
            await asyncio.sleep(0.002)

    async def session(self, scene: Callable[[], Awaitable[None]]) -> BaseException | None:
        """One session of the desk, as the supervisor runs it; how it ended, None if we ended it."""
        await self.driver.open()
        work = asyncio.create_task(self.desk.run())
        try:
            await scene()
            if work.done():
                return work.exception()
            return None
        finally:
            work.cancel()
            await asyncio.wait([work], timeout=5)
            await self.driver.close()

    def start_order(self) -> None:
        self.line.tell(i.StartOrder("WO-1", "li"))
        self.desk.wake()

    async def bottle(self, item: int) -> None:
        """A bottle comes to the coder, which prints on it and says so."""
        before = self.count(i.PrintReported)
        await self.until(lambda: bool(self.coder.buffer))
        self.line.tell(i.ItemTriggered("coder", item))
        assert self.coder.fire(0.0) is not None
        await self.until(lambda: self.count(i.PrintReported) > before)

    def count(self, kind: type[i.Input]) -> int:
        return sum(isinstance(each, kind) for each in self.heard)

    def state(self, position: int) -> CodeState:
        return self.line.code(f"B-{position:04d}").state


def test_the_coder_is_kept_full_within_the_window_and_every_print_is_accounted_for(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path)

    async def scene(stage: Stage) -> None:
        async def shift() -> None:
            await stage.until(lambda: stage.count(i.PrinterConnected) == 1)
            assert stage.coder.taken == [], "no work order, no codes"
            stage.start_order()
            for item in range(20):
                await stage.bottle(item)
            await stage.until(lambda: len(stage.coder.buffer) == CODER.window)

        assert await stage.session(shift) is None
        taken = stage.coder.taken
        assert taken == [f"B-{n:04d}" for n in range(20 + CODER.window)]
        assert stage.coder.fullest == CODER.window
        assert [stage.state(n) for n in range(20)] == [CodeState.PRINTED] * 20
        pairs = [(fact.item, fact.key.position) for fact in stage.line.facts(f.ItemPrinted)]
        assert pairs == [(n, n) for n in range(20)]

    stage.play(scene)


def test_a_coder_that_is_full_is_asked_again_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    stage = Stage(tmp_path, capacity=2)

    async def scene(stage: Stage) -> None:
        async def shift() -> None:
            stage.start_order()
            for item in range(6):
                await stage.bottle(item)

        assert await stage.session(shift) is None
        printed = [texts[0] for texts in stage.coder.printed]
        assert printed == [f"B-{n:04d}" for n in range(6)]
        assert len(set(stage.coder.taken)) == len(stage.coder.taken)

    stage.play(scene)


def test_a_coder_that_is_lost_in_the_middle_is_told_and_nothing_is_sent_twice(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path)

    async def scene(stage: Stage) -> None:
        ended: list[BaseException | None] = []

        async def cut() -> None:
            stage.start_order()
            await stage.bottle(0)
            await stage.until(lambda: len(stage.coder.buffer) == CODER.window - 1)
            await stage.server.drop()
            # Alone it prints on: nobody hears of it.
            assert stage.coder.fire(0.0) == ("B-0001",)
            await stage.until(lambda: i.PrintDoubtful("coder", "printer_lost") in stage.heard)

        ended.append(await stage.session(cut))
        assert isinstance(ended[0], TransientError), "the supervisor is told to try again"
        assert stage.state(0) is CodeState.PRINTED

        async def again() -> None:
            await stage.until(lambda: stage.count(i.PrinterConnected) == 2)
            for item in range(1, 6):
                await stage.bottle(item)

        assert await stage.session(again) is None
        # What it had in hand is in doubt, and the new session goes on behind it.
        assert [stage.state(n) for n in range(1, 4)] == [CodeState.SUSPECT] * 3
        taken = stage.coder.taken
        assert len(set(taken)) == len(taken)
        printed = [texts[0] for texts in stage.coder.printed]
        assert printed == ["B-0000", "B-0001", *(f"B-{n:04d}" for n in range(4, 9))]

    stage.play(scene)


def test_codes_that_waited_for_a_lost_coder_are_not_sent_in_its_next_session(
    tmp_path: Path,
) -> None:
    """They are suspect since it was lost: the record would say one thing and the bottle another."""
    stage = Stage(tmp_path, capacity=1)

    async def scene(stage: Stage) -> None:
        async def cut() -> None:
            stage.start_order()
            await stage.until(lambda: stage.coder.taken == ["B-0000"])
            await stage.until(lambda: stage.count(i.PrintAccepted) == 1)
            await stage.server.drop()
            await stage.until(lambda: i.PrintDoubtful("coder", "printer_lost") in stage.heard)

        await stage.session(cut)

        async def again() -> None:
            await stage.until(lambda: stage.count(i.PrinterConnected) == 2)
            await stage.bottle(0)

        assert await stage.session(again) is None
        assert [stage.state(n) for n in range(4)] == [CodeState.SUSPECT] * 4
        assert [texts[0] for texts in stage.coder.printed] == ["B-0004"]
        assert set(stage.coder.taken[1:]).isdisjoint({"B-0001", "B-0002", "B-0003"})

    stage.play(scene)


class Gate:
    """ports.PrintGate: a photo-eye signal passes once for each new number."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.open = False

    async def allow(self, number: int) -> None:
        self.open = number != 0 and number not in self.numbers[-1:]
        self.numbers.append(number)

    def product(self) -> bool:
        was, self.open = self.open, False
        return was


def test_a_coder_that_would_repeat_prints_once_for_each_code(tmp_path: Path) -> None:
    """Its trigger goes through the gate, which opens after the code is in it."""
    stage = Stage(tmp_path)
    stage.coder.repeat_risk = True
    stage.gate = Gate()

    async def scene(stage: Stage) -> None:
        gate = stage.gate
        assert gate is not None

        async def shift() -> None:
            stage.start_order()
            for item in range(6):
                await stage.until(lambda: gate.open)
                assert [r.texts[0] for r in stage.coder.buffer] == [f"B-{item:04d}"], "no other"
                for _ in range(3):  # bottles come faster than codes
                    if gate.product():
                        stage.line.tell(i.ItemTriggered("coder", item))
                        stage.coder.fire(0.0)
                await stage.until(lambda: stage.count(i.PrintReported) == item + 1)  # noqa: B023

        assert await stage.session(shift) is None
        assert [texts[0] for texts in stage.coder.printed] == [f"B-{n:04d}" for n in range(6)]
        assert gate.numbers[:4] == [0, 1, 2, 3], "closed at first"

    stage.play(scene)


def test_what_a_coder_holds_from_before_is_let_out_once(tmp_path: Path) -> None:
    """It says full, its old record comes out, and then its word of before arrives: a gate that
    opens for that would let it repeat the old code."""
    stage = Stage(tmp_path, capacity=1)
    stage.profile = load_profile("generic-queue", "ink").model_copy(update={"clear": None})
    stage.coder.repeat_risk = True
    stage.coder.add(Record("99", ("OLD",)))
    stage.gate = gate = Gate()

    async def scene(stage: Stage) -> None:
        async def shift() -> None:
            stage.start_order()
            await stage.until(lambda: gate.open)
            wire, asked = stage.server.wire, stage.coder.asked
            wire.answers_late, wire.seconds = 99, 0.05
            await stage.until(lambda: stage.coder.asked > asked)
            assert gate.product(), "it was told that it is full, and will say so"
            stage.desk.product()
            wire.events_lost = 1
            stage.coder.fire(0.0)
            wire.answers_late = 0
            while len(stage.coder.taken) < 2:
                if gate.product():
                    stage.coder.fire(0.0)
                await asyncio.sleep(0.002)

        assert await stage.session(shift) is None
        assert [texts[0] for texts in stage.coder.printed] == ["OLD"]

    stage.play(scene)


def test_a_report_before_the_gate_was_opened_is_of_no_code(tmp_path: Path) -> None:
    """A coder without numbers says twice that it printed, while the next code is handed over."""
    stage = Stage(tmp_path)
    nameless = {"done": "D;[0-9]{1,18};[0-9]{1,12}", "fifo": True}
    stage.profile = load_profile("generic-queue", "ink").model_copy(update=nameless)
    stage.coder.repeat_risk = True
    stage.gate = gate = Gate()
    add = stage.coder.add

    def said_again(record: Record) -> bool:
        if len(stage.coder.taken) == 1:
            stage.server.push(message("D", "0", "1"))
        return add(record)

    stage.coder.add = said_again  # type: ignore[method-assign]

    async def scene(stage: Stage) -> None:
        async def shift() -> None:
            stage.start_order()
            for printed in (1, 2):
                await stage.until(lambda: gate.open)
                assert stage.count(i.PrintReported) == printed - 1
                assert gate.product()
                stage.coder.fire(0.0)
                await stage.until(lambda: stage.count(i.PrintReported) == printed)  # noqa: B023

        assert await stage.session(shift) is None

    stage.play(scene)


def test_a_print_that_was_let_through_and_is_not_reported_is_in_doubt(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.coder.repeat_risk = True
    stage.gate = gate = Gate()

    async def scene(stage: Stage) -> None:
        async def lost() -> None:
            stage.start_order()
            await stage.until(lambda: gate.open)
            stage.server.wire.events_lost = 1
            gate.product()
            stage.coder.fire(0.0)
            stage.desk.product()
            await stage.until(lambda: i.PrintDoubtful("coder", "printer_lost") in stage.heard)

        ended = await stage.session(lost)
        assert isinstance(ended, TransientError)
        assert "did not report it" in str(ended)

        async def again() -> None:
            await stage.until(lambda: stage.count(i.PrinterConnected) == 2)
            await stage.until(lambda: gate.open)
            assert [r.texts[0] for r in stage.coder.buffer] == ["B-0004"]

        await stage.session(again)
        assert [texts[0] for texts in stage.coder.printed] == ["B-0000"]

    stage.play(scene)


def test_products_that_pass_unreported_show_that_reports_are_lost(tmp_path: Path) -> None:
    stage = Stage(tmp_path)

    async def scene(stage: Stage) -> None:
        async def lost() -> None:
            stage.start_order()
            await stage.bottle(0)
            await stage.until(lambda: len(stage.coder.buffer) == CODER.window - 1)
            stage.server.wire.events_lost = 99
            for _ in range(CODER.window + 5):
                stage.desk.product()
                stage.coder.fire(0.0)
            await stage.until(lambda: i.PrintDoubtful("coder", "printer_lost") in stage.heard)

        ended = await stage.session(lost)
        assert "products passed and it reported no print" in str(ended)

    stage.play(scene)


def test_what_a_killed_session_had_in_hand_is_told_by_the_counter(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.coder.counter = 50

    async def scene(stage: Stage) -> None:
        async def cut() -> None:
            stage.start_order()
            await stage.bottle(0)
            await stage.until(lambda: len(stage.coder.buffer) == CODER.window - 1)
            await stage.until(lambda: stage.count(i.PrintAccepted) == CODER.window)
            await stage.server.drop()
            stage.coder.fire(0.0)
            stage.coder.fire(0.0)
            await stage.until(lambda: i.PrintDoubtful("coder", "printer_lost") in stage.heard)

        await stage.session(cut)

        async def again() -> None:
            await stage.until(lambda: stage.count(i.PrinterConnected) == 2)

        await stage.session(again)
        printed = [stage.state(n) for n in range(3)]
        assert printed == [CodeState.PRINTED] * 3
        assert stage.state(3) is CodeState.VOID
        assert i.PrinterConnected("coder", True, 53, True) in stage.heard

    stage.play(scene)


def test_a_counter_that_stays_apart_from_the_reports_ends_the_session(tmp_path: Path) -> None:
    stage = Stage(tmp_path)

    async def scene(stage: Stage) -> None:
        async def tested() -> None:
            stage.start_order()
            for item in range(3):
                await stage.bottle(item)
            stage.coder.counter += 2  # somebody printed a test at the device
            await stage.until(lambda: i.PrintDoubtful("coder", "printer_lost") in stage.heard)

        ended = await stage.session(tested)
        assert isinstance(ended, TransientError)
        (told,) = [each for each in stage.heard if isinstance(each, i.PrinterCounted)]
        assert told.missing == 2
        assert [stage.state(n) for n in range(7)] == [CodeState.SUSPECT] * 7

    stage.play(scene)


def test_a_counter_that_agrees_is_written_down_every_hundred_prints(tmp_path: Path) -> None:
    stage = Stage(tmp_path)

    async def scene(stage: Stage) -> None:
        async def shift() -> None:
            stage.start_order()
            for item in range(12):
                await stage.bottle(item)
            await stage.until(lambda: stage.count(i.PrinterCounted) > 0)

        assert await stage.session(shift) is None
        counted = [each for each in stage.heard if isinstance(each, i.PrinterCounted)]
        assert {each.missing for each in counted} == {0}
        assert stage.line.state.windows["coder"].counter == counted[-1].counter >= 5

    stage.play(scene)


def test_a_fault_of_the_coder_is_shown(tmp_path: Path) -> None:
    stage = Stage(tmp_path)

    async def scene(stage: Stage) -> None:
        async def shift() -> None:
            await stage.until(lambda: stage.health.state == "fault")
            assert stage.health.error == "ink_out"
            assert (stage.health.faults, stage.health.warnings) == (1, ("ink_low",))
            stage.coder.faults.discard("ink_out")
            await stage.until(lambda: stage.health.state == "ok")
            assert stage.health.warnings == ("ink_low",), "it goes on, and says so"

        stage.coder.faults |= {"ink_out", "ink_low"}
        assert await stage.session(shift) is None

    stage.play(scene)


def test_a_label_carries_what_its_template_needs(tmp_path: Path) -> None:
    key = CodeKey(2, 7, 0)
    wanted = PrintLabel("label", 3, 1, key, "case", 24)
    stage = Stage(tmp_path)

    async def scene(stage: Stage) -> None:
        heard: list[i.Input] = []

        async def report(inputs: Sequence[i.Input], lazy: bool) -> None:
            heard.extend(inputs)

        def fields(effect: PrintLabel, text: str) -> dict[str, str]:
            return {"code": text, "count": str(effect.count)}

        await stage.driver.open()
        desk = PrintDesk(LABEL, stage.driver, report, fields)
        work = asyncio.create_task(desk.run())
        await stage.until(lambda: bool(heard))
        desk.begin(PrinterReady("label", 0))
        desk.give(wanted, {key: "C-0007"})
        await stage.until(lambda: i.PrintAccepted("label", 7, 1, 2, 0) in heard)
        assert stage.coder.buffer[0].texts == ("C-0007", "24")
        stage.coder.fire(0.0)
        await stage.until(lambda: i.PrintReported("label", 7, 5, 2, 0) in heard)
        assert stage.count(i.RefillWanted) == 0, "labels are asked for by full containers"
        work.cancel()
        await asyncio.wait([work], timeout=5)
        await stage.driver.close()

    stage.play(scene)


def test_records_that_pile_up_are_refused_in_the_end(tmp_path: Path) -> None:
    stage = Stage(tmp_path)

    async def scene(stage: Stage) -> None:
        texts = {CodeKey(1, n, 0): str(n) for n in range(QUEUED + 1)}
        stage.desk.begin(PrinterReady("coder", 0))
        for n in range(QUEUED):
            stage.desk.give(SendCodes("coder", 1, 0, n, 1), texts)
        with pytest.raises(TransientError, match="records wait to be printed; is it stopped"):
            stage.desk.give(SendCodes("coder", 1, 0, QUEUED, 1), texts)

    stage.play(scene)


def test_a_coder_that_takes_connections_and_answers_nothing_stays_lost(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    told: list[str] = []

    async def scene(stage: Stage) -> None:
        async def changed(health: Health) -> None:
            told.append(health.state)

        supervised = Session(
            stage.driver, stage.health, stage.desk.run, changed, ok_when_open=False
        )
        stage.desk.up = supervised.up
        stage.server.wire.answers_lost = 2
        task = asyncio.create_task(supervised.run())
        try:
            await stage.until(lambda: stage.health.state == "ok")
        finally:
            task.cancel()
            await asyncio.wait([task], timeout=5)

    stage.play(scene)
    assert told == ["lost", "ok"]  # and not "ok" at each of the two connections between
    assert stage.health.losses == 1


class CountsAtStart:
    """A printer in memory that counts when a print begins and reports when it ends, one print close
    behind the other."""

    capability = PrinterCapability(Evidence.EVENT, 4, False, True, "prints")

    def __init__(self) -> None:
        self.refs: deque[int] = deque()
        self.reports: asyncio.Queue[PrintEvent] = asyncio.Queue()
        self.counter = self.looks = 0

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def clear(self) -> bool:
        return True

    async def send(self, job: PrintJob) -> bool:
        self.refs.append(job.ref)
        return True

    async def next_event(self, timeout: float) -> PrintEvent | None:
        return await self.reports.get()

    async def status(self) -> PrinterStatus:
        self.looks += 1
        return PrinterStatus(True, counter=self.counter, waiting=len(self.refs))

    async def print_one(self) -> None:
        """All of the time it prints, but for a moment between two prints."""
        ref, self.counter = self.refs.popleft(), self.counter + 1
        await asyncio.sleep(0.01)
        self.reports.put_nowait(PrintEvent(PrintEventKind.PRINTED, ref, time.monotonic()))
        for _ in range(20):
            await asyncio.sleep(0)


class Shut:
    """A print gate that nobody hears of."""

    async def allow(self, number: int) -> None: ...


def fed(
    printer: CountsAtStart, pace: Pace, heard: list[i.Input], gate: Shut | None = None
) -> PrintDesk:
    """A desk that is given one code whenever it wants some; `heard` gets what it reports."""
    refs = iter(range(10_000))

    async def report(inputs: Sequence[i.Input], lazy: bool) -> None:
        heard.extend(inputs)
        for what in inputs:
            if isinstance(what, i.PrinterConnected):
                desk.begin(PrinterReady("coder", 1))
            elif isinstance(what, i.RefillWanted):
                first = next(refs)
                keys = {CodeKey(1, first, 0): f"C{first}"}
                desk.give(SendCodes("coder", 1, 0, first, 1, 1), keys)

    desk = PrintDesk(CODER, printer, report, lambda effect, text: {}, gate=gate, pace=pace)
    return desk


def test_a_device_that_counts_when_a_print_begins_does_not_look_apart() -> None:
    printer, heard = CountsAtStart(), list[i.Input]()
    desk = fed(printer, Pace(full=0.01, look=0.003, settle=0.0, silent=1.0, compare=1000), heard)

    async def scene() -> None:
        work = asyncio.create_task(desk.run())
        try:
            async with asyncio.timeout(20):
                while printer.looks < 60 and not work.done():
                    if printer.refs:
                        await printer.print_one()
                    else:
                        await asyncio.sleep(0.001)
        finally:
            work.cancel()
            await asyncio.wait([work])
        assert work.cancelled(), work.exception()

    asyncio.run(scene())
    assert [each for each in heard if isinstance(each, i.PrinterCounted)] == []


class SlowToTake(CountsAtStart):
    """It takes a record only after it was asked twice how it is."""

    async def send(self, job: PrintJob) -> bool:
        before = self.looks
        await until(lambda: self.looks >= before + 2)
        return await super().send(job)


def test_a_print_that_the_session_before_missed_does_not_end_the_next() -> None:
    """While the next record is handed over nothing was let through yet in this session."""
    printer = SlowToTake()
    pace = Pace(full=1.0, look=0.001, settle=0.0, silent=0.05)
    desk = fed(printer, pace, [], gate=Shut())

    async def scene() -> None:
        async with asyncio.timeout(20):
            first = asyncio.create_task(desk.run())
            await until(lambda: bool(printer.refs))
            desk.product()
            with pytest.raises(TransientError, match="did not report it"):
                await first
            printer.refs.clear()
            again = asyncio.create_task(desk.run())
            await until(lambda: bool(printer.refs) or again.done())
            assert not again.done(), again.exception()
            again.cancel()
            await asyncio.wait([again])

    asyncio.run(scene())
