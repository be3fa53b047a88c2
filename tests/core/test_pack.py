"""What one picture of a container's content says, and what a container's record is worth.

The container is a case of four bottles with the units 1..4; `B1` is the code of unit 1 and so on.
"""

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.facts import CodeKey, Integrity, LinkEvidence, OwnCode
from agent.core.inputs import ItemReadings
from agent.core.known import Known
from agent.core.pack import Content, integrity, judge_content
from agent.core.scheme import LevelSpec
from agent.core.state import Container
from agent.core.verdict import Verdict
from tests.core.lines import BOTTLE, code, known, order, pool, read, scheme, unit

FOUR = LevelSpec("case", "case-outer", ("case-outer",), children=4)
LENIENT = LevelSpec("case", "case-outer", ("case-outer",), children=4, unknown=1)
CASES = pool(2, level="case", roles=("case-outer",))
OWN = code("C1", key=CodeKey(2, 0, 0), role="case-outer")


def store() -> Known:
    """Bottles 1..6 of the order, the case code C1, and codes that may not be in a case."""
    bottles = [code(f"B{n}", n, on=unit(n)) for n in range(1, 7)]
    return known(
        *bottles,
        OWN,
        code("foreign", 90, on=unit(90, product="lemonade")),
        code("old-lot", 91, on=unit(91, lot="B")),
        code("packed", 92, on=unit(92, parent=7)),
        code("unverified", 93),
        pools=[CASES],
    )


def see(
    *texts: str,
    spec: LevelSpec = FOUR,
    mixed: bool = False,
    case: Container | None = None,
    **more: Any,
) -> Content:
    """One picture of a case that one stroke filled with four bottles and that then moves on."""
    seen: ItemReadings = read(*texts, station="packer", reader="content", **more)
    roles = ("body", "case-outer")
    made = scheme(case=spec, mixed_lots="allow" if mixed else "close_partial")
    return judge_content(spec, BOTTLE, order(scheme=made), case or stroked(4), seen, store(), roles)


def stroked(moved: int, **more: Any) -> Container:
    """A case that the packer's strokes moved so many bottles into."""
    return Container(1, "case", "packer", "WO-1", 4, moved=moved, **({"last": True} | more))


# ------------------------------------------------------------------------------------ multi-read


def test_every_child_is_read() -> None:
    content = see("B1", "B2", "B3", "B4")
    assert (content.verdict, content.children) == (Verdict.PASS, (1, 2, 3, 4))


@pytest.mark.parametrize(
    ("texts", "more", "wanted"),
    [
        (("B1", "B2", "B3"), {}, Verdict.NO_READ),  # one is there and was not read
        (("B1", "B2", "B3"), {"late": True}, Verdict.LATE),
        ((), {}, Verdict.NO_READ),
        (("B1", "B2", "B3", "B4", "B5"), {}, Verdict.COUNT),  # one more than the stroke moved
        (("B1", "B2", "B3", "B3"), {}, Verdict.COUNT),  # one bottle at two places
        (("B1", "B2", "B3"), {"repeated": 1}, Verdict.COUNT),  # one text twice in the picture
        (("B1", "B2", "B3", "nobody's"), {}, Verdict.UNKNOWN),
        (("B1", "B2", "B3"), {"refused": 1}, Verdict.UNKNOWN),
        (("B1", "B2", "B3", "foreign"), {}, Verdict.WRONG_PRODUCT),
        (("B1", "B2", "B3", "old-lot"), {}, Verdict.WRONG_LOT),
        (("B1", "B2", "B3", "packed"), {}, Verdict.CHILD),
        (("B1", "B2", "B3", "unverified"), {}, Verdict.CHILD),
    ],
)
def test_a_picture_that_is_not_what_the_stroke_moved(
    texts: tuple[str, ...], more: dict[str, Any], wanted: Verdict
) -> None:
    assert see(*texts, **more).verdict is wanted


def test_unknown_children_are_told_and_capped() -> None:
    one = see("B1", "B2", "B3", spec=LENIENT)
    assert (one.verdict, one.children) == (Verdict.PASS, (1, 2, 3, None))
    assert see("B1", "B2", spec=LENIENT).verdict is Verdict.NO_READ
    # The cap counts for the whole container, not for each picture.
    half = stroked(2, count=2, unknown=1)
    assert see("B3", spec=LENIENT, case=half).verdict is Verdict.NO_READ


def test_places_are_kept() -> None:
    assert see("B1", "B2", "B3", "B4", places=(3, 1, 0, 2)).children == (3, 2, 4, 1)
    # The place that was not read is the unknown one.
    assert see("B1", "B2", "B3", places=(3, 1, 0), spec=LENIENT).children == (3, 2, None, 1)
    assert see("B1", "B2", "B3", "B4", places=(0, 1, 1, 2)).verdict is Verdict.COUNT


def test_the_other_lot_goes_in_where_the_scheme_mixes_lots() -> None:
    assert see("B1", "B2", "B3", "old-lot", mixed=True).verdict is Verdict.PASS


def test_a_case_that_moves_on_too_early_is_short_unless_a_person_said_why() -> None:
    assert see("B1", "B2", "B3", case=stroked(3)).verdict is Verdict.COUNT
    partial = stroked(3, partial="end of the lot")
    assert see("B1", "B2", "B3", case=partial).verdict is Verdict.PASS
    # It stays: the next stroke may bring the rest.
    assert see("B1", "B2", "B3", case=stroked(3, last=False)).verdict is Verdict.PASS


def test_strokes_may_not_overfill() -> None:
    assert see("B1", "B2", "B3", case=stroked(3, count=2)).verdict is Verdict.COUNT


def test_without_a_stroke_the_scheme_says_how_many_there_are() -> None:
    assert see("B1", "B2", "B3", "B4", case=stroked(0)).children == (1, 2, 3, 4)
    assert see("B1", "B2", "B3", case=stroked(0)).verdict is Verdict.NO_READ


def test_the_cases_own_code_in_the_same_picture_is_no_child() -> None:
    content = see("B1", "B2", "B3", "B4", "C1", places=(0, 1, 2, 3, 4))
    assert (content.verdict, content.children) == (Verdict.PASS, (1, 2, 3, 4))
    assert content.own == {"case-outer": OWN}


@given(
    st.permutations(["B1", "B2", "B3", "B4"]),
    st.sets(st.integers(0, 3)),
    st.integers(0, 4),
)
def test_a_record_never_claims_more_children_than_were_read(
    texts: list[str], unread: set[int], allowed: int
) -> None:
    """Whatever is not read is None, as many as there are, or the case is refused."""
    spec = LevelSpec("case", "case-outer", ("case-outer",), children=4, unknown=allowed)
    places = [place for place in range(4) if place not in unread]
    seen = [texts[place] for place in places]
    content = see(*seen, spec=spec, places=tuple(places))
    assert (content.verdict is Verdict.PASS) == (len(unread) <= allowed)
    assert len(content.children) == 4
    assert [child for child in content.children if child] == [int(text[1]) for text in seen]


# ------------------------------------------------------------------------------------- integrity

READ, ORDER, SCANNED, PRESET = (
    LinkEvidence.READ,
    LinkEvidence.ORDER,
    LinkEvidence.SCANNED,
    LinkEvidence.PRESET,
)


@pytest.mark.parametrize(
    ("evidence", "unknown", "own", "doubtful", "worth"),
    [
        # Every child read or scanned in it, and its own code read with them: proven.
        ([READ], 0, OwnCode.SAME_FRAME, False, Integrity.PROVEN),
        ([READ], 0, OwnCode.CAPTIVE, False, Integrity.PROVEN),
        ([SCANNED], 0, OwnCode.SCANNED, False, Integrity.PROVEN),
        ([READ, SCANNED], 0, OwnCode.CAPTIVE, False, Integrity.PROVEN),
        # The case could have changed places before its label was read.
        ([READ], 0, OwnCode.SINGLE_FILE, False, Integrity.INFERRED),
        ([READ], 0, OwnCode.UNREAD, False, Integrity.INFERRED),
        # Some link is only believed.
        ([ORDER], 0, OwnCode.CAPTIVE, False, Integrity.INFERRED),
        ([PRESET], 0, OwnCode.SAME_FRAME, False, Integrity.INFERRED),
        ([READ, ORDER], 0, OwnCode.CAPTIVE, False, Integrity.INFERRED),
        # The PLC restarted while it was on the way.
        ([READ], 0, OwnCode.CAPTIVE, True, Integrity.INFERRED),
        # An unknown child outweighs everything.
        ([READ], 1, OwnCode.SAME_FRAME, False, Integrity.INCOMPLETE),
        ([ORDER], 1, OwnCode.CAPTIVE, True, Integrity.INCOMPLETE),
    ],
)
def test_what_a_containers_record_is_worth(
    evidence: list[LinkEvidence], unknown: int, own: OwnCode, doubtful: bool, worth: Integrity
) -> None:
    assert integrity(evidence, unknown, own, doubtful=doubtful) is worth


def test_proven_is_exactly_what_the_definition_says() -> None:
    """All combinations against the definition of DOMAIN.md, written a second time."""
    kinds = list(LinkEvidence)
    for chosen in product([False, True], repeat=len(kinds)):
        evidence = {kind for kind, there in zip(kinds, chosen, strict=True) if there}
        for unknown, own, doubtful in product([0, 2], OwnCode, [False, True]):
            seen = bool(evidence) and not evidence & {ORDER, PRESET}
            together = own not in {OwnCode.SINGLE_FILE, OwnCode.UNREAD}
            found = integrity(evidence, unknown, own, doubtful=doubtful)
            proven = seen and together and not unknown and not doubtful
            assert (found is Integrity.PROVEN) == proven
            assert (found is Integrity.INCOMPLETE) == bool(unknown)
