"""A few read-only connections for those who ask while the line runs."""

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.core.errors import TransientError
from agent.store.database import Connection, open_reader


class Readers:
    """A small pool of read-only connections; each use sees one state of the database."""

    def __init__(self, path: Path, key_file: Path, size: int = 3) -> None:
        self._free: queue.Queue[Connection] = queue.Queue(size)
        self._size = size
        opened: list[Connection] = []
        try:
            for _ in range(size):
                opened.append(open_reader(path, key_file))  # noqa: PERF401  # closed on failure
        except BaseException:
            for conn in opened:
                conn.close()
            raise
        for conn in opened:
            self._free.put_nowait(conn)

    @contextmanager
    def connection(self, timeout: float = 5.0) -> Iterator[Connection]:
        """A connection inside a read transaction: keep it short, the log cannot be moved into the
        file past it. TransientError when none is free within `timeout` s."""
        try:
            conn = self._free.get(timeout=timeout)
        except queue.Empty:
            raise TransientError(
                f"all {self._size} readers of the database are busy: try again"
            ) from None
        try:
            conn.execute("BEGIN")
            try:
                yield conn
            finally:
                conn.execute("ROLLBACK")
        finally:
            self._free.put_nowait(conn)

    def close(self, timeout: float = 5.0) -> None:
        """Close every connection, waiting up to `timeout` s for each that is in use."""
        for _ in range(self._size):
            try:
                self._free.get(timeout=timeout).close()
            except queue.Empty:
                raise TransientError("a reader of the database did not end") from None
