"""What is true now, from everything that was ever said of some things. Pure.

Statements come in whatever order the network gave them; here they are put into one order (of an
agent by its rows, across agents by the time) and played through. The same statements give the same
answer, however they arrived. Times of a clock that was not set count only between two that were.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

WEAKEST = ("proven", "anchored", "inferred", "incomplete")
"""Integrities, the strongest first."""

CLAIMED = frozenset({"read", "scanned"})
"""Evidence with which a link takes nothing from its container's worth."""


class Stream(NamedTuple):
    """An agent's epoch. Rows from `cut` on were lost by the agent when it was restored."""

    id: int
    agent: str
    epoch: str
    first: int
    upto: int
    cut: int | None
    event_ms: int | None
    heard_ms: int


class Statement(NamedTuple):
    """One event. `about` are the things that it names (of an aggregation: the parent)."""

    event: int
    stream: Stream
    seq: int
    n: int
    part: int
    uuid: bytes
    ms: int
    detail: Mapping[str, Any]
    about: tuple[bytes, ...] = ()
    children: tuple[bytes, ...] | None = None

    @property
    def place(self) -> tuple[int, int, int, int]:
        """Its place among the statements of its agent."""
        return self.stream.id, self.seq, self.n, self.part

    @property
    def lost(self) -> bool:
        """Whether its agent does not know it any more."""
        return self.stream.cut is not None and self.seq >= self.stream.cut


def in_order(statements: Iterable[Statement]) -> list[Statement]:
    """All statements in one order, the same whatever order they are given in."""
    by_agent = sorted(statements, key=lambda each: (each.stream.agent, each.place))
    agents = [list(group) for _, group in groupby(by_agent, key=lambda each: each.stream.agent)]
    times = [_times(own) for own in agents]
    left: dict[tuple[str, str, str], int] = {}
    for own, at in zip(agents, times, strict=True):
        for each, ms in zip(own, at, strict=True):
            if each.detail.get("bizStep") == "shipping":
                left.update((paper, max(ms, left.get(paper, ms))) for paper in papers_of(each))
    timed: list[tuple[int, str, tuple[int, int, int, int], Statement]] = []
    for own, at in zip(agents, times, strict=True):
        now = 0
        for each, ms in zip(own, at, strict=True):
            now = max(now, ms)
            if each.detail.get("bizStep") == "receiving":
                # What a paper says was shipped was received later, whatever the clocks say.
                now = max([now, *(left[paper] + 1 for paper in papers_of(each) if paper in left)])
            timed.append((now, each.stream.agent, each.place, each))
    timed.sort(key=lambda entry: entry[:3])
    return [entry[3] for entry in timed]


def papers_of(each: Statement) -> list[tuple[str, str, str]]:
    """The dispatch advices and returns that an event refers to, with the parties: each sender has
    numbers of its own. What left is found by a receipt that does not say from whom it came, too."""
    listed = each.detail.get("bizTransactionList")
    numbers = [
        str(paper.get("bizTransaction"))
        for paper in (listed if isinstance(listed, list) else ())
        if isinstance(paper, dict) and paper.get("type") in ("desadv", "rma")
    ]
    source = _end(each.detail.get("sourceList"), "source", "possessing_party")
    party = _end(each.detail.get("destinationList"), "destination", "possessing_party")
    if each.detail.get("bizStep") != "shipping":
        return [(number, source, party) for number in numbers]
    ways = dict.fromkeys((sender, to) for sender in (source, "") for to in (party, ""))
    return [(number, *way) for number in numbers for way in ways]


def _times(own: list[Statement]) -> list[int]:
    """Times of one agent's statements that never go back."""
    synced = [each.detail.get("x:clock") == "synced" for each in own]
    ceiling: list[int | None] = [None] * len(own)
    after: int | None = None
    for n in range(len(own) - 1, -1, -1):
        ceiling[n] = after
        if synced[n]:
            after = own[n].ms if after is None else min(after, own[n].ms)
    found: list[int] = []
    for n, each in enumerate(own):
        at = each.ms
        top = ceiling[n]
        if top is not None and not synced[n]:
            at = min(at, top)
        found.append(max(at, found[-1]) if found else at)
    return found


@dataclass
class Container:
    """What a container holds. `children` by key with the evidence, in the order they came."""

    children: dict[bytes, str] = field(default_factory=dict)
    by: dict[bytes, Statement] = field(default_factory=dict)
    level: str = ""
    integrity: str = ""
    expected: int | None = None
    unknown: int = 0
    own: str = ""
    reason: str = ""
    doubtful: bool = False
    broken: bool = False
    full: tuple[int, int] | None = None


@dataclass
class Thing:
    """What is known of a thing. `where` and the rest follow its containers."""

    state: str = ""
    reason: str = ""
    doubtful: bool = False
    holds: set[str] = field(default_factory=set)
    holder: str = ""
    place: str = ""
    transit: bool = False
    toward: str = ""
    counted_ms: int = 0
    before: tuple[str, str, bool, str] | None = None
    former: list[tuple[bytes, int, int]] = field(default_factory=list)
    since: dict[bytes, int] = field(default_factory=dict)


class World:
    """Plays statements through for some things; `name` maps a key to the thing it names now."""

    def __init__(self, name: Mapping[bytes, bytes], of_interest: Iterable[bytes]) -> None:
        self.name = name
        self.containers: dict[bytes, Container] = {}
        self.things: dict[bytes, Thing] = {self.now(key): Thing() for key in of_interest}
        self.parent: dict[bytes, bytes] = {}
        self.off: set[bytes] = set()
        """What was itself taken off the line and has not come back."""
        self.mattered: dict[bytes, list[Statement]] = {key: [] for key in self.things}
        self._up: set[bytes] = set()

    def now(self, key: bytes) -> bytes:
        """The key under which the thing is known now."""
        return self.name.get(key, key)

    def play(self, statements: Iterable[Statement], until: int | None = None) -> None:
        """All statements, once; those after the event `until` not any more."""
        said = in_order(statements)
        wrong = {
            each.uuid
            for each in said
            if each.children is None and "errorDeclaration" in each.detail
        }
        for each in said:
            if each.children is not None:
                self._aggregation(each)
            elif each.uuid in wrong:
                self._never(each)
            else:
                self._object(each)
            if each.event == until:
                return

    def chain(self, thing: bytes) -> list[bytes]:
        """The containers around a thing, the nearest first."""
        found: list[bytes] = []
        at = self.parent.get(thing)
        while at is not None and at not in found and at != thing:
            found.append(at)
            at = self.parent.get(at)
        return found

    def weakest(self, thing: bytes) -> str | None:
        """The weakest integrity of the chain; None: not known yet, or in no container."""
        chain = self.chain(thing)
        if thing in self.containers:
            chain = [thing, *chain]
        worth = [self.containers[each].integrity for each in chain]
        if not worth or any(each not in WEAKEST for each in worth):
            return None
        return max(worth, key=WEAKEST.index)

    def state(self, thing: bytes) -> str:
        """What it is now, "" = nobody said; one in a container has the container's refusal."""
        state, chain = self.things[thing].state, self.chain(thing)
        if not chain or state not in ("", "commissioned"):
            return state
        return "rejected" if self.off.intersection(chain) else "packed"

    def doubtful(self, thing: bytes) -> bool:
        """Whether it or a container around it is in doubt or broken."""
        chain = [self.containers[each] for each in self.chain(thing)]
        own = self.containers.get(thing)
        told = self.things.get(thing)
        return any(each.doubtful or each.broken for each in ([own] if own else []) + chain) or (
            told is not None and told.doubtful
        )

    # -------------------------------------------------------------------------- containers

    def _aggregation(self, each: Statement) -> None:
        parent = self.now(each.about[0])
        box = self.containers.setdefault(parent, Container())
        children = tuple(self.now(child) for child in each.children or ())
        for child in (parent, *children):
            if child in self.mattered:
                self.mattered[child].append(each)
        detail = each.detail
        if "errorDeclaration" in detail:
            for child in [child for child, by in box.by.items() if by.uuid == each.uuid]:
                self._out(parent, box, child, each)
        elif detail.get("action") == "DELETE":
            for child in children or tuple(box.children):
                self._out(parent, box, child, each)
            box.unknown = max(0, box.unknown - _number(detail.get("x:unknown")))
        else:
            if "x:expectedQuantity" in detail:
                self._whole(parent, box, each, children)
            else:
                box.unknown += _number(detail.get("x:unknown"))
            evidence = _evidence(detail.get("x:evidence"), each.children or (), self)
            for child in children:
                self._in(parent, box, child, evidence.get(child, ""), each)
            if "x:expectedQuantity" not in detail and box.integrity:
                weak = any(evidence.get(child, "") not in CLAIMED for child in children)
                box.integrity = _weaker(box.integrity, "inferred" if weak else "proven")
        if box.unknown and box.integrity:
            box.integrity = "incomplete"

    def _whole(
        self, parent: bytes, box: Container, each: Statement, children: tuple[bytes, ...]
    ) -> None:
        """A statement of all that a container holds, maybe in several parts of one row."""
        detail = each.detail
        if box.full != (each.stream.id, each.seq):
            box.full = (each.stream.id, each.seq)
            for child in [child for child in box.children if child not in children]:
                self._out(parent, box, child, each)
        box.level = _word(detail.get("x:level")) or box.level
        box.expected = _number(detail.get("x:expectedQuantity"))
        box.unknown = _number(detail.get("x:unknown"))
        box.integrity = _word(detail.get("x:integrity"))
        box.own = _word(detail.get("x:own")) or box.own
        box.reason = _word(detail.get("x:partialReason"))
        box.doubtful = detail.get("x:doubtful") is True
        box.broken = False

    def _in(
        self, parent: bytes, box: Container, child: bytes, evidence: str, each: Statement
    ) -> None:
        if child == parent or child in self.chain(parent):
            return  # a thing is in nothing that it holds
        before = self.parent.get(child)
        if before is not None and before != parent:
            other = self.containers.setdefault(before, Container())
            other.broken = True
            self._out(before, other, child, each)
        box.children.setdefault(child, evidence)
        box.children[child] = evidence or box.children[child]
        box.by[child] = each
        if before != parent:
            self.parent[child] = parent
            if child in self.things:
                self.things[child].since[parent] = each.ms

    def _out(self, parent: bytes, box: Container, child: bytes, each: Statement) -> None:
        if box.children.pop(child, None) is None:
            return
        del box.by[child]
        if self.parent.get(child) == parent:
            del self.parent[child]
        thing = self.things.get(child)
        if thing is not None:
            thing.former.append((parent, thing.since.pop(parent, each.ms), each.ms))

    # ------------------------------------------------------------------------------ things

    def _never(self, each: Statement) -> None:
        """What was declared wrong is in the history, and nothing else of it counts."""
        for named in {self.now(key) for key in each.about}:
            for thing in self.things:
                if thing == named or named in self.chain(thing):
                    self.mattered[thing].append(each)

    def _object(self, each: Statement) -> None:
        for key in each.about:
            named = self.now(key)
            self._restate(named, each)
            step, disposition = each.detail.get("bizStep"), each.detail.get("disposition")
            if step == "inspecting" and disposition in _OFF:
                (self.off.add if _OFF[disposition] else self.off.discard)(named)
            for thing in self.things:
                if thing == named or named in self.chain(thing):
                    if thing == named or step not in _OWN:
                        self._happened(self.things[thing], key, thing, each)
                    self.mattered[thing].append(each)

    def _restate(self, key: bytes, each: Statement) -> None:
        """What an event about a container itself says of its content."""
        detail = each.detail
        box = self.containers.get(key)
        if "x:expectedQuantity" in detail:
            box = self.containers.setdefault(key, Container())
            self._whole(key, box, each, ())
        elif box is not None:
            if detail.get("bizStep") == "inspecting":
                box.unknown = max(0, box.unknown - _number(detail.get("x:unknown")))
            if word := _word(detail.get("x:integrity")):
                box.integrity = word
                box.broken = False
            if isinstance(doubt := detail.get("x:doubtful"), bool):
                box.doubtful = doubt
                box.broken &= doubt
            box.broken |= detail.get("x:broken") is True

    def _happened(self, thing: Thing, key: bytes, named: bytes, each: Statement) -> None:
        detail = each.detail
        step, disposition = detail.get("bizStep"), detail.get("disposition")
        if step == "decommissioning" and self.now(key) == named and key != named:
            return  # an old code of the thing died, the thing lives
        state = _STATES.get((step, disposition)) or _STATES.get((step, None))
        if state is not None:
            thing.state, thing.reason = state, _word(detail.get("x:reason"))
        if isinstance(doubt := detail.get("x:doubtful"), bool) and self.now(key) == named:
            thing.doubtful = doubt
        if step == "holding":
            hold = f"{each.stream.agent}/{detail.get('x:hold', '')}"
            (thing.holds.add if detail.get("x:held") else thing.holds.discard)(hold)
        elif step in _MOVES:
            _move(thing, step, each)


_STATES: Mapping[tuple[Any, Any], str] = {
    ("commissioning", None): "commissioned",
    ("inspecting", "non_sellable_other"): "rejected",
    ("inspecting", "active"): "commissioned",
    ("sampling", None): "sampled",
    ("destroying", None): "destroyed",
    ("decommissioning", None): "void",
    ("shipping", None): "shipped",
    ("receiving", None): "received",
    ("void_shipping", None): "commissioned",
}

_OWN = frozenset({"commissioning", "decommissioning", "inspecting"})
"""Steps that say something of what they name and nothing of what is in it."""

_OFF: Mapping[Any, bool] = {"non_sellable_other": True, "active": False}
"""Dispositions of an inspection that take a thing off the line, or back."""

_MOVES = frozenset({"shipping", "void_shipping", "receiving", "stock_taking", "commissioning"})


def _move(thing: Thing, step: str, each: Statement) -> None:
    detail = each.detail
    party = _end(detail.get("destinationList"), "destination", "possessing_party")
    place = _end(detail.get("destinationList"), "destination", "location")
    here = _id(detail.get("bizLocation")) or _id(detail.get("readPoint"))
    if step == "shipping":
        thing.before = (thing.holder, thing.place, thing.transit, thing.toward)
        thing.transit, thing.toward, thing.place = True, place, ""
        thing.holder = party
    elif step == "void_shipping":
        if thing.before is not None:
            thing.holder, thing.place, thing.transit, thing.toward = thing.before
            thing.before = None
    elif step == "receiving":
        thing.holder = party or thing.holder
        thing.place, thing.transit, thing.toward = place or here, False, ""
    elif step == "stock_taking":
        thing.counted_ms = each.ms
        if not thing.transit:
            thing.place = here
    else:
        thing.place = here


def _weaker(one: str, other: str) -> str:
    if one not in WEAKEST or other not in WEAKEST:
        return ""
    return max(one, other, key=WEAKEST.index)


def _evidence(said: Any, uris: tuple[bytes, ...], world: World) -> dict[bytes, str]:
    """Evidence by child. Where a mapping names children by URI, reading has made keys of them."""
    if isinstance(said, str):
        return {world.now(child): said for child in uris}
    if isinstance(said, dict):
        return {world.now(child): _word(word) for child, word in said.items()}
    if isinstance(said, list) and len(said) == len(uris):
        return {world.now(child): _word(word) for child, word in zip(uris, said, strict=True)}
    return {}


def _number(value: Any) -> int:
    return value if isinstance(value, int) and 0 <= value < 1 << 31 else 0


def _word(value: Any) -> str:
    return value[:200] if isinstance(value, str) else ""


def _id(value: Any) -> str:
    return _word(value.get("id")) if isinstance(value, dict) else ""


def _end(listed: Any, word: str, kind: str) -> str:
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict) and each.get("type") == kind:
            return _word(each.get(word))
    return ""
