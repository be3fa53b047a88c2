"""Journal rows to EPCIS 2.0 documents: what the cloud and any other repository is told.

Pure: the documents of a row depend on the rows up to it and on nothing else, so a row that is sent
again is sent in the same bytes. `State` carries what has not been told yet; `Look` answers from the
journal and the pools what does not change any more. Rows of kinds that SYNC's table does not name
(alarms, printing, work orders as such) have no document.
"""

from collections.abc import Callable, Sequence
from typing import Any

from agent.core import facts as f
from agent.core.facts import Attachment, CodeKey, Fact
from agent.core.life import CodeState
from agent.core.testmode import ALARM as TEST_MODE
from agent.ports.cloud import Entry, Look
from sync import goods
from sync.events import EARLIEST_MS, LATEST_MS, Document, Event, Speaker, only
from sync.pending import State, Thing, absorb, begins, concerned, steps
from sync.teller import Teller
from sync.uris import Identity

FEW = 50
"""Codes that are named one by one when they become void; more are told as a range."""


def translate(state: State, entry: Entry, look: Look, identity: Identity) -> list[Document]:
    """The documents of the row that follows `state`, which is brought up to it."""
    at = entry.clock.wall_ms
    if EARLIEST_MS <= at < LATEST_MS:
        state.last_ms = at
    else:
        at = state.last_ms or EARLIEST_MS
    began = begins(entry)
    if began is not None:
        state.things[began[0]] = began[1]
    else:
        for unit in concerned(entry.fact):
            pending = state.things.get(unit)
            if pending is not None:
                absorb(pending, unit, entry.fact)
    state.seq = entry.seq
    tell = _TELL.get(type(entry.fact))
    if tell is None:
        return []
    row = _Row(state, look, Speaker(identity, entry, at))
    events = tell(row, entry.fact)
    return row.say.documents(events) if events else []


class _Row(Teller):
    """One method for each kind of fact that is told."""

    def item_passed(self, fact: f.ItemPassed) -> list[Event]:
        if fact.unit in self.state.things:
            return []
        events = self._bears_more(fact.unit, fact.codes)
        return events + self.inspected([fact.unit], "active", "back", {"x:why": "passed"})

    def closed(self, fact: f.ContainerClosed) -> list[Event]:
        if fact.container in self.state.things:
            return self._if_ready(fact.container)
        thing = self.thing(fact.container, self.seq)
        return self.content("OBSERVE", f"pack/{fact.container}", fact.container, thing)

    def bound(self, fact: f.LabelBound) -> list[Event]:
        unit = fact.container
        if unit in self.state.things:
            return self._if_ready(unit)
        events = self._bears_more(unit, fact.codes)
        return events + self.inspected([unit], "active", "back", {"x:why": "passed"})

    def _bears_more(self, unit: int, codes: Sequence[Attachment]) -> list[Event]:
        """Codes came onto a unit that was told; one of them may be its first name."""
        before = self.thing(unit, self.seq - 1)
        name, now = self.name(unit, before), self.known_as(unit)
        events = []
        if name != now:
            more = {"x:relabel": "", "x:pairs": "proven"}
            events.append(self.say.associated("named", now, [name], more))
        there = {code.key for code in before.codes}
        new = [code for code in codes if code.key not in there]
        named = self.primary(self.thing(unit, self.seq))
        return events + self.associate(
            f"codes/{unit}", now, [code for code in new if code != named]
        )

    def _if_ready(self, unit: int) -> list[Event]:
        thing = self.state.things[unit]
        ready = thing.closed and self.primary(thing) is not None
        return self.first([unit]) if ready else []

    def packed(self, fact: f.Packed) -> list[Event]:
        unit = fact.container
        if unit in self.state.things:
            return []
        known = [child for child in fact.children if child is not None]
        events = self.first(known)
        names = [self.known_as(child) for child in known]
        more: dict[str, Any] = {
            "x:unknown": len(fact.children) - len(known),
            "x:evidence": only([why.value for why in fact.evidence]),
            **self._rework(),
        }
        parent = self.known_as(unit)
        return events + self.say.aggregated("ADD", f"pack/{unit}", parent, names, more)

    def unpacked(self, fact: f.Unpacked) -> list[Event]:
        unit = fact.container
        if unit in self.state.things:
            return []
        names = [self.known_as(child) for child in fact.children]
        more = {"x:reason": fact.reason, "x:unknown": fact.unknown, **self._rework()}
        parent = self.known_as(unit)
        if not names:
            return self.say.objects(
                "OBSERVE", f"unpack/{unit}", "inspecting", "in_progress", [parent], more
            )
        return self.say.aggregated("DELETE", f"unpack/{unit}", parent, names, more)

    def _rework(self) -> dict[str, str]:
        """The name that all facts of one action of a person share: they have the same time."""
        entry = self.say.entry
        if entry.line:
            return {}
        at = f"rework/{entry.clock.mono_ms}/{entry.clock.wall_ms}"
        return {"x:rework": self.say.shared_id(at)}

    def corrected(self, fact: f.LinksCorrected) -> list[Event]:
        unit = fact.container
        if unit in self.state.things:
            return []
        events = self.first(fact.children)
        after = self.content("ADD", f"pack/{unit}", unit, self.thing(unit, self.seq))
        for event in after:
            event["x:why"] = fact.why
        telling = self._telling(unit)
        wrong = self._wrong(unit, telling, [event["eventID"] for event in after])
        gone = self._gone_since(unit, telling, fact)
        return [*events, *wrong, *gone, *after, *self._whereabouts(fact)]

    def _whereabouts(self, fact: f.LinksCorrected) -> list[Event]:
        """Nobody knows where a child is that was not in there; of one that was found, they do."""
        lost = {"x:doubtful": True, "x:why": fact.why}
        events = self.inspected(self.told(fact.removed), "in_progress", "lost", lost)
        before = self.thing(fact.container, self.seq - 1).children
        known = {child for child, _ in before}
        found = [
            child
            for child in self.told(child for child in fact.children if child is not None)
            if child not in known and self.thing(child, self.seq - 1).doubtful
        ]
        there = {"x:doubtful": False, "x:why": fact.why}
        return events + self.inspected(found, "in_progress", "found", there)

    def _wrong(
        self, unit: int, telling: tuple[Entry, Thing] | None, corrective: Sequence[str]
    ) -> list[Event]:
        """The events that told the container's content first, declared wrong."""
        if telling is None:
            return []
        entry, thing = telling
        at = entry.clock.wall_ms
        if not EARLIEST_MS <= at < LATEST_MS:
            at = self.look.wall_ms(entry.seq, EARLIEST_MS, LATEST_MS) or EARLIEST_MS
        teller = Teller(State(), self.look, Speaker(self.identity, entry, at))
        events = teller.content("ADD", f"pack/{unit}", unit, thing)
        declared = {
            "declarationTime": self.say.time,
            "reason": "incorrect_data",
            "correctiveEventIDs": list(corrective),
        }
        return [{**event, "errorDeclaration": declared} for event in events]

    def _telling(self, unit: int) -> tuple[Entry, Thing] | None:
        """The row that told a container, and what it was then; None if the end of its order did."""
        closed = 0
        for entry, thing in steps(self.look.history(unit, self.seq - 1), unit):
            if thing.closed and not closed:
                closed = entry.seq
            if thing.closed and self.primary(thing) is not None:
                late = closed < entry.seq and any(
                    closed < end < entry.seq for end in self.look.order_ends(thing.order)
                )
                return None if late else (entry, thing)
        return None

    def _gone_since(
        self, unit: int, telling: tuple[Entry, Thing] | None, fact: f.LinksCorrected
    ) -> list[Event]:
        """Children that came into the container after it was told, and were never in it."""
        first = {child for child, _ in telling[1].children} if telling else set()
        names = [self.known_as(child) for child in fact.removed if child not in first]
        more = {"x:why": fact.why}
        return self.say.aggregated("DELETE", f"gone/{unit}", self.known_as(unit), names, more)

    def refused(self, fact: f.ContainerRefused) -> list[Event]:
        """Rejected before it held a link: nothing is told of it."""
        if fact.unit is not None:
            self.state.things.pop(fact.unit, None)
        return []

    def off(self, fact: f.RejectConfirmed | f.ForeignRejected) -> list[Event]:
        units = self.told([fact.unit]) if fact.unit is not None else []
        return self.inspected(units, "non_sellable_other", "off", {"x:reason": "rejected"})

    def container_off(self, fact: f.ContainerRejected) -> list[Event]:
        units = self.told([fact.container])
        return self.inspected(units, "non_sellable_other", "off", {"x:reason": fact.verdict})

    def doubted(self, fact: Any) -> list[Event]:
        units = self.told(concerned(fact))
        more = {"x:doubtful": True, "x:why": getattr(fact, "why", "slip")}
        return self.inspected(units, "in_progress", "doubt", more)

    def trusted(self, fact: f.ContainerConfirmed | f.DoubtResolved) -> list[Event]:
        units = self.told(concerned(fact))
        more = {"x:doubtful": False, "x:why": getattr(fact, "why", "read")}
        return self.inspected(units, "in_progress", "doubt", more)

    def broken(self, fact: f.ContainersBroken) -> list[Event]:
        events = []
        for unit in self.told(fact.containers):
            integrity = self.thing(unit, self.seq).integrity
            more: dict[str, Any] = {"x:broken": True, "x:doubtful": True, "x:why": fact.why}
            if integrity is not None:
                more["x:integrity"] = integrity.value
            events += self.inspected([unit], "in_progress", f"broken/{unit}", more)
        return events

    def anchored(self, fact: f.ContainersAnchored) -> list[Event]:
        units = self.told(fact.containers)
        more = {"x:integrity": "anchored", "x:doubtful": False}
        return self.inspected(units, "in_progress", "anchored", more)

    def relabelled(self, fact: f.Relabelled) -> list[Event]:
        if fact.unit in self.state.things:
            return self._if_ready(fact.unit) if self.state.things[fact.unit].is_container else []
        before = self.thing(fact.unit, self.seq - 1)
        old_name = self.name(fact.unit, before)
        (new,) = self.uris([Attachment(fact.role, fact.new, fact.pair)])
        more = {"x:relabel": fact.role, "x:pairs": fact.pair.value, "x:reason": fact.reason}
        more |= self._rework()
        after = self.known_as(fact.unit)
        child = old_name if after == new else new
        events = [self.say.associated("relabel", after, [child], more)]
        if fact.old is not None:
            (old,) = self.uris([Attachment(fact.role, fact.old, fact.pair)])
            events += self._decommission([old], fact.reason, self._rework())
        return events

    def _decommission(
        self, names: Sequence[str], reason: str, more: dict[str, str] | None = None
    ) -> list[Event]:
        given = {"x:reason": reason, **(more or {})}
        return self.say.objects("DELETE", "void", "decommissioning", "inactive", names, given)

    def moved(self, fact: f.CodesMoved) -> list[Event]:
        if fact.to != CodeState.VOID.value:
            return []
        pool = self.look.pool(fact.pool)
        role = pool.roles[fact.column]
        if fact.count > FEW:
            about = {
                "quantityList": [
                    {
                        "epcClass": self.identity.column(pool.name, role),
                        "quantity": fact.count,
                    }
                ],
                "x:first": fact.first,
                "x:reason": fact.why,
            }
            return [self.say.range("decommissioning", "inactive", "DELETE", about)]
        keys = [CodeKey(fact.pool, fact.first + n, fact.column) for n in range(fact.count)]
        return self._void(keys, fact.why)

    def tested(self, fact: f.ItemTested) -> list[Event]:
        """Of an item of a test nothing is told but which of its codes will never live."""
        return self._void(self.look.made_void(fact.codes, self.seq), TEST_MODE)

    def _void(self, keys: Sequence[CodeKey], why: str) -> list[Event]:
        codes = [
            Attachment(self.look.pool(key.pool).roles[key.column], key, f.PairIntegrity.UNKNOWN)
            for key in keys
        ]
        return self._decommission(self.uris(codes), why)

    def sampled(self, fact: f.UnitsSampled) -> list[Event]:
        events = self.first(fact.units)
        names = [self.known_as(unit) for unit in fact.units]
        entry = self.say.entry
        test = self.identity.own("bt", "testprd", f"{self.identity.name}/{entry.seq}")
        more = {
            "bizTransactionList": [{"type": "testprd", "bizTransaction": test}],
            "x:reason": fact.reason,
        }
        return events + self.say.objects(
            "OBSERVE", "sample", "sampling", "non_sellable_other", names, more
        )

    def destroyed(self, fact: f.UnitsDestroyed) -> list[Event]:
        events = self.first(fact.units)
        names = [self.known_as(unit) for unit in fact.units]
        more = {"x:reason": fact.reason, **self._rework()}
        return events + self.say.objects(
            "DELETE", "destroy", "destroying", "destroyed", names, more
        )

    def held(self, fact: f.HoldPlaced | f.HoldReleased) -> list[Event]:
        placed = isinstance(fact, f.HoldPlaced)
        disposition = "non_sellable_other" if placed else "sellable_not_accessible"
        more: dict[str, Any] = {
            "x:hold": fact.hold,
            "x:held": placed,
            "x:reason": fact.reason,
        }
        whole = fact if isinstance(fact, f.HoldPlaced) else self.look.hold(fact.hold)
        units = fact.units or whole.units
        events = self.first(units)
        names = [self.known_as(unit) for unit in units]
        events += self.say.objects("OBSERVE", "hold", "holding", disposition, names, more)
        if whole.lot:
            classes = self.identity.lot(whole.product, whole.lot)
            about = {"quantityList": [{"epcClass": classes}], **more}
            events.append(self.say.range("holding", disposition, "OBSERVE", about))
        elif whole.pool >= 0:
            pool = self.look.pool(whole.pool)
            classes = self.identity.column(pool.name, pool.roles[0])
            many = whole.last - whole.first + 1
            about = {"quantityList": [{"epcClass": classes, "quantity": many}], **more}
            about["x:first"] = whole.first
            events.append(self.say.range("holding", disposition, "OBSERVE", about))
        return events

    def ended(self, order: str) -> list[Event]:
        """The end of a work order: what of it is in no closed container is told loose."""
        pending = [
            unit
            for unit, thing in self.state.things.items()
            if thing.order == order and (thing.closed or not thing.is_container)
        ]
        return self.first(pending)


_TELL: dict[type[Fact], Callable[[_Row, Any], list[Event]]] = {
    f.ItemPassed: _Row.item_passed,
    f.ContainerClosed: _Row.closed,
    f.LabelBound: _Row.bound,
    f.Packed: _Row.packed,
    f.Unpacked: _Row.unpacked,
    f.LinksCorrected: _Row.corrected,
    f.ContainerRefused: _Row.refused,
    f.RejectConfirmed: _Row.off,
    f.ForeignRejected: _Row.off,
    f.ContainerRejected: _Row.container_off,
    f.UnitsDoubted: _Row.doubted,
    f.ItemsMissed: _Row.doubted,
    f.RunBegan: _Row.doubted,
    f.PathDisturbed: _Row.doubted,
    f.SlipFound: _Row.doubted,
    f.ContainerConfirmed: _Row.trusted,
    f.DoubtResolved: _Row.trusted,
    f.ContainersAnchored: _Row.anchored,
    f.ContainersBroken: _Row.broken,
    f.Relabelled: _Row.relabelled,
    f.CodesMoved: _Row.moved,
    f.ItemTested: _Row.tested,
    f.UnitsSampled: _Row.sampled,
    f.UnitsDestroyed: _Row.destroyed,
    f.HoldPlaced: _Row.held,
    f.HoldReleased: _Row.held,
    f.OrderFinished: lambda row, fact: row.ended(fact.number),
    f.LineCleared: lambda row, fact: row.ended(fact.order),
    **goods.TELL,
}

SILENT: frozenset[type[Fact]] = frozenset(
    {
        f.AgentStarted,
        f.AlarmRaised,
        f.AlarmAcknowledged,
        f.AlarmCleared,
        f.BypassBegan,
        f.BypassEnded,
        f.CodeRegistered,
        f.CommandDone,
        f.ContainerFormed,  # told with its content
        f.ContainerReopened,  # told when it is closed again
        f.ContainerScanned,  # what it changes is told by a correction
        f.ContainerUnseen,
        f.ItemRejected,  # what has become a unit is told when it is off the line
        f.ItemUnseen,
        f.LabelAssigned,
        f.OrderCreated,
        f.OrderPaused,
        f.OrderStarted,
        f.PartialAllowed,
        f.PoolImported,
        f.PoolSettled,
        f.PoolsUsed,
        f.PrinterCounted,
        f.PrinterSessionBegan,
        f.ReferenceChanged,
        f.RejectFailed,
        f.Restored,
        f.RollClosed,
        f.TestModeBegan,
        f.TestModeEnded,
        f.DeviceEnrolled,
        f.DeviceRevoked,
        f.DocumentHandedOver,
        f.DocumentOpened,
        f.GoodsFollowed,
        f.GoodsTold,
    }
)
"""Kinds of rows that have no document: SYNC's table does not name them."""

HANDLED: frozenset[type[Fact]] = frozenset(_TELL) | SILENT
"""Every durable kind; a test compares it with the vocabulary."""
