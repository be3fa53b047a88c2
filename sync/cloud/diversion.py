"""Diversion 窜货: units with a party, in a territory or channel other than what they were sent to.

Pure. A unit's way is folded from all that was said of it and of what it was in, in one order, so it
does not matter whose agent told first. What is accused is the unit that a person can hold in the
hand: the one that was named when it was seen, or those in it that were sent by a name of their own.
A link that is only inferred carries no accusation: such a finding is weak, and what is weak stays
suspected until a second unit agrees (`verdict`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sync.cloud import freight
from sync.cloud.fold import WEAKEST, Statement, World
from sync.cloud.keys import key
from sync.cloud.parties import Belongs

FIRM = frozenset({"proven", "anchored"})
"""Integrity of containers whose links carry an accusation."""


class Step(NamedTuple):
    """Something that happened to a unit, told of `path[-1]`: the unit, then what it was in."""

    said: Statement
    path: tuple[bytes, ...]


class Sent(NamedTuple):
    """A shipment of a unit to a party."""

    step: Step
    source: str
    party: str
    territory: str
    channel: str
    number: str


class Seen(NamedTuple):
    """Where a unit was: with a party, in a territory, in a channel ("" = not told)."""

    step: Step
    how: str
    party: str
    territory: str
    channel: str


@dataclass
class Finding:
    """A unit was seen elsewhere than where it was sent. `why` is party, territory or channel.
    `closed` says by what it was settled, "" = by nothing."""

    unit: bytes
    why: str
    sent: Sent
    seen: Seen
    closed: str = ""
    times: int = 1

    @property
    def case(self) -> bytes:
        """The case that it belongs to: one shipment, seen at one place."""
        sent, seen = self.sent, self.seen
        where = {"party": seen.party, "territory": seen.territory, "channel": seen.channel}
        parts = (sent.source, sent.party, sent.number, self.why, seen.party, where[self.why])
        return key("\n".join(("diversion", *parts)))


class Travels(World):
    """A world that keeps the way of each of its things."""

    def __init__(self, name: Mapping[bytes, bytes], of_interest: Iterable[bytes]) -> None:
        super().__init__(name, of_interest)
        self.ways: dict[bytes, list[Step]] = {thing: [] for thing in self.things}

    def _object(self, each: Statement) -> None:
        super()._object(each)
        if not freight.sees(each.detail):
            return
        named = {self.now(about) for about in each.about}
        for thing, way in self.ways.items():
            path = [thing, *self.chain(thing)]
            at = next((n for n, one in enumerate(path) if one in named), None)
            if at is not None:
                way.append(Step(each, tuple(path[: at + 1])))


@dataclass
class _Way:
    """The fold of one unit's steps."""

    unit: bytes
    belongs: Belongs
    sent: list[Sent] = field(default_factory=list)
    found: dict[bytes, Finding] = field(default_factory=dict)
    unsent: bool = False

    def see(self, seen: Seen) -> None:
        if not self.sent:
            self.unsent = True
            return
        sent = self.sent[-1]
        why = _differs(sent, seen, self.belongs)
        if why and seen.party not in self.upstream():
            finding = Finding(self.unit, why, sent, seen)
            there = self.found.setdefault(finding.case, finding)
            if there is not finding:
                there.times += 1

    def upstream(self) -> set[str]:
        """Who had it by right before it was sent last: with them it is at home."""
        return {each.source for each in self.sent if each.source} | {
            each.party for each in self.sent[:-1]
        }

    def settle(self, why: str, party: str) -> None:
        """What was seen with a party is as it should be, from now on."""
        for finding in self.found.values():
            if not finding.closed and finding.seen.party == party and finding.why == "party":
                finding.closed = why


class Judged(NamedTuple):
    """What is wrong with the way of a unit. `unsent`: it was seen before it was sent by any name;
    what it holds may have been sent. `sent` is the last shipment that it came by, in effect."""

    findings: list[Finding]
    unsent: bool
    sent: Sent | None


def judged(unit: bytes, steps: Sequence[Step], belongs: Belongs) -> Judged:
    """The way of a unit, judged."""
    way = _Way(unit, belongs)
    taken_back = _taken_back(steps)
    for step in steps:
        detail = step.said.detail
        source, party = freight.ends(detail)
        returned = detail.get("disposition") == "returned"
        match detail.get("bizStep"):
            case "shipping" if step.said.event in taken_back:
                continue
            case "shipping" if source and source == party:
                way.see(_seen(step, "held", party))
            case "shipping" if returned:
                way.see(_seen(step, "returned", source))
                _returned(way, source, party)
            case "shipping":
                _shipped(way, step, source, party)
            case "receiving" if returned:
                if not _returned(way, source, party):
                    way.see(_seen(step, "received", party))
            case "receiving":
                way.see(_seen(step, "received", party))
            case "stock_taking":
                way.see(_seen(step, "counted", freight.owner(detail)))
            case "inspecting" if detail.get("x:inspection"):
                how = "refused" if detail.get("x:refused") is True else "inspected"
                told = (_word(detail, name) for name in ("x:party", "x:territory", "x:channel"))
                way.see(Seen(step, how, *told))
    return Judged(list(way.found.values()), way.unsent, way.sent[-1] if way.sent else None)


def _shipped(way: _Way, step: Step, source: str, party: str) -> None:
    detail = step.said.detail
    territory, channel = _word(detail, "x:territory"), _word(detail, "x:channel")
    if way.sent and source:
        before = way.sent[-1]
        rightful = way.belongs(source, before.party)
        again = source in way.upstream()  # its sender has sent it elsewhere instead
        if rightful or again:
            way.settle("transferred", party)
        if not again:
            way.see(Seen(step, "sold", source, territory, channel))
    way.sent.append(Sent(step, source, party, territory, channel, freight.paper(detail, "desadv")))


def _returned(way: _Way, source: str, party: str) -> bool:
    """Whether this takes goods back to who had sent them, or to whom they had been sent."""
    back = next(
        (
            n
            for n in range(len(way.sent) - 1, -1, -1)
            if party in (way.sent[n].source, way.sent[n].party)
        ),
        None,
    )
    if back is None:
        return False
    for finding in way.found.values():
        if not finding.closed:
            finding.closed = "returned"
    if party == way.sent[back].source:
        del way.sent[back:]
    else:
        del way.sent[back + 1 :]
    return True


def _taken_back(steps: Sequence[Step]) -> set[int]:
    """The shippings that their agent has reversed: by its own rows, whatever the clocks said."""
    gone: set[int] = set()
    open_: dict[tuple[str, ...], list[int]] = {}
    for each in sorted(steps, key=lambda one: (one.said.stream.agent, one.said.place)):
        detail = each.said.detail
        which = (each.said.stream.agent, *freight.ends(detail), freight.paper(detail, "desadv"))
        if detail.get("bizStep") == "shipping":
            open_.setdefault(which, []).append(each.said.event)
        elif detail.get("bizStep") == "void_shipping":
            gone.update(open_.pop(which, ()))
    return gone


def _differs(sent: Sent, seen: Seen, belongs: Belongs) -> str:
    if seen.party and not belongs(seen.party, sent.party):
        return "party"
    if seen.territory and sent.territory and seen.territory != sent.territory:
        return "territory"
    if seen.channel and sent.channel and seen.channel != sent.channel:
        return "channel"
    return ""


def _seen(step: Step, how: str, party: str) -> Seen:
    detail = step.said.detail
    return Seen(step, how, party, _word(detail, "x:territory"), _word(detail, "x:channel"))


def _word(detail: Mapping[str, Any], name: str) -> str:
    value = detail.get(name)
    if not isinstance(value, str):
        return ""
    return freight.party_of(value) if name == "x:party" else value


# ------------------------------------------------------------------------------------ its worth


def worth(world: World, finding: Finding, weak: bool = False) -> str:
    """The weakest integrity of the links that the finding needs; "proven" where it needs none.
    `weak`: the code that was scanned is not known well to be on the unit."""
    found = "inferred" if weak else "proven"
    for step in (finding.sent.step, finding.seen.step):
        for box in step.path[1:]:
            container = world.containers.get(box)
            word = container.integrity if container is not None else ""
            if container is not None and word in FIRM and (container.doubtful or container.broken):
                word = "inferred"
            if word not in WEAKEST:
                word = "incomplete"
            found = max(found, word, key=WEAKEST.index)
    return found


class Voice(NamedTuple):
    """What one unit says in a case: how firmly, and by what it was settled."""

    unit: bytes
    worth: str
    closed: str


def verdict(voices: Sequence[Voice]) -> str:
    """open, suspected or closed: a weak link needs a second unit that agrees."""
    standing = [voice for voice in voices if not voice.closed]
    if not standing:
        return "closed"
    firm = any(voice.worth in FIRM for voice in standing)
    return "open" if firm or len({voice.unit for voice in standing}) > 1 else "suspected"
