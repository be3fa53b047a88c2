"""One session with a code reader: what it reads, what it answers, and why the session ended.

A task listens, so that a command can be asked while a reading is waited for. One command is in
flight at a time; one whose answer stays away ends the session. A trigger whose number came before
with the same codes is the same reading again; with others it is handed on, and the line, which then
has two readings for one trigger, believes neither.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

from agent.core.errors import ConfigError, TransientError, in_words, say
from agent.ports.reading import Reading
from agent.told import told
from drivers.context import DeviceContext
from drivers.diagnose import HEARD, stranger
from drivers.readers.payload import Answer, Heard
from drivers.transport import Role, Transport
from drivers.wireread import printable

MAX_READINGS = 1024
LOOK = 1.0
SEND = 2.0
JUNK_BYTES = 16_384
"""Bytes without any message in them that end a session."""
JUNK_LINES = 32
"""Messages that are none of ours, one after the other, that end a session."""
TRIGGERS = 64
"""Triggers whose readings are remembered to know one that comes again."""


class Codec(Protocol):
    """Cuts bytes into messages; `dropped` counts what was none."""

    dropped: int

    def feed(self, data: bytes) -> Sequence[Heard | Answer]: ...


class ReaderLink:
    """`make` gives a fresh codec for each session. After `silence` seconds without a byte the
    session is over; after `alive_s` seconds without one `alive` asks the reader anything. `advice`
    is the sentence that says what to look at when it does not talk as expected."""

    def __init__(
        self,
        name: str,
        address: str,
        context: DeviceContext,
        make: Callable[[], Codec],
        *,
        role: Role = "client",
        connect_timeout: float = 3.0,
        reply_timeout: float = 2.0,
        silence: float | None = None,
        alive_s: float = 0.0,
        alive: Callable[[], Awaitable[object]] | None = None,
        clean: Callable[[bytes], bytes] = bytes,
        advice: str = "advice_reader",
    ) -> None:
        self.name = name
        self.address = address
        self.folded = 0
        """Readings that came again with the number of their trigger, in this session."""
        self.stale = 0
        """Answers to no command, or to an earlier one, in this session."""
        self._mask = context.mask
        self._make = make
        self._reply_timeout = reply_timeout
        self._silence = silence
        self._alive_s = alive_s
        self._alive = alive
        self._clean = clean
        self._advice = advice
        self._transport = Transport(
            name, address, role=role, connect_timeout=connect_timeout, context=context
        )
        self._codec = make()
        self._readings: deque[Reading] = deque()
        self._arrived = asyncio.Event()
        self._error: TransientError | None = None
        self._lock = asyncio.Lock()
        self._awaited: tuple[str, asyncio.Future[Answer]] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._seen: OrderedDict[int, Heard] = OrderedDict()
        self._head = b""
        self._heard_at = 0.0
        self._junk = self._dropped = 0

    async def open(self) -> None:
        """Connect, or wait until the reader connects, and listen. TransientError."""
        await self._transport.open()
        self._codec = self._make()
        self._readings.clear()
        self._seen.clear()
        self._arrived.clear()
        self._error = None
        self._head = b""
        self._junk = self._dropped = self.folded = self.stale = 0
        self._heard_at = time.monotonic()
        self._tasks = [asyncio.create_task(self._listen(), name=f"{self.name} listens")]
        if self._alive_s and self._alive is not None:
            self._tasks.append(asyncio.create_task(self._watch(), name=f"{self.name} is watched"))

    async def close(self) -> None:
        """End the session."""
        self._fail(TransientError(*told("session_closed", name=self.name)))
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._transport.close()

    async def next_reading(self, timeout: float) -> Reading | None:
        """The next reading in order of arrival, those before the end of the session too."""
        deadline = time.monotonic() + timeout
        while not self._readings:
            if self._error is not None:
                raise self._error
            if not self._tasks:
                raise TransientError(*told("reader_no_session", name=self.name, where=self.address))
            self._arrived.clear()
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    await self._arrived.wait()
            except TimeoutError:
                return None
        return self._readings.popleft()

    def forget(self) -> None:
        """Give up the readings that wait."""
        self._readings.clear()
        self._seen.clear()

    async def send(self, what: str, data: bytes) -> None:
        """Send a command (`what` for people) to which nothing is answered."""
        async with self._lock:
            await self._write(what, data)

    async def ask(self, what: str, key: str, data: bytes) -> Answer:
        """Send a command and give the answer with this key. TransientError, and the session is
        over, when none comes in time."""
        async with self._lock:
            future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            self._awaited = key, future
            try:
                await self._write(what, data)
                async with asyncio.timeout(self._reply_timeout):
                    return await future
            except TimeoutError:
                error = self._said("reader_silent", what=what, s=f"{self._reply_timeout:g}")
                self._fail(error)
                raise error from None
            finally:
                self._awaited = None

    async def _write(self, what: str, data: bytes) -> None:
        if self._error is not None:
            raise self._error
        try:
            await self._transport.write(data, SEND)
        except TransientError as error:
            self._fail(error)
            raise TransientError(*told("not_sent", what=what, why=in_words(error))) from error

    async def _listen(self) -> None:
        """Until the session ends."""
        wait = LOOK if self._silence is None else min(LOOK, self._silence / 4)
        try:
            while True:
                data = await self._transport.read_some(wait)
                now = time.monotonic()
                if data is not None:
                    self._heard_at = now
                    self._take(data, now)
                elif self._silence is not None and now - self._heard_at > self._silence:
                    raise TransientError(
                        *told(
                            "reader_quiet",
                            name=self.name,
                            where=self.address,
                            s=f"{self._silence:g}",
                        )
                    )
        except TransientError as error:
            self._fail(error)

    async def _watch(self) -> None:
        """Ask a reader that says nothing whether it is still there."""
        assert self._alive is not None
        while self._error is None:
            quiet = time.monotonic() - self._heard_at
            if quiet < self._alive_s:
                await asyncio.sleep(self._alive_s - quiet)
                continue
            try:
                await self._alive()
            except TransientError as error:
                self._fail(error)
            except ConfigError as error:
                self._fail(TransientError(str(error), error.said))
            self._heard_at = time.monotonic()

    def _take(self, data: bytes, now: float) -> None:
        if len(self._head) < HEARD:
            self._head += data[: HEARD - len(self._head)]
            head = self._clean(self._head)
            who = stranger(head)
            if who is not None:
                quoted = printable(self._mask(head.strip()[:60]))
                raise self._said("reader_stranger", who=who.said, said=quoted)
        messages = self._codec.feed(data)
        self._notice_junk(bool(messages), len(data))
        for message in messages:
            if isinstance(message, Answer):
                self._answered(message)
            else:
                self._read(message, now)

    def _answered(self, answer: Answer) -> None:
        # A reader that leaves the number out answers the one command that is in flight.
        awaited = self._awaited
        if awaited is None or answer.key not in ("", awaited[0]) or awaited[1].done():
            self.stale += 1  # it belongs to no command, or to one before
            return
        awaited[1].set_result(answer)

    def _read(self, message: Heard, now: float) -> None:
        if message.trigger is not None:
            if self._seen.get(message.trigger) == message:
                self.folded += 1
                return
            self._seen[message.trigger] = message
            while len(self._seen) > TRIGGERS:
                self._seen.popitem(last=False)
        if len(self._readings) >= MAX_READINGS:
            raise TransientError(*told("reader_flood", name=self.name, many=MAX_READINGS))
        self._readings.append(Reading(message.reads, now, message.trigger))
        self._arrived.set()

    def _notice_junk(self, understood: bool, size: int) -> None:
        """Something that sends, and nothing that we understand, is not our reader."""
        lines = self._codec.dropped - self._dropped
        if understood and not lines:
            self._junk = 0
            self._dropped = self._codec.dropped
            return
        self._junk += 0 if understood else size
        if lines >= JUNK_LINES or self._junk > JUNK_BYTES:
            quoted = printable(self._mask(self._head[:40]))
            raise self._said("reader_junk", said=quoted)

    def _said(self, key: str, **args: object) -> TransientError:
        about = {"name": self.name, "where": self.address, "advice": say(self._advice)}
        return TransientError(*told(key, **about, **args))

    def _fail(self, error: TransientError) -> None:
        """The session is over; whoever waits is told."""
        if self._error is None:
            self._error = error
        self._arrived.set()
        if self._awaited is not None and not self._awaited[1].done():
            with suppress(asyncio.InvalidStateError):
                self._awaited[1].set_exception(self._error)
