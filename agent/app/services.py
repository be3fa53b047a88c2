"""What the web and the command line ask of a running agent (agent.web.api, agent.web.local)."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import cv2

from agent.clockwatch import clock
from agent.core import inputs as i
from agent.core import tracking
from agent.core.errors import DomainError
from agent.core.poolfile import Declared
from agent.core.state import LineState
from agent.line.runner import LineRunner
from agent.ports.line import CommitGate
from agent.ports.reading import Image
from agent.sections import Site
from agent.services import clearance, pool_files, reports, rework, settle
from agent.services.orders import Orders, OrderSpec
from agent.services.pins import Pins
from agent.store.readers import Readers
from agent.store.writer import Writer
from agent.web.api import BypassBody, NewOrder
from agent.web.local import PartialBody, PoolBody, SettleBody

PICTURE_QUALITY = 70


class Running(Protocol):
    """The agent as its services see it."""

    @property
    def site(self) -> Site: ...

    def lines(self) -> Sequence[str]: ...

    def snapshot(self, line: str) -> Mapping[str, Any]: ...

    def runner(self, line: str) -> LineRunner: ...

    async def command(self, line: str, what: i.Input) -> None: ...


class Services:
    """What the web asks for (agent.web.api.WebServices)."""

    def __init__(
        self, agent: Running, gate: CommitGate, writer: Writer, readers: Readers, pins: Pins
    ) -> None:
        self._pins = pins
        self._agent = agent
        self._writer = writer
        self._gate = gate
        self._readers = readers
        self._orders = Orders(agent.site, readers, agent)

    def lines(self) -> Sequence[str]:
        return self._agent.lines()

    def snapshot(self, line: str) -> Mapping[str, Any]:
        return self._agent.snapshot(line)

    async def create_order(self, order: NewOrder) -> None:
        await self._orders.create(OrderSpec(**order.model_dump()), by="")

    async def start(self, line: str, order: str, by: str) -> None:
        await self._agent.command(line, i.StartOrder(order, by))

    async def change(self, line: str, order: str, by: str) -> None:
        await self._agent.command(line, i.ChangeOrder(order, by))

    async def pause(self, line: str, by: str, why: str) -> None:
        await self._agent.command(line, i.PauseOrder(by, why))

    async def resume(self, line: str, by: str) -> None:
        number = await self._gate.view(line, lambda state: state.order and state.order.number)
        if not number:
            raise DomainError("no_order", f"Line {line} has no work order to resume.")
        await self._agent.command(line, i.StartOrder(number, by))

    async def finish(self, line: str, by: str) -> None:
        await self._agent.command(line, i.FinishOrder(by))

    async def begin_bypass(self, line: str, body: BypassBody) -> None:
        await asyncio.to_thread(self._pins.check, body.by, body.pin)
        begin = i.BeginBypass(body.by, body.reason, 60 * body.minutes)
        await self._agent.command(line, begin)

    async def end_bypass(self, line: str, by: str) -> None:
        await self._agent.command(line, i.EndBypass(by))

    async def begin_test_mode(self, line: str, order: str, by: str) -> None:
        await self._agent.command(line, i.BeginTestMode(order, by))

    async def end_test_mode(self, line: str, by: str) -> None:
        await self._agent.command(line, i.EndTestMode(by))

    async def acknowledge(self, line: str, alarm: str, by: str) -> None:
        await self._agent.command(line, i.AcknowledgeAlarm(alarm, by))

    async def trace(self, code: str) -> Mapping[str, Any]:
        return await asyncio.to_thread(self._trace, code)

    def _trace(self, code: str) -> Mapping[str, Any]:
        with self._readers.connection() as conn:
            return reports.trace(conn, code)

    async def import_pool(self, body: PoolBody) -> dict[str, Any]:
        values = body.model_dump(exclude={"path", "rule"})
        declared = Declared(**values)
        read = await asyncio.to_thread(
            lambda: (
                pool_files.of_rule(declared, body.rule)
                if body.rule
                else pool_files.read_file(Path(body.path), declared)
            )
        )
        fact = await asyncio.to_thread(pool_files.keep_in_steps, self._writer.wait, read, clock())
        return {"name": fact.name, "count": fact.count, "roles": fact.roles}

    async def settle_pool(self, body: SettleBody) -> dict[str, Any]:
        ways = self._writer.wait, self._readers.connection
        done = await asyncio.to_thread(settle.by_person, *ways, body.pool, body.by, body.reason)
        return {"voided": sum(each.voided for each in done)}

    async def close_partial(self, line: str, body: PartialBody) -> None:
        await self._agent.command(line, i.ClosePartial(body.station, body.reason, body.by))

    async def rework(self, wish: rework.Asked) -> dict[str, Any]:
        def look() -> tuple[i.Input, str]:
            with self._readers.connection() as conn:
                what = rework.asked(conn, wish)
                return what, rework.line_of(conn, what, self._agent.lines())

        what, line = await asyncio.to_thread(look)
        if line:
            committed = await self._agent.runner(line).command(what)
        else:
            committed = await self._gate.submit(line, [(what, clock())])
        return rework.summary(committed.facts)

    async def clear_line(
        self, order: str, by: str, reason: str, rolls: tuple[str, ...]
    ) -> dict[str, Any]:
        def look() -> tuple[str, i.ClearLine]:
            with self._readers.connection() as conn:
                return clearance.asked(conn, order, by, reason, rolls)

        line, what = await asyncio.to_thread(look)
        if line not in self._agent.lines():
            raise DomainError("unknown_line", f"Line {line} is not in the site file.")
        committed = await self._agent.runner(line).command(what)
        return clearance.summary(committed.facts)

    async def account(self, line: str, last: int) -> dict[str, Any]:
        if line not in self._agent.lines():
            raise DomainError("unknown_line", f"There is no line {line} in the site file.")
        runner = self._agent.runner(line)
        found = await self._gate.view(line, lambda state: account_of(runner, state))
        times = runner.latency
        return {**found, "verdicts": times.count, "latency_ms": times.percentiles(last)}

    async def picture(self, camera: str) -> bytes | None:
        for line in self._agent.lines():
            for watch in self._agent.runner(line).watches:
                if watch.reader.id == camera and watch.last is not None:
                    return await asyncio.to_thread(_jpeg, watch.last.frame.image)
        return None


def account_of(runner: LineRunner, state: LineState) -> dict[str, Any]:
    """A line's counts and what they miss."""
    return {
        "counts": {name: asdict(counts) for name, counts in state.counts.items()},
        "differences": [asdict(d) for d in tracking.differences(runner.plan, state)],
        "tally": asdict(state.tally),
        "alarms": sorted(state.alarms),
        "slips": {watch.reader.id: watch.pairing.slips for watch in runner.watches},
    }


def _jpeg(image: Image) -> bytes | None:
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, PICTURE_QUALITY])
    return bytes(data) if done else None
