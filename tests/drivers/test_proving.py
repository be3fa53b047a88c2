"""Every bench of the table of proofs: the real driver prints on it, and each fault shows."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from agent.core.errors import TransientError
from agent.ports.printing import Printer, PrintEventKind, PrintJob
from drivers import registry
from drivers.context import DeviceContext
from drivers.sim.proving import BENCHES, Bench, FaultKind, bench, faults


def play(name: str, scene: Callable[[Bench, Printer], Awaitable[None]]) -> None:
    """The scene with a bench that listens and its driver, opened."""

    async def staged() -> None:
        made = bench(name)
        port = await made.server.start()
        section = made.section(f"tcp://127.0.0.1:{port}")
        driver = registry.build("dut", section, DeviceContext())
        assert isinstance(driver, Printer)
        try:
            async with asyncio.timeout(15):
                await driver.open()
                await scene(made, driver)
        finally:
            await driver.close()
            await made.server.stop()

    asyncio.run(staged())


def job(made: Bench, ref: int) -> PrintJob:
    return PrintJob(ref, made.fields(f"CODE-{ref:05d}"))


async def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.002)


async def printed(driver: Printer) -> int | None:
    """The number that the next report of a print names."""
    while True:
        event = await driver.next_event(5)
        assert event is not None, "no print was reported"
        if event.kind is PrintEventKind.PRINTED:
            return event.ref


@pytest.mark.parametrize("name", BENCHES)
def test_a_bench_prints_what_its_driver_is_given_and_a_restart_forgets_no_print(name: str) -> None:
    async def scene(made: Bench, driver: Printer) -> None:
        for ref in (3, 4):
            while not await driver.send(job(made, ref)):
                await driver.next_event(0.2)  # one that asks has not yet
            made.trigger()
            await until(lambda text=f"CODE-{ref:05d}": text in made.printed)
            if int(driver.capability.evidence) >= 3 or not made.photocell:
                assert await printed(driver) in (ref, None)
        before = list(made.printed)
        await driver.close()
        await made.server.stop()
        made.reboot()
        await made.server.start()
        await driver.open()
        assert list(made.printed) == before
        assert (await driver.status()).waiting in (0, None)

    play(name, scene)


def test_a_lost_doubled_and_late_event_is_just_that() -> None:
    async def scene(made: Bench, driver: Printer) -> None:
        wire = made.server.wire
        for ref in range(5):
            assert await driver.send(job(made, ref))
        wire.events_lost, wire.events_doubled, wire.events_late = 1, 1, 1
        for _ in range(3):
            made.trigger()
        assert [await printed(driver) for _ in range(3)] == [1, 1, 2]
        assert len(made.printed) == 3

    play("text_coder", scene)


def test_an_answer_that_is_lost_or_late_and_a_dead_connection_end_a_session() -> None:
    async def scene(made: Bench, driver: Printer) -> None:
        wire = made.server.wire
        wire.answers_late = 1
        assert await driver.send(job(made, 1)), "late, and within the deadline"
        wire.answers_lost = 1
        with pytest.raises(TransientError, match="did not answer"):
            await driver.send(job(made, 2))
        await driver.close()
        await driver.open()
        made.server.half_open()
        made.trigger()
        assert list(made.printed) == ["CODE-00001"], "the device knows nothing of it"
        with pytest.raises(TransientError, match="did not answer"):
            await driver.send(job(made, 3))
        await driver.close()
        await driver.open()
        made.trigger()
        made.trigger()
        assert list(made.printed) == ["CODE-00001", "CODE-00002"]

    play("text_coder", scene)


def test_the_faults_of_a_day_are_those_of_its_seed() -> None:
    day = faults(7, "zpl", 2000)
    assert day == faults(7, "zpl", 2000)
    assert day != faults(8, "zpl", 2000)
    assert day != faults(7, "text_coder", 2000)
    assert {fault.kind for fault in day} == set(FaultKind)
    assert max(fault.at for fault in day) < 1800
