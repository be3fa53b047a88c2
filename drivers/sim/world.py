"""What the simulated plant and its socket adapters say to each other.

`plant.py` knows the physical truth and no socket; an adapter knows a socket and no bottle. They
meet in these plain values. Nothing here is shared with the drivers: the wire numbers are written
out again on purpose, so that a mistake in one place shows in the other.
"""

from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from agent.core.values import value

# Kinds in the PLC's event ring (docs/plc.md).
TRIGGER, PASSED, REJECTED, REJECT_FAILED = 1, 2, 3, 4
STROKE, LABEL_APPLIED, FOREIGN_REJECT, ENTERED, CLEARED = 5, 6, 7, 8, 9

# Bits of the PLC's state word (docs/plc.md).
RUNNING, ESTOP, GUARD_OPEN, JAM, REJECT_FULL, LOW_AIR, AGENT_LOST = (1 << n for n in range(7))

RING = 64
SLOTS = 16


@dataclass(slots=True)
class RingEntry:
    """One event as the PLC writes it: all numbers as wide as its registers."""

    kind: int
    station: int
    lane: int
    number: int
    encoder: int
    data: int = 0


@dataclass(slots=True)
class PlcImage:
    """The PLC's input registers. `head` counts events ever written in this run (16 bits);
    entry n of the run stands at ring[n % RING]."""

    run: int = 1
    heartbeat: int = 0
    flags: int = 0
    encoder: int = 0
    speed: int = 0
    head: int = 0
    ring: list[RingEntry | None] = field(default_factory=lambda: [None] * RING)


@dataclass(slots=True)
class AgentImage:
    """The PLC's holding registers, as the agent last wrote them. `slots[station]` are 16 raw
    registers (low 12 bits number, high 4 bits verdict)."""

    heartbeat: int = 0
    commands: int = 0  # bit 0 run permission, bit 1 stop request
    lamps: int = 0  # bit 0 red, 1 amber, 2 green, 3 horn
    slots: dict[int, list[int]] = field(default_factory=dict)


@value(frozen=True, slots=True)
class Ask:
    """What a person on the floor also does at the agent: `close_partial` before a container leaves
    the packer at PLC station `station` half full, `top_up` when the children with these codes went
    onto the container with this one."""

    kind: Literal["close_partial", "top_up"]
    station: int
    code: str = ""
    children: tuple[str, ...] = ()


@value(frozen=True, slots=True)
class Symbol:
    """One symbol in a camera's view, in pixels of the frame; `angle` in degrees.

    `kind` is QRCode, DataMatrix, Code128 or EAN13; `damage` 0..1 hides that share of its middle
    (1 = nothing to read); `size` is the edge of the symbol without its quiet zone.
    """

    text: str
    kind: str
    x: float
    y: float
    size: float
    angle: float = 0.0
    damage: float = 0.0
    gs1: bool = False


@value(frozen=True, slots=True)
class Scene:
    """What one exposure sees. `blur` is a Gaussian sigma in px, `noise` its sigma in grey levels,
    `light` a factor on brightness, `tilt` degrees of the whole picture; `seed` fixes the noise."""

    width: int
    height: int
    symbols: tuple[Symbol, ...]
    blur: float = 0.6
    noise: float = 3.0
    light: float = 1.0
    tilt: float = 0.0
    seed: int = 0


@value(frozen=True, slots=True)
class Exposure:
    """A camera was fired in hardware: its own counter (from 1) and clock in seconds."""

    camera: str
    counter: int
    camera_time: float
    scene: Scene


class FiredPrinter(Protocol):
    """A coder or label printer as the belt sees it: fired by a photo-eye or an applicator."""

    def fire(self, now: float) -> tuple[str, ...] | None:
        """The texts of the symbols that came out, in template order; None if nothing did."""


@runtime_checkable
class Machine(Protocol):
    """A printer whose machine can fail: its present faults, and the one of running out."""

    @property
    def faults(self) -> set[str]: ...

    @property
    def empty(self) -> str: ...

    def reboot(self) -> None:
        """Switched off and on: what it held is lost, its counter begins at 0."""
