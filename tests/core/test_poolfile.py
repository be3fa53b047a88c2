"""A pool file is imported whole or refused whole, with the line numbers of what is wrong."""

import csv
import hashlib
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core import codes, poolfile
from agent.core.errors import DomainError
from agent.core.gs1 import check_digit
from agent.core.poolfile import Declared, PoolRefused, rule_pool, seal
from agent.core.poolread import SHOWN, read_pool
from agent.core.poolrule import CHECKS, Rule, luhn

GTIN = "06901234567892"
SSCC = "069012345600000121"
ROLES = ("body", "cap-inner")
EMPTY = "pool_empty_cell"


def declared(**changes: object) -> Declared:
    said: dict[str, object] = {"name": "P1", "level": "bottle", "roles": ROLES} | changes
    return Declared(**said)  # type: ignore[arg-type]


def refused(data: bytes | str, **changes: object) -> PoolRefused:
    with pytest.raises(PoolRefused) as caught:
        read_pool(data.encode() if isinstance(data, str) else data, declared(**changes))
    known = poolfile.REASONS | codes.REASONS
    assert all(problem.reason in known for problem in caught.value.problems)
    return caught.value


def found(data: bytes | str, **changes: object) -> list[tuple[int, str, str]]:
    return [(p.line, p.column, p.reason) for p in refused(data, **changes).problems]


# ------------------------------------------------------------------------------------- accepted


def test_a_linked_set_with_parents_and_rolls() -> None:
    text = (
        "roll,cap-inner,body,parent\r\n"
        "R1,S1,HTTPS://Q.EXAMPLE.CN/A1,C1\r\n"
        "R1,S2,https://q.example.cn/A2,C1\r\n"
        'R2,S3,"https://q.example.cn/A3,x",C2\r\n'
    )
    pool = read_pool(
        b"\xef\xbb\xbf" + text.encode(),
        declared(secret=("cap-inner",), product="SKU", lot="L1", campaign="C", scope="plant"),
    )
    assert pool.roles == ("cap-inner", "body")
    assert list(pool.rows()) == [
        ("S1", "https://q.example.cn/A1"),
        ("S2", "https://q.example.cn/A2"),
        ("S3", "https://q.example.cn/A3,x"),
    ]
    assert pool.parents == ("C1", "C1", "C2")
    assert pool.rolls == (("R1", 0, 2), ("R2", 2, 1))
    assert pool.count == 3
    fact = pool.fact(7)
    assert (fact.pool, fact.name, fact.level, fact.product) == (7, "P1", "bottle", "SKU")
    assert (fact.roles, fact.secret) == (("cap-inner", "body"), ("cap-inner",))
    assert (fact.membership, fact.rule, fact.count, fact.scope) == ("list", "", 3, "plant")
    assert (fact.campaign, fact.lot, fact.preprinted) == ("C", "L1", False)
    assert (fact.parent_column, fact.rolls) == (2, pool.rolls)
    rows = zip(*pool.columns, pool.parents, strict=True)
    assert fact.sha256 == pool.sha256 == seal(rows)
    assert fact.sha256 != seal(pool.rows())


def test_what_is_printed_is_what_the_file_says() -> None:
    pool = read_pool(
        f"body,cap-inner\nA1,B1\nhttps://brand.cn/01/{GTIN}/21/A2,B2\nA3,B3\n".encode(), declared()
    )
    assert pool.columns[0] == ("A1", f"https://id.gs1.org/01/{GTIN}/21/A2", "A3")
    assert [pool.printed(p, 0) for p in range(3)] == [
        "A1",
        f"https://brand.cn/01/{GTIN}/21/A2",
        "A3",
    ]
    assert pool.spelled[1] is None
    assert pool.printed(2, 1) == "B3"


def test_manifest_and_declaration() -> None:
    body = b"body\nA1\nA2\n"
    digest = hashlib.sha256(body).hexdigest()
    whole = f"# count=2 sha256={digest.upper()}\r\n".encode() + body
    total = hashlib.sha256(whole).hexdigest()
    assert read_pool(whole, declared(count=2, sha256=total)).count == 2
    assert read_pool(b"# count=2\n" + body, declared()).count == 2
    assert found(b"# count=3\n" + body) == [(0, "", "pool_truncated")]
    assert found(b"# sha256=" + b"0" * 64 + b"\n" + body) == [(1, "", "pool_truncated")]
    assert found(body, count=1) == [(0, "", "pool_truncated")]
    assert found(body, sha256="0" * 64) == [(0, "", "pool_truncated")]
    assert found(b"# rows=2\n" + body) == [(1, "", "pool_manifest")]
    assert found(b"# count=2\nbody\nA1\nA1\n") == [(4, "body", "pool_duplicate")]


# -------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", [(1, "", "pool_header")]),
        ("body\n", [(0, "", "pool_truncated")]),
        ("A1\nA2\n", [(1, "", "pool_unknown_column"), (1, "", "pool_header")]),
        ("body;cap-inner\nA;B\n", [(1, "", "pool_unknown_column"), (1, "", "pool_header")]),
        ("body,parnet\nA,B\n", [(1, "", "pool_unknown_column")]),
        ("body,body\nA,B\n", [(1, "", "pool_header")]),
        ("parent\nA\n", [(1, "", "pool_header")]),
        ("body\nA1\nA2", [(3, "", "pool_truncated")]),
        ("body,cap-inner\nA1,B1\nA2\n", [(3, "", "pool_truncated")]),
        ("body\nA1\nA2,B2\n", [(3, "", "pool_cells")]),
        ("body\nA1\n\nA2\n", [(3, "", "pool_truncated")]),
        ("body,cap-inner\nA1,\n ,B2\n", [(2, "cap-inner", EMPTY), (3, "body", EMPTY)]),
        ("body\nA1\nA2\nA1\n", [(4, "body", "pool_duplicate")]),
        ("body,cap-inner\nA1,B1\nA2,A1\n", [(3, "cap-inner", "pool_duplicate")]),
        ("body,cap-inner\nA1,A1\n", [(2, "cap-inner", "pool_duplicate")]),
        ("body\nhttps://Q.cn/A\nhttps://q.CN/A\n", [(3, "body", "pool_duplicate")]),
        ("body\nA1\n" + "A" * 513 + "\n", [(3, "body", "code_too_long")]),
        ("body\nA1\nA\u200b2\n", [(3, "body", "code_control_character")]),
        ('body\nA1\n"A\n2"\nA3\n', [(4, "body", "code_control_character")]),
        ('body\nA1\n"A2"x\nA3\n', [(3, "", "pool_not_csv")]),
        ('body\nA1\n"A2\n', [(3, "", "pool_not_csv")]),
        ("body,parent\nA1,C1\nA2,\nA3,\n", [(3, "parent", EMPTY), (4, "parent", EMPTY)]),
        ("body,parent\nA1,C1\nA2,A1\n", [(3, "parent", "pool_own_parent")]),
        ("body,roll\nA1,R1\nA2,R2\nA3,R1\n", [(4, "roll", "pool_roll_split")]),
        ("body,roll\nA1,\n", [(2, "roll", EMPTY)]),
        (f"body\n(01){GTIN}(21)A\n(01){GTIN}\n", [(3, "body", "pool_no_item")]),
    ],
)
def test_refusals(text: str, problems: list[tuple[int, str, str]]) -> None:
    assert found(text) == problems


@pytest.mark.parametrize(
    ("data", "line", "byte"),
    [
        ("body\nA1\n红酒\n".encode("gbk"), 3, 8),
        ("body\nA1\n".encode("utf-16"), 1, 0),
        (b"body\nA1\n\xff\n", 3, 8),
        (b"body\nA1\nA2\xe7\xba", 3, 10),
    ],
)
def test_a_wrong_encoding_names_line_and_byte(data: bytes, line: int, byte: int) -> None:
    problems = refused(data).problems
    assert (problems[0].line, problems[0].reason) == (line, "pool_encoding")
    assert f"at byte {byte};" in problems[0].message
    assert [p.reason for p in problems[1:]] == ["pool_truncated"] * (len(problems) - 1)


WRONG = "06901234567893"


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("(01){}(21)", f"(01){WRONG}(21)X"),
        ("01{}21", f"01{WRONG}21X"),
        ("https://brand.cn/01/{}/21/", f"https://brand.cn/01/{WRONG}/21/X"),
    ],
)
def test_a_wrong_check_digit_among_right_ones(good: str, bad: str) -> None:
    rows = [good.format(GTIN) + str(n) for n in range(5)]
    text = "\n".join(["body", *rows[:3], bad, *rows[3:]]) + "\n"
    assert found(text) == [(5, "body", "code_check_digit")]


def test_wrong_check_digits_in_all_rows() -> None:
    text = f"body\n01{WRONG}21A\n01{WRONG}21B\n"
    assert found(text) == [(2, "body", "code_check_digit"), (3, "body", "code_check_digit")]
    assert read_pool(text.encode(), declared(gs1=False)).count == 2


def test_wrong_check_digit_of_a_bare_sscc() -> None:
    ssccs = [body + check_digit(body) for body in (f"0690123456{n:07}" for n in range(5))]
    ssccs[3] = ssccs[3][:-1] + str((int(ssccs[3][-1]) + 1) % 10)
    text = "\n".join(["body", *ssccs]) + "\n"
    assert found(text) == [(5, "body", "code_check_digit")]
    assert found(text, gs1=True) == [(5, "body", "code_check_digit")]
    assert read_pool(text.encode(), declared(gs1=False)).count == 5


def test_another_kind_among_gs1_codes() -> None:
    assert found(f"body\n(01){GTIN}(21)A\n00{SSCC}\nhello\n") == [(4, "body", "pool_not_gs1")]
    assert found("body\nA1\n", gs1=True) == [(2, "body", "pool_not_gs1")]


def test_plain_numbers_of_18_digits_are_no_broken_ssccs() -> None:
    """One in ten has a right check digit by chance."""
    numbers = [f"{n:018}" for n in range(10**17, 10**17 + 200)]
    pool = read_pool(("body\n" + "\n".join(numbers) + "\n").encode(), declared())
    assert pool.count == 200
    assert [pool.printed(p, 0) for p in range(200)] == numbers


def test_the_list_of_problems_is_capped_and_sorted() -> None:
    refusal = refused("body\n" + "A1\n" * 100 + "\n" * 50 + "A2")
    assert len(refusal.problems) == SHOWN
    assert refusal.more == 99 + 50 + 1 - SHOWN
    assert [p.line for p in refusal.problems] == sorted(p.line for p in refusal.problems)
    assert f"and {refusal.more} more" in str(refusal)
    assert "the same code as in line 2, body" in str(refusal)
    assert refusal.reason == "pool_refused"


def test_a_refusal_never_repeats_a_code() -> None:
    for text in (
        "SECRET1\nSECRET2\n",
        "body\nSECRET\nSECRET\n",
        "body,SECRET\nA,B\n",
        "body,parent\nSECRET,SECRET\n",
        f"body\n(01){GTIN}(21)SECRET\n(01){GTIN}(99)\n",
        'body\n"SECRET"SECRET\n',
    ):
        assert "SECRET" not in str(refused(text))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"roles": ()},
        {"roles": ("body", "body")},
        {"roles": ("body", "parent")},
        {"secret": ("cap",)},
    ],
)
def test_bad_declarations(changes: dict[str, object]) -> None:
    with pytest.raises(DomainError) as caught:
        declared(**changes)
    assert caught.value.reason == "pool_bad_declaration"


# ----------------------------------------------------------------------------------- properties

# Without ":" it cannot become a URL, which may have no host.
VISIBLE = st.characters(min_codepoint=33, exclude_categories=["C", "Z"], exclude_characters=":")
CELL = st.text(VISIBLE, min_size=1, max_size=9)


@settings(deadline=None)
@given(st.lists(CELL, min_size=1, max_size=20, unique=True))
def test_every_good_file_comes_back(cells: list[str]) -> None:
    texts = {"C" + cell: codes.canonical("C" + cell).text for cell in cells}
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([["body"], *([cell] for cell in texts)])
    pool = read_pool(out.getvalue().encode(), declared())
    assert list(pool.columns[0]) == list(texts.values())
    assert [pool.printed(p, 0) for p in range(pool.count)] == list(texts)


@settings(deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_never_crashes_on_any_bytes(data: bytes, header: bool) -> None:
    try:
        pool = read_pool(b"body,cap-inner\n" + data if header else data, declared())
    except PoolRefused as refusal:
        problems = refusal.problems
    else:
        assert pool.count == len(pool.columns[0]) > 0
        return
    assert problems


@settings(deadline=None)
@given(st.lists(st.sampled_from(["A1", "A2", "A1 ", "https://Q.cn/1", "https://q.CN/1", "B"])))
def test_a_duplicate_is_never_imported(cells: list[str]) -> None:
    texts = [codes.canonical(cell).text for cell in cells]
    data = ("body\n" + "".join(f"{cell}\n" for cell in cells)).encode()
    if cells and len(set(texts)) == len(texts):
        assert read_pool(data, declared()).columns[0] == tuple(texts)
    else:
        assert refused(data).problems


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=200))
def test_a_file_that_was_cut_off_is_never_imported(cut: int) -> None:
    body = "".join(f"https://q.example.cn/A{n},B{n}\n" for n in range(8))
    whole = f"# count=8\nbody,cap-inner\n{body}".encode()
    assert read_pool(whole, declared()).count == 8
    if cut < len(whole):
        assert refused(whole[:cut]).problems


# ----------------------------------------------------------------------------------------- rules


def test_a_secret_role_needs_a_list() -> None:
    said = declared(roles=("cap-inner",), secret=("cap-inner",))
    with pytest.raises(DomainError) as caught:
        rule_pool(said, Rule("https://q.cn/"))
    assert caught.value.reason == "pool_secret_by_rule"
    with pytest.raises(DomainError) as caught:
        rule_pool(declared(), Rule("https://q.cn/"))
    assert caught.value.reason == "pool_bad_declaration"


def test_a_pool_by_rule() -> None:
    pool = rule_pool(declared(roles=("body",)), Rule.parse("luhn36:https://q.cn/"))
    fact = pool.fact(3)
    assert (fact.membership, fact.rule, fact.count) == ("rule", "luhn36:https://q.cn/", 0)
    assert (fact.roles, fact.parent_column, fact.rolls) == (("body",), -1, ())
    assert Rule.parse(fact.rule) == Rule("https://q.cn/", "luhn36")


def test_published_luhn_examples() -> None:
    assert luhn("7992739871", 10) == "3"
    assert luhn("1789372997", 10) == "4"


@pytest.mark.parametrize(
    ("check", "stranger"), [("gs1mod10", "٣"), ("luhn10", "A"), ("luhn36", "a")]
)
def test_a_check_knows_its_alphabet(check: str, stranger: str) -> None:
    for last in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        assert not Rule("Q.CN-", check).admits(f"Q.CN-{stranger}{last}")


@pytest.mark.parametrize("check", ["", *CHECKS])
@settings(deadline=None)
@given(tail=st.text("0123456789", min_size=1, max_size=12), digit=st.sampled_from("0123456789AZ٣"))
def test_what_a_rule_admits(check: str, tail: str, digit: str) -> None:
    rule = Rule("Q.CN-", check)
    right = {"": digit, "gs1mod10": check_digit(tail), "luhn10": luhn(tail, 10)}.get(
        check, luhn(tail, 36)
    )
    assert rule.admits(f"Q.CN-{tail}{digit}") == (digit == right)
    assert rule.admits(f"Q.CN-{tail}{right}")
    assert not rule.admits(f"q.cn-{tail}{right}")
    assert not rule.admits("Q.CN-")
    assert rule.admits("Q.CN-1") == (not check)
    assert Rule.parse(rule.text) == rule


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ABC",
        "HTTPS://q.cn/",
        "https://Q.cn/",
        "https://q.cn",
        f"https://brand.cn/01/{GTIN}/21/",
        f"(01){GTIN}(21)",
        "]Q1ABCD",
        " ABCD",
        "AB\x1dCD",
        "luhn10:AB",
    ],
)
def test_rules_that_could_never_admit_or_admit_too_much(text: str) -> None:
    with pytest.raises(DomainError) as caught:
        Rule.parse(text)
    assert caught.value.reason == "pool_bad_rule"


def test_a_rule_for_gs1_codes_matches_their_canonical_form() -> None:
    rule = Rule.parse(f"https://id.gs1.org/01/{GTIN}/21/")
    assert rule.admits(codes.canonical(f"https://brand.cn/01/{GTIN}/21/X").text)
    assert Rule.parse("luhn11:ABC").prefix == "luhn11:ABC"
    with pytest.raises(DomainError):
        Rule("ABCD", "luhn11")
