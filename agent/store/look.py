"""What translating journal rows asks of the store: only what does not change any more.

`Journalled` is `sync.epcis.Look` over a connection that reads.
"""

from collections.abc import Iterator, Sequence

from agent.core.errors import ConfigError
from agent.core.facts import CodeKey, DocumentOpened, HoldPlaced, PoolImported
from agent.core.life import CodeState
from agent.core.scheme import WorkOrder
from agent.ports.cloud import Entry, Posted
from agent.store import documents, journal, orders, pools, units
from agent.store.database import Connection
from agent.store.words import CODE_NUMBER, STEP, code_id

_SEQS = """
    SELECT seq FROM unit_event WHERE unit = ?1 UNION
    SELECT since FROM former_code WHERE unit = ?1 AND since IS NOT NULL UNION
    SELECT until FROM former_code WHERE unit = ?1 UNION
    SELECT since FROM membership WHERE container = ?1 UNION
    SELECT until FROM membership WHERE container = ?1 UNION
    SELECT code.seq FROM unit_code JOIN code USING (id) WHERE unit_code.unit = ?1
        AND code.seq IS NOT NULL"""
_OWN = "SELECT packed, assigned, bound, closed FROM container WHERE unit = ?"
_VOID = "SELECT 1 FROM code WHERE id = ? AND state = ? AND moved = ?"
_HOME = "SELECT seq FROM code WHERE id = ? AND unit = ?"


class Journalled:
    """Answers from the journal and the pools, on one connection, in one thread."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    def texts(self, keys: Sequence[CodeKey]) -> list[str]:
        """Canonical texts of codes, in order; ConfigError if no pool holds one."""
        found: dict[int, str] = {}
        ids = [code_id(key) for key in keys]
        for start in range(0, len(ids), 500):
            some = ids[start : start + 500]
            marks = ",".join("?" * len(some))
            found.update(
                self._conn.execute(
                    f"SELECT id, text FROM pool_code WHERE id IN ({marks})", some
                ).fetchall()
            )
        try:
            return [found[at] for at in ids]
        except KeyError:
            raise ConfigError(
                "a code of the journal is in no pool: the database is damaged; run caselink db "
                "verify"
            ) from None

    def pool(self, pool: int) -> PoolImported:
        """The fact that brought a pool; ConfigError if there is none."""
        found = pools.describe(self._conn, pool)
        if found is None:
            raise ConfigError(f"there is no pool {pool}: run caselink db verify")
        return found

    def order(self, number: str) -> WorkOrder | None:
        """A work order."""
        return orders.get(self._conn, number)

    def hold(self, hold: int) -> HoldPlaced:
        """The fact that placed a hold; ConfigError if there is none."""
        row = self._conn.execute("SELECT placed FROM hold WHERE id = ?", (hold,)).fetchone()
        for entry in journal.read_some(self._conn, [row[0]] if row else []):
            if isinstance(entry.fact, HoldPlaced):
                return entry.fact
        raise ConfigError(f"there is no hold {hold}: run caselink db verify")

    def document(self, party: str, number: str) -> Posted | None:
        """A document of a party's warehouse; None if there is none, or its row is archived."""
        found = documents.find(self._conn, party, number)
        if found is None:
            return None
        entries = {each.seq: each for each in journal.read_some(self._conn, found[-2:])}
        opened = entries.get(found.rank)
        if opened is None or not isinstance(opened.fact, DocumentOpened):
            return None
        return Posted(opened.fact, entries.get(found.posted))

    def history(self, unit: int, seq: int) -> Iterator[Entry]:
        """The rows up to `seq` that say something of a unit, in order."""
        conn = self._conn
        seqs = {int(row[0]) for row in conn.execute(_SEQS, (unit,)).fetchall()}
        own = conn.execute(_OWN, (unit,)).fetchone()
        if own is not None:
            seqs.update(int(at) for at in own if at is not None)
        home = unit * STEP if own is not None else units.home(conn, unit)
        born = conn.execute(_HOME, (home, unit)).fetchone()
        if born is not None:
            seqs.add(int(born[0]))
        return iter(journal.read_some(conn, (at for at in seqs if at <= seq)))

    def made_void(self, keys: Sequence[CodeKey], seq: int) -> list[CodeKey]:
        """Those of the codes that row `seq` made void, in order. None leaves that state."""
        given = CODE_NUMBER[CodeState.VOID], seq
        return [key for key in keys if self._conn.execute(_VOID, (code_id(key), *given)).fetchone()]

    def wall_ms(self, seq: int, earliest: int, latest: int) -> int | None:
        """The wall time of the newest row up to `seq` whose time is in [earliest, latest)."""
        return journal.newest_wall_ms(self._conn, seq, earliest, latest)

    def order_ends(self, number: str) -> list[int]:
        """The rows that ended a work order or cleared its line."""
        found = self._conn.execute(
            "SELECT finished FROM work_order WHERE number = ?1 AND finished IS NOT NULL UNION "
            "SELECT seq FROM clearance WHERE number = ?1",
            (number,),
        )
        return [int(at) for (at,) in found.fetchall()]
