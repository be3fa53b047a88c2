"""An open case of 24 in a 5-megapixel frame: complete, in grid order, askew, and what is wrong in
it told apart. The long table is `python -m tests.vision.cases --frames 300`."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agent.core.errors import ConfigError
from agent.vision import look as looks
from agent.vision.gridlearn import learn_cells
from agent.vision.look import Look, Verdict
from agent.vision.multiread import CLOSE_ORDER, decode_cells
from agent.vision.settings import DecodeSettings
from tests.vision.cases import (
    HEIGHT,
    HELD_OUT,
    WIDTH,
    Case,
    bare,
    read,
    render_case,
    settings,
    texts,
)

LONG = 30.0


@pytest.mark.parametrize("kind", ["QRCode", "DataMatrix"])
def test_nominal_cases_are_complete_where_one_bare_call_is_not(kind: str) -> None:
    alone = 0
    for number in range(HELD_OUT, HELD_OUT + 4):
        case = Case(number, kind, turn=1.5, shift=(-25, 35))
        image = render_case(case)
        alone += len(set(bare(image, kind)) & set(case.texts))
        result = read(image, settings(kind), LONG)
        assert texts(result) == case.texts
        # A close look reads what the whole frame left, and the costly attempts are not needed.
        used = {cell.attempt for cell in result.cells if cell}
        assert used <= {"fast", *CLOSE_ORDER[kind][:3]}
    assert 0.55 * 96 < alone < 0.95 * 96, "the level is not what nominal means"


@pytest.fixture(scope="module")
def look() -> Look:
    """Learnt from four full cases, as at commissioning."""
    station, frames = settings(), []
    for number in range(500, 504):
        image = render_case(Case(number))
        result = read(image, station, LONG)
        assert result.pose is not None
        boxes = result.pose.boxes(station.cell_boxes(WIDTH, HEIGHT))
        frames.append((image, [box for box, cell in zip(boxes, result.cells, strict=True) if cell]))
    learnt = looks.learn(frames)
    assert learnt is not None
    return learnt


@pytest.mark.parametrize(
    ("turn", "shift"), [(-6.0, (20.0, 60.0)), (7.0, (-30.0, -50.0)), (0.0, (150.0, -140.0))]
)
def test_a_case_that_stands_askew_is_read_in_grid_order_and_what_is_wrong_is_told(
    turn: float, shift: tuple[float, float], look: Look
) -> None:
    odd = {2: "missing", 7: "lying", 9: "dead", 14: "foreign", 23: "missing"}
    case = Case(HELD_OUT + 50 + int(turn), odd=odd, turn=turn, shift=shift)
    image = render_case(case)
    result = read(image, replace(settings(), look=look), LONG)
    assert texts(result) == case.texts
    words = {"missing": "missing", "lying": "lying", "dead": "unread", "foreign": "foreign"}
    assert [str(each) for each in result.verdicts] == [
        words.get(odd.get(n, ""), "read") for n in range(24)
    ]
    assert result.pose is not None
    assert result.pose.turn == pytest.approx(turn, abs=0.7)
    # Who has not learnt how a child looks says no more than that it was not read.
    plain = read(image, settings(), LONG)
    assert {plain.verdicts[n] for n in odd} == {Verdict.UNREAD}
    assert texts(plain) == case.texts


def test_an_empty_case_is_missing_everywhere_and_a_code_twice_is_doubled(look: Look) -> None:
    station = replace(settings(), look=look)
    empty = read(render_case(Case(3, odd=dict.fromkeys(range(24), "missing"))), station, LONG)
    # No child gives the light of this frame, so a picture as dark as the floor may be a dark child.
    assert set(empty.verdicts) <= {Verdict.MISSING, Verdict.UNREAD}
    assert empty.pose is None
    image = render_case(Case(HELD_OUT + 1, level="easy"))
    image[1024:1404, 464:844] = image[644:1024, 84:464]  # the second row's first, once more
    twice = read(image, station, LONG)
    first, second = twice.cells[6], twice.cells[13]
    assert first is not None
    assert second is not None
    assert first.text == second.text
    assert twice.doubles == (first.text,)
    assert twice.verdicts[6] == twice.verdicts[13] == Verdict.DOUBLED
    assert [str(twice.verdicts[n]) for n in range(24) if n not in (6, 13)] == ["read"] * 22


def test_cells_are_learnt_from_a_few_cases() -> None:
    """From nothing but the grid of the packing scheme."""
    coarse, seen = DecodeSettings("QRCode", grid=(4, 6)), []
    for number in range(600, 603):
        case = Case(number, level="easy", turn=number - 601.0)
        result = read(render_case(case), coarse, LONG)
        reads = [read for read in (*result.cells, *result.strays) if read]
        seen.append(np.array([np.mean(read.corners, axis=0) for read in reads]))
    learnt = learn_cells(seen, (4, 6), (WIDTH, HEIGHT))
    assert learnt is not None
    station = DecodeSettings("QRCode", learnt[0], (4, 6), learnt[1])
    case = Case(HELD_OUT + 7, turn=-3.0, shift=(60, 20))
    assert texts(read(render_case(case), station, LONG)) == case.texts


def test_a_hopeless_case_ends_at_its_deadline() -> None:
    """24 caps and not one code to read: no more than one attempt beyond it."""
    image = render_case(Case(4, "DataMatrix", odd=dict.fromkeys(range(24), "dead")))
    station = settings("DataMatrix")
    one = decode_cells(
        image, DecodeSettings("DataMatrix", attempts=("fast",)), time.monotonic() + LONG
    ).seconds
    start = time.monotonic()
    result = decode_cells(image, station, start + 0.1)
    assert result.late
    assert time.monotonic() - start < 0.1 + 3 * one + 0.1
    assert set(result.cells) == {None}


def test_the_look_is_kept_and_a_broken_one_names_its_remedy(look: Look, tmp_path: Path) -> None:
    path = tmp_path / "vision" / "top.json"
    assert looks.load(path) is None
    looks.save(look, path)
    assert looks.load(path) == look
    for broken in ("", "{}", '{"rings": [1], "spread": [1], "limit": 1, "floor": 1, "rough": 1}'):
        path.write_text(broken)
        with pytest.raises(ConfigError, match="tune"):
            looks.load(path)


def test_of_too_few_children_no_look_is_learnt() -> None:
    image = np.zeros((100, 100), np.uint8)
    assert looks.learn([(image, [(0, 0, 50, 50)] * 3)]) is None
    assert looks.learn([(image, [(500, 500, 50, 50)] * 30)]) is None
