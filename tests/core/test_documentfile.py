"""Files of documents: every way in which spreadsheets save them, and every fault with its line."""

import codecs
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import documentread
from agent.core.documentdraft import Book, DocumentsRefused, Draft, DraftLine, Item
from agent.core.documentfile import read_documents
from agent.core.documentread import COLUMNS, MAX_ROWS, PROBLEMS

BOOK = Book(
    party="F01",
    items={
        "COLA": Item(
            "COLA",
            {"zh": "可乐", "en": "Cola"},
            {"bottle": 1, "case": 24, "pallet": 1440},
            "06901234000016",
        ),
        "MILK": Item("MILK", {"zh": "奶粉"}, {"bottle": 1, "case": 6}),
    },
    parties={"F01": {"zh": "一厂"}, "D07": {"zh": "华东经销商", "en": "Dealer East"}},
    locations=("A-01", "A-02", "DOCK"),
    taken=lambda number: number == "OLD-1",
)

ZH = "单号,类型,客户,产品,批号,数量,单位\nCK-1,出库,D07,COLA,B1,2,箱\nCK-1,,,MILK,,3,瓶\n"


def problems(data: bytes | str, kind: str = "ship") -> list[tuple[int, str, str]]:
    raw = data.encode() if isinstance(data, str) else data
    with pytest.raises(DocumentsRefused) as refused:
        read_documents(raw, BOOK, kind)
    return [(p.line, p.column, p.reason) for p in refused.value.problems]


def one(data: bytes | str, kind: str = "ship") -> Draft:
    raw = data.encode() if isinstance(data, str) else data
    (draft,) = read_documents(raw, BOOK, kind)
    return draft


# ----------------------------------------------------------------------------- what is understood


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "gbk"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_whatever_a_spreadsheet_saves(encoding: str, delimiter: str, newline: str) -> None:
    text = ZH.replace(",", delimiter).replace("\n", newline)
    draft = one(text.encode(encoding), kind="")
    assert (draft.number, draft.kind, draft.party) == ("CK-1", "ship", "D07")
    assert draft.lines == (
        DraftLine("COLA", "case", 2, "B1", 48),
        DraftLine("MILK", "bottle", 3, "", 3),
    )


def test_a_gb18030_mark_is_no_part_of_the_first_name() -> None:
    assert one("\ufeff".encode("gb18030") + ZH.encode("gb18030")).number == "CK-1"


def test_english_names_of_columns_in_any_letters_with_blank_lines_and_needless_columns() -> None:
    text = (
        "\n Document No. ,Ship-To,SKU,Qty,Unit of Measure,Remark\n\n"
        'SO-1,D07,COLA,"1,440",Bottle,"fragile,\nkeep up"\n,,,,,\nSO-1,D07,COLA,１.0,托,\n'
    )
    draft = one(text)
    assert draft.lines == (
        DraftLine("COLA", "bottle", 1440, "", 1440),
        DraftLine("COLA", "pallet", 1, "", 1440),
    )


def test_names_of_parties_and_products_and_a_gtin_will_do() -> None:
    text = (
        "number,party,product,quantity,unit\nSO-1,华东经销商,可乐,1,箱\nSO-1,,6901234000016,2,箱\n"
    )
    draft = one(text)
    assert draft.party == "D07"
    assert draft.lines == (DraftLine("COLA", "case", 3, "", 72),), "equal lines are one"


def test_json_in_three_shapes() -> None:
    document = {
        "number": "SO-1",
        "party": "D07",
        "territory": "SH",
        "lines": [{"product": "COLA", "quantity": 2, "unit": "case"}],
    }
    for whole in (document, [document], {"documents": [document]}):
        draft = one(json.dumps(whole, ensure_ascii=False))
        assert draft.territory == "SH"
        assert draft.lines == (DraftLine("COLA", "case", 2, "", 48),)


def test_a_transfer_names_both_locations() -> None:
    text = "number,location,to,product,quantity,unit\nT-1,A-01,A-02,COLA,1,case\n"
    assert (one(text, "transfer").location, one(text, "transfer").to) == ("A-01", "A-02")
    assert problems(text.replace("A-02", "A-01"), "transfer") == [(2, "to", "same_location")]
    assert problems(text.replace("A-02", ""), "transfer") == [(2, "to", "cell_empty")]


def test_goods_by_their_codes_are_counted_from_within() -> None:
    text = (
        "单号,往来单位,码,上级码,产品,批号,单位,数量,有效期\n"
        "ASN-1,D07,P-1,,COLA,B1,垛,,2027/1/5\n"
        "ASN-1,D07,C-1,P-1,COLA,B1,箱,,\n"
        "ASN-1,D07,C-2,P-1,COLA,B1,箱,20,\n"
        "ASN-1,D07,B-1,C-1,COLA,B1,瓶,,\n"
        "ASN-1,D07,C-3,,COLA,B1,箱,,\n"
    )
    draft = one(text, "receive")
    assert [(u.code, u.parent, u.pieces) for u in draft.goods] == [
        ("P-1", "", 21),
        ("C-1", "P-1", 1),
        ("B-1", "C-1", 1),
        ("C-2", "P-1", 20),
        ("C-3", "", 24),
    ]
    assert draft.goods[0].expires == "2027-01-05"
    assert draft.lines == (
        DraftLine("COLA", "bottle", 21, "B1", 21),
        DraftLine("COLA", "case", 1, "B1", 24),
    )
    with_lines = text + "ASN-1,D07,,,COLA,B1,瓶,44,\n"
    assert problems(with_lines, "receive") == [(2, "", "content_differs")]
    assert one(with_lines.replace(",44,", ",45,"), "receive").lines[0].pieces == 45


# --------------------------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("line", "column", "reason"),
    [
        (",D07,COLA,,1,箱", "number", "cell_empty"),
        ("OLD-1,D07,COLA,,1,箱", "number", "number_taken"),
        ("N/1,D07,COLA,,1,箱", "number", "number_wrong"),
        ("N,,COLA,,1,箱", "party", "cell_empty"),
        ("N,D99,COLA,,1,箱", "party", "party_unknown"),
        ("N,F01,COLA,,1,箱", "party", "party_self"),
        ("N,D07,,,1,箱", "product", "cell_empty"),
        ("N,D07,FANTA,,1,箱", "product", "product_unknown"),
        ("N,D07,MILK,,1,垛", "unit", "unit_unknown"),
        ("N,D07,COLA,,1,", "unit", "cell_empty"),
        ("N,D07,COLA,,,箱", "quantity", "cell_empty"),
        ("N,D07,COLA,,0,箱", "quantity", "quantity"),
        ("N,D07,COLA,,-3,箱", "quantity", "quantity"),
        ("N,D07,COLA,,2.5,箱", "quantity", "quantity"),
        ("N,D07,COLA,,two,箱", "quantity", "quantity"),
        ("N,D07,COLA,,999999999999,箱", "quantity", "quantity_large"),
        ("N,D07,COLA," + "B" * 65 + ",1,箱", "lot", "cell_long"),
        ("N,D07,COLA,B\x07,1,箱", "lot", "cell_control"),
        ("N,D07,COLA", "", "cells"),
        ("N,D07,COLA,,1,箱,surplus", "", "cells"),
        ('N,D07,"COLA,,1,箱', "", "not_csv"),
    ],
)
def test_each_fault_has_its_line(line: str, column: str, reason: str) -> None:
    good = "number,party,product,lot,quantity,unit\nA,D07,COLA,,1,箱\n\n"
    assert one(good)
    assert problems(good + line + "\n") == [(4, column, reason)]


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        ("A,D07,C-2,C-9,COLA,箱,,", "parent", "parent_unknown"),
        ("A,D07,C-1,,COLA,箱,,", "code", "code_twice"),
        ("A,D07,C-2,C-2,COLA,箱,,", "parent", "parent_circle"),
        ("A,D07,C-2,C-1,COLA,箱,,", "parent", "parent_level"),
        ("A,D07,C\x01,,COLA,箱,,", "code", "code"),
        ("A,D07,(01)06901234000016,,COLA,箱,,", "code", "code_product"),
        ("A,D07,C-2,,COLA,箱,25,", "quantity", "quantity_large"),
        ("A,D07,C-2,,COLA,箱,,next year", "expires", "date"),
        ("B,D07,C-1,,COLA,箱,,", "code", "code_twice"),
    ],
)
def test_each_fault_of_a_code_has_its_line_and_never_the_code(
    row: str, column: str, reason: str
) -> None:
    good = "number,party,code,parent,product,unit,quantity,expires\nA,D07,C-1,,COLA,箱,,\n"
    assert one(good, "receive").goods
    assert problems(good + row + "\n", "receive") == [(3, column, reason)]
    with pytest.raises(DocumentsRefused, match="line 3") as refused:
        read_documents((good + row + "\n").encode(), BOOK, "receive")
    assert not re.search("C-[129]|069", str(refused.value))


def test_codes_are_for_what_comes() -> None:
    text = "number,party,code,product,unit\nA,D07,C-1,COLA,箱\n"
    assert problems(text, "ship") == [(2, "code", "code_kind")]


def test_what_belongs_to_the_whole_document_is_one() -> None:
    text = "number,party,territory,product,quantity,unit\nA,D07,SH,COLA,1,箱\nA,D07,BJ,MILK,1,箱\n"
    assert problems(text) == [(3, "territory", "head_differs")]


def test_kinds() -> None:
    text = "number,kind,party,product,quantity,unit\nA,{},D07,COLA,1,箱\n"
    assert [one(text.format(k)).kind for k in ("发货", "ASN", "退货入库", "return_out")] == [
        "ship",
        "receive",
        "return_in",
        "return_out",
    ]
    assert problems(text.format("借用")) == [(2, "kind", "kind_unknown")]
    assert problems(text.format(""), kind="") == [(2, "kind", "cell_empty")]


def test_a_missing_column_an_unknown_one_and_one_twice() -> None:
    assert problems("单号,客户,产品,单位\nA,D07,COLA,箱\n") == [(1, "", "column_missing")]
    assert problems("number,party,product,qty,unit,colour\n") == [(1, "", "column_unknown")]
    assert problems("number,单号,party,product,qty,unit\n") == [(1, "number", "column_twice")]
    with pytest.raises(DocumentsRefused, match=r"quantity \(数量\) is missing: add it"):
        read_documents("单号,客户,产品,单位\n".encode("gbk"), BOOK)


def test_a_file_without_names_of_columns_is_not_repeated() -> None:
    with pytest.raises(DocumentsRefused) as refused:
        read_documents(b"SECRET-1,SECRET-2\n", BOOK)
    assert "SECRET" not in str(refused.value)


def test_encodings_that_are_refused_with_words() -> None:
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        assert problems("number,party\nA,D07\n".encode(encoding)) == [(0, "", "utf16")]
    marked = codecs.BOM_UTF8 + ZH.encode("gbk")
    assert problems(marked) == [(1, "", "not_utf8")]
    broken = b"number,party,product,quantity,unit\nA,D07,COLA,1,\xff\xff\n"
    assert problems(broken) == [(2, "", "encoding")]


def test_nothing_large() -> None:
    head = "number,party,product,quantity,unit\n"
    assert problems(head + "A,D07,COLA,1,箱\n" * (MAX_ROWS + 1)) == [(0, "", "too_large")]
    assert problems(b"x" * (documentread.MAX_BYTES + 1)) == [(0, "", "too_large")]
    assert problems(head + "\n" * 5 * MAX_ROWS) == [(0, "", "too_large")]
    assert problems(head) == [(0, "", "empty")]
    assert problems("") != []
    assert problems(head + "A,D07," + "x" * 200_000 + ",1,箱\n") == [(2, "", "not_csv")]


def test_only_the_first_problems_are_listed_and_the_rest_counted() -> None:
    text = "number,party,product,quantity,unit\n" + "A,D07,COLA,0,箱\n" * 70
    with pytest.raises(DocumentsRefused, match="and 20 more") as refused:
        read_documents(text.encode(), BOOK, "ship")
    assert (len(refused.value.problems), refused.value.more) == (50, 20)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('{"documents": [\n{"number": "A"\n"party": 1}]}', 3, "not_json"),
        ('[{"number": "A",\n "lines": "none"}]', 1, "json_shape"),
        ('\n\n[{"number": "A", "lines": [4]}]', 3, "json_shape"),
        ('[{"number": "A"}]', 1, "json_shape"),
        ("[3]", 0, "json_shape"),
        ('[{"number": "A", "number": "B"}]', 0, "not_json"),
        ('[{"number": NaN}]', 0, "not_json"),
        ("[" * 100_000, 0, "not_json"),
        ('[{"number": ' + "9" * 5000 + "}]", 0, "not_json"),
    ],
)
def test_json_that_is_none_or_of_another_shape(text: str, line: int, reason: str) -> None:
    assert problems(text) == [(line, "", reason)]


def test_json_tells_the_line_of_the_row() -> None:
    text = """{"documents": [
      {"number": "A}", "party": "D07", "lines": [
         {"product": "COLA", "quantity": 1, "unit": "case"},

         {"product": "FANTA", "quantity": 1.5, "unit": "case"}
    ]}]}"""
    assert problems(text) == [
        (5, "quantity", "json_shape"),
        (5, "product", "product_unknown"),
        (5, "quantity", "cell_empty"),
    ]


# ------------------------------------------------------------------------------------- anything


@given(st.binary(max_size=400))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    with pytest.raises(DocumentsRefused):
        read_documents(data, BOOK, "ship")


@given(st.lists(st.sampled_from([*",;\t\n\"'[]{}:", "number", "单号", "party", "D07", "COLA",
    "product", "quantity", "unit", "箱", "1", "code", "A", "\ufeff", "\x00", "é", "lines"]),
    max_size=60), st.sampled_from(["utf-8", "gb18030", "utf-16"]))  # fmt: skip
def test_nothing_that_looks_like_a_file_raises_anything_else(parts: list[str], coded: str) -> None:
    try:
        drafts = read_documents("".join(parts).encode(coded), BOOK, "ship")
    except DocumentsRefused:
        return
    assert all(draft.lines for draft in drafts)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*COLUMNS, "lines", "goods", "documents"]), inner)
    ),
    max_leaves=20,
)


@given(JSON)
def test_no_json_raises_anything_else(whole: Any) -> None:
    with pytest.raises(DocumentsRefused):
        read_documents(json.dumps(whole).encode(), BOOK, "ship")


def test_every_problem_that_is_told_has_its_words() -> None:
    folder = Path(documentread.__file__).parent
    source = "".join((folder / f"document{name}.py").read_text() for name in ("read", "file"))
    told = set(re.findall(r'\.add\(\s*[^,]+,\s*[^,]+,\s*"(\w+)"', source))
    assert told == set(PROBLEMS)
