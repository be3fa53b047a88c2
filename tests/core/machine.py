"""The hypothesis state machine over the core and the commit gate: rules 1-5 and 8 of DOMAIN.md
("What must always hold") on a small simulated line on which everything goes wrong.

Run `python -m tests.core.machine --steps 1000000` for the long form.
"""

import argparse
import time
from collections.abc import Collection

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    precondition,
    rule,
    run_state_machine_as_test,
)

from agent.core import inputs as i
from agent.core.evolve import has_gate
from agent.core.plan import PathKind
from tests.core.belt import Thing
from tests.core.natural import CROWD, SOME, Natural, waits
from tests.core.sites import SITES


class Line(Natural):
    """Every rule here is a trouble or a person."""

    # ------------------------------------------------------------------------- bottles

    @rule(
        kind=st.sampled_from(
            (
                "torn",
                "duplicate",
                "foreign",
                "void",
                "unknown",
                "two",
                "set",
                "neck",
                "bare",
                "again",
                "unsent",
            )
        ),
        pick=SOME,
    )
    def feed(self, kind: str, pick: int) -> None:
        if len(self.p.belt.path[self.p.plan.stations[0].id]) < CROWD:
            bottle = self._feed(kind, pick)
            if pick % 2:
                visits = self.p.visits
                self.until(lambda: bottle in visits and visits[bottle].verdict)

    # ------------------------------------------------------------------------- readings and gates

    @precondition(lambda self: self.play and self.play.awaited)
    @rule(
        mode=st.sampled_from(
            (
                *("", "late", "blind", "old", "neighbour"),
                *("alien", "refused", "repeated", "grade", "nobody"),
            )
        ),
        pick=SOME,
        other=SOME,
    )
    def read(self, mode: str, pick: int, other: int) -> None:
        awaited = self.p.awaited[pick % len(self.p.awaited)]
        others = [t for t in self.p.belt.things if t is not awaited.thing and t.marks]
        near = others[other % len(others)] if others else None
        if mode == "repeated" and awaited.station.kind != "pack":
            mode = ""
        if mode == "grade" and awaited.station.kind == "pack":
            mode = ""
        if near is not None and self.p.boxes.get(awaited.thing) and awaited.station.kind == "pack":
            children = awaited.thing.children
            if near in children or any(child.torn for child in children):
                mode = ""  # a stranger in the place of an unread child cannot be told
        self.p.read(awaited, mode, near)

    @rule(pick=SOME, mode=st.sampled_from(("", "stays", "gone")))
    def gate(self, pick: int, mode: str) -> None:
        """The gate decides now: perhaps before the verdict is there."""
        ready = [s for s in self.p.plan.stations if self.p.belt.here[s.id]]
        if ready:
            self.p.gate(ready[pick % len(ready)], mode)

    @rule()
    def slow(self) -> None:
        """The next verdicts wait on their way to the PLC."""
        self.p.slow = True

    @rule()
    def flush(self) -> None:
        self.p.flush()

    @rule()
    def old_slot(self) -> None:
        """A PASS that comes after its gate has decided stays in its slot, and 16 items later the
        gate looks into this slot before that item's own verdict is there."""
        p = self.p
        station = next(s for s in p.plan.stations if s.kind == "verify" and has_gate(s))
        here = p.belt.here[station.id]
        if not self.until(lambda: not here):
            return
        p.slow = True
        gate = (p.gate, (station,))
        if not self.until(lambda: here and p.judged_well(here[0]), but=lambda e: e == gate):
            return
        again = here[0].number + 16 & 0xFFFF
        p.gate(station)
        p.flush()
        unread = self.until(
            lambda: here and here[0].number == again,
            but=lambda e: e[0] == p.read and e[1][0].number == again,
        )
        if unread:
            p.gate(station)

    # ------------------------------------------------------------------------- hands and rejectors

    def _on_paths(self) -> list[tuple[str, int]]:
        first = self.p.plan.stations[0].id
        return [
            (station, at)
            for station, things in self.p.belt.path.items()
            for at in range(len(things))
            if station != first
        ]

    @rule(pick=SOME, told=st.booleans())
    def take_off(self, pick: int, told: bool) -> None:
        places = self._on_paths()
        if places:
            station, at = places[pick % len(places)]
            (self.p.foreign if told else self.p.remove)(station, at)
            if pick % 2:
                self.until(lambda: not self.p.belt.path[station])

    @rule(pick=SOME)
    def overtake(self, pick: int) -> None:
        """On a mixed path things arrive in any order."""
        for station in self.p.plan.stations:
            way = self.p.plan.into.get(station.id)
            things = self.p.belt.path[station.id]
            if way is not None and way.kind is PathKind.MIXED and things:
                self.p.enter(station, 0, pick % len(things))

    # ------------------------------------------------------------------------- containers

    @rule(pick=SOME, counts=st.lists(st.integers(0, 4), min_size=2, max_size=2), last=st.booleans())
    def stroke(self, pick: int, counts: list[int], last: bool) -> None:
        """The packer moves what it should not: too few, too many, into a second container."""
        packs = [s for s in self.p.plan.stations if s.kind == "pack"]
        station = packs[pick % len(packs)]
        lanes, boxes = self.p.belt.lanes[station.id], self.p.belt.boxes[station.id]
        counts = [min(c, len(lane)) for c, lane in zip(counts, lanes, strict=False)]
        at = pick // 7 % min(len(boxes) + 1, 2)
        if at < len(boxes) and waits(self.p, boxes[at]):
            return
        if sum(counts) and len(self.p.belt.lined[station.id]) < 3:
            self.p.stroke(station, counts, last, at)

    @rule(pick=SOME)
    def overfill(self, pick: int) -> None:
        """The lanes fill up, and the packer moves one child too many."""
        packs = [s for s in self.p.plan.stations if s.kind == "pack"]
        station = packs[pick % len(packs)]
        lanes = self.p.belt.lanes[station.id]
        wanted = self.p.site.scheme.level(station.level).children + 1
        self.until(
            lambda: sum(map(len, lanes)) >= wanted,
            but=lambda e: e[0] == self.p.stroke and e[1][0] is station,
        )
        boxes = self.p.belt.boxes[station.id]
        if sum(map(len, lanes)) >= wanted and not any(waits(self.p, box) for box in boxes):
            counts = [0] * len(lanes)
            for n in range(wanted):
                lane = max(range(len(lanes)), key=lambda at: len(lanes[at]) - counts[at])
                counts[lane] += n < wanted
            self.p.stroke(station, counts, True, len(boxes))

    @rule(pick=SOME, count=st.integers(1, 4))
    def tear(self, pick: int, count: int) -> None:
        """Symbols that were good at their verifier cannot be read any more."""
        packs = [s for s in self.p.plan.stations if s.kind == "pack"]
        station = packs[pick % len(packs)]
        lanes = self.p.belt.lanes[station.id]
        self.until(
            lambda: sum(map(len, lanes)) >= count,
            but=lambda e: e[0] == self.p.stroke and e[1][0] is station,
        )
        for thing in [thing for lane in lanes for thing in lane][-count:]:
            thing.torn.add(self.p.site.scheme.level(thing.level).primary)
        self.until(lambda: not any(lanes))

    @rule(pick=SOME)
    def tear_label(self, pick: int) -> None:
        boxes = [t for t in self.p.boxes if not t.off]
        if boxes:
            thing = boxes[pick % len(boxes)]
            thing.torn.add(self.p.site.scheme.level(thing.level).primary)

    @rule(pick=SOME, how=st.sampled_from(("lost", "elsewhere")))
    def wrong_label(self, pick: int, how: str) -> None:
        """A label is lost before it is applied, and the next container gets the one after it; or it
        was printed elsewhere, with a code that we never sent."""
        printers = [p for p in self.p.belt.printers.values() if p.station.kind == "label"]
        if not printers:
            return
        printer = printers[pick % len(printers)]
        if not self.until(lambda: printer.labels):
            return
        text = printer.labels.popleft()
        place = self.p.site.where(text)
        if how == "elsewhere" and place is not None:
            printer.labels.appendleft(place[0].texts[place[2]][-1 - pick % 5])
        self.until(lambda: not printer.labels)

    @rule(pick=SOME)
    def repack(self, pick: int) -> None:
        """A hand takes a child out of a closed container and swaps it with one that was just put
        into another."""
        packs = [s for s in self.p.plan.stations if s.kind == "pack"]
        pack = packs[pick % len(packs)]
        boxes = self.p.boxes

        def full() -> list[Thing]:
            return [t for t, b in boxes.items() if b.pack is pack and b.unit and b.unit.closed]

        def new() -> list[Thing]:
            return [t for t, b in boxes.items() if b.pack is pack and b.layer]

        if pack.mode == "multi_read" and self.until(full) and self.until(new):
            old, box = full()[-1], boxes[new()[0]]
            at, taken = pick % len(box.layer), pick % len(old.children)
            mine, other = box.layer[at], old.children[taken]
            box.layer[at] = other
            box.thing.children[box.thing.children.index(mine)] = other
            old.children[taken] = mine
            self.until(lambda: not box.layer)

    @rule(pick=SOME)
    def close_partial(self, pick: int) -> None:
        packs = [s for s in self.p.plan.stations if s.kind == "pack"]
        self.p.person(i.ClosePartial(packs[pick % len(packs)].id, "end of lot", "li"))

    # ------------------------------------------------------------------------- printers

    @rule(pick=SOME, keeps=st.booleans())
    def lose_printer(self, pick: int, keeps: bool) -> None:
        printers = list(self.p.belt.printers)
        if printers:
            self.p.lose_printer(printers[pick % len(printers)], keeps)

    # ------------------------------------------------------------------------- people

    @rule(what=st.sampled_from(("pause", "finish", "start 1", "start 2", "change over")))
    def order(self, what: str) -> None:
        match what:
            case "pause":
                self.p.person(i.PauseOrder("li"))
            case "finish":
                self.p.person(i.FinishOrder("li"))
            case "change over":
                self.p.person(i.FinishOrder("li"))
                self.p.person(i.StartOrder("WO-2", "li"))
            case _:
                self.p.person(i.StartOrder(f"WO-{what[-1]}", "li"))

    @rule(
        how=st.sampled_from(("unpack", "child", "replace", "sampled", "destroyed", "hold")),
        pick=SOME,
    )
    def rework(self, how: str, pick: int) -> None:
        """People open, mend, sample, destroy or hold a container that is through."""
        p = self.p
        self.until(p.through)
        boxes = p.through()
        if not boxes or p.failing or p.crash:
            return
        box = boxes[pick % len(boxes)]
        child = box.kids[pick // 7 % len(box.kids)]
        match how:
            case "unpack":
                p.unpack(box)
            case "child":
                p.unpack(box, child)
            case "replace":
                loose = p.loose(child)
                if loose and not box.held:
                    p.replace(box, child, loose[pick % len(loose)])
            case "hold":
                if len({each.held for each in p.content(box)}) == 1:
                    p.hold(box)
            case _:
                p.take(box, box if pick % 3 == 0 else child, how)

    @rule()
    def acknowledge(self) -> None:
        for name in list(self.p.rig.state().alarms):
            self.p.person(i.AcknowledgeAlarm(name, "li"))

    # ------------------------------------------------------------------------- failures

    @rule(how=st.sampled_from(("disk", "row", "refused")), reading=st.booleans())
    def fail(self, how: str, reading: bool) -> None:
        """The next group of inputs cannot be kept."""
        p = self.p
        if reading and self.until(lambda: p.awaited):
            awaited = p.awaited[0]
            p.failing = how
            p.read(awaited)
        else:
            p.failing = how

    @rule()
    def power_cut(self) -> None:
        """The agent dies after the next commit, before it has carried out anything."""
        self.p.crash = True

    def _half_done(self) -> list[Thing]:
        """Containers that hold something in the record and are not closed."""
        return [t for t, b in self.p.boxes.items() if b.unit and not b.unit.closed and not t.off]

    @rule(why=st.sampled_from(("guard_open", "jam")), hands=SOME)
    def disturb(self, why: str, hands: int) -> None:
        """Hands may be in the lanes."""
        self.p.disturb(why, hands)

    @rule(half=st.booleans())
    def overrun(self, half: bool) -> None:
        """Events of the PLC were overwritten before they were read."""
        if half:
            self.until(self._half_done)
        self.p.overrun()
        if half:
            self.until(lambda: not self._half_done())

    @rule()
    def restart(self) -> None:
        self.p.restart()

    @rule(half=st.booleans())
    def restart_plc(self, half: bool) -> None:
        if half:
            self.until(lambda: any(self.p.belt.boxes.values()))
        self.p.restart_plc()
        if half:
            self.until(self._half_done)


def profile(examples: int, steps: int, *, shrink: bool = True) -> settings:
    """Settings for a run of the machine."""
    phases = [Phase.explicit, Phase.generate, *([Phase.shrink] if shrink else [])]
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
    )


TROUBLES = (
    "feed",
    "read",
    "gate",
    "slow",
    "flush",
    "old_slot",
    "take_off",
    "overtake",
    "stroke",
    "overfill",
    "tear",
    "tear_label",
    "wrong_label",
    "repack",
    "close_partial",
    "lose_printer",
    "order",
    "rework",
    "acknowledge",
    "fail",
    "power_cut",
    "disturb",
    "overrun",
    "restart",
    "restart_plc",
)
"""The rules beside `work` and `run_full`."""


def run(
    site: str,
    examples: int,
    steps: int,
    number: int,
    *,
    only: Collection[str] = (),
    shrink: bool = True,
) -> None:
    """Examples of up to `steps` rules on one site ("" for all), drawn from seed `number`; raises
    what the first one that fails raised. `only` names the troubles to draw from (none: all)."""
    left_out = dict.fromkeys(set(TROUBLES) - set(only) if only else ())
    sites = (site,) if site else tuple(SITES)
    drawn = seed(number)(type("Drawn", (Line,), {**left_out, "sites": sites}))
    run_state_machine_as_test(drawn, settings=profile(examples, steps, shrink=shrink))


def main() -> None:
    """The long form: as many steps as asked for, from a seed that is told."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000, help="rules to run in all")
    parser.add_argument("--length", type=int, default=50, help="rules in one example")
    parser.add_argument("--site", default="", choices=("", *SITES), help="one site only")
    parser.add_argument("--seed", type=int, default=None, help="to run the same examples again")
    parser.add_argument("--only", default="", help="troubles to draw from, with commas between")
    parser.add_argument("--first", action="store_true", help="end at the first failure as it is")
    given = parser.parse_args()
    number = time.time_ns() % (1 << 32) if given.seed is None else given.seed
    examples = max(1, given.steps // given.length)
    print(f"{examples} examples of up to {given.length} rules, seed {number}", flush=True)
    began = time.monotonic()
    only = given.only.split(",") if given.only else ()
    run(given.site, examples, given.length, number, only=only, shrink=not given.first)
    print(f"no rule was broken in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
