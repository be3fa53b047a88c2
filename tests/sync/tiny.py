"""A consumer that keeps to the contract and nothing more: in memory, without projections."""

import asyncio
from dataclasses import dataclass, field

from agent.core.errors import CaselinkError
from sync import envelope, messages
from sync.envelope import ZERO, Batch
from sync.messages import Ack, Reject, write
from sync.mqtt import Broker, Connection


@dataclass
class Stream:
    """What is known of one (agent, epoch)."""

    upto: int
    hash: str
    docs: dict[tuple[int, int], bytes] = field(default_factory=dict)


@dataclass
class Tiny:
    """The consumer's memory; `serve` may be cancelled and called again."""

    url: str
    streams: dict[tuple[str, str], Stream] = field(default_factory=dict)
    taken: list[tuple[int, int]] = field(default_factory=list)
    seen: list[Batch] = field(default_factory=list)
    refuse: set[int] = field(default_factory=set)
    lie: str = ""
    """A hash that is told instead of the true one."""
    mute: bool = False

    async def serve(self) -> None:
        """Take batches until cancelled, over as many connections as it takes."""
        while True:
            connection = Connection(Broker(self.url, "consumer"))
            try:
                await connection.open()
                await connection.subscribe("cl/v1/+/+/+/evt")
                while True:
                    message = await connection.next_message(1.0)
                    if message is None:
                        continue
                    batch = envelope.decode(message.payload)
                    assert isinstance(batch, Batch), batch
                    assert batch.agent == messages.agent_of(message.topic)
                    ack = self.take(batch)
                    if not self.mute:
                        await connection.publish(message.topic[:-3] + "ack", write(ack))
            except CaselinkError:
                await asyncio.sleep(0.05)
            finally:
                await connection.close(politely=False)

    def take(self, batch: Batch) -> Ack:
        """The rule."""
        self.seen.append(batch)
        key = batch.agent, batch.epoch
        stream = self.streams.get(key)
        if stream is None:
            others = [one for (agent, _), one in self.streams.items() if agent == batch.agent]
            newest = max(others, key=lambda one: one.upto, default=Stream(0, ZERO))
            if batch.first != batch.began or batch.first > newest.upto + 1:
                upto, chain = newest.upto, newest.hash
                return Ack(epoch=batch.epoch, upto=upto, hash=chain, rewind=True)
            stream = self.streams[key] = Stream(batch.first - 1, batch.prev)
        told = {"epoch": batch.epoch, "hash": self.lie or stream.hash}
        if batch.last <= stream.upto:
            return Ack(upto=stream.upto, **told)
        if batch.first != stream.upto + 1:
            return Ack(upto=stream.upto, rewind=True, **told)
        if batch.prev != stream.hash:
            return Ack(upto=stream.upto, fork="prev does not fit", **told)
        for doc in batch.docs:
            assert (doc.seq, doc.n) not in stream.docs
            stream.docs[doc.seq, doc.n] = bytes(doc.doc)
        self.taken.append((batch.first, batch.last))
        stream.upto, stream.hash = batch.last, batch.hash
        reject = [Reject(doc.seq, doc.n, "no") for doc in batch.docs if doc.seq in self.refuse]
        said = self.lie or stream.hash
        return Ack(epoch=batch.epoch, upto=stream.upto, hash=said, reject=reject)

    def forget(self, upto: int, hash_: str) -> None:
        """Restored from a backup of its own."""
        for stream in self.streams.values():
            if stream.upto > upto:
                stream.upto, stream.hash = upto, hash_
                stream.docs = {at: doc for at, doc in stream.docs.items() if at[0] <= upto}
