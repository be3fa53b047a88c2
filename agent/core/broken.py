"""Broken containers: a child of one was seen elsewhere, so what else it holds must be scanned.

That a code was read once more is no proof: a copy is in doubt, not the container. A child is
elsewhere when a person scanned it there, when a picture of another container's content shows it, or
when a container that should stand on a pallet comes past its label's camera again.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from agent.core import anchors
from agent.core import facts as f
from agent.core.evolve import kept_of
from agent.core.known import KnownUnit
from agent.core.outcome import Outcome
from agent.core.pack import Content
from agent.core.state import Container


def seen_elsewhere(out: Outcome, station: str, children: Iterable[KnownUnit], why: str) -> None:
    """These units were seen, and not in the containers that the record has them in."""
    by = {child.parent: child.unit for child in children if child.parent is not None}
    held = [kept_of(out.state, parent) for parent in by]
    anchors.suspect(out, dict.fromkeys(at for at, kept in filter(None, held) if not kept.whole))
    mark(out, station, tuple(by), next(iter(by.values()), 0), why)


def mark(out: Outcome, station: str, containers: Sequence[int], child: int, why: str) -> None:
    """`child` (or one like it) was seen outside of these containers."""
    if not containers:
        return
    out.facts.append(f.ContainersBroken(tuple(sorted(containers)), child, why))
    if out.state.line:  # what is asked for the whole agent is answered, and has no alarm row
        count = str(len(containers))
        out.alarm("container_broken", 2, station, count=count, child=_name(out, child))


def in_picture(out: Outcome, station: str, container: Container, content: Content) -> None:
    """A picture of a container's content shows children of others. One of which it shows half or
    more is in view itself, or the picture is an old one: that says nothing of it."""
    seen = [code.unit for code in content.seen if code.unit is not None]
    seen = [unit for unit in seen if unit.level != container.level]
    strangers = [unit for unit in seen if unit.parent not in (None, container.unit)]
    many = Counter(unit.parent for unit in strangers)
    few = max(2, (len(seen) + 1) // 2)
    away = [unit for unit in strangers if len(seen) > 1 and many[unit.parent] < few]
    seen_elsewhere(out, station, away, "read")


def _name(out: Outcome, unit: int) -> str:
    """The child as people may read it."""
    if unit in out.known.names:
        return out.known.names[unit]
    for code in out.known.codes.values():
        if code.unit is not None and code.unit.unit == unit:
            pool = out.known.pools[code.key.pool]
            secret = code.role in pool.secret
            return f"{pool.name}/{code.key.position}" if secret else code.text
    return f"unit {unit}"
