"""The consumer's rule: one transaction is a batch, its watermark and its rows; then the receipt.

`Ingest.prepare` is the part that needs no database and may run ahead in another thread; `apply` is
the transaction. A batch that was applied before is acknowledged again, one that leaves a gap or
overlaps is answered with where to go on, and one of another chain is a fork: nothing of it is
applied. The agent's row is locked first, so consumers that share an agent take turns.
"""

import logging
from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from agent.core.errors import TransientError
from sync.cloud import claims, notices
from sync.cloud.database import ID_BLOCK, Block, Connection, Database, Duplicate, reserve
from sync.cloud.restored import restored
from sync.cloud.rows import Letter, Lint, Rows, of_documents, rows
from sync.envelope import LIMITS, ZERO, Batch, Limits, Refused, decode
from sync.lint import problems
from sync.messages import MAX_REJECTS, Ack, Reject, State
from sync.restored import Restored

log = logging.getLogger(__name__)

ATTEMPTS = 5
"""How often a transaction that another one got in the way of is tried."""

TABLES = ("unit", "alias", "link", "movement", "box")
"""Whose rows name an event, in the order in which they are written."""

MOST_EVENTS = 65_536
"""More than a payload has room for: an event that passes the lint takes 200 bytes."""


class Prepared(NamedTuple):
    """A batch, ready to be applied; without its documents."""

    batch: Batch
    payload: bytes
    rows: Rows
    blocks: dict[str, Block]


class _Part(NamedTuple):
    """Documents of a stream that are to be written."""

    stream: int
    rows: Rows
    blocks: dict[str, Block]


class _Stream(NamedTuple):
    """What is applied of one epoch. `cut`: from here on a later epoch has rows of its own."""

    id: int
    epoch: str
    first: int
    upto: int
    hash: bytes
    cut: int | None


class Ids:
    """Event ids, reserved in large blocks."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._next = self._end = 0
        self._conn: Connection | None = None

    def first(self) -> int:
        """An id from which on MOST_EVENTS are nobody else's."""
        if self._end - self._next < MOST_EVENTS:
            conn = self._conn = self._database.connect()
            try:
                self._next = reserve(conn)
            finally:
                self._conn = None
                conn.close()
            self._end = self._next + ID_BLOCK
        return self._next

    def interrupt(self) -> None:
        """Break off what is asked just now."""
        conn = self._conn
        if conn is not None:
            conn.interrupt()

    def used(self, many: int) -> None:
        """So many of them are given away."""
        self._next += many


class Ingest:
    """Takes payloads into a database. `prepare` is for one thread, all else for another one."""

    def __init__(self, database: Database, lint: Lint = problems, limits: Limits = LIMITS) -> None:
        self._database = database
        self._lint = lint
        self._limits = limits
        self._conn = database.connect(ingest=True)
        self._broken_off = False
        self._ids = Ids(database)
        self._details: set[bytes] = set()
        self._restored: dict[tuple[str, str], Restored] = {}

    def reopen(self) -> None:
        """Connect again, in the thread of `apply`. TransientError: not now."""
        if self._broken_off:
            raise TransientError("Nothing more is written.")
        self._conn.close()
        self._details.clear()
        self._conn = self._database.connect(ingest=True)

    def interrupt(self) -> None:
        """Break off what the other threads have under way: it is undone and ends in TransientError,
        and so does all that they begin."""
        self._broken_off = True
        self._conn.interrupt()
        self._ids.interrupt()

    def close(self) -> None:
        """Give the connection back."""
        self._conn.close()

    # ------------------------------------------------------------------------------- before

    def prepare(self, agent: str, payload: bytes) -> Prepared | Refused:
        """What `payload`, which came on the topic of `agent`, wants to add; or why it cannot."""
        batch = decode(payload, self._limits)
        if isinstance(batch, Refused):
            return batch
        if batch.agent != agent:
            return Refused(
                "forged_identity",
                f"The batch says that it is of {batch.agent} and came on the topic of {agent}: "
                "nothing was applied. Check the access list of the broker, and which agent has "
                "the certificate of the other.",
            )
        return self.ready(batch, payload)

    def ready(self, batch: Batch, payload: bytes) -> Prepared:
        """A batch whose origin is checked, ready to be applied."""
        found = rows(batch, self._ids.first(), self._lint)
        self._ids.used(len(found.events))
        # Its documents are rows and letters now, and would be kept as long as it waits.
        return Prepared(replace(batch, docs=[]), payload, found, self._pack(found))

    def _pack(self, found: Rows) -> dict[str, Block]:
        pack = self._database.pack
        return {
            "event": pack("event", found.events),
            "unit": pack("unit", found.units),
            "alias": pack("alias", found.aliases),
            "link": pack("link", found.links),
            "movement": pack("movement", found.movements),
            "box": pack("box", found.boxes),
        }

    # ------------------------------------------------------------------------ the transaction

    def apply(self, prepared: Sequence[Prepared], now_ms: int) -> list[Ack]:
        """Apply batches in one transaction; an answer for each, which may be sent when this has
        returned and not before. TransientError: nothing was applied, try again."""
        careful = False
        for attempt in range(ATTEMPTS):
            fresh: set[bytes] = set()
            try:
                with self._conn.writing():
                    acks = self._all(prepared, now_ms, careful, fresh)
            except Duplicate as error:
                if careful:
                    # Another consumer wrote the same at this very moment: see it, and try again.
                    log.debug("a key was written twice at once: %s", error)
                careful = True
            except TransientError:
                if attempt == ATTEMPTS - 1:
                    raise
            else:
                if len(self._details) > 100_000:
                    self._details.clear()
                self._details |= fresh
                return acks
        raise TransientError(
            f"A batch met another writer {ATTEMPTS} times in a row: it will be sent again."
        )

    def _all(
        self, prepared: Sequence[Prepared], now_ms: int, careful: bool, fresh: set[bytes]
    ) -> list[Ack]:
        acks: list[Ack] = []
        parts: list[_Part] = []
        for each in prepared:
            ack, part = self._one(each, now_ms)
            acks.append(self._told(each.batch, ack, now_ms))
            if part is not None:
                parts.append(part)
        self.write(parts, now_ms, careful, fresh)
        return acks

    def _one(self, prepared: Prepared, now_ms: int) -> tuple[Ack, _Part | None]:
        """The answer to a batch, and what is to be written if it is taken."""
        conn, batch = self._conn, prepared.batch
        agent = self._agent(batch.agent)
        streams = [
            _Stream._make(row)
            for row in conn.rows(
                "SELECT id, epoch, first, upto, hash, cut FROM watermark WHERE agent = ? "
                "ORDER BY id",
                (agent,),
            )
        ]
        stream = next((each for each in streams if each.epoch == batch.epoch), None)
        newest = streams[-1] if streams else None
        if stream is None:
            upto, chain = (newest.upto, newest.hash) if newest else (0, bytes.fromhex(ZERO))
            answer = self._begins(batch, newest, now_ms)
        else:
            upto, chain = stream.upto, stream.hash
            answer = self._goes_on(batch, stream, now_ms)
        if answer is not None:
            ack = Ack(
                epoch=batch.epoch,
                upto=upto,
                hash=chain.hex(),
                rewind=answer == _REWIND,
                fork="" if answer in (_REWIND, _AGAIN) else answer,
            )
            return ack, None
        chain = bytes.fromhex(batch.hash)
        newest_ms = prepared.rows.newest_ms or None
        if stream is None:
            number = self._new_stream(agent, batch, newest, chain, newest_ms, now_ms)
        else:
            number = stream.id
            conn.change(
                "UPDATE watermark SET upto = ?, hash = ?, event_ms = COALESCE(?, event_ms), "
                "heard_ms = ? WHERE id = ?",
                (batch.last, chain, newest_ms, now_ms, number),
            )
        conn.change(
            "INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?)",
            (number, batch.first, batch.last, chain, bytearray(prepared.payload), now_ms),
        )
        for letter in prepared.rows.letters:
            notices.park(conn, number, letter, now_ms)
        ack = Ack(
            epoch=batch.epoch,
            upto=batch.last,
            hash=batch.hash,
            reject=_rejects(prepared.rows.letters),
        )
        return ack, _Part(number, prepared.rows, prepared.blocks)

    def _told(self, batch: Batch, ack: Ack, now_ms: int) -> Ack:
        """With how far pools were used, if the agent was restored and asks."""
        if not batch.asks:
            return ack
        which = batch.agent, batch.epoch
        told = self._restored.get(which) or restored(self._conn, *which, now_ms)
        if told is None:
            return ack
        # Earlier epochs have ended: what they used is the same for ever.
        self._restored = {which: told}
        return replace(ack, restored=replace(told, now_ms=now_ms))

    def _agent(self, name: str) -> int:
        """The number of the agent, its row locked until the transaction ends."""
        query = "SELECT id FROM agent WHERE name = ?" + self._database.lock
        row = self._conn.one(query, (name,))
        if row is None:
            self._conn.change(
                "INSERT INTO agent (name) VALUES (?) ON CONFLICT (name) DO NOTHING", (name,)
            )
            row = self._conn.one(query, (name,))
            assert row is not None
        return int(row[0])

    def _goes_on(self, batch: Batch, stream: _Stream, now_ms: int) -> str | None:
        """None if the batch is next in its stream; else the answer."""
        if batch.last <= stream.upto:
            if self._hash_at(stream.id, batch.last) not in (None, bytes.fromhex(batch.hash)):
                return notices.fork(
                    self._conn,
                    batch,
                    "rewritten",
                    stream.upto,
                    f"Rows {batch.first} to {batch.last} were received before and read otherwise: "
                    "two machines use this identity, or a journal was changed. Stop the one that "
                    "is wrong.",
                    now_ms,
                )
            return _AGAIN
        if stream.cut is not None:
            return notices.fork(
                self._conn,
                batch,
                "old_epoch",
                stream.upto,
                f"Epoch {batch.epoch} ended when a restored copy of this agent began a new one at "
                f"row {stream.cut}: the machine that still writes the old one must be stopped.",
                now_ms,
            )
        if batch.first != stream.upto + 1:
            return _REWIND
        if bytes.fromhex(batch.prev) != stream.hash:
            return notices.fork(
                self._conn,
                batch,
                "chain",
                stream.upto,
                f"Row {batch.first} does not follow row {stream.upto} as it was acknowledged: two "
                "machines use this identity, or an old copy was started without a restore. Stop "
                "one, or restore it with caselink restore.",
                now_ms,
            )
        return None

    def _begins(self, batch: Batch, newest: _Stream | None, now_ms: int) -> str | None:
        """None if the batch may begin a new epoch; else the answer."""
        upto = newest.upto if newest else 0
        if batch.first > upto + 1:
            return _REWIND
        if newest is None:
            before: bytes | None = bytes.fromhex(ZERO)
        elif batch.first == upto + 1:
            before = newest.hash
        elif batch.first == 1:
            before = bytes.fromhex(ZERO)
        else:
            before = self._hash_at(newest.id, batch.first - 1)
        if before is not None and before != bytes.fromhex(batch.prev):
            return notices.fork(
                self._conn,
                batch,
                "chain",
                upto,
                f"Epoch {batch.epoch} begins at row {batch.first} after a row that is not the one "
                "that was received: this journal has another past. Find out which machine it is.",
                now_ms,
            )
        return None

    def _new_stream(
        self,
        agent: int,
        batch: Batch,
        newest: _Stream | None,
        chain: bytes,
        newest_ms: int | None,
        now_ms: int,
    ) -> int:
        conn = self._conn
        if newest is not None:
            conn.change("UPDATE watermark SET cut = ? WHERE id = ?", (batch.first, newest.id))
            beyond = newest.upto - batch.first + 1
            if beyond:
                notices.fork(
                    conn,
                    batch,
                    "restored",
                    newest.upto,
                    f"A restored copy began epoch {batch.epoch} at row {batch.first}: {beyond} "
                    f"rows of epoch {newest.epoch} are known here and no longer there. They stay "
                    "known, marked.",
                    now_ms,
                )
        row = conn.one(
            "INSERT INTO watermark (agent, epoch, first, upto, hash, event_ms, heard_ms) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
            (agent, batch.epoch, batch.first, batch.last, chain, newest_ms, now_ms),
        )
        assert row is not None
        return int(row[0])

    def _hash_at(self, stream: int, seq: int) -> bytes | None:
        """The chain's hash at `seq`, None where no batch ended there."""
        row = self._conn.one("SELECT hash FROM batch WHERE stream = ? AND last = ?", (stream, seq))
        return None if row is None else bytes(row[0])

    def write(self, parts: Sequence[_Part], now_ms: int, careful: bool, fresh: set[bytes]) -> None:
        """Add the rows of some documents, in the transaction that is open. Duplicate: do it again,
        `careful`."""
        parts = [part for part in parts if part.rows.events]
        if not parts:
            return
        conn = self._conn
        new = {
            each: body
            for part in parts
            for each, body in part.rows.details.items()
            if each not in self._details
        }
        if new:
            # In order, so that two consumers that add the same wait for one another, not crosswise.
            conn.change_many(
                "INSERT INTO detail VALUES (?, ?) ON CONFLICT (key) DO NOTHING", sorted(new.items())
            )
            fresh.update(new)
        events = [self._database.placed(part.blocks["event"], part.stream) for part in parts]
        conn.copy("event", events)
        if careful:
            for part in parts:
                claims.add(conn, part.rows, part.stream, now_ms)
        for table in TABLES:
            if not (careful and table in claims.TABLES):
                conn.copy(table, [part.blocks[table] for part in parts])
        for part in parts:
            self._goods(part.rows)
        conn.change_many(
            "INSERT INTO arrival (first, last, ms) VALUES (?, ?, ?)",
            [(part.rows.events[0][0], part.rows.events[-1][0], now_ms) for part in parts],
        )

    def _goods(self, found: Rows) -> None:
        conn = self._conn
        conn.change_many(
            "INSERT INTO posting VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [(event, n, *posting) for event, n, posting in found.postings],
        )
        # An event may name a thing twice.
        conn.change_many("INSERT INTO passage VALUES (?, ?)", found.passages)
        conn.change_many("INSERT INTO sighting VALUES (?, ?)", sorted(set(found.sightings)))

    # ------------------------------------------------------------------- beside the batches

    def refuse(self, agent: str, payload: bytes, why: Refused, now_ms: int) -> None:
        """Keep that a payload was refused."""
        notices.refuse(self._conn, agent, payload, why, now_ms)

    def heard(self, states: dict[str, State], now_ms: int) -> None:
        """Keep what agents say of themselves."""
        notices.heard(self._conn, states, now_ms)

    def retry(self, letter: int, who: str, now_ms: int) -> list[str]:
        """Apply a dead letter now; what is still wrong with it ([]: it is applied). DomainError:
        there is no open letter of that number."""
        base = self._ids.first()  # before: it has a transaction of its own
        for careful in (False, True):
            fresh: set[bytes] = set()
            try:
                with self._conn.writing():
                    stream, doc = notices.open_letter(self._conn, letter, self._database.lock)
                    found = of_documents([doc], base, self._lint)
                    if found.letters:
                        reason = found.letters[0].reason
                        notices.still_wrong(self._conn, letter, reason)
                        return [reason]
                    self._ids.used(len(found.events))
                    part = _Part(stream, found, self._pack(found))
                    self.write([part], now_ms, careful, fresh)
                    notices.close_letter(self._conn, letter, "applied", "", who, now_ms)
                    return []
            except Duplicate:
                continue
        raise TransientError("Another writer was faster: try again.")


_AGAIN, _REWIND = "\0again", "\0rewind"
"""Answers that are no fork."""


def _rejects(letters: Sequence[Letter]) -> list[Reject]:
    return [Reject(each.seq, each.n, each.reason) for each in letters[:MAX_REJECTS]]
