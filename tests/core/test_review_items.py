"""Items between stations: a verdict, a duplicate and a doubt go with the item to its last gate."""

from dataclasses import replace
from pathlib import Path

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.evolve import LANE_KEPT, ORDERS_KEPT, evolve
from agent.core.inputs import GateSaw
from agent.core.plan import ReaderPlan, Station
from agent.core.poolfile import Declared
from agent.core.scheme import LevelSpec
from agent.core.state import LineState
from tests.core.lines import LABEL, LINE, PACKER, VERIFY, WHOLE, Line, chain, order, read, scheme

NECKED = LevelSpec("bottle", "body", ("body", "cap"))


def two_roles(folder: Path, *stations: Station) -> Line:
    """A line whose bottles carry a body and a cap code, read along captive paths."""
    plan = chain(*stations, paths=("captive",))
    line = Line(folder, plan, preprinted=True, made=order(scheme=scheme(NECKED)))
    line.add_pool(Declared("caps", "bottle", ("cap",), preprinted=True), "P", 40)
    return line.start()


CAPS = Station("caps", 0, "verify", "bottle", readers=(ReaderPlan("top", ("cap",)),), gate=False)


def test_a_code_on_two_items_rejects_both(tmp_path: Path) -> None:
    with two_roles(tmp_path, CAPS, VERIFY) as line:
        for item in (1, 2):
            line.tell(i.ItemTriggered("caps", item))
            line.tell(read("P-0007", item=item, station="caps", reader="top"))
        for item in (1, 2):
            line.see_bottle(item, f"B-{item:04d}", gate=GateSaw.REJECTED)
        assert line.facts(f.ItemPassed) == []
        assert [fact.verdict for fact in line.facts(f.ItemRejected)] == ["duplicate"] * 2


def test_a_reject_whose_gate_failed_is_rejected_at_the_next_gate(tmp_path: Path) -> None:
    first = Station(
        "first",
        0,
        "verify",
        "bottle",
        readers=(ReaderPlan("side", ("body",)), ReaderPlan("top", ("cap",))),
    )
    second = replace(VERIFY, readers=(ReaderPlan("cam", ("body",)),))
    with two_roles(tmp_path, first, second) as line:
        line.tell(
            i.ItemTriggered("first", 1),
            read("B-0001", station="first", reader="side"),
            read("P-0001", "P-0002", station="first", reader="top"),
            i.GateReported("first", 1, GateSaw.FAILED),
        )
        line.see_bottle(1, "B-0001", gate=GateSaw.REJECTED)
        assert line.facts(f.ItemPassed) == []
        assert [fact.verdict for fact in line.facts(f.ItemRejected)] == ["mismatch"] * 2


def test_a_primary_code_that_was_read_loose_proves_no_pair(tmp_path: Path) -> None:
    loose = replace(CAPS, readers=(ReaderPlan("top", ("body",), loose=True),))
    caps = replace(VERIFY, readers=(ReaderPlan("cam", ("cap",)),))
    with two_roles(tmp_path, loose, caps) as line:
        line.tell(i.ItemTriggered("caps", 1), read("B-0001", station="caps", reader="top"))
        line.see_bottle(1, "P-0001")
        (passed,) = line.facts(f.ItemPassed)
        pairs = {each.role: each.integrity for each in passed.codes}
        assert pairs["cap"] is f.PairIntegrity.INFERRED


def test_orders_that_wait_are_not_forgotten(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        numbers = [f"PLAN-{n}" for n in range(ORDERS_KEPT + 4)]
        for number in numbers:
            line.tell(i.CreateOrder(order(number), "li"))
        assert set(numbers) < set(line.state.orders)
        line.tell(i.FinishOrder("li"))
        for number in numbers:
            line.tell(i.StartOrder(number, "li"), i.FinishOrder("li"))
        assert set(line.state.orders) == set(numbers[-ORDERS_KEPT:])


def test_a_lane_that_never_empties_is_bounded() -> None:
    plan = chain(*WHOLE)
    assert {PACKER, LABEL} < set(plan.stations)
    state = LineState(LINE)
    for number in range(LANE_KEPT + 10):
        evolve(plan, state, f.PathEntered("packer", 0, number))
    assert len(state.lanes["packer"][0]) == LANE_KEPT
