"""What the PLC tests share: a small plant that fires events, and the two kinds of wire."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

from agent.core.errors import CaselinkError, TransientError
from agent.ports.plc import PlcEvent, PlcReport
from drivers.context import DeviceContext
from drivers.plc.modbus import ModbusConfig, ModbusPlc
from drivers.sim.modbus_server import SimPlcServer
from drivers.sim.plc_memory import PlcLayout
from drivers.sim.rtu_server import SimRtuServer
from drivers.sim.world import RING, TRIGGER, PlcImage, RingEntry

Wire = Literal["tcp", "rtu"]
Server = SimPlcServer | SimRtuServer


class Plant:
    """Counts items as a PLC does and shows them on its server."""

    def __init__(self, server: Server, run: int = 1, head: int = 0, item: int = 0) -> None:
        self.server = server
        self.image = PlcImage(run=run, head=head)
        self.item = item
        self.server.publish(self.image)

    def fire(self, count: int = 1, kind: int = TRIGGER) -> list[tuple[int, int]]:
        """Write events; returns (event number, item number) of each, 16 bits as on the wire."""
        fired = []
        for _ in range(count):
            entry = RingEntry(
                kind, 3, 2, self.item, 0x00F0_0000 + self.item, 0x1234_0000 + self.item
            )
            self.image.ring[self.image.head % RING] = entry
            fired.append((self.image.head, self.item))
            self.image.head = (self.image.head + 1) & 0xFFFF
            self.item = (self.item + 1) & 0xFFFF
        self.server.publish(self.image)
        return fired

    def restart(self, run: int) -> None:
        """The PLC restarts: everything is numbered anew."""
        self.image = PlcImage(run=run)
        self.item = 0
        self.server.publish(self.image)


def start(wire: Wire, layout: PlcLayout | None = None, unit: int = 1) -> tuple[Server, str]:
    """A running simulated PLC and its address in the config."""
    if wire == "tcp":
        server = SimPlcServer(layout)
        return server, f"tcp://127.0.0.1:{server.start()}"
    line = SimRtuServer(layout, unit=unit)
    return line, f"serial://{line.start()}?baud=19200&parity=N"


def driver(address: str, context: DeviceContext | None = None, **settings: Any) -> ModbusPlc:
    """The driver under test; by default with deadlines that a busy machine keeps."""
    settings = {"timeout": 2.0, "connect_timeout": 2.0} | settings
    config = ModbusConfig(type="modbus", address=address, **settings)
    return ModbusPlc("plc1", config, context or DeviceContext())


@asynccontextmanager
async def session(plc: ModbusPlc) -> AsyncIterator[ModbusPlc]:
    """An open session that leaves no task behind."""
    before = asyncio.all_tasks()
    await reopen(plc)
    try:
        yield plc
    finally:
        await plc.close()
        assert asyncio.all_tasks() <= before


async def reopen(plc: ModbusPlc) -> PlcReport:
    """Open and poll as the supervisor does: again and again until a session holds."""
    async with asyncio.timeout(5):
        while True:
            try:
                await plc.open()
                return await plc.poll()
            except TransientError:
                continue  # a busy machine was slower than the test's short deadline


def seen(events: tuple[PlcEvent, ...]) -> list[tuple[int, int]]:
    """(event number, item number), to compare with what the plant fired."""
    return [(event.seq, event.number) for event in events]


async def within(seconds: float, work: Callable[[], Awaitable[object]]) -> CaselinkError:
    """The error that `work` raises, in at most `seconds`."""
    began = time.monotonic()
    try:
        await work()
    except CaselinkError as error:
        assert time.monotonic() - began < seconds
        return error
    raise AssertionError("nothing was raised")


async def asked(server: Server, before: int) -> None:
    """Wait until the server, which counts in a thread of its own, has seen another request."""
    async with asyncio.timeout(5):
        while server.requests == before:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
