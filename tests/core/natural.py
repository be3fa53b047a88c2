"""A line on which nothing goes wrong: what happens next, and the machine's rules that let it run.

The invariant of every rule stands here too: what must hold is checked after each event.
"""

import sys
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agent.core.evolve import has_gate
from tests.core.belt import Thing
from tests.core.hands import Hands
from tests.core.play import Play
from tests.core.sites import SITES

FIRST_NUMBERS = (0, 4090, 65530)
"""Where the PLC's numbers begin: 12 and 16 bits wrap within an example."""
CROWD = 6
"""Things that may be on one path, or between an eye and its gate."""

SOME = st.integers(0, 1 << 16)

Event = tuple[Callable[..., Any], tuple[Any, ...]]


def waits(p: Play, thing: Thing) -> bool:
    """Whether a reader has not answered for this thing."""
    return any(awaited.thing is thing for awaited in p.awaited)


def events(p: Play) -> list[Event]:
    """The events that may come next, in no order, but for bottles that are fed."""
    belt = p.belt
    found: list[Event] = [(p.read, (awaited,)) for awaited in p.awaited[:4]]
    for station in p.plan.stations:
        s = station.id
        way = p.plan.out_of.get(s)
        room = way is None or len(belt.path[way.target]) < CROWD
        printer = belt.printers.get(s)
        if belt.here[s] and room and not waits(p, belt.here[s][0]):
            found.append((p.gate, (station,)))
        if station.kind == "pack":
            found += _packing(p, s)
        elif belt.path[s] and len(belt.here[s]) < CROWD and (room or has_gate(station)):
            ready = printer is None or station.kind != "print" or printer.device
            if ready and (station.kind != "label" or printer is None or printer.labels):
                found.append((p.trigger, (station,)))
        if printer is not None:
            found += _printing(p, s)
    return found


def _printing(p: Play, s: str) -> list[Event]:
    printer = p.belt.printers[s]
    coder = printer.station.kind == "print"
    found: list[Event] = []
    if printer.waiting:
        found.append((p.hand_over, (s,)))
    elif coder and len(printer.device) < 2:
        found.append((p.refill, (s,)))
    if printer.reports:
        found.append((p.report, (s,)))
    if not coder and printer.device:
        found.append((p.label, (s,)))
    return found


def _packing(p: Play, pack: str) -> list[Event]:
    belt = p.belt
    found: list[Event] = []
    station = p.plan.by_id[pack]
    lanes = belt.lanes[pack]
    if belt.path[pack]:
        shortest = min(range(len(lanes)), key=lambda lane: len(lanes[lane]))
        if len(lanes[shortest]) < CROWD:
            found.append((p.enter, (station, shortest)))
    if belt.lined[pack] and len(belt.here[pack]) < 2:
        found.append((p.look, (station,)))
    wanted = p.site.scheme.level(station.level).children
    boxes = belt.boxes[pack]
    held = len(boxes[0].children) if boxes else 0
    each = min(len(lane) for lane in lanes)
    step = min(each * len(lanes), wanted - held, 2 * len(lanes))
    counts = [step // len(lanes) + (n < step % len(lanes)) for n in range(len(lanes))]
    busy = bool(boxes) and waits(p, boxes[0])
    if step > 0 and len(belt.lined[pack]) < 3 and not busy:
        found.append((p.stroke, (station, counts, held + step >= wanted)))
    return found


def never(event: Event) -> bool:
    return False


class Natural(RuleBasedStateMachine):
    """One line that runs as it should."""

    sites = tuple(SITES)

    def __init__(self) -> None:
        super().__init__()
        self.play: Hands | None = None

    @property
    def p(self) -> Hands:
        assert self.play is not None
        return self.play

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        site = data.draw(st.sampled_from(self.sites), "site")
        first = data.draw(st.sampled_from(FIRST_NUMBERS), "first number")
        self.play = Hands(SITES[site], first)

    def teardown(self) -> None:
        if self.play is not None:
            try:
                if sys.exc_info()[0] is None:
                    self.play.end()
            finally:
                self.play.rig.remove()

    @invariant()
    def rules_hold(self) -> None:
        if self.play is not None:
            self.play.check()

    # ------------------------------------------------------------------------- as it should be

    def events(self) -> list[Event]:
        """What may happen next; a bottle is fed last."""
        found = events(self.p)
        if len(self.p.belt.path[self.p.plan.stations[0].id]) < 2:
            found.append((self._feed, ("good", 0)))
        return found

    @rule(steps=st.integers(1, 40), pick=SOME)
    def work(self, steps: int, pick: int) -> None:
        for _ in range(steps):
            events = self.events()
            if not events:
                return
            pick = (pick * 1103515245 + 12345) & 0x7FFFFFFF
            do, given = events[(pick >> 8) % len(events)]
            do(*given)
            self.p.check()

    def until(self, there: Callable[[], object], *, but: Callable[[Event], bool] = never) -> bool:
        """Let the line run, downstream last, until `there` is so; False if it will not come."""
        for _ in range(300):
            if there():
                return True
            todo = [event for event in self.events() if not but(event)]
            if not todo:
                return False
            do, given = todo[0]
            do(*given)
            self.p.check()
        return False

    @rule(cycles=st.integers(1, 3))
    def run_full(self, cycles: int) -> None:
        """Downstream first, until some containers are through or nothing moves."""
        done = len(self.p.belt.done)
        for _ in range(120 * cycles):
            events = self.events()
            if not events or len(self.p.belt.done) >= done + cycles:
                return
            downstream = [event for event in events if event[0] != self._feed]
            do, given = (downstream or events)[-1]
            do(*given)
            self.p.revive()
        self.p.check()

    # ------------------------------------------------------------------------- bottles

    def _feed(self, kind: str, pick: int) -> Thing:
        p = self.p
        bottle = p.belt.make("bottle")
        bottles = [t for t in p.belt.things if t.level == "bottle" and t.marks]
        old = bottles[pick % len(bottles)] if bottles else None
        if p.site.name == "coded":
            if kind == "duplicate" and old is not None:
                bottle.marks["body"] = list(old.marks.get("body", []))
            elif kind == "foreign":
                bottle.marks["body"] = [p.site.pools[4].texts[0][2 + pick % 6]]
            elif kind == "unsent":
                bottle.marks["body"] = [p.site.pools[0].texts[0][-1 - pick % 9]]
        else:
            bottle.marks["body"] = [p.next_text(1, 0)]
            if p.site.name == "roles":
                row = p.taken[1] - 1
                bottle.marks["cap"] = [p.next_text(1, 1, row)]
                if pick % 3 == 0:
                    bottle.marks["neck"] = [f"NECK-{len(p.belt.things)}"]
            self._spoil(bottle, kind, pick, old)
        if kind == "torn":
            bottle.torn.add("body")
        if kind == "again" and p.belt.chute:
            back = p.belt.chute[pick % len(p.belt.chute)]
            if back.level == "bottle" and p.site.name != "coded":
                p.belt.chute.remove(back)
                back.off, back.granted = False, False
                bottle = back
        p.feed(bottle)
        return bottle

    def _spoil(self, bottle: Thing, kind: str, pick: int, old: Thing | None) -> None:
        p = self.p
        product = next(pool for pool in p.site.pools if pool.product == "Q")
        match kind:
            case "foreign":
                bottle.marks["body"] = [product.texts[0][2 + pick % 6]]
            case "void":
                bottle.marks["body"] = [p.site.pools[0].texts[0][pick % 2]]
            case "unknown":
                bottle.marks["body"] = ["ALIEN-1"]
            case "duplicate" if old is not None:
                bottle.marks = {role: list(texts) for role, texts in old.marks.items()}
            case "two":
                bottle.marks["body"].append(p.next_text(1, 0))
            case "set" if "cap" in bottle.marks:
                bottle.marks["cap"] = [p.next_text(1, 1, p.taken[1])]
            case "neck" if "neck" in bottle.marks and old is not None:
                bottle.marks["neck"] = list(old.marks.get("neck", []))
            case "bare":
                bottle.torn.add("cap" if pick % 2 else "neck")
