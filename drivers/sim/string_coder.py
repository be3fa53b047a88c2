"""Simulated coders of the "TCP string" kind (TIJ, UV, laser): text in, words back.

What differs is a `Dialect`, written from the profiles' comments and without the driver's codec. The
photo-eye is `trigger()`.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from drivers.sim.proving import CoderBench
from drivers.sim.serve import TcpAdapter


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a record begins and ends and is split; the words for taken, full, refused, printed and
    for asking for the next one ("" = never said); what stands around a word."""

    begin: bytes = b""
    end: bytes = b"\r\n"
    split: bytes = b","
    encoding: str = "gbk"
    taken: str = "OK"
    full: str = "FULL"
    refused: str = "ERR 1"
    done: str = "PRINTED"
    ask: str = ""
    before: bytes = b""
    after: bytes = b"\r\n"
    depth: int = 1
    repeats: bool = True


TIJ = Dialect()
UV = Dialect(
    begin=b"\x02DATA;",
    end=b";\x03",
    split=b";",
    encoding="utf-8",
    taken="DATA;OK",
    full="DATA;FULL",
    refused="DATA;ERR",
    done="RSFP;{count}",
    before=b"\x02",
    after=b"\x03",
    depth=8,
    repeats=False,
)
LASER = replace(TIJ, encoding="utf-8", done="DONE", ask="GET", repeats=False)


class StringCoder:
    """The device. With `repeats` a photo-eye without a fresh record prints the last one again."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.queue: deque[list[str]] = deque()
        self.last: list[str] | None = None
        self.count = 0
        self.printed: list[str] = []
        self.say: Callable[[bytes], None] = lambda data: None

    def reboot(self) -> None:
        """Switched off and on: nothing is left."""
        self.queue.clear()
        self.last = None
        self.count = 0

    def connected(self) -> None:
        """A client is there: a device that asks does so now, if it wants a record."""
        if self.dialect.ask and not self.queue:
            self.tell(self.dialect.ask)

    def trigger(self) -> str | None:
        """The photo-eye saw an item: what is on it now, None if nothing is."""
        if self.queue:
            self.last = self.queue.popleft()
        elif not self.dialect.repeats or self.last is None:
            return None
        self.count += 1
        self.printed.append(self.last[0])
        if self.dialect.done:
            self.tell(self.dialect.done.format(count=self.count))
        if self.dialect.ask and not self.queue:
            self.tell(self.dialect.ask)
        return self.last[0]

    def word(self, text: str) -> bytes:
        return self.dialect.before + text.encode("ascii") + self.dialect.after

    def tell(self, text: str) -> None:
        self.say(self.word(text))

    def take(self, record: bytes) -> bytes:
        """The answer to one record without its begin and end."""
        try:
            values = [
                part.decode(self.dialect.encoding) for part in record.split(self.dialect.split)
            ]
        except UnicodeDecodeError:
            return self.word(self.dialect.refused)
        if not values[0]:
            return self.word(self.dialect.refused)
        if len(self.queue) >= self.dialect.depth:
            return self.word(self.dialect.full)
        self.queue.append(values)
        return self.word(self.dialect.taken) if self.dialect.taken else b""


class StringTalk:
    """One client's records."""

    def __init__(self, device: StringCoder) -> None:
        self._device = device
        self._buffer = b""

    def feed(self, data: bytes) -> bytes:
        """Answers to the records that became complete."""
        dialect, answers = self._device.dialect, b""
        self._buffer = (self._buffer + data)[-8000:]
        while dialect.end in self._buffer:
            record, _, self._buffer = self._buffer.partition(dialect.end)
            if dialect.begin not in record and dialect.begin:
                continue
            answers += self._device.take(
                record.partition(dialect.begin)[2] if dialect.begin else record
            )
        return answers


class StringServer(TcpAdapter):
    """The coder on a TCP socket, or as the one who connects."""

    def __init__(self, device: StringCoder, *, connect_to: tuple[str, int] | None = None) -> None:
        self._device = device
        super().__init__(lambda: StringTalk(device), connect_to=connect_to)
        device.say = self.push

    def _begin(self, reader: Any, writer: Any) -> None:
        super()._begin(reader, writer)
        self._device.connected()


class _StringBench(CoderBench[StringCoder]):
    dialect = TIJ
    profile = "tij-string"

    def __init__(self) -> None:
        coder = StringCoder(self.dialect)
        super().__init__(coder, StringServer(coder))
        self.repeats = self.dialect.repeats

    def section(self, address: str) -> Mapping[str, Any]:
        return {
            "type": "text_coder",
            "address": address,
            "profile": self.profile,
            "reply_timeout": 0.2,
        }


class TijBench(_StringBench):
    """Thermal ink jet: one record, printed at every trigger."""


class UvBench(_StringBench):
    """UV ink jet with a queue and framed words."""

    dialect, profile = UV, "uv-string"


class LaserBench(_StringBench):
    """A laser that asks for each text."""

    dialect, profile = LASER, "laser-string"
