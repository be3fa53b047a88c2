"""An agent's end of the commands without a network: a store, its desk, its inbox."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from agent import config as site_file
from agent.core import inputs as i
from agent.core.errors import DomainError
from agent.core.scheme import WorkOrder
from agent.ports.cloud import Announced, Done
from agent.services.commands import Around, Desk
from agent.services.orders import Orders
from agent.store import commands, journal
from agent.store.gate import Gate
from agent.store.readers import Readers
from agent.store.verify import verify
from sync import kinds, messages, parts
from sync.inbox import INTERIM, Inbox
from sync.kinds import Pool
from sync.messages import Answer, Command
from sync.sealed import BoxKey, load_key, seal
from tests.store.store_help import Plant, at

NAME = "acme/plant-1/box"
EXAMPLE = Path(__file__).resolve().parents[2] / "config" / "bottling.toml"


@dataclass
class Box:
    """An agent with the example site; `resent` are the rows it was told to send again from."""

    where: Path
    resent: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.where.mkdir(exist_ok=True)
        self.config = self.where / "site.toml"
        self.config.write_bytes(EXAMPLE.read_bytes())
        self.open()

    def open(self) -> None:
        self.site = site_file.load(self.config)
        self.data = self.where / "var"
        self.data.mkdir(exist_ok=True)
        self.plant = Plant(self.data)
        self.plant.writer.start()
        self.gate = Gate(self.plant.writer, [line.plan() for line in self.site.lines])
        self.readers = Readers(self.plant.path, self.plant.key_file)
        self.key: BoxKey = load_key(self.data / "caselink.box")
        around = Around(
            NAME,
            self.site,
            self.data,
            self.key,
            Orders(self.site, self.readers, self),
            self.resend,
            lambda site, path: [],
        )
        self.desk = Desk(around, self.readers, self.plant.writer)
        self.inbox = Inbox(self.desk)

    def close(self) -> None:
        self.plant.writer.close()
        self.readers.close()
        self.plant.close()

    def reopen(self) -> None:
        self.close()
        self.open()

    # ---------------------------------------------------------------- LineControl, resend

    async def command(self, line: str, what: i.Input) -> None:
        if line not in {each.id for each in self.site.lines}:
            raise DomainError("unknown_line", f"There is no line {line}.")
        await self.gate.submit(line, [(what, at(1))])

    async def resend(self, first: int) -> None:
        self.resent.append(first)

    # ------------------------------------------------------------------------------ asking

    def say(self, *commands: Command) -> list[Answer]:
        return [answer for each in commands for answer in [self.send(messages.write(each))]]

    def send(self, payload: bytes) -> Answer:
        answer = self.maybe(payload)
        assert answer is not None
        return answer

    def maybe(self, payload: bytes) -> Answer | None:
        said = asyncio.run(self.inbox.take(payload))
        if said is None:
            return None
        answer = messages.read(Answer, said)
        assert isinstance(answer, Answer)
        return answer

    def ask(self, id_: str, kind: str, content: bytes | msgspec.Struct) -> Answer:
        """A whole command; the last answer."""
        return self.say(*cut(id_, kind, content))[-1]

    # ---------------------------------------------------------------------------- looking

    def facts(self, *kinds_: type) -> list[object]:
        with self.readers.connection() as conn:
            return [e.fact for e in journal.read(conn) if isinstance(e.fact, kinds_)]

    def answers(self) -> list[Done]:
        with self.readers.connection() as conn:
            return commands.answers(conn)

    def count(self, table: str) -> int:
        with self.readers.connection() as conn:
            return int(conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    def order(self, number: str) -> WorkOrder | None:
        from agent.store import orders

        with self.readers.connection() as conn:
            return orders.get(conn, number)

    def sound(self) -> None:
        """The tables are what the journal says."""
        with self.readers.connection() as conn:
            assert verify(conn).problems == []


def cut(id_: str, kind: str, content: bytes | msgspec.Struct) -> list[Command]:
    data = content if isinstance(content, bytes) else msgspec.json.encode(content)
    shares = parts.cut(data)
    what = Announced(kind, len(shares), len(data), parts.digest(data))
    return [parts.command(id_, what, n, share) for n, share in enumerate(shares)]


def pool_file(count: int, prefix: str = "https://q.example.cn/p/") -> bytes:
    """A file of bottle codes that hardly compress."""
    from hashlib import blake2b

    rows = (blake2b(b"%d" % n, digest_size=16).hexdigest() for n in range(count))
    return ("body\n" + "".join(f"{prefix}{row}\n" for row in rows)).encode()


def head(name: str = "sent", **more: object) -> Pool:
    return Pool(name=name, level="bottle", roles=["body"], **more)  # type: ignore[arg-type]


def sealed(key: str, id_: str, file: bytes, heading: Pool | None = None, to: str = NAME) -> bytes:
    return seal(key, kinds.pack_pool(heading or head(), file), kinds.about(to, id_))


def final(answers: Iterable[Answer]) -> list[Answer]:
    return [answer for answer in answers if answer.reason not in INTERIM]
