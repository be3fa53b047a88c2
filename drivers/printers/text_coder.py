"""Text coders (ink jet, thermal ink jet, laser) that take `[prefix]data[sep data..][suffix]`.

One driver; what differs between coders is a profile (config/printers, docs/devices.md). Answers
carry no number we could trust, so one command is in flight at a time, and an answer that is late
ends the session: it could be taken for the answer to the next command.
"""

import asyncio
import time
from collections import deque
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from agent.core.errors import DomainError, TransientError
from agent.ports import (
    Evidence,
    PrinterCapability,
    PrinterStatus,
    PrintEvent,
    PrintEventKind,
    PrintJob,
)
from drivers.context import DeviceContext
from drivers.printers import coder_codec as codec
from drivers.printers.profile import Profile, load_profile
from drivers.transport import AddressText, Role, Transport

MAX_EVENTS = 4096
MAX_FIFO = 100_000
PUMP_WAIT = 5.0


class TextCoderConfig(BaseModel):
    """Section of a device of type `text_coder`. `profile` is a name of config/printers, a path
    that ends in .toml, or the profile itself; `fields` the order in which the job's fields
    become the record's fields (empty: the job's own order); times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["text_coder"] = "text_coder"
    address: AddressText
    role: Role = "client"
    profile: str | Profile
    fields: tuple[str, ...] = ()
    queue: int | None = Field(default=None, ge=0, le=100_000)
    connect_timeout: float = Field(default=3.0, gt=0, le=60)
    reply_timeout: float = Field(default=1.0, gt=0, le=60)


class TextCoder:
    """ports.Printer over a profile."""

    def __init__(self, name: str, config: TextCoderConfig, context: DeviceContext) -> None:
        self.name = name
        self._config = config
        profile = config.profile
        self._profile = load_profile(profile, name) if isinstance(profile, str) else profile
        self._mask = context.mask
        self._transport = Transport(
            name,
            config.address,
            role=config.role,
            connect_timeout=config.connect_timeout,
            context=context,
        )
        self._capability = _capability(self._profile, config.queue)
        self._codec = codec.CoderCodec(self._profile)
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._events: deque[PrintEvent] = deque()
        self._fifo: deque[int] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._reply: asyncio.Future[codec.Message] | None = None
        self._in_flight: int | None = None
        self._broken: str | None = None

    @property
    def capability(self) -> PrinterCapability:
        return self._capability

    async def open(self) -> None:
        """Connect (or be connected to) and start to listen; see ports.Device."""
        await self._transport.open()
        self._codec = codec.CoderCodec(self._profile)
        self._events.clear()
        self._fifo.clear()
        self._wake.clear()
        self._broken = None
        self._pump = asyncio.create_task(self._listen(), name=f"{self.name} listens")
        self._pump.add_done_callback(lambda _: self._wake.set())

    async def close(self) -> None:
        """End the session; see ports.Device."""
        self._break(f"The session with {self.name} is closed; open it.")
        pump, self._pump = self._pump, None
        if pump is not None:
            pump.cancel()
            await asyncio.wait([pump])
        await self._transport.close()

    async def send(self, job: PrintJob) -> bool:
        """Hand over one record; see ports.Printer. A device without an acknowledgement is
        believed as soon as the network took the bytes (capability says evidence SENT)."""
        values = self._values(job)
        record = codec.encode_record(self._profile, self.name, job.ref, values)
        shown = self._mask(record)
        if self._profile.ack is None:
            async with self._lock:
                self._check()
                self._accepted(job.ref)
                await self._write(record, shown)
            return True
        message = await self._command(record, (codec.ACK, codec.FULL, codec.NAK), shown, job.ref)
        if message.kind == codec.NAK:
            raise DomainError(
                "printer_refused",
                f"{self.name} refused record {job.ref} ({message.groups.get('why', 'no reason')}) "
                f"and printed nothing of it. Check the device's job and the code's text.",
            )
        if message.kind == codec.ACK:
            self._check_echo(job.ref, message, values)
        return message.kind == codec.ACK

    async def next_event(self, timeout: float) -> PrintEvent | None:
        """The next unsolicited message that matters; see ports.Printer."""
        if not self._events:
            self._check()
            self._wake.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
            except TimeoutError:
                return None
        if self._events:
            return self._events.popleft()
        self._check()
        return None

    async def status(self) -> PrinterStatus:
        """Ask all that the profile knows to ask; see ports.Printer."""
        groups: dict[str, str] = {}
        for index, query in enumerate(self._profile.status):
            kind = codec.status_kind(index)
            message = await self._command(codec.encode_query(query), (kind,))
            groups.update(message.groups)
        self._check()
        merged = codec.Message("status", groups)
        words = groups.get("faults", "").split(self._profile.fault_separator)
        keys = (self._fault_key(word.strip()) for word in words)
        return PrinterStatus(
            ready=groups["ready"] in self._profile.ready if "ready" in groups else True,
            faults=tuple(key for key in keys if key),
            waiting=merged.number("waiting"),
            counter=merged.number("counter"),
        )

    async def clear(self) -> bool:
        """Remove queued records; see ports.Printer. False where the profile knows no command or
        the device does not acknowledge it."""
        query = self._profile.clear
        if query is None:
            return False
        if query.reply is None:
            async with self._lock:
                self._check()
                await self._write(codec.encode_query(query), None)
            return False
        message = await self._command(codec.encode_query(query), (codec.CLEARED,))
        return message.number("waiting") in (None, 0)

    def _values(self, job: PrintJob) -> list[str]:
        names = self._config.fields or tuple(job.fields)
        missing = [name for name in names if name not in job.fields]
        if missing or not names:
            raise DomainError(
                "printer_field_missing",
                f"{self.name} needs the field '{(missing or ['(any)'])[0]}' and the job has "
                f"{sorted(job.fields)}; nothing was sent. Mend 'fields' of the device's section.",
            )
        return [job.fields[name] for name in names]

    def _check_echo(self, ref: int, message: codec.Message, values: list[str]) -> None:
        """The device named a record: it must be ours."""
        text, number = message.groups.get("text"), message.number("ref")
        if (number is not None and number != ref) or (text is not None and text not in values):
            self._break(
                f"{self.name} acknowledged another record than {ref}; the session starts anew."
            )
            self._check()

    def _fault_key(self, word: str) -> str:
        known = self._profile.faults.get(word)
        if known is not None:
            return known
        return "".join(c if c.isalnum() else "_" for c in word.lower())[:40]

    async def _command(
        self, data: bytes, expected: tuple[str, ...], shown: bytes | None = None, ref: int = -1
    ) -> codec.Message:
        async with self._lock:
            self._check()
            reply: asyncio.Future[codec.Message]
            reply = asyncio.get_running_loop().create_future()
            self._reply = reply
            self._in_flight = ref if ref >= 0 else None
            self._codec.expected = expected
            try:
                await self._write(data, shown)
                async with asyncio.timeout(self._config.reply_timeout):
                    return await reply
            except TimeoutError:
                self._break(
                    f"{self.name} at {self._config.address} did not answer within "
                    f"{self._config.reply_timeout:g} s. Look at its display; check its job, its "
                    f"interface settings and that the profile fits it."
                )
                raise TransientError(self._broken or "") from None
            finally:
                self._reply = None
                self._in_flight = None
                self._codec.expected = ()
                if not reply.done() or reply.cancelled():
                    self._break(f"A command to {self.name} was given up; the session starts anew.")
                else:
                    reply.exception()  # seen, also when the write failed first

    async def _write(self, data: bytes, shown: bytes | None) -> None:
        try:
            await self._transport.write(data, self._config.reply_timeout, shown)
        except TransientError as error:
            self._break(str(error))
            raise

    async def _listen(self) -> None:
        silence = self._profile.silence
        wait = PUMP_WAIT if silence is None else min(PUMP_WAIT, silence / 4)
        heard = time.monotonic()
        try:
            while True:
                data = await self._transport.read_some(wait)
                now = time.monotonic()
                if data is not None:
                    heard = now
                    for message in self._codec.feed(data):
                        self._take(message, now)
                elif silence is not None and now - heard > silence:
                    self._break(f"{self.name} said nothing for {silence:g} s; check its network.")
                    return
        except TransientError as error:
            self._break(str(error))

    def _take(self, message: codec.Message, now: float) -> None:
        if message.kind == codec.HEARTBEAT:
            return
        if message.kind == codec.REQUEST:
            self._event(PrintEvent(PrintEventKind.REQUEST, None, now))
        elif message.kind == codec.DONE:
            ref = message.number("ref")
            if ref is None and self._profile.fifo and self._fifo:
                ref = self._fifo.popleft()
            self._event(PrintEvent(PrintEventKind.PRINTED, ref, now))
        elif self._reply is not None and not self._reply.done():
            # Here and not in the waiting task: a print may be reported in the same packet.
            if message.kind == codec.ACK and self._in_flight is not None:
                self._accepted(self._in_flight)
            elif message.kind == codec.CLEARED:
                self._fifo.clear()
            self._codec.expected = ()
            self._reply.set_result(message)

    def _accepted(self, ref: int) -> None:
        if self._profile.fifo:
            if len(self._fifo) >= MAX_FIFO:
                self._fifo.popleft()
            self._fifo.append(ref)

    def _event(self, event: PrintEvent) -> None:
        if len(self._events) >= MAX_EVENTS:
            self._break(f"{MAX_EVENTS} messages of {self.name} were not fetched; starting anew.")
            return
        self._events.append(event)
        self._wake.set()

    def _break(self, why: str) -> None:
        if self._broken is None:
            self._broken = why
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(TransientError(self._broken))
        self._wake.set()

    def _check(self) -> None:
        if self._broken is not None:
            raise TransientError(self._broken)
        if self._pump is None:
            raise TransientError(f"The session with {self.name} is not open; open it.")
        if self._pump.done():
            self._pump.result()  # only a bug ends it without a reason in _broken


def _capability(profile: Profile, queue: int | None) -> PrinterCapability:
    """The strongest evidence that the profile's patterns can give."""
    if profile.done is not None:
        indexed = profile.ref_first and "(?P<ref>" in profile.done
        evidence = Evidence.INDEXED if indexed else Evidence.EVENT
    elif any("(?P<counter>" in (query.reply or "") for query in profile.status):
        evidence = Evidence.COUNTER
    else:
        evidence = Evidence.ACCEPTED if profile.ack is not None else Evidence.SENT
    return PrinterCapability(
        evidence=evidence,
        queue=profile.queue if queue is None else queue,
        repeat_risk=profile.repeat_risk,
        clears=profile.clear is not None and profile.clear.reply is not None,
    )
