"""The whole model: on top of bottles and containers, printers, people, and failures of the agent
and the PLC. `machine` draws the events."""

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.evolve import has_gate
from tests.core.belt import Thing
from tests.core.boxes import Boxes
from tests.core.rig import durable


class Play(Boxes):
    """One example."""

    # ------------------------------------------------------------------------- printers

    def refill(self, station: str) -> None:
        printer = self.belt.printers[station]
        room = printer.station.window - len(printer.waiting) - len(printer.device)
        if room > 0:
            self.tell(i.RefillWanted(station, room))

    def hand_over(self, station: str) -> None:
        printer = self.belt.printers[station]
        key, text = printer.waiting.popleft()
        printer.device.append((key, text))
        self.tell(i.PrintAccepted(station, key.position, 1, key.pool, key.column))

    def label(self, station: str) -> None:
        """A label printer prints the next label; it waits to be applied."""
        printer = self.belt.printers[station]
        text = printer.print(self.belt.printed)
        if text is not None:
            printer.labels.append(text)

    def report(self, station: str) -> None:
        """The device's own report of a print arrives."""
        printer = self.belt.printers[station]
        key = printer.reports.popleft()
        done = self.tell(i.PrintReported(station, key.position, 5, key.pool, key.column))
        if done is not None:
            self._pair(printer.station, done)

    def lose_printer(self, station: str, keeps: bool) -> None:
        """The connection breaks and comes back."""
        printer = self.belt.printers[station]
        self.tell(i.PrintDoubtful(station, "printer_lost"))
        printer.lost(keeps)
        self.unprinted[station].clear()
        self.unpaired[station].clear()
        while self.tell(i.PrinterConnected(station, not keeps)) is None:
            pass
        for (pool, column), states in self.book.codes.items():
            role = self.site.pools[pool - 1].roles[column]
            if role == printer.station.role and self.site.pools[pool - 1].number == self._window(
                station
            ):
                left = [p for p, state in states.items() if state in ("sending", "accepted")]
                assert not left, f"codes {left} of a lost session are not suspect"

    def _window(self, station: str) -> int:
        return self.rig.state().window(station).pool

    # ------------------------------------------------------------------------- the agent, the PLC

    def restart(self) -> None:
        """The agent's process ends and starts again; whatever it had not carried out is lost."""
        live = self.rig.state()
        mine = [box.unit.unit for box in self.boxes.values() if box.unit is not None]
        present = [
            c.unit for zone in live.containers.values() for c in zone.values() if c.unit in mine
        ]
        before = durable(live, [unit for unit in present if unit is not None])
        self.rig.restart()
        after = durable(self.rig.state(), [unit for unit in present if unit is not None])
        assert after == before, "the state after a restart is not what it was"
        self.held_slots.clear()
        self.slow = False
        self.awaited.clear()
        for box in self.boxes.values():
            box.blind = box.blind or bool(box.layer)
        self._again("agent_restart")
        for station in self.belt.printers:
            self.lose_printer(station, False)

    def _again(self, why: str) -> None:
        while self.tell(i.RunChanged(self.belt.plc.run, why)) is None:
            pass
        self.forget()

    def overrun(self) -> None:
        """The agent knows that it missed events; the belt and the PLC go on."""
        self._again("ring_overrun")

    def disturb(self, why: str, hands: int) -> None:
        """A guard is opened, and hands may be in the lanes."""
        for pack, lanes in self.belt.lanes.items():
            lane = lanes[hands % len(lanes)]
            if hands and lane:
                at = hands // 3 % len(lane)
                if hands % 2:
                    lane[0], lane[at] = lane[at], lane[0]
                else:
                    self.belt.drop(lane[at])
                    del lane[at]
                self.handled.add(pack)
        if self.tell(i.PathDisturbed(why)) is None:
            return
        for visit in self.visits.values():
            way = self.plan.out_of.get(visit.at)
            if way is not None and self.plan.zone[way.target] == self.plan.zone[visit.at]:
                visit.before, visit.expected = set(visit.reads), ""
        for station in self.plan.stations:
            for thing in self.belt.here.get(station.id, ()) if has_gate(station) else ():
                known = self.visits.get(thing)
                if known is not None and known.at == station.id and not known.verdict:
                    known.bad.append("late")
        for box in self.boxes.values():
            box.doubted = box.doubted or box.unit is not None

    def judged_well(self, thing: Thing) -> bool:
        """Whether the agent gave this thing a PASS at the station where it is."""
        visit = self.visits.get(thing)
        return visit is not None and visit.verdict == "pass"

    def restart_plc(self) -> None:
        """The PLC numbers anew; the line is cleared by hand, all but the packers' lanes."""
        self.belt.sweep()
        self.belt.plc.restart()
        self.held_slots.clear()
        self.awaited.clear()
        self.boxes.clear()
        self._again("plc_restart")

    def person(self, what: i.Input) -> None:
        """A person asks; the core may refuse, and then nothing happens."""
        before = self.order, self.running
        done = self.tell(what, asked=True)
        for fact in done.facts if done else ():
            match fact:
                case f.OrderStarted(number=number):
                    self.order, self.running = number, True
                case f.OrderPaused():
                    self.running = False
                case f.OrderFinished(number=number):
                    assert number == self.order
                    self.order, self.running = "", False
                case f.PartialAllowed():
                    self.partial_told = True
                    self.permits.add(fact.station)
                    self._close(fact.station)
        state = self.rig.state()
        now = state.order.number if state.order else "", state.status == "running"
        assert now == (self.order, self.running), f"{before} became {now}"

    def _close(self, pack: str) -> None:
        """Open containers that the agent knows of move on as they are."""
        belt, station = self.belt, self.plan.by_id[pack]
        for thing in list(belt.boxes[pack]):
            box = self.boxes[thing]
            if box.unit is not None and box.unit.count and not has_gate(station):
                box.last = True
                belt.boxes[pack].remove(thing)
                belt.path[self.plan.out_of[pack].target].append(thing)
