"""The table of cases by which `rules.py` and `agent/web/pda/rules.js` are compared.

Every combination that reaches another branch of the rules, with the verdict of the Python core, as
plain data: {"case": ..., "verdict": {"word", "severity", "args"}}.
"""

import itertools
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from agent.core.rules import FINAL, OPERATIONS, Case, Doc, Good, Line, judge

_P, _LOT, _OLD = "P1", "L2", "L1"


def cases() -> Iterator[Case]:
    """Every case of the table; no two are equal."""
    seen: set[Case] = set()
    for case in itertools.chain(_scans(), _goods(), _lines()):
        if case not in seen:
            seen.add(case)
            yield case


def table() -> list[dict[str, Any]]:
    """The cases and their verdicts as JSON values."""
    return [{"case": asdict(case), "verdict": asdict(judge(case))} for case in cases()]


_ANSWERS = ("", "around_scanned", "not_expected", "around_scanned not_expected", "yes")


def _scans() -> Iterator[Case]:
    """What is decided before the unit is looked at, and units of which nothing is known."""
    docs = [
        Doc(status=status, free=free, asn=asn, blind=blind, party="D1")
        for status in ("open", "closed", "reversed")
        for free, asn, blind in ((True, False, True), (True, False, False), (False, True, False))
    ]
    goods = (None, Good(product=_P, lot=_LOT, state="expected"), Good(state="elsewhere"))
    for op, doc, good in itertools.product(OPERATIONS, docs, goods):
        for seen, answer in itertools.product(("", "same", "inside", "around"), _ANSWERS):
            if seen and answer.endswith("not_expected") and good is None:
                continue
            yield Case(op, doc, good, seen=seen, answer=answer)
        yield Case(op, doc, good, named=True)
        yield Case(op, doc, good, named=True, answer="not_expected")
        yield Case(op, doc, good, code=False)
        yield Case(op, doc, good, operations=())
        yield Case(op, doc, good, operations=tuple(each for each in OPERATIONS if each != op))
        for seen in ("", "same", "inside", "around"):
            yield Case(op, doc, good, seen=seen, remove=True)


def _goods() -> Iterator[Case]:
    """Every state of a unit, and what may be wrong with it."""
    base = Good(level="case", product=_P, lot=_LOT, pieces=24, location="A-01")
    plain = Doc(free=True, party="D1", other="D2", location="A-01", territories=("east",))
    docs = (
        plain,
        replace(plain, fifo="warn", location=""),
        replace(plain, fifo="block", channel="e_commerce"),
        replace(plain, fifo="off", territories=()),
        replace(plain, free=False, asn=True),
        replace(plain, free=True, blind=True),
    )
    states = ("expected", "made", "stock", "in_transit", "lost", *FINAL)
    troubles: tuple[dict[str, Any], ...] = (
        {},
        {"claimed": "S-9"},
        {"held": True},
        {"broken": True},
        {"doubtful": True},
        {"expected": True},
        {"location": "B-02"},
        {"older": _OLD},
        {"sent_to": "D1"},
        {"sent_to": "D3"},
        {"territory": "east", "channel": "e_commerce"},
        {"territory": "west"},
        {"channel": "own_stores"},
        {"mine": False},
        {"to": "D2", "when": 1_700_000_000_000},
        {"held": True, "older": _OLD, "broken": True},
        {"location": "B-02", "older": _OLD},
        {"older": _OLD, "held": True, "territory": "west"},
        {"expected": True, "sent_to": "D3"},
        {"mine": False, "sent_to": "D1", "expected": True},
    )
    for op, doc, state, wrong in itertools.product(OPERATIONS, docs, states, troubles):
        if state in FINAL and wrong not in ({}, {"claimed": "S-9"}):
            continue
        yield Case(op, doc, replace(base, state=state, **wrong))
    for op, state in itertools.product(("receive", "return_in"), states):
        yield Case(op, docs[4], replace(base, state=state), answer="not_expected")


def _lines() -> Iterator[Case]:
    """What the lines of a document say."""
    lines = (
        (Line(_P, "", 48),),
        (Line(_P, "", 48, 24),),
        (Line(_P, "", 48, 40),),
        (Line(_P, _LOT, 24), Line(_P, "", 24, 24)),
        (Line(_P, _OLD, 24),),
        (Line(_P, _OLD, 24), Line(_P, _LOT, 12, 24)),
        (Line("P2", "", 24),),
    )
    goods = (
        Good(product=_P, lot=_LOT, pieces=24),
        Good(product=_P, lot=_LOT, pieces=24, older=_OLD),
        Good(product=_P, lot=_LOT, pieces=1),
        Good(product=_P, pieces=24, mixed=((_P, _LOT, 12), (_P, _OLD, 12))),
        Good(product=_P, pieces=24, mixed=((_P, _LOT, 12), ("P2", _LOT, 12))),
    )
    for op, wanted, good in itertools.product(OPERATIONS, lines, goods):
        for state, fifo in itertools.product(
            ("stock", "expected", "in_transit"), ("off", "warn", "block")
        ):
            doc = Doc(free=False, party="D1", lines=wanted, fifo=fifo)
            case = Case(op, doc, replace(good, state=state, mine=state != "in_transit"))
            yield case
            yield replace(case, answer="not_expected")
