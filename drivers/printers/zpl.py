"""ZPL II label printers (Zebra and those that speak its language) over TCP or serial.

The driver asks `~HS` before and after each label, and while a label is out until the printer is
idle and, where it has one, its odometer has moved. A printer that does not answer `~HS` is asked
`~HQES` why.
"""

import re
import time
from typing import Literal

from pydantic import Field

from agent.core.errors import TransientError
from agent.ports.printing import Evidence, PrinterCapability, PrintJob
from agent.told import told
from drivers.context import DeviceContext
from drivers.printers.label_printer import LabelPrinter, LabelPrinterConfig, Look, Out
from drivers.printers.label_template import Layout
from drivers.printers.zpl_label import recall, store
from drivers.printers.zpl_status import ErrorReport, HostStatus, Setting, StatusCodec

PROBE = 1.0


class ZplConfig(LabelPrinterConfig):
    """Section of a device of type `zpl`. `drive` is where templates are stored (R: memory, E:
    flash), `odometer` the SGD setting that counts labels ("" where it must not be asked)."""

    type: Literal["zpl"] = "zpl"
    drive: Literal["R", "E"] = "R"
    odometer: str = Field(default="odometer.total_label_count", pattern=r"^[a-z0-9_.]{0,64}$")


class ZplPrinter(LabelPrinter):
    """ports.Printer for ZPL II; ports.Inhibit by `~PP` and `~PS`."""

    language = "ZPL"
    # One that is out of media or open may not answer ~HS, its manual says.
    _may_be_silent = True

    def __init__(self, name: str, config: ZplConfig, context: DeviceContext) -> None:
        self._zpl = config
        super().__init__(name, config, context)
        self._probe = min(PROBE, config.reply_timeout)
        self._stored: set[str] = set()
        self._has_odometer = self._has_report = False
        self._our_pause = self._their_pause = False

    @property
    def capability(self) -> PrinterCapability:
        """COUNTER once the odometer has answered in this session, else ACCEPTED. An odometer
        counts for the printer's life."""
        counts = self._has_odometer
        return PrinterCapability(
            evidence=Evidence.COUNTER if counts else Evidence.ACCEPTED,
            queue=1,
            repeat_risk=False,
            clears=True,
            counts="prints" if counts else "",
            counter_kept=counts,
        )

    async def inhibit(self) -> bool:
        """Pause (`~PP`): the label that is being printed comes out, no other does. A printer that
        stands paused, and not by us, was paused by a person, for a reason."""
        async with self._lock:
            self._check()
            status = await self._host_status(self._config.reply_timeout)
        self._their_pause = status is not None and status.paused and not self._our_pause
        if self._their_pause:
            return True
        self._our_pause = True
        return await self._paused(b"~PP\r\n", True)

    async def release(self) -> None:
        """Print again (`~PS`); a person's pause is ended by that person."""
        if self._their_pause:
            return
        if not await self._paused(b"~PS\r\n", False):
            raise TransientError(*told("zpl_paused", name=self.name))
        self._our_pause = False

    async def _paused(self, command: bytes, wanted: bool) -> bool:
        async with self._lock:
            self._check()
            await self._write(command)
            end = time.monotonic() + self._config.reply_timeout
            while time.monotonic() < end:
                status = await self._host_status(self._config.reply_timeout)
                if status is not None and status.paused is wanted:
                    return True
            return False

    def _new_codec(self) -> StatusCodec:
        return StatusCodec()

    async def _greet(self) -> None:
        self._stored.clear()
        self._has_odometer = False
        if self._zpl.odometer:
            self._has_odometer = await self._counter() is not None
        self._has_report = await self._report() is not None

    def _build(self, stored: str, layout: Layout, job: PrintJob) -> bytes:
        return recall(stored, layout, job.fields, self._zpl.drive)

    async def _prepare(self, stored: str, layout: Layout) -> None:
        if stored not in self._stored:
            await self._write(store(stored, layout, self._zpl.drive))
            self._stored.add(stored)

    async def _host_status(self, patience: float) -> HostStatus | None:
        return await self._ask(b"~HS\r\n", HostStatus, patience)

    async def _look(self, patience: float) -> Look | None:
        status = await self._host_status(patience)
        if status is None:
            return None
        return Look(status.idle, status.faults, status.formats + status.remaining)

    async def _why_silent(self) -> tuple[str, ...]:
        report = await self._report()
        faults = report.errors if report is not None else ()
        return faults or ("silent",)

    async def _warnings(self) -> tuple[str, ...]:
        report = await self._report() if self._has_report else None
        return report.warnings if report is not None else ()

    async def _report(self) -> ErrorReport | None:
        """The answer to `~HQES`; None where the printer has none or is silent."""
        self._drop(ErrorReport)
        await self._write(b"~HQES\r\n")
        return await self._hear(ErrorReport, time.monotonic() + self._probe)

    async def _cancel(self) -> bool:
        await self._write(b"~JA\r\n")
        return True

    async def _came_out(self, out: Out) -> bool:
        """The counter must have moved; without one it must be idle twice, since a format may not
        have been looked at yet."""
        if not self._counts:
            out.seen += 1
            return out.seen >= 2
        counter = await self._counter()
        if counter is None or out.counter is None:
            return False
        if counter < out.counter:
            raise self._fail(
                *told(
                    "label_counter_back",
                    name=self.name,
                    before=out.counter,
                    now=counter,
                    label=out.ref,
                )
            )
        return counter > out.counter

    @property
    def _counts(self) -> bool:
        return self._has_odometer

    async def _counter(self) -> int | None:
        """The odometer's labels; None where the printer has none or is silent."""
        self._drop(Setting)
        await self._write(f'! U1 getvar "{self._zpl.odometer}"\r\n'.encode())
        answer = await self._hear(Setting, time.monotonic() + self._probe)
        match = re.match(r"\s*(\d{1,12})", answer.value or "") if answer is not None else None
        return int(match[1]) if match else None
