"""The registers of the simulated PLC: images of the plant on one side, Modbus on the other.

The layout is that of docs/plc.md, written out again on purpose: a mistake in the driver's codec
must show here. `PlcMemory` is used by the plant's thread and the servers' threads at once.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from drivers.sim.world import RING, SLOTS, AgentImage, PlcImage, RingEntry

ENTRY = 8
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, NO_ANSWER_BEHIND_GATEWAY = 1, 2, 3, 11


@dataclass(frozen=True, slots=True)
class PlcLayout:
    """Absolute addresses from 0. `holding_inputs`: the input block stands in the holding table."""

    magic_value: int = 0xCA01
    low_first: bool = False
    holding_inputs: bool = False
    magic: int = 0
    run: int = 1
    heartbeat: int = 2
    flags: int = 3
    encoder: int = 4
    speed: int = 6
    head: int = 7
    ring: int = 16
    agent_heartbeat: int = 0
    commands: int = 1
    lamps: int = 2
    slots: int = 16
    stations: int = 16

    @staticmethod
    def load(path: Path) -> "PlcLayout":
        """The layout that a register map's TOML file describes; it must name every register."""
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        given, taken = data["input"], data["output"]
        up, down = given["base"], taken["base"]
        return PlcLayout(
            magic_value=data["magic"],
            low_first=data["word_order"] == "low_first",
            holding_inputs=given["table"] == "holding",
            magic=up + given["magic"],
            run=up + given["run"],
            heartbeat=up + given["heartbeat"],
            flags=up + given["flags"],
            encoder=up + given["encoder"],
            speed=up + given["speed"],
            head=up + given["head"],
            ring=up + given["ring"],
            agent_heartbeat=down + taken["heartbeat"],
            commands=down + taken["commands"],
            lamps=down + taken["lamps"],
            slots=down + taken["slots"],
            stations=taken["stations"],
        )


@dataclass(slots=True)
class PlcTrouble:
    """Ways in which the simulated PLC misbehaves; tests and troubles of the demo set them.

    `frozen`: takes requests and does not carry them out or answer. `mute`: carries them out, the
    answer is lost. `exception`: answers every request with this code. `garbage`: sends these bytes
    instead of every answer. `patience`: so many more requests are served before it freezes.
    """

    frozen: bool = False
    patience: int | None = None
    mute: bool = False
    exception: int = 0
    garbage: bytes | None = None

    def ignores(self) -> bool:
        """Asked once for every request: is this one left without any effect?"""
        if self.patience is not None:
            self.frozen = self.frozen or self.patience == 0
            self.patience = max(0, self.patience - 1)
        return self.frozen


class PlcMemory:
    """Input and holding registers as far as the layout reaches, and not one further."""

    def __init__(self, layout: PlcLayout) -> None:
        self.layout = layout
        self._lock = Lock()
        up = layout.ring + RING * ENTRY
        up = max(up, layout.magic + 1, layout.head + 1, layout.speed + 1, layout.encoder + 2)
        down = layout.slots + SLOTS * layout.stations
        down = max(down, layout.agent_heartbeat + 1, layout.commands + 1, layout.lamps + 1)
        self._holding = [0] * (max(up, down) if layout.holding_inputs else down)
        self._input = self._holding if layout.holding_inputs else [0] * up
        self._input[layout.magic] = layout.magic_value
        self._run: int | None = None
        self._head = 0

    def read(self, holding: bool, address: int, count: int) -> list[int] | None:
        """`count` registers of a table at one instant; None when not all of them exist."""
        table = self._holding if holding else self._input
        if not holding and self.layout.holding_inputs:
            return None
        with self._lock:
            if address + count > len(table):
                return None
            return table[address : address + count]

    def write(self, address: int, values: list[int]) -> bool:
        """Write holding registers at one instant; False when not all of them exist."""
        with self._lock:
            if address + len(values) > len(self._holding):
                return False
            self._holding[address : address + len(values)] = values
            return True

    def publish(self, image: PlcImage) -> None:
        """Show the plant's state: new ring entries first, then the header that counts them."""
        at = self.layout
        words = self._input
        with self._lock:
            new = (image.head - self._head) & 0xFFFF
            if image.run != self._run:
                words[at.ring : at.ring + RING * ENTRY] = [0] * (RING * ENTRY)
                new = RING
            for number in range(image.head - min(new, RING), image.head):
                entry = image.ring[number % RING]
                if entry is not None:
                    start = at.ring + number % RING * ENTRY
                    words[start : start + ENTRY] = self._entry(number, entry)
            self._run, self._head = image.run, image.head
            words[at.run] = image.run & 0xFFFF
            words[at.heartbeat] = image.heartbeat & 0xFFFF
            words[at.flags] = image.flags & 0xFFFF
            words[at.encoder : at.encoder + 2] = self._double(image.encoder)
            words[at.speed] = image.speed & 0xFFFF
            words[at.head] = image.head & 0xFFFF

    def tear(self, number: int) -> None:
        """Leave the entry of event `number` half written: it already has the next one's number."""
        with self._lock:
            self._input[self.layout.ring + number % RING * ENTRY] = number + RING & 0xFFFF

    def agent(self) -> AgentImage:
        """What the agent has written so far."""
        at = self.layout
        with self._lock:
            words = list(self._holding)
        return AgentImage(
            heartbeat=words[at.agent_heartbeat],
            commands=words[at.commands],
            lamps=words[at.lamps],
            slots={
                station: words[at.slots + SLOTS * station : at.slots + SLOTS * (station + 1)]
                for station in range(at.stations)
            },
        )

    def _entry(self, number: int, entry: RingEntry) -> list[int]:
        return [
            number & 0xFFFF,
            (entry.kind & 0xFF) << 8 | entry.station & 0xFF,
            (entry.lane & 0xFF) << 8,
            entry.number & 0xFFFF,
            *self._double(entry.encoder),
            *self._double(entry.data),
        ]

    def _double(self, value: int) -> list[int]:
        high, low = value >> 16 & 0xFFFF, value & 0xFFFF
        return [low, high] if self.layout.low_first else [high, low]
