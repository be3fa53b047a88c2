"""TSPL/TSPL2 label printers (TSC, and Gprinter, HPRT, iDPRT, Xprinter and their like).

The printer is asked `<ESC>!S`, or `<ESC>!?` where it answers only that. Nothing acknowledges a
label: it is taken as printed when the printer was seen at work since and is idle again, or was
idle all through `settle` seconds since it got the label. One label per job bounds a doubt to one.
"""

import time
from typing import Literal

from pydantic import Field

from agent.ports.printing import Evidence, PrinterCapability, PrintJob
from drivers.context import DeviceContext
from drivers.printers.label_draw import draw
from drivers.printers.label_printer import LabelPrinter, LabelPrinterConfig, Look, Out
from drivers.printers.label_template import Layout
from drivers.printers.tspl_label import label
from drivers.printers.tspl_status import TsplCodec, TsplStatus

FULL, SHORT = b"\x1b!S", b"\x1b!?"
CANCEL = b"\x1b!."
PROBE = 0.5


class TsplConfig(LabelPrinterConfig):
    """Section of a device of type `tspl`. `gap` in mm between labels (0: an endless roll); `status`
    is what the printer answers (auto: it is tried); `cancel` that it knows `<ESC>!.`; `settle` how
    many seconds it must be idle after a label at which it was not seen at work."""

    type: Literal["tspl"] = "tspl"
    gap: float = Field(default=2.0, ge=0, le=50)
    status: Literal["auto", "full", "short"] = "auto"
    cancel: bool = False
    settle: float = Field(default=1.0, ge=0.05, le=60)


class TsplPrinter(LabelPrinter):
    """ports.Printer for TSPL."""

    language = "TSPL"
    _pictured = True

    def __init__(self, name: str, config: TsplConfig, context: DeviceContext) -> None:
        self._tspl = config
        self._status = TsplCodec()
        super().__init__(name, config, context)
        self._question = b""
        self._calm = config.settle

    @property
    def capability(self) -> PrinterCapability:
        """ACCEPTED: it was idle, at work and idle again. Nothing counts labels."""
        return PrinterCapability(
            evidence=Evidence.ACCEPTED, queue=1, repeat_risk=False, clears=self._tspl.cancel
        )

    def _new_codec(self) -> TsplCodec:
        self._status = TsplCodec()
        return self._status

    async def _greet(self) -> None:
        self._question = {"full": FULL, "short": SHORT, "auto": b""}[self._tspl.status]
        self._status.short = self._question == SHORT

    async def _look(self, patience: float) -> Look | None:
        if not self._question:
            await self._try_both()
        self._strict = self._status.short
        status = await self._ask(self._question, TsplStatus, patience)
        if status is None:
            return None
        # One with a fault has not finished: it prints the label anew when it is mended.
        idle = not status.working and not status.faults
        return Look(idle, status.faults, int(status.working))

    async def _try_both(self) -> None:
        """Find out which question it answers."""
        for question in (FULL, SHORT):
            self._status.short, self._status.owed = question == SHORT, 0
            self._noise = self._status.noise
            await self._write(question)
            wait = min(PROBE, self._config.reply_timeout)
            if await self._hear(TsplStatus, time.monotonic() + wait) is not None:
                self._question = question
                return
            self._understood(question)
        raise self._mute(FULL + b" and " + SHORT)

    async def _write(self, data: bytes, shown: bytes | None = None) -> None:
        if data == SHORT:
            self._status.owed = min(self._status.owed + 1, 8)
        await super()._write(data, shown)

    def _build(self, stored: str, layout: Layout, job: PrintJob) -> bytes:
        return label(draw(layout, job.fields), layout.density, self._tspl.gap)

    async def _came_out(self, out: Out) -> bool:
        return out.busy or time.monotonic() - out.sent >= self._tspl.settle

    async def _cancel(self) -> bool:
        if self._tspl.cancel:
            await self._write(CANCEL)
        return self._tspl.cancel
