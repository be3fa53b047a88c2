"""One identity per code: every spelling, every refusal, and nothing that crashes."""

import re
import string
from urllib.parse import quote

import biip
import pytest
from biip import ParseConfig
from biip.gs1_application_identifiers import _GS1_APPLICATION_IDENTIFIERS
from biip.gs1_digital_link_uris import GS1DigitalLinkURI
from biip.gs1_messages import GS1Message
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core import codes
from agent.core.codes import (
    MAX_LENGTH,
    MAX_RAW,
    REASONS,
    Refused,
    canonical,
    element_string,
    masked,
)
from agent.core.gs1 import GS, check_digit, elements_of

GTIN = "06901234567892"
SSCC = "069012345600000121"  # check digit from DEVICES.md, section 11
ITEM = f"https://id.gs1.org/01/{GTIN}/21/ABC123"

CHARSET_82 = string.ascii_letters + string.digits + "!\"%&'()*+,-./:;<=>?_"


def refusal(raw: str | bytes, **options: str) -> str:
    with pytest.raises(Refused) as caught:
        canonical(raw, **options)
    assert caught.value.reason in REASONS
    return caught.value.reason


# ------------------------------------------------------------------------------------ examples


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("HTTPS://Q.EXAMPLE.CN/AbC", "https://q.example.cn/AbC"),
        ("https://q.example.cn/AbC", "https://q.example.cn/AbC"),
        ("]Q1HTTP://Q.Example.CN/AbC?X=1#Y", "http://q.example.cn/AbC?X=1#Y"),
        ("https://Me:Pw@Q.EXAMPLE.CN:8443/A", "https://Me:Pw@q.example.cn:8443/A"),
        ("https://红酒.例.CN/A", "https://红酒.例.cn/A"),
        ("weixin://DL/x", "weixin://dl/x"),
        (b"\xef\xbc\xa1\xe7\xa0\x81", "Ａ码"),
        ("AbC-001", "AbC-001"),
        ("]C0AbC-001 ", "AbC-001"),
        ("]Q1]Q1AbC", "AbC"),
        ("6901234567892", "6901234567892"),
        ("]E06901234567892", "6901234567892"),
        ("A B", "A B"),
        ("(special)", "(special)"),
        ("not a url://x", "not a url://x"),
    ],
)
def test_serials_and_urls(raw: str | bytes, text: str) -> None:
    code = canonical(raw)
    assert code.text == text
    assert code.kind == (
        "url" if text.partition("://")[0].isalpha() and "://" in text else "serial"
    )
    assert (code.gtin, code.serial, code.sscc, code.lot) == ("", "", "", "")


@pytest.mark.parametrize(
    "raw",
    [
        f"01{GTIN}21ABC123",
        f"]d201{GTIN}21ABC123",
        f"]C101{GTIN}21ABC123",
        f"]Q3{GS}01{GTIN}21ABC123{GS}",
        f"01{GTIN}21ABC123{GS}10L1",
        f"10L1{GS}01{GTIN}21ABC123",
        f"17281231{GS}01{GTIN}21ABC123",
        f"1728123101{GTIN}21ABC123",
        f"(01){GTIN}(21)ABC123",
        f"]d2(01){GTIN}(21)ABC123",
        "(01)6901234567892 (10) L1 (21) ABC123",
        f"https://id.gs1.org/01/{GTIN}/21/ABC123",
        "http://ID.GS1.ORG/01/6901234567892/10/L%2F1/21/ABC%3123?17=281231",
        f"https://brand.example.cn/wine/01/{GTIN}/22/V1/10/L1/21/ABC123?utm=x#top",
        f"https://brand.example.cn/01/{GTIN}?21=ABC123&10=L1",
    ],
)
def test_one_item_in_many_spellings(raw: str) -> None:
    code = canonical(raw)
    assert (code.text, code.kind, code.gtin, code.serial) == (ITEM, "gs1", GTIN, "ABC123")
    assert canonical(raw.encode()).text == ITEM


def test_parts_that_are_not_the_identity_are_kept_where_the_symbol_has_them() -> None:
    assert canonical(f"01{GTIN}10L1{GS}21ABC123").lot == "L1"
    assert canonical(ITEM).lot == ""


@pytest.mark.parametrize(
    "raw",
    [
        SSCC,
        f"00{SSCC}",
        f"]C100{SSCC}",
        f"(00){SSCC}",
        "(00) 0 6901234 560000012 1",
        f"00{SSCC}02{GTIN}3724",
        f"(00){SSCC}(02){GTIN}(37)24",
        f"https://id.gs1.org/00/{SSCC}",
        f"https://brand.example.cn/00/{SSCC}?02={GTIN}&37=24",
    ],
)
def test_one_logistic_unit_in_many_spellings(raw: str) -> None:
    code = canonical(raw)
    assert (code.text, code.kind, code.sscc) == (f"https://id.gs1.org/00/{SSCC}", "sscc", SSCC)


def test_a_product_is_told_from_an_item() -> None:
    assert canonical(f"]d201{GTIN}").kind == "product"
    lot = canonical(f"(01){GTIN}(10)L/1")
    assert (lot.kind, lot.text, lot.lot) == (
        "product",
        f"https://id.gs1.org/01/{GTIN}/10/L%2F1",
        "L/1",
    )
    assert canonical(lot.text) == lot
    # Without AIM, FNC1 or brackets a number with a right check digit by chance stays a number.
    for number in (f"01{GTIN}", f"01{GTIN}10123", f"1728123101{GTIN}"):
        assert canonical(number) == codes.Code(number, "serial")


def test_a_third_party_serial_is_an_identity_of_its_own() -> None:
    tpx = canonical(f"01{GTIN}235ABC123")
    assert tpx.text == f"https://id.gs1.org/01/{GTIN}/235/ABC123"
    assert tpx.text != ITEM
    assert canonical(tpx.text).text == tpx.text


# A URL that looks like a Digital Link: what the head of codes.py promises.
BAD_GTIN = "06901234567893"
BAD_SSCC = "069012345600000122"


def test_private_urls_that_look_like_digital_links() -> None:
    for path in (f"01/{GTIN}", f"01/{BAD_GTIN}", f"a/00/{BAD_SSCC}", f"01/{BAD_GTIN}/10/L1"):
        url = f"https://q.example.cn/{path}"
        assert (canonical(url).text, canonical(url).kind) == (url, "url")
    for path in (f"01/{GTIN}/21/A/B", f"01/{GTIN}/21/", f"01/{GTIN}/21/A/10/L", "01/1234/21/A"):
        url = f"https://q.example.cn/{path}"
        assert (canonical(url).text, canonical(url).kind) == (url, "url")
    assert refusal(f"https://q.example.cn/01/{BAD_GTIN}/21/A") == "code_check_digit"
    assert refusal(f"https://id.gs1.org/01/{BAD_GTIN}") == "code_check_digit"
    assert refusal(f"https://id.gs1.org/00/{BAD_SSCC}") == "code_check_digit"
    assert refusal(f"https://id.gs1.org/01/{GTIN}/21/A/B") == "code_gs1_malformed"
    assert refusal(f"https://id.gs1.org/00/{SSCC}/21/A") == "code_gs1_malformed"
    assert refusal("https://id.gs1.org/01/12345670") == "code_gs1_malformed"
    # The first key after the domain's own path counts, not a number that only resembles a key.
    assert canonical(f"https://q.example.cn/01/2026/01/{GTIN}/21/ABC123").text == ITEM


# ------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("", "code_empty"),
        (b"", "code_empty"),
        ("   ", "code_empty"),
        ("]Q1", "code_empty"),
        ("]Q1 ", "code_empty"),
        ("A" * (MAX_LENGTH + 1), "code_too_long"),
        ("A" * (MAX_RAW + 1), "code_too_long"),
        (b"\xff" * (4 * MAX_RAW + 1), "code_too_long"),
        ("红酒".encode("gbk"), "code_not_utf8"),
        ("ABC\r\n", "code_control_character"),
        ("A\x00B", "code_control_character"),
        ("\x02ABC\x03", "code_control_character"),
        ("A\u200bB", "code_control_character"),
        ("\ufeffABC", "code_control_character"),
        ("A\ud800", "code_control_character"),
        ("A\u3000", "code_control_character"),
        ("https://q.example.cn/A\x7f", "code_control_character"),
        ("https:///AbC", "code_url_without_host"),
        ("https://me@/AbC", "code_url_without_host"),
        (f"]d201{BAD_GTIN}21A", "code_check_digit"),
        (f"(01){BAD_GTIN}(21)A", "code_check_digit"),
        (f"01{BAD_GTIN}21A{GS}10L", "code_check_digit"),
        (f"]C100{BAD_SSCC}", "code_check_digit"),
        (f"(00){BAD_SSCC}", "code_check_digit"),
        ("]d2ABC", "code_gs1_malformed"),
        (f"A{GS}B", "code_gs1_malformed"),
        (f"https://q.example.cn/{GS}", "code_gs1_malformed"),
        (f"]d201{GTIN}21" + "A" * 21, "code_gs1_malformed"),
        (f"]d201{GTIN}21{GS}10L", "code_gs1_malformed"),
        (f"01{GTIN}21A{GS}21B", "code_gs1_malformed"),
        (f"(01){GTIN}(21)", "code_gs1_malformed"),
        (f"(01){GTIN}(0106){GTIN[2:]}", "code_gs1_malformed"),
        ("(01)٠٦٩٠١٢٣٤٥٦٧٨٩٢(21)A", "code_gs1_malformed"),
        (GS, "code_gs1_no_item"),
        ("]d210LOT1", "code_gs1_no_item"),
        (f"(02){GTIN}(37)24", "code_gs1_no_item"),
    ],
)
def test_refusals(raw: str | bytes, reason: str) -> None:
    assert refusal(raw) == reason


def test_the_longest_code_is_allowed() -> None:
    assert len(canonical("A" * MAX_LENGTH).text) == MAX_LENGTH


def test_without_gs1_announcement_a_wrong_check_digit_is_a_serial() -> None:
    for text in (f"01{BAD_GTIN}21A", f"00{BAD_SSCC}", BAD_SSCC, "99" + SSCC):
        assert canonical(text) == codes.Code(text, "serial")


def test_prefix_and_suffix_of_the_reader() -> None:
    assert canonical("\x02ABC\x03", prefix="\x02", suffix="\x03").text == "ABC"
    assert canonical(b"R1:]Q1ABC\r\n", prefix="R1:", suffix="\r\n").text == "ABC"
    assert canonical("ABC", prefix="R1:", suffix="\r\n").text == "ABC"
    assert canonical("R1:R1:A", prefix="R1:").text == "R1:A"
    assert canonical("AXX", suffix="X").text == "AX"
    assert refusal("R1:", prefix="R1:") == "code_empty"


def test_a_refusal_never_repeats_the_text() -> None:
    for raw in ("SECRET\x00SECRET", "SECRET" * 200, "]d2SECRET", f"01{GTIN}21SECRET{GS}21TERCES"):
        with pytest.raises(Refused) as caught:
            canonical(raw)
        assert "SECRET" not in str(caught.value)


def test_masked() -> None:
    assert masked(7, 1234) == "7/1234"


# ---------------------------------------------------------------------------------- properties


@settings(deadline=None)
@given(st.one_of(st.text(), st.binary(), st.text(CHARSET_82 + GS + "]/ ", max_size=60)))
def test_never_crashes_and_is_idempotent(raw: str | bytes) -> None:
    try:
        code = canonical(raw)
    except Refused:
        assert refusal(raw)  # with a reason that the catalogue knows
        return
    assert 0 < len(code.text) <= MAX_LENGTH
    assert code.text.isprintable()
    again = canonical(code.text)
    assert (again.text, again.kind) == (code.text, code.kind)
    assert code.text.encode().decode() == code.text


digits = st.text("0123456789", min_size=13, max_size=13)
values = st.text(CHARSET_82, min_size=1, max_size=20)
readable = values.filter(lambda value: not re.search(r"\(\d{2,4}\)", value))
GLUE = "https:// HTTP:// id.gs1.org q.cn / /01/ /00/ /21/ /10/ ?21= (01) (21) (00) 01 21 10 ]d2 ]Q1"
PIECES = st.sampled_from(
    [
        *GLUE.split(),
        GTIN,
        BAD_GTIN,
        SSCC,
        BAD_SSCC,
        GS,
        " ",
        "A",
        "",
        "17281231",
        "@",
        "#",
        "\x00",
        "٣",
    ]
)


@settings(deadline=None)
@given(st.lists(PIECES, max_size=9).map("".join))
def test_pieces_of_real_codes_never_crash_and_stay_idempotent(raw: str) -> None:
    try:
        code = canonical(raw)
    except Refused:
        return
    assert canonical(code.text).text == code.text
    assert canonical(f"]Q1 {raw} ").text == code.text


@settings(deadline=None)
@given(digits, values, values)
def test_one_identity_for_all_spellings_of_an_item(body: str, serial: str, lot: str) -> None:
    gtin = body + check_digit(body)
    s, b = quote(serial, safe=""), quote(lot, safe="")
    spellings = [
        f"01{gtin}21{serial}",
        f"]d201{gtin}21{serial}{GS}10{lot}",
        f"{GS}01{gtin}10{lot}{GS}21{serial}{GS}",
        f"]C110{lot}{GS}01{gtin}21{serial}",
        f"11280131{GS}17281231" + f"01{gtin}21{serial}",
        f"https://id.gs1.org/01/{gtin}/10/{b}/21/{s}",
        f"HTTPS://Brand.Example.cn/p/01/{gtin}/21/{s}?10={b}&17=281231&x=1",
        f"]Q1https://brand.example.cn/01/{gtin}/21/{s}#a",
    ]
    if gtin.startswith("0"):
        spellings.append(f"https://brand.example.cn/01/{gtin[1:]}/21/{s}")
    if not re.search(r"\(\d{2,4}\)", serial + lot):
        spellings += [
            f"(01){gtin}(21){serial}(10){lot}",
            f"]d2(01) {gtin} (10) {lot} (21) {serial}",
        ]
    assert {canonical(raw).text for raw in spellings} == {f"https://id.gs1.org/01/{gtin}/21/{s}"}
    for raw in spellings:
        code = canonical(raw)
        assert (code.gtin, code.serial) == (gtin, serial)
        assert code.lot in ("", lot)
        assert canonical("]d2" + element_string(code)) == code


@settings(deadline=None)
@given(digits, values, values)
def test_two_items_are_never_one_identity(body: str, one: str, other: str) -> None:
    gtin = body + check_digit(body)
    same = canonical(f"]d201{gtin}21{one}").text == canonical(f"]d201{gtin}21{other}").text
    assert same == (one == other)


@settings(deadline=None)
@given(st.text("0123456789", min_size=17, max_size=17))
def test_one_identity_for_all_spellings_of_an_sscc(body: str) -> None:
    sscc = body + check_digit(body)
    spellings = [sscc, f"00{sscc}", f"]C100{sscc}", f"(00){sscc}", f"https://b.cn/x/00/{sscc}"]
    assert {canonical(raw).text for raw in spellings} == {f"https://id.gs1.org/00/{sscc}"}
    wrong = body + str((int(sscc[-1]) + 1) % 10)
    for raw in (f"]C100{wrong}", f"(00){wrong}", f"https://id.gs1.org/00/{wrong}"):
        assert refusal(raw) == "code_check_digit"
    code = canonical(sscc)
    assert canonical(element_string(code)) == code


def test_only_gs1_codes_have_an_element_string() -> None:
    assert element_string(canonical(f"]d201{GTIN}")) == f"01{GTIN}"
    assert element_string(canonical(f"01{GTIN}235A")) == f"01{GTIN}235A"
    for raw in ("ABC", "https://q.example.cn/A"):
        with pytest.raises(ValueError, match="no GS1 element string"):
            element_string(canonical(raw))


# ------------------------------------------------------------------- biip as the outside judge


@settings(deadline=None)
@given(digits, values, readable)
def test_biip_reads_the_same(body: str, serial: str, lot: str) -> None:
    gtin = body + check_digit(body)
    raw = f"01{gtin}10{lot}{GS}21{serial}"
    message = GS1Message.parse(raw)
    assert {es.ai.ai: es.value for es in message.element_strings} == elements_of(raw)
    assert message.element_strings[0].gtin is not None
    code = canonical("]d2" + raw)
    link = GS1DigitalLinkURI.parse(code.text)
    assert link.as_canonical_uri() == code.text
    assert [es.value for es in link.element_strings] == [gtin, serial]
    assert biip.parse(code.text).gs1_digital_link_uri is not None


fixed = {
    ai: spec for ai, spec in _GS1_APPLICATION_IDENTIFIERS.items() if not spec.separator_required
}


@settings(deadline=None)
@given(st.lists(st.sampled_from(["11280101", "3103001500", "4106901234567892", "20", "37"])))
def test_biip_splits_any_message_the_same(elements: list[str]) -> None:
    parts = {e[:2] if e[:2] in ("11", "20", "37") else e[:4]: e for e in elements}
    raw = "".join(e + "07" if len(e) == 2 else e for e in parts.values()) + "21X"
    if "3707" in raw:
        raw = raw.replace("3707", f"3707{GS}")
    config = ParseConfig(gs1_element_strings_verify_date=False)
    judged = {es.ai.ai: es.value for es in GS1Message.parse(raw, config=config).element_strings}
    assert elements_of(raw) == judged


def test_elements_without_separator_begin_as_the_table_says() -> None:
    assert {ai[:2] for ai in fixed} == codes._FIXED_HEADS


def test_check_digits_of_published_examples() -> None:
    # GS1 General Specifications 7.9.1, and biip's own documentation.
    assert check_digit("629104150021") == "3"
    assert check_digit("37610425002123456") == "9"
    assert check_digit("950110153100") == "0"
