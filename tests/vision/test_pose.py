"""How a case stands, from what was read of it; and where its cells are, learnt from full cases."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agent.vision.gridlearn import learn_cells
from agent.vision.pose import MOST_SHIFT, Pose, fit, middles_of
from agent.vision.settings import Box, DecodeSettings

ROWS, COLUMNS, PITCH = 4, 6, 380
BOXES: tuple[Box, ...] = tuple(
    (80 + PITCH * (n % COLUMNS), 260 + PITCH * (n // COLUMNS), PITCH, PITCH)
    for n in range(ROWS * COLUMNS)
)
MIDDLES = middles_of(BOXES)
PIVOT = (float(MIDDLES[:, 0].mean()), float(MIDDLES[:, 1].mean()))
turns = st.floats(-10, 10)
shifts = st.floats(-0.3 * PITCH, 0.3 * PITCH)


@settings(max_examples=150, deadline=None)
@given(
    turns,
    st.tuples(shifts, shifts),
    st.floats(0.95, 1.05),
    st.sets(st.integers(0, 23), min_size=10),
    st.integers(0, 2**32 - 1),
)
def test_cells_follow_the_case(
    turn: float, shift: tuple[float, float], size: float, kept: set[int], seed: int
) -> None:
    """Whatever ten places gave a code, and though each child stands a little off its place."""
    truth = Pose(PIVOT, turn, size, shift).put(MIDDLES)
    strewn = truth + np.random.default_rng(seed).uniform(-20, 20, truth.shape)
    found = fit(strewn[sorted(kept)], BOXES)
    assert found is not None
    assert np.abs(middles_of(found.boxes(BOXES)) - truth).max() < 60  # of 380


def test_strays_do_not_move_the_cells() -> None:
    truth = Pose(PIVOT, 2.0, 1.0, (30.0, -40.0)).put(MIDDLES)
    strays = np.array([[5.0, 5.0], [2440.0, 2040.0], [2440.0, 12.0]])
    found = fit(np.vstack([truth, strays]), BOXES)
    assert found is not None
    assert np.abs(found.put(MIDDLES) - truth).max() < 8


@pytest.mark.parametrize(
    "seen",
    [
        np.zeros((0, 2)),
        MIDDLES[:2],
        np.random.default_rng(5).uniform(0, 2400, (12, 2)),  # anything
        np.repeat(MIDDLES[:1], 24, axis=0),  # all at one place
    ],
)
def test_what_is_no_case_moves_nothing_far(seen: np.ndarray) -> None:
    found = fit(seen, BOXES)
    if found is not None:
        assert np.abs(found.shift).max() <= MOST_SHIFT * PITCH
        assert abs(found.turn) <= 15
    assert len(seen) > 2 or found is None


def test_a_single_cell_has_no_pose() -> None:
    assert fit(np.zeros((5, 2)), [(0, 0, 10, 10)]) is None


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 6),
    st.integers(1, 8),
    st.floats(-8, 8),
    st.sampled_from([0.0, 0.5]),
    st.integers(0, 2**32 - 1),
)
def test_cells_are_learnt_in_grid_order(
    rows: int, columns: int, turn: float, stagger: float, seed: int
) -> None:
    """Also bottles in a honeycomb: every second row is shifted by half a bottle."""
    assume(rows * columns > 1)
    assume(abs(turn) * max(rows, columns) < 30 or stagger == 0)
    rng = np.random.default_rng(seed)
    places = np.array(
        [
            (600 + 200 * (c + stagger * (r % 2)), 500 + (200 - 27 * (stagger > 0)) * r)
            for r in range(rows)
            for c in range(columns)
        ],
        float,
    )
    pivot = (float(places[:, 0].mean()), float(places[:, 1].mean()))
    stood = Pose(pivot, turn).put(places)
    frames = [rng.permutation(stood + rng.uniform(-9, 9, stood.shape)) for _ in range(7)]
    frames.append(frames[0][: len(stood) // 2])  # half of the case was read
    learnt = learn_cells(frames, (rows, columns), (2448, 2048))
    assert learnt is not None
    region, cells = learnt
    station = DecodeSettings("QRCode", region, (rows, columns), cells)
    middles = middles_of(station.cell_boxes(2448, 2048))
    assert np.abs(middles - stood).max() < 14  # the strewing, and less than a tenth of a bottle


def test_without_a_full_case_nothing_is_learnt() -> None:
    assert learn_cells([MIDDLES[:23], MIDDLES[:20]], (ROWS, COLUMNS), (2448, 2048)) is None
    assert learn_cells([], (ROWS, COLUMNS), (2448, 2048)) is None
