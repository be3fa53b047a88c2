"""What people do with units, through the gate and the store: what the record says afterwards."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.errors import DomainError
from agent.core.facts import CodeKey, Fact
from agent.core.known import Questions
from agent.core.life import UnitState
from agent.core.pools import allocate, next_free
from agent.store import lookup, pools, trace
from agent.store.balance import balances
from agent.store.gate import AGENT, Gate
from agent.store.verify import verify
from tests.store.store_help import (
    BOTTLES,
    CASES,
    ORDER,
    PALLETS,
    Plant,
    at,
    boxed,
    codes,
    listed,
)

BOTTLE = codes("https://q.example.cn/b/", 200)
CASE = codes("CASE-", 60)
PALLET = codes("PAL-", 20)
WHO = {"reason": "customer", "by": "li"}


class Desk:
    """A person at a desk: units 1 to 4 in case 5, 6 to 9 in case 10, both on pallet 11, loose
    bottles 12 and 13, and a case 17 with three bottles and one unknown."""

    def __init__(self, where: Path) -> None:
        self.plant = Plant(where)
        self.conn = self.plant.conn
        self.gate = Gate(self.plant.writer, [])
        self.tick = 100

    def fill(self) -> None:
        put = self.plant.put
        put(*self.plant.case(1, 0, 0))
        put(*self.plant.case(6, 4, 1))
        put(*boxed(11, "pallet", (5, 10), CodeKey(PALLETS, 0, 0), "pallet"))
        put(self.plant.bottle(12, 8), self.plant.bottle(13, 9))
        put(*(self.plant.bottle(14 + n, 10 + n) for n in range(3)))
        put(*boxed(17, "case", (14, 15, 16, None), CodeKey(CASES, 2, 0), "case-outer"))

    def do(self, what: i.Input) -> list[Fact]:
        self.tick += 1
        stamped = [(what, at(self.tick))]
        done = self.plant.writer.run_inline(lambda conn: self.gate.decide(conn, AGENT, stamped))
        return list(done.facts)

    def refused(self, what: i.Input) -> str:
        with pytest.raises(DomainError) as refusal:
            self.do(what)
        assert str(refusal.value).endswith(".")
        return refusal.value.reason

    def unit(self, unit: int) -> Any:
        found = lookup.find_unit(self.conn, unit)
        assert found is not None
        return found

    def trace(self, text: str) -> dict[str, Any]:
        found = trace.trace(self.conn, text)
        assert found is not None
        return found


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("desk")
    desk = Desk(where)
    desk.plant.load()
    desk.fill()
    desk.plant.close()
    return where


@pytest.fixture
def desk(filled: Path, tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(shutil.copytree(filled, tmp_path / "copy"))
    yield desk
    report = verify(desk.conn)
    assert report.problems == []
    for name, balance in balances(desk.conn):
        assert balance.difference == 0, name
    desk.plant.close()


# ------------------------------------------------------------------------------ unpack, replace


def test_a_child_taken_out_is_loose_and_both_remember(desk: Desk) -> None:
    bottle = BOTTLE[1]
    desk.do(i.Unpack(**WHO, text=CASE[0], children=(bottle,)))
    assert (desk.unit(2).state, desk.unit(2).parent) == (UnitState.UNPACKED, None)
    found = desk.trace(CASE[0])
    assert found["children"] == [BOTTLE[0], BOTTLE[2], BOTTLE[3]]
    assert (found["reason"], found["integrity"]) == ("customer", "proven")
    (former,) = desk.trace(bottle)["formerly"]
    assert former["container"] == CASE[0]
    assert former["from"] < former["until"]
    kinds = [entry["kind"] for entry in desk.trace(bottle)["history"]]
    assert kinds == ["ItemPassed", "Packed", "Unpacked"]


def test_a_child_alone_is_taken_out_of_what_holds_it(desk: Desk) -> None:
    desk.do(i.Unpack(**WHO, text=BOTTLE[1]))
    assert desk.unit(2).parent is None


def test_a_container_is_emptied_and_leaves_its_pallet(desk: Desk) -> None:
    facts = desk.do(i.Unpack(**WHO, text=CASE[0]))
    assert [type(fact).__name__ for fact in facts] == ["Unpacked", "Unpacked", "ContainerReopened"]
    assert desk.trace(CASE[0])["children"] == []
    assert desk.trace(CASE[0])["integrity"] is None
    assert desk.trace(PALLET[0])["children"] == [CASE[1]]
    assert desk.refused(i.Unpack(**WHO, text=CASE[0])) == "container_empty"


def test_unknown_children_leave_with_the_others(desk: Desk) -> None:
    desk.do(i.Unpack(**WHO, text=CASE[2]))
    assert desk.trace(CASE[2])["children"] == []
    row = desk.conn.one("SELECT count, unknown FROM container WHERE unit = 17")
    assert row == (0, 0)


def test_what_cannot_be_taken_out_is_said(desk: Desk) -> None:
    assert desk.refused(i.Unpack(**WHO, text="NOBODY")) == "unknown_code"
    assert desk.refused(i.Unpack(**WHO, text=BOTTLE[50])) == "not_a_unit"
    assert desk.refused(i.Unpack(**WHO, text=BOTTLE[8])) == "not_packed"
    assert desk.refused(i.Unpack(**WHO, text=BOTTLE[0], children=(BOTTLE[1],))) == "not_a_container"
    assert desk.refused(i.Unpack(**WHO, text=CASE[0], children=(BOTTLE[4],))) == "not_inside"
    assert desk.refused(i.Unpack("", "li", CASE[0])) == "reason_missing"
    assert desk.refused(i.Unpack("wrong", "", CASE[0])) == "who_missing"


def test_a_container_that_is_being_packed_keeps_its_children(desk: Desk) -> None:
    desk.plant.put(
        f.ContainerFormed(18, "case", ORDER.number, "pack", 18, 4),
        f.Packed(18, (12,), (f.LinkEvidence.READ,)),
    )
    assert desk.refused(i.Unpack(**WHO, text=BOTTLE[8])) == "container_open"


def test_a_child_is_replaced_in_its_place(desk: Desk) -> None:
    desk.do(i.Replace(**WHO, new=BOTTLE[8], old=BOTTLE[1], container=CASE[0]))
    found = desk.trace(CASE[0])
    assert found["children"] == [BOTTLE[0], BOTTLE[8], BOTTLE[2], BOTTLE[3]]
    assert found["integrity"] == "proven"
    assert desk.trace(BOTTLE[8])["evidence"] == "scanned"
    assert desk.unit(2).state is UnitState.UNPACKED


def test_an_unknown_child_is_replaced_and_the_record_is_worth_more(desk: Desk) -> None:
    assert desk.trace(CASE[2])["integrity"] == "incomplete"
    desk.do(i.Replace(**WHO, new=BOTTLE[8], container=CASE[2]))
    found = desk.trace(CASE[2])
    assert found["children"] == [BOTTLE[10], BOTTLE[11], BOTTLE[12], BOTTLE[8]]
    assert found["integrity"] == "proven"
    assert desk.refused(i.Replace(**WHO, new=BOTTLE[9], container=CASE[2])) == "no_unknown_child"


def test_what_may_not_go_in_is_said(desk: Desk) -> None:
    swap = {"old": BOTTLE[1], **WHO}
    assert desk.refused(i.Replace(new=BOTTLE[5], **swap)) == "child_child"
    assert desk.refused(i.Replace(new=CASE[2], **swap)) == "child_child"
    assert desk.refused(i.Replace(new=BOTTLE[8], container=CASE[1], **swap)) == "not_inside"
    desk.do(i.Hold(**WHO, texts=(BOTTLE[8],)))
    assert desk.refused(i.Replace(new=BOTTLE[8], **swap)) == "child_held"


# ------------------------------------------------------------------------------ out of the stock


def test_a_sampled_bottle_leaves_its_case(desk: Desk) -> None:
    desk.do(i.Sample(**WHO, texts=(BOTTLE[1], BOTTLE[8])))
    assert desk.trace(CASE[0])["children"] == [BOTTLE[0], BOTTLE[2], BOTTLE[3]]
    assert desk.unit(2).state is desk.unit(12).state is UnitState.SAMPLED
    assert dict(balances(desk.conn))["bottles/body"].sampled == 2
    assert desk.refused(i.Sample(**WHO, texts=(BOTTLE[1],))) == "gone_already"
    desk.do(i.Destroy(**WHO, texts=(BOTTLE[1],)))
    assert desk.unit(2).state is UnitState.DESTROYED
    assert desk.refused(i.Destroy(**WHO, texts=(BOTTLE[1],))) == "gone_already"


def test_a_container_goes_with_its_content(desk: Desk) -> None:
    desk.do(i.Destroy(**WHO, texts=(CASE[0],)))
    assert all(desk.unit(unit).state is UnitState.DESTROYED for unit in (1, 2, 3, 4, 5))
    assert desk.trace(CASE[0])["children"] == BOTTLE[:4]
    assert desk.trace(PALLET[0])["children"] == [CASE[1]]
    assert dict(balances(desk.conn))["bottles/body"].destroyed == 4


def test_what_left_the_stock_may_be_taken_out_of_its_box_and_stays_gone(desk: Desk) -> None:
    desk.do(i.Sample(**WHO, texts=(CASE[0],)))
    desk.do(i.Unpack(**WHO, text=BOTTLE[0]))
    assert (desk.unit(1).state, desk.unit(1).parent) == (UnitState.SAMPLED, None)
    assert desk.refused(i.Replace(**WHO, new=BOTTLE[0], old=BOTTLE[4])) == "child_child"


def test_void_is_for_codes_that_do_not_live(desk: Desk) -> None:
    desk.do(i.Void(**WHO, texts=(BOTTLE[60], BOTTLE[61])))
    assert desk.trace(BOTTLE[60])["state"] == "void"
    assert desk.refused(i.Void(**WHO, texts=(BOTTLE[60],))) == "void_already"
    assert desk.refused(i.Void(**WHO, texts=(BOTTLE[0],))) == "code_attached"
    assert desk.refused(i.Void(**WHO)) == "nothing_named"
    desk.do(i.Void(**WHO, pool=BOTTLES, first=59, last=70))
    assert desk.refused(i.Void(**WHO, pool=BOTTLES, first=59, last=70)) == "void_already"
    assert desk.refused(i.Void(**WHO, pool=BOTTLES, first=0, last=70)) == "code_attached"
    assert desk.refused(i.Void(**WHO, pool=BOTTLES, first=190, last=200)) == "range_wrong"
    assert desk.refused(i.Void(**WHO, pool=99, first=0, last=1)) == "pool_unknown"
    assert dict(balances(desk.conn))["bottles/body"].void == 12
    assert dict(balances(desk.conn))["bottles/cap"].void == 12


# ------------------------------------------------------------------------------------------ hold


def test_units_are_held_with_their_content_and_let_go_one_by_one(desk: Desk) -> None:
    assert desk.refused(i.Hold(**WHO, texts=(CASE[0],))) == "hold_inside"
    desk.do(i.Unpack(**WHO, text=PALLET[0]))
    desk.do(i.Hold(**WHO, texts=(CASE[0],)))
    assert all(desk.unit(unit).held for unit in (1, 2, 3, 4, 5))
    assert desk.trace(CASE[0])["holds"] == [1]
    desk.do(i.Release(**WHO, texts=(BOTTLE[0],)))
    assert [desk.unit(unit).held for unit in (1, 2, 5)] == [False, True, True]
    desk.do(i.Release(**WHO, hold=1))
    assert not any(desk.unit(unit).held for unit in (1, 2, 3, 4, 5))
    assert desk.refused(i.Release(**WHO, hold=1)) == "hold_unknown"
    assert desk.refused(i.Release(**WHO, texts=(CASE[0],))) == "not_held"


def test_a_unit_that_two_hold_is_free_when_both_let_go(desk: Desk) -> None:
    desk.do(i.Hold(**WHO, texts=(BOTTLE[8],)))
    desk.do(i.Hold(**WHO, texts=(BOTTLE[8], BOTTLE[9])))
    desk.do(i.Release(**WHO, hold=1))
    assert (desk.unit(12).held, desk.unit(13).held) == (True, True)
    desk.do(i.Release(**WHO, hold=2))
    assert (desk.unit(12).held, desk.unit(13).held) == (False, False)


def test_a_lot_is_held_whole(desk: Desk) -> None:
    assert desk.refused(i.Hold(**WHO, lot="lot-1")) == "product_missing"
    desk.do(i.Hold(**WHO, lot="lot-1", product="sku-1"))
    assert all(desk.unit(unit).held for unit in (1, 5, 11, 12))
    assert desk.refused(i.Release(**WHO, texts=(BOTTLE[8],))) == "held_wide"
    desk.do(i.Release(**WHO, hold=1))
    assert not desk.unit(12).held


def test_a_range_of_codes_is_held_on_units_or_not(desk: Desk) -> None:
    desk.do(i.Hold(**WHO, pool=BOTTLES, first=8, last=99))
    asked = lookup.answer(desk.conn, Questions((BOTTLE[60], BOTTLE[8], BOTTLE[4])), at(0))
    assert [asked.codes[text].held for text in (BOTTLE[60], BOTTLE[8], BOTTLE[4])] == [
        True,
        True,
        False,
    ]
    assert (desk.unit(12).held, desk.unit(9).held) == (True, False)
    assert desk.trace(BOTTLE[8])["holds"] == [1]


# ------------------------------------------------------------------------------------ hand scans


def test_a_hand_scanned_case_is_a_fact(desk: Desk) -> None:
    (fact,) = desk.do(i.HandScanned((CASE[0], *BOTTLE[:4]), True, "li"))
    assert fact == f.ContainerScanned(5, (1, 2, 3, 4), True, True, "li")
    (fact,) = desk.do(i.HandScanned((BOTTLE[0], BOTTLE[1]), False, "li"))
    assert fact == f.ContainerScanned(5, (1, 2), False, False, "li")
    (fact,) = desk.do(i.HandScanned((PALLET[0], CASE[0]), False, "li"))
    assert fact == f.ContainerScanned(11, (5,), False, True, "li")
    assert desk.refused(i.HandScanned((BOTTLE[0], BOTTLE[4]), False, "li")) == "scan_unclear"
    assert desk.refused(i.HandScanned((), False, "li")) == "nothing_named"


def test_a_case_that_is_found_empty_holds_nothing(desk: Desk) -> None:
    scanned, corrected, *_ = desk.do(i.HandScanned((CASE[0],), True, "li", empty=True))
    assert scanned == f.ContainerScanned(5, (), True, True, "li")
    assert isinstance(corrected, f.LinksCorrected)
    assert (corrected.container, corrected.children, corrected.removed) == (5, (), (1, 2, 3, 4))
    assert corrected.integrity is f.Integrity.PROVEN
    assert [desk.unit(unit).parent for unit in (1, 2, 3, 4)] == [None] * 4
    assert desk.unit(5).parent == 11, "where it stands nobody looked"
    (again,) = desk.do(i.HandScanned((CASE[0],), True, "li", empty=True))
    assert isinstance(again, f.ContainerScanned)


def test_who_says_empty_scans_the_container_alone(desk: Desk) -> None:
    """And a container's code alone does not say that its parent holds nothing else."""
    for texts in ((CASE[0], BOTTLE[0]), (CASE[0], CASE[1]), (BOTTLE[0],)):
        assert desk.refused(i.HandScanned(texts, True, "li", empty=True)) == "empty_unclear"
    assert desk.refused(i.HandScanned((CASE[0],), True, "li")) == "scan_alone"


def test_a_scan_names_its_container_though_a_child_is_recorded_in_another(desk: Desk) -> None:
    """What a slip makes of containers of containers: a case of another pallet is on it."""
    desk.plant.put(*boxed(18, "pallet", (17,), CodeKey(PALLETS, 1, 0), "pallet"))
    scanned, corrected, *_ = desk.do(i.HandScanned((PALLET[0], CASE[0], CASE[2]), True, "li"))
    assert scanned == f.ContainerScanned(11, (5, 17), True, True, "li")
    assert isinstance(corrected, f.LinksCorrected)
    assert (corrected.container, corrected.children, corrected.removed) == (11, (5, 17), (10,))
    assert desk.unit(17).parent == 11


def test_a_scan_that_differs_makes_doubt(desk: Desk) -> None:
    wrong = i.HandScanned((CASE[0], BOTTLE[0], BOTTLE[4]), False, "li")
    scanned, doubted, broken = desk.do(wrong)
    assert broken == f.ContainersBroken((10,), 6, "scanned")
    assert scanned == f.ContainerScanned(5, (1, 6), False, True, "li")
    assert doubted == f.UnitsDoubted((5, 6, 10), "scan_differs")
    _, corrected, resolved = desk.do(i.HandScanned((CASE[1], *BOTTLE[4:7]), True, "li"))
    assert isinstance(corrected, f.LinksCorrected)
    assert (corrected.children, corrected.removed) == ((6, 7, 8), (9,))
    assert resolved == f.DoubtResolved((10,), "scanned")
    assert desk.unit(9).parent is None


def test_rows_made_void_before_their_turn_are_passed_over(desk: Desk) -> None:
    desk.do(i.Void(**WHO, pool=CASES, first=12, last=14))
    desk.do(i.Void(**WHO, pool=CASES, first=15, last=15))
    desk.do(i.Void(**WHO, pool=CASES, first=17, last=59))
    desk.plant.put(f.CodesMoved(CASES, 0, 3, 5, "allocated"))
    taken: list[tuple[int, int]] = []
    while True:
        pool = pools.known(desk.conn, CASES)
        assert pool is not None
        first, together = next_free(pool)
        if not together:
            break
        moved = allocate(pool, 8)
        assert moved.first == first
        desk.plant.put(moved)
        taken.append((moved.first, moved.count))
    assert taken == [(8, 4), (16, 1)]


# --------------------------------------------------------------------------- packed by hand


def test_scanned_children_and_their_case_are_proven(desk: Desk) -> None:
    desk.do(i.Unpack(**WHO, text=CASE[0]))
    children = (BOTTLE[8], *BOTTLE[0:3])
    desk.plant.put(f.CodesMoved(CASES, 0, 5, 1, "allocated"))
    for to in ("sending", "printed"):
        desk.plant.put(f.CodesMoved(CASES, 0, 5, 1, to))
    new = i.Pack("", "li", CASE[5], children)
    desk.do(new)
    found = desk.trace(CASE[5])
    assert (found["children"], found["integrity"]) == (list(children), "proven")
    assert found["own"] == "scanned"
    assert (found["order"], found["lot"]) == (ORDER.number, "lot-1")
    assert desk.refused(new) == "container_closed"


def test_a_partial_pallet_is_topped_up_later(desk: Desk) -> None:
    desk.do(i.Unpack(**WHO, text=PALLET[0], children=(CASE[1],)))
    assert desk.refused(i.Pack("", "li", PALLET[0], (CASE[1],))) == "container_closed"
    desk.do(i.Reopen(**WHO, container=PALLET[0]))
    assert desk.refused(i.Reopen(**WHO, container=PALLET[0])) == "container_is_open"
    assert desk.trace(PALLET[0])["integrity"] is None
    assert desk.refused(i.Pack("", "li", PALLET[0], (CASE[1], CASE[2]))) == "too_many"
    desk.do(i.Pack("", "li", PALLET[0], (CASE[1],)))
    found = desk.trace(PALLET[0])
    assert (found["children"], found["integrity"], found["reason"]) == (
        [CASE[0], CASE[1]],
        "proven",
        "",
    )


def test_what_stays_partial_needs_a_reason(desk: Desk) -> None:
    desk.do(i.Unpack(**WHO, text=CASE[0]))
    assert desk.refused(i.Pack("", "li", CASE[0], tuple(BOTTLE[:2]))) == "partial_reason"
    desk.do(i.Pack("end of lot", "li", CASE[0], tuple(BOTTLE[:2])))
    assert desk.trace(CASE[0])["reason"] == "end of lot"
    assert desk.refused(i.Reopen(**WHO, container=BOTTLE[0])) == "not_a_container"


def test_an_open_or_empty_case_goes_on_no_pallet(desk: Desk) -> None:
    desk.do(i.Unpack(**WHO, text=CASE[1]))
    desk.do(i.Reopen(**WHO, container=PALLET[0]))
    assert desk.refused(i.Pack("", "li", PALLET[0], (CASE[1],))) == "child_child"


def test_what_may_not_be_packed_by_hand_is_said(desk: Desk) -> None:
    desk.do(i.Unpack(**WHO, text=CASE[0]))
    case = CASE[0]
    assert desk.refused(i.Pack("", "li", case, (BOTTLE[4],))) == "child_child"
    assert desk.refused(i.Pack("", "li", case, ())) == "nothing_named"
    assert desk.refused(i.Pack("", "li", BOTTLE[0], (BOTTLE[8],))) == "not_a_container"
    assert desk.refused(i.Pack("", "li", BOTTLE[60], (BOTTLE[8],))) == "not_a_label"
    assert desk.refused(i.Pack("", "li", CASE[40], (BOTTLE[8],))) == "label_refused"
    assert desk.refused(i.Pack("", "li", PALLET[0], (BOTTLE[8],))) == "container_closed"


def test_a_linked_set_is_inferred_and_checked_by_a_scan(desk: Desk) -> None:
    desk.do(i.Unpack(**WHO, text=CASE[0]))
    said = {"reason": "", "by": "li", "container": CASE[0], "preset": tuple(BOTTLE[:4])}
    assert desk.refused(i.Pack(children=(), **said)) == "preset_unsampled"
    assert desk.refused(i.Pack(children=(BOTTLE[8],), **said)) == "preset_differs"
    desk.do(i.Pack(children=(BOTTLE[2],), **said))
    found = desk.trace(CASE[0])
    assert (sorted(found["children"]), found["integrity"]) == (sorted(BOTTLE[:4]), "inferred")
    assert desk.trace(BOTTLE[2])["evidence"] == "scanned"
    assert desk.trace(BOTTLE[0])["evidence"] == "preset"


def test_a_linked_set_is_found_by_its_parent(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.take(listed("sets", "bottle", {"body": ["A", "B", "C"]}, parents=("X", "Y", "X")))
    assert pools.children_of(plant.conn, "X") == ("A", "C")
    assert pools.children_of(plant.conn, "Z") == ()
    plant.close()


def test_another_label_takes_the_place_of_the_old_one(desk: Desk) -> None:
    for to in ("allocated", "sending", "printed"):
        desk.plant.put(f.CodesMoved(CASES, 0, 3, 3, to))
    before = dict(balances(desk.conn))["cases/case-outer"]
    desk.do(i.Relabel(**WHO, text=CASE[0], new=CASE[3]))
    found = desk.trace(CASE[3])
    assert (found["children"], found["integrity"]) == (BOTTLE[:4], "proven")
    old = desk.trace(CASE[0])
    assert (old["code"], old["former_code"]["code"]) == (CASE[3], CASE[0])
    after = dict(balances(desk.conn))["cases/case-outer"]
    assert (after.void, after.good) == (before.void + 1, before.good)
    assert desk.refused(i.Relabel(**WHO, text=CASE[1], new=CASE[0])) == "label_refused"
    assert desk.refused(i.Relabel(**WHO, text=BOTTLE[8], new=CASE[4])) == "not_a_container"
    desk.do(i.Relabel(**WHO, text=BOTTLE[0], new=CASE[4]))
    assert desk.trace(PALLET[0])["children"] == [CASE[4], CASE[1]]


def test_a_case_without_a_label_gets_one_by_a_child_in_it(desk: Desk) -> None:
    for to in ("allocated", "sending", "printed"):
        desk.plant.put(f.CodesMoved(CASES, 0, 3, 1, to))
    desk.plant.put(
        f.ContainerFormed(18, "case", ORDER.number, "pack", 18, 4),
        f.Packed(18, (12, 13), (f.LinkEvidence.READ,)),
        f.ContainerRejected(18, "label", "no_read"),
    )
    desk.do(i.Relabel(**WHO, text=BOTTLE[8], new=CASE[3]))
    found = desk.trace(CASE[3])
    assert (found["children"], found["state"]) == ([BOTTLE[8], BOTTLE[9]], "verified")
    assert (found["integrity"], found["reason"]) == ("proven", "customer")
