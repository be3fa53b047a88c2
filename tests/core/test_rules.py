"""What a scan is answered with: every word, the order of the rules, and that each rule matters."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from agent.core import rules
from agent.core.rulecases import cases, table
from agent.core.rules import OPERATIONS, WORDS, Case, Doc, Good, Line, Verdict, judge

DOC = Doc(party="D1", other="S1", location="A", territories=("east",), fifo="warn")
ASN = Doc(free=False, asn=True, party="D1", location="A")
GOOD = Good(level="case", product="P", lot="L2", pieces=24, location="A")
COMING = replace(GOOD, state="expected", mine=False, location="", expected=True)


def said(op: str, doc: Doc, good: Good | None, **more: Any) -> tuple[str, dict[str, str | int]]:
    verdict = judge(Case(op, doc, good, **more))
    assert verdict.severity == WORDS[verdict.word]
    return verdict.word, verdict.args


@pytest.mark.parametrize(
    ("op", "doc", "good", "word", "args"),
    [
        ("receive", ASN, COMING, "accepted", {}),
        ("receive", ASN, replace(COMING, expected=False), "not_expected", {}),
        ("receive", ASN, replace(COMING, sent_to="D2"), "not_for_party", {"to": "D2"}),
        ("receive", ASN, replace(COMING, state="stock"), "duplicate", {"location": ""}),
        ("receive", DOC, GOOD, "duplicate", {"location": "A"}),
        (
            "receive",
            DOC,
            replace(GOOD, state="in_transit", to="S1", when=7),
            "shipped_already",
            {"to": "S1", "when": 7},
        ),
        ("receive", ASN, replace(COMING, state="in_transit", mine=True), "accepted", {}),
        ("ship", DOC, GOOD, "accepted", {}),
        ("ship", DOC, replace(GOOD, older="L1"), "accepted_older", {"lot": "L1"}),
        (
            "ship",
            replace(DOC, fifo="block"),
            replace(GOOD, older="L1"),
            "older_first",
            {"lot": "L1"},
        ),
        ("ship", replace(DOC, fifo="off"), replace(GOOD, older="L1"), "accepted", {}),
        ("ship", DOC, replace(GOOD, state="expected", mine=False), "accepted_implicit", {}),
        ("ship", DOC, replace(GOOD, state="lost"), "accepted_implicit", {}),
        (
            "ship",
            DOC,
            replace(GOOD, state="in_transit", to="S1", when=7),
            "shipped_already",
            {"to": "S1", "when": 7},
        ),
        ("ship", DOC, replace(GOOD, location="B"), "not_here", {"location": "B"}),
        ("ship", replace(DOC, location=""), replace(GOOD, location="B"), "accepted", {}),
        ("ship", DOC, replace(GOOD, claimed="S-9"), "claimed", {"document": "S-9"}),
        ("ship", DOC, replace(GOOD, held=True), "held", {}),
        ("return_out", DOC, replace(GOOD, held=True), "accepted", {}),
        ("transfer", DOC, replace(GOOD, held=True), "accepted", {}),
        ("ship", DOC, replace(GOOD, broken=True), "broken", {}),
        ("ship", DOC, replace(GOOD, territory="west"), "not_for_party", {"territory": "west"}),
        ("ship", DOC, replace(GOOD, territory="east"), "accepted", {}),
        (
            "ship",
            replace(DOC, channel="e_commerce"),
            replace(GOOD, channel="own_stores"),
            "not_for_party",
            {"channel": "own_stores"},
        ),
        (
            "ship",
            DOC,
            replace(GOOD, state="expected", mine=False, sent_to="D2"),
            "not_for_party",
            {"to": "D2"},
        ),
        ("return_in", DOC, replace(GOOD, state="in_transit"), "accepted", {}),
        ("return_in", DOC, replace(GOOD, state="expected"), "accepted", {}),
        ("return_in", DOC, replace(GOOD, state="made"), "accepted_implicit", {}),
        ("return_in", DOC, GOOD, "duplicate", {"location": "A"}),
        ("count", DOC, replace(GOOD, location="B", claimed="S-1", held=True), "accepted", {}),
        ("count", DOC, replace(GOOD, state="in_transit"), "accepted", {}),
        *[("ship", DOC, replace(GOOD, state=word), word, {}) for word in rules.FINAL],
        *[("count", DOC, replace(GOOD, state=word), word, {}) for word in rules.FINAL],
        ("ship", DOC, Good(state="elsewhere"), "unknown", {}),
        ("receive", DOC, Good(state="elsewhere"), "not_for_party", {}),
        ("count", DOC, Good(state="elsewhere"), "not_for_party", {}),
        ("ship", DOC, None, "unknown", {}),
        ("transfer", DOC, None, "unknown", {}),
        ("receive", ASN, None, "not_expected", {}),
        ("return_in", DOC, None, "not_expected", {}),
        ("count", DOC, None, "not_expected", {}),
    ],
)
def test_what_is_known_of_a_unit_decides(
    op: str, doc: Doc, good: Good | None, word: str, args: dict[str, Any]
) -> None:
    assert said(op, doc, good) == (word, args)


@pytest.mark.parametrize(
    ("lines", "good", "word", "args"),
    [
        ((Line("P", "", 24),), GOOD, "accepted", {}),
        ((Line("Q", "", 24),), GOOD, "wrong_product", {"product": "P"}),
        ((Line("P", "L9", 24),), GOOD, "wrong_lot", {"lot": "L2", "wanted": "L9"}),
        (
            (Line("P", "", 48, 30),),
            GOOD,
            "over_quantity",
            {"product": "P", "left": 18, "pieces": 24},
        ),
        ((Line("P", "L2", 12), Line("P", "", 12)), GOOD, "accepted", {}),
        ((Line("P", "L2", 12, 99), Line("P", "", 24)), GOOD, "accepted", {}),
        (
            (Line("P", "", 99),),
            replace(GOOD, mixed=(("P", "L2", 12), ("Q", "L2", 12))),
            "wrong_product",
            {"product": "Q"},
        ),
    ],
)
def test_what_the_lines_ask_for_decides(
    lines: tuple[Line, ...], good: Good, word: str, args: dict[str, Any]
) -> None:
    doc = replace(DOC, free=False, lines=lines)
    assert said("ship", doc, good) == (word, args)
    assert said("transfer", doc, good) == (word, args)
    asked = "not_expected" if word == "over_quantity" else word
    assert said("receive", doc, COMING) == (asked, args) or good.mixed


def test_an_over_receipt_is_asked_about_and_taken_with_an_answer() -> None:
    doc = replace(DOC, free=False, lines=(Line("P", "", 12),))
    assert said("receive", doc, COMING)[0] == "not_expected"
    assert said("receive", doc, COMING, answer="not_expected")[0] == "accepted"
    beside = replace(COMING, expected=False)
    assert said("receive", ASN, beside, answer="not_expected")[0] == "accepted"
    assert said("receive", ASN, beside, answer="around_scanned yes")[0] == "not_expected"


def test_what_is_not_known_is_taken_where_its_product_is_named() -> None:
    blind = replace(DOC, blind=True)
    assert said("receive", blind, None)[0] == "not_expected"
    assert said("receive", blind, None, named=True)[0] == "accepted"
    assert said("receive", blind, None, answer="not_expected")[0] == "not_expected"
    assert said("receive", ASN, None, named=True)[0] == "not_expected"
    assert said("receive", ASN, None, named=True, answer="not_expected")[0] == "accepted"
    assert said("ship", DOC, None, named=True)[0] == "accepted_implicit"
    assert said("ship", replace(DOC, free=False), None, named=True)[0] == "unknown"
    assert said("return_out", DOC, None, named=True)[0] == "unknown"


@pytest.mark.parametrize("op", OPERATIONS)
def test_what_a_document_has_already_comes_before_the_unit(op: str) -> None:
    void = replace(GOOD, state="void")
    assert said(op, DOC, void, seen="same")[0] == "duplicate"
    assert said(op, DOC, void, seen="inside")[0] == "inside_scanned"
    assert said(op, DOC, void, seen="around")[0] == "around_scanned"
    assert said(op, DOC, void, seen="around", answer="not_expected")[0] == "around_scanned"
    assert said(op, DOC, void, seen="around", answer="not_expected around_scanned")[0] == "void"


@pytest.mark.parametrize("op", OPERATIONS)
def test_a_scan_is_taken_back_whatever_became_of_the_unit(op: str) -> None:
    for good in (None, GOOD, replace(GOOD, state="void"), Good(state="elsewhere")):
        assert said(op, DOC, good, seen="same", remove=True)[0] == "removed"
        assert said(op, DOC, good, seen="inside", remove=True)[0] == "inside_scanned"
        assert said(op, DOC, good, seen="around", remove=True)[0] == "not_on_document"
        assert said(op, DOC, good, remove=True)[0] == "not_on_document"


@pytest.mark.parametrize("op", OPERATIONS)
def test_rights_the_text_and_the_document_come_first(op: str) -> None:
    closed = replace(DOC, status="closed")
    nothing = {"operations": (), "code": False, "seen": "same"}
    assert said(op, closed, GOOD, **nothing) == ("not_allowed", {"op": op})
    assert said(op, closed, GOOD, code=False, seen="same")[0] == "not_a_code"
    assert said(op, closed, GOOD, seen="same") == ("closed", {"status": "closed"})
    assert said(op, closed, GOOD, seen="same", remove=True)[0] == "closed"
    others = tuple(each for each in OPERATIONS if each != op)
    assert said(op, DOC, GOOD, operations=others)[0] == "not_allowed"


def test_the_order_of_what_is_wrong_with_goods_that_leave() -> None:
    wrong = replace(
        GOOD,
        claimed="S-9",
        location="B",
        broken=True,
        held=True,
        territory="west",
        product="X",
        older="L1",
    )
    doc = replace(DOC, free=False, lines=(Line("P", "", 99),), fifo="block")
    words = []
    for mend in (
        {"claimed": ""},
        {"location": "A"},
        {"broken": False},
        {"held": False},
        {"territory": "east"},
        {"product": "P"},
        {"older": ""},
    ):
        words.append(said("ship", doc, wrong)[0])
        wrong = replace(wrong, **mend)
    assert words == [
        "claimed",
        "not_here",
        "broken",
        "held",
        "not_for_party",
        "wrong_product",
        "older_first",
    ]
    assert said("ship", doc, wrong)[0] == "accepted"


def test_the_table_has_every_word_and_no_case_twice() -> None:
    rows = table()
    assert {row["verdict"]["word"] for row in rows} == set(WORDS)
    assert len(set(cases())) == len(rows) > 5_000
    severities = {"ok", "warn", "again", "ask", "stop"}
    assert {row["verdict"]["severity"] for row in rows} == severities


# ------------------------------------------------------------------------- each rule matters

SOURCE = Path(rules.__file__).read_text("utf-8")
MUTANTS: tuple[tuple[str, str], ...] = (
    ("if case.op not in case.operations:", "if False:"),
    ("if not case.code:", "if False:"),
    ('if case.doc.status != "open":', "if False:"),
    ("if case.remove:", "if False:"),
    ('if case.seen == "same":', "if False:"),
    ('if case.seen == "inside":', "if False:"),
    ('if case.seen == "around" and', "if False and"),
    ('if case.good.state == "elsewhere":', "if False:"),
    ("if case.good.state in FINAL:", "if False:"),
    ('if case.op == "count":', "if False:"),
    ("if case.good.claimed:", "if False:"),
    ('good.state == "in_transit" and good.mine and not good.expected', "False"),
    ("good.mine and not good.expected", "good.mine"),
    ("if good.sent_to and good.sent_to != doc.party:", "if False:"),
    ("if doc.asn and not good.expected and not _expected(case):", "if False:"),
    ('wrong[0] == "over_quantity" and _expected(case)', 'wrong[0] == "over_quantity"'),
    ('good.state in ("in_transit", "expected")', 'good.state in ("in_transit",)'),
    ('if good.state == "stock" and doc.location and good.location != doc.location:', "if False:"),
    ("if good.broken:", "if False:"),
    ('if good.held and case.op == "ship":', "if False:"),
    ('if good.held and case.op == "ship":', "if good.held:"),
    ('if good.state != "stock" and good.sent_to and', "if False and"),
    ("if good.territory and doc.territories and", "if False and"),
    ("if good.channel and doc.channel and", "if False and"),
    ("if not named:", "if False:"),
    ("if not fitting:", "if False:"),
    ("if pieces > left:", "if False:"),
    ("max(0, line.pieces - line.done)", "line.pieces - line.done"),
    ('line.lot in ("", lot)', "line.lot == lot"),
    ('good.older and doc.fifo == "block"', "False"),
    ('good.older and doc.fifo == "warn"', "False"),
    ('"accepted" if good.state == "stock" else "accepted_implicit"', '"accepted"'),
    ("and case.doc.blind and case.named", "and case.named"),
    ("case.doc.free and case.named", "case.named"),
    ("if case.named and _expected(case)", "if _expected(case)"),
)


def judge_of(source: str) -> Callable[[Case], Verdict]:
    """The judge of another wording of the rules."""
    module = ModuleType("agent.core.rules_mutant")
    sys.modules[module.__name__] = module  # dataclasses look themselves up there
    try:
        exec(compile(source, module.__name__, "exec"), module.__dict__)
    finally:
        del sys.modules[module.__name__]
    found: Callable[[Case], Verdict] = module.__dict__["judge"]
    return found


@pytest.fixture(scope="module")
def answers() -> list[tuple[Case, str, dict[str, str | int]]]:
    judged = [(case, judge(case)) for case in cases()]
    return [(case, verdict.word, verdict.args) for case, verdict in judged]


@pytest.mark.parametrize(("old", "new"), MUTANTS, ids=[f"{old} -> {new}" for old, new in MUTANTS])
def test_a_rule_that_is_taken_out_shows_in_the_table(
    old: str, new: str, answers: list[tuple[Case, str, dict[str, str | int]]]
) -> None:
    """So the browser, which is held against the table, must have that rule too."""
    assert SOURCE.count(old) == 1
    mutant = judge_of(SOURCE.replace(old, new))
    for case, word, args in answers:
        try:
            verdict = mutant(case)
        except (AttributeError, LookupError):
            return
        if (verdict.word, verdict.args) != (word, args):
            return
    raise AssertionError("every answer is as before")
