"""The gate keeps the states of its lines true, and a start short, whatever the other lines do."""

import resource
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.errors import DomainError, TransientError
from agent.core.facts import CodeKey
from agent.core.plan import LinePlan, ReaderPlan, Station
from agent.core.scheme import LevelSpec, PackingScheme, WorkOrder
from agent.ports.line import Committed
from agent.store import journal, snapshots
from agent.store.gate import Gate
from tests.store.store_help import Plant, at, codes, listed

EVERY = 20
BUSY, IDLE = "busy", "idle"
SCHEME = PackingScheme("bottles", (LevelSpec("bottle", "body", ("body",)),))
TEXTS = codes("B-", 100)


def plan(line: str) -> LinePlan:
    reader = ReaderPlan(f"{line}-camera", ("body",))
    return LinePlan(line, (Station("verify", 0, "verify", "bottle", (reader,)),), ())


class TwoLines:
    """A gate over two lines, with a pool of preprinted codes."""

    def __init__(self, where: Path) -> None:
        self.plant = Plant(where)
        pool = listed("bottles", "bottle", {"body": TEXTS})
        printed = replace(pool, declared=replace(pool.declared, preprinted=True))
        self.pool = self.plant.take(printed).pool
        self.tick = 0
        self.start()

    def start(self) -> None:
        """A new process begins."""
        self.gate = Gate(self.plant.writer, [plan(BUSY), plan(IDLE)], EVERY)

    def submit(self, line: str, *inputs: i.Input) -> Committed:
        self.tick += 1
        stamped = [(what, at(self.tick)) for what in inputs]
        return self.plant.writer.run_inline(lambda conn: self.gate.decide(conn, line, stamped))

    def order(self, line: str) -> None:
        made = WorkOrder(f"WO-{line}", line, "", "lot", SCHEME, 100, {"bottle/body": self.pool})
        self.submit(line, i.CreateOrder(made, "li"))
        self.submit(line, i.StartOrder(made.number, "li"))

    def bottle(self, line: str, item: int) -> Committed:
        read = i.ItemReadings("verify", item, f"{line}-camera", (TEXTS[item],))
        return self.submit(line, i.ItemTriggered("verify", item), read)

    def saved(self, line: str) -> int:
        return snapshots.load(self.plant.conn, line).seq


@pytest.fixture
def two(tmp_path: Path) -> Iterator[TwoLines]:
    two = TwoLines(tmp_path)
    yield two
    two.plant.close()


def test_a_line_that_stands_still_is_saved_with_the_others(two: TwoLines) -> None:
    two.order(IDLE)
    two.plant.reopen()
    two.start()  # nobody asks for the idle line any more
    two.order(BUSY)
    for item in range(3 * EVERY):
        two.bottle(BUSY, item)
    last = journal.tail(two.plant.conn)[0]
    for line in (BUSY, IDLE):
        assert two.saved(line) > last - EVERY
        tail = snapshots.tail(two.plant.conn, line, two.saved(line))
        assert len(tail) < EVERY
    two.plant.reopen()
    two.start()
    orders = two.plant.writer.run_inline(
        lambda conn: two.gate.look(conn, IDLE, lambda state: (state.order, state.status))
    )
    assert orders[0] is not None
    assert (orders[0].number, orders[1]) == ("WO-idle", "running")


def test_what_a_person_was_refused_loses_nothing(two: TwoLines) -> None:
    two.order(BUSY)
    two.plant.reopen()
    two.start()
    with pytest.raises(DomainError):
        two.submit(BUSY, i.StartOrder("WO-unknown", "li"))
    done = two.bottle(BUSY, 1)
    assert not any(entry.kind == "RunBegan" for entry in journal.read(two.plant.conn))
    assert [type(fact) for fact in done.facts] == [f.ItemSeen, f.ItemPassed]


def test_the_text_of_a_code_just_attached_is_told(two: TwoLines) -> None:
    two.order(BUSY)
    done = two.bottle(BUSY, 5)
    assert done.texts == {CodeKey(two.pool, 5, 0): TEXTS[5]}


def test_a_saved_state_of_another_version_is_read_from_the_journal(
    two: TwoLines, caplog: pytest.LogCaptureFixture
) -> None:
    two.order(BUSY)
    for item in range(2 * EVERY):
        two.bottle(BUSY, item)
    assert two.saved(BUSY)
    good = two.plant.writer.run_inline(
        lambda conn: two.gate.look(conn, BUSY, lambda state: state.tally.good)
    )
    for body in (b"\x93\x01\x02\x03", b"no msgpack", msgspec.msgpack.encode({"line": 7})):
        two.plant.writer.run_inline(lambda conn, body=body: snapshots.save(conn, BUSY, body))
        two.plant.reopen()
        two.start()
        state = two.plant.writer.run_inline(
            lambda conn: two.gate.look(conn, BUSY, lambda found: found)
        )
        assert (state.status, state.tally.good) == ("running", good)
        assert "another version" in caplog.text
        caplog.clear()
    two.bottle(BUSY, 2 * EVERY)
    assert msgspec.msgpack.decode(snapshots.load(two.plant.conn, BUSY).body)["line"] == BUSY


def test_a_line_can_be_looked_at_while_the_disk_keeps_nothing(two: TwoLines) -> None:
    two.order(BUSY)
    two.bottle(BUSY, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(TransientError):
            two.bottle(BUSY, 2)
        for _ in range(2):
            seen = two.plant.writer.run_inline(
                lambda conn: two.gate.look(
                    conn, BUSY, lambda state: (state.status, state.tally.good)
                )
            )
            assert seen == ("running", 1)
        # And who tries again and again does not read the journal each time.
        said: list[str] = []
        two.plant.conn.set_trace_callback(said.append)
        with pytest.raises(TransientError):
            two.bottle(BUSY, 2)
        assert not [each for each in said if each.startswith("SELECT seq, wall_ms")]
    finally:
        two.plant.conn.set_trace_callback(None)
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    two.bottle(BUSY, 3)
    assert "RunBegan" in [entry.kind for entry in journal.read(two.plant.conn)]
