"""The shell around the relay: connects, sends batches, hears acknowledgements, says how it stands.

One task. What costs time (translating, compressing, reading and writing the store) runs in a
thread, one piece at a time. What is lost on the way, at the broker or with the connection is sent
again from the consumer's last word; so nothing here needs to survive but the journal.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from agent.core.errors import CaselinkError, ConfigError, DomainError, TransientError
from agent.ports.cloud import Acked, Epoch, Outbox, Parked
from sync import envelope, messages
from sync.build import Builder, Built, Stopped
from sync.envelope import Refused
from sync.messages import Ack, DeviceState, State
from sync.mqtt import Backoff, Broker, Connection, Message, Will
from sync.relay import Heard, Relay, Sent
from sync.restored import Restored
from sync.status import About, Commands, Condition, Status
from sync.uris import Identity

log = logging.getLogger(__name__)

T = TypeVar("T")

LINGER = 1.0
"""Seconds between two batches while the line's pace decides, so that there is something in them."""
POLL = 0.25
KEEP = 1.0
"""Seconds between two writes of how far it is."""
MARKS = 2_000
"""Rows between two states of the translator that are kept."""
LOOK = 2.0
"""Seconds between two looks at the backlog."""
TELL, TELL_SAME = 5.0, 60.0
"""Seconds between two messages about our state, when it has changed and when it has not."""
COMMANDS = 32
"""Commands that may wait; who sent more repeats them."""
END_SECONDS = 3.0
RESEND_SECONDS = 10.0


class Uplink:
    """One agent's way to the cloud. `run` until cancelled; `status` at any time."""

    def __init__(
        self,
        identity: Identity,
        broker: Broker,
        outbox: Outbox,
        about: Callable[[], About],
        *,
        condition: Condition = lambda _key, _on, _args: None,
        commands: Commands | None = None,
        key: str = "",
        restored: Callable[[Restored], None] | None = None,
        backoff: Backoff | None = None,
        linger: float = LINGER,
        relay: Mapping[str, float] | None = None,
        builder: Builder | None = None,
        look: float = LOOK,
    ) -> None:
        """`key` is the agent's public key; `relay` are options of `Relay`; `builder` is another
        than the usual one."""
        self.status = Status()
        self._broker = broker
        self._outbox = outbox
        self._about = about
        self._condition = condition
        self._commands = commands
        self._key = key
        self._again: tuple[int, asyncio.Future[None]] | None = None
        self._restored = restored
        self._linger = linger
        self._every = look
        self._backoff = backoff or Backoff()
        self._options = dict(relay or {})
        self._topics = messages.topics(identity.tenant, identity.site, identity.agent)
        self._builder = builder or Builder(outbox, identity)
        self._relay: Relay | None = None
        self._kept = Acked()
        self._known = (0, envelope.ZERO)  # how far the cloud is, and our chain's hash there
        self._began = 1
        self._marked = 0
        self._mark: tuple[int, bytes] | None = None
        self._built: dict[int, Built] = {}
        """Batches that are in flight or may be sent again as they are, by their first row."""
        self._build_at = self._keep_at = self._tell_at = 0.0
        self._told: State | None = None
        self._on: set[str] = set()

    async def run(self) -> None:
        """Send, for ever."""
        looking = asyncio.create_task(self._look(), name="sync backlog")
        try:
            while True:
                try:
                    await self._session()
                except CaselinkError as error:
                    self._lost(error)
                await asyncio.sleep(self._backoff.wait())
                if looking.done():
                    looking.result()
        finally:
            if self._again is not None and not self._again[1].done():
                self._again[1].set_exception(TransientError("The agent ends: ask again."))
            self._builder.stop()
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking

    async def resend(self, first: int) -> None:
        """Send the journal again from row `first` on; returns when that is kept. DomainError: the
        row is not here. TransientError: not now."""
        if not self.status.connected:
            raise TransientError("There is no way to the cloud now: ask again.")
        if self._again is not None:
            raise TransientError("Rows are being sent again already: ask again.")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._again = first, done
        try:
            async with asyncio.timeout(RESEND_SECONDS):
                await done
        except TimeoutError:
            raise TransientError("There is no way to the cloud now: ask again.") from None
        finally:
            self._again = None

    # -------------------------------------------------------------------------------- session

    async def _session(self) -> None:
        relay = self._relay or await self._start()
        connection = Connection(self._broker, Will(self._topics.state, self._farewell()))
        answering: asyncio.Task[None] | None = None
        try:
            await connection.open()
            await connection.subscribe(self._topics.ack)
            waiting: asyncio.Queue[bytes] = asyncio.Queue(COMMANDS)
            if self._commands is not None:
                await connection.subscribe(self._topics.cmd)
                answering = asyncio.create_task(self._answer(self._commands, waiting, connection))
            relay.lost()
            self._up()
            while True:
                if self._again is not None:
                    await self._go_back(relay, *self._again)
                sent = await self._send(relay, connection)
                await self._listen(relay, connection, waiting, 0.0 if sent else POLL)
                if relay.tick(self._now()):
                    log.info("The cloud says nothing: sending again from row %d.", relay.acked + 1)
                await self._keep(relay)
                await self._tell(connection)
                if answering is not None and answering.done():
                    answering.result()
        finally:
            if answering is not None:
                answering.cancel()
                await asyncio.wait({answering})
            await self._leave(connection)

    async def _start(self) -> Relay:
        """Where to go on after a start."""
        kept = await self._in_thread(self._outbox.acked)
        epoch = await self._in_thread(lambda: self._epoch(kept.seq + 1))
        self._began = epoch.first
        self._kept, self._known = kept, (kept.seq, kept.hash)
        self._marked = (await self._in_thread(lambda: self._outbox.mark(kept.seq)))[0]
        relay = self._relay = Relay(epoch.name, epoch.last, kept.seq, **self._options)  # type: ignore[arg-type]
        self.status.last_ack_ms = kept.at_ms or None
        self._show(relay)
        return relay

    async def _enter(self, relay: Relay) -> None:
        epoch = await self._in_thread(lambda: self._epoch(relay.acked + 1))
        self._began = epoch.first
        relay.enter(epoch.name, epoch.last)

    async def _go_back(self, relay: Relay, first: int, done: asyncio.Future[None]) -> None:
        """What `resend` asked for."""
        if done.done():
            return
        before = first - 1
        if before < relay.acked:
            chain = await self._in_thread(lambda: self._hash_at(before))
            if chain is None:
                done.set_exception(
                    DomainError(
                        "row_gone",
                        f"Row {before} is not in the journal any more: ask for later rows, or for "
                        "the archive files.",
                    )
                )
                return
            await self._in_thread(lambda: self._outbox.keep(before, chain, None))
            self._kept, self._known = Acked(before, chain), (before, chain)
            self._marked = (await self._in_thread(lambda: self._outbox.mark(before)))[0]
            self._built.clear()
            self._mark = None
            relay.acked = before
            await self._enter(relay)
            self._show(relay)
            log.warning("Asked to send again from row %d on.", first)
        if not done.done():
            done.set_result(None)

    def _epoch(self, seq: int) -> Epoch:
        with self._outbox.view() as view:
            return view.epoch_at(seq)

    async def _leave(self, connection: Connection) -> None:
        """Say that we go, if anybody listens, and keep how far it is."""
        was, self.status.connected = self.status.connected, False
        if was and connection.alive:
            with suppress(CaselinkError):
                await connection.publish(self._topics.state, self._farewell(), retain=True)
        await connection.close()
        self._told = None
        if self._relay is not None:
            with suppress(CaselinkError):
                await self._keep(self._relay, now=True)

    # ------------------------------------------------------------------------------------ out

    async def _send(self, relay: Relay, connection: Connection) -> bool:
        """Send one batch if one may be sent; whether it was."""
        now = self._now()
        first = relay.wanted(now)
        if first is None:
            return False
        built = self._built.get(first)
        if built is None:
            if now < self._build_at:
                return False
            built = await self._in_thread(lambda: self._builder.build(first))
            if built is None or not built.full:
                self._build_at = now + self._linger
            if built is None:
                return False
            if built.parked:
                await self._park(built.parked)
            self._built[first] = built
        await connection.publish(self._topics.evt, built.payload)
        relay.sent(Sent(built.first, built.last, built.hash), self._now())
        return True

    async def _park(self, parked: tuple[Parked, ...]) -> None:
        await self._in_thread(lambda: self._outbox.park(parked))
        for each in parked:
            log.error(
                "Document %d of row %d is not sent (%s). It is kept: see caselink sync parked.",
                *(each.n, each.seq, each.reason),
            )

    # ------------------------------------------------------------------------------------- in

    async def _listen(
        self, relay: Relay, connection: Connection, waiting: asyncio.Queue[bytes], timeout: float
    ) -> None:
        message = await connection.next_message(timeout)
        while message is not None:
            if message.topic == self._topics.ack:
                await self._hear(relay, message)
            elif message.topic == self._topics.cmd and not message.retained:
                try:
                    waiting.put_nowait(message.payload)
                except asyncio.QueueFull:
                    log.warning("More than %d commands at once: the last is dropped.", COMMANDS)
            message = await connection.next_message(0.0)

    async def _hear(self, relay: Relay, message: Message) -> None:
        ack = messages.read(Ack, message.payload)
        if isinstance(ack, Refused):
            log.warning("An acknowledgement is not one (%s): %s", ack.reason, ack.text)
            return
        before, ours = relay.acked, None
        if ack.epoch == relay.epoch:
            ours = await self._our_hash(relay, ack.upto)
        if ack.restored is not None:
            await self._tell_restored(ack.restored)
        heard = relay.heard(ack, ours, self._now())
        if heard is Heard.OTHER_EPOCH:
            log.info("An acknowledgement of epoch %s, ours is %s.", ack.epoch, relay.epoch)
            return
        self._is("sync_fork", bool(relay.fork), {"why": relay.fork})
        if heard is Heard.FORK:
            return
        if ack.reject:
            await self._rejected(ack)
        if relay.acked != before:
            chain = ours if relay.acked == ack.upto else None
            await self._moved(relay, before, chain)
        if heard is Heard.REWOUND and relay.acked < before:
            log.warning(
                "The cloud has rows up to %d only, it had %d: sending again.", relay.acked, before
            )

    async def _tell_restored(self, told: Restored) -> None:
        """The cloud says how far pools were used after the backup."""
        if self._restored is None:
            return
        restored = self._restored
        try:
            await self._in_thread(lambda: restored(told))
        except CaselinkError as error:
            log.error("Pools stay in question: %s", error)

    async def _our_hash(self, relay: Relay, seq: int) -> str | None:
        if seq == relay.acked and seq == self._kept.seq:
            return self._kept.hash
        for sent in relay.flight:
            if sent.last == seq:
                return sent.hash
        return await self._in_thread(lambda: self._hash_at(seq))

    def _hash_at(self, seq: int) -> str | None:
        with self._outbox.view() as view:
            return view.hash_at(seq)

    async def _rejected(self, ack: Ack) -> None:
        """The cloud parked documents of ours; it has them, and a person must look."""
        refused = []
        for each in ack.reject:
            body = b""
            for built in self._built.values():
                if built.first <= each.seq <= built.last:
                    body = await self._in_thread(partial(_document, built, each.seq, each.n))
            refused.append(Parked(each.seq, each.n, "cloud", each.reason, body))
            log.error("The cloud refused document %d of row %d: %s", each.n, each.seq, each.reason)
        await self._in_thread(lambda: self._outbox.park(refused))

    async def _moved(self, relay: Relay, before: int, chain: str | None) -> None:
        """The cloud is at another row; `chain` is our hash there, None if it was not looked up."""
        self._backoff.worked()
        if chain is None:
            chain = await self._our_hash(relay, relay.acked) or envelope.ZERO
        self._known = relay.acked, chain
        items = 0
        for first, built in list(self._built.items()):
            if built.last <= relay.acked:
                items += built.items
                self._mark = built.last, built.state
                del self._built[first]
        for first in [first for first in self._built if first <= relay.acked]:
            del self._built[first]
        self._marked = min(self._marked, relay.acked)
        status = self.status
        status.last_ack_ms = self._about().wall_ms
        if relay.acked > before:
            status.count(self._now(), relay.acked - before, items)
        if relay.finished or relay.acked + 1 < self._began:
            # The end of an epoch; or the consumer has lost an earlier one.
            await self._enter(relay)
        self._show(relay)

    # ---------------------------------------------------------------------------------- state

    async def _keep(self, relay: Relay, *, now: bool = False) -> None:
        """Write down how far it is, not too often."""
        seq, chain = self._known
        if seq == self._kept.seq or (self._now() < self._keep_at and not now):
            return
        mark = None
        if self._mark is not None and self._mark[0] == seq and seq - self._marked >= MARKS:
            mark, self._marked = self._mark[1], seq
        self._keep_at = self._now() + KEEP
        try:
            await self._in_thread(lambda: self._outbox.keep(seq, chain, mark))
        except TransientError as error:
            # Only a later start would notice: it would send more again than it must.
            log.warning("Not written how far the cloud is: %s", error)
        else:
            self._kept = Acked(seq, chain)

    async def _look(self) -> None:
        """See what waits, connected or not."""
        while True:
            with suppress(TransientError):
                self.status.backlog = await asyncio.to_thread(self._outbox.backlog)
                self.status.parked = await asyncio.to_thread(self._outbox.parked)
                self._is("sync_parked", self.status.parked > 0, {"n": str(self.status.parked)})
            self.status.rate(self._now())
            await asyncio.sleep(self._every)

    def state(self) -> State:
        """What the state topic says now."""
        about, status = self._about(), self.status
        oldest = status.backlog.oldest_ms
        return State(
            online=status.connected,
            version=about.version,
            lines=dict(about.lines),
            backlog=status.backlog.rows,
            oldest_ms=0 if oldest is None else max(0, about.wall_ms - oldest),
            acked=status.acked,
            last=status.backlog.last,
            epoch=status.epoch,
            clock=about.clock,
            at_ms=about.wall_ms,
            refused=status.parked,
            fork=status.fork,
            key=self._key,
            devices=dict(about.devices),
        )

    def _farewell(self) -> bytes:
        return messages.write(State(online=False, version=self._about().version))

    async def _tell(self, connection: Connection) -> None:
        now = self._now()
        if self._told is not None and now < self._tell_at:
            return
        state, told = self.state(), self._told
        if told is not None and now < self._tell_at + TELL_SAME - TELL:
            same: dict[str, Any] = {"at_ms": state.at_ms, "oldest_ms": state.oldest_ms}
            if _steady(told.devices) == _steady(state.devices):
                same["devices"] = state.devices
            if _changed(told, same) == state:
                return
        await connection.publish(self._topics.state, messages.write(state), retain=True)
        self._told, self._tell_at = state, now + TELL

    def _show(self, relay: Relay) -> None:
        self.status.acked, self.status.epoch = relay.acked, relay.epoch
        self.status.fork = relay.fork

    def _up(self) -> None:
        self.status.connected, self.status.error = True, ""
        self._is("sync_refused", False, {"why": ""})
        log.info("Connected to the broker %s.", self._broker.url)

    def _lost(self, error: CaselinkError) -> None:
        if self.status.error != str(error):
            log.warning("No way to the cloud: %s Trying again; nothing is lost.", error)
        self.status.error = str(error)
        self._is("sync_refused", isinstance(error, ConfigError), {"why": str(error)})

    def _is(self, key: str, on: bool, args: Mapping[str, str]) -> None:
        if key == "sync_fork":
            self.status.fork = args["why"]
        if on == (key in self._on):
            return
        (self._on.add if on else self._on.discard)(key)
        if on:
            log.error("%s: %s", key, " ".join(args.values()))
        self._condition(key, on, args)

    # -------------------------------------------------------------------------------- helpers

    async def _answer(
        self, commands: Commands, waiting: asyncio.Queue[bytes], connection: Connection
    ) -> None:
        while True:
            answer = await commands.take(await waiting.get())
            if answer is not None:
                await connection.publish(self._topics.rsp, answer)

    async def _in_thread(self, job: Callable[[], T]) -> T:
        """Run it in a thread; when we are told to end, it ends before we do."""
        task = asyncio.ensure_future(asyncio.to_thread(job))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._builder.stop()
            await asyncio.wait({task}, timeout=END_SECONDS)
            if task.done() and not task.cancelled():
                with suppress(CaselinkError, Stopped):
                    task.result()
            raise

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _changed(state: State, fields: Mapping[str, Any]) -> State:
    values = {name: getattr(state, name) for name in state.__struct_fields__}
    return State(**{**values, **fields})


def _steady(devices: Mapping[str, DeviceState]) -> list[tuple[Any, ...]]:
    """What of devices is worth a message: not each answer."""
    return [
        (name, each.kind, each.state, each.lost, each.faults, each.warnings)
        for name, each in devices.items()
    ]


def _document(built: Built, seq: int, n: int) -> bytes:
    batch = envelope.decode(built.payload)
    if isinstance(batch, Refused):
        return b""
    return next((bytes(doc.doc) for doc in batch.docs if (doc.seq, doc.n) == (seq, n)), b"")
