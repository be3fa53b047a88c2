"""Shipments between parties: what left, what came, and what is different; the same for both sides.

A shipment is what one party sends another by one paper. It is folded from all that was said of it,
so it does not matter who told first: a receipt may be known before the dispatch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sync.cloud import freight
from sync.cloud.answers import iso, reported
from sync.cloud.content import Tree, tree
from sync.cloud.database import Connection
from sync.cloud.fold import Statement, in_order
from sync.cloud.gather import Gatherer
from sync.cloud.keys import start_of
from sync.uris import BASE

STATES = ("open", "closed", "different", "reversed")
MOST_SHOWN = 200
"""Units that one side of a difference names; the pieces count all."""


@dataclass
class Papers:
    """What was said of one shipment, in order and without what was taken back. `sent` are the
    events of the dispatch in effect, `ended`: the receiver does not wait for more."""

    number: str = ""
    source: str = ""
    destination: str = ""
    sent: list[Statement] = field(default_factory=list)
    reversed: bool = False
    received: list[Statement] = field(default_factory=list)
    missed: list[Statement] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        return bool(self.missed)

    @property
    def round(self) -> str:
        """The dispatch in effect, by its first event; "" = there is none."""
        return self.sent[0].uuid.hex() if self.sent else ""


def read(statements: Iterable[Statement]) -> Papers:
    """The papers of one shipment from all events of it, in whatever order they come. Pure."""
    said = in_order(statements)
    wrong = {each.uuid for each in said if "errorDeclaration" in each.detail}
    found = Papers()
    for each in said:
        ends = freight.ends(each.detail)
        found.source, found.destination = ends
        found.number = freight.paper(each.detail, "desadv")
    # Within one agent the rows are the order, whatever its clock said.
    for each in sorted(said, key=lambda one: (one.stream.agent, one.place)):
        step = each.detail.get("bizStep")
        if each.uuid in wrong:
            continue
        if step == "shipping":
            found.sent.append(each)
            found.reversed = False
        elif step == "void_shipping":
            found.sent = [one for one in found.sent if one.stream.agent != each.stream.agent]
            found.reversed = not found.sent
        elif step == "receiving":
            found.received.append(each)
        elif each.detail.get("x:missing") is True:
            found.missed.append(each)
    return found


@dataclass
class Shipment:
    """A shipment as it is known now. `missing` left and did not come, `extra` came and had not
    left by this paper: codes of the outermost units, and pieces."""

    papers: Papers
    state: str
    goods: Tree | None = None
    pieces: dict[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)


def look(gatherer: Gatherer, key: bytes, base: str = BASE) -> Shipment | None:
    """What is known of a shipment; None: nothing. On a connection that reads."""
    rows = gatherer.many("SELECT event FROM passage WHERE shipment", [key])
    numbers = [event for (event,) in rows]
    papers = read(gatherer.events(numbers))
    if not papers.number:
        return None
    sent = _goods(gatherer, papers.sent, base)
    came = [_goods(gatherer, [each], base) for each in papers.received]
    left = _leaves([sent])
    here = _leaves(came)
    found = Shipment(papers, "open", sent)
    missing, extra = left - here, here - left
    found.pieces = {
        "sent": len(left),
        "received": len(here),
        "missing": len(missing) if papers.sent else 0,
        "extra": len(extra) if papers.sent else 0,
    }
    found.open = list(dict.fromkeys(name for each in [sent, *came] for name in each.open))
    if not papers.sent:
        if papers.reversed and not papers.received:
            found.state = "reversed"
        elif papers.reversed:
            found.state, found.extra = "different", _outermost(came, extra)
            found.pieces["extra"] = len(extra)
        return found  # a receipt whose dispatch is not told yet is open
    if not papers.received and not papers.ended:
        return found
    found.missing, found.extra = _outermost([sent], missing), _outermost(came, extra)
    if not missing and not extra:
        found.state = "closed"
    elif extra or papers.ended:
        found.state = "different"
    return found


def _goods(gatherer: Gatherer, events: Sequence[Statement], base: str) -> Tree:
    """What goods held when they moved; the last event of a row is the moment of all of them."""
    names = [key for each in events for key in each.about]
    return tree(gatherer, names, events[-1].event if events else None, base) if names else Tree()


def _leaves(trees: Iterable[Tree]) -> set[bytes]:
    return {leaf for each in trees for root in each.roots for leaf in each.leaves(root)}


def _outermost(trees: Iterable[Tree], wanted: set[bytes]) -> list[str]:
    """The largest units all of whose content is wanted."""
    found: dict[str, None] = {}
    for each in trees:
        left = list(reversed(each.roots))
        while left and len(found) < MOST_SHOWN:
            at = left.pop()
            leaves = each.leaves(at)
            if leaves <= wanted:
                found[each.goods[at].name] = None
            elif leaves & wanted:
                left += reversed(each.goods[at].children)
    return list(found)


def shown(key: bytes, found: Shipment) -> dict[str, Any]:
    """A shipment as it is answered."""
    papers = found.papers
    first = papers.sent[0] if papers.sent else None
    said = papers.sent or papers.received or papers.missed
    told = said[0].detail if said else {}
    not_known = [] if papers.sent or papers.reversed else ["dispatch"]
    return {
        "shipment": key.hex(),
        "number": papers.number,
        "source": papers.source,
        "destination": papers.destination,
        "territory": told.get("x:territory"),
        "channel": told.get("x:channel"),
        "state": found.state,
        "sent": None if first is None else _event(first),
        "received": [_event(each) for each in papers.received],
        "ended": papers.ended,
        "reversed": papers.reversed,
        "pieces": found.pieces,
        "goods": [found.goods.goods[root].name for root in found.goods.roots][:MOST_SHOWN]
        if found.goods
        else [],
        "missing": found.missing,
        "extra": found.extra,
        "not_known_yet": [*not_known, *found.open[:MOST_SHOWN]],
    }


def _event(each: Statement) -> dict[str, Any]:
    return {
        "time": iso(each.ms),
        "agent": each.stream.agent,
        "epoch": each.stream.epoch,
        "seq": each.seq,
    }


def listed(conn: Connection, state: str, limit: int, after: str, party: str) -> dict[str, Any]:
    """Shipments in the order of their keys; of a party, on either side."""
    rows = conn.rows(
        "SELECT key, body, asn, told, waits FROM shipment WHERE key > ? "
        "AND (? = '' OR state = ?) AND (? = '' OR source = ? OR destination = ?) "
        "ORDER BY key LIMIT ?",
        (start_of(after), state, state, party, party, party, limit),
    )
    found = []
    for row in rows:
        body = msgspec.json.decode(row[1])
        body["asn"] = _told(conn, body, row[2], bool(row[4]))
        found.append(body)
    said = [each for body in found for each in (body["sent"], *body["received"]) if each]
    return {
        "shipments": found,
        "next": bytes(rows[-1][0]).hex() if len(rows) == limit else None,
        "reported": reported(conn, {each["agent"] for each in said}),
    }


def _told(conn: Connection, body: dict[str, Any], asn: str, waits: bool) -> dict[str, Any] | None:
    """What the receiver's agent was told; None: nobody is to be told."""
    if asn:
        row = conn.one("SELECT ok, reason, agent FROM command WHERE uid = ?", (asn,))
        if row is not None:
            state = "waits" if row[0] is None else "done" if row[0] else "refused"
            return {"command": asn, "agent": row[2], "state": state, "reason": row[1]}
    return {"command": None, "state": "waits", "reason": body.get("why", "")} if waits else None
