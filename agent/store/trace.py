"""Where a thing comes from, what it holds and where it is: the answer to one scanned code.

Everything returned is ready for JSON. A code of a secret role is written `pool/position`.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from agent.core.facts import CodeKey, LinkEvidence, Packed
from agent.store import journal, names, orders, pools, units
from agent.store.database import Connection
from agent.store.words import (
    CODE_STATES,
    DOUBTFUL,
    HELD,
    INTEGRITY,
    OWN,
    PAIRS,
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
        link, evidence = _link(conn, row.parent, unit)
        seqs.append(link)
    chain = _chain(conn, row)
    worth = [container.integrity] if container is not None else []
    worth += [above.integrity for above in chain]
    return {
        "code": shown(conn, keys[0]) if keys else None,
        "unit": unit,
        "level": names.text(conn, row.level),
        "state": str(UNIT_STATES[row.state]),
        "product": "" if order is None else order.product,
        "lot": "" if order is None else order.lot,
        "order": number,
        "codes": codes,
        "parent": _parent(conn, chain[0]) if chain else None,
        "children": [] if container is None else _children(conn, container),
        "integrity": _integrity(container.integrity) if container is not None else None,
        "weakest": _weakest(worth),
        "own": None if container is None or container.own is None else str(OWN[container.own]),
        "reason": "" if container is None else container.reason,
        "evidence": evidence,
        "held": bool(row.flags & HELD),
        "doubtful": bool(row.flags & DOUBTFUL),
        "history": _history(conn, seqs),
    }


def containers(conn: Connection) -> Iterator[dict[str, Any]]:
    """Every container in the order in which they were formed: level, code (None without one),
    children (codes by place, None = unknown), integrity (None while open), state, closed_at."""
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
        yield {
            "level": names.text(conn, unit.level),
            "code": _code(conn, container),
            "children": _children(conn, container),
            "integrity": _integrity(container.integrity),
            "state": str(UNIT_STATES[unit.state]),
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


def _links(conn: Connection, container: Container) -> Iterator[tuple[int, Packed]]:
    """The journal rows that put children into a container."""
    seqs = {int(seq) for seq in (container.packed,) if seq is not None}
    seqs |= {
        int(seq)
        for (seq,) in conn.execute("SELECT seq FROM unit_event WHERE unit = ?", (container.unit,))
    }
    for entry in journal.read_some(conn, seqs):
        if isinstance(entry.fact, Packed) and entry.fact.container == container.unit:
            yield entry.seq, entry.fact


def _link(conn: Connection, parent: int, child: int) -> tuple[int | None, str | None]:
    """Journal row and evidence of the newest link of a child to its parent."""
    container = find_container(conn, parent)
    found: tuple[int | None, str | None] = (None, None)
    for seq, fact in _links(conn, container) if container is not None else ():
        if child in fact.children:
            found = seq, str(_evidence(fact, fact.children.index(child)))
    return found


def _evidence(fact: Packed, at: int) -> LinkEvidence:
    return fact.evidence[0] if len(fact.evidence) == 1 else fact.evidence[at]


def _children(conn: Connection, container: Container) -> list[str | None]:
    """Primary codes by place; None for an unknown child."""
    places: dict[int, str | None] = {}
    for _, fact in _links(conn, container):
        for place, child in enumerate(fact.children, fact.first_place):
            if child is None:
                places[place] = None
                continue
            row = units.get(conn, child)
            if row.parent != container.unit:
                continue
            inner = find_container(conn, child)
            code = shown(conn, code_key(row.home)) if inner is None else _code(conn, inner)
            places[place] = code
    return [places[place] for place in sorted(places)]


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
    (wall,) = conn.execute("SELECT wall_ms FROM journal WHERE seq = ?", (seq,)).fetchone()
    return iso(wall)


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
