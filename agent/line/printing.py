"""Print accounting of one printer: hands over codes, and says what became of them.

The core decides which codes may be in hand; this keeps the device full within that window and
reports accepted, printed and doubtful. One record is handed over at a time. Whatever is not known
after an error is told as doubtful, never sent again.

Each session begins with taking stock: printing is stopped where the device can be told to, what it
holds is removed, and its counter is read, from which the core says what became of the codes that
the last session had in hand. While it lasts the counter is compared with the prints that were
reported; if they stay apart, the core is told and the session begins anew. Where a printer would
print an old code again, the PLC lets one print through for each record (`PrintGate`).
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from agent.core import inputs as i
from agent.core.effects import PrinterReady, PrintLabel, SendCodes
from agent.core.errors import DomainError, TransientError
from agent.core.facts import CodeKey
from agent.core.plan import Station
from agent.core.values import value
from agent.health import Health
from agent.now import monotonic
from agent.ports.printing import (
    Evidence,
    Inhibit,
    Printer,
    PrinterStatus,
    PrintEvent,
    PrintEventKind,
    PrintGate,
    PrintJob,
)
from agent.told import told

log = logging.getLogger(__name__)

EVENT_WAIT = 1.0
"""Seconds between looks at the clock while nothing comes from the device."""
QUEUED = 1000
"""Records that may wait for a device; more are refused loudly."""
GATES = 65_535
"""Numbers that a print gate is opened with, in turn: 1 .. this."""
GONE_BY = 4
"""Products without a report, beyond those of a full window, after which reports must be lost."""
APART = 10
"""Looks in a row after which a counter that disagrees is not just earlier or later than the
reports."""


@value(frozen=True, slots=True)
class Pace:
    """How often things are done; seconds. `full`: until a full device is asked again although no
    print was reported; `look`: between questions how the device is; `settle`: between two readings
    of a counter that should stand still; `silent`: until a print that the gate let through and that
    nobody reported is in doubt. After `compare` prints the counter is written down."""

    full: float = 0.5
    look: float = 2.0
    settle: float = 0.2
    silent: float = 2.0
    compare: int = 100


ALWAYS = Pace()

Report = Callable[[Sequence[i.Input], bool], Awaitable[None]]
"""Hand inputs to the line; the flag says that they may wait for the next urgent one."""


@value(frozen=True, slots=True)
class Record:
    """One code to print. `fields` holds its text under the role, and what the label needs."""

    key: CodeKey
    fields: dict[str, str]
    template: str = ""


@dataclass(slots=True)
class Tally:
    """The device's counter against its reports, since both were the same: the counter was `base`
    (None: it has none to rely on) and `told` prints were reported since. `overtaken` records were
    printed before one that was reported, or not at all. `apart`: by how many prints they differed
    at the last looks (< 0: more reports than prints)."""

    base: int | None = None
    told: int = 0
    overtaken: int = 0
    apart: list[int] = field(default_factory=list)

    def missing(self, before: int, counter: int) -> int:
        """How many prints nobody reported, by a counter that was read when `before` were reported;
        0 while that may still be on its way."""
        printed = counter - (self.base or 0)
        late = printed - self.told - self.overtaken
        apart = late if late > 0 else min(0, printed - before)
        if not apart or (self.apart and (self.apart[-1] > 0) != (apart > 0)):
            self.apart.clear()
        if apart:
            self.apart.append(apart)
        return min(self.apart, key=abs) if len(self.apart) >= APART else 0


async def _nobody() -> None:
    """Nobody wants to know."""


class PrintDesk:
    """Print accounting of one station's printer. `run` is one session; the supervisor repeats it.

    `fields` turns a label effect and its code text into the variable texts of the template; `hide`
    is told every text before it is sent, where the role is secret. `health` is kept by asking the
    device, and `changed` is told when it changes. `gate` lets one print through at a time.
    """

    def __init__(
        self,
        station: Station,
        printer: Printer,
        report: Report,
        fields: Callable[[PrintLabel, str], dict[str, str]],
        template: str = "",
        hide: Callable[[str], None] | None = None,
        health: Health | None = None,
        changed: Callable[[Health], Awaitable[None]] | None = None,
        gate: PrintGate | None = None,
        pace: Pace = ALWAYS,
    ) -> None:
        self.station = station
        self.printer = printer
        self._report = report
        self._fields = fields
        self._template = template
        self._hide = hide
        self._health = health
        self._changed_health = changed
        self._waiting: deque[Record] = deque()
        self._in_hand: deque[CodeKey] = deque()
        self._changed = asyncio.Event()
        self._reported = asyncio.Event()
        self._gate = gate
        self._pace = pace
        self._opened = 0  # the number that the gate was opened with last
        self._let_through: float | None = None  # when a product came for what is in hand
        # Opened for what the device holds from before: inf, then when a product came for it.
        self._flushing: float | None = None
        self._armed = False  # the gate was opened for what is in hand
        self._unreported = 0  # products since the device reported a print
        # Codes are taken by half a window, in one commit; the other half is still in hand.
        self._batch = max(1, station.window // 2)
        self._asked = False  # codes were asked for, and the core has not answered
        self._session: int | None = None
        self._tally = Tally()
        self.turned = monotonic()  # when its loop turned last
        self.up: Callable[[], Awaitable[None]] = _nobody
        """Called once in each session, when the device has answered."""

    def begin(self, ready: PrinterReady) -> None:
        """The record knows of this session: what is given in it may be handed over."""
        self._session = ready.session
        self._asked = False
        self._changed.set()

    def give(self, effect: SendCodes | PrintLabel, texts: dict[CodeKey, str]) -> None:
        """Take records to print; their codes are durable as SENDING. Those of another session are
        not printed: the record has them as suspect, or will at the next one."""
        if effect.session != self._session:
            log.info("%s: codes of session %d are dropped", self.station.device, effect.session)
            return
        if len(self._waiting) >= QUEUED:
            raise TransientError(*told("records_wait", name=self.station.device, many=QUEUED))
        if self._hide is not None:
            for text in texts.values():
                self._hide(text)
        if isinstance(effect, PrintLabel):
            text = texts[effect.key]
            record = Record(effect.key, self._fields(effect, text), self._template)
            self._waiting.append(record)
        else:
            for position in range(effect.first, effect.first + effect.count):
                key = CodeKey(effect.pool, position, effect.column)
                self._waiting.append(Record(key, {self.station.role: texts[key]}))
        self._changed.set()

    def product(self) -> None:
        """A product is at the printer's photo-eye."""
        self._unreported = self._unreported + 1 if self._in_hand or self._waiting else 0
        if self._in_hand and self._let_through is None:
            self._let_through = monotonic()
        if self._flushing == math.inf:
            self._flushing = monotonic()

    def wake(self) -> None:
        """Something changed that may allow a refill: an order started, a code left the window."""
        if self._waiting or (self.station.kind == "print" and self.room >= self._batch):
            self._changed.set()

    def answered(self) -> None:
        """The core has decided what it was asked for last; it may have given nothing."""
        self._asked = False

    @property
    def room(self) -> int:
        """How many more codes the core may be asked for."""
        return self.station.window - len(self._waiting) - len(self._in_hand)

    @property
    def held(self) -> tuple[CodeKey, ...]:
        """What waits for the device, and what it has in hand."""
        return (*(record.key for record in self._waiting), *self._in_hand)

    async def run(self) -> None:
        """One session, from a new connection until the device is lost (TransientError)."""
        self._session = None
        self._asked = False
        self._unreported = 0
        self._waiting.clear()
        self._in_hand.clear()
        self._flushing = self._let_through = None
        self._armed = False
        if self._gate is not None:
            await self._gate.allow(0)
        stopped = isinstance(self.printer, Inhibit) and await self.printer.inhibit()
        stock = await self._take_stock()
        await self.up()
        await self._report([stock], False)
        if stopped and isinstance(self.printer, Inhibit):
            await self.printer.release()
        try:
            await self._work()
        except TransientError:
            self._session = None
            await self._report([i.PrintDoubtful(self.station.id, "printer_lost")], False)
            raise

    async def _work(self) -> None:
        """Until one of the loops fails, with its error. No TaskGroup: one that is cancelled while a
        loop fails tells of the failure only, and the supervisor would go on."""
        loops = [asyncio.create_task(each) for each in (self._send(), self._listen(), self._look())]
        try:
            await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in loops:
                each.cancel()
            await asyncio.wait(loops)
        for each in loops:
            if not each.cancelled():
                each.result()

    async def _take_stock(self) -> i.PrinterConnected:
        """Remove what the device holds, and read how much it printed."""
        cleared = await self.printer.clear()
        self._tally = Tally()
        capability = self.printer.capability
        if not capability.counts and not self._indexed:
            return i.PrinterConnected(self.station.id, cleared)
        first = await self.printer.status()
        await asyncio.sleep(self._pace.settle)
        second = await self.printer.status()
        counter = -1
        if capability.counts == "prints" and second.counter is not None:
            counter = second.counter
        steady = cleared and first.counter == second.counter and second.waiting in (None, 0)
        if counter >= 0 and steady:
            self._tally.base = counter
        last = -1 if second.last is None else second.last
        kept = capability.counter_kept
        return i.PrinterConnected(self.station.id, cleared, counter, steady, kept, last)

    @property
    def _indexed(self) -> bool:
        return self.printer.capability.evidence is Evidence.INDEXED

    async def _send(self) -> None:
        while True:
            self._changed.clear()
            while self._waiting and not (self._gate is not None and self._in_hand):
                if not await self._hand_over(self._waiting[0]):
                    break
                self._waiting.popleft()
            ready = self._session is not None and not self._waiting and not self._asked
            if self.station.kind == "print" and self.room >= self._batch and ready:
                self._asked = True
                await self._report([i.RefillWanted(self.station.id, self.room)], False)
            try:
                async with asyncio.timeout(self._pace.full):
                    await self._changed.wait()
            except TimeoutError:
                self._asked = False

    async def _hand_over(self, record: Record) -> bool:
        """True when the record is off our hands (accepted or impossible), False when the device is
        full."""
        key = record.key
        job = PrintJob(key.position, record.fields, record.template)
        # The device may report the print before its answer to the hand-over has been read.
        self._in_hand.append(key)
        self._armed = False
        before = self._flushing
        try:
            accepted = await self.printer.send(job)
        except DomainError as refused:
            self._in_hand.remove(key)
            log.error("%s cannot print %d: %s", self.station.device, key.position, refused)
            await self._report([i.PrintDoubtful(self.station.id, "unprintable")], False)
            return True
        if not accepted:
            self._in_hand.remove(key)
            # For what it holds from before and cannot be told to drop: once, until that was
            # reported or should have been. Full may have been said before it came out.
            gone = before is None or monotonic() - before > self._pace.silent
            if self._gate is not None and not self._in_hand and gone:
                await self._open_gate()
                self._flushing = math.inf
            return False
        taken = i.PrintAccepted(self.station.id, key.position, 1, key.pool, key.column)
        await self._report([taken], True)
        self._armed = True
        await self._open_gate()
        return True

    async def _open_gate(self) -> None:
        """Let the next print through, and no other."""
        if self._gate is not None:
            self._opened = self._opened % GATES + 1
            await self._gate.allow(self._opened)
            self._let_through = self._flushing = None

    async def _listen(self) -> None:
        evidence = int(self.printer.capability.evidence)
        while True:
            self.turned = monotonic()
            event = await self.printer.next_event(EVENT_WAIT)
            if event is None:
                continue
            if event.kind is PrintEventKind.PRINTED:
                self._unreported = 0
                self._flushing = None
                self._reported.set()
                key = self._printed(event)
                if key is not None:
                    printed = i.PrintReported(
                        self.station.id, key.position, evidence, key.pool, key.column
                    )
                    await self._report([printed], True)
            self._changed.set()

    async def _look(self) -> None:
        """Ask the device how it is and how much it printed, every few seconds."""
        while True:
            began, told = monotonic(), self._tally.told
            status = await self.printer.status()
            await self._show(status, monotonic() - began)
            if status.counter is not None and self._tally.base is not None:
                await self._compare(told, status.counter)
            self._look_at_gate()
            self._look_at_products()
            await asyncio.sleep(self._pace.look)
            if self._tally.apart:
                # One that counts when a print begins and reports when it ends looks apart while it
                # prints. Just after a report it does not.
                self._reported.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pace.look):
                        await self._reported.wait()

    async def _show(self, status: PrinterStatus, took: float) -> None:
        if self._health is None:
            return
        health, state = self._health, self._health.state
        health.alive(took)
        health.state = "ok" if status.ready else "fault"
        if health.state == "fault" and state != "fault":
            health.faults += 1
        health.warnings = status.warnings
        health.said = None
        health.error = ", ".join(status.faults) or (None if status.ready else "not_ready")
        if health.state != state and self._changed_health is not None:
            await self._changed_health(health)

    async def _compare(self, before: int, counter: int) -> None:
        """Hold the counter, read when `before` prints were reported, against the reports."""
        tally, name = self._tally, self.station.device
        if counter < (tally.base or 0):
            raise TransientError(
                *told("line_counter_back", name=name, before=tally.base, now=counter)
            )
        missing = tally.missing(before, counter)
        # Reports that come from the counter cannot be lost: at most they are later.
        if missing and self.printer.capability.evidence is not Evidence.COUNTER:
            await self._report([i.PrinterCounted(self.station.id, counter, missing)], False)
            raise TransientError(
                *told(
                    "line_counter_apart",
                    name=name,
                    counted=counter - (tally.base or 0),
                    told=tally.told,
                )
            )
        if not tally.apart and tally.told == before and tally.told >= self._pace.compare:
            self._tally = Tally(counter)
            await self._report([i.PrinterCounted(self.station.id, counter)], True)

    def _look_at_gate(self) -> None:
        """A print that was let through must be reported soon."""
        since = self._let_through
        if self._gate is None or not self._in_hand or since is None:
            return
        if monotonic() - since > self._pace.silent:
            raise TransientError(
                *told("print_unreported", name=self.station.device, number=self._opened)
            )

    def _look_at_products(self) -> None:
        """Of a device that has records, or is to have some, one is due with each product. If many
        come and none is reported, reports or its request for the next one were lost, or it
        stands."""
        if self._unreported > self.station.window + GONE_BY:
            raise TransientError(
                *told("prints_unreported", name=self.station.device, many=self._unreported)
            )

    def _printed(self, event: PrintEvent) -> CodeKey | None:
        """The code that a print event is about: named by the device, or first in, first out."""
        tally, known = self._tally, event.ref is None
        if self._gate is not None and not self._armed:
            tally.told += 1  # said twice, or what it held from before: nothing else was let through
            return None
        for at, key in enumerate(self._in_hand):
            if event.ref is None or key.position == event.ref:
                if self._indexed:
                    for _ in range(at):  # it prints in order: their report was lost
                        self._in_hand.popleft()
                    tally.overtaken += at
                self._in_hand.remove(key)
                tally.told += 1
                return key
        if known or not self._indexed:
            tally.told += 1  # of nothing that it was given: the counter must show whether it was
        return None
