"""Journals that are not what the cloud acknowledged: real stores, copied, cut and restored."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core import facts as f
from agent.core.errors import ConfigError, DomainError
from agent.core.known import KnownPool
from agent.core.life import CodeState
from agent.core.poolfile import PoolFile
from agent.core.pools import allocate, next_free
from agent.services import settle
from agent.store import backup, balance, journal, pools
from agent.store.outbox import Outbox
from agent.store.pool_import import import_in_steps
from agent.store.readers import Readers
from agent.store.record import record
from agent.store.restore import Terms, restore
from agent.store.verify import verify
from sync import messages
from sync.build import Builder
from sync.cloud import notices
from sync.cloud.database import open_database
from sync.cloud.lists import forks
from sync.messages import State
from sync.relay import Heard, Relay, Sent
from sync.restored import Restored
from sync.uris import Identity
from tests.store.store_help import BODY, BOTTLES, CASES, LINE, Plant, at, codes, listed
from tests.sync.cloud.told import NOW, Cloud

US = Identity("acme", "plant-1", "box-7")
SECOND = 1_000


class Box:
    """An agent's store, and its way to a cloud without a broker."""

    def __init__(self, where: Path, bottles: int = 2_000) -> None:
        self.plant = Plant(where, bottles)
        self.plant.writer.start()
        self.readers = Readers(self.plant.path, self.plant.key_file, 3)
        self.port = Outbox(self.readers, self.plant.writer)

    def close(self) -> None:
        self.readers.close()
        self.plant.writer.close()
        self.plant.close()

    def print(self, first: int, count: int) -> None:
        """Take rows of the bottles' pool and print them."""
        for to in ("allocated", "sending"):
            self.put(f.CodesMoved(BOTTLES, BODY, first, count, to, "coder", 1))

    def put(self, *facts: f.Fact) -> None:
        self.plant.tick += 1
        self.plant.writer.wait(lambda conn: record(conn, LINE, facts, at(self.plant.tick)))

    def take(self, file: PoolFile) -> f.PoolImported:
        return import_in_steps(self.plant.writer.wait, file, "", at(0))

    def sync(self, cloud: Cloud, now_ms: int = NOW) -> Relay:
        """Send until there is nothing left, or the relay stops; the relay."""
        acked = self.port.acked()
        with self.port.view() as view:
            epoch = view.epoch_at(acked.seq + 1)
        relay = Relay(epoch.name, epoch.last, acked.seq)
        builder = Builder(self.port, US, rows=5)
        clock = 0.0
        for _ in range(2_000):
            clock += 1
            first = relay.wanted(clock)
            built = None if first is None else builder.build(first)
            if built is None:
                return relay
            relay.sent(Sent(built.first, built.last, built.hash), clock)
            prepared = cloud.ingest.prepare(US.name, built.payload)
            assert not hasattr(prepared, "reason"), prepared
            (said,) = cloud.ingest.apply([prepared], now_ms)
            ack = messages.read(messages.Ack, messages.write(said))
            assert isinstance(ack, messages.Ack), ack
            if ack.restored is not None:
                settle.by_cloud(self.plant.writer.wait, self.readers.connection, ack.restored)
            with self.port.view() as view:
                ours = view.hash_at(ack.upto)
            if relay.heard(ack, ours, clock) is Heard.FORK:
                return relay
            if ours is not None and relay.acked == ack.upto:
                self.port.keep(relay.acked, ours, None)
            if relay.finished:
                with self.port.view() as view:
                    name, _, last = view.epoch_at(relay.acked + 1)
                relay.enter(name, last)
        raise AssertionError("it never ends")

    def pool(self, number: int = BOTTLES) -> KnownPool:
        with self.readers.connection() as conn:
            found = pools.known(conn, number)
        assert found is not None
        return found


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(open_database(f"sqlite:///{tmp_path / 'cloud.db'}"))
    yield made
    made.close()


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    where = tmp_path / "box"
    plant = Plant(where, 2_000).load()
    plant.close()
    made = Box(where)
    yield made
    made.close()


def back(box: Box, file: Path, terms: Terms = Terms("li", "test")) -> None:
    """Restore, and open again."""
    where = box.plant.path.parent
    box.close()
    restore(where / "caselink.db", where / "caselink.key", file, terms)
    box.__init__(where)  # type: ignore[misc]


def kinds(cloud: Cloud) -> list[str]:
    return [str(kind) for (kind,) in cloud.conn.rows("SELECT kind FROM fork ORDER BY id")]


# ------------------------------------------------------------------------------ a proper restore


def test_codes_printed_after_the_backup_never_print_again(
    box: Box, cloud: Cloud, tmp_path: Path
) -> None:
    box.print(0, 50)
    box.sync(cloud)
    backup.backup(box.plant.path, box.plant.key_file, tmp_path / "b", "box-7")
    box.print(50, 70)
    box.sync(cloud)
    lost = journal.tail(box.plant.conn)
    back(box, tmp_path / "b")
    assert box.pool().in_question
    with pytest.raises(DomainError):
        allocate(box.pool(), 1)
    begun = journal.tail(box.plant.conn)[0]
    relay = box.sync(cloud, NOW)
    assert relay.fork == ""
    assert kinds(cloud) == ["restored"], "it is told, and it is no fork"
    # The lost machine wrote its last row just then: nobody printed since.
    pool = box.pool()
    assert not pool.in_question
    assert next_free(pool)[0] == 120
    assert allocate(pool, 1).first == 120
    streams = cloud.conn.rows("SELECT upto, cut FROM watermark ORDER BY id")
    assert streams[0] == (lost[0], begun), "what the old epoch had beyond stays known, marked"
    assert not box.pool(CASES).in_question
    assert verify(box.plant.conn).ok
    for _, each in balance.balances(box.plant.conn):
        assert each.difference == 0


def test_what_may_have_been_printed_without_being_told_is_void_too(
    box: Box, cloud: Cloud, tmp_path: Path
) -> None:
    box.print(0, 50)
    backup.backup(box.plant.path, box.plant.key_file, tmp_path / "b", "box-7")
    box.print(50, 70)
    box.sync(cloud)
    made = backup.read_sheet(tmp_path / "b").made_ms
    back(box, tmp_path / "b")
    box.sync(cloud, made + 10 * SECOND)
    assert next_free(box.pool())[0] == 120 + 10 * settle.ITEMS_PER_S


def test_a_person_may_say_when_the_lines_stopped(box: Box, cloud: Cloud, tmp_path: Path) -> None:
    box.print(0, 50)
    backup.backup(box.plant.path, box.plant.key_file, tmp_path / "b", "box-7")
    box.print(50, 70)
    box.sync(cloud)
    made = backup.read_sheet(tmp_path / "b").made_ms
    back(box, tmp_path / "b", Terms("li", "test", made + 2 * SECOND))
    box.sync(cloud, made + 1_000 * SECOND)
    assert next_free(box.pool())[0] == 120 + 2 * settle.ITEMS_PER_S


def test_without_an_answer_a_person_voids_what_is_left(box: Box, tmp_path: Path) -> None:
    backup.backup(box.plant.path, box.plant.key_file, tmp_path / "b", "box-7")
    back(box, tmp_path / "b")
    ways = box.plant.writer.wait, box.readers.connection
    with pytest.raises(DomainError, match="Say who"):
        settle.by_person(*ways, "bottles", "", "")
    with pytest.raises(DomainError, match="not in question"):
        settle.by_person(*ways, "rule", "li", "no cloud")
    (done,) = settle.by_person(*ways, "bottles", "li", "no cloud")
    assert (done.voided, done.left) == (2 * 2_000, 0)
    assert next_free(box.pool())[1] == 0
    assert pools.pool_counts(box.plant.conn, BOTTLES, BODY).codes == {CodeState.VOID: 2_000}
    assert verify(box.plant.conn).ok


def test_an_answer_about_another_restore_settles_nothing(box: Box, tmp_path: Path) -> None:
    backup.backup(box.plant.path, box.plant.key_file, tmp_path / "b", "box-7")
    back(box, tmp_path / "b")
    ways = box.plant.writer.wait, box.readers.connection
    with pytest.raises(ConfigError, match="about epoch e after row 3"):
        settle.by_cloud(*ways, Restored(epoch="e", after=3, known_ms=1, now_ms=1))
    epoch, after = journal.tail(box.plant.conn)[2], journal.tail(box.plant.conn)[0] - 1
    unknown = Restored(epoch=epoch, after=after, known_ms=1, now_ms=1, whole=False)
    with pytest.raises(ConfigError, match="cannot tell"):
        settle.by_cloud(*ways, unknown)
    assert box.pool().in_question


def test_a_pool_that_came_after_the_backup_is_not_printed_again(
    box: Box, cloud: Cloud, tmp_path: Path
) -> None:
    box.sync(cloud)
    backup.backup(box.plant.path, box.plant.key_file, tmp_path / "b", "box-7")
    made = backup.read_sheet(tmp_path / "b").made_ms
    late = listed("late", "bottle", {"body": codes("LATE-", 500)})
    fresh = listed("fresh", "bottle", {"body": codes("FRESH-", 500)})
    number = box.take(late).pool
    for to in ("allocated", "sending"):
        box.put(f.CodesMoved(number, 0, 0, 40, to, "coder", 1))
    box.sync(cloud)
    back(box, tmp_path / "b")
    with pytest.raises(DomainError) as caught:
        box.take(late)
    assert caught.value.reason == "restore_unsettled"
    box.sync(cloud, made + 2 * SECOND)
    with pytest.raises(DomainError, match="first 140 rows") as caught:
        box.take(late)
    assert caught.value.reason == "pool_used_before"
    assert box.take(fresh).count == 500


def test_a_person_may_answer_for_all_pools(box: Box, tmp_path: Path) -> None:
    backup.backup(box.plant.path, box.plant.key_file, tmp_path / "b", "box-7")
    back(box, tmp_path / "b")
    fresh = listed("fresh", "bottle", {"body": codes("FRESH-", 500)})
    with pytest.raises(DomainError):
        box.take(fresh)
    ways = box.plant.writer.wait, box.readers.connection
    done = settle.by_person(*ways, settle.ALL, "li", "there is no cloud")
    assert {each.pool for each in done} == {"bottles", "cases", "pallets"}
    assert box.take(fresh).count == 500


# ----------------------------------------------------------------------------------- forks


def test_a_copy_of_a_database_that_runs_twice_is_noticed(
    box: Box, cloud: Cloud, tmp_path: Path
) -> None:
    box.print(0, 5)
    box.sync(cloud)
    box.close()
    shutil.copytree(box.plant.path.parent, tmp_path / "twin")
    box.__init__(box.plant.path.parent)  # type: ignore[misc]
    twin = Box(tmp_path / "twin")
    try:
        box.print(5, 5)
        twin.print(5, 6)
        assert box.sync(cloud).fork == ""
        before = cloud.count("batch")
        assert "is not row" in twin.sync(cloud).fork or "two machines" in twin.sync(cloud).fork
        twin.print(11, 6)
        assert twin.sync(cloud).fork
        assert cloud.count("batch") == before, "nothing of it was applied"
        assert box.sync(cloud).fork == "", "the one that was first goes on"
        assert kinds(cloud) == ["rewritten"]
    finally:
        twin.close()


@pytest.mark.parametrize("more", [0, 30])
def test_an_old_copy_put_back_in_place_is_noticed(
    box: Box, cloud: Cloud, tmp_path: Path, more: int
) -> None:
    """Without `restore`: whether it has written less or more since than was acknowledged."""
    where = box.plant.path.parent
    box.print(0, 5)
    box.sync(cloud)
    box.close()
    shutil.copytree(where, tmp_path / "old")
    box.__init__(where)  # type: ignore[misc]
    for n in range(12):
        box.print(5 + n, 1)
    box.sync(cloud)
    box.close()
    shutil.rmtree(where)
    shutil.copytree(tmp_path / "old", where)
    box.__init__(where)  # type: ignore[misc]
    box.put(f.AgentStarted("1"))
    for n in range(more):
        box.print(5 + n, 1)
    relay = box.sync(cloud)
    assert relay.fork
    notices.heard(
        cloud.conn,
        {US.name: State(online=True, epoch=relay.epoch, acked=relay.acked, fork=relay.fork)},
        NOW,
    )
    assert "agent" in kinds(cloud)
    assert relay.fork in [each["text"] for each in forks(cloud.conn, 10, 0)["forks"]]


def test_a_cut_tail_is_noticed(box: Box, cloud: Cloud) -> None:
    for n in range(10):
        box.print(n, 1)
    box.sync(cloud)
    last = journal.tail(box.plant.conn)[0]

    def cut(conn: object) -> None:
        for number in (1, 2):
            conn.execute(f"DROP TRIGGER journal_is_append_only_{number}")  # type: ignore[attr-defined]
        conn.execute("DELETE FROM journal WHERE seq > ?", (last - 4,))  # type: ignore[attr-defined]

    box.plant.writer.wait(cut)
    where = box.plant.path.parent
    box.close()
    box.__init__(where)  # type: ignore[misc]
    box.port.keep(0, "00" * 16, None)  # what it knew of the cloud is lost with it
    relay = box.sync(cloud)
    assert "our journal does not have" in relay.fork
