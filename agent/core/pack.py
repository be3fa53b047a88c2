"""Children meet their parent: what a picture of the content says, and what a container is worth."""

from collections.abc import Collection
from dataclasses import dataclass

from agent.core.facts import Integrity, LinkEvidence, OwnCode
from agent.core.inputs import ItemReadings
from agent.core.known import Known, KnownCode
from agent.core.scheme import LevelSpec, WorkOrder
from agent.core.state import Container
from agent.core.verdict import Verdict, judge_code, may_be_packed, worst

_SEEN = frozenset({LinkEvidence.READ, LinkEvidence.SCANNED})
_TOGETHER = frozenset({OwnCode.SAME_FRAME, OwnCode.CAPTIVE, OwnCode.SCANNED})


def integrity(evidence: Collection[str], unknown: int, own: str, *, doubtful: bool) -> Integrity:
    """What a container's record is worth (DOMAIN.md).

    Proven: every child read or scanned in it, and its own code read in the same frame or while
    captive with them. An unknown child makes it incomplete. Anything else is inferred; *anchored*
    is found later, between two full readings.
    """
    if unknown:
        return Integrity.INCOMPLETE
    if evidence and set(evidence) <= _SEEN and own in _TOGETHER and not doubtful:
        return Integrity.PROVEN
    return Integrity.INFERRED


@dataclass(frozen=True, slots=True)
class Content:
    """What one picture (or scan) of a container shows. `children` are units in the order of their
    places, None for a child that is there and was not read; `own` are codes of the container
    itself that stood in the same picture, by role; `others` are containers that have one of these
    codes already and are in doubt with this one."""

    verdict: Verdict
    children: tuple[int | None, ...]
    seen: tuple[KnownCode, ...]
    own: dict[str, KnownCode]
    others: tuple[int, ...] = ()


def judge_content(
    spec: LevelSpec,
    child_level: LevelSpec,
    order: WorkOrder,
    container: Container,
    reading: ItemReadings,
    known: Known,
    roles: tuple[str, ...],
    *,
    tail: bool = False,
) -> Content:
    """Judge a multi-read of the children that the last strokes moved into a container, by a reader
    that reads `roles` (of the children, and of the container if its code is in the picture).

    `tail`: it is the last one of its lot and may come short.

    The strokes say how many children must show; without a stroke the scheme does. A child that
    does not show is unknown; too many unknown, too many children, a child twice or a child that
    may not be there refuses the container.
    """
    faults: list[Verdict] = []
    children: dict[int, int] = {}  # place -> unit
    seen: list[KnownCode] = []
    own: dict[str, KnownCode] = {}
    others: list[int] = []
    mixed = order.scheme.mixed_lots == "allow"
    places = reading.places or tuple(range(len(reading.texts)))
    if reading.repeated:
        faults.append(Verdict.COUNT)
    if reading.refused:
        faults.append(Verdict.UNKNOWN)
    if reading.old_picture:
        faults.append(Verdict.OLD_PICTURE)
    for text, place in zip(reading.texts, places, strict=True):
        code = known.codes.get(text)
        if code is None:
            faults.append(Verdict.UNKNOWN)
            continue
        level = known.pools[code.key.pool].level
        if level in (spec.name, child_level.name) and code.role not in roles:
            # A symbol of another role in view: it says nothing about these roles.
            continue
        seen.append(code)
        if level == spec.name:
            before = container.codes.get(code.role, own.setdefault(code.role, code).key)
            if before != code.key:
                faults.append(Verdict.MISMATCH)
            faults.append(judge_code(code, order, known, container.unit))
            if faults[-1] is Verdict.DUPLICATE and code.unit is not None:
                others.append(code.unit.unit)
            continue
        verdict = may_be_packed(code, child_level.name, order, mixed)
        if verdict is not Verdict.PASS:
            faults.append(verdict)
        elif code.unit is not None:
            if code.unit.unit in children.values() or place in children:
                faults.append(Verdict.COUNT)
            children[place] = code.unit.unit
    wanted = container.moved or spec.children - container.count
    unread = wanted - len(children)
    partial = bool(container.partial) or tail
    short = container.last and container.count + wanted < spec.children and not partial
    if unread < 0 or short or container.count + wanted > spec.children:
        faults.append(Verdict.COUNT)
    elif container.unknown + unread > spec.unknown:
        faults.append(Verdict.LATE if reading.late else Verdict.NO_READ)
    # Several wrong codes are told by the worst of them, but a code that is merely unread or
    # counted wrong because it is foreign is told as foreign.
    placed = _by_place(children, max(unread, 0))
    return Content(worst(faults), placed, tuple(seen), own, tuple(dict.fromkeys(others)))


def _by_place(children: dict[int, int], unread: int) -> tuple[int | None, ...]:
    """Units in the order of their places; the lowest free places get the unread children."""
    total = len(children) + unread
    if all(place < total for place in children):
        return tuple(children.get(place) for place in range(total))
    ordered: list[int | None] = [unit for _, unit in sorted(children.items())]
    return tuple(ordered + [None] * unread)
