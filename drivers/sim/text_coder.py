"""A simulated bottle coder: a buffer of records that a photo-eye prints, one per bottle.

`TextCoder` is the device, pure: records, counters, faults, `fire(now)`. `CoderTalk` speaks the
dialogue of the generic-queue profile, written here a second time from its description in
docs/devices.md. `CoderServer` and `CoderPty` put both on a socket or a pty.

Dialogue, every message STX body ETX, fields separated by `;`:
R;ref;text[;text..] record -> A;ref;waiting taken | F;ref full | N;ref;why refused
C clear -> C;removed     S status -> S;ready;waiting;counter;faults
D;ref;counter unsolicited after each print     H heartbeat, unsolicited
"""

from collections import deque
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

from agent.core.values import value
from drivers.sim.proving import Bench
from drivers.sim.serve import Conversation, PtyAdapter, TcpAdapter

STX, ETX = 0x02, 0x03
MAX_MESSAGE = 2048


@value(frozen=True, slots=True)
class Record:
    """One record as the device holds it: the host's number and the texts to print."""

    ref: str
    texts: tuple[str, ...]


@value(frozen=True, slots=True)
class Done:
    """The device's word that it printed: the record's number and the counter after it."""

    ref: str
    counter: int


class TextCoder:
    """The device. `capacity` records fit ahead. A photo-eye with an empty buffer prints nothing,
    or the last record again where `repeat_risk` is set. `repeat_old` holds the numbers (from 1) of
    the fires at which the head prints the code before this one while the device reports the new
    record as done: the coder's own silent mistake."""

    def __init__(
        self,
        *,
        capacity: int = 16,
        repeat_risk: bool = False,
        repeat_old: Container[int] = frozenset(),
        on_done: Callable[[Done], None] = lambda done: None,
    ) -> None:
        self.capacity = capacity
        self.repeat_risk = repeat_risk
        self.repeat_old = repeat_old
        self.on_done = on_done
        self.buffer: deque[Record] = deque()
        self.faults: set[str] = set()  # "ink_out", "head_dirty" stop it; "ink_low" only warns
        self.running = True
        self.counter = 0
        self.fires = 0
        self.printed: list[tuple[str, ...]] = []

    empty = "ink_out"

    def reboot(self) -> None:
        """Switched off and on: its records are gone, its counter begins at 0."""
        self.buffer.clear()
        self.counter = 0

    @property
    def ready(self) -> bool:
        return self.running and not (self.faults - {"ink_low"})

    def held(self) -> list[str]:
        """The texts that it has in hand and did not print."""
        return [text for record in self.buffer for text in record.texts]

    def add(self, record: Record) -> bool:
        """Take a record; False when the buffer is full."""
        if len(self.buffer) >= self.capacity:
            return False
        self.buffer.append(record)
        return True

    def clear(self) -> int:
        """Forget all records that were not printed; how many there were."""
        removed = len(self.buffer)
        self.buffer.clear()
        return removed

    def fire(self, now: float) -> tuple[str, ...] | None:
        """The photo-eye saw a bottle: the texts that are on it now; None if nothing is."""
        self.fires += 1
        if not self.ready:
            return None
        if not self.buffer:
            if not (self.repeat_risk and self.printed):
                return None
            self.counter += 1
            self.printed.append(self.printed[-1])
            return self.printed[-1]
        record = self.buffer.popleft()
        self.counter += 1
        old = self.fires in self.repeat_old and self.printed
        texts = self.printed[-1] if old else record.texts
        self.printed.append(texts)
        self.on_done(Done(record.ref, self.counter))
        return texts


class CoderTalk:
    """The device's end of the dialogue; unknown messages are answered N."""

    def __init__(self, coder: TextCoder, encoding: str = "utf-8") -> None:
        self._coder = coder
        self._encoding = encoding
        self._buffer = bytearray()
        self._inside = False

    def feed(self, data: bytes) -> bytes:
        """Answers to the messages that became complete."""
        answers = bytearray()
        for byte in data:
            if byte == STX:
                self._buffer.clear()
                self._inside = True
            elif byte == ETX and self._inside:
                answers += self._answer(bytes(self._buffer))
                self._inside = False
            elif self._inside:
                self._buffer.append(byte)
                self._inside = len(self._buffer) <= MAX_MESSAGE
        return bytes(answers)

    def _answer(self, body: bytes) -> bytes:
        coder = self._coder
        try:
            kind, *rest = body.decode(self._encoding).split(";")
        except UnicodeDecodeError:
            return message("N", "", "encoding")
        if kind == "R" and len(rest) >= 2:
            if not coder.add(Record(rest[0], tuple(rest[1:]))):
                return message("F", rest[0])
            return message("A", rest[0], str(len(coder.buffer)))
        if kind == "C":
            return message("C", str(coder.clear()))
        if kind == "S":
            faults = ",".join(sorted(coder.faults))
            ready = "1" if coder.ready else "0"
            return message("S", ready, str(len(coder.buffer)), str(coder.counter), faults)
        return message("N", rest[0] if rest else "", "unknown")


def message(*fields: str) -> bytes:
    """One message of the device."""
    return bytes([STX]) + ";".join(fields).encode() + bytes([ETX])


HEARTBEAT = message("H")


class CoderServer(TcpAdapter):
    """The coder on a TCP socket, or as the one who connects (`connect_to`)."""

    def __init__(
        self,
        coder: TextCoder,
        *,
        encoding: str = "utf-8",
        port: int = 0,
        connect_to: tuple[str, int] | None = None,
    ) -> None:
        def talk() -> Conversation:
            return CoderTalk(coder, encoding)

        super().__init__(talk, port=port, connect_to=connect_to)
        coder.on_done = self._done

    def _done(self, done: Done) -> None:
        self.push(message("D", done.ref, str(done.counter)))


class CoderPty(PtyAdapter):
    """The coder on a serial line."""

    def __init__(self, coder: TextCoder, *, encoding: str = "utf-8") -> None:
        super().__init__(lambda: CoderTalk(coder, encoding))
        coder.on_done = self._done

    def _done(self, done: Done) -> None:
        self.push(message("D", done.ref, str(done.counter)))


class TextCoderBench(Bench):
    """The generic coder, proven: power off loses its records and its counter."""

    def __init__(self) -> None:
        self.coder = TextCoder(capacity=16)
        super().__init__(CoderServer(self.coder))

    def section(self, address: str) -> Mapping[str, Any]:
        return {
            "type": "text_coder",
            "address": address,
            "profile": "generic-queue",
            "reply_timeout": 0.2,
        }

    @property
    def printed(self) -> Sequence[str]:
        return [texts[0] for texts in self.coder.printed]

    def trigger(self) -> None:
        self.coder.fire(0.0)

    def reboot(self) -> None:
        self.coder.reboot()


class KeepingBench(TextCoderBench):
    """The same with a battery behind its records, and none behind its counter."""

    def reboot(self) -> None:
        self.coder.counter = 0
