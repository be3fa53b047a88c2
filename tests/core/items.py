"""Bottles on the belt: what the agent is told of them, and what it may make of it.

A verdict must be PASS if and only if nothing that was told speaks against it.
"""

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.effects import SetSlot
from agent.core.evolve import has_gate
from agent.core.plan import PathKind, ReaderPlan, Station
from agent.core.scheme import LevelSpec, WorkOrder
from agent.core.state import Counts
from agent.ports.line import Committed
from tests.core.belt import Thing
from tests.core.book import Unit
from tests.core.sites import LINE, VOIDED
from tests.core.told import Awaited, Told, Visit


class Items(Told):
    """Triggers, readings, gates and paths."""

    # ------------------------------------------------------------------------- items

    def next_text(self, pool: int, column: int, row: int | None = None) -> str:
        """A code of a pre-printed pool that was not used yet (or of the given row)."""
        texts = self.site.pools[pool - 1].texts
        at = self.taken[pool] if row is None else row
        if row is None and column == 0:
            self.taken[pool] = at + 1
        return texts[column][at % len(texts[column])]

    def feed(self, thing: Thing) -> None:
        self.belt.path[self.plan.stations[0].id].append(thing)

    def trigger(self, station: Station) -> None:
        """The next thing on the path is at a station's eye; camera, coder or applicator work."""
        belt = self.belt
        thing = belt.path[station.id].pop(0)
        first = self.plan.first_of_zone(station.id)
        if first:
            thing.number = belt.plc.number(self.plan.zone[station.id])
            self.visits.pop(thing, None)
        printer = belt.printers.get(station.id)
        if station.kind == "print" and printer is not None:
            text = printer.print(belt.printed)
            if text is not None:
                thing.marks.setdefault(station.role, []).append(text)
        elif printer is not None and printer.labels:
            thing.marks.setdefault(station.role, []).append(printer.labels.popleft())
        if has_gate(station):
            belt.here[station.id].append(thing)
        else:
            belt.leave(station, thing)
        self.fire(station, thing)

    def fire(self, station: Station, thing: Thing) -> None:
        """TRIGGER: the readers of a station are fired at a thing, and the agent is told."""
        self.awaited += [Awaited(station, r, thing, thing.number) for r in station.readers]
        done = self.tell(i.ItemTriggered(station.id, thing.number))
        if done is None:
            return
        visit = self.visits.get(thing)
        if visit is None:
            visit = self.visits[thing] = Visit(thing.number, self.order)
        box = self.boxes.get(thing)
        if box is not None:
            visit.unit = box.unit
        if not self.plan.first_of_zone(station.id):
            self._arrive(station, thing, done)
        visit.at, visit.verdict = station.id, ""
        visit.waiting = {reader.id for reader in station.readers}
        self.count(station.id).triggers += 1
        if not has_gate(station):
            self._goes_on(station, thing, visit.unit)
        if station.kind == "print":
            self.unprinted[station.id].append(thing)
            self._pair(station, done)

    def _goes_on(self, station: Station, thing: Thing, unit: Unit | None) -> None:
        """The agent believes the thing on the path behind a station, if numbers mean anything."""
        way = self.plan.out_of.get(station.id)
        if way is not None and way.kind is not PathKind.MIXED:
            self.believed[station.id].pop(thing.number, None)
            self.believed[station.id][thing.number] = (thing, unit)

    def _pair(self, station: Station, done: Committed) -> None:
        """Which print is on which item, first in, first out."""
        for fact in done.facts:
            match fact:
                case f.ItemPrinted():
                    thing = self.unprinted[station.id].pop(0)
                    assert fact.item == thing.number, "the print was paired with another item"
                    if thing in self.visits:
                        self.visits[thing].expected = self.book.text(fact.key)
                    if self.unpaired[station.id]:
                        assert self.unpaired[station.id].pop(0) == self.book.text(fact.key)
                case f.PrintMissed():
                    thing = self.unprinted[station.id].pop()
                    self.visits[thing].bad.append("nothing was printed")
                case f.PrintUnpaired():
                    self.unpaired[station.id].append(self.book.text(fact.key))

    def _surely(self, gone: list[int], path: dict[int, tuple[Thing, Unit | None]]) -> set[int]:
        """Those of which the agent knows that they are on the path: a container is seen at its
        packer before its last stroke, too."""
        boxes = {number: self.boxes.get(path[number][0]) for number in gone}
        return {n for n, box in boxes.items() if box is None or (box.last and not box.doubted)}

    def _arrive(self, station: Station, thing: Thing, done: Committed) -> None:
        """The agent sees a number arrive: what was before it on a path where nothing overtakes is
        gone, and rule 4 wants an alarm that names the first of it."""
        way = self.plan.into[station.id]
        path = self.believed[way.source]
        gone: list[int] = []
        if thing.number in path and way.kind is not PathKind.MIXED:
            for number in path:
                if number == thing.number:
                    break
                gone.append(number)
        missed = [fact for fact in done.facts if isinstance(fact, f.ItemsMissed)]
        told = [number for fact in missed for number in fact.items]
        assert self._surely(gone, path) <= set(told) <= set(gone), (missed, gone)
        gone = told
        for number in gone:
            lost, unit = path.pop(number)
            assert lost.off, f"{lost} is on the belt and was said to be missing"
            self.visits.pop(lost, None)
            self.count(way.source).foreign += 1
            assert unit is None or unit.unit in missed[0].units, "a missing unit is not doubted"
        if gone:
            name = f"{LINE}/{station.id}/count_difference"
            raised = [a for a in done.facts if isinstance(a, f.AlarmRaised) and a.alarm == name]
            assert raised or name in self.rig.state().alarms, "rule 4: no alarm"
            assert all(alarm.item == gone[0] for alarm in raised), "the alarm names another item"
        if path.pop(thing.number, None) is not None:
            self.settling["path"].discard(station.id)
        elif way.kind is not PathKind.MIXED and station.id not in self.settling["path"]:
            self.count(station.id).added += 1
            name = f"{LINE}/{station.id}/came_in"
            assert name in self.rig.state().alarms, "rule 4: no alarm"
        elif way.kind is not PathKind.MIXED:
            self.count(station.id).earlier += 1

    # ------------------------------------------------------------------------- readings

    def _allowed(self, level: str, text: str, order: WorkOrder, own: Unit | None) -> str:
        """Why a text may not be on a unit of this order; "" if it may."""
        owner = self.book.owner.get(text)
        if owner is not None and owner is not own:
            return "held" if owner.held else "duplicate"
        place = self.site.where(text)
        if place is None:
            return ""  # of a pool by rule
        pool, position, column = place
        if position < VOIDED:
            return "void"
        if pool.product != order.product:
            return "product"
        wanted = order.pool(level, pool.roles[column])
        if wanted is not None and wanted != pool.number:
            return "pool"
        if not pool.preprinted and text not in self.book.sent:
            return "never sent"
        return ""

    def _role(self, text: str) -> tuple[str, str]:
        """Level and role of a text; of a role of nothing if it is no code of ours."""
        place = self.site.where(text)
        if place is None:
            return ("bottle", "neck") if text.startswith("NECK-") else ("", "")
        return place[0].level, place[0].roles[place[2]]

    def _marks(
        self,
        level: str,
        roles: tuple[str, ...],
        reading: i.ItemReadings,
        order: WorkOrder,
        own: Unit | None,
        earlier: dict[str, str],
    ) -> tuple[list[str], dict[str, str], list[Unit]]:
        """What a reading of one unit says: faults, text by role, units that share a code."""
        bad = ["refused"] * bool(reading.refused) + ["grade"] * (not reading.graded)
        bad += ["old picture"] * reading.old_picture
        found: dict[str, str] = {}
        others: list[Unit] = []
        for text in reading.texts:
            place, role = self._role(text)
            if not place:
                bad.append("unknown")
                continue
            if place != level or role not in roles:
                continue
            if found.setdefault(role, text) != text or earlier.get(role, text) != text:
                bad.append("two texts")
            why = self._allowed(level, text, order, own)
            bad += [why] if why else []
            if why == "duplicate":
                others.append(self.book.owner[text])
        rows: dict[int, int] = {}
        for text in ({**earlier, **found}).values():
            where = self.site.where(text)
            if where is not None and rows.setdefault(where[0].number, where[1]) != where[1]:
                bad.append("not a set")
        return bad, found, others

    def _crowded(self, found: dict[str, str], reading: i.ItemReadings) -> bool:
        """Two codes of one role are in view: one of them is a neighbour's."""
        places = [(self._role(text), text) for text in reading.texts]
        return any(
            place == "bottle" and role in found and found[role] != text
            for (place, role), text in places
        )

    def _item(
        self,
        thing: Thing,
        visit: Visit,
        station: Station,
        reader: ReaderPlan,
        reading: i.ItemReadings,
        done: Committed,
    ) -> None:
        """An item was read. The verdict must be PASS if and only if nothing speaks against it."""
        order = self.orders.get(visit.order)
        passed = [fact for fact in done.facts if isinstance(fact, f.ItemPassed)]
        rejected = [fact for fact in done.facts if isinstance(fact, f.ItemRejected)]
        if order is None:
            assert not passed, "passed without an order"
            visit.bad.append("no order")
            if rejected:
                visit.verdict, visit.waiting = "reject", set()
            else:
                visit.waiting.discard(reader.id)
            return
        if passed and visit.unit is None and not passed[0].commissioned:
            back = self.book.units[passed[0].unit]
            assert back.inside is None, f"{back} came back out of a container"
            assert not back.gone, f"{back} is {back.gone} and came back"
            assert not back.held, f"{back} is held and came back"
            away = back.rejected or back.unpacked
            assert away or back.thing is thing or back.thing.off, f"{back} is on the line"
            back.rejected = back.unpacked = False
            visit.unit = back
        earlier = {role: text for role, (text, _, _) in visit.reads.items()}
        bad, found, others = self._marks(
            "bottle", reader.roles, reading, order, visit.unit, earlier
        )
        for text in found.values():
            place, printed = self.site.where(text), self.site.where(visit.expected)
            if place and printed and place[0] is printed[0] and text != visit.expected:
                bad.append("not what was printed")
            for other, near in () if self._crowded(found, reading) else self.visits.items():
                loose = other.level == "bottle" and near.unit is None
                if (
                    other is not thing
                    and loose
                    and any(text == seen for seen, _, _ in near.reads.values())
                ):
                    bad.append("on another item")
                    near.bad.append("on another item")
        visit.bad += bad
        before = dict(visit.reads)
        if any(found.get(role) == visit.reads[role][0] for role in visit.before):
            visit.before = set()  # it is the same item
        for role, text in found.items():
            visit.reads.setdefault(role, (text, station.id, reader.id))
        visit.waiting.discard(reader.id)
        doubted = {u for fact in done.facts if isinstance(fact, f.UnitsDoubted) for u in fact.units}
        both = {unit.unit for unit in others}
        if not self._crowded(found, reading):
            # It may have come back.
            both -= {unit.unit for unit in others if unit.rejected or unit.unpacked}
            assert both <= doubted, f"a duplicate puts both in doubt: {both}, {done.facts}"
        if visit.waiting or not has_gate(station):
            assert not passed, "passed before every reader had answered"
            assert not rejected, "rejected before every reader had answered"
            self._out_of_step(done)
            return
        spec = self.site.scheme.level("bottle")
        zone = self.plan.zone_stations(self.plan.zone[station.id])
        for each in zone[: zone.index(station) + 1]:
            for role in (role for other in each.readers for role in other.roles):
                if role not in visit.reads and role not in spec.optional:
                    visit.bad.append(f"{role} was not read")
        assert len(passed) + len(rejected) == 1, done.facts
        assert bool(passed) == (not visit.bad), f"{thing} {visit.bad}: {done.facts}"
        assert [type(effect) for effect in done.effects] == [SetSlot]
        visit.verdict = "pass" if passed else "reject"
        self._out_of_step(done)
        if passed:
            self._passed(thing, visit, spec, passed[0])
        else:
            visit.reads = before  # it leaves the line: another may have its code

    def _out_of_step(self, done: Committed) -> None:
        """Prints and triggers are counted against each other anew."""
        for fact in done.facts:
            if isinstance(fact, f.PrintPairingLost):
                self.unprinted[fact.station].clear()
                self.unpaired[fact.station].clear()
                for visit in self.visits.values():
                    visit.expected = ""

    def _passed(self, thing: Thing, visit: Visit, spec: LevelSpec, fact: f.ItemPassed) -> None:
        assert fact.item == thing.number
        assert fact.order == visit.order
        assert fact.commissioned == (visit.unit is None)
        if visit.unit is None:
            visit.unit = self.book.begin(fact.unit, spec.name, fact.order, thing)
        assert fact.unit == visit.unit.unit, "codes went to another unit"
        new = {r: seen for r, (seen, _, _) in visit.reads.items() if r not in visit.unit.texts}
        assert {a.role: self.book.text(a.key) for a in fact.codes} == new
        for attachment in fact.codes:
            best = self._pair_integrity(visit, spec.primary, attachment.role)
            assert attachment.integrity == best, f"{attachment} is {best}"
        self.book.attach(visit.unit, fact.codes)

    def _pair_integrity(self, visit: Visit, primary: str, role: str) -> str:
        """DOMAIN.md, role pair integrity."""
        if role == primary:
            return "proven"
        text, at, by = visit.reads[role]
        main, main_at, main_by = visit.reads[primary]
        apart = (role in visit.before) != (primary in visit.before)
        reader = next(r for r in self.plan.by_id[at].readers if r.id == by)
        way = self.plan.between(at, main_at) or self.plan.between(main_at, at)
        together = (at, by) == (main_at, main_by) or way is PathKind.CAPTIVE
        together = together and not apart
        behind = next((r for r in self.plan.by_id[main_at].readers if r.id == main_by), reader)
        if together and not reader.loose and not behind.loose:
            return "proven"
        one, two = self.site.where(text), self.site.where(main)
        if one and two and one[:2] == two[:2]:
            return "supplied"
        return "unknown" if way in (None, PathKind.MIXED) or apart else "inferred"

    # ------------------------------------------------------------------------- gates

    def gate(self, station: Station, mode: str = "") -> None:
        """The next thing is at the gate, which decides by its slot alone. `mode`: "stays" (the
        chute failed), "gone" (a hand took the thing away before the gate)."""
        belt = self.belt
        thing = belt.here[station.id].pop(0)
        passes = belt.plc.lets_pass(station, thing.number)
        assert passes == thing.granted, f"the gate obeyed another item's slot for {thing}"
        if mode == "gone":
            saw = i.GateSaw.NOTHING
            belt.drop(thing)
        elif passes:
            saw = i.GateSaw.PASSED
            belt.leave(station, thing)
        elif mode == "stays":
            saw = i.GateSaw.FAILED
            belt.leave(station, thing)
        else:
            saw = i.GateSaw.REJECTED
            belt.drop(thing)
        visit, box = self.visits.get(thing), self.boxes.get(thing)
        done = self.tell(i.GateReported(station.id, thing.number, saw))
        if done is None:
            return
        here = visit is not None and visit.at == station.id
        known = visit is not None or (box is not None and box.unit is not None)
        if saw is i.GateSaw.PASSED and not known:
            told = [fact for fact in done.facts if not isinstance(fact, f.RunBegan)]
            assert not told, "it passed by a verdict of before the restart"
            return
        if here:
            self.settling["gate"].discard(station.id)
        counted = station.id not in self.settling["gate"]
        if not here and counted:
            self.count(station.id).unasked += 1
            if saw is i.GateSaw.REJECTED:
                name = f"{LINE}/{station.id}/trigger_missed"
                assert name in self.rig.state().alarms, "rule 4: no alarm"
        good = here and visit is not None and visit.verdict == "pass"
        counts = self.count(station.id) if counted else Counts()
        unit = visit.unit if visit is not None and here else None
        if box is not None:
            unit = box.unit
        if saw is i.GateSaw.REJECTED:
            counts.rejected += counted
            told = [fact for fact in done.facts if isinstance(fact, f.RejectConfirmed)]
            assert [(fact.station, fact.item) for fact in told] == [(station.id, thing.number)]
            assert told[0].passed == good, "a PASS that came too late is told as such"
            if unit is not None:
                if not (box and box.fault):
                    assert told[0].unit == unit.unit, "a live unit in the chute"
                unit.rejected = True
            self.visits.pop(thing, None)
            return
        if saw is i.GateSaw.PASSED and good:
            counts.passed += 1
        else:
            counts.failed += counted
            gone = saw is i.GateSaw.NOTHING
            keys = {"item_gone", "gate_blind"} if gone else {"reject_failed"}
            names = {f"{LINE}/{station.id}/{key}" for key in keys}
            raised = [a for a in done.facts if isinstance(a, f.AlarmRaised) and a.alarm in names]
            assert raised or names & set(self.rig.state().alarms), "rule 4: no alarm"
            assert all(a.item == thing.number for a in raised if a.key != "gate_blind")
            told = [a for a in done.facts if isinstance(a, f.RejectFailed)]
            assert [fact.unseen for fact in told] == [gone]
        if self.plan.zone_stations(self.plan.zone[station.id])[-1] is station:
            self.visits.pop(thing, None)
        if counted:
            self._goes_on(station, thing, unit)

    # ------------------------------------------------------------------------- paths

    def remove(self, station: str, at: int) -> None:
        """A hand takes a thing off the path into a station. Nobody tells."""
        self.belt.drop(self.belt.path[station].pop(at))

    def foreign(self, station: str, at: int) -> None:
        """A rejector that is not ours takes a thing off the path into a station, and says so."""
        thing = self.belt.path[station].pop(at)
        self.belt.drop(thing)
        source = self.plan.into[station].source
        done = self.tell(i.ForeignReject(source, thing.number))
        if done is None:
            return
        found = self.believed[source].pop(thing.number, None)
        if found is None:
            if self.plan.out_of[source].kind is PathKind.MIXED:
                self.count(source).foreign += 1
            return
        self.count(source).foreign += 1
        (fact,) = (fact for fact in done.facts if isinstance(fact, f.ForeignRejected))
        unit = found[1]
        assert fact.unit == (None if unit is None else unit.unit)
        if unit is not None:
            unit.rejected = True
        self.visits.pop(thing, None)

    def enter(self, station: Station, lane: int, at: int = 0) -> None:
        """The photo-eye of a packer's lane sees the next thing arrive."""
        thing = self.belt.path[station.id].pop(at)
        self.belt.lanes[station.id][lane].append(thing)
        found = self.believed[self.plan.into[station.id].source].get(thing.number)
        done = self.tell(i.ItemEntered(station.id, lane, thing.number))
        if done is None:
            self.slipped.add(station.id)
            return
        self._arrive(station, thing, done)
        self.count(station.id).entered += 1
        self.infeed[station.id][lane].append(None if found is None else found[1])
