"""What the cloud asks of the agent, applied: whole or not at all, and written down.

What changes the journal is written in one transaction with the word that the command is done. What
changes something else (a file, a work order of a line, how far the cloud is) comes first and that
word after it: should the power go between them, it is done again and nothing is different.
"""

import asyncio
import dataclasses
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec

from agent import config, site_file
from agent.clockwatch import clock
from agent.core import facts as f
from agent.core.errors import ConfigError, DomainError, TransientError
from agent.core.poolread import read_pool
from agent.ports.cloud import Announced, Done, Gathered
from agent.sections import Site
from agent.services import pool_files
from agent.services.orders import Orders, OrderSpec, Reads
from agent.services.warehouse_documents import asn_facts, dispatch_facts
from agent.store import commands, devices, documents
from agent.store.database import Connection
from agent.store.record import record
from agent.store.writer import Writer
from sync import kinds

BY = "cloud"
_LATER = frozenset({"import_runs", "starting"})
"""Refusals that pass by themselves."""
MOST_TEXT = 2_000
AT_ONCE = 500
"""Goods that are told with their document; of more, each transaction tells IN_STEP while a line
writes, which waits so long for it, and where none does AT_EASE: each transaction syncs the disk."""
IN_STEP = 64
AT_EASE = 500


class Opens(Protocol):
    """The agent's own key (sync.sealed.BoxKey)."""

    def open(self, sealed: bytes, about: str) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Around:
    """What commands reach besides the store: the agent's name (tenant/site/agent), its site and
    state directory, its key, work orders, the way to the cloud (`resend` from a row on), and
    what is wrong with the devices of a site."""

    name: str
    site: Site
    data: Path
    key: Opens
    orders: Orders
    resend: Callable[[int], Awaitable[None]]
    device_problems: Callable[[Site, Path], list[str]]


class Desk:
    """`ports.CommandDesk` over the store of a running agent."""

    def __init__(self, around: Around, readers: Reads, writer: Writer) -> None:
        self._around = around
        self._readers = readers
        self._writer = writer

    # --------------------------------------------------------------------------------- parts

    def answer(self, command: str) -> Done | None:
        """What became of a command."""
        with self._readers.connection() as conn:
            return commands.answer(conn, command)

    def gathered(self, command: str) -> Gathered | None:
        """What is here of it."""
        with self._readers.connection() as conn:
            return commands.gathered(conn, command)

    def gather(self, command: str, what: Announced, n: int, data: bytes) -> Gathered:
        """Keep a part durably; what is here now."""
        return self._writer.wait(lambda conn: commands.gather(conn, command, what, n, data))

    def content(self, command: str) -> bytes:
        """What all its parts hold."""
        with self._readers.connection() as conn:
            return commands.content(conn, command)

    def tidy(self, command: str = "") -> None:
        """Forget parts that are not needed, in short jobs."""
        with self._readers.connection() as conn:
            names = [command] if command else commands.surplus(conn)
        for name in names:
            while self._writer.wait(lambda conn, name=name: commands.remove_some(conn, name)):  # type: ignore[misc]
                pass

    def refuse(self, done: Done) -> Done:
        """Write down that a command is refused, unless it has an answer."""
        return self._record(done)

    def _record(
        self,
        done: Done,
        *facts: f.Fact,
        also: Callable[[Connection], list[f.Fact]] = lambda conn: [],
    ) -> Done:
        """Write facts and the answer in one transaction; the answer, or the one that it had: a
        thread whose connection was lost may have been faster. `also`: facts that go by what the
        store says then."""

        def write(conn: Connection) -> Done:
            known = commands.answer(conn, done.id)
            if known is None:
                record(conn, "", (*facts, *also(conn), f.CommandDone(*done)), clock())
            return known or done

        return self._writer.wait(write)

    # ------------------------------------------------------------------------------- applying

    async def carry_out(self, command: str, kind: str, sum_: str, content: bytes) -> Done:
        """Apply a command whole or not at all."""
        task = _Task(command, kind, sum_)
        try:
            if kind == "pool":
                return await asyncio.to_thread(self._pool, task, content)
            asked = kinds.parse(kind, content)
            match asked:
                case kinds.Order():
                    return await self._order(task, asked)
                case kinds.Resend():
                    return await self._resend(task, asked)
                case kinds.Config():
                    return await asyncio.to_thread(self._config, task, asked)
                case kinds.Asn() | kinds.Dispatch() if self._around.site.warehouse:
                    return await asyncio.to_thread(self._document, task, asked)
                case _:
                    return await asyncio.to_thread(self._reference, task, asked)
        except DomainError as error:
            if error.reason in _LATER:
                raise TransientError(str(error)) from error
            return await asyncio.to_thread(self.refuse, task.refused(error))

    def _pool(self, task: "_Task", sealed: bytes) -> Done:
        around = self._around
        packed = around.key.open(sealed, kinds.about(around.name, task.command))
        head, file = kinds.unpack_pool(packed)
        declared = head.declared()
        pool = pool_files.of_rule(declared, head.rule) if head.rule else read_pool(file, declared)
        done: list[Done] = []

        def also(fact: f.PoolImported) -> list[f.Fact]:
            body = {"pool": fact.name, "codes": fact.count, "roles": fact.roles}
            text = f"Pool {fact.name} is there: {fact.count:,} rows."
            done.append(task.done(text, {**body, "sha256": fact.sha256}))
            return [f.CommandDone(*done[0])]

        pool_files.keep_in_steps(self._writer.wait, pool, clock(), also)
        return done[0]

    def _reference(
        self, task: "_Task", asked: kinds.Product | kinds.Party | kinds.Dispatch | kinds.Asn | Any
    ) -> Done:
        match asked:
            case kinds.Product(sku=key) | kinds.Party(id=key):
                kind = task.kind
            case kinds.Dispatch(number=key) | kinds.Asn(number=key):
                kind = task.kind
            case kinds.Revoke(device=key):
                kind = "revoked"
        if kind == "revoked":
            text = f"Device {key} is revoked: what it signs is refused from now on."
        else:
            text = f"What is known of {kind} {key} is replaced."
        done = task.done(text, {"key": key})
        body = msgspec.json.encode(asked).decode()
        if len(body) > kinds.MOST_JSON:
            raise DomainError(
                "unknown_party",
                f"The {kind} has {len(body):,} bytes and this agent has no warehouse: send it to "
                "the agent that has it, or add [[warehouse]] to the site file.",
            )
        changed = f.ReferenceChanged(kind, key, body)
        if isinstance(asked, kinds.Revoke):
            return self._revoke(done, changed, asked)
        return self._record(done, changed)

    def _document(self, task: "_Task", asked: kinds.Asn | kinds.Dispatch) -> Done:
        """A document of a warehouse, with what it tells of goods."""
        verb = "ended" if asked.withdrawn else "open"
        text = f"{task.kind} {asked.number} is {verb} as a document of the warehouse."
        units = asked.units if isinstance(asked, kinds.Asn) and not asked.withdrawn else ()
        many = sum(1 + len(each.children) for each in units)
        done = task.done(text, {"number": asked.number, "units": many})
        site, at_ms = self._around.site, clock().wall_ms
        if isinstance(asked, kinds.Dispatch):
            return self._record(done, also=lambda conn: dispatch_facts(conn, site, asked, at_ms))
        if many <= AT_ONCE:
            return self._record(done, also=lambda conn: asn_facts(conn, site, asked, at_ms))
        with self._readers.connection() as conn:
            known = commands.answer(conn, task.command)
            facts = [] if known else asn_facts(conn, site, asked, at_ms)
        return known or self._in_steps(done, facts)

    def _in_steps(self, done: Done, facts: Sequence[f.Fact]) -> Done:
        """Tell many goods in short jobs of the writer, so that the lines go on. The document is
        there for nobody until the last, which answers too; what was cut short is told again."""
        opened = facts[0]
        assert isinstance(opened, f.DocumentOpened)

        def begin(conn: Connection) -> None:
            if documents.find(conn, opened.party, opened.number) is None:
                record(conn, "", (dataclasses.replace(opened, coming=True),), clock())

        self._writer.wait(begin)
        left = [unit for fact in facts if isinstance(fact, f.GoodsTold) for unit in fact.goods]
        told = f.GoodsTold(opened.party, opened.number, ())
        while len(left) > (step := IN_STEP if self._writer.lively else AT_EASE):
            some, left = dataclasses.replace(told, goods=tuple(left[:step])), left[step:]
            self._writer.wait(lambda conn, some=some: record(conn, "", (some,), clock()))  # type: ignore[misc]
        return self._record(done, dataclasses.replace(told, goods=tuple(left), last=True))

    def _revoke(self, done: Done, changed: f.Fact, asked: kinds.Revoke) -> Done:
        """A device that is ours is no longer believed, if it still was."""

        def revoked(conn: Connection) -> list[f.Fact]:
            device = devices.get(conn, asked.device)
            if device is None or device.revoked is not None:
                return []
            return [f.DeviceRevoked(asked.device, BY, asked.why)]

        return self._record(done, changed, also=revoked)

    async def _order(self, task: "_Task", asked: kinds.Order) -> Done:
        orders = self._around.orders
        spec = OrderSpec(**{name: getattr(asked, name) for name in asked.__struct_fields__})
        order = await asyncio.to_thread(orders.made, spec)
        try:
            await orders.create(spec, BY)
        except DomainError as error:
            if error.reason != "order_exists" or not await asyncio.to_thread(orders.exists, order):
                raise
        text = f"Work order {order.number} is on line {order.line}."
        done = task.done(text, {"number": order.number, "line": order.line})
        return await asyncio.to_thread(self._record, done)

    async def _resend(self, task: "_Task", asked: kinds.Resend) -> Done:
        await self._around.resend(asked.first)
        text = f"The journal is sent again from row {asked.first} on, as far as the cloud wants it."
        done = task.done(text, {"from": asked.first})
        return await asyncio.to_thread(self._record, done)

    def _config(self, task: "_Task", asked: kinds.Config) -> Done:
        data = asked.file.encode()
        kept = keep_site_file(self._around, data)
        text = f"The site file is good and kept as {kept.name}: in effect at the next start."
        body = {"sha256": hashlib.sha256(data).hexdigest(), "in_effect": "next_start"}
        done = task.done(text, body)
        return self._record(done)


@dataclass(frozen=True, slots=True)
class _Task:
    command: str
    kind: str
    sum: str

    def done(self, text: str, body: dict[str, Any]) -> Done:
        told = msgspec.json.encode(body).decode()
        return Done(self.command, self.kind, True, "", text, told, self.sum)

    def refused(self, error: DomainError) -> Done:
        text = str(error)[:MOST_TEXT]
        return Done(self.command, self.kind, False, error.reason, text, "", self.sum)


# --------------------------------------------------------------------------------- the site file


def keep_site_file(around: Around, data: bytes) -> Path:
    """Check a site file and keep it beside the state until the next start. DomainError: it is
    wrong, or another agent's."""
    draft = around.data / (site_file.NEXT + ".draft")
    try:
        site_file.write(draft, data)
        try:
            site = config.check(draft)
            problems = around.device_problems(site, draft)
        except ConfigError as error:
            problems = [str(error)]
        if problems:
            told = "\n".join(problems).replace(str(draft), "the site file")
            raise DomainError(
                "config_refused", f"The site file is wrong, the present one stays: {told}"
            )
        present = around.site
        if (site.agent.id, site.agent.data) != (present.agent.id, present.agent.data):
            raise DomainError(
                "config_other_agent",
                f"This site file is of agent {site.agent.id} with its state in {site.agent.data}; "
                f"this agent is {present.agent.id} in {present.agent.data}: send it to that one.",
            )
        return site_file.keep(around.data, draft)
    except OSError as error:
        raise TransientError(f"The site file cannot be kept: {error}.") from error
    finally:
        draft.unlink(missing_ok=True)
