"""The port to the agent's journal: what the way to the cloud reads there and keeps there.

All methods are for a thread, not for the event loop. What is kept here is nothing that could not be
found again: without it everything would be sent from the first row, and the consumer would say how
far it is.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from agent.ports import Entry
from sync.envelope import ZERO
from sync.epcis import Look


class Acked(NamedTuple):
    """Rows up to `seq` are at the cloud; `hash` is the chain's there."""

    seq: int = 0
    hash: str = ZERO


class Epoch(NamedTuple):
    """An epoch of the journal: its first row and its last, None while it is being written."""

    name: str
    first: int
    last: int | None


class Parked(NamedTuple):
    """A document that the cloud does not have: `side` refused it ("agent" before it left, or
    "cloud") for `reason`. `body` is the document where it is at hand."""

    seq: int
    n: int
    side: str
    reason: str
    body: bytes = b""


class Backlog(NamedTuple):
    """Rows after the acknowledged one: how many, how many items are in them, when (wall clock, ms)
    the first was written (None = there is none), and the journal's last row."""

    rows: int
    items: int
    oldest_ms: int | None
    last: int


class JournalView(Look, Protocol):
    """One state of the journal."""

    def rows(self, first: int, most: int) -> Sequence[Entry]:
        """Up to `most` rows from `first` on. ConfigError: one cannot be read by this program."""

    def hash_at(self, seq: int) -> str | None:
        """The chain's hash at a row (0: zeros); None if the journal does not have it."""

    def epoch_at(self, seq: int) -> Epoch:
        """The epoch of a row, or that in which it would be written."""


class Outbox(Protocol):
    """The agent's journal as a queue."""

    def view(self) -> AbstractContextManager[JournalView]:
        """Read, for a short time. TransientError when the store is busy."""

    def acked(self) -> Acked:
        """What was kept last."""

    def keep(self, acked: Acked, mark: bytes | None) -> None:
        """Remember durably what is acknowledged, and with `mark` the translator's state there.
        TransientError: it could not be written."""

    def mark(self, seq: int) -> tuple[int, bytes]:
        """The newest state kept at or before a row, and its row; 0 and b"" if there is none."""

    def park(self, parked: Sequence[Parked]) -> None:
        """Keep documents for people to see, once each. TransientError: see `keep`."""

    def backlog(self) -> Backlog:
        """What waits, as of now."""

    def parked(self) -> int:
        """How many documents are parked."""
