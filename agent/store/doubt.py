"""Tables after facts of doubt, anchors and corrected links (facts.doubt). See `project`."""

from collections.abc import Callable
from typing import Any

from agent.core import facts as f
from agent.core.life import IllegalTransition
from agent.store import units
from agent.store.content import check_evidence
from agent.store.database import Connection
from agent.store.words import BROKEN, DOUBTFUL, INTEGRITY_NUMBER


def _path_disturbed(conn: Connection, seq: int, line: str, fact: f.PathDisturbed) -> None:
    for container in fact.containers:
        units.flag(conn, seq, container, DOUBTFUL)


def _confirmed(conn: Connection, seq: int, line: str, fact: f.ContainerConfirmed) -> None:
    units.note(conn, fact.container, seq)
    units.unflag(conn, seq, fact.container, DOUBTFUL | BROKEN)


def _worth(conn: Connection, container: int, integrity: f.Integrity) -> None:
    """What a closed container's record is worth now."""
    conn.change(
        "UPDATE container SET integrity = ? WHERE unit = ? AND closed IS NOT NULL",
        (INTEGRITY_NUMBER[integrity], container),
    )


def _anchored(conn: Connection, seq: int, line: str, fact: f.ContainersAnchored) -> None:
    for container in fact.containers:
        units.note(conn, container, seq)
        units.unflag(conn, seq, container, DOUBTFUL)
        _worth(conn, container, f.Integrity.ANCHORED)


def _links_corrected(conn: Connection, seq: int, line: str, fact: f.LinksCorrected) -> None:
    container = fact.container
    check_evidence(fact)
    for unit in fact.removed:
        row = units.get(conn, unit)
        if row.inside == container:
            _leaves(conn, seq, container, unit)
            units.unpack(conn, container, unit)
            units.flag(conn, seq, unit, DOUBTFUL)  # until it is seen nobody knows where it is
        units.note(conn, unit, seq)
    for child in fact.children:
        if child is None:
            continue
        row = units.get(conn, child)
        if row.inside == container:
            continue
        if row.parent is not None:
            _leaves(conn, seq, row.parent, child)
        units.put(conn, row, container)
        units.unflag(conn, seq, child, DOUBTFUL)
        units.note(conn, child, seq)
    before = conn.one("SELECT packed FROM container WHERE unit = ?", (container,))
    if before is None:
        raise IllegalTransition(f"unit {container} is not a container")
    if before[0] is not None:
        units.note(conn, container, before[0])
    conn.change(
        "UPDATE container SET count = ?, unknown = ?, packed = ? WHERE unit = ?",
        (len(fact.children), fact.children.count(None), seq, container),
    )
    if fact.why in ("read", "scanned"):  # all that it holds
        units.unflag(conn, seq, container, BROKEN)
    if fact.integrity is not None:
        _worth(conn, container, fact.integrity)


def _leaves(conn: Connection, seq: int, container: int, child: int) -> None:
    """Keep that the child was recorded in this container until now, by the container's newest row
    of links."""
    row = conn.one("SELECT packed FROM container WHERE unit = ?", (container,))
    if row is not None and row[0] is not None:
        ended = (child, seq, container, row[0])
        conn.change("INSERT OR IGNORE INTO membership VALUES (?, ?, ?, ?)", ended)


def _slip_found(conn: Connection, seq: int, line: str, fact: f.SlipFound) -> None:
    for container in fact.containers:
        units.note(conn, container, seq)
    for container in fact.doubtful:
        units.flag(conn, seq, container, DOUBTFUL)


def _resolved(conn: Connection, seq: int, line: str, fact: f.DoubtResolved) -> None:
    for unit in fact.units:
        units.unflag(conn, seq, unit, DOUBTFUL)


def _broken(conn: Connection, seq: int, line: str, fact: f.ContainersBroken) -> None:
    claims = (INTEGRITY_NUMBER[f.Integrity.PROVEN], INTEGRITY_NUMBER[f.Integrity.ANCHORED])
    for container in fact.containers:
        units.flag(conn, seq, container, BROKEN)
        conn.change(
            "UPDATE container SET integrity = ? WHERE unit = ? AND integrity IN (?, ?)",
            (INTEGRITY_NUMBER[f.Integrity.INFERRED], container, *claims),
        )


CHANGES: dict[type[f.Fact], Callable[[Connection, int, str, Any], None]] = {
    f.PathDisturbed: _path_disturbed,
    f.ContainerConfirmed: _confirmed,
    f.ContainersAnchored: _anchored,
    f.LinksCorrected: _links_corrected,
    f.SlipFound: _slip_found,
    f.DoubtResolved: _resolved,
    f.ContainersBroken: _broken,
}
