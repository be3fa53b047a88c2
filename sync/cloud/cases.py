"""Cases of diversion as the cloud keeps them: found anew for whatever something was told of."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from sync.cloud import diversion
from sync.cloud.answers import iso, reported
from sync.cloud.content import text_of
from sync.cloud.database import Connection
from sync.cloud.diversion import Finding, Step, Travels, Voice
from sync.cloud.fold import WEAKEST, Statement, Stream
from sync.cloud.gather import AT_ONCE, Gathered, Gatherer
from sync.cloud.keys import start_of
from sync.cloud.parties import Belongs
from sync.uris import BASE

DEEPEST = 4
"""Levels below what was seen where a shipment is looked for."""
MOST_UNITS = 200
"""Units of a case that one answer shows."""
INSPECTORS = Stream(0, "", "", 0, 0, None, None, 0)
"""Where inspectors' findings stand among what agents say: in the order of their time."""


class Row(NamedTuple):
    """A finding as it is kept. `root` was named when the unit was seen."""

    root: bytes
    unit: bytes
    case: bytes
    ms: int
    body: dict[str, Any]


def of_roots(
    gatherer: Gatherer, roots: Iterable[bytes], belongs: Belongs, base: str = BASE
) -> list[Row]:
    """All findings about things that were named when they were seen."""
    rows: list[Row] = []
    for root in sorted(set(roots)):
        level = {root}
        for _ in range(DEEPEST):
            found = gatherer.about(level)
            add_inspections(gatherer, found)
            units = sorted({found.now.get(key, key) for key in level})
            world = Travels(found.now, units)
            world.play(found.said())
            below: set[bytes] = set()
            for unit in units:
                judged = diversion.judged(unit, world.ways[unit], belongs)
                rows += (_row(gatherer, found, world, root, each, base) for each in judged.findings)
                box = world.containers.get(unit)
                if judged.unsent and not judged.findings and box is not None:
                    # It was not sent by this name: what it holds may have been.
                    below |= set(box.children)
            if not below:
                break
            level = below
    return rows


def way_of(gatherer: Gatherer, key: bytes, belongs: Belongs) -> diversion.Judged:
    """The way of one thing, judged: to whom it was sent last, and what is wrong with it."""
    found = gatherer.about([key])
    add_inspections(gatherer, found)
    unit = found.now.get(key, key)
    world = Travels(found.now, [unit])
    world.play(found.said())
    return diversion.judged(unit, world.ways[unit], belongs)


def add_inspections(gatherer: Gatherer, found: Gathered) -> None:
    """What inspectors found of these things and of what they are in, among what agents said."""
    names = (
        set(found.now) | set(found.born) | {key for keys in found.about.values() for key in keys}
    )
    for statement in found.statements.values():
        names.update(statement.about)
    for number, key, party, territory, channel, who, ms in gatherer.many(
        "SELECT id, key, party, territory, channel, inspector, ms FROM inspection WHERE key", names
    ):
        detail = {
            "bizStep": "inspecting",
            "x:inspection": True,
            "x:clock": "synced",
            "x:party": party,
            "x:territory": territory,
            "x:channel": channel,
            "x:operator": who,
        }
        uuid = number.to_bytes(16, "big")
        found.statements[-number] = Statement(
            -number, INSPECTORS, number, 0, 0, uuid, ms, detail, (bytes(key),)
        )


def _row(
    gatherer: Gatherer,
    found: Gathered,
    world: Travels,
    root: bytes,
    finding: Finding,
    base: str,
) -> Row:
    sent, seen = finding.sent, finding.seen
    weak = _weak(found, world, finding)
    body = {
        "why": finding.why,
        "shipment": {
            "number": sent.number,
            "source": sent.source,
            "destination": sent.party,
            "territory": sent.territory or None,
            "channel": sent.channel or None,
        },
        "seen": {
            "how": seen.how,
            "party": seen.party or None,
            "territory": seen.territory or None,
            "channel": seen.channel or None,
        },
        "unit": _texts(gatherer, [finding.unit], base)[0],
        "weakest": diversion.worth(world, finding, weak),
        "closed": finding.closed,
        "times": finding.times,
        "evidence": {
            "dispatch": _evidence(gatherer, sent.step, base),
            "seen": _evidence(gatherer, seen.step, base),
        },
    }
    return Row(root, finding.unit, finding.case, seen.step.said.ms, body)


def _weak(found: Gathered, world: Travels, finding: Finding) -> bool:
    """Whether the code that was scanned may be on another unit, or it came and was not taken in:
    a driver's mistake looks like that too."""
    said = finding.seen.step.said
    if finding.seen.how == "refused":
        return True
    named = finding.seen.step.path[-1]
    codes = {each.code: each.pair for each in found.aliases}
    scanned = [key for key in said.about if world.now(key) == named and key in codes]
    return any(codes[key] in ("inferred", "unknown") for key in scanned)


def _evidence(gatherer: Gatherer, step: Step, base: str) -> dict[str, Any]:
    """From the unit up to what was named, and who said so."""
    said = step.said
    return {
        "way": _texts(gatherer, step.path, base),
        "time": iso(said.ms),
        "agent": said.stream.agent or None,
        "epoch": said.stream.epoch or None,
        "seq": said.seq,
        "step": said.detail.get("bizStep"),
        "by": said.detail.get("x:operator"),
    }


def _texts(gatherer: Gatherer, keys: Iterable[bytes], base: str) -> list[str]:
    wanted = list(keys)
    shown = gatherer.texts(wanted)
    return [text_of(shown.get(key, ""), base) for key in wanted]


# ------------------------------------------------------------------------------------- keeping


def keep(conn: Connection, roots: Iterable[bytes], rows: Iterable[Row]) -> list[tuple[bytes, str]]:
    """Replace what was known of these roots, in the caller's transaction; the cases concerned, each
    with the state that it had, "" = there was none."""
    touched: set[bytes] = set()
    for some in _chunks(sorted(set(roots))):
        marks = ", ".join("?" * len(some))
        found = conn.rows(f"SELECT case_key FROM diversion WHERE root IN ({marks})", some)
        touched.update(bytes(case) for (case,) in found)
        conn.change(f"DELETE FROM diversion WHERE root IN ({marks})", some)
    new = {(row.root, row.unit, row.case): row for row in rows}
    conn.change_many(
        "INSERT INTO diversion VALUES (?, ?, ?, ?, ?, ?)",
        [
            (row.root, row.unit, row.case, row.ms, row.body["weakest"], _json(row.body))
            for row in new.values()
        ],
    )
    touched.update(row.case for row in new.values())
    before: list[tuple[bytes, str]] = []
    for case in sorted(touched):
        row = conn.one("SELECT state FROM diversion_case WHERE key = ?", (case,))
        before.append((case, "" if row is None else str(row[0])))
        _settle(conn, case)
    return before


def _settle(conn: Connection, case: bytes) -> None:
    """What a case is now, from all of its findings."""
    rows = _findings(conn, case)
    if not rows:
        conn.change("DELETE FROM diversion_case WHERE key = ?", (case,))
        return
    state = diversion.verdict([Voice(unit, body["weakest"], body["closed"]) for unit, body in rows])
    ms = conn.one("SELECT min(ms) FROM diversion WHERE case_key = ?", (case,))
    assert ms is not None
    conn.change(
        "INSERT INTO diversion_case VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET "
        "state = excluded.state, ms = excluded.ms, rightful = excluded.rightful, "
        "party = excluded.party",
        (
            case,
            state,
            ms[0],
            rows[0][1]["shipment"]["destination"],
            rows[0][1]["seen"]["party"] or "",
        ),
    )


def _findings(conn: Connection, case: bytes) -> list[tuple[bytes, dict[str, Any]]]:
    """The findings of a case, one for each unit: the first by time."""
    rows = conn.rows(
        "SELECT unit, body FROM diversion WHERE case_key = ? ORDER BY ms, unit, root", (case,)
    )
    found: dict[bytes, dict[str, Any]] = {}
    for unit, body in rows:
        found.setdefault(bytes(unit), msgspec.json.decode(body))
    return list(found.items())


def listed(conn: Connection, state: str, limit: int, after: str, party: str) -> dict[str, Any]:
    """Cases in the order of their keys; of a party: sent to it, or seen with it."""
    rows = conn.rows(
        "SELECT key, state FROM diversion_case WHERE key > ? AND (? = '' OR state = ?) "
        "AND (? = '' OR rightful = ? OR party = ?) ORDER BY key LIMIT ?",
        (start_of(after), state, state, party, party, party, limit),
    )
    found = [_shown(bytes(case), state, _findings(conn, bytes(case))) for case, state in rows]
    agents = {
        said["agent"]
        for each in found
        for unit in each["units"]
        for said in unit["evidence"].values()
        if said["agent"]
    }
    return {
        "diversions": found,
        "next": bytes(rows[-1][0]).hex() if len(rows) == limit else None,
        "reported": reported(conn, agents),
    }


def _shown(case: bytes, state: str, rows: list[tuple[bytes, dict[str, Any]]]) -> dict[str, Any]:
    first = rows[0][1]
    standing = [body for _, body in rows if not body["closed"]] or [body for _, body in rows]
    worst = max((body["weakest"] for body in standing), key=WEAKEST.index)
    return {
        "case": case.hex(),
        "state": state,
        "closed_by": first["closed"] or None if state == "closed" else None,
        "why": first["why"],
        "shipment": first["shipment"],
        "seen": first["seen"],
        "since": first["evidence"]["seen"]["time"],
        "weakest": worst,
        "count": len(rows),
        "units": [
            {
                "unit": body["unit"],
                "weakest": body["weakest"],
                "closed_by": body["closed"] or None,
                "times": body["times"],
                "evidence": body["evidence"],
            }
            for _, body in rows[:MOST_UNITS]
        ],
    }


def _json(body: dict[str, Any]) -> str:
    return msgspec.json.encode(body).decode()


def _chunks(keys: list[bytes]) -> Iterator[list[bytes]]:
    for at in range(0, len(keys), AT_ONCE):
        yield keys[at : at + AT_ONCE]
