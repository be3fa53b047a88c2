"""What an agent may send next, and what an acknowledgement means: go-back-N over journal rows.

Pure: no clock, no I/O; `now` is any clock in seconds that does not go back. The journal is the
queue, so all there is to know is `acked` (the consumer's word, never the broker's), `next` and what
is in flight. A batch that is lost, doubled or late costs a repetition and nothing else: the
consumer takes a row once, in order, and says where to go on.
"""

from collections import deque
from enum import Enum
from typing import NamedTuple

from sync.messages import Ack

WINDOW = 8
"""Batches in flight at most."""
PATIENCE = 15.0
LONGEST_PATIENCE = 60.0
"""Seconds without a word from the consumer after which everything in flight is sent again: the
first, doubled each time up to the second."""
FORK_RETRY = 300.0
"""Seconds between two attempts while the cloud's chain is not ours."""


class Heard(Enum):
    """What an acknowledgement was."""

    NOTHING_NEW = "nothing new"
    OTHER_EPOCH = "of another epoch"
    MOVED = "moved"
    REWOUND = "rewound"
    FORK = "fork"


class Sent(NamedTuple):
    """A batch in flight. `hash` is the chain's at `last`."""

    first: int
    last: int
    hash: str


class Relay:
    """One epoch's rows on their way. `last` is the epoch's last row, None while it is being
    written; the next epoch is entered when all of it is acknowledged."""

    def __init__(
        self,
        epoch: str,
        last: int | None,
        acked: int,
        *,
        window: int = WINDOW,
        patience: float = PATIENCE,
        fork_retry: float = FORK_RETRY,
    ) -> None:
        self._window = window
        self._first_patience = patience
        self._fork_retry = fork_retry
        self.acked = acked
        self.fork = ""
        """Why nothing is sent; empty: all is well."""
        self._retry_at = 0.0
        self.flight: deque[Sent] = deque()
        self.next = acked + 1
        self.enter(epoch, last)

    def enter(self, epoch: str, last: int | None) -> None:
        """Go on with the epoch of row `acked` + 1."""
        self.epoch, self.last = epoch, last
        self.lost()

    @property
    def finished(self) -> bool:
        """Whether all of the epoch is acknowledged and no more of it will come."""
        return self.last is not None and self.acked >= self.last

    def wanted(self, now: float) -> int | None:
        """The row that the next batch must begin with; None: nothing may be sent now."""
        if self.fork and now < self._retry_at:
            return None
        if len(self.flight) >= self._room or (self.last is not None and self.next > self.last):
            return None
        return self.next

    def sent(self, batch: Sent, now: float) -> None:
        """The batch that was wanted is on its way."""
        if batch.first != self.next or batch.last < batch.first:
            raise ValueError(f"{batch} was not wanted: {self.next} is next")
        if not self.flight:
            self._since = now
        self.flight.append(batch)
        self.next = batch.last + 1

    def lost(self) -> None:
        """The connection is gone, and all that was in flight with it. Until the consumer has
        spoken one batch at a time: an epoch must begin with its first."""
        self._go_back(self.acked)
        self._room = 1
        self._patience = self._first_patience

    def tick(self, now: float) -> bool:
        """True: the consumer has been silent for too long, everything is sent again."""
        if not self.flight or now - self._since < self._patience:
            return False
        self._go_back(self.acked)
        self._room = 1
        self._patience = min(2 * self._patience, LONGEST_PATIENCE)
        return True

    def heard(self, ack: Ack, ours: str | None, now: float) -> Heard:
        """What the consumer said. `ours` is our chain's hash at `ack.upto`, None if the journal
        does not have that row."""
        if ack.epoch != self.epoch:
            return Heard.OTHER_EPOCH
        if ack.fork:
            return self._forked(f"the cloud says: {ack.fork}", now)
        upto = ack.upto
        if self.last is not None and upto > self.last:
            # A backup was restored: the cloud has more of this epoch than the backup.
            upto = self.last
        elif ours is None and upto > self.acked:
            return self._forked(
                f"the cloud has acknowledged row {upto}, which our journal does not have", now
            )
        elif ours is None:
            return self._forked(
                f"the cloud wants the rows after {upto}, which are not in the journal any more", now
            )
        elif ours != ack.hash:
            return self._forked(
                f"row {upto} that the cloud has acknowledged is not row {upto} of our journal", now
            )
        self.fork = ""
        return self._moved(upto, ack.rewind, now)

    def _moved(self, upto: int, rewind: bool, now: float) -> Heard:
        forward = upto > self.acked
        if forward:
            self._since = now
            self._patience = self._first_patience
            self._room = min(self._room + 1, self._window)
            self._echoes = 0
            self.acked = upto
            while self.flight and self.flight[0].last <= upto:
                self.flight.popleft()
            self.next = max(self.next, upto + 1)
        if not rewind:
            if not forward and upto == self.acked:
                self._patience = self._first_patience
            return Heard.MOVED if forward else Heard.NOTHING_NEW
        if self.next == upto + 1 and not self.flight:
            return Heard.MOVED if forward else Heard.NOTHING_NEW
        if self._echoes > 0 and not forward:
            self._echoes -= 1
            return Heard.NOTHING_NEW
        # Each batch behind the one that was missed will be answered in the same way.
        echoes = len(self.flight) - 1
        self.acked = upto
        self._go_back(upto)
        self._echoes = echoes
        self._since = now
        self._room = max(1, self._room // 2)
        return Heard.REWOUND

    def _forked(self, why: str, now: float) -> Heard:
        self.fork = why
        self._retry_at = now + self._fork_retry
        self._go_back(self.acked)
        self._room = 1
        return Heard.FORK

    def _go_back(self, upto: int) -> None:
        self.flight.clear()
        self.next = upto + 1
        self._echoes = 0
        self._since = 0.0
