"""Sixteen devices on one agent's loop at full rate: how late the loop is, and what each gets done.

Four PLCs polled every 5 ms with verdicts written, four coders with durable-sized records, four code
readers at 20 readings a second, four label printers that are asked how they are. The devices run in
a process of their own. `python tests/bench/bench_devices.py [SECONDS]`
"""

import asyncio
import multiprocessing
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import quantiles
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from agent.core.errors import TransientError
from agent.ports.plc import Slot, SlotVerdict
from agent.ports.printing import Printer, PrintJob
from drivers import registry
from drivers.context import DeviceContext
from drivers.sim.line_reader import ReaderServer
from drivers.sim.modbus_server import SimPlcServer
from drivers.sim.text_coder import CoderServer, TextCoder
from drivers.sim.world import RING, TRIGGER, PlcImage, RingEntry
from drivers.sim.zpl_printer import ZplPrinter, ZplServer

EACH = 4
POLL = 0.005
READINGS = 20
RECORDS = 30
"""A second: 108,000 an hour."""


def serve(pipe: Connection) -> None:
    """The devices, until the pipe says otherwise."""
    plcs = [SimPlcServer() for _ in range(EACH)]
    images = [PlcImage(run=1) for _ in plcs]

    async def run() -> None:
        readers = [ReaderServer() for _ in range(EACH)]
        inks = [TextCoder() for _ in range(EACH)]
        coders = [CoderServer(ink) for ink in inks]
        printers = [ZplServer(ZplPrinter(), time.monotonic) for _ in range(EACH)]
        others = [await each.start() for each in (*coders, *readers, *printers)]
        pipe.send([*(plc.start() for plc in plcs), *others])
        while not pipe.poll():
            for plc, image in zip(plcs, images, strict=True):
                image.ring[image.head % RING] = RingEntry(TRIGGER, 1, 0, image.head, image.head)
                image.head = (image.head + 1) & 0xFFFF
                image.heartbeat += 1
                plc.publish(image)
            for reader in readers:
                reader.read("https://q.example.cn/AB1234567890")
            for ink in inks:
                for _ in range(2):  # two photo-eyes' worth: as quick as records come
                    ink.fire(time.monotonic())
            await asyncio.sleep(1 / READINGS)
        for each in (*coders, *readers, *printers):
            await each.stop()

    asyncio.run(run())
    for plc in plcs:
        plc.stop()


async def lateness(late: list[float]) -> None:
    """How late a wake-up every 5 ms comes."""
    while True:
        due = time.perf_counter() + 0.005
        await asyncio.sleep(0.005)
        late.append(time.perf_counter() - due)


async def polled(plc: Any, done: list[int]) -> None:
    number = 0
    while True:
        began = time.perf_counter()
        report = await plc.poll()
        done[0] += 1
        for event in report.events:
            number = event.number
            await plc.write_slots([Slot(1, number, SlotVerdict.PASS)])
        await asyncio.sleep(max(0.0, POLL - (time.perf_counter() - began)))


async def printed(printer: Printer, done: list[int]) -> None:
    ref = 0
    while True:
        ref += 1
        if await printer.send(PrintJob(ref, {"code": f"https://q.example.cn/{ref:012d}"})):
            done[0] += 1
        await asyncio.sleep(1 / RECORDS)


async def listened(printer: Printer) -> None:
    while True:
        await printer.next_event(1.0)


async def read(reader: Any, done: list[int]) -> None:
    while True:
        if await reader.next_reading(1.0) is not None:
            done[0] += 1


async def asked(printer: Printer, done: list[int]) -> None:
    while True:
        await printer.status()
        done[0] += 1
        await asyncio.sleep(0.1)


LABEL = {"width": 400, "height": 200, "elements": [{"kind": "qr", "x": 1, "y": 1, "field": "code"}]}
SECTIONS: list[dict[str, Any]] = [
    {"type": "modbus", "connections": 2},
    {"type": "text_coder", "profile": "generic-queue"},
    {"type": "line_reader"},
    {"type": "zpl", "labels": {"case": LABEL}},
]


async def measure(pipe: Connection, seconds: float) -> None:
    ports = pipe.recv()
    kinds: list[Callable[[Any, list[int]], Awaitable[None]]] = [polled, printed, read, asked]
    late: list[float] = []
    counts = [[0] for _ in kinds]
    devices, jobs = [], []
    for n, port in enumerate(ports):
        section = {**SECTIONS[n // EACH], "address": f"tcp://127.0.0.1:{port}"}
        device: Any = registry.build(f"d{n}", section, DeviceContext())
        await device.open()
        devices.append(device)
        jobs.append(kinds[n // EACH](device, counts[n // EACH]))
        if section["type"] == "text_coder":
            jobs.append(listened(device))
    tasks = [asyncio.ensure_future(job) for job in (*jobs, lateness(late))]
    await asyncio.sleep(1.0)
    late.clear()
    for count in counts:
        count[0] = 0
    began, used = time.perf_counter(), time.process_time()
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    took, used = time.perf_counter() - began, time.process_time() - used
    for task in tasks:
        if task.done():
            task.result()
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for device in devices:
        with suppress(TransientError):
            await device.close()
    cuts = quantiles((1e3 * each for each in late), n=100)
    names = ("polls", "records", "readings", "statuses")
    rates = ", ".join(f"{c[0] / took:,.0f} {n}/s" for n, c in zip(names, counts, strict=True))
    print(f"16 devices: {rates}; {100 * used / took:.0f} % of one core")
    print(
        f"loop lag: p50 {cuts[49]:.2f} ms  p99 {cuts[98]:.2f} ms  max {1e3 * max(late):.1f} ms "
        f"({len(late)} wake-ups)"
    )


def main(seconds: float = 10.0) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    plant = context.Process(target=serve, args=(theirs,), daemon=True)
    plant.start()
    try:
        asyncio.run(measure(ours, seconds))
    finally:
        ours.send(None)
        plant.join(5)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
