"""Where a thing comes from, what it holds and where it is: the answer to one scanned code.

Everything returned is ready for JSON. A code of a secret role is written `pool/position`.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from agent.core.facts import CodeKey
from agent.store import content, holds, journal, names, orders, pools, units
from agent.store.database import Connection
from agent.store.words import (
    BROKEN,
    CODE_STATES,
    DOUBTFUL,
    HELD,
    INTEGRITY,
    OWN,
    PAIRS,
    POOL_SHIFT,
    UNIT_STATES,
    code_id,
    code_key,
)

_HIDDEN = frozenset({"unit", "container", "children", "codes", "seen", "evidence", "key", "order"})
"""Fields of facts that say what the answer says already, or what is long."""

_DEEPEST = 32
"""Levels; a chain of parents cannot be longer (the schemes are checked)."""


class Container(NamedTuple):
    """A row of the container table; numbers as in `words`, `held` counts children (unknown ones
    too), `code` and `label` are code ids."""

    unit: int
    expected: int
    station: int
    number: int
    held: int
    unknown: int
    integrity: int | None
    own: int | None
    code: int | None
    label: int | None
    packed: int | None
    assigned: int | None
    bound: int | None
    closed: int | None
    reason: str
    closed_by: str
    verdict: str


def trace(conn: Connection, text: str) -> dict[str, Any] | None:
    """All that is known of a canonical code text; None if no pool lists it."""
    key = pools.place_of(conn, text)
    return None if key is None else trace_key(conn, key)


def trace_key(conn: Connection, key: CodeKey) -> dict[str, Any] | None:
    """All that is known of the code at a place of a pool; None if there is none."""
    fact = pools.describe(conn, key.pool)
    row = conn.execute(
        "SELECT state, unit, moved FROM code WHERE id = ?", (code_id(key),)
    ).fetchone()
    if fact is None or row is None:
        return None
    state, unit, moved = row
    former = conn.execute(
        "SELECT unit, until FROM former_code WHERE id = ?", (code_id(key),)
    ).fetchone()
    if former is not None:
        found = trace_unit(conn, former[0])
        now = {"code": shown(conn, key), "until": _when(conn, former[1])}
        return None if found is None else found | {"former_code": now}
    if unit is not None:
        return trace_unit(conn, unit)
    return {
        "code": shown(conn, key),
        "unit": None,
        "level": fact.level,
        "state": str(CODE_STATES[state]),
        "product": fact.product,
        "lot": fact.lot,
        "order": "",
        "codes": {fact.roles[key.column]: {"code": shown(conn, key), "pair": None}},
        "parent": None,
        "children": [],
        "integrity": None,
        "weakest": None,
        "evidence": None,
        "held": False,
        "doubtful": False,
        "broken": False,
        "history": _history(conn, [moved]),
    }


def trace_unit(conn: Connection, unit: int) -> dict[str, Any] | None:
    """All that is known of a unit; None if it does not exist."""
    row = units.find(conn, unit)
    if row is None:
        return None
    container = find_container(conn, unit)
    number = names.text(conn, row.order)
    order = orders.get(conn, number)
    seqs: list[int | None] = [row.born]
    seqs += [seq for (seq,) in conn.execute("SELECT seq FROM unit_event WHERE unit = ?", (unit,))]
    seqs += [
        seq
        for (seq,) in conn.execute("SELECT since FROM former_code WHERE unit = ?", (unit,))
        if seq is not None
    ]
    keys = _codes(conn, row, container)
    codes = {}
    for key in keys:
        pair, seq, moved = conn.execute(
            "SELECT integrity, seq, moved FROM code WHERE id = ?", (code_id(key),)
        ).fetchone()
        seqs += [seq, moved]
        codes[_role(conn, key)] = {
            "code": shown(conn, key),
            "pair": None if pair is None else str(PAIRS[pair]),
        }
    if container is not None:
        seqs += [container.packed, container.assigned, container.bound, container.closed]
    evidence = None
    if row.parent is not None:
        link = _link(conn, row.parent, unit)
        if link is not None:
            evidence = str(link.evidence)
            seqs.append(link.since)
    before = _before(conn, unit)
    seqs += [seq for each in before for seq in (each.since, each.until)]
    product, lot = ("", "") if order is None else (order.product, order.lot)
    home = None if container is not None else code_key(row.home)
    wide = holds.covering(conn, product, lot, home)
    chain = _chain(conn, row)
    worth = [container.integrity] if container is not None else []
    worth += [above.integrity for above in chain]
    return {
        "code": shown(conn, keys[0]) if keys else None,
        "unit": unit,
        "level": names.text(conn, row.level),
        "state": str(UNIT_STATES[row.state]),
        "product": product,
        "lot": lot,
        "order": number,
        "codes": codes,
        "parent": _parent(conn, chain[0]) if chain else None,
        "children": [] if container is None else _children(conn, container),
        "integrity": _integrity(container.integrity) if container is not None else None,
        "weakest": _weakest(worth),
        "own": None if container is None or container.own is None else str(OWN[container.own]),
        "reason": "" if container is None else container.reason,
        "evidence": evidence,
        "held": bool(row.flags & HELD) or bool(wide),
        "holds": [*holds.numbers_of(conn, unit), *wide],
        "doubtful": bool(row.flags & (DOUBTFUL | BROKEN)),
        "broken": bool(row.flags & BROKEN),
        "formerly": [
            {
                "container": name_of(conn, each.container),
                "from": _when(conn, each.since),
                "until": _when(conn, each.until),
            }
            for each in before
        ],
        "history": _history(conn, seqs),
    }


def containers(conn: Connection) -> Iterator[dict[str, Any]]:
    """Every container in the order in which they were formed: level, code (None without one),
    children (codes by place, None = unknown), the kinds of evidence of the known ones, integrity
    (None while open), state, doubtful, broken, closed_at."""
    last = 0
    while True:
        row = conn.execute(
            "SELECT * FROM container WHERE unit > ? ORDER BY unit LIMIT 1", (last,)
        ).fetchone()
        if row is None:
            return
        container = Container._make(row)
        last = container.unit
        unit = units.get(conn, last)
        links = content.links(conn, last).values()
        yield {
            "level": names.text(conn, unit.level),
            "code": _code(conn, container),
            "children": [_child(conn, link) for link in links],
            "evidence": sorted({str(link.evidence) for link in links if link.child is not None}),
            "integrity": _integrity(container.integrity),
            "state": str(UNIT_STATES[unit.state]),
            "doubtful": bool(unit.flags & (DOUBTFUL | BROKEN)),
            "broken": bool(unit.flags & BROKEN),
            "closed_at": None if container.closed is None else _when(conn, container.closed),
        }


def find_container(conn: Connection, unit: int) -> Container | None:
    """The container's row; None if the unit is none."""
    row = conn.execute("SELECT * FROM container WHERE unit = ?", (unit,)).fetchone()
    return None if row is None else Container._make(row)


def shown(conn: Connection, key: CodeKey) -> str:
    """A code as people may see it: its text, or `pool/position` for a secret role."""
    fact = pools.describe(conn, key.pool)
    text = pools.text_of(conn, key)
    if fact is None or text is None or fact.roles[key.column] in fact.secret:
        return f"{key.pool}/{key.position}"
    return text


def _role(conn: Connection, key: CodeKey) -> str:
    fact = pools.describe(conn, key.pool)
    return "" if fact is None else fact.roles[key.column]


def _codes(conn: Connection, row: units.UnitRow, container: Container | None) -> list[CodeKey]:
    """The codes on a unit, its primary one first."""
    first = row.home if container is None else container.code
    rest = conn.execute("SELECT id FROM unit_code WHERE unit = ? ORDER BY id", (row.unit,))
    found = [] if first is None else [code_key(first)]
    return found + [code_key(at) for (at,) in rest.fetchall()]


def _code(conn: Connection, container: Container) -> str | None:
    return None if container.code is None else shown(conn, code_key(container.code))


def _link(conn: Connection, parent: int, child: int) -> content.Link | None:
    """What binds a child to its parent."""
    for link in content.links(conn, parent).values():
        if link.child == child:
            return link
    return None


class _Membership(NamedTuple):
    """A container that a unit was in; `since` and `until` are journal rows."""

    container: int
    since: int
    until: int


def _before(conn: Connection, unit: int) -> list[_Membership]:
    rows = conn.execute(
        "SELECT container, since, until FROM membership WHERE child = ? ORDER BY until", (unit,)
    )
    return [_Membership._make(row) for row in rows.fetchall()]


def _children(conn: Connection, container: Container, upto: int | None = None) -> list[str | None]:
    """Primary codes in the order of their places; None for an unknown child."""
    return [_child(conn, link) for link in content.links(conn, container.unit, upto).values()]


def _child(conn: Connection, link: content.Link) -> str | None:
    return None if link.child is None else name_of(conn, link.child)


def name_of(conn: Connection, unit: int) -> str | None:
    """The primary code of a unit as people may see it; None without one."""
    row = units.get(conn, unit)
    if row.home >> POOL_SHIFT:
        return shown(conn, code_key(row.home))
    inner = find_container(conn, unit)
    return None if inner is None else _code(conn, inner)


def _chain(conn: Connection, row: units.UnitRow) -> list[Container]:
    """The containers around a unit, the nearest first."""
    chain: list[Container] = []
    while row.parent is not None and len(chain) < _DEEPEST:
        container = find_container(conn, row.parent)
        if container is None:
            break
        chain.append(container)
        row = units.get(conn, container.unit)
    return chain


def _parent(conn: Connection, container: Container) -> dict[str, Any]:
    return {
        "unit": container.unit,
        "level": names.text(conn, units.get(conn, container.unit).level),
        "code": _code(conn, container),
        "integrity": _integrity(container.integrity),
    }


def _integrity(number: int | None) -> str | None:
    return None if number is None else str(INTEGRITY[number])


def _weakest(chain: list[int | None]) -> str | None:
    """The weakest of the chain; None (not known yet) while one of it is open, or without any."""
    closed = [number for number in chain if number is not None]
    return None if not chain or len(closed) < len(chain) else _integrity(max(closed))


def _when(conn: Connection, seq: int) -> str:
    return iso(journal.when(conn, seq).wall_ms)


def iso(wall_ms: int) -> str:
    """ISO 8601 in UTC with milliseconds."""
    at = datetime.fromtimestamp(wall_ms / 1000, UTC)
    return at.isoformat(timespec="milliseconds")


def _history(conn: Connection, seqs: list[int | None]) -> list[dict[str, Any]]:
    entries = journal.read_some(conn, (seq for seq in seqs if seq is not None))
    return [
        {
            "seq": entry.seq,
            "at": iso(entry.clock.wall_ms),
            "clock": entry.clock.quality,
            "line": entry.line,
            "kind": entry.kind,
        }
        | {
            name: value
            for name, value in msgspec.to_builtins(entry.fact).items()
            if name not in _HIDDEN and value not in ("", None, [], ())
        }
        for entry in entries
    ]
