"""Goods that stand in a warehouse follow what lines and quality do with units of this agent: every
fact that takes one out of another, packs, samples or destroys it is followed by one that says what
that means for the stock."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from agent.core import facts as f
from agent.core.known import Clock
from agent.store import goods
from agent.store.database import Connection
from agent.store.standing import level_of, own_content

_NOWHERE = ("told", "line")


def day_of(ms: int, offset_ms: int) -> str:
    """The day (ISO) of a moment, where clocks are so far from UTC."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms + offset_ms)
    return at.date().isoformat()


def after(conn: Connection, facts: Iterable[f.Fact], clock: Clock) -> Iterator[f.Fact]:
    """What the warehouse has to write down after these facts, which the tables show already. Each
    must be in the tables before the next is asked for."""
    told = [fact for fact in facts if isinstance(fact, _FOLLOWED)]
    if not told or conn.one("SELECT 1 FROM goods WHERE unit IS NOT NULL LIMIT 1") is None:
        return
    day = day_of(clock.wall_ms, conn.offset_ms)
    for fact in told:
        yield from _followed(conn, fact, clock.wall_ms, day)
        if isinstance(fact, f.Unpacked | f.Packed | f.LinksCorrected):
            yield from _corrected(conn, fact.container, clock.wall_ms, day)


_FOLLOWED = f.Unpacked | f.Packed | f.LinksCorrected | f.UnitsSampled | f.UnitsDestroyed


def _corrected(conn: Connection, unit: int, at_ms: int, day: str) -> Iterator[f.GoodsFollowed]:
    """The outermost unit around a container whose content is known to be another now."""
    top = _top(conn, unit)
    if top is None or top.unit is None:
        return
    holds = own_content(conn, top.unit)
    if sorted(holds) != sorted(goods.content_of(conn, top)):
        yield f.GoodsFollowed(top.ref, "", "corrected", holds, top.level, at_ms, day)


def _followed(
    conn: Connection,
    fact: f.Unpacked | f.Packed | f.LinksCorrected | f.UnitsSampled | f.UnitsDestroyed,
    at_ms: int,
    day: str,
) -> Iterator[f.GoodsFollowed]:
    match fact:
        case f.Unpacked():
            top = _top(conn, fact.container)
            if top is None:
                return
            for child in fact.children:
                if goods.own_above(conn, child):
                    continue  # packed again meanwhile
                holds = own_content(conn, child)
                level = level_of(conn, child)
                yield f.GoodsFollowed(
                    goods.own_ref(child), top.ref, "unpacked", holds, level, at_ms, day
                )
        case f.Packed():
            top = _top(conn, fact.container)
            parent = "" if top is None else top.ref
            for inner in fact.children:
                row = None if inner is None else goods.by_ref(conn, goods.own_ref(inner))
                if inner is None or ((row is None or row.place.state in _NOWHERE) and top is None):
                    continue
                holds = own_content(conn, inner)
                level = level_of(conn, inner)
                ref = goods.own_ref(inner)
                yield f.GoodsFollowed(ref, parent, "packed", holds, level, at_ms, day)
        case f.UnitsSampled() | f.UnitsDestroyed():
            why = "sampled" if isinstance(fact, f.UnitsSampled) else "destroyed"
            for row in _rows(conn, fact.units):
                holds = goods.content_of(conn, row)
                yield f.GoodsFollowed(row.ref, "", why, holds, row.level, at_ms, day)


def _top(conn: Connection, unit: int) -> goods.Row | None:
    """The outermost unit around one of ours, if it has a place in a warehouse."""
    over = goods.own_above(conn, unit)
    row = goods.by_ref(conn, goods.own_ref(over[-1] if over else unit))
    return None if row is None or row.place.state in _NOWHERE else row


def _rows(conn: Connection, units: Iterable[int]) -> Iterator[goods.Row]:
    """Those of these units that have a place of their own."""
    for unit in units:
        row = goods.by_ref(conn, goods.own_ref(unit))
        if row is not None and row.place.state not in _NOWHERE:
            yield row
