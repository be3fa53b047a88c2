"""Containers: strokes, pictures of the content, labels, and what the record may claim of them."""

from collections import Counter
from collections.abc import Iterable

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.evolve import has_gate
from agent.core.facts import Fact
from agent.core.plan import PathKind, Station
from agent.ports.line import Committed
from tests.core.belt import Thing
from tests.core.book import Unit
from tests.core.items import Items
from tests.core.sites import LINE
from tests.core.told import Awaited, Box, Visit

ALIEN = "https://elsewhere.example/1"


class Boxes(Items):
    """What reads either, and everything of containers."""

    def read(self, awaited: Awaited, mode: str = "", other: Thing | None = None) -> None:
        """A reader answers: what is there, or with what goes wrong by `mode`."""
        self.awaited.remove(awaited)
        station, thing, roles = awaited.station, awaited.thing, awaited.reader.roles
        box = self.boxes.get(thing)
        looks_inside = station.kind == "pack"
        layer: list[Thing] = []
        if looks_inside and box is not None:
            layer, box.layer = box.layer, []
            texts = [text for child in layer for role in roles for text in child.seen(role)]
            spec = self.site.scheme.level(station.level)
            texts += thing.seen(spec.primary)
        else:
            texts = [text for role in roles for text in thing.seen(role)]
        if mode == "neighbour" and other is not None:
            seen = [text for role in roles for text in other.seen(role)]
            texts = seen if not looks_inside and other.serial % 2 else texts + seen
        texts = [] if mode in ("late", "blind", "old") else texts
        texts += [ALIEN] if mode == "alien" else []
        number = awaited.number + 5 if mode == "nobody" else awaited.number
        reading = i.ItemReadings(
            station.id,
            number & 0xFFFF,
            awaited.reader.id,
            tuple(dict.fromkeys(texts)),
            refused=int(mode == "refused"),
            repeated=int(mode == "repeated") + len(texts) - len(set(texts)),
            late=mode == "late",
            graded=mode != "grade",
            old_picture=mode == "old",
        )
        done = self.tell(reading)
        if done is None:
            if box is not None and layer:
                box.blind = True
            return
        visit = self.visits.get(thing)
        heard = visit is not None and visit.at == station.id and awaited.reader.id in visit.waiting
        if mode == "nobody" or not heard or visit is None:
            assert not done.facts, "a reading that nobody waited for was judged"
            assert not done.effects
        elif box is not None and looks_inside:
            self._content(box, visit, reading, layer, done)
        elif box is not None:
            self._label(box, visit, reading, done)
        else:
            self._item(thing, visit, station, awaited.reader, reading, done)

    # ------------------------------------------------------------------------- containers

    def stroke(self, station: Station, counts: list[int], last: bool, at: int = 0) -> None:
        """The packer moves children from its lanes into a container, `at` among the open ones."""
        belt, pack = self.belt, station.id
        if at >= len(belt.boxes[pack]):
            thing = belt.make(station.level)
            thing.number = belt.plc.number(pack)
            if not any(s.level == station.level and s.device for s in self.plan.stations):
                pool = next(p for p in self.site.pools if p.level == station.level)
                thing.marks[pool.roles[0]] = [self.next_text(pool.number, 0)]
            belt.boxes[pack].append(thing)
            self.boxes[thing] = Box(thing, station, self.order)
        thing = belt.boxes[pack][min(at, len(belt.boxes[pack]) - 1)]
        box = self.boxes[thing]
        lanes, believed = belt.lanes[pack], self.infeed[pack]
        counts = [min(count, len(lane)) for count, lane in zip(counts, lanes, strict=True)]
        moved, units = [], []
        if pack in self.deep:
            for lane, count in zip(believed, counts, strict=True):
                lane.extendleft([None] * (count - len(lane)))
        for row in range(max(counts)):
            for lane, count in enumerate(counts):
                if row < count:
                    moved.append(lanes[lane][row])
                    there = believed[lane]
                    units.append(there[row] if row < len(there) else None)
        for lane, count in enumerate(counts):
            for _ in range(count):
                lanes[lane].popleft()
                if believed[lane]:
                    believed[lane].popleft()
        box.slipped = box.slipped or pack in self.slipped | self.handled
        if not any(lanes):
            self.slipped.discard(pack)
        thing.children += moved
        box.layer += moved
        box.last = last
        if last:
            belt.boxes[pack].remove(thing)
            where = belt.lined if has_gate(station) else belt.path
            where[pack if has_gate(station) else self.plan.out_of[pack].target].append(thing)
        done = self.tell(i.Stroked(pack, thing.number, tuple(counts), last))
        if done is None:
            box.blind = True
            return
        (seen,) = (fact for fact in done.facts if isinstance(fact, f.StrokeSeen))
        assert seen.units == tuple(unit and unit.unit for unit in units)
        if station.mode == "sequence":
            self._by_order(box, units, done)
            if last and not has_gate(station):
                self._goes_on(station, thing, box.unit)
        elif not has_gate(station):
            self.fire(station, thing)

    def _may_pack(self, unit: Unit | None, box: Box) -> bool:
        return (
            unit is not None
            and unit.inside is None
            and not (unit.rejected or unit.held or unit.gone)
            and (unit.level == "bottle" or unit.closed != "")
            and unit.order == box.order
        )

    def _order_of(self, box: Box, units: Iterable[Unit | None], done: Committed) -> None:
        """A container belongs to the order of its children, until it is formed; the agent closes
        the last one of a lot by itself."""
        if box.unit is None:
            known = [unit.order for unit in units if unit and unit.order in self.orders]
            box.order = Counter(known).most_common(1)[0][0] if known else box.order
        for fact in done.facts:
            if isinstance(fact, f.PartialAllowed):
                self.partial_told = True
                if fact.by:  # what a person allowed, once
                    assert fact.station in self.permits, "one permission, two containers"
                    self.permits.remove(fact.station)
                    continue
                assert fact.reason == "lot_change"
                if fact.number == box.thing.number:
                    assert box.order != self.order, "closed though its order goes on"

    def _form(self, box: Box, facts: tuple[Fact, ...]) -> None:
        for fact in facts:
            if isinstance(fact, f.ContainerFormed):
                assert (fact.station, fact.number) == (box.pack.id, box.thing.number)
                assert fact.order == box.order, "the container changed its order"
                box.unit = self.book.begin(fact.unit, fact.level, fact.order, box.thing)

    def _by_order(self, box: Box, units: list[Unit | None], done: Committed) -> None:
        """Packed by sequence: the units of the lanes, unknown where one may not be there."""
        self._order_of(box, units, done)
        if box.order not in self.orders:
            assert not any(isinstance(fact, f.Packed) for fact in done.facts)
            return
        box.layer.clear()
        self._form(box, done.facts)
        (fact,) = (fact for fact in done.facts if isinstance(fact, f.Packed))
        assert box.unit is not None
        assert fact.container == box.unit.unit
        assert fact.evidence == (f.LinkEvidence.ORDER,)
        wanted: list[int | None] = []
        for unit in units:
            free = self._may_pack(unit, box) and unit is not None and unit.unit not in wanted
            wanted.append(unit.unit if unit is not None and free else None)
        assert list(fact.children) == wanted, f"{fact.children}, but {wanted} were in the lanes"
        self.book.bind(box.unit, fact.children)
        spec = self.site.scheme.level(box.pack.level)
        short = box.last and box.unit.count < spec.children
        wrong = box.unit.unknown > spec.unknown or box.unit.count > spec.children or short
        self._fault(box, done, None if short and self.partial_told else wrong)
        self._labelled(box, done, box.last or box.unit.count >= spec.children)

    def _fault(self, box: Box, done: Committed, wrong: bool | None) -> None:
        """Whether the container was refused; it must have been if it is `wrong` (None: unsure)."""
        kinds = f.ContainerRefused | f.ContainerRejected
        refused = any(isinstance(fact, kinds) for fact in done.facts)
        if wrong is not None and not box.fault:
            assert refused == wrong, (box, done.facts)
        box.fault = box.fault or refused
        if refused and box.unit is not None:
            box.unit.rejected = True

    def look(self, station: Station) -> None:
        """A full container comes under the camera of a gated packer."""
        thing = self.belt.lined[station.id].pop(0)
        self.belt.here[station.id].append(thing)
        self.fire(station, thing)

    def _content(
        self,
        box: Box,
        visit: Visit,
        reading: i.ItemReadings,
        layer: list[Thing],
        done: Committed,
    ) -> None:
        """A picture of the content was judged."""
        visit.waiting.clear()
        children = [
            self.book.owner.get(text)
            for text in reading.texts
            if self._role(text)[0] != box.pack.level
        ]
        self._order_of(box, children, done)
        order = self.orders.get(box.order)
        packed = [fact for fact in done.facts if isinstance(fact, f.Packed)]
        if order is None:
            assert not packed
            self._fault(box, done, None)
            return
        spec = self.site.scheme.level(box.pack.level)
        below = self.site.scheme.below(box.pack.level)
        assert below is not None
        own = [text for text in reading.texts if self._role(text) == (spec.name, spec.primary)]
        bad = ["refused"] * bool(reading.refused) + ["twice"] * bool(reading.repeated)
        bad += ["old picture"] * reading.old_picture
        bad += ["unknown" for text in reading.texts if not self._role(text)[0]]
        bad += ["own code" for text in own if self._allowed(spec.name, text, order, box.unit)]
        bad += ["two own codes"] * (len(own) > 1)
        units: list[int] = []
        for text in reading.texts:
            if self._role(text)[0] not in ("", spec.name):
                unit = self.book.owner.get(text)
                if unit is None or not self._may_pack(unit, box) or unit.level != below.name:
                    bad.append(f"{text} may not be there")
                elif unit.unit in units:
                    bad.append("the same unit twice")
                else:
                    units.append(unit.unit)
        held = box.unit.count if box.unit else 0
        unread = len(layer) - len(units)
        if not box.blind:
            full = held + len(layer)
            unknown = (box.unit.unknown if box.unit else 0) + unread
            bad += ["more than moved"] * (unread < 0) + ["too many"] * (full > spec.children)
            short = box.last and full < spec.children
            bad += ["short"] * (short and not box.partial)
            bad += ["too many unknown"] * (unknown > spec.unknown)
        partial = box.last and held + len(layer) < spec.children and self.partial_told
        unsure = box.blind or partial
        refused = not packed
        if bad:
            assert unsure or refused, f"{box} passed though {bad}"
        elif not box.fault:
            assert unsure or packed, f"{box} was refused: {done.facts}"
        self._form(box, done.facts)
        self._fault(box, done, None)
        visit.verdict = "pass" if packed and not box.fault else "reject"
        if not packed:
            return
        (fact,) = packed
        assert box.unit is not None
        visit.unit = box.unit
        assert fact.container == box.unit.unit
        assert fact.evidence == (f.LinkEvidence.READ,)
        known = [child for child in fact.children if child is not None]
        assert sorted(known) == sorted(units), "children that were not seen in the picture"
        assert box.blind or len(fact.children) == len(layer), "the count is not what was moved"
        self.book.bind(box.unit, fact.children)
        self._own(box, done, own)
        self._labelled(box, done, box.unit.count >= spec.children and not own)

    def _labelled(self, box: Box, done: Committed, due: bool) -> None:
        """A full container gets one label, of its own order's pool."""
        label = self.plan.label_station(box.pack.id)
        mine = box.unit and box.unit.unit
        assigned = [
            fact
            for fact in done.facts
            if isinstance(fact, f.LabelAssigned) and fact.container == mine
        ]
        if label is None or not label.device or not due:
            assert not assigned or self.partial_told, "a label for a container that is not full"
            return
        number = self.orders[box.order].pool(box.pack.level, label.role)
        assert assigned or self._empty(number), f"no label for {box}: {done.facts}"
        for fact in assigned:
            assert box.unit is not None
            assert (fact.container, fact.key.pool) == (box.unit.unit, number)

    def _empty(self, number: int | None) -> bool:
        pool = next(pool for pool in self.site.pools if pool.number == number)
        return len(self.book.codes[pool.number, 0]) >= len(pool.texts[0])

    def _own(self, box: Box, done: Committed, texts: list[str]) -> None:
        """A container's own code was read: then, and only then, it is bound."""
        for fact in done.facts:
            if isinstance(fact, f.LabelBound):
                assert box.unit is not None
                assert fact.container == box.unit.unit
                assert {self.book.text(a.key) for a in fact.codes} <= set(texts), "not read on it"
                self.book.attach(box.unit, fact.codes)
                captive = self.plan.between(box.pack.id, fact.station) is PathKind.CAPTIVE
                same = fact.station == box.pack.id
                assert fact.own != f.OwnCode.SAME_FRAME or same or box.own == "same_frame"
                assert fact.own != f.OwnCode.CAPTIVE or captive
                box.own = "same_frame" if same else box.own or ("captive" if captive else "else")

    def _label(self, box: Box, visit: Visit, reading: i.ItemReadings, done: Committed) -> None:
        """The label station read a container's own code."""
        visit.waiting.clear()
        closed = [fact for fact in done.facts if isinstance(fact, f.ContainerClosed)]
        order = self.orders.get(box.order)
        station = self.plan.by_id[visit.at]
        if order is None:
            assert not closed
            self._fault(box, done, None)
            return
        spec = self.site.scheme.level(station.level)
        roles = station.readers[0].roles
        bad, found, others = self._marks(spec.name, roles, reading, order, box.unit, {})
        bad += [] if spec.primary in found else ["no label"]
        doubted = {u for fact in done.facts if isinstance(fact, f.UnitsDoubted) for u in fact.units}
        own = [t for t in reading.texts if self._role(t) == (spec.name, spec.primary)]
        if len(own) < 2:  # with two in view one is a neighbour's
            assert {unit.unit for unit in others} <= doubted, "a duplicate puts both in doubt"
        count = box.unit.count if box.unit else 0
        unsure = count != spec.children and self.partial_told
        if count != spec.children and not self.partial_told:
            bad.append("not full")
        if box.unit is None or box.fault:
            bad.append("refused before")
        if bad:
            assert not closed, f"{box} closed though {bad}"
        else:
            assert closed or unsure, f"{box} was refused: {done.facts}"
        self._fault(box, done, None if box.unit is None else not closed)
        visit.verdict = "pass" if closed else "reject"
        if not closed or box.unit is None:
            return
        self._own(box, done, list(found.values()))
        box.unit.closed = closed[0].integrity
        assert (closed[0].count, closed[0].unknown) == (count, box.unit.unknown)
        assert bool(closed[0].reason) == (count < spec.children), "a partial case has a reason"
        assigned = self.rig.ask("SELECT label, code FROM container WHERE unit=?", box.unit.unit)
        name = f"{LINE}/{station.id}/label_mismatch"
        if assigned[0][0] is not None and assigned[0][0] != assigned[0][1]:
            assert name in self.rig.state().alarms, "the label of another container is not told"
        self._worth(box, closed[0])

    def _worth(self, box: Box, fact: f.ContainerClosed) -> None:
        """Rule 2: a record never claims more than its evidence, and is right where it claims."""
        assert box.unit is not None
        read = box.pack.mode == "multi_read"
        best = "inferred"
        if box.unit.unknown:
            best = "incomplete"
        elif read and box.own in ("same_frame", "captive") and not box.doubted:
            best = "proven"
        assert fact.integrity == best, f"{box} is {best}, the record says {fact.integrity}"
        inside = box.thing.children
        if not read and box.slipped:
            (flags,) = self.rig.ask(
                "SELECT flags FROM code WHERE unit = ? AND unit_state IS NOT NULL", box.unit.unit
            )
            assert flags[0] & 1, f"{box} may be wrong and is not said to be doubtful"
            return
        if box.blind:
            return
        right = [
            kid
            for kid in box.unit.kids
            if kid.thing in inside or any(set(kid.texts.values()) & _all(c) for c in inside)
        ]
        assert len(right) == len(box.unit.kids), f"rule 2: {best} {box} holds {inside}"
        assert len(inside) == box.unit.count, f"rule 2: {box} has {box.unit.count} of {inside}"


def _all(thing: Thing) -> set[str]:
    return {text for texts in thing.marks.values() for text in texts}
