"""What the agent was told and may know, and what must hold of it: the base of the model.

Each group of inputs goes through the real gate; before any of its effects is carried out, another
connection must see its facts (rule 3). What is in flight is forgotten when the agent or the PLC
forgets.
"""

from collections import defaultdict, deque
from contextlib import nullcontext
from dataclasses import dataclass, field

from sqlcipher3 import dbapi2

from agent.core import facts as f
from agent.core import inputs as i
from agent.core import tracking
from agent.core.effects import PrintLabel, SendCodes, SetSlot
from agent.core.errors import DomainError, TransientError
from agent.core.evolve import has_gate
from agent.core.facts import Fact
from agent.core.plan import PathKind, ReaderPlan, Station
from agent.core.state import Counts
from agent.ports.line import Committed
from agent.ports.plc import Slot, SlotVerdict
from tests.core.belt import Belt, Thing
from tests.core.book import Book, Unit
from tests.core.rig import Rig, durable
from tests.core.sites import VOIDED, Site


@dataclass(eq=False)
class Visit:
    """What the agent knows of a thing in its zone. `bad` is why it may not pass."""

    number: int
    order: str
    at: str = ""
    waiting: set[str] = field(default_factory=set)
    verdict: str = ""
    unit: Unit | None = None
    reads: dict[str, tuple[str, str, str]] = field(default_factory=dict)  # role: text, station, by
    bad: list[str] = field(default_factory=list)
    expected: str = ""
    before: set[str] = field(default_factory=set)  # roles read before its path was disturbed


@dataclass(eq=False)
class Box:
    """A container: `layer` are the children moved since its last picture; `blind` that the agent
    missed a stroke, `slipped` that it could not know the lanes, `doubted` that it lost sight of
    the container after it had been formed."""

    thing: Thing
    pack: Station
    order: str
    layer: list[Thing] = field(default_factory=list)
    unit: Unit | None = None
    last: bool = False
    fault: bool = False
    blind: bool = False
    doubted: bool = False
    slipped: bool = False
    own: str = ""
    partial: bool = False


@dataclass(eq=False)
class Awaited:
    """A reader that was fired and has not answered."""

    station: Station
    reader: ReaderPlan
    thing: Thing
    number: int


class Told:
    """One site, its belt and its agent."""

    def __init__(self, site: Site, first: int) -> None:
        self.site, self.plan = site, site.plan
        self.rig = Rig(site)
        self.belt = Belt(site.plan, site.pools, first)
        self.book = Book(site)
        self.orders = {order.number: order for order in site.orders}
        self.order, self.running = "WO-1", True
        self.visits: dict[Thing, Visit] = {}
        self.boxes: dict[Thing, Box] = {}
        self.awaited: list[Awaited] = []
        self.held_slots: list[Slot] = []
        self.slow = False
        self.failing = ""
        self.crash = self.dead = False
        self.unread: dict[str, deque[int]] = defaultdict(deque)
        self.taken = {pool.number: VOIDED for pool in site.pools}
        self.slipped: set[str] = set()
        self.deep: set[str] = set()
        self.handled: set[str] = set()  # packers whose lanes hands were in, and nobody saw how
        self.partial_told = False
        self.permits: set[str] = set()
        self.rig.grown()
        self.began = False
        self.forget()
        for code in self.rig.ask("SELECT 1"):
            assert code
        self.tell(i.RunChanged(self.belt.plc.run, "first_start"))
        self.began = True
        for station in self.belt.printers:
            self.tell(i.PrinterConnected(station, True))

    def forget(self) -> None:
        """What is in flight is not known to the agent any more."""
        self.visits.clear()
        # Where something may still come that was on its way before: it is not counted.
        self.settling = {"gate": {s.id for s in self.plan.stations}}
        self.settling["path"] = set(self.settling["gate"])
        self.counts: dict[str, Counts] = {}
        self.believed: dict[str, dict[int, tuple[Thing, Unit | None]]] = defaultdict(dict)
        self.infeed: dict[str, list[deque[Unit | None]]] = {
            s: [deque() for _ in lanes] for s, lanes in self.belt.lanes.items()
        }
        self.unprinted: dict[str, list[Thing]] = defaultdict(list)
        self.unpaired: dict[str, list[str]] = defaultdict(list)
        self.slipped |= {s for s, lanes in self.belt.lanes.items() if any(lanes)}
        if self.began:  # what stood in the lanes of a packer by order is older than what comes
            self.deep |= {s for s in self.belt.lanes if self.plan.by_id[s].mode == "sequence"}
        for box in self.boxes.values():
            box.blind = box.blind or bool(box.layer)
            box.doubted = box.doubted or box.unit is not None

    def count(self, station: str) -> Counts:
        return self.counts.setdefault(station, Counts())

    def restart(self) -> None:
        """The agent starts again (`Play`)."""
        raise NotImplementedError

    def revive(self) -> None:
        """The process that died after its last commit is started again."""
        if self.dead:
            self.dead = False
            self.restart()

    # ------------------------------------------------------------------------- to the agent

    def tell(self, *inputs: i.Input, asked: bool = False) -> Committed | None:
        """Hand one group to the gate, check what became durable, carry out effects. None when the
        group was lost: then nothing of it may have happened. `asked`: a person did, and may be
        refused."""
        self.revive()
        failing, self.failing = self.failing, ""
        group = [*inputs, i.StartOrder("no such order", "li")] if failing == "refused" else inputs
        hurt = {"disk": self.rig.disk_full, "row": self.rig.row_refused}.get(failing, nullcontext)
        try:
            with hurt():
                done = self.rig.submit(group)
        except (TransientError, DomainError, dbapi2.IntegrityError) as error:
            if not failing and not (asked and isinstance(error, DomainError)):
                raise
            assert self.rig.grown() == [], "rows of a group that failed"
            self.after_loss(told=not asked)
            return None
        assert failing != "refused", "an order that does not exist was started"
        rows = self.rig.grown()
        # Rule 3: what another connection sees at this moment, before any effect is carried out.
        assert rows == [fact for fact in done.facts if fact.durable], "rule 3: not durable"
        self.book.apply(rows)
        if self.crash:
            self.crash, self.dead = False, True  # durable, but nothing of it is carried out
            return done
        self._no_secret(done)
        for effect in done.effects:
            match effect:
                case SetSlot():
                    self._slot(effect, done.facts)
                case SendCodes():
                    for position in range(effect.first, effect.first + effect.count):
                        key = f.CodeKey(effect.pool, position, effect.column)
                        self.belt.printers[effect.station].waiting.append((key, done.texts[key]))
                case PrintLabel(key=key):
                    self.belt.printers[effect.station].waiting.append((key, done.texts[key]))
        return done

    def after_loss(self, *, told: bool) -> None:
        """Inputs were lost: the line shell says that nothing in flight is known any more."""
        state = self.rig.state()
        assert self.rig.grown() == [], "to look writes nothing"
        if self.counts and not state.counts:  # the next group will write that all is lost
            self.forget()
        if not told:
            return
        doubts = [
            i.PrintDoubtful(station, "inputs_lost", printer.held)
            for station, printer in self.belt.printers.items()
        ]
        self.rig.submit([i.RunChanged(self.belt.plc.run, "inputs_lost"), *doubts])
        self.book.apply(self.rig.grown())
        self.forget()
        state = self.rig.state()
        units = [box.unit.unit for box in self.boxes.values() if box.unit is not None]
        there = [c.unit for zone in state.containers.values() for c in zone.values()]
        mine = [unit for unit in units if unit in there]
        assert durable(state, mine) == durable(self.rig.replayed(), mine), "state and rows differ"

    def _no_secret(self, done: Committed) -> None:
        """Clear text of a secret role goes to the coder and nowhere else."""
        for key in done.texts:
            pool = next(pool for pool in self.site.pools if pool.number == key.pool)
            assert pool.roles[key.column] not in pool.secret, "a secret code in clear"

    def _slot(self, effect: SetSlot, facts: tuple[Fact, ...]) -> None:
        verdict = SlotVerdict.PASS if effect.passed else SlotVerdict.REJECT
        station = self.plan.by_id[effect.station]
        if effect.passed:
            assert any(
                isinstance(fact, f.ItemPassed)
                and (fact.station, fact.item) == (effect.station, effect.number)
                if station.kind == "verify"
                else isinstance(fact, f.Packed | f.ContainerClosed)
                for fact in facts
            ), f"rule 3: PASS for {effect} without a fact"
        self.held_slots.append(Slot(station.index, effect.number, verdict))
        if not self.slow:
            self.flush()

    def flush(self) -> None:
        """The PLC gets the verdicts that were on their way."""
        for slot in self.held_slots:
            station = self.plan.by_index[slot.station]
            for thing in self.belt.here[station.id]:
                if thing.number == slot.number:
                    thing.granted = slot.verdict is SlotVerdict.PASS
            self.belt.plc.write(slot)
        self.held_slots.clear()
        self.slow = False

    # ------------------------------------------------------------------------- what must hold

    def check(self) -> None:
        """After every event."""
        self.revive()
        state = self.rig.state()
        assert state.counts == self.counts, f"rule 4: {state.counts} counted, {self.counts} seen"
        for station in self.plan.stations:
            known = list(state.on_path.get(station.id, {}))
            assert known == list(self.believed.get(station.id, {})), f"on the path: {known}"
            self._difference(station)
        for pack, lanes in self.infeed.items():
            units = [[unit and unit.unit for unit in lane] for lane in lanes]
            held = [list(state.lanes.get(pack, {}).get(lane, [])) for lane in range(len(lanes))]
            assert held == units, f"rule 4: lanes {held}, {units} entered"
        balances = self.rig.balances()
        for pool in self.site.pools:
            for column, role in enumerate(pool.roles if pool.texts else ()):
                found = balances[f"pool {pool.number}/{role}"]
                assert found.difference == 0, f"rule 8: {found}"
                wanted_counts = self.book.counts(pool.number, column, len(pool.texts[column]))
                counted = {word: getattr(found, word) for word in wanted_counts}
                assert counted == wanted_counts, f"rule 8: pool {pool.number}/{role}"

    def _difference(self, station: Station) -> None:
        found = {
            d.formula: d.amount
            for d in tracking.differences(self.plan, self.rig.state())
            if d.station == station.id
        }
        assert not found.get("station"), f"rule 4 at {station.id}: {found}"
        assert not found.get("path") or self._uncounted(station), (
            f"rule 4 behind {station.id}: {found}"
        )

    def _uncounted(self, station: Station) -> bool:
        way = self.plan.out_of.get(station.id)
        open_pack = station.kind == "pack" and not has_gate(station)
        return way is None or way.kind is PathKind.MIXED or open_pack

    def tables(self) -> None:
        """Rules 1 and 2 in the tables, against the model."""
        rows = self.rig.ask("SELECT unit, parent FROM code WHERE unit_state IS NOT NULL AND unit")
        found = {unit: None if parent == unit else parent for unit, parent in rows}
        wanted = {u: b.inside.unit if b.inside else None for u, b in self.book.units.items()}
        assert found == wanted, "rule 1: parents in the tables"
        on = self.rig.ask("SELECT unit, count(*) FROM code WHERE unit IS NOT NULL GROUP BY unit")
        codes = {unit: len(self.book.units[unit].texts) for unit, _ in on}
        boxes = {unit for (unit,) in self.rig.ask("SELECT unit FROM container")}
        for unit, number in on:
            assert number == codes[unit] + (unit in boxes), f"rule 1: codes of unit {unit}"
        rejected = self.rig.ask("SELECT unit FROM code WHERE unit_state = 6 AND unit IS NOT NULL")
        assert {unit for (unit,) in rejected} == {
            unit for unit, told in self.book.units.items() if told.rejected
        }, "rejected units"

    def end(self) -> None:
        """At the end of an example."""
        self.check()
        self.tables()
        self.rig.kept()
        self.rig.verified()
