"""What a container holds, place by place, and what it held before: read from the journal rows that
bound children to it and took them out."""

from collections.abc import Iterator
from typing import NamedTuple

from agent.core.facts import LinkEvidence, LinksCorrected, Packed, Unpacked
from agent.core.life import IllegalTransition
from agent.ports.cloud import Entry
from agent.store import journal
from agent.store.database import Connection


class Link(NamedTuple):
    """One place of a container: its child (None = unknown), why it is believed, since which row."""

    child: int | None
    evidence: LinkEvidence
    since: int


def check_evidence(fact: Packed | LinksCorrected) -> None:
    """IllegalTransition unless there is one evidence for all children, or one for each."""
    if len(fact.evidence) not in (1, len(fact.children)):
        raise IllegalTransition(
            f"container {fact.container}: {len(fact.children)} children with "
            f"{len(fact.evidence)} evidences"
        )


def _evidence(fact: Packed | LinksCorrected, n: int) -> LinkEvidence:
    """Of the fact's child `n`."""
    return fact.evidence[0] if len(fact.evidence) == 1 else fact.evidence[n]


def links(conn: Connection, container: int, upto: int | None = None) -> dict[int, Link]:
    """The places of a container that are taken, in order; as of journal row `upto`, or now."""
    places: dict[int, Link] = {}
    for entry in events(conn, container):
        if upto is not None and entry.seq > upto:
            break
        fact = entry.fact
        if isinstance(fact, Packed):
            for n, child in enumerate(fact.children):
                place = fact.first_place + n
                while place in places:  # a place that was left free before counts no more
                    place += 1
                places[place] = Link(child, _evidence(fact, n), entry.seq)
        elif isinstance(fact, Unpacked):
            _leave(places, fact)
        elif isinstance(fact, LinksCorrected):
            before = {link.child: link.since for link in places.values()}
            places = {
                place: Link(
                    child,
                    _evidence(fact, place),
                    entry.seq if child is None else before.get(child, entry.seq),
                )
                for place, child in enumerate(fact.children)
            }
    return dict(sorted(places.items()))


def _leave(places: dict[int, Link], fact: Unpacked) -> None:
    gone = {place for place, link in places.items() if link.child in fact.children}
    unknown = [place for place, link in sorted(places.items()) if link.child is None]
    for place in gone.union(unknown[: fact.unknown]):
        del places[place]


def events(conn: Connection, container: int) -> Iterator[Entry]:
    """The journal rows that put children into a container and took them out, in order."""
    seqs = {
        int(seq)
        for (seq,) in conn.execute("SELECT seq FROM unit_event WHERE unit = ?", (container,))
    }
    row = conn.one("SELECT packed FROM container WHERE unit = ?", (container,))
    if row is not None and row[0] is not None:
        seqs.add(int(row[0]))
    for entry in journal.read_some(conn, seqs):
        fact = entry.fact
        if not isinstance(fact, Packed | Unpacked | LinksCorrected):
            continue
        if fact.container == container:
            yield entry
