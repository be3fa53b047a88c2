"""The consumer's errands: commands to the agents that are online, over its connection.

Of several consumers one sends to an agent at a time (a turn that it renews); should two do it, the
agent takes each command once all the same. Answers are kept by whoever hears them.
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from agent.core.errors import TransientError
from sync import messages, parts
from sync.cloud import commands
from sync.cloud.commands import Waiting
from sync.cloud.database import Connection as Tables
from sync.cloud.database import Database
from sync.cloud.delivery import Delivery
from sync.envelope import Refused
from sync.messages import Answer, agent_of, topics
from sync.mqtt import Connection

log = logging.getLogger(__name__)

T = TypeVar("T")

LOOK = 1.0
"""Seconds between two looks for commands that wait."""
MOST = 200
"""Agents that are served at once."""
TURN_MS = 30_000
CLOSE_SECONDS = 2.0
HEARD = 1_000
"""Answers that may wait to be kept; the agents repeat what is dropped."""


class _Errand(NamedTuple):
    command: Waiting
    delivery: Delivery


class Courier:
    """Carries commands. `hear` and `run` are for the event loop; the database is asked in a thread
    of its own."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], int],
        *,
        patience: float = 5.0,
        pause: float = 2.0,
        look: float = LOOK,
    ) -> None:
        self._database = database
        self._clock = clock
        self._patience, self._pause, self._look = patience, pause, look
        self._holder = os.urandom(8).hex()
        self._asking = ThreadPoolExecutor(1, "cloud commands")
        self._conn: Tables | None = None
        self._heard: deque[tuple[str, Answer]] = deque(maxlen=HEARD)
        self._wake = asyncio.Event()
        self._errands: dict[str, _Errand] = {}

    def hear(self, topic: str, payload: bytes) -> None:
        """A message of the answer topics."""
        agent = agent_of(topic)
        answer = messages.read(Answer, payload)
        if agent is None or isinstance(answer, Refused):
            log.warning("An answer on %s cannot be read.", topic[:200])
            return
        self._heard.append((agent, answer))
        self._wake.set()

    async def run(self, connection: Connection) -> None:
        """Serve until cancelled, over this connection."""
        loop = asyncio.get_running_loop()
        self._heard.clear()
        for errand in self._errands.values():
            errand.delivery.lost()
        look_at = 0.0
        while True:
            try:
                await self._keep(loop.time())
                if loop.time() >= look_at:
                    await self._seek()
                    look_at = loop.time() + self._look
                if await self._send(connection, loop.time()):
                    look_at = 0.0
            except TransientError as error:
                if not connection.alive:
                    raise
                log.warning("%s Commands wait.", error)
                await loop.run_in_executor(self._asking, self._drop)
                self._errands.clear()
                await asyncio.sleep(self._look)
            self._wake.clear()
            if not self._heard:
                try:
                    async with asyncio.timeout(min(self._look, self._patience / 4)):
                        await self._wake.wait()
                except TimeoutError:
                    pass

    async def close(self) -> None:
        """Nothing is asked any more; what is asked just now gets `CLOSE_SECONDS`."""
        dropped = asyncio.get_running_loop().run_in_executor(self._asking, self._drop)
        if not (await asyncio.wait({dropped}, timeout=CLOSE_SECONDS))[0]:
            conn = self._conn
            if conn is not None:
                conn.interrupt()
            await asyncio.wait({dropped}, timeout=CLOSE_SECONDS)
        self._asking.shutdown(wait=False, cancel_futures=True)

    # ------------------------------------------------------------------------------- one turn

    async def _keep(self, now: float) -> None:
        """What the agents have answered."""
        while self._heard:
            agent, answer = self._heard.popleft()
            errand = self._errands.get(agent)
            mine = errand is not None and errand.command.uid == answer.id
            if mine and errand is not None and not errand.delivery.heard(answer, now):
                continue
            if not mine and not _last_word(answer):
                continue
            await self._ask(lambda conn, a=agent, x=answer: self._answered(conn, a, x))  # type: ignore[misc]
            if mine:
                del self._errands[agent]

    def _answered(self, conn: Tables, agent: str, answer: Answer) -> None:
        if commands.answered(conn, agent, answer, self._clock()):
            what = "done" if answer.ok else f"refused ({answer.reason}): {answer.text}"
            log.info("Command %s of %s: %s", answer.id, agent, what)

    async def _seek(self) -> None:
        """Which commands are next, and that it is our turn."""
        found = await self._ask(self._mine)
        for agent in self._errands.keys() - found.keys():
            del self._errands[agent]
        for agent, waits in found.items():
            errand = self._errands.get(agent)
            if errand is None or errand.command.id != waits.id:
                delivery = Delivery(waits.what.parts, self._patience, self._pause)
                self._errands[agent] = _Errand(waits, delivery)

    def _mine(self, conn: Tables) -> dict[str, Waiting]:
        now = self._clock()
        return {
            each.agent: each
            for each in commands.waiting(conn, MOST)
            if commands.take_turn(conn, each.agent, self._holder, now, now + TURN_MS)
        }

    async def _send(self, connection: Connection, now: float) -> bool:
        """Send what is due; True: a command was answered behind our back."""
        gone = False
        for agent, (command, delivery) in list(self._errands.items()):
            for n in delivery.wanted(now):
                data = await self._ask(lambda conn, c=command, n=n: self._part(conn, c, n))  # type: ignore[misc]
                if data is None:
                    self._errands.pop(agent, None)
                    gone = True
                    break
                message = parts.command(command.uid, command.what, n, data)
                topic = topics(*agent.split("/")).cmd
                await connection.publish(topic, messages.write(message))
        return gone

    def _part(self, conn: Tables, command: Waiting, n: int) -> bytes | None:
        if n == 0:
            commands.sent(conn, command.id, self._clock())
        return commands.part(conn, command.id, n)

    # ------------------------------------------------------------------------------- database

    async def _ask(self, job: Callable[[Tables], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._asking, self._with, job)

    def _with(self, job: Callable[[Tables], T]) -> T:
        if self._conn is None:
            self._conn = self._database.connect()
        return job(self._conn)

    def _drop(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.close()


def _last_word(answer: Answer) -> bool:
    return Delivery(1).heard(answer, 0.0)
