"""The contract that every code reader's driver keeps: scenes, played with its simulated device.

`CASES` has a line for each way in which a reader is connected; a new reader adds its own.
`test_contract_reader.py` plays every scene with every case.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from agent.core.errors import ConfigError, TransientError
from agent.demo.scene import free_ports
from agent.ports.devices import Checked
from agent.ports.reading import CodeReader, Reading
from drivers import registry
from drivers.context import DeviceContext
from drivers.sim.dmcc_reader import DataManPty, DataManServer
from drivers.sim.keyboard import KeyboardFifo
from drivers.sim.keyence_reader import SrPty, SrServer
from drivers.sim.line_reader import ReaderFormat, ReaderPty, ReaderServer
from tests.drivers.contract_printer import WRONG, Drip
from tests.drivers.saying import english

NAME = "case reader"
DEADLINE = 3.0
"""Seconds within which a driver notices what is wrong, and within which it closes."""
GS1 = "0106901234567892\x1d21A7"


def nothing(sim: Any) -> None:
    """Where a reader cannot have this trouble."""


@dataclass(frozen=True, slots=True)
class Case:
    """A line of the table. `sim` makes the simulated device, `section` is the device's own without
    its address; `fault` makes it say that it cannot work, with `words` in what people are told;
    `beat` is a sign of life that it must give by itself, and `asked` says that it is asked for
    one (a half-open connection is noticed by either)."""

    sim: Callable[[], Any]
    section: Mapping[str, Any]
    kind: str = "tcp"  # or serial, hid (plugged in too), or server: the reader connects to us
    fault: Callable[[Any], None] = nothing
    words: str = ""
    beat: Callable[[Any], None] = nothing
    asked: bool = False


PLUGGED = {"serial": "serial://{}?baud=115200", "hid": "{}"}
"""Ways to be connected in which somebody pulls a plug, and the address of a path."""
HIKROBOT = {"type": "line_reader", "profile": "hikrobot"}
DATALOGIC = {"type": "line_reader", "profile": "datalogic"}
GENERIC = {"type": "line_reader", "profile": "generic", "separator": ";"}
QUICK = {"alive_s": 0.1, "reply_timeout": 0.6, "separator": ","}
DMCC = {"type": "dmcc"} | QUICK
KEYENCE = {"type": "keyence_sr"} | QUICK
BEATS = GENERIC | {"heartbeat": "HB", "silence": 0.8}


def offline(sim: Any) -> None:
    sim.reader.offline = True


def broken(sim: Any) -> None:
    sim.reader.error = "system"


CASES: dict[str, Case] = {
    "line_reader": Case(ReaderServer, GENERIC),
    "line_reader/serial": Case(ReaderPty, GENERIC, "serial"),
    "line_reader/heartbeat": Case(ReaderServer, BEATS, beat=lambda sim: sim.push(sim.form.alive())),
    "line_reader/hikrobot": Case(
        lambda: ReaderServer(ReaderFormat(no_read=b"NoRead"), connect_to=("127.0.0.1", 0)),
        HIKROBOT,
        "server",
    ),
    "line_reader/datalogic": Case(
        lambda: ReaderServer(ReaderFormat(prefix=b"\x02", separator=b",", no_read=b"\x18")),
        DATALOGIC,
    ),
    "line_reader/hand-scanner": Case(
        lambda: ReaderPty(ReaderFormat(terminator=b"\r", no_read=b"")),
        {"type": "line_reader", "profile": "hand-scanner"},
        "serial",
    ),
    "hid_scanner": Case(
        lambda: KeyboardFifo(Path(mkdtemp()) / "kbd"),
        {"type": "hid_scanner", "grab": False},
        "hid",
    ),
    "dmcc": Case(DataManServer, DMCC, fault=offline, words="offline", asked=True),
    "dmcc/checksum": Case(DataManServer, DMCC | {"checksum": True}, asked=True),
    "dmcc/serial": Case(DataManPty, DMCC, "serial", fault=offline, words="offline", asked=True),
    "keyence_sr": Case(SrServer, KEYENCE, fault=broken, words="system", asked=True),
    "keyence_sr/serial": Case(SrPty, KEYENCE, "serial", fault=broken, words="system", asked=True),
    "keyence_sr/server": Case(
        lambda: SrServer(connect_to=("127.0.0.1", 0)), KEYENCE, "server", asked=True
    ),
}


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    return free_ports(1)[0]


@dataclass(slots=True)
class Stage:
    """A simulated reader and the driver for it."""

    case: Case
    sim: Any
    driver: CodeReader
    address: str
    _knocking: list[asyncio.Task[None]] = field(default_factory=list)

    async def open(self) -> None:
        """Open the driver; where the reader connects to us, let it try until it can."""
        if self.case.kind == "server":
            self._knocking.append(asyncio.create_task(self._knock()))
        await self.driver.open()
        if self.case.kind not in PLUGGED:
            await until(lambda: self.sim.connected)

    async def _knock(self) -> None:
        while True:
            try:
                await self.sim.start()
            except ConnectionRefusedError:
                await asyncio.sleep(0.005)
            else:
                return

    async def end(self) -> None:
        for task in self._knocking:
            task.cancel()
            await asyncio.wait([task])
        began = time.monotonic()
        await self.driver.close()
        assert time.monotonic() - began < DEADLINE, "close took too long"
        await self.sim.stop()


def build(case: Case, address: str) -> CodeReader:
    section = {**case.section, "path" if case.kind == "hid" else "address": address}
    if case.kind == "server":
        section["role"] = "server"
    driver = registry.build(NAME, section, DeviceContext())
    assert isinstance(driver, CodeReader)
    return driver


@asynccontextmanager
async def staged(name: str) -> AsyncIterator[Stage]:
    """A simulated reader that waits, and its driver, not yet opened."""
    case = CASES[name]
    sim = case.sim()
    if case.kind == "server":
        port = free_port()
        sim._connect_to = ("127.0.0.1", port)
        address = f"tcp://127.0.0.1:{port}"
    elif case.kind in PLUGGED:
        address = PLUGGED[case.kind].format(await sim.start())
    else:
        address = f"tcp://127.0.0.1:{await sim.start()}"
    stage = Stage(case, sim, build(case, address), address)
    try:
        async with asyncio.timeout(20):
            yield stage
    finally:
        await stage.end()


async def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        await asyncio.sleep(0.002)


async def texts(driver: CodeReader) -> tuple[str, ...]:
    """The next reading, as people write it."""
    reading = await driver.next_reading(DEADLINE)
    assert isinstance(reading, Reading), "nothing was read"
    assert abs(time.monotonic() - reading.received) < DEADLINE
    return tuple(read.symbology + read.text for read in reading.reads)


async def connects_and_reads(name: str) -> None:
    """Readings come in order, each once: one code, several, an AIM identifier, a GS, no read."""
    async with staged(name) as stage:
        await stage.open()
        by_hand = stage.case.kind == "hid" or stage.case.section.get("profile") == "hand-scanner"
        many = ("A1",) if by_hand else ("A1", "B2")
        for said in (("CODE-1",), many, (f"]d2{GS1}",), ("CODE-1",)):
            stage.sim.read(*said)
            assert await texts(stage.driver) == said
        if many[1:]:
            stage.sim.read("A1", "A1")
            assert await texts(stage.driver) == ("A1",), "the same code twice is one"
            stage.sim.read()
            assert await texts(stage.driver) == ()
        assert await stage.driver.next_reading(0.02) is None


async def a_slow_peer_is_understood(name: str) -> None:
    """What comes byte by byte is the same."""
    case = CASES[name]
    async with staged(name) as stage:
        drip = Drip(int(stage.address.rsplit(":", 1)[1]))
        driver = build(case, f"tcp://127.0.0.1:{await drip.start()}")
        try:
            await driver.open()
            await until(lambda: stage.sim.connected)
            for text in ("CODE-1", f"]d2{GS1}"):
                stage.sim.read(text)
                assert await texts(driver) == (text,)
        finally:
            await driver.close()
            await drip.stop()


async def it_says_how_it_is(name: str) -> None:
    """A check finds nothing wrong; a fault is told in words; a reading meanwhile is not lost."""
    async with staged(name) as stage:
        await stage.open()
        assert isinstance(stage.driver, Checked)
        waiting = asyncio.create_task(texts(stage.driver))
        assert all(one.good for one in await stage.driver.check())
        stage.sim.read("CODE-1")
        assert await waiting == ("CODE-1",)
        if not stage.case.words:
            return
        stage.case.fault(stage.sim)
        try:
            found = [english(one) for one in await stage.driver.check() if not one.good]
        except TransientError as error:
            found = [str(error)]
        assert stage.case.words in " ".join(found)


async def lost(driver: CodeReader) -> None:
    """The driver says within the deadline that its session is over."""

    async def wait() -> None:
        async with asyncio.timeout(DEADLINE):
            while True:
                await driver.next_reading(0.05)

    with pytest.raises(TransientError, match=NAME):
        await wait()


async def a_pulled_cable_is_noticed_and_the_next_session_reads(name: str) -> None:
    """Whoever waits is told, after what was read before; a new session reads."""
    async with staged(name) as stage:
        for text in ("CODE-1", "CODE-2"):
            await stage.open()
            stage.sim.read(text)
            stage.sim.push(b"half a li")
            assert await texts(stage.driver) == (text,)
            if stage.case.kind in PLUGGED:
                await stage.sim.stop()
                await lost(stage.driver)
                return
            await stage.sim.drop()
            await lost(stage.driver)
            await stage.driver.close()


async def a_half_open_connection_is_noticed(name: str) -> None:
    """A connection that carries nothing any more ends, where the reader can be asked or beats."""
    async with staged(name) as stage:
        await stage.open()
        for _ in range(4):  # as long as it lives, it stays
            stage.case.beat(stage.sim)
            assert await stage.driver.next_reading(0.1) is None
        stage.sim.half_open()
        await lost(stage.driver)
        await stage.driver.close()
        if stage.case.kind == "tcp":
            await stage.open()
            stage.sim.read("CODE-1")
            assert await texts(stage.driver) == ("CODE-1",)


async def a_reader_that_is_away_is_named_and_comes_back(name: str) -> None:
    """Nothing is there: the error names the device and its address; later it opens."""
    async with staged(name) as stage:
        if stage.case.kind == "tcp":
            await stage.sim.stop()
        if stage.case.kind == "server":
            stage.driver = build_with(stage, connect_timeout=0.1)
        if stage.case.kind in PLUGGED:
            nothing_there = PLUGGED[stage.case.kind].format("/dev/serial/by-id/nothing")
            stage.driver = build(stage.case, nothing_there)
        with pytest.raises(TransientError, match=NAME):
            await stage.driver.open()
        await stage.driver.close()
        if stage.case.kind == "tcp":
            await stage.sim.start()
            await stage.open()
            stage.sim.read("CODE-1")
            assert await texts(stage.driver) == ("CODE-1",)


def build_with(stage: Stage, **more: Any) -> CodeReader:
    section = {**stage.case.section, "address": stage.address, "role": "server", **more}
    driver = registry.build(NAME, section, DeviceContext())
    assert isinstance(driver, CodeReader)
    return driver


async def it_closes_while_somebody_waits(name: str) -> None:
    """Whoever waits for a reading is told, at once."""
    async with staged(name) as stage:
        await stage.open()
        waiting = asyncio.create_task(stage.driver.next_reading(20))
        await asyncio.sleep(0)
        began = time.monotonic()
        await stage.driver.close()
        with pytest.raises(TransientError, match=NAME):
            await waiting
        assert time.monotonic() - began < DEADLINE
        with pytest.raises(TransientError):
            await stage.driver.next_reading(1)


def fits(name: str, scene: Callable[[str], Awaitable[None]]) -> bool:
    """Whether a case can play a scene. Nothing tells a half-open connection, or a port that is
    silent, from a reader that reads nothing, unless it is asked or beats."""
    case = CASES[name]
    if scene is a_slow_peer_is_understood:
        return case.kind == "tcp"
    if scene is a_half_open_connection_is_noticed:
        return case.kind not in PLUGGED and answers(name)
    return True


def answers(name: str) -> bool:
    """Whether a reader that lives gives a sign of it."""
    return CASES[name].asked or CASES[name].beat is not nothing


SCENES: tuple[Callable[[str], Awaitable[None]], ...] = (
    connects_and_reads,
    a_slow_peer_is_understood,
    it_says_how_it_is,
    a_pulled_cable_is_noticed_and_the_next_session_reads,
    a_half_open_connection_is_noticed,
    a_reader_that_is_away_is_named_and_comes_back,
    it_closes_while_somebody_waits,
)


async def something_else_answers(name: str, what: str) -> None:
    """A wrong port: a clear error within the deadline, and nothing of it is taken for a code."""
    case = CASES[name]
    serving: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            writer.write(WRONG[what])
            while await reader.read(4096):
                writer.write(WRONG[what])
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    driver = build(case, f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        async with asyncio.timeout(DEADLINE):
            said = await complaint(driver)
        assert NAME in said
        assert said.endswith("."), said
        # A DataMan's own port is a telnet port: there a login prompt is what is wrong.
        who = "login prompt" if case.section["type"] == "dmcc" else "telnet server"
        assert {"login": who, "http": "web server"}.get(what, "") in said
    finally:
        await driver.close()
        server.close()
        if serving:
            await asyncio.wait(serving, timeout=DEADLINE)


async def complaint(driver: CodeReader) -> str:
    try:
        await driver.open()
        while True:
            reading = await driver.next_reading(0.1)
            assert reading is None or not reading.reads, "a code came of it"
    except (TransientError, ConfigError) as error:
        return str(error)
