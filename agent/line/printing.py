"""Print accounting of one printer: hands over codes, and says what became of them.

The core decides which codes may be in hand; this keeps the device full within that window and
reports accepted, printed and doubtful. One record is handed over at a time. Whatever is not known
after an error is told as doubtful, never sent again.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from agent.core import inputs as i
from agent.core.effects import PrintLabel, SendCodes
from agent.core.errors import DomainError, TransientError
from agent.core.facts import CodeKey
from agent.core.plan import Station
from agent.health import Health
from agent.now import monotonic
from agent.ports import Printer, PrintEventKind, PrintJob

log = logging.getLogger(__name__)

EVENT_WAIT = 1.0
"""Seconds between looks at the clock while nothing comes from the device."""
FULL_WAIT = 0.5
"""Seconds after which a full device is asked again although no print was reported."""
LOOK = 2.0
"""Seconds between questions how the device is."""
QUEUED = 1000
"""Records that may wait for a device; more are refused loudly."""

Report = Callable[[Sequence[i.Input], bool], Awaitable[None]]
"""Hand inputs to the line; the flag says that they may wait for the next urgent one."""


@dataclass(frozen=True, slots=True)
class Record:
    """One code to print. `fields` holds its text under the role, and what the label needs."""

    key: CodeKey
    fields: dict[str, str]
    template: str = ""


class PrintDesk:
    """Print accounting of one station's printer. `run` is one session; the supervisor repeats it.

    `fields` turns a label effect and its code text into the variable texts of the template; `hide`
    is told every text before it is sent, where the role is secret. `health` is kept by asking the
    device, and `changed` is told when it changes.
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
        self.turned = monotonic()  # when its loop turned last

    def give(self, effect: SendCodes | PrintLabel, texts: dict[CodeKey, str]) -> None:
        """Take records to print; their codes are durable as SENDING."""
        if len(self._waiting) >= QUEUED:
            raise TransientError(
                f"{self.station.device}: {QUEUED} records wait to be printed; is it stopped?"
            )
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

    def wake(self) -> None:
        """Something changed that may allow a refill: an order started, a code left the window."""
        if self._waiting or (self.station.kind == "print" and self.room > 0):
            self._changed.set()

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
        cleared = await self.printer.clear()
        self._waiting.clear()
        self._in_hand.clear()
        await self._report([i.PrinterConnected(self.station.id, cleared)], False)
        self._changed.set()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._send())
                group.create_task(self._listen())
                group.create_task(self._look())
        except* TransientError as lost:
            await self._report([i.PrintDoubtful(self.station.id, "printer_lost")], False)
            raise lost.exceptions[0] from None

    async def _send(self) -> None:
        while True:
            self._changed.clear()
            while self._waiting:
                if not await self._hand_over(self._waiting[0]):
                    break
                self._waiting.popleft()
            if self.station.kind == "print" and self.room > 0 and not self._waiting:
                await self._report([i.RefillWanted(self.station.id, self.room)], False)
            try:
                async with asyncio.timeout(FULL_WAIT):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _hand_over(self, record: Record) -> bool:
        """True when the record is off our hands (accepted or impossible), False when the device is
        full."""
        key = record.key
        job = PrintJob(key.position, record.fields, record.template)
        # The device may report the print before its answer to the hand-over has been read.
        self._in_hand.append(key)
        try:
            accepted = await self.printer.send(job)
        except DomainError as refused:
            self._in_hand.remove(key)
            log.error("%s cannot print %d: %s", self.station.device, key.position, refused)
            await self._report([i.PrintDoubtful(self.station.id, "unprintable")], False)
            return True
        if not accepted:
            self._in_hand.remove(key)
            return False
        taken = i.PrintAccepted(self.station.id, key.position, 1, key.pool, key.column)
        await self._report([taken], True)
        return True

    async def _listen(self) -> None:
        evidence = int(self.printer.capability.evidence)
        while True:
            self.turned = monotonic()
            event = await self.printer.next_event(EVENT_WAIT)
            if event is None:
                continue
            if event.kind is PrintEventKind.PRINTED:
                key = self._printed(event.ref)
                if key is not None:
                    printed = i.PrintReported(
                        self.station.id, key.position, evidence, key.pool, key.column
                    )
                    await self._report([printed], True)
            self._changed.set()

    async def _look(self) -> None:
        """Ask the device how it is, every few seconds."""
        while self._health is not None:
            began = monotonic()
            status = await self.printer.status()
            health, state = self._health, self._health.state
            health.alive(monotonic() - began)
            health.state = "ok" if status.ready else "fault"
            if health.state == "fault" and state != "fault":
                health.faults += 1
            health.warnings = status.warnings
            health.error = ", ".join(status.faults) or (None if status.ready else "not ready")
            if health.state != state and self._changed_health is not None:
                await self._changed_health(health)
            await asyncio.sleep(LOOK)

    def _printed(self, ref: int | None) -> CodeKey | None:
        """The code that a print event is about: named by the device, or first in, first out."""
        for key in self._in_hand:
            if ref is None or key.position == ref:
                self._in_hand.remove(key)
                return key
        return None
