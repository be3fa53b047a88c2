"""The agent under test: a real encrypted database, its writer and the commit gate, with ways to
make a commit fail, to cut the power, and to look at what is durable from outside."""

import resource
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from agent.core.facts import Fact
from agent.core.inputs import Input
from agent.core.known import Clock
from agent.core.pools import Balance
from agent.core.state import LineState
from agent.ports.line import Committed
from agent.store import journal
from agent.store.balance import balances
from agent.store.database import Connection, Database
from agent.store.gate import AGENT, Gate
from agent.store.verify import verify
from agent.store.writer import Writer
from tests.core.sites import LINE, Site, scratch, template

SNAPSHOT_EVERY = 40


class Rig:
    """One agent with one line. Everything runs in the caller's thread."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.where = scratch()
        for name in ("caselink.db", "caselink.key"):
            shutil.copy(template(site.name) / name, self.where / name)
        self.tick = 0
        self.hashes: list[bytes] = []
        self._open()

    def _open(self) -> None:
        self.db = Database.open(self.where / "caselink.db", self.where / "caselink.key")
        self.writer = Writer(self.db.conn)
        self.gate = Gate(self.writer, [self.site.plan], SNAPSHOT_EVERY)
        self.reader: Connection = self.db.reader()

    def close(self) -> None:
        self.reader.close()
        self.db.close()

    def remove(self) -> None:
        self.close()
        shutil.rmtree(self.where)

    def restart(self) -> None:
        """A new process on the same file."""
        self.close()
        self._open()

    # ------------------------------------------------------------------------- what happens

    def submit(self, inputs: Sequence[Input]) -> Committed:
        """One group through the gate, as the line shell does."""
        stamped = []
        for what in inputs:
            self.tick += 1
            stamped.append((what, Clock(1_700_000_000_000 + self.tick, self.tick)))
        return self.writer.run_inline(lambda conn: self.gate.decide(conn, LINE, stamped))

    def desk(self, what: Input) -> Committed:
        """What a person does with units, wherever they are."""
        self.tick += 1
        stamped = [(what, Clock(1_700_000_000_000 + self.tick, self.tick))]
        return self.writer.run_inline(lambda conn: self.gate.decide(conn, AGENT, stamped))

    @contextmanager
    def disk_full(self) -> Iterator[None]:
        """The file system refuses every write while this lasts."""
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    @contextmanager
    def row_refused(self) -> Iterator[None]:
        """SQLite refuses the change of any code's row while this lasts: a job fails half done."""
        self.db.conn.execute(
            "CREATE TEMP TRIGGER refuse BEFORE UPDATE ON main.code "
            "BEGIN SELECT RAISE(ABORT, 'not now'); END"
        )
        try:
            yield
        finally:
            self.db.conn.execute("DROP TRIGGER temp.refuse")

    # ------------------------------------------------------------------------- what is there

    def state(self) -> LineState:
        """The line's state as the gate has it. Not to be changed."""
        return self.writer.run_inline(lambda conn: self.gate.look(conn, LINE, lambda state: state))

    def replayed(self) -> LineState:
        """The state that an agent would have which starts now: snapshot and tail."""
        gate = Gate(Writer(self.reader), [self.site.plan])
        return gate.look(self.reader, LINE, lambda state: state)

    def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What another connection sees."""
        found: list[tuple[Any, ...]] = self.reader.execute(query, values).fetchall()
        return found

    def grown(self) -> list[Fact]:
        """Rule 5: the journal holds what it held, and these new rows, as another connection sees
        it. Its hashes chain row to row, so the last known one stands for all before it."""
        last = len(self.hashes)
        before = self.hashes[-1] if last else journal.FIRST_HASH
        rows = list(journal.rows(self.reader, max(last, 1)))
        if last:
            assert rows, "rule 5: journal rows are gone"
            assert rows[0].hash == before, f"rule 5: journal row {last} was rewritten"
            del rows[0]
        for number, row in enumerate(rows, start=last + 1):
            assert row.seq == number, f"rule 5: row {row.seq} stands where {number} belongs"
            assert row.hash == row.seal(before), f"rule 5: row {number} does not fit the chain"
            before = row.hash
            self.hashes.append(row.hash)
        return [journal.decode(row.seq, row.kind, row.body) for row in rows]

    def kept(self) -> None:
        """Rule 5 for every row that was ever seen."""
        stored = [bytes(at) for (at,) in self.ask("SELECT hash FROM journal ORDER BY seq")]
        assert stored == self.hashes, "rule 5: the journal is not what it was"

    def verified(self) -> None:
        """`caselink db verify` finds nothing."""
        report = verify(self.reader, self.where)
        assert report.ok, report.problems

    def balances(self) -> dict[str, Balance]:
        return dict(balances(self.reader))


def durable(state: LineState, units: Sequence[int] | None = None) -> Any:
    """What of a state a restart must know: without what is on its way. Containers by unit; only
    `units` of them (None: all)."""
    held = {
        container.unit: {
            "count": container.count,
            "unknown": container.unknown,
            "evidence": list(container.evidence),
            "label": container.label,
            "own": container.own,
            "fault": container.fault,
            "doubtful": container.doubtful,
            "expected": container.expected,
            "order": container.order,
            "station": container.station,
        }
        for zone in state.containers.values()
        for container in zone.values()
        if container.unit is not None and (units is None or container.unit in units)
    }
    return msgspec.to_builtins(
        {
            "run": state.run,
            "status": state.status,
            "order": state.order,
            "orders": state.orders,
            "finished": state.finished,
            "windows": {name: window for name, window in state.windows.items() if window.codes},
            "partial": state.partial,
            "alarms": state.alarms,
            "tally": state.tally,
            "containers": {str(unit): what for unit, what in sorted(held.items())},
        },
        str_keys=True,
    )
