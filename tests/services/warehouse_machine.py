"""The hypothesis state machine over the warehouse's service and a real store.

Several PDAs of two parties, offline for a while, with lost and doubled uploads, hand-overs,
shipments, returns, transfers, stock-takes, unpacking and reversals in any order. A ledger of its
own, which knows single bottles only, says what the stock must be.

Run `python -m tests.services.warehouse_machine --steps 100000` for the long form.
"""

import argparse
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from agent.core.goods import Item, Result, Scope
from tests.services.depot_help import Hosted, pallet

PLACES = {"D1": ("A", "B"), "D2": ("C",)}
DEVICES = {"a1": "D1", "a2": "D1", "b1": "D2"}
SHOPS = {"D1": "S1", "D2": "S2"}
COUNTED = ("accepted", "accepted_implicit", "accepted_older")

Place = tuple[str, str] | None
"""Where a bottle is: (party, location); None: in no stock."""


@dataclass
class Paper:
    """A document as people remember it."""

    party: str
    number: str
    kind: str
    location: str
    to: str = ""
    asn: tuple[str, ...] = ()
    status: str = "open"
    round: int = 1
    claims: list[str] = field(default_factory=list)
    moved: dict[str, Place] = field(default_factory=dict)


class Truth:
    """Bottles, what holds them, and where they are."""

    def __init__(self) -> None:
        self.parent: dict[str, str] = {}
        self.children: dict[str, list[str]] = {}
        self.lot: dict[str, str] = {}
        self.place: dict[str, Place] = {}
        self.units: list[str] = []

    def learn(self, rows: list[Any]) -> None:
        for told in rows:
            self.units.append(told.ref)
            if told.parent:
                self.parent[told.ref] = told.parent
                self.children.setdefault(told.parent, []).append(told.ref)
            if told.level == "bottle":
                self.lot[told.ref] = told.lot
                self.place[told.ref] = None

    def bottles(self, unit: str) -> list[str]:
        if unit in self.lot:
            return [unit]
        return [b for child in self.children.get(unit, ()) for b in self.bottles(child)]

    def above(self, unit: str) -> list[str]:
        found = []
        while unit in self.parent:
            unit = self.parent[unit]
            found.append(unit)
        return found

    def cut(self, unit: str) -> None:
        """The unit is alone from now on."""
        parent = self.parent.pop(unit, None)
        if parent is not None:
            self.children[parent].remove(unit)

    def whole(self, claims: list[str]) -> list[str]:
        """The same units, where all of a unit is among them: that one."""
        found = list(claims)
        for parent in sorted(self.children, key=lambda each: -len(self.above(each))):
            inner = self.children[parent]
            if inner and all(child in found for child in inner):
                found = [each for each in found if each not in inner] + [parent]
        return found

    def stock(self, party: str) -> Counter[tuple[str, str]]:
        """Bottles by lot and location."""
        found: Counter[tuple[str, str]] = Counter()
        for bottle, place in self.place.items():
            if place is not None and place[0] == party:
                found[self.lot[bottle], place[1]] += 1
        return found


class Warehouses(RuleBasedStateMachine):
    """PDAs keep what they did in `outbox` until it is answered."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.h = Hosted(Path(self.folder.name))
        self.truth = Truth()
        self.papers: dict[tuple[str, str], Paper] = {}
        self.outbox: dict[str, list[Item]] = {device: [] for device in DEVICES}
        self.answers: dict[tuple[str, int], str] = {}
        self.pallets = 0
        self.named = 0
        self.dirty = False

    def teardown(self) -> None:
        try:
            for device in DEVICES:
                self._drain(device)
            self.stock_is_what_was_booked()
            assert self.h.replayed() == []
            kept = [self.h.stock(party) for party in DEVICES.values()]
            self.h.rebuilt()
            assert [self.h.stock(party) for party in DEVICES.values()] == kept
        finally:
            self.h.close()
            self.folder.cleanup()

    # ------------------------------------------------------------------------------ the world

    @initialize()
    def begin(self) -> None:
        """Each party has something in stock, and something on its way."""
        for device in ("a1", "b1"):
            party = DEVICES[device]
            self.asn(party, 2, 1)
            for unit in self.papers[party, f"ASN-{self.named}"].asn:
                self._keep(device, "scan", f"ASN-{self.named}", unit)
            self._keep(device, "close", f"ASN-{self.named}")
            self._upload(device, 5)
            self.outbox[device].clear()
            self.asn(party, 1, 2)

    @precondition(lambda self: self.pallets < 10)
    @rule(party=st.sampled_from(sorted(PLACES)), many=st.integers(1, 2), lot=st.integers(1, 2))
    def asn(self, party: str, many: int, lot: int) -> None:
        rows: list[Any] = []
        tops = []
        for _ in range(many):
            self.pallets += 1
            top = f"P{self.pallets}"
            rows += pallet(top, f"L{lot}", cases=2)
            tops.append(top)
        self.truth.learn(rows)
        self.named += 1
        number = f"ASN-{self.named}"
        self.h.asn(party, number, rows)
        place = PLACES[party][0]
        self.papers[party, number] = Paper(party, number, "receive", place, asn=tuple(tops))

    # ----------------------------------------------------------------------- what people do

    def _keep(self, device: str, do: str, number: str = "", text: str = "", **said: Any) -> None:
        self.outbox[device].append(self.h.item(device, do, number, text, **said))

    @rule(
        device=st.sampled_from(sorted(DEVICES)),
        kind=st.sampled_from(("ship", "ship", "ship", "return_in", "return_out", "transfer")),
        pick=st.integers(0, 10**6),
        level=st.sampled_from(("pallet", "case", "bottle")),
        many=st.integers(1, 5),
    )
    def errand(self, device: str, kind: str, pick: int, level: str, many: int) -> None:
        """A document, the goods that are there for it, and its end, as one goes along shelves."""
        before = self.named
        self.open(device, kind, pick)
        if self.named == before or not self.outbox[device]:
            return
        opened = self.outbox[device][-1]
        if opened.do != "open":
            return
        here = (DEVICES[device], opened.body["location"])
        wanted = None if kind == "return_in" else here
        fitting = [
            unit
            for unit in self.truth.units
            if self._level(unit) == level and any(self._at(b) == wanted for b in self._all(unit))
        ]
        for n in range(min(many, len(fitting))):
            self._keep(device, "scan", opened.document, fitting[(pick + n) % len(fitting)])
        if pick % 4:
            self._keep(device, "close", opened.document, answer="difference")
            if pick % 16 == 5:
                self._keep(device, "reverse", opened.document, reason="wrong")

    def _level(self, unit: str) -> str:
        return ("pallet", "case", "bottle")[unit.count("-")] if unit[0] == "P" else ""

    @rule(
        device=st.sampled_from(sorted(DEVICES)),
        kind=st.sampled_from(("ship", "ship", "return_in", "return_out", "transfer", "receive")),
        pick=st.integers(0, 10**6),
    )
    def open(self, device: str, kind: str, pick: int) -> None:
        party = DEVICES[device]
        places = PLACES[party]
        self.named += 1
        number = f"{kind}-{self.named}"
        body: dict[str, Any] = {"kind": kind, "location": places[pick % len(places)]}
        others = [SHOPS[party], *(each for each in PLACES if each != party)]
        if kind in ("ship", "return_out"):
            body["other"] = others[pick // 7 % len(others)]
            if party == "D2" and kind == "ship":
                line = {"product": "tonic", "level": "case", "quantity": 3}
                body["lines"] = [line]
        if kind == "transfer":
            if len(places) < 2:
                return
            body["to"] = places[(pick + 1) % len(places)]
        self._keep(device, "open", number, body=body, reason="why")

    @rule(device=st.sampled_from(sorted(DEVICES)), pick=st.integers(0, 10**6))
    def count(self, device: str, pick: int) -> None:
        """A stock-take of what the shelves really hold, most of it right."""
        self._drain(device)
        party = DEVICES[device]
        self.named += 1
        place = PLACES[party][pick % len(PLACES[party])]
        number = f"count-{self.named}"
        self._keep(device, "open", number, body={"kind": "count", "location": place})
        units = [u for u in self.truth.units if u not in self.truth.parent]
        here = [u for u in units if any(self._at(b) == (party, place) for b in self._all(u))]
        for turn in range(2):
            for n, unit in enumerate(here):
                if pick >> (n + turn) & 3:
                    self._keep(device, "scan", number, unit)
            if pick % 5 == 0 and self.truth.units:
                self._keep(device, "scan", number, self.truth.units[pick % len(self.truth.units)])
            self._keep(device, "count_done", number)
        self._keep(device, "close", number, answer="difference")

    def _all(self, unit: str) -> list[str]:
        return self.truth.bottles(unit)

    def _at(self, bottle: str) -> Place:
        return self.truth.place[bottle]

    def _paper(self, device: str, pick: int, *status: str) -> Paper | None:
        mine = [
            paper
            for paper in self.papers.values()
            if paper.party == DEVICES[device] and (not status or paper.status in status)
        ]
        if not mine:
            return None
        return mine[-1 - pick % min(3, len(mine))] if pick % 2 else mine[pick % len(mine)]

    @precondition(lambda self: self.truth.units)
    @rule(
        device=st.sampled_from(sorted(DEVICES)),
        paper=st.integers(0, 10**6),
        units=st.lists(st.integers(0, 10**6), min_size=1, max_size=6),
        answer=st.sampled_from(("", "", "", "around_scanned not_expected")),
    )
    def scan(self, device: str, paper: int, units: list[int], answer: str) -> None:
        found = self._paper(device, paper, "open")
        if found is None:
            return
        for pick in units:
            unit = self.truth.units[pick % len(self.truth.units)]
            self._keep(device, "scan", found.number, unit, answer=answer, reason="extra")

    @precondition(lambda self: self.truth.units)
    @rule(device=st.sampled_from(sorted(DEVICES)), paper=st.integers(0, 10**6))
    def scan_what_stands_here(self, device: str, paper: int) -> None:
        """What a keeper would take for the document, in the order of the shelves."""
        found = self._paper(device, paper, "open")
        if found is None or found.kind == "count":
            return
        here = (found.party, found.location)
        tops = [u for u in self.truth.units if u not in self.truth.parent]
        for unit in (found.asn or tops)[:3]:
            if found.asn or any(self._at(b) == here for b in self._all(unit)):
                self._keep(device, "scan", found.number, unit)

    @rule(device=st.sampled_from(sorted(DEVICES)), paper=st.integers(0, 10**6), n=st.integers(0, 9))
    def take_back(self, device: str, paper: int, n: int) -> None:
        found = self._paper(device, paper, "open")
        if found is not None and found.claims:
            unit = found.claims[n % len(found.claims)]
            self._keep(device, "scan", found.number, unit, remove=True)

    @rule(
        device=st.sampled_from(sorted(DEVICES)),
        paper=st.integers(0, 10**6),
        end=st.booleans(),
        whole=st.booleans(),
    )
    def close(self, device: str, paper: int, end: bool, whole: bool) -> None:
        found = self._paper(device, paper, "open")
        if found is None:
            return
        if whole and found.asn:
            self._keep(device, "accept_all", found.number)
        self._keep(device, "close", found.number, answer="difference", body={"end": end})

    @rule(device=st.sampled_from(sorted(DEVICES)), paper=st.integers(0, 10**6))
    def reverse(self, device: str, paper: int) -> None:
        found = self._paper(device, paper, "closed")
        if found is not None:
            self._keep(device, "reverse", found.number, reason="wrong")

    @rule(device=st.sampled_from(sorted(DEVICES)), paper=st.integers(0, 10**6))
    def hand_over(self, device: str, paper: int) -> None:
        found = self._paper(device, paper, "open")
        if found is not None:
            self._keep(device, "hand_over", found.number, body={"device": "a2"})

    @precondition(lambda self: self.truth.units)
    @rule(device=st.sampled_from(sorted(DEVICES)), unit=st.integers(0, 10**6), all_=st.booleans())
    def unpack(self, device: str, unit: int, all_: bool) -> None:
        text = self.truth.units[unit % len(self.truth.units)]
        self._keep(device, "unpack", "", text, body={"all": all_})

    @precondition(lambda self: self.truth.units)
    @rule(
        device=st.sampled_from(sorted(DEVICES)), units=st.lists(st.integers(0, 10**6), max_size=3)
    )
    def pack(self, device: str, units: list[int]) -> None:
        loose = [u for u in self.truth.units if u not in self.truth.parent]
        texts = [loose[pick % len(loose)] for pick in units]
        self.named += 1
        body = {"children": texts, "level": "case"}
        self._keep(device, "pack", "", f"NEW-{self.named}", body=body)

    # ------------------------------------------------------------------------------ uploads

    @rule(
        device=st.sampled_from(sorted(DEVICES)),
        many=st.integers(1, 40),
        lost=st.booleans(),
        doubled=st.booleans(),
    )
    def upload(self, device: str, many: int, lost: bool, doubled: bool) -> None:
        """Some of what waits goes up; the answer may be lost, or the request come twice."""
        for _ in range(1 + doubled):
            self._upload(device, many)
        if not lost:
            del self.outbox[device][:many]

    def _drain(self, device: str) -> None:
        while self.outbox[device]:
            self._upload(device, 200)
            del self.outbox[device][:200]

    def _upload(self, device: str, many: int) -> None:
        items = self.outbox[device][:many]
        if not items:
            return
        results = self.h.send(DEVICES[device], device, *items)
        assert [result.seq for result in results] == [item.seq for item in items]
        for item, result in zip(items, results, strict=True):
            known = self.answers.get((device, item.seq))
            assert result.replayed == (known is not None)
            if known is not None:
                assert result.verdict == known
                continue
            self.answers[device, item.seq] = result.verdict
            self._happened(DEVICES[device], item, result)
        self.dirty = True

    def _happened(self, party: str, item: Item, result: Result) -> None:
        """The agent's answer, as people understand it."""
        paper = self.papers.get((party, item.document))
        word = result.verdict
        match item.do:
            case "open" if word == "opened":
                body = item.body
                self.papers[party, item.document] = Paper(
                    party, item.document, body["kind"], body["location"], body.get("to", "")
                )
            case "scan" if word in COUNTED:
                assert paper is not None
                inside = [u for u in paper.claims if item.text in self.truth.above(u)]
                paper.claims = [u for u in paper.claims if u not in inside] + [item.text]
            case "scan" if word == "removed":
                assert paper is not None
                paper.claims.remove(item.text)
            case "unpack" if word == "unpacked":
                if item.body["all"] or item.text not in self.truth.parent:
                    for child in list(self.truth.children[item.text]):
                        self.truth.cut(child)
                else:
                    self.truth.cut(item.text)
            case "pack" if word == "packed":
                self.truth.units.append(item.text)
                for child in dict.fromkeys(item.body["children"]):
                    self.truth.parent[child] = item.text
                    self.truth.children.setdefault(item.text, []).append(child)
            case "reversed":
                pass
            case "reverse" if word == "reversed":
                assert paper is not None
                paper.status = "reversed"
                self.truth.place.update(paper.moved)
            case "count_done" if word == "count_again":
                assert paper is not None
                paper.claims, paper.round = [], 2
            case "count_done" if word == "counted":
                assert paper is not None
                paper.status = "counted"
            case "close" | "accept_all" | "count_done" if word == "posted":
                assert paper is not None
                self._posted(paper, item, result)

    def _posted(self, paper: Paper, item: Item, result: Result) -> None:
        target: Place = None
        match paper.kind:
            case "receive" | "return_in":
                target = (paper.party, paper.location)
            case "transfer":
                target = (paper.party, paper.to)
        if paper.kind == "count":
            self._count_posted(paper)
            return
        moved = self.truth.whole(paper.claims)
        if item.do == "accept_all":
            tops = [u for u in paper.asn if self._still_expected(paper, u)]
            moved = [u for u in moved if u not in tops and not set(tops) & set(self.truth.above(u))]
            moved += tops
        posts = paper
        number = result.args["number"]
        if number != paper.number:
            posts = self.papers[paper.party, number] = Paper(
                paper.party, number, paper.kind, paper.location
            )
        for unit in moved:
            self.truth.cut(unit)
            for bottle in self._all(unit):
                posts.moved.setdefault(bottle, self.truth.place[bottle])
                self.truth.place[bottle] = target
        paper.claims = []
        posts.status = "closed"

    def _still_expected(self, paper: Paper, unit: str) -> bool:
        """Nobody received this unit of the ASN yet."""
        gone = [
            bottle
            for other in self.papers.values()
            if other.status == "closed" and other.number.startswith(f"{paper.number}.")
            for bottle in other.moved
        ]
        return bool(self._all(unit)) and not set(gone) & set(self._all(unit))

    def _count_posted(self, paper: Paper) -> None:
        here = (paper.party, paper.location)
        moved = self.truth.whole(paper.claims)
        tops = [
            unit
            for unit in self.truth.units
            if unit not in self.truth.parent and any(self._at(b) == here for b in self._all(unit))
        ]
        seen = [bottle for unit in moved for bottle in self._all(unit)]
        for unit in moved:
            self.truth.cut(unit)
        for bottle in seen:
            if self.truth.place[bottle] != here:
                paper.moved.setdefault(bottle, self.truth.place[bottle])
                self.truth.place[bottle] = here
        for unit in tops:
            for bottle in self._all(unit):
                if bottle not in seen:
                    paper.moved.setdefault(bottle, self.truth.place[bottle])
                    self.truth.place[bottle] = None
        paper.claims = []
        paper.status = "closed"

    # ---------------------------------------------------------------------------- what holds

    @invariant()
    def stock_is_what_was_booked(self) -> None:
        if not self.dirty:
            return
        self.dirty = False
        for party in PLACES:
            booked = self.h.stock(party)
            found = {(lot, place): n for (_, lot, place), n in booked.items()}
            assert found == dict(self.truth.stock(party))
            days = self.h.warehouse.ledger(Scope(party), "0000", "9999")
            sums: Counter[str] = Counter()
            for row in days:
                change = row["received"] - row["shipped"] + row["returned_in"]
                change += row["moved"] + row["difference"] - row["returned_out"]
                sums[row["lot"]] += change
            total: Counter[str] = Counter()
            for (lot, _), n in found.items():
                total[lot] += n
            assert +sums == +total
            assert all(n >= 0 for n in sums.values())

    @invariant()
    def no_unit_is_in_two_places(self) -> None:
        rows = self.h.db.conn  # the writer is idle: every upload has its answer
        held = rows.execute(
            "SELECT count(*) FROM goods WHERE parent > 0 AND state <> ''"
        ).fetchone()
        assert held == (0,)
        twice = rows.execute(
            "SELECT ref FROM claim c JOIN document d ON d.id = c.document WHERE d.kind <> 'count' "
            "GROUP BY ref, c.party HAVING count(*) > 1"
        ).fetchall()
        assert twice == []
        left = rows.execute("SELECT count(*) FROM stock WHERE claimed < 0 OR pieces < 0").fetchone()
        assert left == (0,)


def profile(examples: int, steps: int, *, shrink: bool = True) -> settings:
    """Settings for a run of the machine."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if shrink else [])],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
    )


def run(examples: int, steps: int, number: int) -> None:
    """Run it; it raises what it finds, made as small as may be."""
    run_state_machine_as_test(seed(number)(Warehouses), settings=profile(examples, steps))


def main() -> None:
    """The long form."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--steps", type=int, default=100_000)
    given.add_argument("--seed", type=int, default=1)
    asked = given.parse_args()
    began, done, number = time.monotonic(), 0, asked.seed
    while done < asked.steps:
        run(100, 60, number)
        done, number = done + 6_000, number + 1
        print(f"{done:,} steps in {time.monotonic() - began:.0f} s, seed {number - 1}: good")


if __name__ == "__main__":
    main()
