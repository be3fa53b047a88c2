"""Journal rows into batches: translate, check, cut, encode, compress. For a thread.

A batch ends between two rows, never within one. The translator's state goes along with every batch,
so that the builder can go on at any row: from the nearest state that was kept, by translating the
rows since then once more.
"""

import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from agent.core.errors import CaselinkError, TransientError
from agent.core.facts import CodesMoved, ItemPassed
from agent.core.life import CodeState
from agent.ports.cloud import Entry, Epoch, JournalView, Outbox, Parked
from sync import envelope
from sync.envelope import Batch, Doc
from sync.epcis import translate
from sync.events import MAX_BYTES, MAX_EVENTS, Document
from sync.lint import event_problems
from sync.pending import State
from sync.uris import Identity

ROWS = 10_000
"""Rows in a batch at most."""
BYTES = 1_000_000
"""Bytes of documents after which a batch ends."""
ROOM = envelope.LIMITS.unpacked - 100 * envelope.MOST_POOLS
"""Bytes that documents and what surrounds each of them may take."""
AROUND = 64
"""Bytes around a document in its envelope."""
CHUNK = 250
"""Rows that are read at a time."""
WORK, REST = 0.002, 0.0002
"""Seconds of work after which other threads get their turn, for so long: a line may be running, and
who waits for the interpreter waits 5 ms otherwise."""


_TAKEN = CodeState.ALLOCATED.value


class Built(NamedTuple):
    """A batch as bytes. `state` is the translator's after `last`; `items` how many units began in
    it, `docs` and `plain` how many documents and bytes before compression; `parked` documents
    that did not pass our own check; `full`: it ended because it was full, not because the journal
    ended."""

    first: int
    last: int
    hash: str
    payload: bytes
    state: bytes
    items: int
    docs: int
    plain: int
    parked: tuple[Parked, ...]
    full: bool


class Stopped(Exception):
    """The builder was told to stop."""


class _Told(NamedTuple):
    """What one row becomes."""

    docs: list[Doc]
    parked: list[Parked]
    size: int


class Builder:
    """Builds batches one after the other. One thread at a time may use it."""

    def __init__(
        self,
        outbox: Outbox,
        identity: Identity,
        *,
        rows: int = ROWS,
        bytes_: int = BYTES,
        room: int = ROOM,
        level: int = envelope.LEVEL,
    ) -> None:
        self._outbox = outbox
        self._identity = identity
        self._rows, self._bytes, self._room, self._level = rows, bytes_, room, level
        self._state = State()
        self._at = 0
        self._hash = envelope.ZERO
        self._stop = threading.Event()
        self._rested = 0.0

    def stop(self) -> None:
        """End what runs in a thread soon, by `Stopped`. From any thread."""
        self._stop.set()

    def build(self, first: int) -> Built | None:
        """The batch that begins with row `first`; None if the journal ends before it.
        TransientError: the store is busy."""
        self._rested = time.monotonic()
        if self._at != first - 1:
            self._seek(first - 1)
        with self._outbox.view() as view:
            return self._batch(view, view.epoch_at(first))

    # ---------------------------------------------------------------------------- inside

    def _seek(self, seq: int) -> None:
        """Be where row `seq` has just been translated."""
        at, body = self._outbox.mark(seq)
        try:
            state = State.from_json(body) if body else State()
        except msgspec.DecodeError:  # kept by another version of this program
            at, state = 0, State()
        self._state, self._at = state, at
        while True:
            # A view for each chunk: it may take long, and a view keeps the log from being moved.
            with self._outbox.view() as view:
                if self._at == seq:
                    self._hash = view.hash_at(seq) or envelope.ZERO
                    return
                rows = view.rows(self._at + 1, min(CHUNK, seq - self._at))
                if not rows:
                    raise TransientError(f"The journal ends before row {seq}: look again.")
                for entry in rows:
                    self._tell(view, entry)

    def _batch(self, view: JournalView, epoch: Epoch) -> Built | None:
        first, prev, last, hashed = self._at + 1, self._hash, self._at, self._hash
        docs: list[Doc] = []
        parked: list[Parked] = []
        size = items = 0
        used: dict[str, int] = {}
        full = False
        for entry in self._entries(view, first, epoch.last):
            told = self._tell(view, entry)
            if docs and size + told.size > self._room:
                full = True
                break
            docs += told.docs
            parked += told.parked
            size += told.size
            last, hashed = entry.seq, entry.hash.hex()
            if isinstance(entry.fact, CodesMoved) and entry.fact.to == _TAKEN:
                pool = view.pool(entry.fact.pool).sha256
                used[pool] = max(used.get(pool, 0), entry.fact.first + entry.fact.count)
            items += isinstance(entry.fact, ItemPassed) and entry.fact.commissioned
            if size >= self._bytes:
                full = True
                break
        if last < first:
            return None
        if self._at != last:  # the state is one row too far
            self._seek(last)
        self._hash = hashed
        batch = Batch(
            agent=self._identity.name,
            epoch=epoch.name,
            first=first,
            last=last,
            prev=prev,
            hash=hashed,
            docs=docs,
            began=epoch.first,
            used=used if len(used) <= envelope.MOST_POOLS else None,
            asks=view.asks(),
        )
        return Built(
            first,
            last,
            hashed,
            envelope.encode(batch, self._level),
            self._state.to_json(),
            items,
            len(docs),
            size,
            tuple(parked),
            full or last - first + 1 >= self._rows or last == epoch.last,
        )

    def _entries(self, view: JournalView, first: int, end: int | None) -> Iterator[Entry]:
        """The rows that may go into one batch."""
        stop = first + self._rows
        if end is not None:
            stop = min(stop, end + 1)
        while first < stop:
            chunk = view.rows(first, min(CHUNK, stop - first))
            yield from chunk
            if not chunk:
                return
            first += len(chunk)

    def _tell(self, view: JournalView, entry: Entry) -> _Told:
        """The documents of the row after the last, fit to be sent."""
        if self._stop.is_set():
            raise Stopped
        if time.monotonic() - self._rested > WORK:
            time.sleep(REST)
            self._rested = time.monotonic()
        seq = self._at = entry.seq
        try:
            documents = translate(self._state, entry, view, self._identity)
        except TransientError:
            self._at = -1
            raise
        except (CaselinkError, LookupError, ValueError) as error:
            # One row that cannot be told must not keep back all that follow.
            why = f"untranslatable: {type(error).__name__}: {error}"
            return _Told([], [Parked(seq, 0, "agent", why)], 0)
        told = _Told([], [], 0)
        size, of = 0, len(documents)
        for n, document in enumerate(documents):
            wrong = _problems(document)
            if not wrong and size + len(document.body) + AROUND > self._room:
                wrong = "too_long: this row has more documents than one batch may carry"
            if wrong:
                told.parked.append(Parked(seq, n, "agent", wrong, document.body))
            else:
                size += len(document.body) + AROUND
                told.docs.append(Doc(seq, n, of, msgspec.Raw(document.body)))
        return told._replace(size=size)


def _problems(document: Document) -> str:
    """What is wrong with a document of ours; its frame is always the same and is not looked at."""
    found = [what for event in document.events for what in event_problems(event)]
    if len(document.body) > MAX_BYTES:
        found.append(f"too_long: {len(document.body)} bytes, at most {MAX_BYTES}")
    if len(document.events) > MAX_EVENTS:
        found.append(f"too_many_events: {len(document.events)}, at most {MAX_EVENTS}")
    return "; ".join(found)[:1000]
