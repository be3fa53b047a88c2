"""ESC/POS printers (Epson and most receipt printers): slips and simple labels.

An Epson says by a process ID which label is printed; of others `GS r`, answered in its turn, says
that the label was worked off. Its state is asked by DLE EOT, which is answered at any time.
"""

import time
from typing import Literal

from pydantic import Field

from agent.core.errors import ConfigError
from agent.ports.printing import Evidence, PrinterCapability, PrintJob
from agent.told import told
from drivers.context import DeviceContext
from drivers.printers.escpos_label import (
    CLEAR,
    IN_ORDER,
    INIT,
    STATUS,
    ask_process,
    label,
    process,
)
from drivers.printers.escpos_status import Cleared, EscposCodec, EscposStatus, Processed
from drivers.printers.label_draw import draw
from drivers.printers.label_printer import LabelPrinter, LabelPrinterConfig, Look, Out
from drivers.printers.label_template import Layout

PROBE = 0.5
ASK_AGAIN = 2
"""Reply timeouts after which a printer without a fault is asked again whether a label came out."""


class EscposConfig(LabelPrinterConfig):
    """Section of a device of type `escpos`. `paper` is the printed width in mm (72 on a roll of 80
    mm, 48 on one of 58 mm); `cut` each label off; `confirm` what says that a label came out (auto:
    the process ID is tried); `cancel` that DLE DC4 8 empties its buffers."""

    type: Literal["escpos"] = "escpos"
    paper: float = Field(default=72.0, gt=0, le=300)
    cut: bool = True
    confirm: Literal["auto", "process", "in-order"] = "auto"
    cancel: bool = False


class EscposPrinter(LabelPrinter):
    """ports.Printer for ESC/POS."""

    language = "ESC/POS"
    _strict = True
    _pictured = True

    def __init__(self, name: str, config: EscposConfig, context: DeviceContext) -> None:
        self._escpos = config
        self._status = EscposCodec()
        super().__init__(name, config, context)
        self._by_process = False
        self._number = 0
        self._whether = 0.0
        for label_name, layout in self.labels.items():
            if layout.width > round(config.paper * config.dots_per_mm):
                raise ConfigError(
                    *told(
                        "label_too_wide",
                        name=name,
                        label=label_name,
                        width=layout.width,
                        paper=f"{config.paper:g}",
                    )
                )

    @property
    def capability(self) -> PrinterCapability:
        """INDEXED where the process ID is answered: it names the label. ACCEPTED else."""
        return PrinterCapability(
            evidence=Evidence.INDEXED if self._by_process else Evidence.ACCEPTED,
            queue=1,
            repeat_risk=False,
            clears=self._escpos.cancel,
        )

    def _new_codec(self) -> EscposCodec:
        self._status = EscposCodec()
        return self._status

    async def _greet(self) -> None:
        self._by_process = self._escpos.confirm == "process"
        if self._escpos.confirm == "auto":
            wait = min(PROBE, self._config.reply_timeout)
            self._noise = self._status.noise
            await self._write(ask_process(self._next()))
            end = time.monotonic() + wait
            while not self._by_process and time.monotonic() < end:
                answer = await self._hear(Processed, end)
                self._by_process = answer is not None and answer.process == process(self._number)
            if not self._by_process:
                self._understood(ask_process(""))
                # One that does not know the question may have taken it for text to print.
                await self._write(INIT)

    def _next(self) -> str:
        self._number += 1
        return process(self._number)

    async def _look(self, patience: float) -> Look | None:
        status = await self._ask(STATUS, EscposStatus, patience)
        if status is None:
            return None
        return Look(not status.faults, status.faults, warnings=status.warnings)

    async def _write(self, data: bytes, shown: bytes | None = None) -> None:
        if data == STATUS:
            self._status.restart()
        await super()._write(data, shown)

    def _build(self, stored: str, layout: Layout, job: PrintJob) -> bytes:
        return label(draw(layout, job.fields), self._escpos.cut)

    async def _handed(self, out: Out) -> None:
        self._drop(Processed)
        self._next()
        await self._ask_whether()
        await super()._handed(out)

    async def _ask_whether(self) -> None:
        """Ask whether all that was sent is printed; the answer comes in its turn."""
        self._whether = time.monotonic()
        question = ask_process(process(self._number)) if self._by_process else IN_ORDER
        await self._write(question)

    async def _came_out(self, out: Out) -> bool:
        wanted = process(self._number) if self._by_process else ""
        if any(isinstance(one, Processed) and one.process == wanted for one in self._answers):
            return True
        if time.monotonic() - self._whether > ASK_AGAIN * self._config.reply_timeout:
            await self._ask_whether()  # it has no fault: the answer may have been lost
        return False

    async def _cancel(self) -> bool:
        return self._escpos.cancel

    async def clear(self) -> bool:
        """Empty the buffers (DLE DC4 8) where the printer can, else wait until it has worked off
        what it has; see ports.Printer."""
        async with self._lock:
            self._check()
            kind: type[Cleared | Processed] = Cleared if self._escpos.cancel else Processed
            self._drop(kind)
            await self._write(CLEAR if self._escpos.cancel else IN_ORDER)
            done = await self._hear(kind, time.monotonic() + self._config.reply_timeout)
            if done is not None:
                self._out = None
            return done is not None
