"""Printers and coders: handing over one record against a bare echo, and 120,000 codes an hour.

Run: python tests/bench/bench_coders.py [--records 300] [--seconds 30] [--rate 120000] [--only NAME]

First table, for each driver with its simulated device on a loopback socket: the median time from
`send` to the device's acceptance, the round trips in it, and the ratio to a bare asyncio echo of as
many bytes (and as many round trips) in the same process.

Second table: the real line shell, print desk, store (synchronous=FULL) and commit gate with the
driver and its simulated device, triggered at the rate. `printed/h` is what came out, `no code` are
triggers that found none, `commits/code` the durable transactions of the whole record for each code.
"""

import argparse
import asyncio
import statistics
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parents[2]))

from agent.clockwatch import clock
from agent.core import inputs as i
from agent.core.errors import CaselinkError
from agent.core.plan import LinePlan, PathKind, ReaderPlan, Station
from agent.core.plan import Path as BeltPath
from agent.core.poolfile import Declared
from agent.core.poolread import read_pool
from agent.core.scheme import LevelSpec, PackingScheme, WorkOrder
from agent.health import Health
from agent.line.printing import PrintDesk
from agent.line.runner import LineRunner
from agent.ports.plc import PlcOutputs, PlcReport, Slot
from agent.ports.printing import Printer, PrintJob
from agent.services import pool_files
from agent.store.database import Database
from agent.store.gate import Gate
from agent.store.writer import Writer
from drivers import registry
from drivers.context import DeviceContext
from drivers.sim.proving import BENCHES, Bench, bench
from drivers.sim.serve import Conversation

CODER, READER, ROLE = "coder", "reader", "code"
SUSTAINED = ("text_coder", "zipher", "codenet")
WINDOW = 16
WARM = 20


class Counted:
    """A conversation, its pieces and bytes counted."""

    def __init__(self, inner: Conversation, seen: list[int]) -> None:
        self._inner = inner
        self._seen = seen

    def feed(self, data: bytes) -> bytes:
        self._seen.append(len(data))
        return self._inner.feed(data)


async def hand_over(name: str, records: int) -> tuple[float, float, float]:
    """Median seconds, round trips and bytes of one record's acceptance."""
    made = bench(name)
    seen: list[int] = []
    talk = made.server._talk
    made.server._talk = lambda: Counted(talk(), seen)
    driver = registry.build("dut", made.section(await address(made)), DeviceContext())
    assert isinstance(driver, Printer)
    took: list[float] = []
    trips = size = 0
    try:
        await driver.open()
        await driver.clear()
        for ref in range(1, records + WARM + 1):
            printed = len(made.printed)
            job = PrintJob(ref, made.fields(f"https://q.example.cn/{ref:014d}"))
            while True:
                before = len(seen)
                began = perf_counter()
                accepted = await driver.send(job)
                end = perf_counter()
                if accepted:
                    break
                await driver.next_event(0.2)
            if ref > WARM:
                took.append(end - began)
                trips += len(seen) - before
                size += sum(seen[before:])
            while len(made.printed) == printed:
                made.trigger()
                await asyncio.sleep(0)
            await driver.next_event(0.05)
    finally:
        await driver.close()
        await made.server.stop()
    return statistics.median(took), trips / records, size / records


async def address(made: Bench) -> str:
    return f"tcp://127.0.0.1:{await made.server.start()}"


async def echo(size: int, trips: int, records: int) -> float:
    """Median seconds of `trips` echoes that have `size` bytes together."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    piece = b"x" * max(1, size // trips)
    took = []
    for _ in range(records):
        began = perf_counter()
        for _ in range(trips):
            writer.write(piece)
            await reader.readexactly(len(piece))
        took.append(perf_counter() - began)
    writer.close()
    await writer.wait_closed()
    server.close()
    return statistics.median(took)


class NoPlc:
    """ports.LinePlc of a line that has none here."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def poll(self) -> PlcReport:
        raise NotImplementedError

    async def write_slots(self, slots: list[Slot]) -> None: ...

    async def write_outputs(self, outputs: PlcOutputs) -> None: ...


async def sustain(name: str, folder: Path, seconds: float, rate: float) -> dict[str, float]:
    """Print at `rate` codes an hour with the durable record of it."""
    coder = Station(CODER, 0, "print", "item", device="dut", role=ROLE, window=WINDOW)
    reader = Station(READER, 1, "verify", "item", readers=(ReaderPlan("eye", (ROLE,)),))
    plan = LinePlan("bench", (coder, reader), (BeltPath(CODER, READER, PathKind.SINGLE_FILE),))
    database = Database.open(folder / "caselink.db", folder / "caselink.key")
    commits = [0]
    database.conn.set_trace_callback(lambda sql: _count(sql, commits))
    writer = Writer(database.conn)
    writer.start()
    gate = Gate(writer, [plan])
    products = int(seconds * rate / 3600)
    texts = [f"https://q.example.cn/{n:014d}" for n in range(products + 4 * WINDOW)]
    file = read_pool("\n".join([ROLE, *texts, ""]).encode(), Declared("b", "item", (ROLE,)))
    await asyncio.to_thread(writer.wait, lambda conn: pool_files.keep(conn, file, clock()))

    made = bench(name)
    section = dict(made.section(await address(made)))
    section["reply_timeout"] = 1.0
    printer = registry.build("dut", section, DeviceContext())
    assert isinstance(printer, Printer)
    runner = LineRunner(plan, gate, NoPlc(), Health("plc", "plc"), lambda committed: None)
    desk = PrintDesk(plan.by_id[CODER], printer, runner.report, lambda effect, text: {ROLE: text})
    runner.desks.append(desk)
    level = LevelSpec("item", ROLE, (ROLE,))
    order = WorkOrder(
        "WO-1", "bench", "p", "A", PackingScheme("s", (level,)), 1, {f"item/{ROLE}": 1}
    )

    async def session() -> None:
        await printer.open()
        await desk.run()

    tasks = [asyncio.create_task(runner.run_writer()), asyncio.create_task(session())]
    missed, late = 0, 0.0
    try:
        await runner.command(i.RunChanged(1, "first_start"))
        await runner.command(i.CreateOrder(order, "bench"))
        await runner.command(i.StartOrder("WO-1", "bench"))
        await asyncio.sleep(1.0)  # the first window is handed over
        commits[0], began = 0, perf_counter()
        for n in range(products):
            due = began + n * 3600 / rate
            await asyncio.sleep(max(0.0, due - perf_counter()))
            late = max(late, perf_counter() - due)
            printed_before = len(made.printed)
            made.trigger()
            missed += len(made.printed) == printed_before
            runner.tell(i.ItemTriggered(CODER, n % 65_536))
        took = perf_counter() - began
        await asyncio.sleep(0.5)
        broken = next((task for task in tasks if task.done()), None)
        if broken is not None:
            broken.result()
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, CaselinkError):
                await task
        await printer.close()
        await made.server.stop()
        await asyncio.to_thread(writer.close)
        database.close()
    printed = len(made.printed)
    assert len(set(made.printed)) == printed, "a code was printed twice"
    return {
        "printed/h": printed / took * 3600,
        "no code": missed,
        "commits/code": commits[0] / max(1, printed),
        "latest trigger ms": late * 1000,
    }


def _count(sql: str, commits: list[int]) -> None:
    if sql.lstrip()[:6].upper() == "COMMIT":
        commits[0] += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each sustained run")
    parser.add_argument("--rate", type=float, default=120_000, help="codes an hour")
    parser.add_argument("--only", default="", help="names that begin so")
    options = parser.parse_args()
    wanted: Callable[[str], bool] = lambda name: name.startswith(options.only)  # noqa: E731
    print(f"{'driver':24} {'accepted':>10} {'trips':>6} {'bytes':>6} {'echo':>9} {'ratio':>6}")
    for name in sorted(filter(wanted, BENCHES)):
        took, trips, size = asyncio.run(hand_over(name, options.records))
        bare = asyncio.run(echo(int(size), max(1, round(trips)), options.records))
        print(
            f"{name:24} {took * 1e6:7.0f} us {trips:6.1f} {size:6.0f} {bare * 1e6:6.0f} us"
            f" {took / bare:6.2f}",
            flush=True,
        )
    print(f"\n{options.rate:.0f} codes/h for {options.seconds:.0f} s, window {WINDOW}")
    for name in filter(wanted, SUSTAINED):
        with TemporaryDirectory(prefix="caselink-bench-") as folder:
            found = asyncio.run(sustain(name, Path(folder), options.seconds, options.rate))
        print(f"{name:24} " + ", ".join(f"{k} {v:.2f}" for k, v in found.items()), flush=True)


if __name__ == "__main__":
    main()
