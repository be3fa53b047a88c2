"""The consumer at the broker: a thin shell that carries payloads to `Ingest` and receipts back.

Batches are prepared in one thread while the ones before are applied in another; what has queued up
meanwhile is applied in one transaction. A receipt leaves after the commit and never before. When
the database or the broker fails, what was in hand is dropped: the agents send it again.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from agent.core.errors import TransientError
from sync.cloud.courier import Courier
from sync.cloud.database import Database, Unfit
from sync.cloud.ingest import Ingest, Prepared
from sync.cloud.shards import ALL, Shard
from sync.envelope import Refused
from sync.messages import Ack, State, agent_of, read, topics, write
from sync.mqtt import Backoff, Broker, Connection

log = logging.getLogger(__name__)

GROUP = "caselink"
WAITING = 8
"""Payloads that may wait for each of the two threads; the broker keeps back the rest."""
TOGETHER = 8
TOGETHER_BYTES = 4_000_000
"""Batches, and bytes of payload, that one transaction applies at most."""
STATE_SECONDS = 1.0
"""States of agents are written so often, and that every loop is alive is seen."""
MOST_STATES = 20_000
LISTEN_SECONDS = 60.0
FINISH_SECONDS = 5.0
"""What is being written when the consumer is told to end may take so long, then to be undone."""


def now_ms() -> int:
    """The wall clock."""
    return time.time_ns() // 1_000_000


@dataclass
class Counts:
    """What this consumer has done since it began. `beat` is the monotonic time at which every loop
    was last seen alive."""

    batches: int = 0
    refused: int = 0
    dropped: int = 0
    connected: bool = False
    beat: float = 0.0


class Consumer:
    """Consumes until cancelled. `group` shares the agents with other consumers of that name."""

    def __init__(
        self,
        database: Database,
        broker: Broker,
        group: str = GROUP,
        clock: Callable[[], int] = now_ms,
        backoff: Backoff | None = None,
        courier: Courier | None = None,
        look: float = STATE_SECONDS,
        shard: Shard = ALL,
        finish: float = FINISH_SECONDS,
    ) -> None:
        """`courier` carries commands over the same connection, None: nobody does."""
        self.counts = Counts()
        self._courier = courier
        self._ingest = Ingest(database)
        self._broker = broker
        self._group = shard.group(group)
        self._shard = shard
        self._clock = clock
        self._look = look
        self._finish = finish
        self._backoff = backoff or Backoff(longest=15.0)
        self._applying = ThreadPoolExecutor(1, "cloud apply")
        # Both back ends write a table's rows in one call, and give up the interpreter's lock for
        # as long as it takes.
        self._preparing = ThreadPoolExecutor(1, "cloud prepare")
        self._states: dict[str, State] = {}
        self._lost = False

    async def run(self) -> None:
        """Serve one connection after the other. ConfigError: the broker will never take us."""
        try:
            while True:
                try:
                    await self._serve()
                except TransientError as error:
                    self._note(error)
                self.counts.connected = False
                await asyncio.sleep(self._backoff.wait())
        finally:
            self.counts.connected = False
            await self._end()

    async def _end(self) -> None:
        """Let what is being written come to its end for a while, then break it off."""
        loop = asyncio.get_running_loop()
        threads = self._preparing, self._applying
        late = {loop.run_in_executor(thread, _turn) for thread in threads}
        _, late = await asyncio.wait(late, timeout=self._finish)
        if late:
            log.warning(
                "The database takes longer than %g s: what is being written is broken off; the "
                "agents send it again.",
                self._finish,
            )
            self._ingest.interrupt()
            _, late = await asyncio.wait(late, timeout=self._finish)
        for thread in threads:
            thread.shutdown(wait=False, cancel_futures=True)
        if not late:
            self._ingest.close()
        if self._courier is not None:
            await self._courier.close()

    def _note(self, error: BaseException) -> None:
        """The first loss of a series is worth a warning."""
        log.log(logging.DEBUG if self._lost else logging.WARNING, "%s Trying again.", error)
        self._lost = True

    async def _serve(self) -> None:
        """One connection. TransientError: it is lost."""
        connection = Connection(self._broker)
        tasks: list[asyncio.Task[None]] = []
        try:
            await connection.open()
            # Retained messages do not come over a shared subscription.
            await connection.subscribe(topics("+", "+", "+").state)
            await connection.subscribe(f"$share/{self._group}/{topics('+', '+', '+').evt}")
            if self._courier is not None:
                await connection.subscribe(topics("+", "+", "+").rsp)
            self.counts.connected = True
            if self._lost:
                log.warning("Connected again.")
                self._lost = False
            self._backoff.worked()
            came: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(WAITING)
            ready: asyncio.Queue[tuple[str, bytes, Prepared | Refused]] = asyncio.Queue(WAITING)
            jobs = [
                self._receive(connection, came),
                self._prepare(came, ready),
                self._apply(ready, connection),
                self._hear(),
            ]
            if self._courier is not None:
                jobs.append(self._courier.run(connection))
            tasks = [asyncio.create_task(job) for job in jobs]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Not by a TaskGroup: of a loss that meets the order to end it tells the loss alone, and
            # whoever heeds that begins anew.
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
            await connection.close()
        failures = [error for task in tasks if (error := _failure(task)) is not None]
        raise next((each for each in failures if not isinstance(each, TransientError)), failures[0])

    async def _receive(
        self, connection: Connection, came: asyncio.Queue[tuple[str, bytes]]
    ) -> None:
        while True:
            message = await connection.next_message(LISTEN_SECONDS)
            if message is None:
                continue
            agent = agent_of(message.topic)
            if agent is None:
                continue
            if message.topic.endswith("/evt"):
                if self._shard.serves(agent):
                    await came.put((agent, message.payload))
            elif message.topic.endswith("/rsp"):
                if self._courier is not None:
                    self._courier.hear(message.topic, message.payload)
            elif len(self._states) < MOST_STATES or agent in self._states:
                state = read(State, message.payload)
                if isinstance(state, State):
                    self._states[agent] = state
                else:
                    log.warning("the state of %s cannot be read: %s", agent, state.text)

    async def _prepare(
        self,
        came: asyncio.Queue[tuple[str, bytes]],
        ready: asyncio.Queue[tuple[str, bytes, Prepared | Refused]],
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            agent, payload = await came.get()
            done = await loop.run_in_executor(self._preparing, self._ingest.prepare, agent, payload)
            await ready.put((agent, payload, done))

    async def _apply(
        self,
        ready: asyncio.Queue[tuple[str, bytes, Prepared | Refused]],
        connection: Connection,
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            group = [await ready.get()]
            size = len(group[0][1])
            while len(group) < TOGETHER and size < TOGETHER_BYTES and not ready.empty():
                group.append(ready.get_nowait())
                size += len(group[-1][1])
            answers = await loop.run_in_executor(self._applying, self._carry_out, group)
            for agent, ack in answers:
                await connection.publish(topics(*agent.split("/")).ack, write(ack))

    def _carry_out(
        self, group: list[tuple[str, bytes, Prepared | Refused]]
    ) -> list[tuple[str, Ack]]:
        """Apply what came; who is to be told what. In the applying thread."""
        good = [(agent, each) for agent, _, each in group if isinstance(each, Prepared)]
        # Agents in order, so that two consumers do not wait for one another crosswise.
        good.sort(key=lambda pair: pair[0])
        try:
            for agent, payload, each in group:
                if isinstance(each, Refused):
                    self.counts.refused += 1
                    self._ingest.refuse(agent[:200], payload, each, self._clock())
            if not good:
                return []
            acks = self._together([each for _, each in good])
        except TransientError as error:
            self.counts.dropped += len(good)
            log.warning("%s %d batches are dropped; they will be sent again.", error, len(good))
            self._ingest.reopen()
            return []
        return [(agent, ack) for (agent, _), ack in zip(good, acks, strict=True) if ack is not None]

    def _together(self, good: list[Prepared]) -> list[Ack | None]:
        try:
            acks: list[Ack | None] = [*self._ingest.apply(good, self._clock())]
        except Unfit as error:
            if len(good) > 1:
                return [ack for each in good for ack in self._together([each])]
            text = f"The database cannot hold something in it: {error}. Tell the makers."
            (each,) = good
            self.counts.refused += 1
            self._ingest.refuse(
                each.batch.agent, each.payload, Refused("unfit", text), self._clock()
            )
            return [None]
        self.counts.batches += len(good)
        return acks

    async def _hear(self) -> None:
        """Write the agents' states now and then, and see that both threads turn."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._look)
            for thread in (self._preparing, self._applying):
                await loop.run_in_executor(thread, _turn)
            self.counts.beat = time.monotonic()
            states, self._states = self._states, {}
            if states:
                await loop.run_in_executor(self._applying, self._write_states, states)

    def _write_states(self, states: dict[str, State]) -> None:
        try:
            self._ingest.heard(states, self._clock())
        except TransientError as error:
            log.warning("%s What %d agents say of themselves is lost.", error, len(states))
            self._ingest.reopen()


def _failure(task: asyncio.Task[None]) -> BaseException | None:
    return None if task.cancelled() else task.exception()


def _turn() -> None:
    """Nothing: that it is done says that the thread has done what was before it."""
