"""The cloud's part of the audit: what it answers for every container, against the agent's record
and against what is physically inside.

The record is read from the agent's store; the cloud is asked as its users ask it, one trace for
each container. Nothing here knows how the one became the other.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from agent.core.life import UnitState
from agent.demo.containment import contents
from agent.demo.result import INTEGRITIES, Result
from agent.store import content, names, trace, units
from agent.store.database import Connection
from agent.store.words import BROKEN, DOUBTFUL, INTEGRITY, UNIT_STATES
from sync.uris import Identity

Ask = Callable[[str], Mapping[str, Any]]
"""What the cloud answers for a code."""

JUDGED = (*(f"wrong_{worth}" for worth in (*INTEGRITIES, "doubtful")), "missing", "child_in_two")
"""What the plant's account says of a record's containers."""


LEVELS = ("box", "case", "pallet")
"""The containers that a row of the relations names."""


@dataclass(frozen=True, slots=True)
class Held:
    """A container as the record or the cloud has it; `children` are the URIs of those it knows. The
    cloud calls it doubtful or rejected also for a container that it is in."""

    level: str
    children: Counter[str]
    unknown: int
    integrity: str | None
    doubtful: bool
    rejected: bool

    def differs(self, other: "Held") -> list[str]:
        """What is not the same."""
        found = [f.name for f in fields(self) if getattr(self, f.name) != getattr(other, f.name)]
        return [
            f"{name} {getattr(self, name)!r:.300} / {getattr(other, name)!r:.300}" for name in found
        ]


class Record:
    """The agent's record, in the names that it tells the cloud."""

    def __init__(self, conn: Connection, identity: Identity) -> None:
        self._conn = conn
        self._identity = identity

    def uri(self, unit: int) -> str:
        """What the cloud calls a unit."""
        code = trace.name_of(self._conn, unit)
        return self._identity.unit(unit) if code is None else self._identity.code(code)

    def evidence(self) -> dict[str, list[str]]:
        """Why each container's children are believed to be in it, by its name. The cloud's answers
        do not say it, and its containers are judged by it all the same."""
        found: dict[str, list[str]] = {}
        for (unit,) in self._conn.execute("SELECT unit FROM container ORDER BY unit").fetchall():
            links = content.links(self._conn, unit).values()
            kinds = {str(link.evidence) for link in links if link.child is not None}
            found[self.uri(unit)] = sorted(kinds)
        return found

    def containers(self) -> Iterator[tuple[str, str | None, Held]]:
        """Every container in the order in which they were formed: its name, that of the one it is
        in, and what it holds; `doubtful` and `rejected` are said of itself alone."""
        for (unit,) in self._conn.execute("SELECT unit FROM container ORDER BY unit").fetchall():
            row, box = units.get(self._conn, unit), trace.find_container(self._conn, unit)
            assert box is not None
            links = content.links(self._conn, unit).values()
            known = [self.uri(link.child) for link in links if link.child is not None]
            yield (
                self.uri(unit),
                None if row.parent is None else self.uri(row.parent),
                Held(
                    names.text(self._conn, row.level),
                    Counter(known),
                    len(links) - len(known),
                    None if box.integrity is None else str(INTEGRITY[box.integrity]),
                    bool(row.flags & (DOUBTFUL | BROKEN)),
                    UNIT_STATES[row.state] == UnitState.REJECTED,
                ),
            )


class Cloud:
    """The cloud's answers. `known` are the names of all containers that it was told of."""

    def __init__(self, ask: Ask, known: Iterable[str]) -> None:
        self._ask = ask
        self.known = {str(ask(uri).get("name", uri)) for uri in known}

    def held(self, uri: str) -> tuple[str, Held] | None:
        """The name that a container bears there now, and the container; None if it knows none."""
        answer = self._ask(uri)
        if "down" not in answer:
            return None
        children = [each["code"] for each in answer["down"] if not each.get("elsewhere")]
        return answer["name"], Held(
            answer.get("level", ""),
            Counter(map(str, children)),
            answer["unknown"] + answer["down_left_off"],
            answer["integrity"],
            answer["doubtful"] or answer["broken"],
            answer["state"] == UnitState.REJECTED,
        )


def compare(
    result: Result,
    record: Record,
    cloud: Cloud,
    relations: Iterable[Mapping[str, Any]],
    physical: Sequence[Mapping[str, Any]],
    fates: Sequence[Mapping[str, Any]],
    code: Callable[[str], str],
) -> None:
    """Count in `result.cloud_*` where the cloud's containers differ from the record's, where its
    relations put an item elsewhere, or where the plant's account says otherwise of its containers.
    `code` makes a URI of a code's text."""
    missing = wrong = 0
    kept = {uri: (above, own) for uri, above, own in record.containers()}
    found = {uri: cloud.held(uri) for uri in kept}

    def chain(uri: str | None) -> Iterator[str]:
        """A container and those around it, as far as the cloud was told."""
        while uri is not None and found[uri] is not None:
            yield uri
            uri = kept[uri][0]

    answered: dict[str, Held] = {}
    evidence = record.evidence()
    for uri, (above, own) in kept.items():
        told = found[uri]
        if told is None:
            if own.integrity is not None:  # one that was never closed need not be told
                missing += 1
                result.notes.append(f"cloud: {own.level} {uri} is not known there")
            continue
        name, said = told
        around = [kept[each][1] for each in chain(above)]
        full = replace(
            own,
            doubtful=own.doubtful or any(each.doubtful for each in around),
            rejected=own.rejected or any(each.rejected for each in around),
        )
        if differences := full.differs(said):
            wrong += 1
            result.notes.append(f"cloud: {own.level} {uri}: {'; '.join(differences)}")
            answered[name] = said
        else:
            answered[name] = replace(said, doubtful=own.doubtful, rejected=own.rejected)
    extra = sorted(cloud.known - answered.keys())
    result.notes += [f"cloud: {uri} is a container there and none in the record" for uri in extra]
    last = {row["bottle"]: row for row in relations if "bottle" in row}
    for uri, (_, own) in kept.items():
        places = {kept[each][1].level: each for each in chain(uri)}
        for item in own.children.keys() - kept.keys() if places else ():
            row = last.get(item, {})
            if places != {level: row[level] for level in LEVELS if row.get(level)}:
                wrong += 1
                result.notes.append(f"cloud: the relations of {item} are {row}, not {places}")
    judged = _judged(answered, physical, fates, code, evidence)
    for name in JUDGED:
        before, now = getattr(result, name), getattr(judged, name)
        if before != now:
            wrong += abs(now - before)
            result.notes.append(f"cloud: {name} is {now} of its containers, {before} of the record")
    result.cloud_missing, result.cloud_extra, result.cloud_wrong = missing, len(extra), wrong


def _judged(
    answered: Mapping[str, Held],
    physical: Sequence[Mapping[str, Any]],
    fates: Sequence[Mapping[str, Any]],
    code: Callable[[str], str],
    evidence: Mapping[str, Sequence[str]],
) -> Result:
    """What the plant's account says of the cloud's containers."""
    texts = {
        code(text): text
        for each in physical
        for text in (each["code"], *each["children"])
        if text is not None
    }
    rows = [
        {
            "level": held.level,
            "code": texts.get(name),
            "children": [*map(texts.get, held.children.elements()), *[None] * held.unknown],
            "evidence": evidence.get(name, ()),
            "integrity": held.integrity,
            "state": str(UnitState.REJECTED) if held.rejected else "",
            "doubtful": held.doubtful,
        }
        for name, held in answered.items()
    ]
    judged = Result()
    contents(judged, list(physical), list(fates), rows)
    return judged
