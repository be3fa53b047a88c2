"""The demonstration's audit is the harshest reader of the record: each way in which a record can be
wrong makes it say so."""

from collections.abc import Callable
from typing import Any

import pytest

from agent.demo.audit import Printers, audit
from agent.demo.result import Result
from agent.store.balance import Recorded

Data = dict[str, Any]


class Shift:
    """A full case, one that was rejected for its label, one being filled: as they were, and as they
    are recorded."""

    def __init__(self) -> None:
        self.truth: list[Data] = [
            {"level": "case", "code": "C1", "children": ["A", "B"], "open": False},
            {"level": "case", "code": None, "children": ["C", "D"], "open": False},
            {"level": "case", "code": None, "children": ["E"], "open": True},
        ]
        self.fates: list[Data] = [
            {"rejected": None, "bad": None, "why": None, "place": "output"},
            {
                "rejected": "label",
                "bad": "label_unreadable",
                "why": "verdict",
                "place": "rejected",
            },
            {"rejected": None, "bad": None, "why": None, "place": "output"},
        ]
        self.plant: Data = {
            "fed": 5,
            "finished": True,
            "happened": {"label_unreadable": 1},
            "items": [
                {"serial": n, "code": code, "place": "packed", "bad": None, "befell": []}
                for n, code in enumerate("ABCDE", 1)
            ],
            "good_rejected": [],
            "bad_kept": [],
            "containers": self.fates,
            "gates": {
                "label": {
                    "station": 3,
                    "passed_good": 1,
                    "passed_bad": 0,
                    "rejected_good": 0,
                    "rejected_bad": 1,
                    "failed": 0,
                    "empty": 0,
                    "unasked": 0,
                }
            },
        }
        self.record: list[Data] = [
            _record("C1", ["A", "B"], "proven", "verified"),
            _record(None, ["C", "D"], None, "rejected"),
            _record(None, ["E"], None, "commissioned"),
        ]
        self.units = [Recorded(code, "packed", doubtful=False, inside=True) for code in "ABCDE"]
        none = dict.fromkeys(("failed", "foreign", "added", "unasked"), 0)
        self.counts: Data = {"triggers": 2, "passed": 1, "rejected": 1, **none}
        self.strict = False
        self.printers = Printers(frozenset("G"), {"G": "accepted", "H": "issued"})

    def audit(self) -> Result:
        account = {
            "tally": {"reasons": {}},
            "latency_ms": {},
            "differences": [],
            "counts": {"label": self.counts},
        }
        return audit(
            self.truth,
            self.plant,
            self.record,
            account,
            {},
            self.units,
            strict=self.strict,
            stations={"label": 3},
            printers=self.printers,
        )


def _record(
    code: str | None, children: list[str | None], integrity: str | None, state: str
) -> Data:
    return {
        "level": "case",
        "code": code,
        "children": children,
        "integrity": integrity,
        "state": state,
    }


def test_a_true_record_is_good() -> None:
    result = Shift().audit()
    assert result.good, result.notes
    assert (result.cases, result.containers) == (1, {"proven": 1})


WRONG: dict[str, tuple[str, Callable[[Shift], object]]] = {
    "another child": ("wrong_proven", lambda s: s.record[0].update(children=["A", "X"])),
    "a child too few": ("wrong_proven", lambda s: s.record[0].update(children=["A"])),
    "unknown, yet proven": ("wrong_proven", lambda s: s.record[0].update(children=["A", None])),
    "unread, yet proven": (
        "wrong_proven",
        lambda s: (
            s.truth[0].update(children=["A", None]),
            s.record[0].update(children=["A", None]),
        ),
    ),
    "a child twice": ("child_in_two", lambda s: s.record[0].update(children=["A", "A"])),
    "a child of two": ("child_in_two", lambda s: s.record[1].update(children=["C", "A"])),
    "never closed": ("missing", lambda s: s.record[0].update(integrity=None)),
    "not recorded": ("missing", lambda s: s.record.pop(0)),
    "recorded as rejected": ("missing", lambda s: s.record[0].update(state="rejected")),
    "recorded without its code": ("missing", lambda s: s.record[0].update(code=None)),
    "unlabelled on the line": ("missing", lambda s: s.fates[1].update(rejected=None)),
    "rejected, yet live": (
        "unexplained",
        lambda s: s.record[1].update(state="verified", integrity="proven"),
    ),
    "rejected with other content": (
        "wrong_incomplete",
        lambda s: s.record[1].update(children=["C", "X"]),
    ),
    "open with another's child": (
        "wrong_incomplete",
        lambda s: s.record[2].update(children=["E", "X"]),
    ),
    "open, yet closed": ("wrong_proven", lambda s: s.record[2].update(integrity="proven")),
    "a container that is not there": (
        "unexplained",
        lambda s: s.record.append(_record("C9", ["Y"], "inferred", "verified")),
    ),
    "a nameless one that is not there": (
        "wrong_incomplete",
        lambda s: s.record.append(_record(None, ["Y", "Z"], None, "commissioned")),
    ),
    "one code on two": (
        "unexplained",
        lambda s: s.record.append(_record("C1", [], "proven", "verified")),
    ),
    "a bad bottle on the line": (
        "unexplained",
        lambda s: s.plant["bad_kept"].append(
            {"serial": 1, "bad": "duplicate", "befell": ["duplicate"]}
        ),
    ),
    "a bottle that nobody took, off the line": (
        "unexplained",
        lambda s: (
            s.units.append(Recorded("F", "verified", doubtful=False, inside=False)),
            s.plant["items"].append(
                {"serial": 6, "code": "F", "place": "taken", "bad": None, "befell": ["taken"]}
            ),
        ),
    ),
    "a cap of another bottle": (
        "wrong_pairs",
        lambda s: (
            s.plant["items"][0].update(marks={"cap": ["CAP-2", True]}),
            s.units.append(s.units.pop(0)._replace(others=(("cap", "CAP-1", "proven"),))),
        ),
    ),
    "a unit without a bottle": (
        "unexplained",
        lambda s: s.units.append(Recorded("G", "verified", doubtful=False, inside=False)),
    ),
    "a bottle without a unit": ("unexplained", lambda s: s.units.pop()),
    "rejected, yet on the line": (
        "unexplained",
        lambda s: s.units.append(s.units.pop()._replace(state="rejected", inside=False)),
    ),
    "a gate that counts otherwise": ("unexplained", lambda s: s.counts.update(passed=2)),
    "a trigger too few": ("unexplained", lambda s: s.counts.update(triggers=1)),
    "items explained away": ("unexplained", lambda s: s.counts.update(foreign=1)),
    "a gate said to have failed": ("unexplained", lambda s: s.counts.update(failed=1)),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_record_is_not_good(what: str) -> None:
    name, change = WRONG[what]
    shift = Shift()
    change(shift)
    result = shift.audit()
    assert getattr(result, name) > 0, result.notes
    assert not result.good


def test_without_troubles_no_good_container_may_be_rejected() -> None:
    shift = Shift()
    shift.fates[1]["bad"] = None
    assert shift.audit().good
    shift.strict = True
    result = shift.audit()
    assert result.good_containers_rejected == 1
    assert not result.good


def test_a_plant_that_fed_nothing_proves_nothing() -> None:
    shift = Shift()
    shift.plant["fed"] = 0
    assert not shift.audit().good


def test_a_bottle_that_was_taken_is_explained_when_the_record_doubts_it() -> None:
    shift = Shift()
    shift.units.append(Recorded("F", "verified", doubtful=True, inside=False))
    shift.plant["items"].append(
        {"serial": 6, "code": "F", "place": "taken", "bad": None, "befell": ["taken"]}
    )
    assert shift.audit().good


def test_a_pair_that_is_only_inferred_may_be_wrong_and_is_counted() -> None:
    shift = Shift()
    shift.plant["items"][0].update(marks={"cap": ["CAP-2", True]})
    shift.units[0] = shift.units[0]._replace(others=(("cap", "CAP-1", "inferred"),))
    result = shift.audit()
    assert result.good
    assert result.wrong_inferred_pairs == 1


@pytest.mark.parametrize(("child", "wrong"), [("D", 0), ("X", 1)])
def test_the_record_of_a_rejected_case_whose_code_was_read_on_its_neighbour_is_right(
    child: str, wrong: int
) -> None:
    shift = Shift()
    shift.truth[0]["code"], shift.truth[1]["code"] = "C0", "C1"
    shift.fates[0]["place"] = "taken"
    shift.record[0] = {**_record("C1", ["A", "B"], "inferred", "verified"), "doubtful": True}
    shift.record[1] = _record(None, ["C", child], None, "rejected")
    result = shift.audit()
    assert (result.wrong_incomplete, result.wrong_doubtful) == (wrong, 1)


@pytest.mark.parametrize(("doubtful", "missing"), [(True, 0), (False, 1)])
def test_a_record_that_names_the_neighbour_must_say_that_it_is_not_sure(
    doubtful: bool, missing: int
) -> None:
    shift = Shift()
    shift.truth[0]["code"], shift.truth[1]["code"] = "C0", "C1"
    named = _record("C1", ["A", "B"], "inferred", "verified")
    shift.record[0] = {**named, "doubtful": doubtful}
    result = shift.audit()
    assert (result.missing, result.wrong_doubtful) == (missing, 1 - missing)
    assert result.good is doubtful


@pytest.mark.parametrize(
    ("held", "unprinted"),
    [
        ("", {"G": "sending"}),
        ("", {"G": "accepted"}),
        ("", {"G": "allocated"}),
        ("G", {"G": "issued"}),
    ],
)
def test_a_code_that_is_not_where_it_is_said_to_be_is_unexplained(
    held: str, unprinted: dict[str, str]
) -> None:
    shift = Shift()
    shift.printers = Printers(frozenset(held), unprinted)
    result = shift.audit()
    assert (result.unexplained, result.good) == (1, False), result.notes
