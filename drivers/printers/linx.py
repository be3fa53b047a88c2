"""EXPERIMENTAL: ink jets that speak in the manner of Linx RCI (1B 02 .. 1B 03 CHK).

Nothing of this was tried on a device, and the public notes contradict each other. A record is
printed when the device's buffer holds fewer: its word is weak (evidence 2). Prove the checksum rule
and the machine number with the status command, and everything else on the device, before use.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from agent.ports.printing import (
    Evidence,
    PrinterCapability,
    PrinterStatus,
    PrintEvent,
    PrintEventKind,
    PrintJob,
)
from agent.told import told
from drivers.context import DeviceContext
from drivers.printers import linx_codec as codec
from drivers.printers.coder_link import CoderLink
from drivers.printers.values import refused, values_of
from drivers.transport import AddressText


class LinxConfig(BaseModel):
    """Section of a device of type `linx_rci_experimental`. `machine` is the last byte of the
    device's address (None: no machine number is sent); `checksum` whether ESC bytes count (`all`)
    or not (`no_esc`); `fields` are the job's fields in order. Times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["linx_rci_experimental"] = "linx_rci_experimental"
    address: AddressText
    machine: int | None = Field(default=None, ge=0, le=255)
    checksum: codec.Rule = "no_esc"
    encoding: codec.Charset = "ascii"
    fields: tuple[str, ...] = ()
    queue: int = Field(default=4, ge=1, le=255)
    poll: float = Field(default=0.1, gt=0, le=10)
    connect_timeout: float = Field(default=3.0, gt=0, le=60)
    reply_timeout: float = Field(default=1.0, gt=0, le=60)


class Linx:
    """ports.Printer over a remote field buffer."""

    def __init__(self, name: str, config: LinxConfig, context: DeviceContext) -> None:
        self.name = name
        self._config = config
        self._mask = context.mask
        self._waiting: deque[int] = deque()
        self._link: CoderLink[codec.Answer] = CoderLink(
            name,
            config.address,
            context,
            lambda: codec.LinxCodec(config.checksum),
            lambda answer, now: False,
            connect_timeout=config.connect_timeout,
            reply_timeout=config.reply_timeout,
            advice="advice_linx",
        )

    @property
    def capability(self) -> PrinterCapability:
        return PrinterCapability(
            Evidence.ACCEPTED, queue=self._config.queue, repeat_risk=True, clears=True
        )

    async def open(self) -> None:
        """Connect and ask for its alarms: the checksum rule is proven by it; see ports.Device."""
        self._waiting.clear()
        await self._link.open()
        await self._ask(codec.STATUS)
        self._link.strict = True

    async def close(self) -> None:
        """End the session; see ports.Device."""
        await self._link.close()

    async def send(self, job: PrintJob) -> bool:
        """Fill the remote fields once; see ports.Printer."""
        values = values_of(self.name, self._config.fields, job)
        data = codec.field_data(self.name, values, self._config.encoding)
        if len(self._waiting) >= self._config.queue:
            await self._look()
            if len(self._waiting) >= self._config.queue:
                return False
        self._link.quiet = True

        def answered(answer: codec.Answer) -> None:
            if answer.good and answer.status in (codec.GOOD, codec.JUST_FULL):
                self._waiting.append(job.ref)

        answer = await self._ask(codec.FIELD, data, answered)
        if answer.status == codec.STILL_FULL:
            return False
        if not answer.good or answer.status not in (codec.GOOD, codec.JUST_FULL):
            why = codec.REFUSALS.get(answer.status, "not documented")
            raise refused(self.name, "1D", job.ref, f"status {answer.status}, {why}")
        self._link.wake()
        return True

    async def next_event(self, timeout: float) -> PrintEvent | None:
        """A print, when its buffer holds fewer records; see ports.Printer."""
        end = time.monotonic() + timeout
        while True:
            if self._waiting and not self._link.events:
                await self._look()
            left = end - time.monotonic()
            wait = min(left, self._config.poll) if self._waiting else left
            event = await self._link.next_event(max(0.0, wait))
            if event is not None or end <= time.monotonic():
                return event

    async def status(self) -> PrinterStatus:
        """Its alarm bytes, and how many records it holds; see ports.Printer."""
        alarm = await self._ask(codec.STATUS)
        faults = [f"alarm_{byte:02x}" for byte in alarm.data if byte]
        return PrinterStatus(
            ready=alarm.good and not faults, faults=tuple(faults), waiting=await self._held()
        )

    async def clear(self) -> bool:
        """Empty its buffer; see ports.Printer."""
        await self._look()
        answer = await self._ask(codec.CLEAR)
        if not answer.good or await self._held():
            return False
        self._waiting.clear()
        return True

    async def inhibit(self) -> bool:
        """Stop printing; see ports.Inhibit."""
        return (await self._ask(codec.STOP)).status in (codec.GOOD, 18)

    async def release(self) -> None:
        """Start printing; see ports.Inhibit."""
        answer = await self._ask(codec.START)
        if answer.status not in (codec.GOOD, 17):
            raise self._link.fail(*told("linx_not_started", name=self.name, status=answer.status))

    async def _look(self) -> None:
        if not self._waiting:
            return
        held = await self._held()
        while len(self._waiting) > held:
            self._link.tell(PrintEventKind.PRINTED, self._waiting.popleft(), time.monotonic())

    async def _held(self) -> int:
        answer = await self._ask(codec.WAITING)
        if not answer.good or not answer.data:
            raise self._link.fail(*told("linx_no_count", name=self.name, status=answer.status))
        return int.from_bytes(answer.data[:2], "little")

    async def _ask(
        self,
        number: int,
        data: bytes = b"",
        answered: Callable[[codec.Answer], None] | None = None,
    ) -> codec.Answer:
        sent = codec.command(number, data, machine=self._config.machine, rule=self._config.checksum)
        return await self._link.command(
            f"command {number:02X}",
            sent,
            (f"{number:02x}",),
            shown=self._mask(sent),
            answered=answered,
        )
