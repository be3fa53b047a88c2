"""Is the database what its journal says? And if not: build the tables anew.

`verify` reads everything and changes nothing: the chain of hashes, gapless numbers, the seals of
the pools, the rules that tables can break, and every row against a replay into a fresh file.
`rebuild` replays the journal into emptied tables, in one transaction.
"""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

from sqlcipher3 import dbapi2

from agent.core.errors import CaselinkError, ConfigError
from agent.core.facts import CodeRegistered
from agent.core.life import IllegalTransition, UnitState
from agent.core.poolfile import seal as seal_texts
from agent.store import archive, journal, names, pools
from agent.store.database import Connection, connect
from agent.store.migrations import REPLAYED, migrate
from agent.store.project import apply
from agent.store.words import POOL_SHIFT, STEP, UNIT_NUMBER, code_id, code_key

MOST = 100
"""Problems that are listed; the check ends when there are so many."""

# Rows of a pool that is being imported are not there yet.
_COMPLETE = f"id >> {POOL_SHIFT} NOT IN (SELECT pool FROM staging)"
_PACKED = UNIT_NUMBER[UnitState.PACKED]


@dataclass
class Report:
    """What was checked and what is wrong; `ok` when nothing is."""

    rows: int = 0
    last_hash: str = ""
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems

    @property
    def full(self) -> bool:
        return len(self.problems) >= MOST

    def add(self, problem: str) -> None:
        if not self.full:
            self.problems.append(problem)


def verify(conn: Connection, scratch: Path | None = None, *, replay: bool = True) -> Report:
    """Check everything, on a connection that only reads and that sees one state throughout.

    `scratch` is the directory for the fresh file (encrypted with a key of its own, deleted at the
    end); it needs about as much room as the tables. Without `replay` there is none, and the tables
    are not compared with the journal. TransientError if it cannot be written.
    """
    report = Report()
    outer = conn.in_transaction
    if not outer:
        conn.execute("BEGIN")
    try:
        _check_pages(conn, report)
        for problem in archive.problems(conn):
            report.add(problem)
        if not report.ok:
            return report  # the rows cannot be trusted to be readable
        _check_chain(conn, report)
        _check_pools(conn, report)
        _check_rules(conn, report)
        if replay:
            with tempfile.TemporaryDirectory(dir=scratch, prefix="caselink-verify-") as where:
                _check_replay(conn, report, Path(where) / "replay.db")
    except dbapi2.DatabaseError as error:
        report.add(f"the file is damaged: {error}; restore a backup")
    finally:
        if not outer:
            conn.execute("ROLLBACK")
    return report


def _check_pages(conn: Connection, report: Report) -> None:
    for (problem,) in conn.execute("PRAGMA quick_check(10)").fetchall():
        if problem != "ok":
            report.add(f"the file is damaged: {problem}; restore a backup")


def _check_chain(conn: Connection, report: Report) -> None:
    before, expected = journal.FIRST_HASH, 1
    for row in journal.rows(conn):
        if row.seq != expected:
            report.add(f"journal: row {expected} is missing, row {row.seq} follows")
            expected = row.seq
        elif row.hash != row.seal(before):
            report.add(f"journal: row {row.seq} ({row.kind}) does not fit the chain of hashes")
        before = row.hash
        expected += 1
        report.rows += 1
        if report.full:
            return
    report.last_hash = before.hex()
    for first, name in conn.execute("SELECT first, name FROM epoch").fetchall():
        if first > expected:
            report.add(f"epoch {name} begins at row {first}, the journal ends at {expected - 1}")


def _check_pools(conn: Connection, report: Report) -> None:
    for pool in pools.list_pools(conn):
        fact = pools.describe(conn, pool.pool)
        if fact is None or fact.membership != "list":
            continue
        if seal_texts(pools.rows(conn, fact)) != fact.sha256:
            report.add(
                f"pool {pool.pool} ({pool.name}): its codes are not those that were imported"
            )
    # The index holds each text of each role once, and nothing else (a parent's text is no code of
    # the pool that names it).
    parents = {
        fact.pool: fact.parent_column
        for pool in pools.list_pools(conn)
        if (fact := pools.describe(conn, pool.pool)) is not None and fact.parent_column >= 0
    }
    texts = conn.execute(
        "SELECT id, p.text, (SELECT i.id FROM code_index i WHERE i.text = p.text) FROM pool_code p "
        f"WHERE {_COMPLETE}"
    )
    count = 0
    known = {pool.pool for pool in pools.list_pools(conn)}
    for at, _, indexed in texts:
        key = code_key(at)
        if key.pool not in known:
            report.add(f"code {key.pool}/{key.position} is of a pool that was never imported")
        if parents.get(key.pool) == key.column:
            continue
        count += 1
        if at != indexed:
            report.add(f"code {key.pool}/{key.position} is not found by its text")
    (entries,) = conn.execute(f"SELECT count(*) FROM code_index WHERE {_COMPLETE}").fetchone()
    if entries != count:
        report.add(f"the index of codes has {entries} entries for {count} codes")


_RULES = {
    "a unit that is packed must be in a container": f"""SELECT unit FROM code
        WHERE unit_state = {_PACKED} AND unit IS NOT NULL AND parent = unit""",
    "a unit's parent must be a container": """SELECT c.unit FROM code c
        LEFT JOIN container p ON p.unit = c.parent
        WHERE c.parent <> c.unit AND p.unit IS NULL""",
    "a container must hold as many units as its record says": """SELECT k.unit FROM container k
        LEFT JOIN (SELECT parent, count(*) AS held FROM code WHERE parent <> unit GROUP BY parent) h
        ON h.parent = k.unit WHERE coalesce(h.held, 0) <> k.count - k.unknown""",
    "a unit must have exactly one row of its own": """SELECT unit FROM code
        WHERE unit_state IS NOT NULL AND unit IS NOT NULL GROUP BY unit HAVING count(*) <> 1""",
    "a unit must be found by its number": f"""SELECT c.unit FROM code c
        WHERE c.unit_state IS NOT NULL AND c.unit IS NOT NULL AND c.id IS NOT (
            SELECT id + (c.unit - first) * {STEP} FROM unit_at
            WHERE first <= c.unit ORDER BY first DESC LIMIT 1)""",
    "a code that is attached must be on a unit, any other on none": """SELECT id FROM code
        WHERE (state = 6) <> (unit IS NOT NULL)""",
}


def _check_rules(conn: Connection, report: Report) -> None:
    for rule, query in _RULES.items():
        for (what,) in conn.execute(f"{query} LIMIT 10").fetchall():
            report.add(f"{rule}: {what}")


def _check_replay(conn: Connection, report: Report, path: Path) -> None:
    """Replay into a fresh file and compare every table row by row, in the order of its key."""
    fresh = connect(path, os.urandom(32).hex(), read_only=False)
    try:
        fresh.execute("PRAGMA journal_mode = OFF")
        fresh.execute("PRAGMA synchronous = OFF")
        migrate(fresh, str(path))
        fresh.execute("BEGIN")
        for table in ("epoch", "name"):
            for row in conn.execute(f"SELECT * FROM {table}"):
                fresh.execute(f"INSERT INTO {table} VALUES ({_marks(row)})", row)
        try:
            _replay(conn, fresh)
        except CaselinkError as error:
            report.add(str(error))
            return
        for table in REPLAYED:
            _compare(conn, fresh, table, report)
        for at, text in fresh.execute("SELECT id, text FROM pool_code"):
            if pools.text_of(conn, code_key(at)) != text:
                key = code_key(at)
                report.add(f"code {key.pool}/{key.position} is not the text that was registered")
    finally:
        fresh.close()


def _replay(source: Connection, target: Connection) -> None:
    """Evolve the tables of `target` by every row of the journal of `source`."""
    for entry in journal.read(source):
        try:
            apply(target, entry.line, ((entry.seq, entry.fact),))
        except (IllegalTransition, dbapi2.IntegrityError) as error:
            raise IllegalTransition(
                f"journal row {entry.seq} ({entry.kind}) contradicts the rows before it: {error}"
            ) from error


def _compare(conn: Connection, fresh: Connection, table: str, report: Report) -> None:
    query = f"SELECT * FROM {table}{f' WHERE {_COMPLETE}' if table == 'code' else ''} ORDER BY 1, 2"
    for stored, replayed in zip_longest(_values(conn, query), _values(fresh, query)):
        if stored != replayed:
            report.add(
                f"table {table}: {_told(table, stored)} is stored, the journal says "
                f"{_told(table, replayed)}; run caselink db rebuild"
            )
            if stored is None or replayed is None or stored[:1] != replayed[:1]:
                return  # the rows after it stand against the wrong ones
        if report.full:
            return


def _values(conn: Connection, query: str) -> Iterator[tuple[Any, ...]]:
    yield from conn.execute(query)


def _told(table: str, row: tuple[Any, ...] | None) -> str:
    if row is None:
        return "no row"
    if table == "code":
        return f"code {'/'.join(str(part) for part in code_key(row[0]))} {row[1:]}"
    return str(row)


def _marks(row: tuple[Any, ...]) -> str:
    return ", ".join("?" * len(row))


def rebuild(conn: Connection) -> int:
    """Empty the tables and replay the journal into them; how many rows were replayed.

    Run it as a job of the writer: it is one transaction, and nothing changes if it fails. The
    texts of listed pools are source data and stay. ConfigError: the journal cannot be replayed.
    """
    kind = names.known_number(conn, CodeRegistered.__name__)
    query = "SELECT seq FROM journal WHERE kind = ? ORDER BY seq"
    for seq in journal.find(conn, query, (kind,)):
        # The replay registers these texts again.
        for entry in journal.read(conn, seq, seq):
            assert isinstance(entry.fact, CodeRegistered)
            at = code_id(entry.fact.key)
            conn.execute("DELETE FROM pool_code WHERE id = ?", (at,))
            conn.execute("DELETE FROM code_index WHERE text = ?", (entry.fact.text,))
    for table in REPLAYED:
        conn.execute(f"DELETE FROM {table}")
    conn.forget()
    try:
        _replay(conn, conn)
    except IllegalTransition as error:
        raise ConfigError(f"{error}: the file is damaged; restore a backup") from error
    return journal.tail(conn)[0]
