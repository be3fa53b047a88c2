"""The PLC of the simulated line: numbers, event ring, verdict slots, watch over the agent.

Register meaning as in docs/plc.md; written out here again and shared with no driver. Verdict
slot: low 12 bits of the number, high 4 bits verdict (1 = pass); slot index = number % 16.
"""

from drivers.sim.world import (
    AGENT_LOST,
    RING,
    RUNNING,
    AgentImage,
    PlcImage,
    RingEntry,
)

PASS = 1
PERMISSION, STOP_REQUEST = 1, 2  # bits of AgentImage.commands
AGENT_DEADLINE = 1.5  # s without a new agent heartbeat
BEATS_PER_SECOND = 10


class PlcModel:
    """Pure: time comes with `observe` and `refresh`."""

    __slots__ = (
        "_agent",
        "_beat",
        "_beat_at",
        "_head",
        "_known",
        "_pulses",
        "_used",
        "alive",
        "held",
        "image",
    )

    def __init__(self, pulses_per_mm: float) -> None:
        self.image = PlcImage()
        self.alive = False
        self.held = 0  # the flags of what holds the line
        self._agent = AgentImage()
        self._beat: int | None = None
        self._beat_at = 0.0
        self._known = False  # the agent has beaten at least once
        self._head = 0
        self._pulses = pulses_per_mm
        # An answer is used once. The registers are the agent's image, so instead of writing 0 the
        # model remembers what a slot held when it was cleared: that value is as good as none.
        self._used: dict[tuple[int, int], int] = {}

    def observe(self, t: float, agent: AgentImage) -> None:
        """Take what the agent wrote. A heartbeat that stands still too long is a lost agent."""
        self._agent = agent
        if self._beat is None:
            self._beat = agent.heartbeat
        elif agent.heartbeat != self._beat:
            self._beat = agent.heartbeat
            self._beat_at = t
            self.alive = self._known = True
        elif self.alive and t - self._beat_at > AGENT_DEADLINE:
            self.alive = False
            for station, slots in agent.slots.items():
                for index, register in enumerate(slots):
                    self._used[station, index] = register

    @property
    def permits(self) -> bool:
        """May the infeed run?"""
        return self.alive and self._agent.commands & (PERMISSION | STOP_REQUEST) == PERMISSION

    def gate(self, station: int, number: int) -> str:
        """Why the gate rejects this number, "" if it lets it pass."""
        if not self.alive:
            return "agent_lost"
        slots = self._agent.slots.get(station)
        if slots is None:
            return "no_verdict"
        index = number & 15
        register = slots[index]
        stale = self._used.get((station, index)) == register or (register ^ number) & 0xFFF
        self._used[station, index] = register
        if stale:
            return "no_verdict"  # cleared, or the slot still speaks of an earlier item
        verdict = register >> 12
        if verdict == PASS:
            return ""
        return "verdict" if verdict else "no_verdict"

    def write(
        self, kind: int, station: int, lane: int, number: int, travel: float, data: int = 0
    ) -> None:
        """Put an event into the ring. `travel` is the belt's own way in mm."""
        image = self.image
        encoder = int(travel * self._pulses) & 0xFFFFFFFF
        image.ring[self._head % RING] = RingEntry(kind, station, lane, number, encoder, data)
        self._head += 1
        image.head = self._head & 0xFFFF

    def restart(self, t: float) -> None:
        """Memory lost: a new run. All answers are cleared, the agent must beat again."""
        image = self.image
        image.run = image.run + 1 & 0xFFFF
        image.ring = [None] * RING
        image.head = self._head = 0
        self.alive = False
        self._beat_at = t
        for station, slots in self._agent.slots.items():
            for index, register in enumerate(slots):
                self._used[station, index] = register

    def refresh(self, t: float, running: bool, travel: float, speed: float) -> None:
        """Set the registers that are not events."""
        image = self.image
        image.heartbeat = int(t * BEATS_PER_SECOND) & 0xFFFF
        image.encoder = int(travel * self._pulses) & 0xFFFFFFFF
        image.speed = round(speed) & 0xFFFF if running else 0
        lost = AGENT_LOST if self._known and not self.alive else 0
        image.flags = (RUNNING if running else 0) | lost | self.held


class Numbers:
    """The PLC's 16-bit count of one belt's items."""

    __slots__ = ("_first", "_next")

    def __init__(self, first: int) -> None:
        self._next = self._first = first

    def restart(self) -> None:
        """Count anew."""
        self._next = self._first

    def take(self) -> int:
        number = self._next & 0xFFFF
        self._next += 1
        return number
