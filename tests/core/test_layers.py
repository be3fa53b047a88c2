"""Pallets that are bound layer by layer: each layer at its own places, in whatever order they come,
from pictures or from scans by hand."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.containers import layer_place
from agent.core.scheme import LevelSpec
from agent.store import trace
from agent.store.verify import verify
from tests.core.lines import LABEL, PACKER, VERIFY, Line, chain, labelled, order, read, scheme
from tests.core.test_rework import Desk
from tests.store.store_help import CASES, ORDER, codes

LAYERED = LevelSpec("case", "case-outer", ("case-outer",), children=4, layer=2)
BODY, CASE = codes("https://q.example.cn/b/", 200), codes("CASE-", 60)


def test_layers_of_a_level() -> None:
    assert LAYERED.layers == 2
    assert replace(LAYERED, children=5).layers == 3
    assert replace(LAYERED, layer=0).layers == 0
    with pytest.raises(ValueError, match="layer must lie between 0 and 4"):
        replace(LAYERED, layer=5)


@pytest.mark.parametrize(
    ("layer", "many", "count", "first"),
    [(0, 2, 2, 0), (1, 2, 0, 2), (1, 3, 2, 2), (9, 2, 2, 2)],
)
def test_where_a_layer_begins(layer: int, many: int, count: int, first: int) -> None:
    assert layer_place(LAYERED, layer, many, count) == first
    assert layer_place(replace(LAYERED, layer=0), layer, many, count) == count


def picture(line: Line, layer: int, *texts: str, last: bool) -> None:
    line.tell(i.Stroked("packer", 1, (1, 1), last))
    line.tell(i.ItemTriggered("packer", 1, layer=layer))
    line.tell(read(*texts, item=1, station="packer", reader="content"))


@pytest.mark.parametrize(
    ("layers", "children"),
    [
        ((0, 1), ["B-0000", "B-0001", "B-0002", "B-0003"]),
        ((1, 0), ["B-0002", "B-0003", "B-0000", "B-0001"]),
        ((1, 1), ["B-0002", "B-0003", "B-0000", "B-0001"]),  # counted twice: the next free places
    ],
)
def test_layers_are_where_the_plc_says(
    tmp_path: Path, layers: tuple[int, int], children: list[str]
) -> None:
    plan = chain(VERIFY, replace(PACKER, gate=False), LABEL, paths=("single_file", "captive"))
    made = order(scheme=scheme(case=LAYERED), pools={"case/case-outer": 2})
    with Line(tmp_path, plan, preprinted=True, made=made).start() as line:
        for n in range(4):
            line.good_bottle(n)
        picture(line, layers[0], "B-0000", "B-0001", last=False)
        picture(line, layers[1], "B-0002", "B-0003", last=True)
        labelled(line, "C-0000")
        (case,) = trace.containers(line.conn)
        assert case["integrity"] == "proven"
        if layers == (1, 1):
            assert sorted(case["children"]) == sorted(children)
        else:
            assert case["children"] == children
        assert verify(line.conn).problems == []


# -------------------------------------------------------------------------------------- by hand


@pytest.fixture
def pile(tmp_path: Path) -> Desk:
    """Four loose bottles of an order whose cases hold two layers of two, and a printed label."""
    desk = Desk(tmp_path)
    desk.plant.load()
    put = desk.plant.put
    levels = (
        ORDER.scheme.levels[0],
        replace(ORDER.scheme.level("case"), layer=2),
        *ORDER.scheme.levels[2:],
    )
    layered = replace(ORDER, number="WO-2", scheme=replace(ORDER.scheme, levels=levels))
    put(f.OrderCreated(layered, "li"))
    put(*(replace(desk.plant.bottle(1 + n, n), order="WO-2") for n in range(4)))
    for to in ("allocated", "sending", "printed"):
        put(f.CodesMoved(CASES, 0, 0, 1, to))
    return desk


def pack(*bottles: int, layer: int, reason: str = "") -> i.Pack:
    texts = tuple(BODY[n] for n in bottles)
    return i.Pack(reason, "li", CASE[0], texts, layer=layer)


def test_layers_that_are_scanned_make_a_proven_case_in_any_order(pile: Desk) -> None:
    pile.do(pack(2, 3, layer=2))
    assert pile.trace(CASE[0])["integrity"] is None, "it stays open until the last layer"
    pile.do(pack(0, 1, layer=1))
    found = pile.trace(CASE[0])
    assert (found["children"], found["integrity"]) == (list(BODY[:4]), "proven")
    assert verify(pile.conn).problems == []
    pile.plant.close()


def test_a_layer_that_is_no_layer_is_refused(pile: Desk) -> None:
    assert pile.refused(pack(0, 1, layer=3)) == "layer_unknown"
    assert pile.refused(pack(0, layer=1)) == "layer_count"
    assert pile.refused(pack(0, 1, 2, layer=1)) == "layer_count"
    pile.do(pack(0, 1, layer=1))
    assert pile.refused(pack(2, 3, layer=1)) == "layer_taken"
    pile.plant.close()


def test_a_short_pile_is_closed_with_a_reason(pile: Desk) -> None:
    assert pile.refused(i.Pack("end of lot", "li", CASE[0], ())) == "not_a_unit"
    pile.do(pack(0, 1, layer=1))
    pile.do(i.Pack("end of lot", "li", CASE[0], ()))
    found = pile.trace(CASE[0])
    assert (found["children"], found["integrity"]) == (list(BODY[:2]), "proven")
    assert found["reason"] == "end of lot"
    assert pile.refused(i.Pack("end of lot", "li", CASE[0], ())) == "nothing_to_close"
    pile.plant.close()


def test_a_level_without_layers_knows_none(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.plant.load()
    put = desk.plant.put
    put(*(desk.plant.bottle(1 + n, n) for n in range(4)))
    for to in ("allocated", "sending", "printed"):
        put(f.CodesMoved(CASES, 0, 0, 1, to))
    assert desk.refused(pack(0, 1, layer=1)) == "layer_unknown"
    desk.plant.close()
