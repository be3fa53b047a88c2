"""The language of a text coder as its profile describes it: records out, messages in; no I/O."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from drivers.printers.profile import Profile, Query
from drivers.printers.values import forbidden, too_long, wrong_charset

MAX_MESSAGE = 4096

DONE, REQUEST, HEARTBEAT = "done", "request", "heartbeat"
ACK, FULL, NAK, CLEARED = "ack", "full", "nak", "cleared"
UNSOLICITED = (DONE, REQUEST, HEARTBEAT)


def status_kind(index: int) -> str:
    """The kind of the answer to the profile's status query `index`."""
    return f"status{index}"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the device: its kind and the pattern's named groups that took part."""

    kind: str
    groups: Mapping[str, str] = field(default_factory=dict)

    def number(self, group: str) -> int | None:
        """A group as a number, None where it is absent or no number."""
        text = self.groups.get(group, "").strip()
        return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


class CoderCodec:
    """Cuts the device's bytes into messages by their shape, whatever the reads were.

    `expected` are the kinds that answer the command in flight; where two shapes fit the same
    bytes, unsolicited ones come first and expected ones second. What fits nothing is counted in
    `noise` and dropped; nothing grows above `MAX_MESSAGE` bytes.
    """

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._start = profile.start.encode("latin-1")
        self._end = profile.end.encode("latin-1")
        self._buffer = bytearray()
        self.expected: Sequence[str] = ()
        self.noise = 0
        patterns = {
            DONE: profile.done,
            REQUEST: profile.request,
            HEARTBEAT: profile.heartbeat,
            ACK: profile.ack,
            FULL: profile.full,
            NAK: profile.nak,
            CLEARED: profile.clear.reply if profile.clear else None,
        }
        patterns |= {status_kind(i): query.reply for i, query in enumerate(profile.status)}
        self._patterns = {
            kind: re.compile(text.encode("latin-1"), re.DOTALL)
            for kind, text in patterns.items()
            if text is not None
        }

    def feed(self, data: bytes) -> list[Message]:
        """The messages that became complete, in order."""
        messages: list[Message] = []
        for at in range(0, len(data), MAX_MESSAGE):
            self._buffer += data[at : at + MAX_MESSAGE]
            messages += self._framed() if self._end else self._by_shape()
            if len(self._buffer) > MAX_MESSAGE:
                self._drop(len(self._buffer) - MAX_MESSAGE)
        return messages

    def _framed(self) -> list[Message]:
        messages: list[Message] = []
        while (at := self._buffer.find(self._end)) >= 0:
            body = bytes(self._buffer[:at])
            del self._buffer[: at + len(self._end)]
            if self._start:
                before, start, rest = body.rpartition(self._start)
                self.noise += len(before)
                body = rest if start else b""
            message = self._classify(body) if body and len(body) <= MAX_MESSAGE else None
            if message is None:
                self.noise += len(body)
            else:
                messages.append(message)
        return messages

    def _classify(self, body: bytes) -> Message | None:
        for kind in self._order():
            if match := self._patterns[kind].fullmatch(body):
                return self._wanted(kind, match)
        return None

    def _by_shape(self) -> list[Message]:
        messages: list[Message] = []
        while self._buffer:
            found = None
            for kind in self._order():
                match = self._patterns[kind].search(self._buffer)
                if match and (found is None or match.start() < found[1].start()):
                    found = kind, match
            if found is None:
                break
            message = self._wanted(*found)
            start, end = found[1].span()
            self.noise += start if message else end
            del self._buffer[:end]
            if message:
                messages.append(message)
        return messages

    def _order(self) -> list[str]:
        first = [kind for kind in (*UNSOLICITED, *self.expected) if kind in self._patterns]
        return first + [kind for kind in self._patterns if kind not in first]

    def _wanted(self, kind: str, match: re.Match[bytes]) -> Message | None:
        """The message, or None for an answer that nobody asked for."""
        if kind not in UNSOLICITED and kind not in self.expected:
            return None
        encoding = self._profile.encoding
        groups = {
            name: value.decode(encoding, "replace")
            for name, value in match.groupdict().items()
            if value is not None
        }
        return Message(kind, groups)

    def _drop(self, count: int) -> None:
        self.noise += count
        del self._buffer[:count]


def encode_query(query: Query) -> bytes:
    """The bytes of a command."""
    return query.send.encode("latin-1")


def encode_record(profile: Profile, device: str, ref: int, values: Sequence[str]) -> bytes:
    """The bytes of one record. DomainError, and nothing is sent, when a value holds what would
    end or split the record, is not in the device's character set, or is too long."""
    prefix, suffix, separator = (
        text.encode("latin-1") for text in (profile.prefix, profile.suffix, profile.separator)
    )
    marks = (prefix, suffix, separator)
    parts = [str(ref).encode()] if profile.ref_first else []
    parts += [_encode_value(profile, device, value, marks) for value in values]
    record = prefix + separator.join(parts) + suffix
    if len(record) > profile.max_record:
        raise too_long(device, profile.max_record, len(record))
    return record


def _encode_value(
    profile: Profile, device: str, value: str, marks: tuple[bytes, bytes, bytes]
) -> bytes:
    try:
        data = value.encode(profile.encoding)
    except UnicodeEncodeError as error:
        raise wrong_charset(device, profile.encoding, value, error.start) from None
    # Looked for in the bytes: the second byte of a GBK character may be a separator.
    bad = next((mark for mark in marks if mark and mark in data), None)
    control = next((byte for byte in data if byte < 0x20 or byte == 0x7F), None)
    other = next((char for char in profile.forbidden if char in value), None)
    if bad is not None or control is not None or other is not None:
        raise forbidden(device, repr(bad) if bad is not None else repr(other or chr(control or 0)))
    return data
