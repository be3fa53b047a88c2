"""A unit as a warehouse of a party sees it: who it is, what it holds, where it stands, and what of
it is on a document. Every question is answered by keys.
"""

import json
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property

from agent.core.codes import Refused, canonical
from agent.core.facts import Content
from agent.core.life import CodeState, UnitState
from agent.core.rules import Good
from agent.core.warehouse import KnownGoods
from agent.store import content, goods, holds, lookup, names, orders, pools, trace, units
from agent.store.database import Connection
from agent.store.documents import Document
from agent.store.goods import Place, own_ref, own_unit
from agent.store.words import BROKEN, INTEGRITY, POOL_SHIFT, code_key

_UNIT_STATES = {
    UnitState.SAMPLED: "sampled",
    UnitState.DESTROYED: "destroyed",
    UnitState.REJECTED: "rejected",
}


class Standing:
    """Looks units up for a party, on one connection within one transaction. `maker`: what the lines
    of this agent make is in this party's record. `document` is the one that is worked on, `fifo`
    whether older stock is looked for (at `location`, "" = anywhere)."""

    def __init__(
        self,
        conn: Connection,
        party: str,
        *,
        maker: bool = False,
        document: Document | None = None,
        fifo: bool = False,
        location: str = "",
    ) -> None:
        self._conn = conn
        self._party = party
        self._maker = maker
        self._document = document
        self._fifo = fifo
        self._location = location
        self._older: dict[tuple[str, str], str] = {}
        self._rows: dict[int, goods.Row] | None = None
        self._wanted: set[str] = set()
        self._on: dict[str, str] = {}

    def read_ahead(self) -> None:
        """For thousands of units at once: what the document expects and what others have claimed
        is read beforehand."""
        conn, mine = self._conn, 0 if self._document is None else self._document.id
        self._rows = {}
        if self._asn:
            found = conn.execute(
                "SELECT o.ref FROM document_goods g JOIN goods o ON o.id = g.goods "
                "WHERE g.document = ? AND g.done = 0",
                (self._asn,),
            )
            self._wanted = {str(ref) for (ref,) in found}
        for ref, over, number in conn.execute(
            "SELECT c.ref, c.above, d.number FROM document d JOIN claim c ON c.document = d.id "
            "WHERE d.party = ? AND d.status IN ('open', 'counted') AND d.kind <> 'count' "
            "AND d.id <> ?",
            (self._party, mine),
        ):
            self._on[str(ref)] = str(number)
            for upper in json.loads(over):
                self._on.setdefault(f"around {upper}", str(number))

    # ------------------------------------------------------------------------------- by code

    def text(self, text: str) -> KnownGoods | None:
        """The unit that carries this canonical text, as this party may see it; None if nothing is
        known of it. A code of ours that no unit carries never became one."""
        code = lookup.find_code(self._conn, text)
        if code is not None and code.unit is not None:
            return self._own(code.unit.unit)
        if code is not None:
            state = "void" if code.state is CodeState.VOID else "rejected"
            mine = Good(state=state if self._maker else "elsewhere", pieces=0, mine=False)
            return KnownGoods("", mine, (), self.shown(text))
        row = goods.by_code(self._conn, text)
        return None if row is None else self.foreign(row)

    def ref(self, ref: str) -> KnownGoods | None:
        """The unit of this name."""
        unit = own_unit(ref)
        if unit is not None:
            return self._own(unit)
        row = goods.by_ref(self._conn, ref)
        return None if row is None else self.foreign(row)

    def children(self, ref: str) -> tuple[str, ...] | None:
        """What is directly in a unit; None where not all of it is known."""
        unit = own_unit(ref)
        if unit is not None:
            if trace.find_container(self._conn, unit) is None:
                return None
            links = content.links(self._conn, unit).values()
            if any(link.child is None for link in links):
                return None
            return tuple(own_ref(link.child) for link in links if link.child is not None)
        row = goods.by_ref(self._conn, ref)
        inner = goods.inside(self._conn, row.id) if row is not None else []
        if row is None or not inner or sum(each.pieces for each in inner) != row.pieces:
            return None
        return tuple(each.ref for each in inner)

    def known_children(self, ref: str) -> tuple[str, ...]:
        """Those children of a unit that are known."""
        unit = own_unit(ref)
        if unit is not None:
            links = content.links(self._conn, unit).values()
            return tuple(own_ref(link.child) for link in links if link.child is not None)
        row = goods.by_ref(self._conn, ref)
        return () if row is None else tuple(each.ref for each in goods.inside(self._conn, row.id))

    def boxes(self, ref: str) -> list[KnownGoods]:
        """A unit of ours and all containers in it, the outer ones first."""
        found: list[KnownGoods] = []
        todo = [ref]
        while todo:
            at = todo.pop()
            unit = self.ref(at)
            number = own_unit(at)
            if unit is None or number is None:
                continue
            if at == ref or trace.find_container(self._conn, number) is not None:
                found.append(unit)
                todo += reversed(self.known_children(at))
        return found

    def shown(self, text: str) -> str:
        """A text as it may be written down and shown: a secret one by its place."""
        key = pools.place_of(self._conn, text)
        return text if key is None else trace.shown(self._conn, key)

    # ---------------------------------------------------------------------------- one of ours

    def _own(self, unit: int) -> KnownGoods | None:
        conn = self._conn
        known = lookup.find_unit(conn, unit)
        row = units.find(conn, unit)
        if known is None or row is None:
            return None
        over = goods.own_above(conn, unit)
        refs = tuple(own_ref(each) for each in over)
        top = goods.by_ref(conn, refs[-1] if refs else own_ref(unit))
        place = Place("made") if top is None or top.place.state in ("told", "line") else top.place
        if top is not None and place.state == "made":
            top = None
        held_in = [lookup.find_unit(conn, each) for each in over]
        box = trace.find_container(conn, unit)
        state = _UNIT_STATES.get(known.state, "")
        if not state and box is not None and not box.held:
            state = "empty"
        if not state and (known.open or any(each is not None and each.open for each in held_in)):
            state = "unfinished"
        holding = own_content(conn, unit)
        good = self._good(
            own_ref(unit),
            refs,
            known.level,
            holding,
            place,
            fixed=state,
            held=known.held or any(each is not None and each.held for each in held_in),
            own=True,
        )
        if good.state != "elsewhere":
            good = _with(
                good,
                broken=bool(row.flags & BROKEN),
                doubtful=known.doubtful,
                integrity=""
                if box is None or box.integrity is None
                else str(INTEGRITY[box.integrity]),
            )
        code = trace.name_of(conn, unit) or ""
        return KnownGoods(own_ref(unit), good, holding, code, refs, own=True)

    # --------------------------------------------------------------------------- one of others

    def foreign(self, row: goods.Row) -> KnownGoods:
        """The unit of a row that others told of."""
        over = goods.above(self._conn, row, self._rows)
        refs = tuple(each.ref for each in over)
        place = over[-1].place if over else row.place
        if place.state == "told":
            place = place._replace(state="expected")
        holding = goods.content_of(self._conn, row)
        held = any(holds.covering(self._conn, product, lot, None) for product, lot, _ in holding)
        fixed = "" if row.pieces else "empty"
        good = self._good(
            row.ref, refs, row.level, holding, place, fixed=fixed, held=held, own=False
        )
        if good.state != "elsewhere":
            good = _with(good, integrity=row.integrity)
        return KnownGoods(row.ref, good, holding, row.ref, refs)

    # -------------------------------------------------------------------------------- together

    def _good(
        self,
        ref: str,
        over: tuple[str, ...],
        level: str,
        holding: tuple[Content, ...],
        place: Place,
        *,
        fixed: str,
        held: bool,
        own: bool,
    ) -> Good:
        party = self._party
        expected = self._is_expected((ref, *over))
        mine = place.party == party if place.state != "made" else self._maker
        state = place.state
        coming = state in ("expected", "in_transit") and place.sent_to == party
        if not mine and (coming or expected):
            state = "expected"
        elif not mine:
            return Good(state="elsewhere", pieces=0, mine=False)
        elif state == "in_transit" and expected:
            state = "expected"
        if fixed:
            state = fixed
        first = holding[0] if holding else Content("", "", 0)
        shipped = mine and place.state == "in_transit"
        return Good(
            level=level,
            product=first.product,
            lot=first.lot,
            pieces=sum(each.pieces for each in holding),
            state=state,
            mine=mine and state not in ("expected", "made"),
            location=place.location if state == "stock" else "",
            held=held or bool(place.condition),
            expected=expected,
            sent_to=party if expected else "" if shipped else place.sent_to if not mine else "",
            to=place.sent_to if shipped else "",
            when=place.sent_ms if shipped else 0,
            claimed=self._claimed((ref, *over)),
            older=self._older_lot(holding) if self._fifo and state == "stock" else "",
            territory=place.territory if mine else "",
            channel=place.channel if mine else "",
            mixed=tuple((c.product, c.lot, c.pieces) for c in holding) if len(holding) > 1 else (),
        )

    @cached_property
    def _asn(self) -> int:
        """The document whose told content decides what is expected; 0 = none."""
        document = self._document
        if document is None or document.kind not in ("receive", "return_in"):
            return 0
        row = self._conn.one(
            "SELECT 1 FROM document_goods WHERE document = ? LIMIT 1", (document.id,)
        )
        return 0 if row is None else document.id

    def _is_expected(self, refs: Iterable[str]) -> bool:
        if not self._asn:
            return False
        if self._rows is not None:
            return any(ref in self._wanted for ref in refs)
        return any(
            self._conn.one(
                "SELECT 1 FROM document_goods WHERE document = ? AND done = 0 AND goods = "
                "(SELECT id FROM goods WHERE ref = ?)",
                (self._asn, ref),
            )
            for ref in refs
        )

    def _claimed(self, refs: tuple[str, ...]) -> str:
        """The other open document of the party that has this unit, what holds it or part of it."""
        if self._rows is not None:
            on = next((self._on[ref] for ref in refs if ref in self._on), "")
            return on or self._on.get(f"around {refs[0]}", "")
        mine = 0 if self._document is None else self._document.id
        for ref in refs:
            number = self._conn.one(
                "SELECT d.number FROM claim c JOIN document d ON d.id = c.document "
                "WHERE c.ref = ? AND c.document <> ? AND c.party = ? AND d.kind <> 'count'",
                (ref, mine, self._party),
            )
            if number is not None:
                return str(number[0])
        number = self._conn.one(
            "SELECT d.number FROM claim_above a JOIN document d ON d.id = a.document "
            "WHERE a.above = ? AND a.document <> ? AND d.party = ? AND d.kind <> 'count' LIMIT 1",
            (refs[0], mine, self._party),
        )
        return "" if number is None else str(number[0])

    def seen(self, unit: KnownGoods) -> tuple[str, tuple[str, ...]]:
        """What of a unit is on the document: same, inside, around or nothing; what it holds that
        is."""
        if self._document is None:
            return "", ()
        one, number = self._conn.one, self._document.id
        claim = "SELECT 1 FROM claim WHERE ref = ? AND document = ?"
        if one(claim, (unit.ref, number)):
            return "same", ()
        if any(one(claim, (ref, number)) for ref in unit.above):
            return "inside", ()
        found = self._conn.execute(
            "SELECT ref FROM claim_above WHERE above = ? AND document = ?", (unit.ref, number)
        )
        held = tuple(str(ref) for (ref,) in found.fetchall())
        return ("around", held) if held else ("", ())

    def _older_lot(self, holding: tuple[Content, ...]) -> str:
        for product, lot, _ in holding:
            if (product, lot) not in self._older:
                self._older[product, lot] = self._look_older(product, lot)
            if self._older[product, lot]:
                return self._older[product, lot]
        return ""

    def _look_older(self, product: str, lot: str) -> str:
        date = self._conn.one(
            "SELECT date FROM lot_date WHERE product = ? AND lot = ?", (product, lot)
        )
        if date is None:
            return ""
        row = self._conn.one(
            "SELECT s.lot FROM stock s JOIN lot_date d ON d.product = s.product AND d.lot = s.lot "
            "WHERE s.party = ? AND s.product = ? AND s.pieces > s.claimed AND d.date < ? "
            "AND (? = '' OR s.location = ?) ORDER BY d.date LIMIT 1",
            (self._party, product, date[0], self._location, self._location),
        )
        return "" if row is None else str(row[0])


def _with(good: Good, **changed: object) -> Good:
    return replace(good, **changed)  # type: ignore[arg-type]


def is_code(text: str) -> str | None:
    """The canonical text, None if it cannot be a code."""
    try:
        return canonical(text).text
    except Refused:
        return None


def own_content(conn: Connection, unit: int) -> tuple[Content, ...]:
    """What a unit of ours holds by product and lot; unknown children count as what the scheme says.

    Only where a scheme lets lots mix is each child looked at.
    """
    known = lookup.find_unit(conn, unit)
    if known is None:
        return ()
    box = trace.find_container(conn, unit)
    if box is None:
        return (Content(known.product, known.lot, 1),)
    order = orders.get(conn, known.order)
    below = order.scheme.below(known.level) if order is not None else None
    mixed = order is None or order.scheme.mixed_lots == "allow"
    if below is None or not below.children:
        if not mixed:
            return goods.summed([Content(known.product, known.lot, box.held)])
    elif not mixed and not box.unknown:
        pieces = sum(
            each.pieces
            for link in content.links(conn, unit).values()
            if link.child is not None
            for each in own_content(conn, link.child)
        )
        return goods.summed([Content(known.product, known.lot, pieces)])
    held: list[Content] = []
    size = 1
    if order is not None and below is not None:
        for level in order.scheme.levels:
            size *= level.children or 1
            if level.name == below.name:
                break
    for link in content.links(conn, unit).values():
        if link.child is None:
            held.append(Content(known.product, known.lot, size))
        else:
            held += own_content(conn, link.child)
    return goods.summed(held)


def own_text(conn: Connection, unit: int) -> str | None:
    """The canonical text of a unit's primary code, None of a container without one. Not for people:
    it may be secret."""
    row = units.find(conn, unit)
    if row is None:
        return None
    if row.home >> POOL_SHIFT:
        return pools.text_of(conn, code_key(row.home))
    box = trace.find_container(conn, unit)
    return None if box is None or box.code is None else pools.text_of(conn, code_key(box.code))


def level_of(conn: Connection, unit: int) -> str:
    row = units.get(conn, unit)
    return names.text(conn, row.level)
