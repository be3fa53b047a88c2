"""A nozzle that wears out and a ribbon that fades are told before the first code is not read; and a
busy machine leaves grading out."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping

import numpy as np
import pytest

from agent.ports.reading import Decoded, Image, Read
from agent.vision.cascade import decode
from agent.vision.quality import Parameter, Quality
from agent.vision.quality_trend import CLEAR, KEPT, LEAST, Trend, TrendSettings
from agent.vision.quality_watch import QualityWatch, SampleSettings
from agent.vision.settings import DecodeSettings
from agent.vision.workers import VisionWorkers
from tests.vision.defects import Look, modules, paint

URL = "https://q.example.cn/{:014d}"


def index(contrast: float, modulation: float = 4.0) -> Quality:
    parameters = (("contrast", contrast), ("modulation", modulation))
    return Quality("QRCode", "2", 4.0, tuple(Parameter(n, s / 4, s) for n, s in parameters))


def trend(*scores: float, limit: str = "C", window: int = 3) -> Trend:
    made = Trend(TrendSettings(limit, window))
    for at, score in enumerate(scores):
        made.add(index(score), at)
    return made


# ---------------------------------------------------------------------------------------- trend


def test_one_bad_sample_is_no_trend_and_several_are() -> None:
    good = [4.0] * 10
    assert not trend(*good, 0.5).low
    assert trend(*good, *[1.0] * 5).low
    assert (trend(*good).letter, trend(*good).worst) == ("A", "contrast")


def test_too_few_samples_say_nothing() -> None:
    assert not trend(*[0.0] * (LEAST - 1)).low
    assert trend(*[0.0] * LEAST).low


def test_it_is_over_only_when_it_is_clearly_better() -> None:
    low = trend(*[1.9] * 20)
    assert low.low
    for at in range(50):
        low.add(index(2.0 + CLEAR / 2), at)
    assert low.low, "just above the limit it would come and go"
    for at in range(50):
        low.add(index(2.0 + 2 * CLEAR), at)
    assert not low.low
    for at in range(50):
        low.add(index(2.0 + CLEAR / 2), at)
    assert not low.low, "nor is it low again until it is below the limit itself"


def test_a_limit_of_the_best_letter_can_be_kept_and_none_is_never_passed() -> None:
    best = trend(*[3.0] * 10, limit="A")
    assert best.low
    for at in range(200):
        best.add(index(4.0), at)
    assert not trend(*[4.0] * 30, limit="A").low
    assert not trend(*[0.0] * 30, limit="").low


def test_a_fall_of_one_parameter_is_not_hidden_by_the_others() -> None:
    made = Trend(TrendSettings("C", 3))
    for at in range(20):
        made.add(index(4.0, modulation=4.0 - at / 5), at)
    assert made.low
    assert made.worst == "modulation"
    assert made.scores["contrast"] == 4.0


def test_it_keeps_no_more_points_than_a_screen_shows() -> None:
    made = trend(*[3.0] * (3 * KEPT))
    assert len(made.points) == KEPT
    assert made.points[-1] == (3 * KEPT - 1, 3.0)


@pytest.mark.parametrize("wrong", [("E", 20), ("C", 0)])
def test_a_limit_that_is_no_letter_is_refused(wrong: tuple[str, int]) -> None:
    with pytest.raises(ValueError, match="limit"):
        TrendSettings(*wrong)


# ------------------------------------------------------------------------------- it comes before


class Station:
    """A camera's follower on real workers, and what it told."""

    def __init__(self, workers: VisionWorkers, symbology: str, every: int = 1) -> None:
        self.told: list[tuple[bool, Mapping[str, str]]] = []
        self.settings = DecodeSettings(symbology)
        self.clock = 0
        self.watch = QualityWatch(
            workers,
            symbology,
            SampleSettings(every, trend=TrendSettings("C", 5)),
            lambda low, told: self.told.append((low, told)),
            self._now,
        )

    def _now(self) -> int:
        self.clock += 1
        return self.clock

    def read(self, image: Image) -> Decoded:
        return decode(image, self.settings, time.monotonic() + 5)

    async def settle(self) -> None:
        """Until what was offered has been measured."""
        watch, end = self.watch, time.monotonic() + 5
        taken = watch.graded + watch.failed
        while watch.graded + watch.failed == taken:
            assert time.monotonic() < end
            await asyncio.sleep(0.001)


def with_station(symbology: str, play: Callable[[Station], object], every: int = 1) -> Station:
    found: list[Station] = []

    async def run() -> None:
        workers = VisionWorkers(1)
        try:
            found.append(Station(workers, symbology, every))
            result = play(found[0])
            assert asyncio.iscoroutine(result)
            await result
        finally:
            await workers.close()

    asyncio.run(run())
    return found[0]


def fading(step: int) -> Look:
    """A ribbon: the ink becomes as light as the paper."""
    return Look(px=5, ink=20 + 4 * step, paper=235, blur=0.8, noise=4)


def worn(step: int) -> Look:
    """A nozzle that spreads: what is dark becomes wider, and less sharp."""
    return Look(px=5, growth=step / 72, blur=0.8 + step / 60, noise=4)


@pytest.mark.parametrize("wear", [fading, worn])
@pytest.mark.parametrize("kind", ["QRCode", "DataMatrix", "Code128"])
def test_wear_is_told_before_the_first_code_is_not_read(
    kind: str, wear: Callable[[int], Look]
) -> None:
    told_at: list[int] = []

    async def play(station: Station) -> None:
        for step in range(0, 60, 2):
            text = f"CASE{step:06d}" if kind == "Code128" else URL.format(step)
            image = paint(modules(kind, text), wear(step))
            result = station.read(image)
            if not result.reads:
                break
            station.watch.offer(image, result)
            await station.settle()
            if any(low for low, _ in station.told):
                told_at.append(step)
                break

    station = with_station(kind, play)
    assert told_at, "every code until the first no-read was measured, and nothing was told"
    low, told = station.told[-1]
    assert low
    assert told["letter"] in "DF"
    assert station.told[0][0] is False, "at the beginning it was good"
    if wear is fading:
        assert told["parameter"] in ("SC", "Rmin")
    # There is time to act: the next two can still be read.
    later = told_at[0] + 4
    text = f"CASE{later:06d}" if kind == "Code128" else URL.format(later)
    assert station.read(paint(modules(kind, text), wear(later))).reads


def test_after_the_head_was_cleaned_it_is_over() -> None:
    async def play(station: Station) -> None:
        for look in [Look(ink=160)] * 6 + [Look()] * 20:
            image = paint(modules("QRCode"), look)
            station.watch.offer(image, station.read(image))
            await station.settle()

    station = with_station("QRCode", play)
    assert [low for low, _ in station.told] == [True, False]
    facts = station.watch.facts()
    assert facts is not None
    assert (facts["letter"], facts["low"], facts["samples"]) in (("A", False, 26), ("B", False, 26))
    assert len(facts["points"]) == 26


# ------------------------------------------------------------------------------- what is sampled


def picture(attempt: str = "fast") -> tuple[Image, Decoded]:
    image = paint(modules("QRCode"), Look(px=4))
    found = decode(image, DecodeSettings("QRCode"), time.monotonic() + 5)
    (read,) = found.reads
    return image, Decoded((Read(read.text, "]Q1", read.corners, attempt),), 0.001)


def test_every_nth_good_frame_is_measured_and_every_hard_one() -> None:
    async def play(station: Station) -> None:
        assert station.watch.facts() is None
        for n in range(1, 13):
            before = station.watch.graded
            station.watch.offer(*picture("blur_double" if n == 6 else "fast"))
            if n in (4, 6, 10):
                await station.settle()
                assert station.watch.graded == before + 1
        assert station.watch.graded == 3

    with_station("QRCode", play, every=4)


def test_nothing_is_measured_of_no_read_nor_where_it_is_switched_off() -> None:
    async def play(station: Station) -> None:
        image, _ = picture()
        station.watch.offer(image, Decoded((), 0.001))
        station.watch.offer(image, Decoded((Read("line reader"),), 0.001))
        assert (station.watch.graded, station.watch.skipped) == (0, 0)

    with_station("QRCode", play)
    with_station("QRCode", _offer_one, every=0)
    with_station("RMQRCode", _offer_one)


async def _offer_one(station: Station) -> None:
    station.watch.offer(*picture("full"))
    await asyncio.sleep(0.05)
    assert (station.watch.graded, station.watch.skipped, station.watch.failed) == (0, 0, 0)


def test_what_cannot_be_measured_is_counted_and_judges_nothing() -> None:
    async def play(station: Station) -> None:
        image, decoded = picture("full")
        for _ in range(LEAST + 1):
            station.watch.offer(np.full_like(image, 200), decoded)
            await station.settle()
        assert station.watch.failed == LEAST + 1
        assert station.told == []
        assert station.watch.facts() is None

    with_station("QRCode", play)


# ------------------------------------------------------------------------- never in a verdict's way


def test_a_busy_machine_leaves_it_out() -> None:
    """While one frame is measured no other is, and none while a frame waits to be read."""
    go, begun, done = threading.Event(), threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        go.wait(5)
        return "measured"

    async def run() -> None:
        workers = VisionWorkers(1)
        results: list[str] = []

        def keep(result: str) -> None:
            results.append(result)
            done.set()

        try:
            assert workers.offer(slow, keep)
            assert await asyncio.to_thread(begun.wait, 5)
            assert not workers.offer(slow, keep), "one is under way"
            image, _ = picture()
            found = await workers.decode(DecodeSettings("QRCode"), image, time.monotonic() + 5)
            assert found.reads, "a frame is read meanwhile"
            go.set()
            assert await asyncio.to_thread(done.wait, 5)
            assert results == ["measured"]
        finally:
            go.set()
            await workers.close()
        assert not workers.offer(slow, keep), "it is closed"

    asyncio.run(run())


def test_nothing_is_measured_while_frames_wait_to_be_read() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (3000, 4000), np.uint8)
    plain = DecodeSettings("DataMatrix", attempts=("fast",))

    async def run() -> None:
        workers = VisionWorkers(1)
        try:
            jobs = [
                asyncio.ensure_future(workers.decode(plain, noise, time.monotonic() + 30))
                for _ in range(3)
            ]
            await asyncio.sleep(0)
            assert not workers.offer(lambda: None, lambda _: None)
            await asyncio.gather(*jobs)
            assert workers.offer(lambda: None, lambda _: None)
        finally:
            await workers.close()

    asyncio.run(run())
