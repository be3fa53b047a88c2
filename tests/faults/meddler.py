"""A proxy that understands enough MQTT 5 to lose, double and swap batches and acknowledgements.

Towards the broker nothing is changed. Towards the client a PUBLISH whose topic ends in `evt` or
`ack` may be swallowed (the broker gets its PUBACK for it all the same), passed on twice, or held
back until the next one has passed. What is passed on without the broker's knowledge is QoS 0.
MQTT 5.0, 1.5.5 (variable byte integer), 3.3 (PUBLISH), 3.4 (PUBACK).
"""

import asyncio
import random
from collections import Counter

from tests.sync.brokers import Proxy

PUBLISH, PUBACK = 3, 4
TOPICS = ("/evt", "/ack")


class Meddler(Proxy):
    """While `meddling`, each message of ours meets one of the fates by these chances."""

    LOST, DOUBLED, LATE = 0.12, 0.2, 0.2

    def __init__(self, target: int, dice: random.Random) -> None:
        super().__init__(target)
        self.meddling = False
        self.met: Counter[str] = Counter()
        """How often each fate was met."""
        self.came: Counter[str] = Counter()
        """PUBLISH packets that came from the client ("up evt", ...) and to it ("down evt", ...),
        and the PUBACKs to it ("down puback")."""
        self._dice = dice

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        _back: asyncio.StreamWriter,
        *,
        up: bool,
    ) -> None:
        held: list[bytes] = []
        while True:
            head, body = await _packet(source)
            await self._flow.wait()
            kind, topic = head[0] >> 4, ""
            if kind == PUBLISH:
                topic = body[2 : 2 + int.from_bytes(body[:2], "big")].decode()
            if up:
                self.passed += len(head) + len(body)
            if kind == PUBLISH:
                self.came[f"{'up' if up else 'down'} {topic.rpartition('/')[2]}"] += 1
            elif kind == PUBACK and not up:
                self.came["down puback"] += 1
            out = [head + body]
            if not up and kind == PUBLISH and head[0] & 0b110 and topic.endswith(TOPICS):
                out = self._fate(head, body, len(topic.encode()), held, _back)
            for each in out:
                sink.write(each)
            await sink.drain()

    def _fate(
        self, head: bytes, body: bytes, topic: int, held: list[bytes], back: asyncio.StreamWriter
    ) -> list[bytes]:
        """What goes to the client instead of a message."""
        number = body[2 + topic : 4 + topic]
        bare = body[: 2 + topic] + body[4 + topic :]
        again = bytes([PUBLISH << 4 | head[0] & 1]) + _size(len(bare)) + bare  # QoS 0
        throw = self._dice.random() if self.meddling else 1.0
        released, held[:] = held[:], []
        if throw < self.LOST + self.LATE:
            back.write(bytes([PUBACK << 4, 2]) + number)
            if throw >= self.LOST:
                held.append(again)
                self.met["late"] += 1
            else:
                self.met["lost"] += 1
            return released
        if throw < self.LOST + self.LATE + self.DOUBLED:
            self.met["doubled"] += 1
            return [head + body, again, *released]
        return [head + body, *released]


async def _packet(source: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Fixed header and the rest of the next packet; EOFError at the end."""
    try:
        head = await source.readexactly(2)
        while head[-1] & 0x80:
            head += await source.readexactly(1)
        length = sum((byte & 0x7F) << 7 * n for n, byte in enumerate(head[1:]))
        return head, await source.readexactly(length)
    except asyncio.IncompleteReadError:
        raise EOFError from None


def _size(length: int) -> bytes:
    """A variable byte integer."""
    out = bytearray()
    while True:
        length, low = divmod(length, 128)
        out.append(low | (0x80 if length else 0))
        if not length:
            return bytes(out)
