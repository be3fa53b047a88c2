"""The clock of a simulated camera: its own zero and pace, and steady enough to pair by."""

import pytest

from drivers.sim.camera_clock import DRIFT, JITTER, CameraClock
from drivers.sim.world import Exposure, Scene

SCENE = Scene(64, 48, ())


def stamps(clock: CameraClock, first: int, times: list[float]) -> list[float]:
    return [clock.stamp(Exposure("c", n, at, SCENE)) for n, at in enumerate(times, first)]


def test_it_shows_the_time_between_two_exposures_but_for_drift_and_jitter() -> None:
    times = [7.0 + n for n in range(200)]
    shown = stamps(CameraClock("c", 3), 1, times)
    offs = [stamp - at for stamp, at in zip(shown, times, strict=True)]
    assert max(offs) - min(offs) <= JITTER + DRIFT * 199
    assert len(set(offs)) > 100
    assert abs(offs[0]) > 1, "its zero is its own"


def test_two_cameras_and_two_seeds_have_clocks_of_their_own_and_one_has_always_the_same() -> None:
    times = [1.0, 2.0]
    shown = [stamps(CameraClock(*which), 1, times) for which in (("c", 3), ("d", 3), ("c", 4))]
    assert len({each[0] for each in shown}) == 3
    assert stamps(CameraClock("c", 3), 1, times) == shown[0]


def test_it_begins_anew_with_the_camera() -> None:
    clock = CameraClock("c", 3)
    (before,) = stamps(clock, 500, [100.0])
    (after,) = stamps(clock, 1, [130.0])
    assert after - before != pytest.approx(30.0, abs=0.1)
