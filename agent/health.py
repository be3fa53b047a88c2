"""How a device is, for people: state, last sign of life, latency, and what to do."""

from dataclasses import dataclass
from typing import Literal

from agent.core.errors import Said
from agent.now import wall_ms

State = Literal["starting", "ok", "fault", "lost"]


@dataclass(slots=True)
class Health:
    """How a device is, for people. `last` is wall time in ms of its last sign of life, `latency`
    of its last answer in seconds; `error` a sentence that says what to do, `said` the same for the
    catalogue of devices (None: it does not know it). `warnings` are stable
    keys of what will stop it soon (ink_low ...). `losses` and `faults` count since the start how
    often it was lost, and how often it said itself that it cannot work."""

    id: str
    kind: str
    state: State = "starting"
    latency: float | None = None
    last_ms: int | None = None
    error: str | None = None
    losses: int = 0
    faults: int = 0
    warnings: tuple[str, ...] = ()
    said: Said | None = None

    def alive(self, latency: float | None = None) -> None:
        """The device gave a sign of life."""
        self.last_ms = wall_ms()
        if latency is not None:
            self.latency = latency
        if self.state in ("starting", "lost"):
            self.state = "ok"
            self.error = self.said = None
