"""One line's shell with the real commit gate and store: trigger -> reading -> durable -> verdict.

PLC and reader are scripts: data that says what comes, and what was written. Codes come printed, so
a verify station is the whole line. (A store that fails or stands still: test_review_runner.)
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent.clockwatch import clock
from agent.core import facts as f
from agent.core import inputs as i
from agent.core.errors import DomainError, TransientError
from agent.core.stopping import AGENT
from agent.health import Health
from agent.line.pairing import QUIET, Pairing
from agent.line.runner import BEAT, STILL, LineRunner
from agent.line.watch import Watch
from agent.ports.line import Committed
from agent.ports.plc import PlcEvent, PlcEventKind, PlcOutputs, PlcReport, Slot, SlotVerdict
from agent.ports.reading import Read, Reading
from agent.store import journal
from agent.store.database import open_reader
from tests.core.lines import LINE, VERIFY, Line, chain, order

DEADLINE = 0.4
"""Seconds from trigger to verdict."""


class ScriptedPlc:
    """ports.LinePlc: gives the events that were put into it, keeps what was written.

    `durable` notes with every slot which facts a reader of the file could see at that moment.
    """

    def __init__(self, look: Callable[[], list[str]]) -> None:
        self.run, self.beats, self.still, self.polls = 7, 0, False, 0
        self.events: list[PlcEvent] = []
        self.slots: dict[int, SlotVerdict] = {}
        self.durable: list[list[str]] = []
        self.outputs: list[PlcOutputs] = []
        self.gone = False
        self.slow = 0.0
        self.flags = {"running"}
        self._look = look

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def fire(
        self, kind: PlcEventKind, number: int, station: int = VERIFY.index, lane: int = 0
    ) -> None:
        self.events.append(PlcEvent(0, kind, station, lane, number, 0))

    async def poll(self) -> PlcReport:
        if self.gone:
            raise TransientError("the PLC does not answer")
        self.polls += 1
        slow, self.slow = self.slow, 0.0
        await asyncio.sleep(slow)
        self.beats += not self.still
        events, self.events = tuple(self.events), []
        flags = frozenset(self.flags)
        return PlcReport(self.run, self.beats, events, 0, flags, 0, 0, time.monotonic())

    async def write_slots(self, slots: Sequence[Slot]) -> None:
        if self.gone:
            raise TransientError("the PLC does not answer")
        for slot in slots:
            self.slots[slot.number] = slot.verdict
            self.durable.append(self._look())

    async def write_outputs(self, outputs: PlcOutputs) -> None:
        self.outputs.append(outputs)


class ScriptedReader:
    """ports.CodeReader: gives the readings that were put into it."""

    def __init__(self) -> None:
        self._readings: asyncio.Queue[Reading] = asyncio.Queue()

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def say(self, *texts: str) -> None:
        reads = tuple(Read(text) for text in texts)
        self._readings.put_nowait(Reading(reads, time.monotonic()))

    async def next_reading(self, timeout: float) -> Reading | None:
        try:
            async with asyncio.timeout(timeout):
                return await self._readings.get()
        except TimeoutError:
            return None


class Stage:
    """A line that runs: runner, watch, gate, store, and the scripts."""

    def __init__(self, folder: Path) -> None:
        made = order(pools={})
        self.line = Line(folder, chain(VERIFY), preprinted=True, made=made).start()
        self._reader_conn = open_reader(folder / "caselink.db", folder / "caselink.key")
        self.plc = ScriptedPlc(self._visible)
        self.seen: list[Committed] = []

    def _visible(self) -> list[str]:
        return [row.kind for row in journal.rows(self._reader_conn)]

    def play(self, scene: Callable[["Stage"], Awaitable[None]]) -> None:
        async def staged() -> None:
            self.line.writer.start()
            self.reader = ScriptedReader()
            health = Health("plc", "plc", "ok")
            self.runner = LineRunner(
                self.line.plan, self.line.gate, self.plc, health, self.seen.append
            )
            self.watch = Watch(
                VERIFY,
                VERIFY.readers[0],
                self.reader,
                None,
                DEADLINE,
                Health("cam", "reader", "ok"),
                self.runner.answer,
            )
            self.runner.watches.append(self.watch)
            self.plc_task = asyncio.create_task(self.runner.run_plc())
            tasks = [
                self.plc_task,
                asyncio.create_task(self.runner.run_writer()),
                asyncio.create_task(self.runner.run_wishes()),
                asyncio.create_task(self.watch.run()),
            ]
            try:
                async with asyncio.timeout(20):
                    # The belt stands still for a moment: the next item is the first.
                    await asyncio.sleep(QUIET + 0.05)
                    await scene(self)
            finally:
                for task in tasks:
                    task.cancel()
                for task in tasks:
                    with suppress(asyncio.CancelledError, TransientError):
                        await task
                self.line.writer.close()
                self._reader_conn.close()
                self.line.database.close()

        asyncio.run(staged())

    async def until(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + 5
        while not condition():
            assert time.monotonic() < end, (self.plc.slots, self.facts(f.Fact)[-4:])
            await asyncio.sleep(0.002)

    def facts(self, kind: type[f.Fact]) -> list[Any]:
        return [fact for group in self.seen for fact in group.facts if isinstance(fact, kind)]


def test_the_verdict_is_written_only_when_its_facts_are_durable(tmp_path: Path) -> None:
    stage = Stage(tmp_path)

    async def scene(stage: Stage) -> None:
        for item, text in ((1, "B-0000"), (2, "B-0001"), (3, "nobody's")):
            stage.plc.fire(PlcEventKind.TRIGGER, item)
            stage.reader.say(text)
            await stage.until(partial(stage.plc.slots.__contains__, item))
        assert stage.plc.slots == {1: SlotVerdict.PASS, 2: SlotVerdict.PASS, 3: SlotVerdict.REJECT}
        assert [kinds.count("ItemPassed") for kinds in stage.plc.durable] == [1, 2, 2]
        assert [kinds.count("ItemRejected") for kinds in stage.plc.durable] == [0, 0, 1]
        times = stage.runner.latency.last()
        assert times is not None
        assert 0 < times.decide + times.commit + times.write <= times.total < 5

    stage.play(scene)


def test_what_the_gate_reports_comes_into_the_record(tmp_path: Path) -> None:
    stage = Stage(tmp_path)

    async def scene(stage: Stage) -> None:
        stage.plc.fire(PlcEventKind.TRIGGER, 1)
        stage.reader.say("B-0000")
        await stage.until(lambda: 1 in stage.plc.slots)
        stage.plc.fire(PlcEventKind.REJECTED, 1)
        await stage.until(lambda: stage.facts(f.RejectConfirmed))
        assert stage.facts(f.RejectConfirmed)[0].unit == 1

    stage.play(scene)


def test_an_empty_window_is_told_from_a_gate_that_failed(tmp_path: Path) -> None:
    stage = Stage(tmp_path)

    async def scene(stage: Stage) -> None:
        for number, lane in ((1, 1), (2, 0)):
            stage.plc.fire(PlcEventKind.TRIGGER, number)
            stage.plc.fire(PlcEventKind.REJECT_FAILED, number, lane=lane)
        await stage.until(lambda: len(stage.facts(f.RejectFailed)) == 2)
        told = [(fact.item, fact.unseen) for fact in stage.facts(f.RejectFailed)]
        assert told == [(1, True), (2, False)]
        alarms = {alarm.key: alarm.item for alarm in stage.facts(f.AlarmRaised)}
        assert alarms == {"item_gone": 1, "reject_failed": 2}

    stage.play(scene)


def test_a_trigger_without_an_answer_in_time_gets_a_late_one(tmp_path: Path) -> None:
    stage = Stage(tmp_path)

    async def scene(stage: Stage) -> None:
        began = time.monotonic()
        stage.plc.fire(PlcEventKind.TRIGGER, 1)
        await stage.until(lambda: 1 in stage.plc.slots)
        assert time.monotonic() - began >= DEADLINE
        assert stage.plc.slots == {1: SlotVerdict.REJECT}
        assert [fact.verdict for fact in stage.facts(f.ItemRejected)] == ["late"]
        # The answer comes after all: it changes nothing any more.
        stage.reader.say("B-0000")
        await stage.until(lambda: stage.watch.health.last_ms)
        stage.plc.fire(PlcEventKind.TRIGGER, 2)
        stage.reader.say("B-0001")
        await stage.until(lambda: 2 in stage.plc.slots)
        assert stage.plc.slots == {1: SlotVerdict.REJECT, 2: SlotVerdict.PASS}
        assert stage.facts(f.ItemPassed)[0].codes[0].key.position == 1

    stage.play(scene)


def test_a_store_that_cannot_keep_a_verdict_gives_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The file cannot be written any more, as on a disk that was remounted read-only."""
    stage = Stage(tmp_path)

    async def scene(stage: Stage) -> None:
        await stage.until(lambda: any(out.run_permission for out in stage.plc.outputs))
        await stage.line.writer.run(lambda conn: conn.execute("PRAGMA query_only = ON"), 5)
        with caplog.at_level(logging.ERROR):
            stage.plc.fire(PlcEventKind.TRIGGER, 1)
            stage.reader.say("B-0000")
            await stage.until(lambda: not stage.plc.outputs[-1].run_permission)
        assert stage.plc.slots == {}, "no verdict: the gate rejects by itself"
        assert not any("ItemPassed" in kinds for kinds in stage.plc.durable)
        told = [r for r in caplog.records if r.name == "agent.line.runner"]
        assert len(told) == 1, "once, however many groups fail"
        # Mended: the line goes on by itself, and what it did not see is doubtful.
        stage.line.conn.execute("PRAGMA query_only = OFF")
        await stage.until(lambda: stage.plc.outputs[-1].run_permission)
        assert [fact.why for fact in stage.facts(f.RunBegan)][-1] == "inputs_lost"

    stage.play(scene)


def test_a_plc_whose_heartbeat_stands_still_is_lost(tmp_path: Path) -> None:
    stage = Stage(tmp_path)

    async def scene(stage: Stage) -> None:
        stage.plc.still = True
        began = time.monotonic()
        await stage.until(lambda: stage.plc_task.done())
        assert time.monotonic() - began >= STILL * 0.9
        error = stage.plc_task.exception()
        assert isinstance(error, TransientError)
        assert "heartbeat stands still" in str(error)
        assert "RUN" in str(error), "what to look at"

    stage.play(scene)


def test_a_plc_that_answers_and_never_beat_is_not_back(tmp_path: Path) -> None:
    """A PLC in STOP may serve its registers all the same."""
    stage = Stage(tmp_path)
    stage.plc.still = True
    told: list[str] = []

    async def up() -> None:
        told.append("up")

    async def scene(stage: Stage) -> None:
        (health,) = stage.runner.healths
        health.state = "lost"
        stage.runner.plc_up = up
        polls = stage.plc.polls
        await stage.until(lambda: stage.plc.polls > polls + 20)
        assert (health.state, told) == ("lost", [])
        stage.plc.still = False
        await stage.until(lambda: health.state == "ok")
        assert told == ["up"]
        polls = stage.plc.polls
        await stage.until(lambda: stage.plc.polls > polls + 5)
        assert told == ["up"]

    stage.play(scene)


def test_a_poll_that_took_long_is_no_silence_of_the_belt(tmp_path: Path) -> None:
    stage = Stage(tmp_path)

    async def scene(stage: Stage) -> None:
        stage.watch.pairing = pairing = Pairing(window=1.0)
        before = time.monotonic()
        stage.plc.slow = QUIET
        await stage.until(lambda: not stage.plc.slow)
        polls = stage.plc.polls
        await stage.until(lambda: stage.plc.polls > polls + 2)
        assert pairing._since >= before + QUIET

    stage.play(scene)


def test_a_plc_that_restarts_numbers_anew_and_its_old_triggers_are_forgotten(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path)

    async def scene(stage: Stage) -> None:
        stage.plc.fire(PlcEventKind.TRIGGER, 1)
        await stage.until(lambda: stage.facts(f.ItemSeen))
        stage.plc.run = 8
        await stage.until(lambda: len(stage.facts(f.RunBegan)) == 2)
        stage.reader.say("B-0000")  # of the item before the restart
        await asyncio.sleep(QUIET + 0.05)
        stage.plc.fire(PlcEventKind.TRIGGER, 1)
        stage.reader.say("B-0001")
        await stage.until(lambda: 1 in stage.plc.slots)
        (passed,) = stage.facts(f.ItemPassed)
        assert passed.codes[0].key.position == 1

    stage.play(scene)


def test_a_person_is_answered_alone(tmp_path: Path) -> None:
    """A refusal of what a person asked for harms nothing else."""
    stage = Stage(tmp_path)

    async def scene(stage: Stage) -> None:
        await stage.runner.command(i.PauseOrder("li", "lunch"))
        await stage.until(lambda: not stage.plc.outputs[-1].run_permission)
        await stage.runner.command(i.StartOrder("WO-1", "li"))
        await stage.until(lambda: stage.plc.outputs[-1].run_permission)
        assert "green" in stage.plc.outputs[-1].lamps

    stage.play(scene)


@pytest.mark.parametrize("flag", ["reject_full", "low_air"])
def test_a_flag_of_the_plc_brings_the_line_down_until_a_person_starts_it(
    tmp_path: Path, flag: str
) -> None:
    stage = Stage(tmp_path)

    async def scene(stage: Stage) -> None:
        await stage.until(lambda: stage.plc.outputs and stage.plc.outputs[-1].run_permission)
        stage.plc.flags = {"running", flag}
        await stage.until(lambda: not stage.plc.outputs[-1].run_permission)
        assert stage.plc.outputs[-1].stop_request
        (paused,) = stage.facts(f.OrderPaused)
        assert (paused.by, paused.why) == (AGENT, flag)
        with pytest.raises(DomainError) as refused:
            await stage.runner.command(i.StartOrder("WO-1", "li"))
        assert refused.value.reason == "stop_stands"
        stage.plc.flags = {"running"}
        await stage.until(lambda: stage.facts(f.AlarmCleared))
        await asyncio.sleep(2 * BEAT)
        assert not stage.plc.outputs[-1].run_permission, "nobody has looked yet"
        await stage.runner.command(i.StartOrder("WO-1", "li"))
        await stage.until(lambda: stage.plc.outputs[-1].run_permission)
        assert not stage.plc.outputs[-1].stop_request
        assert len(stage.facts(f.AlarmRaised)) == 1, "said once"

    stage.play(scene)


def test_in_test_mode_the_line_runs_and_rejects_what_it_reads(tmp_path: Path) -> None:
    stage = Stage(tmp_path)

    async def scene(stage: Stage) -> None:
        await stage.runner.command(i.FinishOrder("li"))
        await stage.until(lambda: not stage.plc.outputs[-1].run_permission)
        await stage.runner.command(i.CreateOrder(order("WO-2", pools={}), "li"))
        await stage.runner.command(i.BeginTestMode("WO-2", "wang"))
        await stage.until(lambda: stage.plc.outputs[-1].run_permission)
        stage.plc.fire(PlcEventKind.TRIGGER, 1)
        stage.reader.say("B-0001")
        await stage.until(lambda: 1 in stage.plc.slots)
        assert stage.plc.slots == {1: SlotVerdict.REJECT}
        assert [fact.verdict for fact in stage.facts(f.ItemTested)] == ["pass"]
        stage.plc.flags = {"running", "reject_full"}
        await stage.until(lambda: stage.facts(f.TestModeEnded))
        await stage.until(lambda: not stage.plc.outputs[-1].run_permission)

    stage.play(scene)


def test_in_bypass_the_line_runs_although_a_camera_is_lost_until_its_time_is_over(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path)

    async def scene(stage: Stage) -> None:
        camera = Health("cam9", "camera", "lost")
        stage.runner.healths.append(camera)
        await stage.until(lambda: stage.plc.outputs and not stage.plc.outputs[-1].run_permission)
        await stage.runner.command(i.BeginBypass("wang", "camera broken", 2))
        await stage.until(lambda: stage.plc.outputs[-1].run_permission)
        stage.plc.fire(PlcEventKind.TRIGGER, 1)
        await stage.until(lambda: 1 in stage.plc.slots)
        assert stage.plc.slots == {1: SlotVerdict.PASS}
        assert "ItemUnseen" in stage.plc.durable[-1]
        await stage.until(lambda: stage.facts(f.BypassEnded))
        await stage.until(lambda: not stage.plc.outputs[-1].run_permission)
        (ended,) = stage.facts(f.BypassEnded)
        assert (ended.why, ended.unseen) == ("time", (("verify", 1),))
        stage.plc.fire(PlcEventKind.TRIGGER, 2)
        await stage.until(lambda: 2 in stage.plc.slots)
        assert stage.plc.slots[2] is SlotVerdict.REJECT

    stage.play(scene)


def test_no_permission_while_a_device_is_lost(tmp_path: Path) -> None:
    stage = Stage(tmp_path)

    async def scene(stage: Stage) -> None:
        await stage.until(lambda: stage.plc.outputs and stage.plc.outputs[-1].run_permission)
        camera = Health("cam9", "camera", "lost")
        stage.runner.healths.append(camera)
        await stage.until(lambda: not stage.plc.outputs[-1].run_permission)
        lost = i.ConditionChanged(f"{LINE}/cam9/device_lost", True, 1, "device_lost", "cam9")
        stage.runner.tell(lost)
        await stage.until(lambda: {"red", "horn"} <= stage.plc.outputs[-1].lamps)
        beats = {out.heartbeat for out in stage.plc.outputs}
        assert len(beats) == len(stage.plc.outputs), "our own heartbeat never stands still"

    stage.play(scene)


def test_the_clock_of_an_input_has_wall_and_monotonic_time() -> None:
    one, two = clock(), clock()
    assert abs(one.wall_ms - time.time() * 1000) < 5000
    assert one.mono_ms <= two.mono_ms
