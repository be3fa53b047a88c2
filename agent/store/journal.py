"""The append-only journal: every durable fact, in order, sealed by a chain of hashes.

A row's body is the JSON array of the fact's fields in the order of their declaration, so a released
field keeps its place and a new one goes to the end, with a default. Row n's hash is BLAKE2b-128 of
row n-1's hash, the JSON array [seq, epoch, wall ms, monotonic ms, clock, line, kind] and the body.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import MISSING, fields
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from operator import attrgetter
from typing import Any, NamedTuple, get_type_hints

import msgspec

from agent.core.errors import ConfigError
from agent.core.facts import KINDS, Fact
from agent.core.known import Clock
from agent.ports.cloud import Entry
from agent.store import names
from agent.store.database import Connection

FIRST_HASH = bytes(16)
"""What stands before the first row."""

_encode = msgspec.json.Encoder().encode
_INSERT = "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
# Rows that differ in kind, body and hash, as two JSON arrays and the hashes in a row: binding
# values one by one takes three times as long as everything SQLite does with them.
_INSERT_MANY = """INSERT INTO journal SELECT ?1 + key, ?2, ?3, ?4, ?5, ?6 ->> key, value,
    substr(?7, key * 16 + 1, 16) FROM json_each(?8)"""
_SELECT = (
    "SELECT seq, wall_ms, mono_ms, clock, line, kind, body, hash FROM journal "
    "WHERE seq >= ? AND seq <= ? ORDER BY seq"
)
_END = (1 << 63) - 1
_ARCHIVED = "SELECT file, first, last FROM archive WHERE last >= ? AND first <= ? ORDER BY first"
_NEWEST_WALL = (
    "SELECT wall_ms FROM journal WHERE seq <= ? AND wall_ms >= ? AND wall_ms < ? "
    "ORDER BY seq DESC LIMIT 1"
)
_FEW = 3
"""Rows from which on `_INSERT_MANY` is quicker."""


class Row(NamedTuple):
    """One row as it is stored, names resolved; `body` is not decoded."""

    seq: int
    epoch: str
    wall_ms: int
    mono_ms: int
    clock: str
    line: str
    kind: str
    body: str
    hash: bytes

    def seal(self, before: bytes) -> bytes:
        """The hash this row must have after a row with hash `before`."""
        return seal(before, self[:7], self.body.encode())


def seal(before: bytes, head: tuple[Any, ...], body: bytes) -> bytes:
    """The hash of a row: see the module's docstring."""
    return blake2b(before + _encode(head) + body, digest_size=16).digest()


def _values(kind: type[Fact]) -> Callable[[Fact], Any]:
    """What gives the fields of a fact in order."""
    given = [field.name for field in fields(kind)]
    if len(given) > 1:
        return attrgetter(*given)
    return lambda fact: [getattr(fact, name) for name in given]


def _reader(kind: type[Fact]) -> Callable[[str], Fact]:
    hints = get_type_hints(kind)
    shape: list[Any] = []
    for field in fields(kind):
        if field.default is MISSING:
            shape.append((field.name, hints[field.name]))
        else:
            shape.append((field.name, hints[field.name], field.default))
    struct = msgspec.defstruct(
        kind.__name__, shape, array_like=True, forbid_unknown_fields=True, frozen=True
    )
    decode = msgspec.json.Decoder(struct).decode
    given = [field.name for field in fields(kind)]
    return lambda body: kind(
        *[getattr(decoded, name) for decoded in [decode(body)] for name in given]
    )


_VALUES = {kind: _values(kind) for kind in KINDS.values() if kind.durable}
_READERS = {name: _reader(kind) for name, kind in KINDS.items() if kind.durable}


def encode(fact: Fact) -> bytes:
    """The body of a fact."""
    return _encode(_VALUES[type(fact)](fact))


def decode(seq: int, kind: str, body: str) -> Fact:
    """The fact of a row; ConfigError if this program does not know it."""
    reader = _READERS.get(kind)
    problem = "this kind is not known"
    if reader is not None:
        try:
            return reader(body)
        except msgspec.DecodeError as error:
            problem = str(error)
    raise ConfigError(
        f"journal row {seq} of kind {kind} cannot be read by caselink {_version()} ({problem}): it "
        "was written by a newer version; install that version"
    )


def _version() -> str:
    try:
        return version("caselink")
    except PackageNotFoundError:
        return "(not installed)"


def tail(conn: Connection) -> tuple[int, bytes, str]:
    """Last seq (0 = empty), its hash, and the epoch that the next row is written in."""
    if conn.tail is None:
        row = conn.execute("SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1").fetchone()
        seq, last = (0, FIRST_HASH) if row is None else (int(row[0]), bytes(row[1]))
        (epoch,) = conn.execute(
            "SELECT name FROM epoch WHERE first <= ? ORDER BY first DESC LIMIT 1", (seq + 1,)
        ).fetchone()
        conn.tail = (seq, last, str(epoch))
    return conn.tail


def last_wall_ms(conn: Connection) -> int | None:
    """When the newest row was written, by the wall clock of then; None of an empty journal."""
    row = conn.execute("SELECT wall_ms FROM journal ORDER BY seq DESC LIMIT 1").fetchone()
    return None if row is None else int(row[0])


def _kind(conn: Connection, kind: type[Fact]) -> tuple[int, bytes, Callable[[Fact], Any]]:
    """A kind's number, its name, and what gives the fields of its facts."""
    if kind not in _VALUES:
        raise ValueError(f"{kind.__name__} is not durable: it is no journal row")
    return names.number(conn, kind.__name__), kind.__name__.encode(), _VALUES[kind]


def append(
    conn: Connection, line: str, facts: Iterable[Fact], clock: Clock
) -> list[tuple[int, Fact]]:
    """Write durable facts in the open transaction; each with its seq."""
    last, chain, epoch = tail(conn)
    wall, mono, quality = clock
    # The middle of each row's head, as `seal` writes it.
    middle = _encode((epoch, wall, mono, quality, line))[1:-1]
    same = wall, mono, names.number(conn, quality), names.number(conn, line)
    seq = last
    kinds, bodies, hashes, numbered = [], [], [], []
    for fact in facts:
        kind = type(fact)
        known = conn.kinds.get(kind)
        if known is None:
            known = conn.kinds[kind] = _kind(conn, kind)
        number, name, get = known
        body = _encode(get(fact))
        seq += 1
        chain = blake2b(
            b'%b[%d,%b,"%b"]%b' % (chain, seq, middle, name, body), digest_size=16
        ).digest()
        kinds.append(number)
        bodies.append(body.decode())
        hashes.append(chain)
        numbered.append((seq, fact))
    if len(bodies) < _FEW:
        for at, row in enumerate(zip(kinds, bodies, hashes, strict=True), last + 1):
            conn.change(_INSERT, (at, *same, *row))
    else:
        many = _encode(kinds).decode(), b"".join(hashes), _encode(bodies).decode()
        conn.change(_INSERT_MANY, (last + 1, *same, *many))
    conn.tail = (seq, chain, epoch)
    return numbered


def begin_epoch(conn: Connection, name: str) -> None:
    """From the next row on the journal is in a new epoch (after a restore)."""
    conn.execute("INSERT INTO epoch VALUES (?, ?)", (tail(conn)[0] + 1, name))
    conn.tail, conn.epochs = None, []


def _epochs(conn: Connection) -> list[tuple[int, str]]:
    """Every epoch's first row and name. A restore begins one, before all who read."""
    if not conn.epochs:
        found = conn.execute("SELECT first, name FROM epoch ORDER BY first")
        conn.epochs = [(int(first), str(name)) for first, name in found]
    return conn.epochs


def epoch_of(conn: Connection, seq: int) -> str:
    """The epoch of a row, or that in which it would be written."""
    (name,) = conn.execute(
        "SELECT name FROM epoch WHERE first <= ? ORDER BY first DESC LIMIT 1", (max(seq, 1),)
    ).fetchone()
    return str(name)


def rows(conn: Connection, first: int = 1, last: int = _END) -> Iterator[Row]:
    """Stored rows from seq `first` to `last`, both included, from archives where they are there."""
    found = conn.execute(_SELECT, (first, last))
    row = found.fetchone()
    if conn.archives is not None and (row is None or row[0] > first):
        # Rows leave the journal from its beginning on, and after they are in an archive.
        end = last if row is None else min(last, row[0] - 1)
        for archive, start, upto in _archives(conn, first, end):
            yield from rows(archive, max(first, start), min(end, upto))
    epochs = _epochs(conn)
    starts = [start for start, _ in epochs]
    while row is not None:
        seq, wall, mono, clock, line, kind, body, chain = row
        yield Row(
            seq,
            epochs[bisect_right(starts, seq) - 1][1],
            wall,
            mono,
            names.text(conn, clock),
            names.text(conn, line),
            names.text(conn, kind),
            body,
            chain,
        )
        row = found.fetchone()


def _archives(conn: Connection, first: int, last: int) -> Iterator[tuple[Connection, int, int]]:
    """The archives that hold rows of this range, oldest first, with their own ranges."""
    if conn.archives is None:
        return
    for file, start, upto in conn.execute(_ARCHIVED, (first, last)).fetchall():
        yield conn.archive(file), start, upto


def find(conn: Connection, query: str, given: Sequence[Any], after: int = 0) -> list[int]:
    """The seqs after `after` that a query of table journal finds, ascending, archives included. It
    must be ordered by seq; `given` may hold numbers of names, which archives share."""
    found: list[int] = []
    for archive, _, _ in _archives(conn, after + 1, _END):
        found += [seq for (seq,) in archive.execute(query, given) if seq > after]
    last = found[-1] if found else after
    return found + [seq for (seq,) in conn.execute(query, given).fetchall() if seq > last]


def when(conn: Connection, seq: int) -> Clock:
    """When a row was written; KeyError if there is none."""
    for row in rows(conn, seq, seq):
        return Clock(row.wall_ms, row.mono_ms, row.clock)
    raise KeyError(f"the journal has no row {seq}")


def newest_wall_ms(conn: Connection, seq: int, earliest: int, latest: int) -> int | None:
    """The wall time of the newest row up to `seq` that is in [earliest, latest); None without."""
    held = [conn, *reversed([archive for archive, _, _ in _archives(conn, 1, seq)])]
    for each in held:
        row = each.execute(_NEWEST_WALL, (seq, earliest, latest)).fetchone()
        if row is not None:
            return int(row[0])
    return None


def hash_at(conn: Connection, seq: int) -> bytes | None:
    """The chain's hash at a row; None if the journal does not have it."""
    if seq == 0:
        return FIRST_HASH
    row = conn.execute("SELECT hash FROM journal WHERE seq = ?", (seq,)).fetchone()
    if row is not None:
        return bytes(row[0])
    return next((row.hash for row in rows(conn, seq, seq)), None)


def _entry(row: Row) -> Entry:
    clock = Clock(row.wall_ms, row.mono_ms, row.clock)
    fact = decode(row.seq, row.kind, row.body)
    return Entry(row.seq, row.epoch, clock, row.line, row.kind, fact, row.hash)


def read(conn: Connection, first: int = 1, last: int = _END) -> Iterator[Entry]:
    """Rows from seq `first` to `last`, both included, decoded. ConfigError: see `decode`."""
    return map(_entry, rows(conn, first, last))


def read_some(conn: Connection, seqs: Iterable[int]) -> list[Entry]:
    """The rows with these numbers, in order; a number without a row is left out."""
    return [entry for first, last in _runs(sorted(set(seqs))) for entry in read(conn, first, last)]


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of the numbers that follow each other without a gap."""
    start = 0
    for n, number in enumerate(numbers, 1):
        if n == len(numbers) or numbers[n] != number + 1:
            yield numbers[start], number
            start = n


def read_kinds(conn: Connection, *kinds: type[Fact]) -> list[Entry]:
    """All rows of these kinds, in order."""
    numbers = [names.known_number(conn, kind.__name__) for kind in kinds]
    marks = ", ".join("?" * len(numbers))
    query = f"SELECT seq FROM journal WHERE kind IN ({marks}) ORDER BY seq"
    return read_some(conn, find(conn, query, numbers))
