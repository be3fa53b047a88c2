"""What the audit calls wrong, and what it does not: each container in hand-written words."""

from pathlib import Path
from typing import Any

import pytest

from agent.core import facts
from agent.core import inputs as i
from agent.demo.audit import audit
from agent.demo.containment import contents
from agent.demo.result import Result
from agent.demo.signing import doubted, hands_told
from agent.store.balance import Recorded
from tests.core.lines import Line

Row = dict[str, Any]


def physical(level: str, code: str | None, *children: str, **fate: Any) -> tuple[Row, Row]:
    """A container of the plant, and its fate."""
    there = {"level": level, "code": code, "children": list(children), "open": False}
    return there, {
        "serial": fate.pop("serial", 1),
        "bad": None,
        "place": "packed",
        "rejected": None,
        "why": None,
        "container": None,
        "befell": [],
        "shown": True,
        **fate,
    }


def recorded(
    level: str, code: str | None, *children: str | None, worth: str | None = "proven", **more: Any
) -> Row:
    """A container of the record."""
    return {
        "level": level,
        "code": code,
        "children": list(children),
        "evidence": ["read"],
        "integrity": worth,
        "state": "packed",
        "doubtful": False,
        **more,
    }


def judged(
    plant: list[tuple[Row, Row]], record: list[Row], let_through: tuple[str, ...] = ()
) -> Result:
    result = Result(bottles=1)
    fates = [fate for _, fate in plant]
    contents(result, [each for each, _ in plant], fates, record, let_through)
    return result


def wrong(result: Result) -> dict[str, int]:
    names = ("proven", "anchored", "inferred", "incomplete", "doubtful")
    found = {name: getattr(result, f"wrong_{name}") for name in names}
    found |= {name: getattr(result, name) for name in ("missing", "unexplained")}
    return {name: count for name, count in found.items() if count}


REJECTED = {"rejected": "box", "place": "rejected"}


def test_a_proven_box_that_holds_something_else_is_wrong_and_proven() -> None:
    for fate in ({}, REJECTED, {"place": "taken"}):
        result = judged([physical("box", "B1", "b", **fate)], [recorded("box", "B1", "a")])
        assert wrong(result)["proven"] == 1, fate
        assert not result.good


def test_a_refused_case_on_the_pallet_is_missing_unless_the_record_says_that_a_gate_failed() -> (
    None
):
    plant = [physical("case", "C1", "a", "b")]
    gone = recorded("case", None, "a", "b", worth=None, state="rejected")
    unsure = {**gone, "doubtful": True}
    for record in ([], [gone], [unsure]):
        assert wrong(judged(plant, record)) == {"missing": 1}
        assert wrong(judged(plant, record, ("C2",))) == {"missing": 1}
    assert wrong(judged(plant, [gone], ("C1",))) == {"missing": 1}, "it says that it is off"
    for record in ([], [unsure]):
        assert wrong(judged(plant, record, ("C1",))) == {}


def test_where_a_proven_box_is_was_said_by_its_case() -> None:
    """It was rejected, and the record has it in a case: as sure as that case is."""
    box = physical("box", "B1", "a", **REJECTED)
    case = physical("case", "C1", "B2")
    told = recorded("box", "B1", "a")
    other = recorded("box", "B2", "b")
    plant = [box, physical("box", "B2", "b", serial=2), case]
    sure = judged(plant, [told, other, recorded("case", "C1", "B1")])
    assert wrong(sure) == {"proven": 1}
    order = recorded("case", "C1", "B1", worth="inferred", evidence=["order"])
    assert wrong(judged(plant, [told, other, order])) == {"inferred": 1}
    doubt = {**order, "doubtful": True}
    assert wrong(judged(plant, [told, other, doubt])) == {"doubtful": 1}


def test_a_rejected_box_that_the_record_has_on_the_line_is_unexplained() -> None:
    plant = [physical("box", "B1", "a", **REJECTED)]
    assert wrong(judged(plant, [recorded("box", "B1", "a", state="verified")])) == {
        "unexplained": 1
    }
    for said in ({"state": "rejected"}, {"state": "verified", "doubtful": True}):
        assert not wrong(judged(plant, [recorded("box", "B1", "a", **said)]))


@pytest.mark.parametrize(
    "fate", [{"place": "taken"}, {"container": 9}], ids=["in a hand", "in a rejected case"]
)
def test_a_box_off_the_line_may_be_recorded_as_rejected(fate: Row) -> None:
    plant = [physical("box", "B1", "a", **fate)]
    plant.append(physical("case", None, "B1", serial=9, **REJECTED))
    said = recorded("box", "B1", "a", state="rejected")
    refused = recorded("case", None, "B1", worth=None, state="rejected")
    assert not wrong(judged(plant, [said, refused]))
    on_the_line = [physical("box", "B1", "a", place="packed", container=8)]
    assert wrong(judged(on_the_line, [said])) == {"missing": 1}


@pytest.mark.parametrize(
    ("befell", "pallet", "missing"),
    [(["put_in"], REJECTED, 0), ([], REJECTED, 1), (["put_in"], {}, 1), (["swapped_in"], {}, 0)],
)
def test_a_rejected_box_that_a_hand_put_back_where_no_camera_names_it(
    befell: list[str], pallet: Row, missing: int
) -> None:
    """Into a case that another gate then takes with its pallet, or into one behind its picture."""
    plant = [
        physical("box", "B1", "b", container=5, befell=befell),
        physical("case", "C1", "B1", serial=5, container=7),
        physical("pallet", "P1", "C1", serial=7, **pallet),
    ]
    state = "rejected" if pallet else "packed"
    record = [recorded("case", "C1", "B1"), recorded("pallet", "P1", "C1", state=state)]
    assert judged(plant, record).missing == missing


def test_an_open_container_by_order_claims_what_an_inferred_one_does() -> None:
    plant = [physical("pallet", None, "C1", open=True, place="packer")]
    plant[0][0]["open"] = True
    by_order = recorded("pallet", None, "C1", "C2", worth=None, evidence=["order"])
    assert wrong(judged(plant, [by_order])) == {"inferred": 1}
    read = {**by_order, "evidence": ["read"]}
    assert wrong(judged(plant, [read])) == {"incomplete": 1}
    mixed = {**by_order, "integrity": "proven"}
    assert wrong(judged(plant, [mixed])) == {"proven": 1}


def test_what_no_camera_was_shown_need_not_be_named_but_must_be_in_doubt() -> None:
    plant = [physical("case", None, "a", "b", befell=["cleared"], place="lane", shown=False)]
    open_one = recorded("case", None, "a", "b", worth=None, evidence=["order"])
    assert wrong(judged(plant, [open_one])) == {"missing": 1}
    assert not wrong(judged(plant, [{**open_one, "doubtful": True}]))
    plant[0][1]["shown"] = True
    assert wrong(judged(plant, [{**open_one, "doubtful": True}])) == {"missing": 1}


def test_a_neighbours_code_is_in_doubt_where_it_was_read_twice() -> None:
    plant = [
        physical("box", "B1", "a", befell=["neighbour"]),
        physical("box", "B2", "b", serial=2, **REJECTED),
    ]
    record = [recorded("box", "B2", "x", worth="inferred", evidence=["order"])]
    assert wrong(judged(plant, record))["missing"] == 1
    record[0]["doubtful"] = True
    assert not judged(plant, record).missing


def test_the_record_of_a_code_is_that_of_the_container_that_bears_it() -> None:
    """Two cases changed places before their labels; a third with the content of one was rejected,
    and takes nobody's record."""
    plant = [
        physical("case", None, "a", **REJECTED),
        physical("case", "C2", "b", serial=2),
    ]
    swapped = recorded("case", "C2", "a", worth="inferred", evidence=["order"], doubtful=True)
    assert wrong(judged(plant, [swapped])) == {"doubtful": 1}


def bottle(serial: int, **more: Any) -> Row:
    code = f"https://q.example.cn/B{serial}"
    return {
        "serial": serial,
        "code": code,
        "marks": {"body": [code, True], "cap-inner": [f"CAP{serial}", True]},
        "bad": None,
        "place": "packed",
        "container": None,
        "befell": [],
        "level": "bottle",
        **more,
    }


def of_bottles(items: list[Row], units: list[Recorded], *signed: str) -> Result:
    plant = {
        "fed": len(items),
        "finished": True,
        "items": items,
        "good_rejected": [],
        "bad_kept": [each for each in items if each["bad"]],
        "containers": [],
        "happened": {},
        "gates": {},
    }
    account = {"tally": {"reasons": {}}, "latency_ms": {}, "differences": [], "counts": {}}
    return audit([], plant, [], account, {}, units, strict=False, signed=signed)


@pytest.mark.parametrize(("glimpsed", "unexplained"), [("CAP7", 0), ("CAP1", 1), (None, 1)])
def test_a_damaged_cap_that_no_camera_looked_at(glimpsed: str | None, unexplained: int) -> None:
    """The camera saw another cap in its place: a bottle with one that nobody can read passes."""
    damaged = bottle(1, bad="unreadable", befell=["unreadable"])
    damaged["marks"]["cap-inner"][1] = False
    damaged["glimpsed"] = {} if glimpsed is None else {"cap-inner": glimpsed}
    unit = Recorded(damaged["code"], "packed", doubtful=False, inside=True)
    assert of_bottles([damaged], [unit]).unexplained == unexplained


@pytest.mark.parametrize(("behind", "unexplained"), [("rejected", 0), ("packed", 1)])
def test_only_the_last_bottles_may_be_missed_at_the_clearance(
    behind: str, unexplained: int
) -> None:
    """Who has one behind him that came to the packer was overtaken, and to be missed at once."""
    items = [bottle(1), bottle(2, place="taken"), bottle(3, place=behind)]
    gone = items[1]["code"]
    state = {"packed": "packed", "rejected": "rejected"}
    units = [
        Recorded(items[0]["code"], "packed", doubtful=False, inside=True),
        Recorded(gone, "verified", doubtful=True, inside=False),
        Recorded(items[2]["code"], state[behind], doubtful=False, inside=behind == "packed"),
    ]
    assert of_bottles(items, units, gone).unexplained == unexplained
    assert not of_bottles(items, units).unexplained  # in doubt for another reason too


def test_who_is_in_doubt_and_whether_hands_were_there_is_in_the_record(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        line.good_bottle(0)
        unit = line.good_bottle(1)
        assert (doubted(line.conn, "bottle"), hands_told(line.conn)) == (frozenset(), False)
        line.put(facts.UnitsDoubted((unit,), "missing"))
        assert doubted(line.conn, "bottle") == {"B-0001"}
        line.tell(i.PathDisturbed("restart"))
        assert not hands_told(line.conn)
        line.tell(i.PathDisturbed("jam"))
        assert hands_told(line.conn)
