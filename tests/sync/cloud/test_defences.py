"""Defences taken out one by one: without each of them something is doubled, lost or accepted that
must not be. And with all of them, several consumers at once on PostgreSQL keep every rule."""

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from sync.cloud.database import Database, open_database
from sync.cloud.ingest import Ingest
from sync.cloud.relations import relations
from sync.envelope import Batch, encode
from sync.messages import Ack
from tests.sync.cloud.conftest import fresh_postgres
from tests.sync.cloud.delivery import doubled
from tests.sync.cloud.told import NOW, Cloud, Teller, bottles, case

SECONDS = 20.0


def apply(ingest: Ingest, batch: Batch) -> Ack:
    """Apply a batch as it came."""
    (ack,) = ingest.apply([ingest.ready(batch, encode(batch))], NOW)
    return ack


def told(many: int = 10, of: str = "") -> Teller:
    agent = Teller(f"brand/plant/edge{of}")
    for n in range(many):
        agent.case(f"{case(n)}{of}", bottles(4, f"{of}x{n}x"))
    return agent


# ------------------------------------------------------------------------------------- one by one


class TakesAll(Ingest):
    """Without the check of what was applied before."""

    def _goes_on(self, batch: Batch, stream: object, now_ms: int) -> str | None:
        return None


@pytest.mark.parametrize(("kind", "good"), [(Ingest, True), (TakesAll, False)])
def test_what_was_applied_is_not_applied_again(url: str, kind: type[Ingest], good: bool) -> None:
    cloud = Cloud(open_database(url))
    ingest = kind(cloud.database)
    agent = told()
    try:
        apply(ingest, agent.cut(1, 5))
        apply(ingest, agent.cut(3, 8))  # another cut of what was sent before
        apply(ingest, agent.cut(9, 10))
        rows = cloud.conn.rows("SELECT upto FROM watermark")
        seqs = {seq for (seq,) in cloud.conn.rows("SELECT DISTINCT seq FROM event")}
        complete = all(upto == len(seqs) == max(seqs, default=0) for (upto,) in rows)
        assert (doubled(cloud.conn) == [] and complete) is good
    finally:
        ingest.close()
        cloud.close()


@contextmanager
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def until_blocked(server: str, name: str) -> None:
    """Wait until a backend of that database waits for another one's lock."""
    with psycopg.connect(server + "postgres", autocommit=True) as conn:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            row = conn.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = %s "
                "AND wait_event_type = 'Lock'",
                (name,),
            ).fetchone()
            if row is not None and row[0]:
                return
            time.sleep(0.01)
    raise AssertionError("nobody waits")


@pytest.mark.parametrize("locked", [True, False])
def test_consumers_that_share_an_agent_take_turns(postgres_server: str, locked: bool) -> None:
    url = fresh_postgres(postgres_server)
    database = open_database(url)
    other: Database = open_database(url)
    if not locked:
        database.lock = other.lock = ""
    agent = Teller()
    for _ in range(10):  # no new codes: their keys would be a second defence
        agent.look(bottles(2))
    first, second = Ingest(database), Ingest(other)
    look = database.connect()
    try:
        apply(first, agent.cut(1, 2))
        one = first.ready(agent.cut(3, 8), encode(agent.cut(3, 8)))
        two = second.ready(agent.cut(3, 5), encode(agent.cut(3, 5)))
        with thread() as pool:
            with first._conn.writing():  # what `apply` opens is a part of it
                first.apply([one], NOW)
                waiting = pool.submit(second.apply, [two], NOW)
                until_blocked(postgres_server, url.rpartition("/")[2])
            (ack,) = waiting.result(SECONDS)
        ((upto,),) = look.rows("SELECT upto FROM watermark")
        good = doubled(look) == [] and (upto, ack.upto) == (8, 8)
        assert good is locked
    finally:
        look.close()
        first.close()
        second.close()


def test_two_agents_that_tell_one_code_at_once(postgres_server: str) -> None:
    """The second waits for the first to commit and then sees that the code is taken."""
    url = fresh_postgres(postgres_server)
    database = open_database(url)
    one, two = Teller("brand/plant/1"), Teller("brand/plant/2")
    one.case(case(1), bottles(3))
    two.case(case(2), bottles(3))
    first, second = Ingest(database), Ingest(database)
    look = database.connect()
    try:
        held = first.ready(one.cut(), encode(one.cut()))
        with thread() as pool:
            with first._conn.writing():
                first.apply([held], NOW)
                waiting = pool.submit(apply, second, two.cut())
                until_blocked(postgres_server, url.rpartition("/")[2])
            assert waiting.result(SECONDS).upto == 1
        assert look.rows("SELECT count(*), min(duplicate) FROM claim") == [(3, 1)]
    finally:
        look.close()
        first.close()
        second.close()


def test_a_page_passes_over_nothing_that_commits_later(postgres_server: str) -> None:
    """One consumer is in the middle of a batch while another one's commits: whoever reads all pages
    then and comes again later has both."""
    database = open_database(fresh_postgres(postgres_server))
    one, two = told(2, "1"), told(2, "2")
    slow, quick = Ingest(database), Ingest(database)
    look = database.connect()
    try:
        apply(slow, one.cut(1, 1))
        apply(quick, two.cut(1, 1))
        prepared = slow.ready(one.cut(2, 2), encode(one.cut(2, 2)))
        with slow._conn.writing():
            slow.apply([prepared], NOW)
            apply(quick, two.cut(2, 2))
            early = relations(look)
        late = relations(look, early.cursor)
        rows = {row["bottle"] for row in (*early.rows, *late.rows)}
        assert len(rows) == 16
        assert relations(look, late.cursor).rows == []
    finally:
        look.close()
        slow.close()
        quick.close()


# -------------------------------------------------------------------------------- all at once


@pytest.mark.parametrize("consumers", [2, 4])
def test_several_consumers_keep_every_rule(postgres_server: str, consumers: int) -> None:
    """Every agent's batches go to any consumer in any order, again and again, until all are in."""
    database = open_database(fresh_postgres(postgres_server))
    agents = [told(12, f"-{n}") for n in range(3)]
    agents[2].case(case(99), bottles(4, "-0x3x"))  # codes of the first agent
    acked = [0, 0, 0]
    failures: list[BaseException] = []

    def consume(number: int) -> None:
        dice = random.Random(number)
        ingest = Ingest(database)
        end = time.monotonic() + SECONDS
        try:
            while time.monotonic() < end:
                left = [n for n, agent in enumerate(agents) if acked[n] < agent.last]
                if not left:
                    return
                who = dice.choice(left)
                agent = agents[who]
                begin = min(agent.last, max(1, acked[who] + 1 - dice.choice((0, 0, 0, 2, 5))))
                ack = apply(ingest, agent.cut(begin, min(agent.last, begin + dice.randrange(4))))
                assert not ack.fork
                assert ack.hash == agent.chains[ack.upto]
                acked[who] = max(acked[who], ack.upto)
            raise AssertionError(f"not done: {acked}")
        except BaseException as error:  # noqa: BLE001  # told in the main thread
            failures.append(error)
        finally:
            ingest.close()

    threads = [threading.Thread(target=consume, args=(n,)) for n in range(consumers)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(2 * SECONDS)
    assert failures == []
    look = database.connect()
    try:
        assert doubled(look) == []
        assert look.rows("SELECT upto FROM watermark ORDER BY upto") == [(12,), (12,), (13,)]
        assert look.rows("SELECT count(*) FROM link") == [(37 * 4,)]
        assert look.rows("SELECT count(*) FROM unit") == [(36 * 5 + 1,)]
        assert look.rows("SELECT count(*) FROM claim WHERE duplicate = 1") == [(4,)]
    finally:
        look.close()


def test_without_its_transaction_a_batch_is_half_applied(tmp_path: Path) -> None:
    """A failure in the middle leaves nothing; the same steps without the transaction leave rows."""
    cloud = Cloud(open_database(f"sqlite:///{tmp_path / 'cloud.db'}"))
    agent = told(2)
    try:
        prepared = cloud.ingest.ready(agent.cut(), encode(agent.cut()))
        broken = prepared._replace(blocks={**prepared.blocks, "link": [(None, None)]})
        with pytest.raises(Exception, match=r"."):
            cloud.ingest.apply([broken], NOW)
        assert [cloud.count(table) for table in ("batch", "unit", "event", "agent")] == [0] * 4
        assert apply(cloud.ingest, agent.cut()).upto == 2
    finally:
        cloud.close()
