"""The PLC's gate before a printer that would print an old code again: one signal for each record.

The agent writes a number into the gate's register (docs/plc.md); the PLC lets the next signal of
the photo-eye through for each new number, and none for 0. So a write that is repeated lets nothing
through twice, and a lost agent lets nothing through at all.
"""

from collections.abc import Awaitable, Callable


class PlcPrintGate:
    """ports.PrintGate of one print station; `write` brings all outputs to the PLC."""

    def __init__(self, write: Callable[[], Awaitable[None]]) -> None:
        self.number = 0
        self._write = write

    async def allow(self, number: int) -> None:
        """See ports.PrintGate."""
        self.number = number
        await self._write()
