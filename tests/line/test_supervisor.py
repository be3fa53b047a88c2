"""A supervised session: opened, run, closed, and tried again; told once when lost, once when back.

The devices here are scripts: data that says what happens at each attempt.
"""

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest

from agent.core.errors import ConfigError, TransientError
from agent.health import Health
from agent.supervisor import FIRST_WAIT, LONGEST_WAIT, Session, longer

FINE = None
Step = BaseException | None


class Scripted:
    """A device whose attempts end as the scripts say: `opens`, then `works`; None: for ever."""

    def __init__(
        self, opens: list[Step], works: list[Step], closes: list[Step] | None = None
    ) -> None:
        self.opens, self.works, self.closes = opens, works, closes or []
        self.did: list[str] = []
        self.at: list[float] = []

    async def open(self) -> None:
        self.did.append("open")
        self.at.append(time.monotonic())
        self._next(self.opens)

    async def work(self) -> None:
        self.did.append("work")
        self._next(self.works)
        await asyncio.Event().wait()

    async def close(self) -> None:
        self.did.append("close")
        self._next(self.closes)

    @staticmethod
    def _next(script: list[Step]) -> None:
        step = script.pop(0) if script else FINE
        if step is not None:
            raise step


class Stage:
    """One session of a scripted device, and what was told of it."""

    def __init__(self, device: Scripted, *, ok_when_open: bool = True) -> None:
        self.device = device
        self.health = Health("cam1", "camera")
        self.told: list[tuple[str, str | None]] = []
        self.session = Session(
            device,
            self.health,
            device.work,
            self._changed,
            close_seconds=0.2,
            ok_when_open=ok_when_open,
        )

    async def _changed(self, health: Health) -> None:
        self.told.append((health.state, health.error))

    def play(self, until: Callable[[], bool], timeout: float = 5.0) -> None:
        """Run the session until the condition holds, then cancel it."""

        async def stage() -> None:
            task = asyncio.create_task(self.session.run())
            try:
                async with asyncio.timeout(timeout):
                    while not until() and not task.done():  # noqa: ASYNC110  no event tells it
                        await asyncio.sleep(0.002)
            finally:
                task.cancel()
                await asyncio.wait([task], timeout=5)
            if not task.cancelled():
                task.result()

        _run(stage())


def _run(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scene)


def test_a_session_opens_works_and_closes_on_the_way_out() -> None:
    stage = Stage(Scripted([], []))
    stage.play(lambda: stage.health.state == "ok")
    assert stage.device.did == ["open", "work", "close"]
    assert stage.told == [("ok", None)]


def test_a_device_that_is_lost_is_opened_again() -> None:
    stage = Stage(Scripted([], [TransientError("the cable is out.")]))
    stage.play(lambda: stage.device.did.count("work") == 2)
    assert stage.device.did == ["open", "work", "close"] * 2
    assert stage.told == [("ok", None), ("lost", "the cable is out."), ("ok", None)]
    assert stage.health.losses == 1


def test_lost_and_back_are_logged_once_each(caplog: pytest.LogCaptureFixture) -> None:
    gone = TransientError("no route to it.")
    stage = Stage(Scripted([FINE, gone], [gone]))
    with caplog.at_level(logging.DEBUG):
        stage.play(lambda: stage.device.did.count("work") == 2)
    said = [record.getMessage() for record in caplog.records if record.name == "agent.supervisor"]
    assert said == [
        "camera cam1 is lost: no route to it. Trying again.",
        "camera cam1 is back.",
    ]


def test_the_waits_between_attempts_grow() -> None:
    gone = TransientError("off")
    stage = Stage(Scripted([gone] * 3, []))
    stage.play(lambda: stage.health.state == "ok")
    at = stage.device.at
    waits = [after - before for before, after in pairwise(at)]
    assert len(waits) == 3
    for wait, least in zip(waits, [FIRST_WAIT * 2**n for n in range(3)], strict=True):
        assert least * 0.9 <= wait < least * 2 + 1


def test_the_waits_are_capped() -> None:
    assert FIRST_WAIT < LONGEST_WAIT <= 5.0
    wait = FIRST_WAIT
    for _ in range(20):
        wait = longer(wait)
    assert wait == LONGEST_WAIT


@pytest.mark.parametrize("bug", [ValueError("oops"), RuntimeError(), KeyError("x"), OSError()])
def test_a_bug_in_the_loop_does_not_end_it_and_is_loud(
    bug: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage(Scripted([], [bug]))
    stage.play(lambda: stage.device.did.count("work") == 2)
    assert ("lost", f"internal error {type(bug).__name__}; see the log.") in stage.told
    (record,) = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert record.exc_info is not None


def test_a_bug_in_closing_does_not_end_it_either(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(Scripted([], [TransientError("off")], [OSError("bad descriptor")]))
    stage.play(lambda: stage.device.did.count("work") == 2)
    assert stage.told[-1] == ("ok", None)
    assert "closing it failed" in caplog.text


def test_a_mistake_in_the_config_is_shown_as_it_is_written() -> None:
    stage = Stage(Scripted([ConfigError("no such port: mend the address")], []))
    stage.play(lambda: stage.health.state == "ok")
    assert stage.told[0] == ("lost", "no such port: mend the address")


def test_a_time_out_in_the_loop_is_not_told_as_a_device_that_did_not_open() -> None:
    stage = Stage(Scripted([], [TimeoutError()]))
    stage.play(lambda: stage.health.losses == 1)
    assert stage.told[-1] == ("lost", "internal error TimeoutError; see the log.")


def test_a_session_that_ends_by_itself_is_lost() -> None:
    class Ending(Scripted):
        async def work(self) -> None:
            self.did.append("work")

    stage = Stage(Ending([], []))
    stage.play(lambda: stage.health.losses == 1)
    assert ("lost", "its session ended.") in stage.told


def test_a_device_that_does_not_close_does_not_hold_up_the_end() -> None:
    class Stuck(Scripted):
        async def close(self) -> None:
            self.did.append("close")
            await asyncio.Event().wait()

    stage = Stage(Stuck([], []))
    began = time.monotonic()
    stage.play(lambda: stage.health.state == "ok")
    assert stage.device.did[-1] == "close"
    assert time.monotonic() - began < 1.5


def test_a_cancel_while_it_waits_ends_at_once() -> None:
    stage = Stage(Scripted([TransientError("off")] * 9, []))
    began = time.monotonic()
    stage.play(lambda: stage.health.state == "lost")
    assert time.monotonic() - began < 1.0
    assert stage.device.did[-1] == "close"


def test_a_device_that_is_lost_at_the_end_is_no_bug(caplog: pytest.LogCaptureFixture) -> None:
    class Lost(Scripted):
        async def work(self) -> None:
            self.did.append("work")
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise TransientError("it closed the connection") from None

    device = Lost([], [])
    Stage(device).play(lambda: "work" in device.did)
    gc.collect()
    assert device.did == ["open", "work", "close"]
    assert not [each for each in caplog.records if each.name == "asyncio"]


def test_a_device_that_only_opens_stays_lost_until_it_says_that_it_works() -> None:
    lost = TransientError("its heartbeat stands still")
    stage = Stage(Scripted([], [lost, lost]), ok_when_open=False)
    stage.play(lambda: stage.device.did.count("open") == 3)
    assert [state for state, _ in stage.told] == ["lost"], "an alarm that comes and goes"
    _run(stage.session.up())
    assert [state for state, _ in stage.told] == ["lost", "ok"]


def test_a_device_is_lent_closed_and_comes_back() -> None:
    device = Scripted([], [])
    stage = Stage(device)

    async def go() -> None:
        running = asyncio.create_task(stage.session.run())
        async with asyncio.timeout(5):
            while "work" not in device.did:  # noqa: ASYNC110  no event tells it
                await asyncio.sleep(0)
            for _ in range(2):
                async with stage.session.lent():
                    assert device.did[-1] == "close"
                    assert (stage.health.state, stage.health.losses) == ("starting", 0)
                while device.did[-1] != "work":  # noqa: ASYNC110  as above
                    await asyncio.sleep(0)
            assert stage.health.state == "ok"
        running.cancel()
        await asyncio.wait({running})

    asyncio.run(go())
    assert device.did == ["open", "work", "close"] * 3
    assert all(state != "lost" for state, _ in stage.told)
