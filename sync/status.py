"""How the way to the cloud stands, and what its parts ask of the agent around them."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from agent.ports.cloud import Backlog
from sync.messages import DeviceState

RATE_SECONDS = 60.0
NOTHING = Backlog(0, 0, None, 0)


class About(NamedTuple):
    """What the agent says of itself: version, state by line, wall time (ms) and its quality, and
    its devices by name."""

    version: str
    lines: Mapping[str, str]
    wall_ms: int
    clock: str
    devices: Mapping[str, DeviceState] = {}


class Commands(Protocol):
    """What takes commands from the cloud."""

    async def take(self, payload: bytes) -> bytes | None:
        """Carry out one message of the command topic; the answer to send, None for none."""


Condition = Callable[[str, bool, Mapping[str, str]], None]
"""Told when something that a person must know begins (True) or ends: its key, and arguments."""


@dataclass(slots=True)
class Status:
    """How the way to the cloud stands. `error`: why there is no connection; `fork`: why nothing is
    sent though there is one. `backlog` is as of the last look, `rows_per_s` and `items_per_s` what
    was acknowledged in the last minute, `last_ack_ms` the wall time of the last progress."""

    connected: bool = False
    error: str = ""
    fork: str = ""
    acked: int = 0
    epoch: str = ""
    backlog: Backlog = NOTHING
    rows_per_s: float = 0.0
    items_per_s: float = 0.0
    last_ack_ms: int | None = None
    parked: int = 0
    moved: deque[tuple[float, int, int]] = field(default_factory=deque)

    def count(self, now: float, rows: int, items: int) -> None:
        """So many rows and items were acknowledged."""
        self.moved.append((now, rows, items))

    def rate(self, now: float) -> None:
        """Look at the last minute."""
        while self.moved and self.moved[0][0] < now - RATE_SECONDS:
            self.moved.popleft()
        self.rows_per_s = sum(rows for _, rows, _ in self.moved) / RATE_SECONDS
        self.items_per_s = sum(items for _, _, items in self.moved) / RATE_SECONDS

    def data(self, wall_ms: int) -> dict[str, Any]:
        """For people and programs; `age_ms` is how old the oldest row that waits is."""
        oldest = self.backlog.oldest_ms
        return {
            "connected": self.connected,
            "error": self.error or None,
            "fork": self.fork or None,
            "epoch": self.epoch,
            "acked": self.acked,
            "last": max(self.backlog.last, self.acked),  # the backlog is looked at now and then
            "rows": self.backlog.rows,
            "items": self.backlog.items,
            "oldest": oldest,
            "age_ms": None if oldest is None else max(0, wall_ms - oldest),
            "rows_per_s": round(self.rows_per_s, 1),
            "items_per_s": round(self.items_per_s, 1),
            "last_ack": self.last_ack_ms,
            "parked": self.parked,
        }
