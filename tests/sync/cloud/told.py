"""What agents tell in these tests: journals made by hand, with the documents that agents make."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import msgspec

from agent.core import facts as f
from agent.core.known import Clock
from agent.ports.cloud import Entry
from sync.cloud.database import Connection, Database
from sync.cloud.ingest import Ingest
from sync.envelope import ZERO, Batch, Doc, encode
from sync.events import Event, Speaker
from sync.messages import Ack
from sync.uris import Identity

NOW = 1_790_000_000_000
"""When tests happen, in ms."""


@dataclass
class Teller:
    """An agent: a journal of rows, each with the bodies of its documents."""

    name: str = "brand/plant-1/edge-1"
    epoch: str = "e1"
    start: int = 1
    chains: list[str] = field(default_factory=lambda: [ZERO])
    bodies: dict[int, list[bytes]] = field(default_factory=dict)
    clock: int = NOW
    epochs: dict[int, str] = field(default_factory=dict)

    @property
    def last(self) -> int:
        return len(self.chains) - 1

    @property
    def identity(self) -> Identity:
        return Identity(*self.name.split("/"))

    def speaker(self, line: str = "line-1") -> Speaker:
        """Who builds the events of the next row."""
        self.clock += 1000
        entry = Entry(
            self.last + 1,
            self.epoch,
            Clock(self.clock, self.clock, "synced"),
            line,
            "T",
            f.OrderFinished("WO-1", "leader"),
            b"",
        )
        return Speaker(self.identity, entry, self.clock)

    def row(self, *bodies: bytes) -> int:
        """Write a row with these documents; its seq."""
        seq = self.last + 1
        data = b"|".join((self.epoch.encode(), str(seq).encode(), *bodies))
        before = bytes.fromhex(self.chains[-1])
        self.chains.append(blake2b(before + data, digest_size=16).hexdigest())
        if bodies:
            self.bodies[seq] = list(bodies)
        self.epochs[seq] = self.epoch
        return seq

    def say(self, speaker: Speaker, events: Sequence[Event]) -> int:
        return self.row(*(document.body for document in speaker.documents(events)))

    # ------------------------------------------------------------------------ what is told

    def case(self, case: str, bottles: Sequence[str], lot: str = "L1", **more: Any) -> int:
        """Commission bottles and a case, and pack them."""
        say = self.speaker()
        ilmd = {"cbvmda:lotNumber": lot, "x:product": "cola"}
        events = say.objects(
            "ADD",
            "b",
            "commissioning",
            "active",
            bottles,
            {"ilmd": ilmd, "x:level": "bottle", "x:role": "body"},
            "WO-1",
        )
        events += say.objects(
            "ADD",
            "c",
            "commissioning",
            "active",
            [case],
            {"ilmd": ilmd, "x:level": "case", "x:role": "case-outer"},
            "WO-1",
        )
        about = {
            "x:level": "case",
            "x:integrity": "proven",
            "x:evidence": "read",
            "x:expectedQuantity": len(bottles),
            "x:unknown": 0,
            **more,
        }
        events += say.aggregated("ADD", "pack", case, bottles, about, "WO-1")
        return self.say(say, events)

    def pallet(self, pallet: str, cases: Sequence[str], **more: Any) -> int:
        say = self.speaker()
        events = say.objects(
            "ADD",
            "p",
            "commissioning",
            "active",
            [pallet],
            {"x:level": "pallet", "x:role": "pallet"},
            "WO-1",
        )
        about = {
            "x:level": "pallet",
            "x:integrity": "anchored",
            "x:evidence": "scanned",
            "x:expectedQuantity": len(cases),
            "x:unknown": 0,
            **more,
        }
        events += say.aggregated("ADD", "pack", pallet, cases, about, "WO-1")
        return self.say(say, events)

    def commission(self, names: Sequence[str], level: str = "bottle") -> int:
        say = self.speaker()
        more = {
            "ilmd": {"x:product": "cola", "cbvmda:lotNumber": "L1"},
            "x:level": level,
            "x:role": "body",
        }
        return self.say(say, say.objects("ADD", "b", "commissioning", "active", names, more))

    def bear(self, unit: str, codes: Sequence[str], **more: Any) -> int:
        say = self.speaker()
        about = {"x:roles": ["cap"] * len(codes), "x:pairs": "proven", **more}
        return self.say(say, [say.associated("codes", unit, codes, about)])

    def pack(self, parent: str, children: Sequence[str], **more: Any) -> int:
        say = self.speaker()
        about = {"x:unknown": 0, "x:evidence": "scanned", **more}
        return self.say(say, say.aggregated("ADD", "pack", parent, children, about))

    def unpack(self, parent: str, children: Sequence[str], **more: Any) -> int:
        say = self.speaker()
        about = {"x:reason": "rework", "x:unknown": 0, **more}
        return self.say(say, say.aggregated("DELETE", "unpack", parent, children, about))

    def look(self, names: Sequence[str], disposition: str = "in_progress", **more: Any) -> int:
        say = self.speaker()
        return self.say(say, say.objects("OBSERVE", "look", "inspecting", disposition, names, more))

    def move(self, names: Sequence[str], step: str, disposition: str, **more: Any) -> int:
        say = self.speaker()
        action = "DELETE" if step in ("destroying", "decommissioning") else "OBSERVE"
        return self.say(say, say.objects(action, "move", step, disposition, names, more))

    # ------------------------------------------------------------------------------ batches

    def cut(self, first: int = 1, last: int | None = None) -> Batch:
        """The batch of these rows, of one epoch."""
        last = self.last if last is None else last
        assert len({self.epochs[seq] for seq in range(first, last + 1)}) == 1
        return Batch(
            agent=self.name,
            epoch=self.epochs[first],
            first=first,
            last=last,
            prev=self.chains[first - 1],
            hash=self.chains[last],
            docs=[
                Doc(seq, n, len(bodies), msgspec.Raw(body))
                for seq in range(first, last + 1)
                for bodies in [self.bodies.get(seq, [])]
                for n, body in enumerate(bodies)
            ],
        )

    def restored(self, last: int, epoch: str) -> "Teller":
        """A copy of this agent from a backup that ends at row `last`."""
        return Teller(
            self.name,
            epoch,
            chains=self.chains[: last + 1],
            bodies={seq: each for seq, each in self.bodies.items() if seq <= last},
            clock=self.clock,
            epochs={seq: each for seq, each in self.epochs.items() if seq <= last},
        )


class Cloud:
    """A consumer without a broker."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.ingest = Ingest(database)
        self.conn: Connection = database.connect()

    def take(self, batch: Batch, now_ms: int = NOW) -> Ack:
        """Apply one batch, as it came from its agent."""
        prepared = self.ingest.prepare(batch.agent, encode(batch))
        assert not hasattr(prepared, "reason"), prepared
        (ack,) = self.ingest.apply([prepared], now_ms)
        return ack

    def count(self, table: str) -> int:
        row = self.conn.one(f"SELECT count(*) FROM {table}")
        assert row is not None
        return int(row[0])

    def close(self) -> None:
        self.conn.close()
        self.ingest.close()
        self.database.close()


def bottles(many: int, of: str = "") -> list[str]:
    return [f"https://q.example.cn/B{of}{n:05d}" for n in range(many)]


def case(n: int) -> str:
    return f"https://q.example.cn/C{n:05d}"


def pallet(n: int) -> str:
    return f"https://q.example.cn/P{n:05d}"
