"""The real agent in a process of its own, and beside it a line that only ever records: a simulated
shift is written, transaction by transaction, by the agent's own writer.

    python -m tests.faults.chaos_agent FOLDER

`FOLDER/site.toml` is the agent's, `FOLDER/shift` the record of the shift, and the number in
`FOLDER/allowed` how many of its rows may be written by now. How many are written the journal itself
says, so a killed agent goes on where it was.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from agent import config as site_config
from agent.app import Agent, Files
from agent.clockwatch import clock
from agent.core.facts import AgentStarted, PoolImported
from agent.core.known import Clock
from agent.ports.cloud import Entry
from agent.store import journal, names
from agent.store.database import Connection, open_reader
from agent.store.record import record

OWN = (AgentStarted, PoolImported)
"""What a store writes of itself and is not taken from the shift."""
LOOK = 0.05


def groups(folder: Path) -> list[list[Entry]]:
    """The rows of the recorded shift, by transaction."""
    config = folder / "shift" / "site.toml"
    files = Files(site_config.load(config), config)
    conn = open_reader(files.database, files.key)
    try:
        return list(_groups(conn))
    finally:
        conn.close()


def _groups(conn: Connection) -> Iterator[list[Entry]]:
    group: list[Entry] = []
    for entry in journal.read(conn):
        if isinstance(entry.fact, OWN):
            continue
        if group and (group[0].line, group[0].clock) != (entry.line, entry.clock):
            yield group
            group = []
        group.append(entry)
    if group:
        yield group


def written(conn: Connection) -> int:
    """How many rows of the shift the journal has."""
    own = [names.known_number(conn, kind.__name__) for kind in OWN]
    (rows,) = conn.execute(
        "SELECT count(*) FROM journal WHERE kind NOT IN (?, ?)",
        [-1 if n is None else n for n in own],
    ).fetchone()
    return int(rows)


def put(conn: Connection, group: list[Entry], at: Clock) -> int:
    """Write one transaction of the shift, as if it had been `at`."""
    return record(conn, group[0].line, [entry.fact for entry in group], at)


def allowed(folder: Path) -> int:
    """How many rows of the shift may be written by now."""
    return int((folder / "allowed").read_text() or 0)


def allow(folder: Path, rows: int) -> None:
    """Let so many rows of the shift be written."""
    new = folder / "allowed.new"
    new.write_text(str(rows))
    os.replace(new, folder / "allowed")


async def feed(agent: Agent, folder: Path) -> None:
    """Write what may be written, for ever."""
    shift = await asyncio.to_thread(groups, folder)
    await agent.ready.wait()
    assert agent.writer is not None
    done, n, there = 0, 0, await agent.writer.run(written, 30.0)
    while done < there:
        done += len(shift[n])
        n += 1
    assert done == there, "a transaction of the shift is in the journal in part"
    while n < len(shift):
        if done + len(shift[n]) > allowed(folder):
            await asyncio.sleep(LOOK)
            continue
        group = shift[n]
        await agent.writer.run(lambda conn, group=group: put(conn, group, clock()), 30.0)  # type: ignore[misc]
        done += len(group)
        n += 1
    await asyncio.Event().wait()


async def main(folder: Path) -> None:
    config = folder / "site.toml"
    agent = Agent(site_config.load(config), config, web=False)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, agent.stop)
    running = asyncio.create_task(agent.run())
    feeding = asyncio.create_task(feed(agent, folder))
    await asyncio.wait({running, feeding}, return_when=asyncio.FIRST_COMPLETED)
    feeding.cancel()
    with suppress(asyncio.CancelledError):
        await feeding
    await running


if __name__ == "__main__":
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    asyncio.run(main(Path(sys.argv[1])))
