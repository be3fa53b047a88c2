"""Flat relations for campaign platforms: which bottle is in which case on which pallet, as it is
known now, for everything that changed since a cursor.

A row replaces what was said of its bottle before; a correction is simply a newer row, and a bottle
that is in nothing any more has an empty case. Cursors are opaque to callers: transaction, arrival
and event up to which everything was told.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import orjson

from agent.core.errors import DomainError
from sync.cloud.answers import iso
from sync.cloud.database import Connection
from sync.cloud.fold import World
from sync.cloud.gather import Gathered, Gatherer
from sync.cloud.keys import SIZE

COLUMNS = (
    "bottle",
    "box",
    "case",
    "pallet",
    "product",
    "lot",
    "time",
    "integrity",
    "state",
    "doubtful",
)
MOST_ROWS = 10_000
"""Rows of a page; one event that concerns more makes a longer one."""
EVENTS = 2_000
"""Events that one page looks at."""
ARRIVALS = 200
DEEPEST = 4
START = "0.0.0"


class Page(NamedTuple):
    """`cursor` leads to the next page; `more`: there is one already."""

    rows: list[dict[str, Any]]
    cursor: str
    more: bool


def relations(conn: Connection, since: str = START, limit: int = MOST_ROWS) -> Page:
    """The relations that changed after `since`. DomainError: that is no cursor of ours."""
    at = _cursor(since)
    with conn.reading():
        gatherer = Gatherer(conn)
        wanted: dict[bytes, None] = {}
        more = False
        for keys, at_event in touched(conn, at):
            leaves = _leaves(gatherer, keys)
            if wanted and len(wanted) + len(leaves) > limit:
                more = True
                break
            wanted.update(dict.fromkeys(leaves))
            at = at_event
        else:
            more = next(touched(conn, at), None) is not None
        return Page(_rows(gatherer, list(wanted)), ".".join(map(str, at)), more)


def _cursor(text: str) -> tuple[int, int, int]:
    parts = (text or START).split(".")
    if len(parts) != 3 or not all(part.isdigit() and len(part) < 20 for part in parts):
        raise DomainError(
            "bad_cursor",
            "since is not a cursor: begin without it, then send the one that came with the page.",
        )
    xid, arrival, event = map(int, parts)
    return xid, arrival, event


def touched(
    conn: Connection, at: tuple[int, int, int]
) -> Iterator[tuple[list[bytes], tuple[int, int, int]]]:
    """What each event after a place says something of, event by event, at most EVENTS; and that an
    arrival was looked at of whose last events that cannot be said, so that nobody waits at it."""
    many = 0
    horizon = conn.horizon()
    arrivals = conn.rows(
        "SELECT xid, id, first, last FROM arrival WHERE xid < ? AND (xid, id) >= (?, ?) "
        "ORDER BY xid, id LIMIT ?",
        (horizon, at[0], at[1], ARRIVALS),
    )
    for xid, arrival, first, last in arrivals:
        begin = max(first, at[2] + 1) if (xid, arrival) == at[:2] else first
        keys: dict[int, list[bytes]] = {}
        for event, parent, children in conn.rows(
            "SELECT event, parent, children FROM box WHERE event BETWEEN ? AND ?", (begin, last)
        ):
            data = bytes(children)
            keys.setdefault(event, []).append(parent)
            keys[event] += [data[n : n + SIZE] for n in range(0, len(data), SIZE)]
        for event, key in conn.rows(
            "SELECT event, key FROM movement WHERE event BETWEEN ? AND ?", (begin, last)
        ):
            keys.setdefault(event, []).append(key)
        for event in sorted(keys):
            yield keys[event], (xid, arrival, event)
            many += 1
            if many >= EVENTS:
                return
        if last not in keys and begin <= last:
            yield [], (xid, arrival, last)


def _leaves(gatherer: Gatherer, keys: Iterable[bytes]) -> list[bytes]:
    """The things among these, and in the containers among them, that are no container."""
    leaves: dict[bytes, None] = {}
    level = dict.fromkeys(keys)
    seen: set[bytes] = set()
    for _ in range(DEEPEST):
        level = {key: None for key in level if key not in seen}
        if not level:
            break
        seen |= level.keys()
        below: dict[bytes, list[bytes]] = {}
        for parent, children in gatherer.many(
            "SELECT parent, children FROM box WHERE parent", level
        ):
            data = bytes(children)
            below.setdefault(parent, []).extend(
                data[n : n + SIZE] for n in range(0, len(data), SIZE)
            )
        leaves.update(dict.fromkeys(key for key in level if key not in below))
        level = {child: None for children in below.values() for child in children}
    return list(leaves)


def _rows(gatherer: Gatherer, keys: list[bytes]) -> list[dict[str, Any]]:
    found = gatherer.about(keys)
    things = list(dict.fromkeys(found.now.get(key, key) for key in keys))
    world = found.world(things)
    chains = {thing: world.chain(thing) for thing in things}
    shown = gatherer.texts({*things, *(each for chain in chains.values() for each in chain)})
    return [
        _row(found, world, thing, chains[thing], shown)
        for thing in things
        if thing in shown and thing not in world.containers
    ]


def _row(
    found: Gathered, world: World, thing: bytes, chain: list[bytes], shown: dict[bytes, str]
) -> dict[str, Any]:
    births = [
        found.statements[each.event]
        for name in found.names(thing)
        for each in found.born.get(name, ())
        if each.event in found.statements
    ]
    births.sort(key=lambda each: (not each.lost, each.stream.agent, each.place))
    detail = births[-1].detail if births else {}
    ilmd = detail.get("ilmd")
    ilmd = ilmd if isinstance(ilmd, dict) else {}
    levels = {world.containers[each].level or "case": shown.get(each) for each in chain}
    told = world.mattered[thing]
    disputed = any(name in found.disputed for name in found.names(thing))
    return {
        "bottle": shown[thing],
        "box": levels.get("box"),
        "case": levels.get("case"),
        "pallet": levels.get("pallet"),
        "product": ilmd.get("x:product"),
        "lot": ilmd.get("cbvmda:lotNumber"),
        "time": iso(told[-1].ms) if told else None,
        "integrity": world.weakest(thing),
        "state": "quarantined" if disputed else world.state(thing) or None,
        "doubtful": world.doubtful(thing),
    }


def as_lines(page: Page) -> Iterator[bytes]:
    """JSON lines: the rows, then one with the cursor."""
    for row in page.rows:
        yield orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    last = {"cursor": page.cursor, "more": page.more}
    yield orjson.dumps(last, option=orjson.OPT_APPEND_NEWLINE)


def as_csv(page: Page) -> str:
    """CSV with a head; what is not known is empty. The cursor travels beside it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in page.rows:
        writer.writerow([_cell(row[name]) for name in COLUMNS])
    return out.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    text = str(value)
    # A spreadsheet takes these for formulas.
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text
