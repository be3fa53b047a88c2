"""Printers and coders: records handed over, what the device says of them, how far to trust it."""

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Protocol, runtime_checkable

from agent.core.values import value
from agent.ports.devices import Device


class Evidence(IntEnum):
    """How strongly a device can say that a code was printed (docs/devices.md)."""

    NONE = 0
    SENT = 1  # bytes handed to the network
    ACCEPTED = 2  # the device said accepted or queued
    COUNTER = 3  # a counter of the device moved
    EVENT = 4  # one message per print, without an id
    INDEXED = 5  # the device says which record it printed


@value(frozen=True, slots=True)
class PrinterCapability:
    """What the print accounting needs to know of a device.

    `queue` is how many variable-data records it holds ahead (0 = the last value stays and
    repeats); `repeat_risk` that a trigger without fresh data prints the old code again;
    `clears` that queued records can be removed and that the device acknowledges it.
    `counts` says what its counter counts: "prints", "triggers" (photo-eye hits, whether ink came
    out or not), or "" where it has none to rely on. `counter_kept`: the counter survives that the
    device is switched off.
    """

    evidence: Evidence
    queue: int
    repeat_risk: bool
    clears: bool
    counts: str = ""
    counter_kept: bool = False


@value(frozen=True, slots=True)
class PrintJob:
    """One print: `ref` is ours and comes back in the event, `fields` are the variable texts of
    the device's template, already canonical; the driver escapes them into its own language."""

    ref: int
    fields: Mapping[str, str]
    template: str = ""


class PrintEventKind(StrEnum):
    PRINTED = "printed"
    REQUEST = "request"  # the device asks for the next record


@value(frozen=True, slots=True)
class PrintEvent:
    """Something the device said by itself. `ref` is known only where the device names the record
    or where it prints strictly first in, first out; `counter` is its print counter after this
    print, where it says so."""

    kind: PrintEventKind
    ref: int | None
    received: float
    counter: int | None = None


@value(frozen=True, slots=True)
class PrinterStatus:
    """`faults` are stable keys (paper_out, ribbon_out, head_open, paused, buffer_full, ...);
    `waiting` is how many records the device holds unprinted, `counter` its print counter, `last`
    the number (PrintJob.ref) of the record that it printed last; None where it cannot say.
    `warnings` are stable keys of what does not stop it yet (ink_low, ribbon_low, paper_low,
    makeup_low, service_due, ...)."""

    ready: bool
    faults: tuple[str, ...] = ()
    waiting: int | None = None
    counter: int | None = None
    last: int | None = None
    warnings: tuple[str, ...] = ()


@runtime_checkable
class Printer(Device, Protocol):
    @property
    def capability(self) -> PrinterCapability: ...

    async def send(self, job: PrintJob) -> bool:
        """Hand over one record. True: accepted; False: the device is full, nothing was taken, try
        after the next event. TransientError: not known whether it was taken (the code is suspect).
        DomainError: the value cannot be printed by this device; nothing was sent."""

    async def next_event(self, timeout: float) -> PrintEvent | None:
        """The next unsolicited event; None when none came within `timeout` s."""

    async def status(self) -> PrinterStatus:
        """Ask the device. TransientError when it does not answer."""

    async def clear(self) -> bool:
        """Remove queued records; True only if the device acknowledged that its queue is empty."""


class PrintGate(Protocol):
    """The PLC's switch in the way of a printer's photo-eye signal."""

    async def allow(self, number: int) -> None:
        """Let the next signal through and no other; the same number again changes nothing, 0 lets
        none through. TransientError: not known whether the PLC heard it; ConfigError: it has no
        such switch."""


@runtime_checkable
class Inhibit(Protocol):
    """What a printer can do besides that can be told not to print."""

    async def inhibit(self) -> bool:
        """Print nothing more, whatever triggers it; True only if the device acknowledged it.
        TransientError when it does not answer."""

    async def release(self) -> None:
        """Print again. TransientError when the device does not acknowledge it."""
