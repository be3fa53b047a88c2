"""Text coders (ink jet, thermal ink jet, laser) that take `[prefix]data[sep data..][suffix]`.

One driver; what differs between coders is a profile (config/printers, docs/devices.md). Answers
carry no number we could trust, so one command is in flight at a time, and an answer that is late
ends the session: it could be taken for the answer to the next command.
"""

from collections import deque
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from agent.ports.printing import (
    Evidence,
    PrinterCapability,
    PrinterStatus,
    PrintEvent,
    PrintEventKind,
    PrintJob,
)
from agent.told import told
from drivers.context import DeviceContext
from drivers.printers import coder_codec as codec
from drivers.printers.coder_link import MAX_FIFO, CoderLink
from drivers.printers.one_by_one import OneByOne, Out
from drivers.printers.profile import Profile, load_profile
from drivers.printers.values import fault_key, refused, values_of
from drivers.transport import AddressText, Role


class TextCoderConfig(BaseModel):
    """Section of a device of type `text_coder`. `profile` is a name of config/printers, a path
    that ends in .toml, or the profile itself; `fields` the order in which the job's fields
    become the record's fields (empty: the job's own order); `poll` is how often a coder that
    only counts is asked; times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["text_coder"] = "text_coder"
    address: AddressText
    role: Role = "client"
    profile: str | Profile
    fields: tuple[str, ...] = ()
    queue: int | None = Field(default=None, ge=0, le=100_000)
    poll: float = Field(default=0.05, gt=0, le=10)
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
        self._capability = _capability(self._profile, config.queue)
        self._fifo: deque[int] = deque()
        self._link: CoderLink[codec.Message] = CoderLink(
            name,
            config.address,
            context,
            lambda: codec.CoderCodec(self._profile),
            self._take,
            role=config.role,
            connect_timeout=config.connect_timeout,
            reply_timeout=config.reply_timeout,
            silence=self._profile.silence,
            advice="advice_text_coder",
        )
        self._counted: OneByOne | None = None
        if self._capability.evidence is Evidence.COUNTER:
            self._counted = OneByOne(self._link, self._counter, config.poll)
        self._asked = 0

    @property
    def capability(self) -> PrinterCapability:
        return self._capability

    async def open(self) -> None:
        """Connect (or be connected to) and start to listen; see ports.Device."""
        self._fifo.clear()
        self._asked = 0
        if self._counted is not None:
            self._counted.out = None
        await self._link.open()

    async def close(self) -> None:
        """End the session; see ports.Device."""
        await self._link.close()

    async def send(self, job: PrintJob) -> bool:
        """Hand over one record; see ports.Printer. A device without an acknowledgement is
        believed as soon as the network took the bytes (capability says evidence SENT)."""
        values = values_of(self.name, self._config.fields, job)
        record = codec.encode_record(self._profile, self.name, job.ref, values)
        if self._profile.on_request and not self._asked:
            self._link.check()
            return False
        before = 0
        if self._counted is not None:
            if not await self._counted.free():
                return False
            before = await self._counter()
        shown = self._mask(record)
        self._link.quiet = True
        if self._profile.ack is None:
            await self._link.say(record, shown, lambda: self._accepted(job.ref))
            self._is_out(job.ref, before)
            return True

        def answered(message: codec.Message) -> None:
            if message.kind == codec.ACK:
                self._accepted(job.ref)

        message = await self._link.command(
            "a record",
            record,
            (codec.ACK, codec.FULL, codec.NAK),
            shown=shown,
            answered=answered,
        )
        if message.kind == codec.NAK:
            raise refused(self.name, "record", job.ref, message.groups.get("why", "no reason"))
        if message.kind == codec.ACK:
            self._check_echo(job.ref, message, values)
            self._is_out(job.ref, before)
        return message.kind == codec.ACK

    async def next_event(self, timeout: float) -> PrintEvent | None:
        """The next unsolicited message that matters; see ports.Printer."""
        if self._counted is not None:
            return await self._counted.next_event(timeout)
        return await self._link.next_event(timeout)

    async def status(self) -> PrinterStatus:
        """Ask all that the profile knows to ask; see ports.Printer."""
        groups: dict[str, str] = {}
        for index in range(len(self._profile.status)):
            groups.update((await self._query(index)).groups)
        counted = await self._counted.counter() if self._counted is not None else None
        self._link.check()
        merged = codec.Message("status", groups)
        words = groups.get("faults", "").split(self._profile.fault_separator)
        keys = [key for key in (self._fault_key(word.strip()) for word in words) if key]
        return PrinterStatus(
            ready=groups["ready"] in self._profile.ready if "ready" in groups else True,
            faults=tuple(key for key in keys if key not in self._profile.warnings),
            waiting=merged.number("waiting"),
            counter=merged.number("counter") if counted is None else counted,
            warnings=tuple(key for key in keys if key in self._profile.warnings),
        )

    async def clear(self) -> bool:
        """Remove queued records; see ports.Printer. False where the profile knows no command or
        the device does not acknowledge it."""
        query = self._profile.clear
        if query is None:
            return False
        if query.reply is None:
            await self._link.say(codec.encode_query(query))
            return False
        message = await self._link.command(
            "clear", codec.encode_query(query), (codec.CLEARED,), answered=self._cleared
        )
        return message.number("waiting") in (None, 0)

    def _is_out(self, ref: int, counter: int) -> None:
        if self._counted is not None:
            self._counted.out = Out(ref, counter)
            self._link.wake()

    async def _query(self, index: int) -> codec.Message:
        query, kind = self._profile.status[index], codec.status_kind(index)
        return await self._link.command(
            f"status query {index + 1}", codec.encode_query(query), (kind,)
        )

    async def _counter(self) -> int:
        """The counter of a coder that tells no prints."""
        for index, query in enumerate(self._profile.status):
            if "(?P<counter>" in (query.reply or ""):
                number = (await self._query(index)).number("counter")
                if number is not None:
                    return number
        raise self._link.fail(*told("coder_no_counter", name=self.name))

    def _check_echo(self, ref: int, message: codec.Message, values: list[str]) -> None:
        """The device named a record: it must be ours."""
        text, number = message.groups.get("text"), message.number("ref")
        if (number is not None and number != ref) or (text is not None and text not in values):
            raise self._link.fail(*told("coder_other_record", name=self.name, record=ref))

    def _fault_key(self, word: str) -> str:
        known = self._profile.faults.get(word)
        if known is not None:
            return known
        return f"error_{word}" if word.isdigit() else fault_key(word) if word else ""

    def _take(self, message: codec.Message, now: float) -> bool:
        if message.kind == codec.REQUEST:
            self._asked = 1
            self._link.tell(PrintEventKind.REQUEST, None, now)
        elif message.kind == codec.DONE:
            ref = message.number("ref")
            if ref is None and self._profile.fifo and self._fifo:
                ref = self._fifo.popleft()
            self._link.tell(PrintEventKind.PRINTED, ref, now, message.number("counter"))
        return message.kind in codec.UNSOLICITED

    def _accepted(self, ref: int) -> None:
        self._asked = 0
        if self._profile.fifo:
            if len(self._fifo) >= MAX_FIFO:
                self._fifo.popleft()
            self._fifo.append(ref)

    def _cleared(self, message: codec.Message) -> None:
        self._fifo.clear()


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
        counts=profile.counts,
        counter_kept=profile.counter_kept,
    )
