"""Read a pool file: codes that were issued to us, refused whole if anything in it is wrong.

The file is CSV in UTF-8 (a byte order mark is allowed), columns separated by commas. The first line
names the columns: one per role, and optionally `parent` (the code of the container that each row
belongs to: a linked set) and `roll` (the roll or carton that it came on). Every line, the last one
too, ends with a newline.

Before the header there may be one manifest line, `# count=1000000 sha256=<64 hex digits>`, either
part optional: the number of rows, and the SHA-256 of all bytes behind the manifest line. The same
two can be declared by the person who imports; a declared `sha256` is that of the whole file.

Codes are held in canonical form (codes.py), which need not be how they are spelled in the file: a
Digital Link on a brand's own domain is held on id.gs1.org. `PoolFile.spelled` keeps the spelling
where it differs, because that is what has to be printed.

Time is about 5 us per row and role, memory about 3 times the file; a million rows are no problem.
"""

import csv
import hashlib
import io
import re
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.core.codes import Kind, canonical
from agent.core.gs1 import Refused
from agent.core.poolfile import Declared, PoolFile, PoolRefused, Problem, seal

MAX_BYTES = 1 << 30
MAX_ROWS = 5_000_000
MAX_COLUMNS = 32
SHOWN = 20
"""Problems that are listed; of the rest only the number is told."""

_KINDS: tuple[Kind, ...] = ("serial", "url", "gs1", "sscc", "product")
_KIND_AT: Mapping[Kind, int] = {kind: at for at, kind in enumerate(_KINDS)}
_GS1 = bytes((_KIND_AT["gs1"], _KIND_AT["sscc"]))
_LIKE_GS1 = re.compile(r"01[0-9]{14}(?:21|10|11|17|235).*|00[0-9]{18}")
_MANIFEST = re.compile(r"#((?:\s+(?:count=[0-9]{1,9}|sha256=[0-9A-Fa-f]{64}))+)\s*")


def read_pool(data: bytes, declared: Declared) -> PoolFile:
    """The pool in a file's bytes; PoolRefused with line numbers if anything in it is wrong."""
    return _Reader(data, declared).read()


@dataclass(slots=True)
class _Column:
    """One role while it is read; an unusable cell is "" so that positions stay in step."""

    name: str
    at: int
    texts: list[str] = field(default_factory=list)
    kinds: bytearray = field(default_factory=bytearray)
    spelled: list[str] | None = None


class _Reader:
    def __init__(self, data: bytes, declared: Declared) -> None:
        self.data = data
        self.declared = declared
        self.problems: list[Problem] = []
        self.more = 0
        self.columns: list[_Column] = []
        self.parents: _Column | None = None
        self.roll_at = -1
        self.rolls: dict[str, tuple[int, int]] = {}
        self.lines = array("L")  # of each position
        self.seen: set[str] = set()
        self.skipped = 0  # lines before the header

    def read(self) -> PoolFile:
        self._bytes_are_sound()
        count = self._manifest()
        self._rows()
        self._as_announced(count)
        self._duplicates_of_parents()
        for column in self.columns:
            self._same_kind(column)
        self._stop_if_wrong()
        parents = tuple(self.parents.texts) if self.parents else ()
        columns = tuple(tuple(column.texts) for column in self.columns)
        rows = zip(*columns, *((parents,) if parents else ()), strict=True)
        return PoolFile(
            self.declared,
            tuple(column.name for column in self.columns),
            columns,
            parents,
            tuple(tuple(c.spelled) if c.spelled is not None else None for c in self.columns),
            tuple((name, first, count) for name, (first, count) in self.rolls.items()),
            seal(rows),
        )

    def _problem(self, line: int, column: str, reason: str, message: str) -> None:
        if len(self.problems) < SHOWN:
            self.problems.append(Problem(line, column, reason, message))
        else:
            self.more += 1

    def _stop_if_wrong(self) -> None:
        if self.problems:
            listed = sorted(self.problems, key=lambda problem: problem.line)
            raise PoolRefused(self.declared.name, tuple(listed), self.more)

    # ------------------------------------------------------------------------- the file as a whole

    def _bytes_are_sound(self) -> None:
        """Size, encoding and the last newline; nothing else can be said of a file that fails."""
        data = self.data
        if len(data) > MAX_BYTES or data.count(b"\n") > MAX_ROWS + 2:
            self._problem(
                0,
                "",
                "pool_too_large",
                f"it has more than {MAX_ROWS} rows or {MAX_BYTES >> 20} MB; split it",
            )
            self._stop_if_wrong()
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            what = "UTF-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "not UTF-8"
            self._problem(
                data.count(b"\n", 0, error.start) + 1,
                "",
                "pool_encoding",
                f"{what} at byte {error.start}; save the file as CSV UTF-8",
            )
        if data and not data.endswith((b"\n", b"\r")):
            self._problem(
                data.count(b"\n") + 1,
                "",
                "pool_truncated",
                "the last line does not end with a newline, so the file may have been cut off",
            )
        if self.problems and self.problems[0].reason == "pool_encoding":
            self._stop_if_wrong()
        said = self.declared.sha256.lower()
        if said and said != (found := hashlib.sha256(data).hexdigest()):
            self._problem(
                0, "", "pool_truncated", f"its SHA-256 is {found}, but {said} was declared"
            )

    def _manifest(self) -> int | None:
        """Takes byte order mark and manifest off the data; the number of rows it announces."""
        self.data = self.data.removeprefix(b"\xef\xbb\xbf")
        if not self.data.startswith(b"#"):
            return None
        head, _, body = self.data.partition(b"\n")
        self.skipped, self.data = 1, body
        line = _MANIFEST.fullmatch(head.decode().rstrip("\r"))
        if line is None:
            self._problem(
                1, "", "pool_manifest", "write `# count=<rows> sha256=<64 hex digits>`, or no `#`"
            )
            return None
        said = dict(part.split("=") for part in line[1].split())
        digest = said.get("sha256", "").lower()
        if digest and digest != (found := hashlib.sha256(body).hexdigest()):
            self._problem(
                1, "", "pool_truncated", f"the rest has SHA-256 {found}, the manifest says {digest}"
            )
        return int(said["count"]) if "count" in said else None

    def _as_announced(self, count: int | None) -> None:
        for said, who in ((count, "the manifest says"), (self.declared.count, "declared were")):
            if said is not None and said != len(self.lines):
                self._problem(
                    0, "", "pool_truncated", f"it has {len(self.lines)} rows, {who} {said}"
                )
        if not self.lines and not self.problems:
            self._problem(0, "", "pool_truncated", "it has no rows")

    # -------------------------------------------------------------------------------- line by line

    def _rows(self) -> None:
        text = io.TextIOWrapper(io.BytesIO(self.data), encoding="utf-8", newline="")
        reader = csv.reader(text, strict=True)
        try:
            header = next(reader, [])
            self._header(header)
            for row in reader:
                self._row(row, reader.line_num + self.skipped, len(header))
        except csv.Error as error:
            self._problem(
                reader.line_num + self.skipped,
                "",
                "pool_not_csv",
                f"quotes or separators are wrong ({error}); the rest of the file was not read",
            )

    def _header(self, names: list[str]) -> None:
        line = self.skipped + 1
        known = (*self.declared.roles, "parent", "roll")
        names = [name.strip() for name in names]
        before = len(self.problems)
        for at, name in enumerate(names[:MAX_COLUMNS]):
            # An unknown name is not repeated: without a header it is a code.
            if name in names[:at]:
                self._problem(
                    line, "", "pool_header", f"column {at + 1} has the name of another column"
                )
            elif name == "parent":
                self.parents = _Column(name, at)
            elif name == "roll":
                self.roll_at = at
            elif name in known:
                self.columns.append(_Column(name, at))
            else:
                self._problem(
                    line,
                    "",
                    "pool_unknown_column",
                    f"column {at + 1} is unknown; the first line names the columns, separated by "
                    f"commas, and may name {', '.join(known)}",
                )
        if not self.columns or len(names) > MAX_COLUMNS:
            self._problem(
                line,
                "",
                "pool_header",
                f"the first line must name one of {', '.join(self.declared.roles)}",
            )
        if len(self.problems) > before:  # without columns no row can be judged
            self._stop_if_wrong()

    def _row(self, row: list[str], line: int, width: int) -> None:
        if len(row) != width:
            what = "the line is empty" if not row else f"it has {len(row)} cells instead of {width}"
            self._problem(line, "", "pool_truncated" if len(row) < width else "pool_cells", what)
            return
        for column in self.columns:
            before = len(self.seen)
            text = self._cell(row[column.at], line, column)
            if text:
                self.seen.add(text)
                if len(self.seen) == before:
                    self._duplicate(line, column.name, text)
            column.texts.append(text)
        if self.parents is not None:
            parents = self.parents.texts
            cell = row[self.parents.at]
            if cell and parents and parents[-1] == cell:  # a case's bottles follow each other
                parents.append(parents[-1])
            else:
                parents.append(self._cell(cell, line, self.parents))
        if self.roll_at >= 0:
            self._roll(row[self.roll_at], line)
        self.lines.append(line)

    def _cell(self, cell: str, line: int, column: _Column) -> str:
        """The canonical text of a cell, "" if it has none."""
        kind: Kind = "serial"
        text = ""
        try:
            code = canonical(cell)
            text, kind = code.text, code.kind
        except Refused as refused:
            if refused.reason == "code_empty":
                self._problem(line, column.name, "pool_empty_cell", "the cell is empty")
            else:
                self._problem(line, column.name, refused.reason, str(refused))
        if kind == "product":
            self._problem(
                line,
                column.name,
                "pool_no_item",
                "a GTIN without a serial names a product and no item",
            )
        column.kinds.append(_KIND_AT[kind])
        if column.spelled is not None:
            column.spelled.append(cell)
        elif text != cell and text:
            column.spelled = [*column.texts, cell]
        return text

    def _roll(self, name: str, line: int) -> None:
        position = len(self.lines)
        first, count = self.rolls.get(name, (position, 0))
        if not name.strip() or not name.isprintable() or len(name) > 64:
            self._problem(
                line, "roll", "pool_empty_cell", "a roll needs a name of 1 to 64 visible characters"
            )
        elif first + count != position:
            self._problem(
                line, "roll", "pool_roll_split", "the rows of this roll do not follow each other"
            )
        self.rolls[name] = (first, count + 1)

    # ---------------------------------------------------------------------------------- afterwards

    def _duplicate(self, line: int, name: str, text: str) -> None:
        if len(self.problems) >= SHOWN:
            self.more += 1
            return
        for column in self.columns:
            if text in column.texts:
                at = column.texts.index(text)
                first = self.lines[at] if at < len(self.lines) else line
                break
        self._problem(
            line, name, "pool_duplicate", f"the same code as in line {first}, {column.name}"
        )

    def _duplicates_of_parents(self) -> None:
        """A code names one unit: it cannot stand on a child and on a parent."""
        if self.parents is None or self.seen.isdisjoint(self.parents.texts):
            return
        for line, text in zip(self.lines, self.parents.texts, strict=False):
            if text in self.seen:
                self._problem(
                    line, "parent", "pool_own_parent", "this parent's code is also a row's own code"
                )

    def _same_kind(self, column: _Column) -> None:
        """Where a column holds GS1 data, a row that is none has a wrong check digit or is not what
        it should be. One by one nobody could tell: a plain number may look like GS1 data."""
        good = sum(column.kinds.count(kind) for kind in _GS1)
        if self.declared.gs1 is False or good == len(column.kinds):
            return
        if self.declared.gs1 is None:
            alike = sum(
                text[:2] in ("00", "01") and _LIKE_GS1.fullmatch(text) is not None
                for text in column.texts
            )
            if 2 * (good + alike) <= len(column.kinds):
                return
        for line, text, kind in zip(self.lines, column.texts, column.kinds, strict=False):
            if kind in _GS1 or not text or kind == _KIND_AT["product"]:
                continue
            digits = text.isdigit() and len(text) in (18, 20)
            wrong = digits or _LIKE_GS1.fullmatch(text) is not None
            self._problem(
                line,
                column.name,
                "code_check_digit" if wrong else "pool_not_gs1",
                ("its check digit is wrong" if wrong else "it is no GS1 data as the other rows are")
                + "; if these are plain numbers, declare that the pool is not GS1",
            )
