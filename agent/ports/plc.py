"""The PLC of a line: its events, its state, and the verdicts it is given (docs/plc.md)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import IntEnum
from typing import Protocol, runtime_checkable

from agent.core.values import value
from agent.ports.devices import Device


class PlcEventKind(IntEnum):
    """Kinds in the PLC's event ring; the numbers are the wire values (docs/plc.md)."""

    TRIGGER = 1  # an item is at a station; camera and strobe fired
    PASSED = 2  # an item left the gate on the belt, inside its window
    REJECTED = 3  # chute sensor fired inside the window and the place is empty after the gate
    REJECT_FAILED = 4  # chute silent, or the place not empty; lane bit 0: no sensor saw anything
    STROKE = 5  # the packer moved `data` children (4 bits per lane, lane 0 lowest) into a container
    LABEL_APPLIED = 6  # the applicator put a label on the container
    FOREIGN_REJECT = 7  # a rejector that is not ours took the item
    ENTERED = 8  # the photo-eye at the end of a path saw the item; no camera fires
    CLEARED = 9  # a person emptied the packer's lanes and confirmed it: the PLC counts from 0


@value(frozen=True, slots=True)
class PlcEvent:
    """One ring entry. `number` is item_no or container_no (16 bits as the PLC counts them),
    `encoder` pulses (32 bits), `data` the kind's own 32 bits."""

    seq: int
    kind: PlcEventKind
    station: int
    lane: int
    number: int
    encoder: int
    data: int = 0


@value(frozen=True, slots=True)
class PlcReport:
    """One poll: the events since the last one, in order, and the state of the line.

    `lost` counts ring entries that were overwritten before they were read; `run` changes when the
    PLC restarts and its numbers start anew; `flags` are stable keys (running, estop, guard_open,
    jam, reject_full, low_air, agent_lost). `untold`: at this time the PLC knew of none of these
    events yet, as far as the port can tell (one that waits for them can); monotonic seconds.
    """

    run: int
    heartbeat: int
    events: tuple[PlcEvent, ...]
    lost: int
    flags: frozenset[str]
    encoder: int
    speed: int
    received: float
    untold: float = -math.inf


class SlotVerdict(IntEnum):
    """The 4 bits of a verdict slot; anything but PASS is a reject at the gate."""

    NONE = 0
    PASS = 1
    REJECT = 2


@value(frozen=True, slots=True)
class Slot:
    """The answer for one item or container at one station's gate."""

    station: int
    number: int
    verdict: SlotVerdict


@value(frozen=True, slots=True)
class PlcOutputs:
    """What the agent tells the PLC besides verdicts: written together, idempotent. `prints` are
    the numbers of the prints that may pass, by index of the print station (PrintGate)."""

    heartbeat: int
    run_permission: bool = False
    stop_request: bool = False
    lamps: frozenset[str] = field(default_factory=frozenset)  # red, amber, green, horn
    prints: Mapping[int, int] = field(default_factory=dict)


@runtime_checkable
class LinePlc(Device, Protocol):
    async def poll(self) -> PlcReport:
        """Read header and new events. TransientError when the PLC does not answer in time."""

    async def write_slots(self, slots: Sequence[Slot]) -> None:
        """Write verdicts; a repeated write changes nothing. TransientError: not known if they
        were written."""

    async def write_outputs(self, outputs: PlcOutputs) -> None:
        """Write heartbeat, permission and lamps."""
