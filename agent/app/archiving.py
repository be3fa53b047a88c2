"""Now and then moves old acknowledged journal rows to archive files, while the agent runs."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from threading import Event

from agent.app.files import Files
from agent.core.errors import CaselinkError
from agent.store import archive
from agent.store.readers import Readers
from agent.store.writer import Writer

log = logging.getLogger(__name__)

FIRST, EVERY = 60.0, 3600.0
"""Seconds after the start, and between two looks."""
END_SECONDS = 5.0

Condition = Callable[[str, bool, Mapping[str, str]], None]


async def keep_archiving(
    files: Files,
    writer: Writer,
    readers: Readers,
    days: int,
    condition: Condition,
    *,
    first: float = FIRST,
    least: int = archive.LEAST_ROWS,
) -> None:
    """Until cancelled. `condition` is told that it fails (`archive_failed`) and that it does not
    any more; the lines go on either way."""
    stop = Event()
    wait = first

    def once() -> int:
        return archive.move(
            writer.wait,
            readers.connection,
            files.database,
            files.key,
            days,
            least=least,
            stop=stop,
        )

    while True:
        await asyncio.sleep(wait)
        wait = EVERY
        working = asyncio.create_task(asyncio.to_thread(once))
        try:
            moved = await asyncio.shield(working)
        except CaselinkError as error:
            log.error("%s", error)
            condition("archive_failed", True, {"why": str(error)})
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait({working}, timeout=END_SECONDS)
            if working.done():
                working.exception()
            raise
        else:
            if moved:
                log.info("%d journal rows moved to the archive.", moved)
            condition("archive_failed", False, {})
