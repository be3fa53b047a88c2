"""The shell around the core for one line: what devices say becomes inputs, what the core decides
becomes durable, and only then effects leave.

One queue collects inputs; one task hands all that have gathered to the commit gate, carries out
their effects, and takes the next lot: while a commit runs, the next group forms. What prints and
coders' triggers tell may wait for the next urgent input, so that it costs no commit of its own.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from agent.clockwatch import clock
from agent.core import inputs as i
from agent.core.effects import PrinterReady, PrintLabel, SendCodes, SetSlot
from agent.core.errors import CaselinkError, ConfigError, TransientError
from agent.core.evolve import RESTART
from agent.core.plan import LinePlan, Station
from agent.health import Health
from agent.line.latency import Latency, VerdictTime
from agent.line.pairing import QUIET
from agent.line.printgate import PlcPrintGate
from agent.line.printing import PrintDesk
from agent.line.watch import Trace, Watch
from agent.line.wishes import FLAG_ALARMS, wishes_of
from agent.now import monotonic
from agent.ports.line import CommitGate, Committed, Stamped
from agent.ports.plc import (
    LinePlc,
    PlcEvent,
    PlcEventKind,
    PlcOutputs,
    PlcReport,
    Slot,
    SlotVerdict,
)
from agent.told import told

log = logging.getLogger(__name__)

POLL = 0.005
"""Seconds between polls of the PLC."""
BEAT = 0.2
"""Seconds between heartbeats to the PLC; it misses us after 1.5 s."""
STILL = 3.0
"""Seconds after which a PLC whose heartbeat stands still counts as lost."""
LAZY = 0.05
"""Seconds that what may wait waits for an urgent input."""
LOOK = 0.5
"""Seconds after which the writer looks for inputs although nobody told of any."""
QUEUED = 4096
"""Inputs that may wait for the store. More means that it stands still: they are lost."""
BLIND = 1.0
"""Seconds without the PLC's flags in which hands may have been at the belt unseen."""
TICK = 1.0
"""Seconds between two looks at the clock while something has a time limit."""
LOST = "inputs_lost"
DISTURBING = frozenset({"estop", "guard_open", "jam"})
"""Flags of the PLC while which hands may be at the belt, or things at places unknown."""
PATIENCE = 2.0
"""Seconds that a person's command waits for what happened before it."""
STALE = 1.0
"""Seconds after which what the store said of the line counts as unknown: it may not run."""

_SAW = {
    PlcEventKind.PASSED: i.GateSaw.PASSED,
    PlcEventKind.REJECTED: i.GateSaw.REJECTED,
    PlcEventKind.REJECT_FAILED: i.GateSaw.FAILED,
}

Observe = Callable[[Committed], None]


async def _nobody() -> None:
    """Nobody wants to know."""


class LineRunner:
    """One line. `start` its tasks through the supervisor's sessions (`sessions` in app).

    `plc_up` is called once in each session with the PLC, when its heartbeat has moved."""

    def __init__(
        self,
        plan: LinePlan,
        gate: CommitGate,
        plc: LinePlc,
        plc_health: Health,
        observe: Observe,
    ) -> None:
        self.plan = plan
        self.latency = Latency()
        self.watches: list[Watch] = []
        self.desks: list[PrintDesk] = []
        self._print_gates: dict[int, PlcPrintGate] = {}
        self.healths: list[Health] = [plc_health]
        self.plc_flags: frozenset[str] = frozenset()
        self._stood = False
        self.plc_speed = 0
        self._polled = 0.0
        # When the PLC was asked last and knew nothing yet of what it tells now.
        self._untold = -math.inf
        self._ticked = 0.0
        self.wants_running = False
        self.wants_stop = False
        self.in_bypass = False
        self.plc_up: Callable[[], Awaitable[None]] = _nobody
        self._gate = gate
        self._plc = plc
        self._plc_health = plc_health
        self._observe = observe
        self._urgent: asyncio.Queue[Stamped] = asyncio.Queue(QUEUED)
        self._news = asyncio.Event()  # an urgent input waits, or a lazy one has waited long enough
        self._taken = 0  # of the queue, and not settled yet
        self._lazy: list[Stamped] = []
        self._traces: dict[tuple[str, int], Trace] = {}
        self._beat = 0
        self._run: int | None = None
        self._store_failed = False
        self._inputs_lost = False
        self._lamps: frozenset[str] = frozenset()
        self._shown: tuple[frozenset[str], float] = (frozenset(), -math.inf)  # a test of lamps
        self._wishes_at: float | None = None
        self._odd_events: set[tuple[int, PlcEventKind]] = set()
        self._turned = dict.fromkeys(("writer", "wishes", "plc"), monotonic())

    # ------------------------------------------------------------------------------------ inputs

    def tell(self, what: i.Input, *, lazy: bool = False) -> None:
        """Something happened. Never waits; when the store cannot take any more, all that waits is
        lost (no verdict is a reject), and the line's state is doubtful from there on."""
        stamped = (what, clock())
        if isinstance(what, i.ItemTriggered):
            for desk in self.desks:
                if desk.station.id == what.station:
                    desk.product()
                    lazy = lazy or desk.station.kind == "print"  # nothing is answered there
        if self._urgent.qsize() + len(self._lazy) >= QUEUED:
            log.error("Line %s: the store is too slow, %d inputs are lost.", self.plan.id, QUEUED)
            self._lazy.clear()
            while not self._urgent.empty():
                self._urgent.get_nowait()
                self._urgent.task_done()
            self._inputs_lost = True
        if not lazy:
            self._lazy.append(stamped)
            self._hurry()
            return
        if not self._lazy:
            asyncio.get_running_loop().call_later(LAZY, self._news.set)
        self._lazy.append(stamped)

    def _hurry(self) -> None:
        """What may wait waits no longer; in the order in which it happened."""
        for each in self._lazy:
            self._urgent.put_nowait(each)
        self._lazy.clear()
        self._news.set()

    async def report(self, inputs: Sequence[i.Input], lazy: bool) -> None:
        """What a print desk has to say."""
        for what in inputs:
            self.tell(what, lazy=lazy)

    def answer(self, readings: i.ItemReadings, trace: Trace | None) -> None:
        """What a watch made of a trigger."""
        if trace is not None:
            self._traces[(readings.station, readings.item)] = trace
            while len(self._traces) > QUEUED:
                del self._traces[next(iter(self._traces))]
        self.tell(readings)

    async def command(self, what: i.Input) -> Committed:
        """What a person asked for: alone in its group, so that a refusal harms nothing else, and
        after what happened before it."""
        self._hurry()
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._urgent.join()
        committed = await self._gate.submit(self.plan.id, [(what, clock())])
        await self._settle(committed)
        return committed

    async def run_writer(self) -> None:
        """Hand inputs to the gate, for ever."""
        self._look_again()
        try:
            while True:
                self._turned["writer"] = monotonic()
                group = await self._next_group()
                try:
                    if group:
                        await self._hand_over(group)
                finally:
                    for _ in range(self._taken):
                        self._urgent.task_done()
                    self._taken = 0
        finally:
            self._again.cancel()

    def _look_again(self) -> None:
        """Wake the writer at times: whoever asks whether it is stuck sees it turn."""
        self._news.set()
        self._again = asyncio.get_running_loop().call_later(LOOK, self._look_again)

    async def _hand_over(self, group: list[Stamped]) -> None:
        began = monotonic()
        try:
            committed = await self._gate.submit(self.plan.id, group)
        except CaselinkError as error:
            self._failed(error)
            return
        finally:
            self._answered(group)
        if self._store_failed:
            log.warning("Line %s: the database is written again.", self.plan.id)
        self._store_failed = False
        await self._settle(committed, began)

    def _answered(self, group: list[Stamped]) -> None:
        """What was asked for in these inputs is decided, or lost."""
        asked = {what.station for what, _ in group if isinstance(what, i.RefillWanted)}
        for desk in self.desks:
            if desk.station.id in asked:
                desk.answered()

    async def _next_group(self) -> list[Stamped]:
        await self._news.wait()
        self._news.clear()
        group: list[Stamped] = []
        while not self._urgent.empty():
            group.append(self._urgent.get_nowait())
        self._taken = len(group)
        group += self._lazy
        self._lazy.clear()
        if not self._inputs_lost:
            return group
        self._inputs_lost = False
        return self._after_loss() + group

    def _after_loss(self) -> list[Stamped]:
        """What is told when inputs were lost: a stroke or a gate report among them would shift
        everything after it, so what is on the belt is not known; nor what was handed to a coder."""
        doubts: list[i.Input] = [] if self._run is None else [i.RunChanged(self._run, LOST)]
        doubts += [i.PrintDoubtful(desk.station.id, LOST, desk.held) for desk in self.desks]
        return [(doubt, clock()) for doubt in doubts]

    def _failed(self, error: CaselinkError) -> None:
        """A group was not kept: its items get no verdict and are rejected."""
        if not self._store_failed:
            log.error("Line %s: %s Items are rejected until it can.", self.plan.id, error)
        self._store_failed = True
        self._inputs_lost = True
        asyncio.get_running_loop().call_later(LAZY, self._news.set)  # to tell of the loss

    # ----------------------------------------------------------------------------------- effects

    async def _settle(self, committed: Committed, began: float | None = None) -> None:
        """Carry out the effects of facts that are durable."""
        self._observe(committed)
        durable = monotonic()
        slots: list[tuple[SetSlot, Slot]] = []
        for effect in committed.effects:
            match effect:
                case SetSlot():
                    verdict = SlotVerdict.PASS if effect.passed else SlotVerdict.REJECT
                    index = self.plan.by_id[effect.station].index
                    slots.append((effect, Slot(index, effect.number, verdict)))
                case PrinterReady():
                    for desk in self.desks:
                        if desk.station.id == effect.station:
                            desk.begin(effect)
                case SendCodes() | PrintLabel():
                    for desk in self.desks:
                        if desk.station.id == effect.station:
                            self._give(desk, effect, committed)
        if slots:
            await self._write(slots, committed, began, durable)
        if committed.facts:  # otherwise nothing changed, and a desk would ask again at once
            for desk in self.desks:
                desk.wake()

    def _give(self, desk: PrintDesk, effect: SendCodes | PrintLabel, committed: Committed) -> None:
        try:
            desk.give(effect, dict(committed.texts))
        except TransientError as full:
            # The codes stay in SENDING; the printer's next session makes them suspect.
            log.error("Line %s: not printed: %s", self.plan.id, full)

    async def _write(
        self,
        slots: list[tuple[SetSlot, Slot]],
        committed: Committed,
        began: float | None,
        durable: float,
    ) -> None:
        try:
            await self._plc.write_slots([slot for _, slot in slots])
        except TransientError as error:
            # Not known whether it arrived: the gate rejects what has no verdict.
            log.debug("verdicts not written: %s", error)
            return
        except ConfigError as error:
            log.error("Line %s: verdicts cannot be written: %s", self.plan.id, error)
            return
        written = monotonic()
        for effect, _ in slots:
            trace = self._traces.pop((effect.station, effect.number), None)
            if trace is None or began is None:
                continue
            self.latency.add(
                VerdictTime(
                    frame=trace.received - trace.triggered,
                    decode=trace.decoded - trace.received,
                    queue=max(0.0, durable - trace.decoded - committed.decide - committed.commit),
                    decide=committed.decide,
                    commit=committed.commit,
                    write=written - durable,
                    total=written - trace.triggered,
                )
            )

    # --------------------------------------------------------------------------------------- PLC

    async def run_plc(self) -> None:
        """One session with the PLC: until it is lost (TransientError)."""
        self._untold, asked = -math.inf, monotonic()
        report = await self._plc.poll()
        self._new_run(report, "agent_restart" if self._run is None else "plc_link")
        self._take(report)
        run, next_beat = report.run, 0.0
        heartbeat, beaten, beating = report.heartbeat, monotonic(), False
        while True:
            began = self._turned["plc"] = monotonic()
            if began >= next_beat:
                next_beat = began + BEAT
                await self._send_outputs()
            before, asked = asked, monotonic()
            report = await self._plc.poll()
            self._untold = max(before, report.untold)
            took = monotonic() - began
            if report.heartbeat != heartbeat:
                heartbeat, beaten = report.heartbeat, began
                if not beating:
                    await self.plc_up()
                beating = True
            elif began - beaten > STILL:
                raise TransientError(*told("plc_still", s=f"{STILL:.0f}"))
            if beating:  # a PLC in STOP answers too
                self._plc_health.alive(took)
            if report.run != run:
                self._new_run(report, "plc_restart")
                run = report.run
            elif report.lost:
                self._new_run(report, "ring_overrun")
            self._take(report)
            now = monotonic()
            for watch in self.watches:
                watch.expire(now)
            await asyncio.sleep(max(0.0, POLL - (now - began)))

    def _new_run(self, report: PlcReport, why: str) -> None:
        # Nothing is awaited between a poll and its events: an error there would lose them unseen.
        if why == "plc_link" and self._run == report.run and not report.lost:
            # A short break: the ring still holds every event, but a guard that was opened and
            # closed in it left no trace.
            if monotonic() - self._polled > BLIND:
                self.tell(i.PathDisturbed(why))
            return
        self._run = report.run
        for watch in self.watches:
            watch.reset()
        self.tell(i.RunChanged(report.run, why))

    async def run_wishes(self) -> None:
        """Ask the store, for ever, whether the line may run. By itself, because the PLC's ring
        holds half a second of events: a slow disk must not keep us from reading it."""
        while True:
            self._turned["wishes"] = monotonic()
            try:
                wishes = await self._gate.view(self.plan.id, wishes_of)
                self._wishes_at = monotonic()
                self.wants_running, self.wants_stop = wishes.run, wishes.stop
                self.in_bypass = wishes.bypass
                self._tick()
                self._lamps = wishes.lamps
                self._tell_flags(wishes.flags)
            except TransientError as error:
                log.debug("not known whether line %s may run: %s", self.plan.id, error)
            await asyncio.sleep(BEAT)

    def _tick(self) -> None:
        """Let what has a time limit see the time, once a second."""
        now = monotonic()
        if self.in_bypass and now - self._ticked >= TICK:
            self._ticked = now
            self.tell(i.Tick())

    def _tell_flags(self, told: frozenset[str]) -> None:
        """Bring the alarms of the PLC's flags (`told` are open) up to what the PLC says."""
        if self._run is None or self._plc_health.state != "ok":
            return
        for flag in FLAG_ALARMS:
            if (flag in self.plc_flags) != (flag in told):
                name = f"{self.plan.id}/plc/{flag}"
                self.tell(i.ConditionChanged(name, flag in self.plc_flags, 1, flag))

    async def _send_outputs(self) -> None:
        self._beat = (self._beat + 1) % 65536
        outputs = PlcOutputs(
            self._beat,
            run_permission=self.wants_running and not self.held_by,
            stop_request=self.wants_stop,
            lamps=self._shown[0] if monotonic() < self._shown[1] else self._lamps,
            prints={index: gate.number for index, gate in self._print_gates.items()},
        )
        await self._plc.write_outputs(outputs)

    def print_gate(self, station: Station) -> PlcPrintGate:
        """The PLC's gate before the printer of a station, closed."""
        return self._print_gates.setdefault(station.index, PlcPrintGate(self._send_outputs))

    def show_lamps(self, lamps: frozenset[str], seconds: float) -> None:
        """For a test of the light tower: these instead of what the line has to say."""
        self._shown = lamps, monotonic() + seconds

    @property
    def held_by(self) -> str:
        """Why the line may not run although its work order does, "" if it may: store_failed,
        finding_step, or the name of a device that does not answer or is at fault."""
        now = monotonic()
        asked = self._wishes_at
        if self._store_failed or (asked is not None and now - asked >= STALE):
            return "store_failed"
        if self.in_bypass:  # nothing is read or printed: only the PLC must be there
            return "" if self._plc_health.state == "ok" else self._plc_health.id
        # Pictures find their items again only after a silence: the belt must stop for it.
        if any(watch.pairing.adrift(now) for watch in self.watches):
            return "finding_step"
        return next((health.id for health in self.healths if health.state != "ok"), "")

    def stuck(self, longest: float) -> list[str]:
        """The loops of this line that did not turn for `longest` seconds; one whose device is lost
        is the supervisor's care."""
        before = monotonic() - longest
        found = [name for name in ("writer", "wishes") if self._turned[name] < before]
        if self._plc_health.state == "ok" and self._turned["plc"] < before:
            found.append(self._plc_health.id)
        healths = {health.id: health for health in self.healths}
        turned = {watch.health.id: watch.turned for watch in self.watches}
        turned |= {desk.station.device: desk.turned for desk in self.desks}
        found += [
            name for name, at in turned.items() if at < before and healths[name].state == "ok"
        ]
        return [f"{self.plan.id}/{name}" for name in found]

    @property
    def ready(self) -> bool:
        """Whether every device of the line answers."""
        return all(health.state == "ok" for health in self.healths)

    def _take(self, report: PlcReport) -> None:
        now = monotonic()
        if now - self._polled > QUIET / 2:
            # A busy machine, a slow answer: that nothing came meanwhile is not known.
            for watch in self.watches:
                watch.pairing.looked_away(now)
        self._polled = now
        was = self.plc_flags
        before = was & DISTURBING
        after = report.flags & DISTURBING
        self.plc_flags = report.flags
        self.plc_speed = report.speed
        runs = "running" in report.flags
        if "running" in was and not runs:
            self._stood = True
        # Of what lies there when it begins, and again of what lies there when it is over.
        for why in sorted(after - before):
            self.tell(i.PathDisturbed(why))
        if runs and self._stood:
            self._stood = False
            if self.plan.creeps:
                self.tell(i.PathDisturbed(RESTART))
        for event in report.events:
            self._event(event, report.received)
        for why in sorted(before - after):
            self.tell(i.PathDisturbed(why))
            self._stood = False  # what lies there is in doubt already

    def _may_tell(self, station: Station, kind: PlcEventKind) -> bool:
        if kind is PlcEventKind.ENTERED:
            return station.kind == "pack" and station.id in self.plan.into
        packs = kind in (PlcEventKind.STROKE, PlcEventKind.CLEARED)
        return not packs or station.kind == "pack"

    def _event(self, event: PlcEvent, at: float) -> None:
        station = self.plan.by_index.get(event.station)
        if station is None or not self._may_tell(station, event.kind):
            if (event.station, event.kind) not in self._odd_events:
                self._odd_events.add((event.station, event.kind))
                log.warning(
                    "Line %s: the PLC tells %s of station %d, which the site file does not have or "
                    "which is no packer: compare the station's index with the PLC program.",
                    self.plan.id,
                    event.kind.name,
                    event.station,
                )
            return
        match event.kind:
            case PlcEventKind.TRIGGER:
                layer = event.data if station.kind == "pack" else 0
                seen = (event.number, event.lane, event.encoder, layer)
                self.tell(i.ItemTriggered(station.id, *seen))
                for watch in self.watches:
                    if watch.station.id == station.id:
                        watch.trigger(event.number, at, self._untold)
            case PlcEventKind.PASSED | PlcEventKind.REJECTED | PlcEventKind.REJECT_FAILED:
                saw = _SAW[event.kind]
                if saw is i.GateSaw.FAILED and event.lane & 1:
                    saw = i.GateSaw.NOTHING
                self.tell(i.GateReported(station.id, event.number, saw))
            case PlcEventKind.STROKE:
                counts = tuple((event.data >> 4 * lane) & 0xF for lane in range(station.lanes))
                last = bool(event.lane & 1)
                self.tell(i.Stroked(station.id, event.number, counts, last))
            case PlcEventKind.LABEL_APPLIED:
                pass  # a label is bound when it is read, not when it is applied
            case PlcEventKind.FOREIGN_REJECT:
                self.tell(i.ForeignReject(station.id, event.number))
            case PlcEventKind.CLEARED:
                self.tell(i.LanesCleared(station.id))
            case PlcEventKind.ENTERED:
                self.tell(i.ItemEntered(station.id, event.lane, event.number))
