"""The one writer: jobs run one after the other on the write connection, durable before answered.

A job is a function of the connection. It looks up, decides and writes; its result is delivered
after the COMMIT. Jobs that wait while another commits share the next transaction (group commit);
whose turn it is when, `turns` says: what a line waits for goes first. A job that raises is rolled
back alone and its exception is its caller's. If SQLite itself fails (disk full, COMMIT refused),
every job of the transaction fails with TransientError and the `on_rollback` callbacks tell the
owners of state to read it again.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

from sqlcipher3 import dbapi2

from agent.core.errors import TransientError
from agent.store.database import Connection
from agent.store.turns import WAITING, Job, Turn, Turns, Waiter

log = logging.getLogger(__name__)

T = TypeVar("T")

_JOB_ERRORS = (
    dbapi2.IntegrityError,
    dbapi2.ProgrammingError,
    dbapi2.NotSupportedError,
    dbapi2.DataError,
    dbapi2.InterfaceError,
)
"""SQLite errors that one job's own SQL made; any other concerns the file."""


_CLOSED = "the store is closed: start the agent again"


class Writer:
    """Runs jobs, in a thread after `start`, or in the caller's thread by `run_inline`."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._turns = Turns()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._door = threading.Lock()  # what was let in is before the end in the queue
        self._on_rollback: list[Callable[[Connection], None]] = []
        self._changes: dict[str, int] = {}
        self.ended: Future[None] = Future()
        """Done when the thread has ended; with the error that ended it, if it was not told to."""
        self.ended.set_running_or_notify_cancel()  # nobody who waits for it can cancel it

    def on_rollback(self, callback: Callable[[Connection], None]) -> None:
        """Call this (in the writer's thread, with its connection) after a transaction that had
        run jobs was lost, before those jobs are told."""
        self._on_rollback.append(callback)

    @property
    def lively(self) -> bool:
        """Whether a line writes now: what can be done in short jobs should be."""
        return self._turns.lively

    def changes(self, party: str) -> int:
        """A number that grows whenever the party's warehouse has changed, durably."""
        return self._changes.get(party, 0) + self._changes.get("", 0)

    def start(self) -> None:
        """Start the thread."""
        if self._thread is not None:
            raise RuntimeError("the writer runs already")
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    def close(self, timeout: float = 30.0) -> None:
        """Finish what waits, then end the thread; TransientError if that takes longer than
        `timeout` seconds. The connection stays open."""
        if self._thread is None or self._closing:
            return
        with self._door:
            self._closing = True
        self._turns.close()
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise TransientError("the store is still writing: the disk does not answer")

    def submit(self, job: Callable[[Connection], T], turn: Turn = Turn.ANY) -> Future[T]:
        """Hand over a job; the future has its result once that is durable, or what it raised.

        TransientError: too many jobs wait, or the writer has ended.
        """
        future: Future[T] = Future()
        with self._door:
            if self._thread is None or self._closing or not self._thread.is_alive():
                raise TransientError(_CLOSED)
            if not self._turns.put(job, future, turn):
                raise TransientError(
                    f"{WAITING} writes wait already: the disk does not keep up; see that it is "
                    "healthy"
                )
        return future

    async def run(self, job: Callable[[Connection], T], timeout: float, turn: Turn = Turn.ANY) -> T:
        """Submit and wait in asyncio; TransientError if it is not durable within `timeout` s (it
        may still become so: the owner reads its state again)."""
        try:
            # Not wait_for: Python 3.11's swallows a cancellation that meets the result.
            async with asyncio.timeout(timeout):
                return await asyncio.wrap_future(self.submit(job, turn))
        except TimeoutError:
            raise TransientError(
                f"nothing was written within {timeout:g} s: the disk does not answer"
            ) from None

    def wait(
        self, job: Callable[[Connection], T], timeout: float = 60.0, turn: Turn = Turn.ANY
    ) -> T:
        """Submit and wait in a thread of the caller's; TransientError as `run`."""
        try:
            return self.submit(job, turn).result(timeout)
        except TimeoutError:
            raise TransientError(
                f"nothing was written within {timeout:g} s: the disk does not answer"
            ) from None

    def run_inline(self, job: Callable[[Connection], T]) -> T:
        """Run one job here and now in a transaction of its own, without a thread."""
        if self._thread is not None:
            raise RuntimeError("the writer has a thread: submit to it")
        try:
            ((result, failure),) = self._commit([job])
        except dbapi2.Error as error:
            self._rolled_back()
            raise _unwritten(error) from error
        if failure is not None:
            raise failure
        done: T = result
        return done

    # ------------------------------------------------------------------------- inside

    def _work(self) -> None:
        try:
            self._serve()
        except BaseException as bug:  # noqa: BLE001 - it is handed on
            # Without a writer nothing is durable any more: whoever started us must end.
            log.critical("The store's writer failed; this is a bug, please report it.")
            with self._door:
                self._closing = True
            self._refuse_the_rest()
            self.ended.set_exception(bug)
        else:
            self.ended.set_result(None)

    def _refuse_the_rest(self) -> None:
        """Tell those who still wait that nothing will come."""
        for waiting in self._turns.rest():
            if waiting.future.set_running_or_notify_cancel():
                waiting.future.set_exception(TransientError(_CLOSED))

    def _serve(self) -> None:
        while (first := self._turns.first()) is not None:
            self._transaction(first)

    def _transaction(self, first: Waiter) -> None:
        """Run jobs in one transaction and answer each."""
        group: list[Future[Any]] = []
        try:
            outcomes = self._commit(self._jobs(first, group))
        except dbapi2.Error as error:
            self._lost(group, error)
            return
        for future, (result, failure) in zip(group, outcomes, strict=True):
            if failure is None:
                future.set_result(result)
            else:
                future.set_exception(failure)

    def _jobs(self, first: Waiter, group: list[Future[Any]]) -> Iterator[Job]:
        """The jobs of a transaction, and to `group` whom each is answered to."""
        found: Waiter | None = first
        while found is not None:
            if found.future.set_running_or_notify_cancel():
                group.append(found.future)
                yield found.job
            found = self._turns.more()

    def _commit(self, jobs: Iterable[Job]) -> list[tuple[Any, BaseException | None]]:
        """Run jobs in one transaction; each one's result, or what it raised. dbapi2.Error: nothing
        of it was kept."""
        before = self._conn.total_changes
        outcomes: list[tuple[Any, BaseException | None]] = []
        for job in jobs:
            # Nothing is kept of what came before the first: it needs no savepoint.
            alone = not self._conn.in_transaction
            if alone:
                self._conn.change("BEGIN IMMEDIATE")
            outcomes.append(self._outcome(job, alone=alone))
        if self._conn.in_transaction:
            self._conn.change("COMMIT")
        for party in self._conn.touched:
            self._changes[party] = self._changes.get(party, 0) + 1
        self._conn.touched.clear()
        if self._conn.total_changes != before:
            self._turns.wrote()
        return outcomes

    def _outcome(self, job: Job, *, alone: bool) -> tuple[Any, BaseException | None]:
        """A job's result or what it raised; its own writes are undone then. A failure of the file
        goes through, to end the transaction."""
        if not alone:
            self._conn.change("SAVEPOINT job")
        try:
            result = job(self._conn)
        except BaseException as failure:  # whatever it is, it belongs to whoever gave us the job
            if isinstance(failure, dbapi2.Error) and not isinstance(failure, _JOB_ERRORS):
                raise
            if alone:
                self._conn.execute("ROLLBACK")
            else:
                self._conn.execute("ROLLBACK TO job")
                self._conn.execute("RELEASE job")
            self._conn.forget()
            return None, failure
        if not alone:
            self._conn.change("RELEASE job")
        return result, None

    def _lost(self, group: list[Future[Any]], error: dbapi2.Error) -> None:
        """Nothing of this transaction was kept."""
        try:
            self._rolled_back()
        finally:
            for future in group:
                failure = _unwritten(error)
                failure.__cause__ = error
                future.set_exception(failure)

    def _rolled_back(self) -> None:
        if self._conn.in_transaction:
            self._conn.execute("ROLLBACK")
        self._conn.forget()
        for callback in self._on_rollback:
            callback(self._conn)


def _unwritten(error: dbapi2.Error) -> TransientError:
    return TransientError(
        f"the database could not be written ({error}): see that its disk has room and is healthy"
    )
