"""Read the rows of a file of documents: which bytes, which columns, and on which line each stands.

Two forms, told apart by their first character:

- CSV: the first line names the columns, in Chinese or English (`COLUMNS`), separated by commas,
  semicolons or tabs. One row is one line of a document, or one unit of a notice of what is coming
  (a column `code`). What belongs to the whole document is repeated on each of its rows, or stands
  on the first one only.
- JSON: one document, a list of them, or `{"documents": [...]}`. A document has the keys of
  `COLUMNS`, and `lines` or `goods`, lists of objects with the keys of a row.

UTF-8 with or without a byte order mark, and GB18030 (so GBK too), which is what spreadsheets save
in China. UTF-16 is refused: no exchange of CSV uses it, and half of it looks like anything.
"""

import csv
import io
import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MAX_BYTES = 4_000_000
MAX_ROWS = 10_000
MAX_COLUMNS = 64
MAX_CELL = 64
"""Characters of a cell; a code may have more."""
MAX_CODE = 512
SHOWN = 50
"""Problems that are listed; of the rest only the number is told."""

PROBLEMS: Mapping[str, str] = {
    "too_large": "the file has more than {rows} rows or {mb} MB: split it",
    "utf16": "the file is UTF-16 (“Unicode text”): save it as CSV UTF-8",
    "not_utf8": "the file begins as UTF-8 and is not on this line: save it as CSV UTF-8",
    "encoding": "this is neither UTF-8 nor GB18030: save the file as CSV UTF-8",
    "empty": "the file has no rows: fill it in below the names of the columns",
    "not_csv": "quotes or separators are wrong, the rest was not read: save it as CSV again",
    "not_json": "this is not JSON ({why}): mend this place",
    "json_shape": "here must be {wanted}: see docs/warehouse.md for an example",
    "column_missing": "the column {name} ({zh}) is missing: add it to the first line",
    "column_unknown": "column {at} has a name that is not known: rename or remove it",
    "column_twice": "column {at} means the same as column {first}: remove one",
    "cells": "the row has {n} cells, the first line {of}: complete the row",
    "cell_long": "the cell has more than {most} characters: shorten it",
    "cell_control": "the cell has a character that cannot be seen: type it anew",
    "cell_empty": "the cell is empty: fill it in",
    "kind_unknown": "“{value}” is no kind of document: write {known}",
    "head_differs": "“{value}” differs from line {first} of the same document: make them the same",
    "number_wrong": "“{value}” cannot be a document's number: leave out every /",
    "number_taken": "there is a document {value} already: give this one another number",
    "party_unknown": "“{value}” is no party that is known here: mend it, or set the party up first",
    "party_self": "{value} is this warehouse itself: name the other party",
    "product_unknown": "“{value}” is no product that is known here: mend it, or set it up first",
    "unit_unknown": "“{value}” is no unit of {product}: write {known}",
    "quantity": "“{value}” is no whole number above 0: write how many",
    "quantity_large": "more than {most} of anything is a mistake: mend the quantity",
    "location_unknown": "“{value}” is no location here: write {known}",
    "same_location": "a transfer goes to another location: name another one",
    "date": "“{value}” is no date: write it as 2026-11-22",
    "code": "this is no code ({why}): type or scan it anew",
    "code_product": "this names a product and no single unit: give each unit its own code",
    "code_twice": "the code stands on line {first} too: remove one",
    "code_kind": "only goods that come (kind receive) are told by their codes: remove the codes",
    "parent_unknown": "no row of this document has this code: add the container, or mend it",
    "parent_circle": "this unit is inside itself: mend the containers",
    "parent_level": "a {level} is not packed into a {parent}: mend the unit or the container",
    "content_differs": (
        "{product}: the lines say {asked} pieces, the units below have {told}: make them the same"
    ),
}
"""Every problem of a file, in English; the page has the same keys below `problem.`."""

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "number": (
        "单号 单据号 单据编号 订单号 出库单号 入库单号 发货单号 调拨单号 退货单号 通知单号",
        "number no document documentno documentnumber orderno ordernumber deliveryno asn asnno",
    ),
    "kind": ("类型 单据类型 业务类型", "kind type documenttype"),
    "party": (
        "往来单位 客户 客户编码 客户编号 客户代码 经销商 经销商编码 经销商编号 供应商 供应商编码 "
        "收货方 收货单位 发货方 发货单位 对方",
        "party partner customer customerno supplier vendor dealer shipto",
    ),
    "location": (
        "库位 货位 仓位 源库位 调出库位 发货库位 收货库位",
        "location bin fromlocation sourcelocation",
    ),
    "to": ("目的库位 目标库位 调入库位", "to tolocation targetlocation destination"),
    "territory": ("区域 销售区域", "territory region"),
    "channel": ("渠道 销售渠道", "channel"),
    "paper": ("采购单号 客户订单号 参考号 随货单号", "paper purchaseorder po reference"),
    "product": (
        "产品 产品编码 产品编号 产品代码 商品 商品编码 商品编号 物料 物料号 物料编码 货号",
        "product productcode productno sku item itemno material",
    ),
    "lot": ("批号 批次 批次号 生产批号", "lot lotno batch batchno"),
    "quantity": ("数量 应发数量 应收数量 计划数量", "quantity qty"),
    "unit": ("单位 计量单位 包装单位 层级", "unit uom unitofmeasure level"),
    "code": ("码 条码 箱码 编码", "code barcode serial sscc"),
    "parent": ("上级码 父码 所在箱码 所在垛码", "parent parentcode container"),
    "expires": ("有效期 有效期至 保质期至", "expires expiry bestbefore"),
}
"""What a column may be called, the usual Chinese name first. Case, spaces and punctuation in a name
do not count."""

_NEEDLESS = (
    "序号 行号 备注 说明 产品名称 商品名称 物料名称 品名 名称 规格 型号 客户名称 经销商名称",
    "供应商名称 往来单位名称 单价 金额 日期 制单人 制单日期",
    "line lineno remark remarks note notes comment productname name description spec",
    "customername partyname price amount date",
)
"""Columns that people need and documents do not."""

_IGNORED = frozenset(name for names in _NEEDLESS for name in names.split())
_NAMES = {name: key for key, names in COLUMNS.items() for text in names for name in text.split()}
HEAD = ("kind", "party", "location", "to", "territory", "channel", "paper")
"""Columns that belong to the whole document."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `line` counts from 1 (0: the file as a whole), `column` is a key of
    COLUMNS or "", `reason` one of PROBLEMS with its `args`; a code is never repeated."""

    line: int
    column: str
    reason: str
    args: Mapping[str, str | int] = field(default_factory=dict)

    def __str__(self) -> str:
        place = f"line {self.line}" if self.line else "the file"
        named = f", {self.column} ({zh_name(self.column)})" if self.column else ""
        return f"{place}{named}: {PROBLEMS[self.reason].format_map(self.args)}"


class Row(NamedTuple):
    """What one line of the file says: cells by column; a column that it has not is missing."""

    line: int
    cells: Mapping[str, str]


class Problems:
    """Collects them, the first `SHOWN`."""

    def __init__(self) -> None:
        self.found: list[Problem] = []
        self.more = 0

    def add(self, line: int, column: str, reason: str, /, **args: str | int) -> None:
        """One more; the rest is only counted."""
        if len(self.found) < SHOWN:
            self.found.append(Problem(line, column, reason, args))
        else:
            self.more += 1

    def __bool__(self) -> bool:
        return bool(self.found)


def zh_name(column: str) -> str:
    """The usual Chinese name of a column."""
    return COLUMNS[column][0].split()[0]


def read_rows(data: bytes, problems: Problems) -> list[Row]:
    """The rows of a file in order; what is wrong with it goes to `problems`, and rows that were
    read are returned all the same, so that their own faults are told at once."""
    if len(data) > MAX_BYTES or data.count(b"\n") > 4 * MAX_ROWS:
        problems.add(0, "", "too_large", rows=MAX_ROWS, mb=MAX_BYTES // 1_000_000)
        return []
    text = _text(data, problems)
    if text is None:
        return []
    rows = list((_json if text.lstrip()[:1] in ("{", "[") else _csv)(text, problems))
    if len(rows) > MAX_ROWS:
        problems.add(0, "", "too_large", rows=MAX_ROWS, mb=MAX_BYTES // 1_000_000)
        return []
    if not rows and not problems:
        problems.add(0, "", "empty")
    return rows


def _text(data: bytes, problems: Problems) -> str | None:
    """The file's text. Half a file in each encoding is refused: to guess would garble names."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data[:200]:
        problems.add(0, "", "utf16")
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        if data.startswith(b"\xef\xbb\xbf"):
            problems.add(line, "", "not_utf8")
            return None
    try:
        return data.decode("gb18030").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problems.add(line, "", "encoding")
        return None


# ------------------------------------------------------------------------------------------- CSV


def _csv(text: str, problems: Problems) -> Iterator[Row]:
    head = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=lambda d: sum(_key(name) in _NAMES for name in head.split(d)))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns: list[str] | None = None
    line = 1
    try:
        for row in reader:
            here, line = line, reader.line_num + 1
            if not any(cell.strip() for cell in row):
                continue
            if columns is None:
                columns = _columns(row, here, problems)
                if columns is None:
                    return
                continue
            if len(row) < len(columns) or any(cell.strip() for cell in row[len(columns) :]):
                problems.add(here, "", "cells", n=len(row), of=len(columns))
                continue
            cells = zip(columns, row, strict=False)
            yield _row(here, {name: cell for name, cell in cells if name}, problems)
    except csv.Error:
        problems.add(line, "", "not_csv")


def _columns(names: list[str], line: int, problems: Problems) -> list[str] | None:
    """The columns in order, "" for those that are ignored; None where rows cannot be read."""
    before = len(problems.found)
    found: list[str] = []
    for at, name in enumerate(names, 1):
        key = _key(name)
        column = _NAMES.get(key, "")
        if at > MAX_COLUMNS or (not column and key and key not in _IGNORED):
            # An unknown name is not repeated: without a first line of names it may be a code.
            problems.add(line, "", "column_unknown", at=at)
        elif column and column in found:
            problems.add(line, column, "column_twice", at=at, first=found.index(column) + 1)
        found.append(column)
    wanted = ["number", "product", "unit"] + ([] if "code" in found else ["quantity"])
    for column in wanted:
        if column not in found:
            problems.add(line, "", "column_missing", name=column, zh=zh_name(column))
    return found if len(problems.found) == before else None


def _key(name: str) -> str:
    """A column's name without what does not count in it."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    return "".join(char for char in plain if char.isalnum())


def _row(line: int, cells: Mapping[str, str], problems: Problems) -> Row:
    """The row with its cells trimmed; a cell that cannot be used is "?"."""
    found: dict[str, str] = {}
    for column, cell in cells.items():
        text = cell.strip().strip("\ufeff\u3000\xa0").strip()
        if len(text) > (most := MAX_CODE if column in ("code", "parent") else MAX_CELL):
            problems.add(line, column, "cell_long", most=most)
            text = "?"
        elif not text.isprintable() and column not in ("code", "parent"):
            problems.add(line, column, "cell_control")
            text = "?"
        found[column] = text
    return Row(line, found)


# ------------------------------------------------------------------------------------------ JSON

_BRACES = re.compile(r'"(?:[^"\\]|\\.)*"|[{}]', re.DOTALL)


class _Object(dict[str, Any]):
    """A JSON object and the line that it begins on."""

    line = 0


def _json(text: str, problems: Problems) -> Iterator[Row]:
    begins = _begins(text)
    try:
        whole = json.loads(text, object_pairs_hook=_with_lines(begins), parse_constant=_no_number)
    except json.JSONDecodeError as error:
        problems.add(error.lineno, "", "not_json", why=error.msg)
        return
    except (ValueError, RecursionError) as error:
        problems.add(0, "", "not_json", why=str(error)[:80])
        return
    if isinstance(whole, _Object) and "documents" in whole:
        whole = whole["documents"]
    for document in whole if isinstance(whole, list) else [whole]:
        yield from _json_document(document, problems)


def _json_document(document: Any, problems: Problems) -> Iterator[Row]:
    if not isinstance(document, _Object):
        problems.add(0, "", "json_shape", wanted="an object for each document")
        return
    head = {key: value for key, value in document.items() if key not in ("lines", "goods")}
    given = 0
    for name in ("lines", "goods"):
        items = document.get(name, [])
        if not isinstance(items, list):
            problems.add(document.line, "", "json_shape", wanted=f"a list of objects in {name}")
            return
        for item in items:
            given += 1
            if not isinstance(item, _Object):
                problems.add(document.line, "", "json_shape", wanted=f"objects in {name}")
                return
            yield _json_row(item.line, {**head, **item}, problems)
    if not given:
        problems.add(document.line, "", "json_shape", wanted="`lines` or `goods`")


def _json_row(line: int, values: Mapping[str, Any], problems: Problems) -> Row:
    cells: dict[str, str] = {}
    for key, value in values.items():
        column = _NAMES.get(_key(key), "")
        if not column:
            if _key(key) not in _IGNORED:
                problems.add(line, "", "json_shape", wanted=f"one of {', '.join(COLUMNS)}")
        elif isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
            cells[column] = str(value)
        elif value is not None:
            problems.add(line, column, "json_shape", wanted="a text or a whole number")
    return _row(line, cells, problems)


def _begins(text: str) -> list[int]:
    """The line on which each object begins, in the order in which objects end: the order in which
    the decoder hands them out."""
    found, open_at = [], []
    line, seen = 1, 0
    for match in _BRACES.finditer(text):
        line, seen = line + text.count("\n", seen, match.start()), match.start()
        if match[0] == "{":
            open_at.append(line)
        elif match[0] == "}" and open_at:
            found.append(open_at.pop())
    return found


def _with_lines(begins: list[int]) -> Callable[[list[tuple[str, Any]]], _Object]:
    order = iter(begins)

    def made(pairs: list[tuple[str, Any]]) -> _Object:
        found = _Object(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key stands twice in one object")
        found.line = next(order, 0)
        return found

    return made


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number")
