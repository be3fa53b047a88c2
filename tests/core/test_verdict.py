"""Verdicts, each by the smallest example: what is read, what the store knows of it, what follows.

The terms are those of DOMAIN.md ("verify"). A bottle is judged against work order WO-1 (cola, lot
A).
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.facts import CodeKey, PairIntegrity
from agent.core.known import KnownCode, KnownPool
from agent.core.life import CodeState, UnitState
from agent.core.plan import ReaderPlan, Station
from agent.core.poolfile import Declared
from agent.core.scheme import LevelSpec
from agent.core.verdict import Judgement, Verdict, judge, may_be_packed, missing, worst
from tests.core.lines import (
    CAPPED,
    Line,
    chain,
    code,
    known,
    order,
    pool,
    read,
    scheme,
    unit,
)

# ------------------------------------------------------------------- one reader, one bottle


def verdict(
    *codes: KnownCode,
    pools: tuple[KnownPool, ...] = (),
    texts: tuple[str, ...] | None = None,
    **more: object,
) -> Judgement:
    """One camera reads these codes on a bottle."""
    seen = read(*(texts if texts is not None else [each.text for each in codes]))
    return judge(
        "bottle",
        ("body",),
        order(),
        seen,
        known(*codes, pools=pools),
        **({"earlier": {}} | more),  # type: ignore[arg-type]
    )


def of(judgement: Judgement) -> Verdict:
    return judgement.verdict


printed = pool(preprinted=False)
"""Codes that this line prints itself."""

EXAMPLES: dict[Verdict, Callable[[], Verdict]] = {
    Verdict.PASS: lambda: of(verdict(code("a"))),
    Verdict.NO_READ: lambda: missing(CAPPED, ("body",), {}, late=False),
    Verdict.LATE: lambda: missing(CAPPED, ("body",), {}, late=True),
    Verdict.OLD_PICTURE: lambda: of(
        judge("bottle", ("body",), order(), read(old_picture=True), known(), earlier={})
    ),
    Verdict.UNKNOWN: lambda: of(verdict(texts=("nobody's",))),
    Verdict.VOID: lambda: of(verdict(code("a", state=CodeState.VOID))),
    Verdict.HELD: lambda: of(verdict(code("a", on=unit(7, held=True)), own_unit=7)),
    Verdict.DUPLICATE: lambda: of(verdict(code("a", on=unit(7)))),
    Verdict.WRONG_PRODUCT: lambda: of(verdict(code("a"), pools=(pool(product="lemonade"),))),
    Verdict.WRONG_LOT: lambda: of(verdict(code("a"), pools=(pool(lot="B"),))),
    Verdict.WRONG_CAMPAIGN: lambda: of(
        judge(
            "bottle",
            ("body",),
            order(campaign="spring"),
            read("a"),
            known(code("a"), pools=[pool(campaign="winter")]),
            earlier={},
        )
    ),
    Verdict.MISMATCH: lambda: of(verdict(code("a", 0), code("b", 1))),
    Verdict.BAD_GRADE: lambda: of(
        judge("bottle", ("body",), order(), read("a", graded=False), known(code("a")), earlier={})
    ),
    Verdict.CHILD: lambda: may_be_packed(code("a", on=unit(7, parent=9)), "bottle", order(), False),
    # COUNT is a word about a container: one child twice in its picture (test_pack).
    Verdict.COUNT: lambda: worst([Verdict.COUNT]),
    # TEST is one of test mode, whatever was read (test_testmode).
    Verdict.TEST: lambda: worst([Verdict.TEST, Verdict.NO_READ]),
}


@pytest.mark.parametrize("wanted", Verdict)
def test_every_verdict_arises(wanted: Verdict) -> None:
    assert EXAMPLES[wanted]() is wanted


def test_of_several_faults_the_one_that_a_person_must_hear_first_is_told() -> None:
    for one, two in combinations([v for v in Verdict if v is not Verdict.PASS], 2):
        assert worst([one, two]) is worst([two, one])
        assert worst([one, two]) in (one, two)
    assert worst([Verdict.NO_READ, Verdict.DUPLICATE]) is Verdict.DUPLICATE
    assert worst([Verdict.PASS]) is Verdict.PASS
    assert worst([]) is Verdict.PASS


@given(st.lists(st.sampled_from(Verdict), max_size=6))
def test_no_fault_is_ever_outvoted(faults: list[Verdict]) -> None:
    assert (worst(faults) is Verdict.PASS) == (not set(faults) - {Verdict.PASS})


# ------------------------------------------------------------------------- codes we print ourselves


@pytest.mark.parametrize(
    ("state", "wanted"),
    [
        (CodeState.ISSUED, Verdict.UNKNOWN),  # never sent to any coder: it cannot be here
        (CodeState.ALLOCATED, Verdict.UNKNOWN),
        (CodeState.SENDING, Verdict.PASS),  # a reader may be quicker than the coder's own report
        (CodeState.ACCEPTED, Verdict.PASS),
        (CodeState.PRINTED, Verdict.PASS),
        (CodeState.SUSPECT, Verdict.PASS),  # in doubt until a reader sees it: this is the reader
        (CodeState.VOID, Verdict.VOID),
        (CodeState.ATTACHED, Verdict.DUPLICATE),  # on a thing that is no unit any more
    ],
)
def test_a_code_that_we_print_must_have_been_sent_to_a_printer(
    state: CodeState, wanted: Verdict
) -> None:
    assert of(verdict(code("a", state=state), pools=(printed,))) is wanted


def test_printed_is_not_what_is_read() -> None:
    here, other = code("a", 0, state=CodeState.PRINTED), code("b", 1, state=CodeState.PRINTED)
    assert of(verdict(here, pools=(printed,), expected=here.key)) is Verdict.PASS
    assert of(verdict(here, pools=(printed,), expected=other.key)) is Verdict.MISMATCH


def test_a_code_of_another_pool_than_the_order_names_is_a_wrong_product() -> None:
    stray = code("a", key=CodeKey(5, 0, 0))
    assert of(verdict(stray, pools=(pool(5),))) is Verdict.WRONG_PRODUCT
    open_order = order(pools={})
    judged = judge(
        "bottle", ("body",), open_order, read("a"), known(stray, pools=[pool(5)]), earlier={}
    )
    assert of(judged) is Verdict.PASS


def test_a_pool_for_the_orders_own_product_lot_and_campaign_passes() -> None:
    ours = pool(product="cola", lot="A", campaign="spring")
    judged = judge(
        "bottle",
        ("body",),
        order(campaign="spring"),
        read("a"),
        known(code("a"), pools=[ours]),
        earlier={},
    )
    assert of(judged) is Verdict.PASS


def test_a_refused_symbol_is_unknown_and_a_symbol_of_another_level_says_nothing() -> None:
    refused = judge("bottle", ("body",), order(), read(refused=1), known(), earlier={})
    assert of(refused) is Verdict.UNKNOWN
    case = code("c", key=CodeKey(2, 0, 0), role="case-outer")
    seen = verdict(code("a"), case, pools=(pool(2, level="case", roles=("case-outer",)),))
    assert (of(seen), list(seen.reads)) == (Verdict.PASS, ["body"])


# --------------------------------------------------------------------------- twice the same code


def test_a_duplicate_puts_the_other_unit_in_doubt() -> None:
    judged = verdict(code("a", on=unit(7)))
    assert (of(judged), judged.others) == (Verdict.DUPLICATE, (7,))


def test_a_units_own_code_is_no_duplicate_at_a_later_station() -> None:
    judged = verdict(code("a", on=unit(7)), own_unit=7)
    assert (of(judged), judged.others) == (Verdict.PASS, ())


def test_a_duplicate_of_a_held_unit_is_told_as_held() -> None:
    assert of(verdict(code("a", on=unit(7, held=True)))) is Verdict.HELD


# ------------------------------------------------------------------------- roles of one unit


def test_two_texts_for_one_role_are_a_mismatch_in_one_picture_and_across_readers() -> None:
    assert of(verdict(code("a", 0), code("b", 1))) is Verdict.MISMATCH
    assert of(verdict(code("b", 1), earlier={"body": CodeKey(1, 0, 0)})) is Verdict.MISMATCH
    assert of(verdict(code("b", 1), earlier={"body": CodeKey(1, 1, 0)})) is Verdict.PASS


def test_the_same_text_twice_in_one_picture_is_one_reading() -> None:
    assert of(verdict(code("a"), texts=("a", "a"))) is Verdict.PASS


def test_a_linked_set_stands_in_one_row() -> None:
    linked = pool(roles=("body", "cap"))
    body, cap = code("b", 4), code("k", key=CodeKey(1, 4, 1), role="cap")
    roles, at = ("body", "cap"), known(body, cap, pools=[linked])
    assert of(judge("bottle", roles, order(), read("b", "k"), at, earlier={})) is Verdict.PASS

    stray = replace(cap, key=CodeKey(1, 5, 1))
    at = known(body, stray, pools=[linked])
    assert of(judge("bottle", roles, order(), read("b", "k"), at, earlier={})) is Verdict.MISMATCH
    # The cap was read two stations ago: still one set.
    at = known(body, pools=[linked])
    earlier = {"cap": stray.key}
    assert (
        of(judge("bottle", ("body",), order(), read("b"), at, earlier=earlier)) is Verdict.MISMATCH
    )


def test_a_missing_role_is_a_no_read_unless_the_scheme_lets_it_be_missing() -> None:
    lenient = LevelSpec("bottle", "body", ("body", "cap"), optional=("cap",))
    wanted = ("body", "cap")
    assert missing(CAPPED, wanted, {"body"}, late=False) is Verdict.NO_READ
    assert missing(lenient, wanted, {"body"}, late=False) is Verdict.PASS
    assert missing(lenient, wanted, {"cap"}, late=False) is Verdict.NO_READ


# ------------------------------------------------------------------- children of a container


@pytest.mark.parametrize(
    ("child", "wanted"),
    [
        (unit(7), Verdict.PASS),
        (unit(7, state=UnitState.UNPACKED), Verdict.PASS),
        (None, Verdict.CHILD),  # its code was never given to a unit
        (unit(7, parent=9), Verdict.CHILD),  # rule 1: one open parent
        (unit(7, state=UnitState.COMMISSIONED), Verdict.CHILD),
        (unit(7, state=UnitState.REJECTED), Verdict.CHILD),
        (unit(7, state=UnitState.SAMPLED), Verdict.CHILD),
        (unit(7, level="box"), Verdict.CHILD),
        (unit(7, held=True), Verdict.HELD),
        (unit(7, product="lemonade"), Verdict.WRONG_PRODUCT),
        (unit(7, lot="B"), Verdict.WRONG_LOT),
    ],
)
def test_what_may_be_packed(child: object, wanted: Verdict) -> None:
    assert may_be_packed(code("a", on=child), "bottle", order(), mixed_lots=False) is wanted  # type: ignore[arg-type]


def test_another_lot_may_be_packed_where_the_scheme_mixes_lots() -> None:
    assert may_be_packed(code("a", on=unit(7, lot="B")), "bottle", order(), True) is Verdict.PASS


# ------------------------------------------------------ several readers, and what pairs their codes


def two_readers(
    tmp_path: Path,
    *,
    loose: bool = False,
    path: str = "single_file",
    together: bool = False,
    linked: bool = False,
) -> Line:
    """A cap reader without a gate and a body camera behind it, or both at one station.

    Bodies and caps are two pools, or the two columns of one (a linked set).
    """
    eye, cam = ReaderPlan("eye", ("cap",), loose), ReaderPlan("cam", ("body",))
    if together:
        belt = chain(Station("verify", 1, "verify", "bottle", readers=(eye, cam)))
    else:
        belt = chain(
            Station("cap", 0, "verify", "bottle", readers=(eye,), gate=False),
            Station("verify", 1, "verify", "bottle", readers=(cam,)),
            paths=(path,),
        )
    line = Line(tmp_path, belt, made=order(scheme=scheme(CAPPED), pools={}), preprinted=True)
    if linked:
        declared = Declared("sets", "bottle", ("body", "cap"), preprinted=True)
        line.add_pool(declared, "S", 10)
    else:
        line.add_pool(Declared("caps", "bottle", ("cap",), preprinted=True), "K", 10)
    return line.start()


def pairs(line: Line, body: str, cap: str) -> dict[str, PairIntegrity]:
    """The item shows cap and body; how well it is known that they are on one unit."""
    first = "cap" if "cap" in line.plan.by_id else "verify"
    line.tell(i.ItemTriggered(first, 1), read(cap, station=first, reader="eye"))
    if first == "cap":
        line.tell(i.ItemTriggered("verify", 1))
    line.tell(read(body))
    (passed,) = line.facts(f.ItemPassed)
    return {each.role: each.integrity for each in passed.codes}


@pytest.mark.parametrize(
    ("how", "integrity"),
    [
        ({"together": True}, PairIntegrity.PROVEN),  # one trigger: no item can come between
        ({"together": True, "loose": True}, PairIntegrity.INFERRED),
        ({"path": "captive"}, PairIntegrity.PROVEN),
        ({"path": "single_file"}, PairIntegrity.INFERRED),
        ({"path": "captive", "loose": True}, PairIntegrity.INFERRED),  # no cap on the bottle yet
        ({"path": "single_file", "linked": True}, PairIntegrity.SUPPLIED),  # the maker's word
        ({"path": "captive", "loose": True, "linked": True}, PairIntegrity.SUPPLIED),
    ],
    ids=lambda how: "-".join(f"{k}={v}" for k, v in how.items()) if isinstance(how, dict) else None,
)
def test_pair_integrity(tmp_path: Path, how: dict[str, object], integrity: PairIntegrity) -> None:
    with two_readers(tmp_path, **how) as line:  # type: ignore[arg-type]
        texts = ("S-0003-body", "S-0003-cap") if "linked" in how else ("B-0000", "K-0000")
        found = pairs(line, *texts)
        assert found == {"body": PairIntegrity.PROVEN, "cap": integrity}
        for text in texts:
            assert line.code(text).unit == line.unit(1)


def test_the_order_of_the_readers_of_one_station_does_not_matter(tmp_path: Path) -> None:
    with two_readers(tmp_path, together=True) as line:
        line.tell(i.ItemTriggered("verify", 1), read("B-0000"))
        assert not line.facts(f.ItemPassed), "a verdict waits for every reader of the station"
        line.tell(read("K-0000", reader="eye"))
        (passed,) = line.facts(f.ItemPassed)
        assert {each.role for each in passed.codes} == {"body", "cap"}


def test_a_role_that_no_reader_of_the_station_saw_is_a_no_read(tmp_path: Path) -> None:
    with two_readers(tmp_path, together=True) as line:
        line.tell(i.ItemTriggered("verify", 1), read(reader="eye"), read("B-0000"))
        (rejected,) = line.facts(f.ItemRejected)
        assert (rejected.verdict, rejected.codes) == ("no_read", (line.code("B-0000").key,))


def test_a_fault_without_a_gate_waits_for_the_next_gate_of_the_zone(tmp_path: Path) -> None:
    with two_readers(tmp_path) as line:
        line.tell(i.ItemTriggered("cap", 1), read(station="cap", reader="eye"))
        assert not line.facts(f.ItemRejected)
        line.tell(i.ItemTriggered("verify", 1), read("B-0000"))
        (rejected,) = line.facts(f.ItemRejected)
        assert (rejected.station, rejected.verdict) == ("verify", "no_read")


def test_one_code_on_two_items_in_flight_is_a_duplicate(tmp_path: Path) -> None:
    """The cap of item 1 is read again on item 2 before item 1 has become a unit."""
    with two_readers(tmp_path) as line:
        for item in (1, 2):
            line.tell(
                i.ItemTriggered("cap", item), read("K-0000", item=item, station="cap", reader="eye")
            )
        for item, body in ((1, "B-0000"), (2, "B-0001")):
            line.tell(i.ItemTriggered("verify", item), read(body, item=item))
        verdicts = {each.item: each.verdict for each in line.facts(f.ItemRejected)}
        assert verdicts[2] == "duplicate"
        # Nobody can say whose cap it is: it belongs to one unit at the most.
        assert len(line.facts(f.ItemPassed)) <= 1


def test_a_duplicate_doubts_the_unit_that_had_the_code_and_tells_a_person(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        first = line.good_bottle(0)
        line.code_bottle(1, 1)
        line.see_bottle(1, "B-0000", gate=i.GateSaw.REJECTED)
        assert [each.verdict for each in line.facts(f.ItemRejected)] == ["duplicate"]
        assert line.unit(first).doubtful
        assert line.code("B-0000").unit == line.unit(first), "the code stays where it was"
        assert line.alarms == {"duplicate_code": 1}


def test_printed_and_read_differ_on_the_belt(tmp_path: Path) -> None:
    """A code that the coder printed for another bottle: what is on which one is not known, so
    nothing is expected of the bottles behind it."""
    with Line(tmp_path).start() as line:
        line.code_bottle(0, 0)
        line.code_bottle(1, 1)
        line.see_bottle(0, "B-0001", gate=i.GateSaw.REJECTED)
        (rejected,) = line.facts(f.ItemRejected)
        assert (rejected.verdict, rejected.expected) == ("mismatch", None)
        line.see_bottle(1, "B-0000", gate=i.GateSaw.PASSED)
        assert [each.verdict for each in line.facts(f.ItemRejected)] == ["mismatch"]


def test_no_order_no_pass(tmp_path: Path) -> None:
    with Line(tmp_path) as line:
        line.tell(i.RunChanged(1, "first_start"))
        line.see_bottle(0, "B-0000", gate=i.GateSaw.REJECTED)
        assert [each.verdict for each in line.facts(f.ItemRejected)] == ["unknown"]


def test_answers_that_nobody_waits_for_change_nothing(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        line.code_bottle(0, 0)
        line.see_bottle(0, "B-0000", gate=None)
        for late in (read("B-0001", item=0), read("B-0001", item=99)):
            assert line.tell(late).facts == ()
