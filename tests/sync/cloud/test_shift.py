"""Simulated shifts through to the cloud: what the agent recorded is what the cloud answers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.demo.simulate import SimOptions
from agent.demo.simulate import simulate as play
from agent.store import journal, trace
from agent.store.database import Connection, open_reader
from agent.store.look import Journalled
from sync.cloud.answers import trace as asked
from sync.cloud.database import open_database
from sync.cloud.relations import relations
from sync.envelope import ZERO, Batch, Doc
from sync.epcis import translate
from sync.pending import State
from sync.uris import Identity
from tests.sync.cloud.told import Cloud

ME = Identity("brand", "plant-1", "edge-1")
ROWS = 200
"""Journal rows in a batch."""
KINDS = {
    "bottling-multiread": SimOptions(bottles=500, troubles="harsh"),
    "bottling-sequence": SimOptions(bottles=500, troubles="harsh", pack="sequence"),
    "liquor": SimOptions(bottles=250, troubles="harsh", site="liquor"),
}


def batches(conn: Connection) -> Iterator[Batch]:
    """The whole journal."""
    state, look = State(), Journalled(conn)
    prev, docs, entries = ZERO, [], list(journal.read(conn))
    first = 1
    for n, entry in enumerate(entries):
        told = translate(state, entry, look, ME)
        docs += [
            Doc(entry.seq, at, len(told), msgspec.Raw(each.body)) for at, each in enumerate(told)
        ]
        last = n + 1 == len(entries)
        if entry.seq % ROWS == 0 or last or entries[n + 1].epoch != entry.epoch:
            yield Batch(
                agent=ME.name,
                epoch=entry.epoch,
                first=first,
                last=entry.seq,
                prev=prev,
                hash=entry.hash.hex(),
                docs=docs,
            )
            prev, docs, first = entry.hash.hex(), [], entry.seq + 1


@pytest.fixture(scope="module", params=list(KINDS))
def shift(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Connection, Cloud]]:
    """An agent's record and the cloud that was told it."""
    keep: Path = tmp_path_factory.mktemp("shift")
    options: SimOptions = KINDS[request.param]
    options = SimOptions(
        options.bottles, troubles=options.troubles, pack=options.pack, site=options.site, keep=keep
    )
    play(options, 11)
    data = keep / "seed-11" / "var"
    conn = open_reader(data / "caselink.db", data / "caselink.key")
    cloud = Cloud(open_database(f"sqlite:///{keep / 'cloud.db'}"))
    for batch in batches(conn):
        ack = cloud.take(batch)
        assert (ack.upto, ack.reject, ack.fork) == (batch.last, [], "")
    yield conn, cloud
    cloud.close()
    conn.close()


def named(text: str) -> str:
    """The URI of a code as the record shows it."""
    pool, slash, position = text.partition("/")
    return f"{pool}/{position}" if slash and position.isdigit() else ME.code(text)


def test_every_container_holds_at_the_cloud_what_the_record_says(
    shift: tuple[Connection, Cloud],
) -> None:
    conn, cloud = shift
    compared = 0
    for box in trace.containers(conn):
        if box["code"] is None or box["closed_at"] is None:
            continue
        ours = trace.trace(conn, box["code"])
        assert ours is not None
        found = asked(cloud.conn, box["code"])
        known = {named(child) for child in box["children"] if child is not None}
        if found["answer"] == "not_known_yet":
            assert not known
            continue
        compared += 1
        where = (box, found)
        assert {each["code"] for each in found.get("down", ())} == known, where
        assert found.get("unknown", 0) == box["children"].count(None), where
        assert found["integrity"] == box["integrity"], where
        around = any(above["doubtful"] or above["broken"] for above in found["up"])
        assert found["doubtful"] == (ours["doubtful"] or box["broken"] or around), where
        if ours["weakest"] is not None:  # else it is in one that is open, of which nobody was told
            assert found["weakest"] == ours["weakest"], where
    assert compared >= 8
    assert cloud.count("claim") == 0
    assert cloud.count("dead_letter") == 0


def test_every_bottle_is_where_the_record_has_it(shift: tuple[Connection, Cloud]) -> None:
    conn, cloud = shift
    kept: dict[str, dict[str, Any]] = {}
    cursor, more = "", True
    while more:
        page = relations(cloud.conn, cursor, 300)
        kept |= {row["bottle"]: row for row in page.rows}
        cursor, more = page.cursor, page.more
    recorded = 0
    for box in trace.containers(conn):
        if box["code"] is None or box["closed_at"] is None or box["level"] == "pallet":
            continue
        for child in box["children"]:
            if child is None:
                continue
            inner = trace.trace(conn, child)
            if inner is None or inner["children"]:
                continue
            recorded += 1
            row = kept[named(child)]
            assert row[box["level"]] == named(box["code"]), (box, row)
            if inner["weakest"] is not None:
                assert row["integrity"] == inner["weakest"], (inner, row)
            assert row["lot"] == inner["lot"]
    assert recorded >= 100
    loose = [row for row in kept.values() if not (row["case"] or row["box"])]
    for row in loose:
        inner = trace.trace(conn, row["bottle"])
        assert inner is not None
        parent = inner["parent"]
        assert parent is None or parent["integrity"] is None, (inner, row)
