"""The one writer: durable before answered, jobs that fail alone, jobs that fail together."""

import asyncio
import resource
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from sqlcipher3 import dbapi2

from agent.core.errors import DomainError, TransientError
from agent.store import turns
from agent.store.database import Connection
from agent.store.verify import verify
from agent.store.writer import Writer
from tests.store.store_help import Plant

DEADLINE = 10.0


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    plant = Plant(tmp_path)
    plant.conn.execute("CREATE TABLE t (a UNIQUE)")
    yield plant
    plant.close()


def put(value: object) -> Any:
    def job(conn: Connection) -> object:
        conn.execute("INSERT INTO t VALUES (?)", (value,))
        return value

    return job


def kept(plant: Plant) -> list[object]:
    reader = plant.db.reader()
    values = [value for (value,) in reader.execute("SELECT a FROM t ORDER BY rowid")]
    reader.close()
    return values


def grouped(writer: Writer, jobs: list[Any]) -> list[Future[Any]]:
    """Submit jobs so that all of them wait while the writer is busy: they share a transaction."""
    entered, go_on = threading.Event(), threading.Event()

    def block(conn: Connection) -> None:
        entered.set()
        assert go_on.wait(DEADLINE)

    first = writer.submit(block)
    assert entered.wait(DEADLINE)
    futures = [writer.submit(job) for job in jobs]
    go_on.set()
    first.result(DEADLINE)
    return futures


def test_a_result_is_given_when_another_connection_can_see_it(plant: Plant) -> None:
    plant.writer.start()
    for value in range(20):
        assert plant.writer.submit(put(value)).result(DEADLINE) == value
        assert kept(plant)[-1] == value
    plant.writer.close()


def test_asyncio_waits_without_blocking(plant: Plant) -> None:
    plant.writer.start()

    async def main() -> list[int]:
        return list(await asyncio.gather(*(plant.writer.run(put(n), DEADLINE) for n in range(30))))

    assert asyncio.run(main()) == list(range(30))
    assert kept(plant) == list(range(30))
    plant.writer.close()


def test_a_wait_in_asyncio_has_an_end(plant: Plant) -> None:
    plant.writer.start()
    go_on = threading.Event()

    async def main() -> None:
        with pytest.raises(TransientError, match="disk does not answer"):
            await plant.writer.run(lambda conn: go_on.wait(DEADLINE), 0.05)

    asyncio.run(main())
    go_on.set()
    plant.writer.close()


def test_jobs_that_wait_share_one_transaction_and_keep_their_order(plant: Plant) -> None:
    plant.writer.start()
    seen: list[object] = []

    def look(conn: Connection) -> bool:
        seen.append(kept(plant))  # what others can see while the group runs
        return bool(conn.in_transaction)

    futures = grouped(plant.writer, [put(1), put(2), look, put(3)])
    assert [future.result(DEADLINE) for future in futures] == [1, 2, True, 3]
    assert seen == [[]]
    assert kept(plant) == [1, 2, 3]
    plant.writer.close()


def test_a_job_that_raises_is_rolled_back_alone(plant: Plant) -> None:
    plant.writer.start()
    lost: list[object] = []
    plant.writer.on_rollback(lost.append)

    def refuse(conn: Connection) -> None:
        put("half")(conn)
        raise DomainError("no", "not like this")

    def bug(conn: Connection) -> None:
        put("bug")(conn)
        raise ZeroDivisionError

    futures = grouped(plant.writer, [put(1), refuse, put(2), bug, put(2), put(3)])
    outcomes = [future.exception(DEADLINE) for future in futures]
    assert [type(outcome) for outcome in outcomes] == [
        type(None),
        DomainError,
        type(None),
        ZeroDivisionError,
        dbapi2.IntegrityError,
        type(None),
    ]
    assert kept(plant) == [1, 2, 3]
    with pytest.raises(DomainError):
        plant.writer.submit(refuse).result(DEADLINE)
    assert kept(plant) == [1, 2, 3]
    assert lost == []
    plant.writer.close()


def test_an_error_of_the_file_fails_every_job_of_the_transaction(plant: Plant) -> None:
    plant.writer.start()
    order: list[str] = []
    plant.writer.on_rollback(lambda conn: order.append("reload"))

    def wreck(conn: Connection) -> None:
        conn.execute("SELECT * FROM no_such_table")

    futures = grouped(plant.writer, [put(1), wreck, put(2)])
    futures[0].add_done_callback(lambda future: order.append("told"))
    for future in futures[:2]:
        assert isinstance(future.exception(DEADLINE), TransientError)
    assert futures[2].result(DEADLINE) == 2  # it had not begun, and goes into the next one
    assert order == ["reload", "told"]
    assert kept(plant) == [2]
    assert plant.writer.submit(put(4)).result(DEADLINE) == 4
    plant.writer.close()


def test_names_given_in_a_lost_transaction_are_forgotten(tmp_path: Path) -> None:
    plant = Plant(tmp_path).load()
    units = [plant.bottle(1, 0), plant.bottle(2, 0)]  # the same code twice: refused
    with pytest.raises(Exception, match="is on unit 1"):
        plant.put(*units)
    assert plant.conn.execute("SELECT count(*) FROM code WHERE unit > 0").fetchone() == (0,)
    seq = plant.put(plant.bottle(1, 0))
    plant.put(plant.bottle(2, 1))
    report = verify(plant.conn)
    assert report.ok, report.problems
    assert report.rows == seq + 1
    plant.close()


def test_too_many_waiting_jobs_are_refused(plant: Plant) -> None:
    plant.writer.start()
    entered, go_on = threading.Event(), threading.Event()

    def block(conn: Connection) -> None:
        entered.set()
        go_on.wait(DEADLINE)

    plant.writer.submit(block)
    assert entered.wait(DEADLINE)
    for _ in range(turns.WAITING):
        last = plant.writer.submit(lambda conn: None)
    with pytest.raises(TransientError, match="does not keep up"):
        plant.writer.submit(lambda conn: None)
    go_on.set()
    last.result(DEADLINE)
    plant.writer.close()


def test_close_finishes_what_waits_and_then_refuses(plant: Plant) -> None:
    plant.writer.start()
    futures = [plant.writer.submit(put(n)) for n in range(100)]
    plant.writer.close()
    assert [future.result(0) for future in futures] == list(range(100))
    assert not any(thread.name == "store-writer" for thread in threading.enumerate())
    with pytest.raises(TransientError, match="closed"):
        plant.writer.submit(put(1))


def test_a_job_that_was_cancelled_while_it_waited_does_not_run(plant: Plant) -> None:
    plant.writer.start()
    entered, go_on = threading.Event(), threading.Event()

    def block(conn: Connection) -> None:
        entered.set()
        go_on.wait(DEADLINE)

    plant.writer.submit(block)
    assert entered.wait(DEADLINE)
    future = plant.writer.submit(put(1))
    assert future.cancel()
    go_on.set()
    plant.writer.submit(put(2)).result(DEADLINE)
    assert kept(plant) == [2]
    plant.writer.close()


def test_a_full_disk_is_transient_and_over_when_there_is_room(tmp_path: Path) -> None:
    plant = Plant(tmp_path).load()
    seq = plant.put(plant.bottle(1, 0))
    reloaded: list[Connection] = []
    plant.writer.on_rollback(reloaded.append)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    wal = tmp_path / "caselink.db-wal"
    plant.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    failure: TransientError | None = None
    try:
        for unit in range(2, 60):
            plant.put(plant.bottle(unit, unit))
            seq += 1
    except TransientError as error:
        failure = error
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert failure is not None
    assert "room" in str(failure)
    assert wal.stat().st_size <= 4096
    assert reloaded == [plant.conn]
    last = plant.conn.execute("SELECT max(unit) FROM code").fetchone()[0]
    assert plant.put(plant.bottle(last + 1, 150)) == seq + 1
    assert verify(plant.conn).ok
    plant.reopen()
    assert verify(plant.conn).rows == seq + 1
    plant.close()


def test_a_bug_in_the_thread_ends_it_and_is_told(plant: Plant) -> None:
    def bug(conn: object) -> None:
        raise ZeroDivisionError("a bug")

    def broken(conn: object) -> None:
        raise dbapi2.OperationalError("disk I/O error")

    plant.writer.on_rollback(bug)
    plant.writer.start()
    with pytest.raises(TransientError):
        plant.writer.submit(broken).result(5)
    assert isinstance(plant.writer.ended.exception(5), ZeroDivisionError)
    with pytest.raises(TransientError, match="closed"):
        plant.writer.submit(put(1))
