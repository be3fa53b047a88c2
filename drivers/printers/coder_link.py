"""One session with a coder: one command in flight, what it says by itself, and why it ended.

Answers carry no number that could be trusted, so one command is in flight at a time, and an answer
that is late ends the session: it could be taken for the answer to the next command. After any
TransientError the session is over; its events can still be fetched.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from agent.core.errors import Said, TransientError, say
from agent.ports.printing import PrintEvent, PrintEventKind
from agent.told import told
from drivers.context import DeviceContext
from drivers.transport import Role, Transport

MAX_EVENTS = 4096
MAX_FIFO = 100_000
PUMP_WAIT = 5.0
MAX_QUOTE = 40


class Kinded(Protocol):
    """A message of a device: `kind` says what it is an answer to, or that nobody asked."""

    @property
    def kind(self) -> str: ...


M = TypeVar("M", bound=Kinded)
Out = TypeVar("Out", bound=Kinded, covariant=True)


class Codec(Protocol[Out]):
    """Cuts bytes into messages. `expected` are the kinds that answer the command in flight."""

    expected: Sequence[str]

    def feed(self, data: bytes) -> Sequence[Out]: ...


class CoderLink(Generic[M]):
    """`codec` makes a fresh codec for each session. `take` is given each message with the time it
    came (monotonic) and says whether it was one that nobody asks for; it must not wait. With
    `strict` set an answer that nobody waits for ends the session: answers are out of step.
    `advice` is the sentence with the remedy when an answer stays away."""

    def __init__(
        self,
        name: str,
        address: str,
        context: DeviceContext,
        codec: Callable[[], Codec[M]],
        take: Callable[[M, float], bool],
        *,
        role: Role = "client",
        connect_timeout: float = 3.0,
        reply_timeout: float = 1.0,
        silence: float | None = None,
        advice: str = "advice_coder",
    ) -> None:
        self.name = name
        self.broken: str | None = None
        self._said: Said | None = None  # the same for the catalogue, where it knows it
        self.events: deque[PrintEvent] = deque()
        self.strict = False
        self.quiet = False  # a record was sent: quote nothing of what the device says
        self._address = address
        self._mask = context.mask
        self._make = codec
        self._take = take
        self._reply_timeout = reply_timeout
        self._silence = silence
        self._advice = advice
        self._transport = Transport(
            name, address, role=role, connect_timeout=connect_timeout, context=context
        )
        self._codec = codec()
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._reply: asyncio.Future[M] | None = None
        self._answered: Callable[[M], None] | None = None
        self._heard = b""

    async def open(self) -> None:
        """Connect (or be connected to) and start to listen. TransientError: it is not there."""
        await self._transport.open()
        self._codec = self._make()
        self.events.clear()
        self._wake.clear()
        self.broken = self._said = None
        self.strict = self.quiet = False
        self._pump = asyncio.create_task(self._listen(), name=f"{self.name} listens")
        self._pump.add_done_callback(lambda _: self._wake.set())

    async def close(self) -> None:
        """End the session."""
        self.end(*told("session_closed", name=self.name))
        pump, self._pump = self._pump, None
        if pump is not None:
            pump.cancel()
            await asyncio.wait([pump])
        await self._transport.close()

    async def command(
        self,
        what: str,
        data: bytes,
        expected: Sequence[str],
        *,
        timeout: float | None = None,
        shown: bytes | None = None,
        answered: Callable[[M], None] | None = None,
    ) -> M:
        """Send the command that people call `what` and give its answer, of one of the `expected`
        kinds. `answered` is called as soon as it was heard, before any message after it.
        TransientError, and the session is over: no answer within `timeout` seconds."""
        limit = self._reply_timeout if timeout is None else timeout
        async with self._lock:
            self.check()
            reply: asyncio.Future[M] = asyncio.get_running_loop().create_future()
            self._reply, self._answered, self._heard = reply, answered, b""
            self._codec.expected = expected
            try:
                await self._write(data, shown)
                async with asyncio.timeout(limit):
                    return await reply
            except TimeoutError:
                self._silent(what, limit)
                raise TransientError(self.broken or "", self._said) from None
            finally:
                self._reply = self._answered = None
                self._codec.expected = ()
                if not reply.done() or reply.cancelled():
                    self.end(*told("command_given_up", what=what, name=self.name))
                else:
                    reply.exception()  # seen, also when the write failed first

    async def say(
        self, data: bytes, shown: bytes | None = None, before: Callable[[], None] | None = None
    ) -> None:
        """Send what gets no answer; `before` is called when it is certain to leave."""
        async with self._lock:
            self.check()
            if before is not None:
                before()
            await self._write(data, shown)

    def tell(
        self, kind: PrintEventKind, ref: int | None, received: float, counter: int | None = None
    ) -> None:
        """Something happened at the device that its owner must fetch."""
        if len(self.events) >= MAX_EVENTS:
            self.end(*told("coder_unfetched", many=MAX_EVENTS, name=self.name))
            return
        self.events.append(PrintEvent(kind, ref, received, counter))
        self._wake.set()

    def wake(self) -> None:
        """Let `next_event` return: its owner has something to do there."""
        self._wake.set()

    async def next_event(self, timeout: float) -> PrintEvent | None:
        """The next event, None when none came within `timeout` seconds or `wake` was called."""
        if not self.events:
            self.check()
            try:
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
            except TimeoutError:
                return None
            self._wake.clear()
        if self.events:
            return self.events.popleft()
        self.check()
        return None

    def end(self, why: str, said: Said | None) -> None:
        """The session is over; the first reason is kept."""
        if self.broken is None:
            self.broken, self._said = why, said
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(TransientError(self.broken, self._said))
        self._wake.set()

    def fail(self, why: str, said: Said) -> TransientError:
        """End the session, and the error to raise."""
        self.end(why, said)
        return TransientError(self.broken or why, self._said)

    def check(self) -> None:
        """TransientError where no session is open or it is over."""
        if self.broken is not None:
            raise TransientError(self.broken, self._said)
        if self._pump is None:
            raise TransientError(*told("session_not_open", name=self.name))
        if self._pump.done():
            self._pump.result()  # only a bug ends it without a reason in `broken`

    async def _write(self, data: bytes, shown: bytes | None) -> None:
        try:
            await self._transport.write(data, self._reply_timeout, shown)
        except TransientError as error:
            self.end(str(error), error.said)
            raise

    async def _listen(self) -> None:
        silence = self._silence
        wait = PUMP_WAIT if silence is None else min(PUMP_WAIT, silence / 4)
        heard = time.monotonic()
        try:
            while True:
                data = await self._transport.read_some(wait)
                now = time.monotonic()
                if data is not None:
                    heard = now
                    self._heard = (self._heard + data[:MAX_QUOTE])[:MAX_QUOTE]
                    for message in self._codec.feed(data):
                        if not self._take(message, now):
                            self._answer(message)
                elif silence is not None and now - heard > silence:
                    limit = f"{silence:g}"
                    self.end(*told("said_nothing", name=self.name, s=limit))
                    return
        except TransientError as error:
            self.end(str(error), error.said)

    def _answer(self, message: M) -> None:
        reply = self._reply
        if reply is not None and not reply.done() and message.kind in self._codec.expected:
            # Here and not in the waiting task: a print may be reported in the same packet.
            if self._answered is not None:
                self._answered(message)
            self._codec.expected = ()
            reply.set_result(message)
        elif self.strict:
            self.end(*told("out_of_step", name=self.name, where=self._address, kind=message.kind))

    def _silent(self, what: str, limit: float) -> None:
        """No answer came. What it said instead is the first thing to know of a wrong port or a
        wrong device."""
        about = {"name": self.name, "where": self._address, "what": what, "s": f"{limit:g}"}
        heard = say("plain", words="")
        if self._heard and not self.quiet:
            heard = say("heard_instead", said=repr(self._mask(self._heard)))
        self.end(*told("no_answer_to", **about, heard=heard, advice=say(self._advice)))
