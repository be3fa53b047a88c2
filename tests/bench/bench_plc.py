"""What the PLC driver adds to a bare pymodbus read of the same registers, over TCP on one machine.

The server runs in a process of its own; the two kinds of request take turns, so that both meet
the same noise.
"""

import asyncio
import multiprocessing
import sys
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import quantiles

sys.path.insert(0, str(Path(__file__).parents[2]))

from pymodbus.client import AsyncModbusTcpClient

from agent.ports.plc import Slot, SlotVerdict
from drivers.context import DeviceContext
from drivers.plc.modbus import ModbusConfig, ModbusPlc
from drivers.sim.modbus_server import SimPlcServer
from drivers.sim.world import RING, TRIGGER, PlcImage, RingEntry


def serve(pipe: Connection) -> None:
    """Fire as many events as we are told to; None ends."""
    server, image = SimPlcServer(), PlcImage()
    server.publish(image)
    pipe.send(server.start())
    while (count := pipe.recv()) is not None:
        for _ in range(count):
            image.ring[image.head % RING] = RingEntry(TRIGGER, 1, 0, image.head, image.head)
            image.head = (image.head + 1) & 0xFFFF
        server.publish(image)
        pipe.send(image.head)
    server.stop()


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return (time.perf_counter() - began) * 1e3


def show(name: str, times: list[float], against: list[float]) -> None:
    cuts, base = quantiles(times, n=100), quantiles(against, n=100)
    print(
        f"{name:34} p50 {cuts[49]:.3f} ms  p99 {cuts[98]:.3f} ms  max {max(times):.2f} ms"
        f"  ratio p50 {cuts[49] / base[49]:.2f}  p99 {cuts[98] / base[98]:.2f}"
    )


REGISTERS = 16


async def rates(bare: AsyncModbusTcpClient, plc: ModbusPlc, rounds: int) -> None:
    """Reads of 16 registers, ours against bare pymodbus, one of each in turn: what a second would
    hold at the median, since on a shared machine the mean is that of its pauses."""
    link = plc._read_link
    assert link is not None
    theirs, ours = list[float](), list[float]()
    for _ in range(rounds):
        theirs.append(await timed(lambda: bare.read_input_registers(0, count=REGISTERS)))
        ours.append(await timed(lambda: link.read("input", 0, REGISTERS, logged=False)))
    per_second = [1e3 / quantiles(times, n=2)[0] for times in (theirs, ours)]
    print(
        f"reads of {REGISTERS} registers: bare pymodbus {per_second[0]:,.0f}/s, ours "
        f"{per_second[1]:,.0f}/s: {per_second[1] / per_second[0]:.2f} of it"
    )


async def measure(pipe: Connection, rounds: int) -> None:
    port = pipe.recv()
    bare = AsyncModbusTcpClient("127.0.0.1", port=port, retries=0, reconnect_delay=0)
    await bare.connect()
    config = ModbusConfig(type="modbus", address=f"tcp://127.0.0.1:{port}")
    plc = ModbusPlc("plc1", config, DeviceContext())
    await plc.open()
    for _ in range(200):
        await bare.read_input_registers(0, count=8)
        await plc.poll()
    reads, idle, news, verdicts, writes = (list[float]() for _ in range(5))
    await rates(bare, plc, rounds)
    for turn in range(rounds):
        reads.append(await timed(lambda: bare.read_input_registers(0, count=8)))
        idle.append(await timed(plc.poll))
        writes.append(await timed(lambda turn=turn: bare.write_registers(144, [turn & 0xFFF])))
        slot = Slot(1, turn & 0xFFFF, SlotVerdict.PASS)
        verdicts.append(await timed(lambda slot=slot: plc.write_slots([slot])))
    for _ in range(rounds // 4):
        pipe.send(1)
        pipe.recv()
        news.append(await timed(plc.poll))
    show("bare read of 8 registers", reads, reads)
    show("poll without news", idle, reads)
    show("poll with one event (2 exchanges)", news, reads)
    show("bare write of 1 register", writes, writes)
    show("write of one verdict", verdicts, writes)
    await plc.close()
    bare.close()


def main(rounds: int = 5000) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    plant = context.Process(target=serve, args=(theirs,), daemon=True)
    plant.start()
    try:
        asyncio.run(measure(ours, rounds))
    finally:
        ours.send(None)
        plant.join(5)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
