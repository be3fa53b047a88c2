"""The contract that every printer driver keeps: scenes, played with its simulated device.

`CASES` has a line for each bench of `drivers.sim.proving.BENCHES`; a new printer adds its own.
`test_contract_printer.py` plays every scene with every case.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest

from agent.core.errors import ConfigError, DomainError, TransientError
from agent.ports.printing import Evidence, Printer, PrintEventKind, PrintJob
from drivers import registry
from drivers.context import DeviceContext
from drivers.sim.proving import Bench, bench

NAME = "bottle coder"
DEADLINE = 3.0
"""Seconds within which a driver notices what is wrong, and within which it closes."""


def nothing(made: Any) -> None:
    """Where a simulated device cannot have this trouble."""


@dataclass(frozen=True, slots=True)
class Case:
    """A line of the table. `fault` makes the device report the fault `key`, `mend` ends it;
    `warn` the warning `warning`. `refused` are values that the driver must not send, with what
    the reason holds. `silent`: no answer on a live connection is a state of the device (not ready),
    not the end of the session. `blind`: nothing can be asked, so only a record shows that nobody is
    there."""

    fault: Callable[[Any], None] = nothing
    key: str = ""
    mend: Callable[[Any], None] = nothing
    warn: Callable[[Any], None] = nothing
    warning: str = ""
    refused: Mapping[str, str] | None = None
    silent: bool = False
    blind: bool = False


DOTS = Case(
    fault=lambda made: made.printer.faults.add("paper_out"),
    key="paper_out",
    mend=lambda made: made.printer.faults.clear(),
    refused={"": "empty", "A" * 600: "does not fit", "A" * 1025: "1024", "\ud800": "half"},
)
"""A label printer that is sent pictures."""


def stop_leibinger(made: Any) -> None:
    made.coder.machine, made.coder.error = 4, 17


def stop_wsi(made: Any) -> None:
    made.coder.bits, made.coder.light = "400000", 4


CASES: dict[str, Case] = {
    "codenet": Case(
        fault=lambda made: setattr(made.coder, "state", "011"),
        key="fault",
        mend=lambda made: setattr(made.coder, "state", "001"),
        warn=lambda made: setattr(made.coder, "ink", 3),
        warning="ink_low",
        refused={
            "A\x04": r"\\x04",
            "A\x1bQ1N": r"\\x1b",
            "批": "U\\+6279",
            "A" * 1025: "1024",
            "": "empty",
        },
    ),
    "codenet/old": Case(
        fault=lambda made: setattr(made.coder, "state", "009"),
        key="standby",
        mend=lambda made: setattr(made.coder, "state", "001"),
    ),
    "text_coder/laser": Case(blind=True, refused={"A,B": "','", "A\r\nB": r"\\r"}),
    "text_coder/leibinger": Case(
        fault=stop_leibinger,
        key="error_17",
        mend=lambda made: setattr(made.coder, "machine", 6),
        refused={"A\tB": r"\\t", "^0!ST": r"'\^'", "A\rB": r"\\r"},
    ),
    "text_coder/tij": Case(
        blind=True, refused={"A,B": "','", "\U0001f37e": "U\\+1F37E", "批" * 600: "1024"}
    ),
    "text_coder/uv": Case(blind=True, refused={"A;B": "';'", "A\x03\x02DATA": r"\\x03"}),
    "linx_rci_experimental": Case(
        fault=lambda made: setattr(made.coder, "alarm", 5),
        key="alarm_05",
        mend=lambda made: setattr(made.coder, "alarm", 0),
        refused={"A\x1b\x03": r"\\x1b", "批": "U\\+6279", "A" * 513: "512", "": "empty"},
    ),
    "ngpcl": Case(
        fault=lambda made: setattr(made.coder, "trouble", "09"),
        key="beam_stop",
        mend=lambda made: setattr(made.coder, "trouble", ""),
        refused={
            "A|B": r"'\|'",
            "A}{~JU0||99|CODE|X": r"'\}'",
            "A\r": r"\\r",
            "批": "U\\+6279",
            "A" * 2100: "2048",
            "": "empty",
        },
    ),
    "wsi": Case(
        fault=stop_wsi,
        key="gutter",
        mend=lambda made: setattr(made.coder, "light", 1),
        refused={
            "A\x03": r"\\x03",
            "A\nB": r"\\n",
            "批": "U\\+6279",
            "A" * 51: "50 characters",
            "  ": "blank",
        },
    ),
    "text_coder": Case(
        fault=lambda made: made.coder.faults.add("ink_out"),
        key="ink_out",
        mend=lambda made: made.coder.faults.clear(),
        warn=lambda made: made.coder.faults.add("ink_low"),
        warning="ink_low",
        refused={"A;B": "';'", "A\x03R;9;X": r"\\x03", "A" * 2000: "1024"},
    ),
    "zpl": Case(
        silent=True,
        fault=lambda made: made.printer.faults.add("paper_out"),
        key="paper_out",
        mend=lambda made: made.printer.faults.clear(),
        warn=lambda made: made.printer.warnings.add("clean_head"),
        warning="clean_head",
        refused={"": "empty", "A" * 600: "does not fit", "A" * 1025: "1024", "\ud800": "half"},
    ),
    "escpos": replace(
        DOTS, warn=lambda made: setattr(made.printer, "paper_low", True), warning="paper_low"
    ),
    "escpos/plain": DOTS,
    "tspl": DOTS,
    "tspl/clone": DOTS,
    "zipher": Case(
        fault=lambda made: made.coder.faults.append((12, True, "Ribbon Broken")),
        key="ribbon_broken",
        mend=lambda made: made.coder.faults.clear(),
        warn=lambda made: made.coder.warnings.append((31, True, "Ribbon Low")),
        warning="ribbon_low",
        refused={
            "A|B": r"'\|'",
            "A=B": "'='",
            "A~1": "'~'",
            "A\rSCB": r"\\r",
            "A\x1d": "gs",
            "批": "U\\+6279",
            "A" * 2000: "1024",
            "": "empty",
        },
    ),
}


class Drip:
    """A way to the device on which every answer comes one byte at a time, and that counts what
    was sent to it."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.sent = 0
        self.cut = 0  # so many bytes are missing at the end of the next answer
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers += [writer, back]
        for work in (self._sends(reader, back), self._answers(there, writer)):
            self._tasks.add(asyncio.create_task(work))

    async def _sends(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(4096):
                self.sent += len(data)
                writer.write(data)
        writer.transport.abort()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(4096):
                if self.cut:
                    data, self.cut = data[: -self.cut], 0
                for byte in data:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(0)
        writer.transport.abort()


@asynccontextmanager
async def staged(name: str) -> AsyncIterator[tuple[Bench, Callable[[int], Printer]]]:
    """A bench that listens, and how to build its driver for a port (0: the bench's own)."""
    made = bench(name)
    own = await made.server.start()
    drivers: list[Printer] = []

    def build(port: int = 0) -> Printer:
        section = made.section(f"tcp://127.0.0.1:{port or own}")
        driver = registry.build(NAME, section, DeviceContext())
        assert isinstance(driver, Printer)
        drivers.append(driver)
        return driver

    try:
        async with asyncio.timeout(20):
            yield made, build
    finally:
        for driver in drivers:
            began = time.monotonic()
            await driver.close()
            assert time.monotonic() - began < DEADLINE, "close took too long"
        await made.server.stop()


def job(made: Bench, ref: int) -> PrintJob:
    return PrintJob(ref, made.fields(f"CODE-{ref:05d}"))


async def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        await asyncio.sleep(0.002)


async def print_one(made: Bench, driver: Printer, ref: int) -> None:
    """Hand over one record, print it, and be told of it as far as the device can tell."""
    async with asyncio.timeout(5):
        before = len(made.printed)
        while not await driver.send(job(made, ref)):
            await driver.next_event(0.5)
        made.trigger()
        await until(lambda: len(made.printed) > before)
        while int(driver.capability.evidence) >= Evidence.COUNTER or not made.photocell:
            event = await driver.next_event(0.5)
            if event is not None and event.kind is PrintEventKind.PRINTED:
                assert event.ref in (ref, None)
                break
    assert made.printed[-1] == f"CODE-{ref:05d}"


async def connects_and_prints(name: str) -> None:
    """Every record is printed once, in order, and reported once."""
    async with staged(name) as (made, build):
        driver = build(0)
        await driver.open()
        cleared = await driver.clear()
        assert cleared == driver.capability.clears
        for ref in range(1, 8):
            await print_one(made, driver, ref)
        assert list(made.printed) == [f"CODE-{ref:05d}" for ref in range(1, 8)]
        status = await driver.status()
        assert status.ready, status
        assert not status.faults
        assert status.waiting in (0, None)
        if driver.capability.counts:
            assert status.counter == 7
        if status.last is not None:
            assert status.last == 7
        late = await driver.next_event(0.05)
        if int(driver.capability.evidence) >= Evidence.COUNTER:
            assert late is None or late.kind is not PrintEventKind.PRINTED


async def a_slow_peer_is_understood(name: str) -> None:
    """Answers and events that come byte by byte are the same."""
    async with staged(name) as (made, build):
        drip = Drip(made.server.port)
        driver = build(await drip.start())
        try:
            await driver.open()
            await driver.clear()
            for ref in range(1, 4):
                await print_one(made, driver, ref)
            assert (await driver.status()).ready
        finally:
            await driver.close()
            await drip.stop()


async def a_fault_has_a_name(name: str) -> None:
    """A fault makes it not ready and has a stable key; mended, it is ready again."""
    case = CASES[name]
    if not case.key:
        pytest.skip("its faults have tests of their own")
    async with staged(name) as (made, build):
        driver = build(0)
        await driver.open()
        case.fault(made)
        status = await driver.status()
        assert not status.ready
        assert case.key in status.faults, status
        case.mend(made)
        assert (await driver.status()).ready
        if case.warning:
            case.warn(made)
            status = await driver.status()
            assert status.ready, "a warning does not stop it"
            assert status.warnings == (case.warning,)


async def a_pulled_cable_is_noticed_and_the_next_session_works(name: str) -> None:
    """Whoever waits or asks is told; a new session prints."""
    async with staged(name) as (made, build):
        driver = build(0)
        for ref in (1, 2):
            await driver.open()
            await driver.clear()
            await print_one(made, driver, ref)
            await made.server.drop()
            await lost(driver, made, CASES[name].blind)
            with pytest.raises(TransientError):
                await driver.send(job(made, 99))
            await driver.close()
        assert list(made.printed) == ["CODE-00001", "CODE-00002"]


async def lost(driver: Printer, made: Bench, blind: bool) -> None:
    """The driver says within the deadline that its session is over."""

    async def ask() -> None:
        async with asyncio.timeout(DEADLINE):
            while True:
                await driver.next_event(0.05)
                await driver.status()
                if blind:
                    await driver.send(job(made, 98))

    with pytest.raises(TransientError, match=NAME):
        await ask()


async def a_half_open_connection_is_noticed(name: str) -> None:
    """A connection that carries nothing any more ends the session by the next question."""
    async with staged(name) as (made, build):
        driver = build(0)
        await driver.open()
        made.server.half_open()
        if CASES[name].silent:
            async with asyncio.timeout(DEADLINE):
                assert not (await driver.status()).ready
        else:
            await lost(driver, made, CASES[name].blind)
        await driver.close()
        await driver.open()
        await driver.clear()
        await print_one(made, driver, 1)


async def a_device_that_is_away_is_named_and_comes_back(name: str) -> None:
    """Nothing listens there: the error names the device and its address; later it opens."""
    async with staged(name) as (made, build):
        port = made.server.port
        driver = build(0)
        await made.server.stop()
        with pytest.raises(TransientError, match=rf"{NAME}.*127\.0\.0\.1:{port}"):
            await driver.open()
        await driver.close()
        await made.server.start()
        await driver.open()
        await driver.clear()
        await print_one(made, driver, 1)


async def it_closes_in_the_middle_of_a_command(name: str) -> None:
    """A command that waits for its answer does not hold up the end of the session."""
    async with staged(name) as (made, build):
        driver = build(0)
        await driver.open()
        made.server.half_open()
        asking: asyncio.Task[Any] = asyncio.create_task(driver.status())
        if CASES[name].blind:
            asking = asyncio.create_task(driver.send(job(made, 1)))
        await asyncio.sleep(0)
        began = time.monotonic()
        await driver.close()
        assert time.monotonic() - began < DEADLINE
        with pytest.raises(TransientError):
            await asking


async def a_value_that_it_cannot_print_never_leaves(name: str) -> None:
    """Refused with the reason before a byte of it is sent; the session goes on."""
    case = CASES[name]
    async with staged(name) as (made, build):
        drip = Drip(made.server.port)
        driver = build(await drip.start())
        try:
            await driver.open()
            await driver.clear()
            before = drip.sent
            for value, reason in (case.refused or {}).items():
                with pytest.raises(DomainError, match=reason) as refusal:
                    await driver.send(PrintJob(5, made.fields(value)))
                assert NAME in str(refusal.value)
            assert drip.sent == before
            await print_one(made, driver, 6)
            assert len(made.printed) == 1
        finally:
            await driver.close()
            await drip.stop()


async def a_late_answer_is_not_believed(name: str) -> None:
    """An answer after its deadline ends the session; the record that it was about is in doubt, the
    next session prints the next one."""
    async with staged(name) as (made, build):
        driver = build(0)
        await driver.open()
        await driver.clear()
        if CASES[name].silent:
            pytest.skip("its answers may be late")
        if not await driver.send(job(made, 1)):  # one that asks
            await driver.next_event(1.0)
            await driver.send(job(made, 1))
        made.trigger()
        await driver.close()
        await driver.open()
        await driver.clear()
        await driver.next_event(0.05)
        made.server.wire.answers_late, made.server.wire.seconds = 1, 0.3
        with pytest.raises(TransientError, match="did not answer"):
            await driver.send(job(made, 2))
        with pytest.raises(TransientError):
            await driver.send(job(made, 3))
        await driver.close()
        await driver.open()
        if not await driver.clear():
            made.trigger()
        while await driver.next_event(0.05) is not None:
            pass
        await print_one(made, driver, 4)
        assert len(set(made.printed)) == len(made.printed)
        assert "CODE-00003" not in made.printed


async def a_truncated_answer_is_none(name: str) -> None:
    """Half an answer accepts nothing, and the session ends by its deadline; of a device whose
    answers may stay away it is a silence."""
    async with staged(name) as (made, build):
        drip = Drip(made.server.port)
        driver = build(await drip.start())
        try:
            await driver.open()
            await driver.clear()
            await driver.next_event(0.05)
            drip.cut = 3
            if CASES[name].silent:
                assert not await driver.send(job(made, 1))
                assert not made.printed
                return
            with pytest.raises(TransientError, match=NAME):
                await driver.send(job(made, 1))
        finally:
            await driver.close()
            await drip.stop()


WRONG: Mapping[str, bytes] = {
    "silent": b"",
    "login": b"\xff\xfd\x18\xff\xfd\x20Welcome to DeviceOS\r\n\r\nlogin: ",
    "http": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "megabyte": b"x" * 1_000_000,
    "noise": bytes((n * 7919 + n // 256) % 256 for n in range(20_000)),
}
"""What something that is not this device says to whatever it is asked."""


async def something_else_answers(name: str, said: bytes) -> None:
    """A wrong port: a clear error within the deadline, and no record counts as accepted."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(4096):
                writer.write(said)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = int(server.sockets[0].getsockname()[1])
    try:
        async with staged(name) as (made, build):
            driver = build(port)
            async with asyncio.timeout(DEADLINE):
                said_so = await complaint(driver, job(made, 1), CASES[name])
            assert NAME in said_so or said_so == "not ready"
            assert said_so.endswith((".", "ready"))
    finally:
        server.close()


async def another_device_answers(name: str, other: str) -> None:
    """A device of another maker: a clear error within the deadline, and it prints nothing."""
    wrong = bench(other)
    port = await wrong.server.start()
    try:
        async with staged(name) as (made, build), asyncio.timeout(DEADLINE):
            said_so = await complaint(build(port), job(made, 1), CASES[name])
            assert NAME in said_so or said_so == "not ready"
    finally:
        await wrong.server.stop()
    wrong.trigger()
    assert not wrong.printed


async def complaint(driver: Printer, record: PrintJob, case: Case) -> str:
    """What the driver says of something that is not its device; no record may be accepted."""
    try:
        await driver.open()
        status = await driver.status()
        assert not await driver.send(record), "a record was believed to be accepted"
    except (TransientError, ConfigError) as error:
        return str(error)
    assert case.silent or case.blind, "an error was due"
    assert case.blind or not status.ready
    return "not ready"


SCENES: tuple[Callable[[str], Awaitable[None]], ...] = (
    connects_and_prints,
    a_slow_peer_is_understood,
    a_fault_has_a_name,
    a_pulled_cable_is_noticed_and_the_next_session_works,
    a_half_open_connection_is_noticed,
    a_device_that_is_away_is_named_and_comes_back,
    it_closes_in_the_middle_of_a_command,
    a_value_that_it_cannot_print_never_leaves,
    a_late_answer_is_not_believed,
    a_truncated_answer_is_none,
)
