"""The region follows the symbol within its bound: off by 15 % it is read, a neighbour never."""

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.errors import ConfigError
from agent.ports.reading import Decoded, Read
from agent.vision.region import MOST_TRACK, Track, find_region
from agent.vision.settings import DecodeSettings
from drivers.sim.render import Picture, render, suggest_size
from drivers.sim.world import Scene, Symbol
from tests.vision.scenes import text

WIDTH, HEIGHT = 640, 480
OURS, LEFT, RIGHT = (text("QRCode", n) for n in (1, 2, 3))
SIZE = suggest_size(OURS, "QRCode")
HOME = (240, 160, 160, 160)
QUICK = ("fast", "full")
STATION = DecodeSettings("QRCode", region=HOME, track=0.15, attempts=QUICK)


def frame(*seen: tuple[str, float, float], damage: float = 0.0, seed: int = 1) -> Picture:
    """Symbols at x, y; the first one is ours, with its damage."""
    symbols = tuple(
        Symbol(value, "QRCode", x, y, SIZE, angle=n * 20, damage=0.0 if n else damage)
        for n, (value, x, y) in enumerate(seen)
    )
    return render(Scene(WIDTH, HEIGHT, symbols, noise=3.0, seed=seed))


def read(track: Track, image: Picture, station: DecodeSettings = STATION) -> Decoded:
    return track.decode(image, station, time.monotonic() + 10)


def told(result: Decoded) -> list[str]:
    return [read.text for read in result.reads]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.floats(-0.149, 0.149), st.floats(-0.149, 0.149)), max_size=8))
def test_a_symbol_off_by_15_percent_is_read_wherever_the_last_ones_were(
    offsets: list[tuple[float, float]],
) -> None:
    track = Track()
    for dx, dy in [*offsets, (0.149, -0.149)]:
        image = frame((OURS, 320 + dx * WIDTH, 240 + dy * HEIGHT))
        assert told(read(track, image)) == [OURS]


def test_without_track_the_region_is_all_that_is_looked_at() -> None:
    image = frame((OURS, 320 + 0.14 * WIDTH, 240))
    assert told(read(Track(), image, DecodeSettings("QRCode", region=HOME))) == []


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([0.0, 1.0]),
    st.floats(0.16, 0.32),
    st.sampled_from([-1, 1]),
    st.booleans(),
)
def test_a_neighbour_beyond_the_bound_is_never_read(
    damage: float, off: float, side: int, across: bool
) -> None:
    """Whether ours is there to be read or not."""
    x, y = (320, 240 + side * off * HEIGHT) if across else (320 + side * off * WIDTH, 240)
    seen = [(LEFT, x, y)]
    apart = abs(x - 320) + abs(y - 240) > SIZE * 1.5
    if apart:
        seen.insert(0, (OURS, 320, 240))
    image = frame(*seen, damage=damage)
    for track in (Track(), _settled()):
        assert told(read(track, image)) in ([], [OURS])
        if apart and not damage:
            assert told(read(track, image)) == [OURS]


def _settled() -> Track:
    track = Track()
    for dx in range(0, 96, 8):
        assert told(read(track, frame((OURS, 320 + dx, 240)))) == [OURS]
    return track


def test_symbols_that_drift_away_take_the_region_no_farther_than_its_bound() -> None:
    """A bottle guide that comes loose: every symbol is a little farther than the last."""
    track, last = Track(), 0.0
    for step in range(30):
        x = 320 + step * 8
        result = read(track, frame((OURS, x, 240), seed=step))
        if result.reads:
            last = (x - 320) / WIDTH
    assert 0.13 < last <= 0.155
    # And a neighbour that stands where they drifted to is not ours.
    for _ in range(10):
        assert told(read(track, frame((LEFT, 320 + 0.17 * WIDTH, 240)))) == []
    assert told(read(track, frame((OURS, 320, 240)))) == [OURS]


def test_after_a_neighbour_was_read_first_ours_is_still_found() -> None:
    wide = DecodeSettings("QRCode", region=(0, 0, WIDTH, HEIGHT), track=0.1, attempts=QUICK)
    rng = random.Random(4)
    for _ in range(12):
        image = frame(
            (OURS, 320 + rng.uniform(-50, 50), 240),
            (LEFT, 90, 240 + rng.uniform(-40, 40)),
            (RIGHT, 550, 240 + rng.uniform(-40, 40)),
        )
        assert told(read(Track(), image, wide)) == [OURS]


def test_a_close_look_costs_less_than_the_region() -> None:
    track = Track()
    image = frame((OURS, 330, 250))
    assert read(track, image).reads
    close, whole = [], []
    for _ in range(60):
        close.append(read(track, image).seconds)
        whole.append(read(Track(), image).seconds)
    assert sorted(close)[30] < sorted(whole)[30]


def test_no_picture_makes_it_raise() -> None:
    for image in (None, frame()[:0], frame()[:3, :3]):
        assert told(read(Track(), image)) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "kwargs",
    [
        {"track": 0.1},
        {"track": -0.1, "region": HOME},
        {"track": 0.6, "region": HOME},
        {"track": 0.1, "region": HOME, "grid": (2, 2)},
    ],
)
def test_a_bound_without_sense_is_refused(kwargs: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="track"):
        DecodeSettings("QRCode", **kwargs)  # type: ignore[arg-type]


def at(x: int, y: int, edge: int = 100) -> Read:
    half = edge // 2
    return Read(
        OURS,
        "]Q1",
        ((x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half)),
        "fast",
    )


def test_the_region_is_found_from_the_symbols_of_commissioning() -> None:
    reads = [at(320 + n % 7, 240 - n % 5) for n in range(20)]
    found = find_region(reads, (WIDTH, HEIGHT), [])
    assert found is not None
    (x, y, w, h), track = found
    assert track == MOST_TRACK
    assert (w, h) == (140, 140)
    assert abs(x + w / 2 - 323) <= 2
    assert abs(y + h / 2 - 238) <= 2
    near = find_region(reads, (WIDTH, HEIGHT), [at(420, 240)])
    assert near is not None
    assert near[1] == pytest.approx((420 - 323) / 2 / WIDTH, abs=0.005)
    assert find_region(reads[:2], (WIDTH, HEIGHT), []) is None
    assert find_region([at(10, 10)] * 3, (WIDTH, HEIGHT), []) is not None
