"""Commands from the cloud's program to the agent's, over a real broker and a bad line."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

from agent.core import facts as f
from agent.store import commands as stored
from agent.store import journal, pools, verify
from agent.store.database import open_reader
from sync.cloud import commands
from sync.cloud.database import open_database
from tests.e2e.test_agent import write
from tests.sync import brokers
from tests.sync.brokers import Proxy, needs_mosquitto

SECONDS = 90.0
ME = "acme/plant/box"


def until(good: Callable[[], Any], why: str, within: float = SECONDS) -> Any:
    end = time.monotonic() + within
    while not (found := good()):
        assert time.monotonic() < end, why
        threading.Event().wait(0.05)
    return found


@contextmanager
def program(*words: str) -> Iterator[subprocess.Popen[str]]:
    """One of our programs, running and ready; killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "agent.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "ready" in line, process.communicate(timeout=SECONDS)[1]
        yield process
    finally:
        process.kill()
        _, errors = process.communicate(timeout=SECONDS)
        assert "Traceback" not in errors, errors


def cli(*words: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "agent.cli", *words, "--json"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextmanager
def wire(target: int) -> Iterator[tuple[Proxy, Callable[[], None]]]:
    """A line to the broker in a thread of its own, and how to cut it."""
    loop = asyncio.new_event_loop()
    proxy = Proxy(target)
    ready, end = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with proxy:
            ready.set()
            await end.wait()

    def cut() -> None:
        asyncio.run_coroutine_threadsafe(proxy.cut(), loop).result(SECONDS)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert ready.wait(SECONDS)
        yield proxy, cut
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(SECONDS)
        loop.close()


def pool_file(path: Path, rows: int) -> Path:
    """Random codes: they hardly compress."""
    codes = (blake2b(b"%d" % n, digest_size=16).hexdigest() for n in range(rows))
    path.write_text("body\n" + "".join(f"https://q.example.cn/p/{code}\n" for code in codes))
    return path


class Cloud:
    """The cloud's database as its command line and API see it."""

    def __init__(self, where: Path) -> None:
        self.url = f"sqlite:///{where / 'cloud.db'}"
        self.conn = open_database(self.url).connect()

    def knows(self) -> bool:
        return bool(self.conn.rows("SELECT 1 FROM agent WHERE online = 1 AND state LIKE '%key%'"))

    def state(self, uid: str) -> dict[str, Any]:
        return commands.one(self.conn, uid)

    def final(self, uid: str) -> dict[str, Any]:
        def last() -> dict[str, Any] | None:
            found = self.state(uid)
            return None if found["state"] == "waits" else found

        return until(last, f"no answer to {uid}")  # type: ignore[no-any-return]


def count(where: Path, table: str) -> int:
    """Rows of a table of the agent's."""
    conn = open_reader(where / "var" / "caselink.db", where / "var" / "caselink.key")
    try:
        return int(conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    finally:
        conn.close()


def parts_here(where: Path) -> int:
    """Parts that the agent has kept."""
    return count(where, "inbox_part")


def the_agent_has(where: Path, rows: int, done: int) -> None:
    """The pool is there once, whole, and the store is sound."""
    conn = open_reader(where / "var" / "caselink.db", where / "var" / "caselink.key")
    try:
        entries = list(journal.read(conn))
        imported = [e.fact for e in entries if isinstance(e.fact, f.PoolImported)]
        assert [fact.count for fact in imported] == [rows]
        told = [e.fact for e in entries if isinstance(e.fact, f.CommandDone)]
        assert len(told) == done
        assert len({fact.id for fact in told}) == done
        assert [pool.count for pool in pools.list_pools(conn)] == [rows]
        for table in ("inbox", "inbox_part", "staging"):
            assert conn.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
        assert len(stored.answers(conn)) == done
        assert verify.verify(conn, where).problems == []
    finally:
        conn.close()


@needs_mosquitto
def test_a_large_pool_arrives_once_over_a_line_that_is_cut_twice(tmp_path: Path) -> None:
    rows = 80_000
    file = pool_file(tmp_path / "bottles.csv", rows)
    broker = brokers.mosquitto(tmp_path)
    cloud = Cloud(tmp_path)
    with brokers.running(broker), wire(broker.port) as (proxy, cut):
        sync = {"url": proxy.url, "tenant": "acme", "site": "plant"}
        config = write(tmp_path, {"agent": {"id": "box"}, "web": {"port": 0}, "sync": sync})
        with (
            program("cloud", "run", "--db", cloud.url, "--broker", broker.url, "--http", ""),
            program("run", "--config", str(config)) as agent,
        ):
            until(cloud.knows, "the cloud does not hear of the agent")
            to = ("--db", cloud.url, "--to", ME)
            asked = cli(
                *("cloud", "send-pool", str(file), *to),
                *("--level", "bottle", "--role", "body", "--name", "sent"),
            )
            for least in (4, 12):
                until(lambda least=least: parts_here(tmp_path) >= least, "no parts come")  # type: ignore[misc]
                assert parts_here(tmp_path) < asked["parts"]
                cut()
            revoked = cli("cloud", "revoke", "PDA-1", *to, "--why", "lost")
            answer = cloud.final(asked["id"])
            assert (answer["state"], answer["answer"]["codes"]) == ("done", rows), answer
            assert cloud.final(revoked["id"])["state"] == "done"
            found = cli("cloud", "commands", "--db", cloud.url, "--limit", "1")
            assert found["id"] == revoked["id"]
            os.kill(agent.pid, signal.SIGTERM)
            agent.wait(SECONDS)
    the_agent_has(tmp_path, rows, 2)


def test_an_agent_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    """Between parts, and in the middle of the import."""
    rows = 25_000
    file = pool_file(tmp_path / "bottles.csv", rows)
    broker = brokers.iotcore(tmp_path)
    cloud = Cloud(tmp_path)
    sync = {"url": broker.url, "tenant": "acme", "site": "plant"}
    config = write(tmp_path, {"agent": {"id": "box"}, "web": {"port": 0}, "sync": sync})
    asked: dict[str, Any] = {}

    def moments() -> Iterator[Callable[[], object]]:
        yield lambda: parts_here(tmp_path) >= 2
        yield lambda: parts_here(tmp_path) >= 5
        yield lambda: count(tmp_path, "code") >= 3_000

    with (
        brokers.running(broker),
        program("cloud", "run", "--db", cloud.url, "--broker", broker.url, "--http", ""),
    ):
        least = 0
        for moment in moments():
            with program("run", "--config", str(config)) as agent:
                until(cloud.knows, "the cloud does not hear of the agent")
                asked = asked or cli(
                    *("cloud", "send-pool", str(file), "--db", cloud.url, "--to", ME),
                    *("--level", "bottle", "--role", "body", "--name", "sent"),
                )
                until(moment, "it does not come so far")
                agent.kill()
                agent.wait(SECONDS)
            kept = parts_here(tmp_path)
            assert kept >= least, "a part that was kept is lost"
            assert cloud.state(asked["id"])["state"] == "waits"
            least = kept
        assert least == asked["parts"]
        assert count(tmp_path, "pool") == 0
        with program("run", "--config", str(config)) as agent:
            answer = cloud.final(asked["id"])
            assert answer["state"] == "done", answer
            os.kill(agent.pid, signal.SIGTERM)
            agent.wait(SECONDS)
    the_agent_has(tmp_path, rows, 1)
