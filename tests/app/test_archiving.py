"""A running agent archives beside its work, says when it cannot, and ends when it is told."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from agent.app.archiving import keep_archiving
from agent.app.files import Files
from agent.store import archive, journal, outbox
from agent.store.readers import Readers
from tests.store.store_help import Plant, shift

Told = list[tuple[str, bool]]


def test_it_archives_and_says_when_it_cannot(tmp_path: Path) -> None:
    plant = Plant(tmp_path).load()
    for facts in shift(plant):
        plant.put(*facts)
    last, chain, _ = journal.tail(plant.conn)
    plant.writer.run_inline(lambda conn: outbox.keep(conn, last, chain.hex(), None))
    plant.writer.start()
    readers = Readers(plant.path, plant.key_file, 2)
    files = Files.__new__(Files)
    files.database, files.key = plant.path, plant.key_file
    archive.folder(plant.path).write_bytes(b"a file where the folder belongs")

    async def until_told() -> Told:
        told: Told = []
        heard = asyncio.Event()

        def condition(key: str, on: bool, _args: Mapping[str, str]) -> None:
            told.append((key, on))
            heard.set()

        work = keep_archiving(files, plant.writer, readers, 1, condition, first=0, least=1)
        task = asyncio.create_task(work)
        async with asyncio.timeout(20):
            await heard.wait()
        task.cancel()
        await asyncio.wait({task})
        return told

    assert asyncio.run(until_told()) == [("archive_failed", True)]
    archive.folder(plant.path).unlink()
    assert asyncio.run(until_told()) == [("archive_failed", False)]
    with readers.connection() as conn:
        assert conn.execute("SELECT count(*) FROM journal").fetchone() == (1,)
        assert len(list(journal.rows(conn))) == last
    readers.close()
    plant.writer.close()
    plant.close()
