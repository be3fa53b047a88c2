"""What a label costs: its bytes built in each language, and a printer that takes it.

Built: the bytes of one job with new values, labels of config/labels and of 100 x 150 mm among them.
Handed over: `send` until the printer has the label (it is asked how it is before and after) against
a bare echo of the same bytes. The simulated printers and the echo run in a process of their own.
"""

import asyncio
import multiprocessing
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import quantiles
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from agent.ports.printing import Printer, PrintJob
from drivers import registry
from drivers.context import DeviceContext
from drivers.printers.escpos_label import label as escpos
from drivers.printers.label_draw import draw
from drivers.printers.label_files import load_label
from drivers.printers.label_sample import sample
from drivers.printers.label_template import lay_out
from drivers.printers.tspl_label import label as tspl
from drivers.printers.zpl_label import recall
from drivers.sim.proving import bench

LABELS = ("case", "case-gs1", "pallet", "pallet-gs1", "slip", "receipt")
PRINTERS = ("zpl", "tspl", "tspl/clone", "escpos", "escpos/plain")


def build(rounds: int) -> None:
    """Milliseconds and bytes of one label in each language; texts that change with each label are
    never drawn before."""
    languages: dict[str, Callable[[Any, Mapping[str, str]], bytes]] = {
        "ZPL": lambda layout, fields: recall("CL0", layout, fields),
        "TSPL": lambda layout, fields: tspl(draw(layout, fields), 8, 2),
        "ESC/POS": lambda layout, fields: escpos(draw(layout, fields), True),
    }
    print(f"{'label':12} {'mm':>9} {'language':9} {'p50 ms':>7} {'p99 ms':>7} {'bytes':>7}")
    for name in LABELS:
        template = load_label(name, "bench")
        layout, usual = lay_out(template, 8), sample(template)
        variable = next(one for one in ("lot", "number", "code") if one in usual)
        for language, write in languages.items():
            times, size = [], 0
            for turn in range(rounds):
                fields = dict(usual)
                if variable == "code" and name == "pallet":
                    digits = f"06901234{turn:09d}"
                    weighted = sum(int(d) * (3, 1)[n % 2] for n, d in enumerate(digits))
                    fields["code"] = digits + str(-weighted % 10)
                else:
                    fields[variable] += f"{turn:05d}"
                began = time.perf_counter()
                size = len(write(layout, fields))
                times.append((time.perf_counter() - began) * 1e3)
            cuts = quantiles(times, n=100)
            print(
                f"{name:12} {template.width:g}x{template.height:<5g} {language:9} "
                f"{cuts[49]:7.3f} {cuts[98]:7.3f} {size:7}"
            )


def serve(pipe: Connection, name: str) -> None:
    """A simulated printer and an echo, until told to end."""

    async def run() -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(65_536):
                writer.write(data)
            writer.close()

        made = bench(name)
        made.server.wire.seconds = 0.0
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        pipe.send((await made.server.start(), server.sockets[0].getsockname()[1]))
        while not pipe.poll():
            made.trigger()
            await asyncio.sleep(0.002)
        server.close()
        await made.server.stop()

    asyncio.run(run())


async def timed(work: Awaitable[object]) -> float:
    began = time.perf_counter()
    await work
    return (time.perf_counter() - began) * 1e3


async def hand_over(name: str, ports: tuple[int, int], rounds: int) -> None:
    made = bench(name)
    section = dict(made.section(f"tcp://127.0.0.1:{ports[0]}"))
    section |= {"settle": 0.05} if section["type"] == "tspl" else {}
    driver = registry.build("dut", section, DeviceContext())
    assert isinstance(driver, Printer)
    await driver.open()
    reader, writer = await asyncio.open_connection("127.0.0.1", ports[1])
    sent = 0
    write = driver._transport.write  # type: ignore[attr-defined]

    async def counting(data: bytes, timeout: float, shown: bytes | None = None) -> None:
        nonlocal sent
        sent += len(data)
        await write(data, timeout, shown)

    driver._transport.write = counting  # type: ignore[attr-defined]

    async def back(data: bytes) -> None:
        writer.write(data)
        await reader.readexactly(len(data))

    bare, taken = [], []
    for ref in range(rounds):
        before = sent
        job = PrintJob(ref, made.fields(f"https://q.example.cn/{ref:06d}"))
        taken.append(await timed(driver.send(job)))
        size = sent - before
        bare.append(await timed(back(bytes(size))))
        while await driver.next_event(1.0) is None:
            pass
    await driver.close()
    writer.close()
    cuts, base = quantiles(taken, n=100), quantiles(bare, n=100)
    print(
        f"{name:14} {size:6} bytes  p50 {cuts[49]:6.2f} ms  p99 {cuts[98]:6.2f} ms   "
        f"echo p50 {base[49]:5.2f} ms   ratio {cuts[49] / base[49]:.1f}"
    )


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    build(rounds)
    print("\nhanded over until the printer has it, against an echo of the same bytes")
    context = multiprocessing.get_context("spawn")
    for name in PRINTERS:
        ours, theirs = context.Pipe()
        server = context.Process(target=serve, args=(theirs, name))
        server.start()
        try:
            asyncio.run(hand_over(name, ours.recv(), rounds // 3))
        finally:
            ours.send(None)
            server.join(10)


if __name__ == "__main__":
    main()
