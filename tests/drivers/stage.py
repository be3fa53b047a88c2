"""A simulated printer on its wire and the real driver before it, for the tests of one driver."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel

from agent.ports.printing import Printer, PrintEvent, PrintEventKind, PrintJob
from drivers.context import DeviceContext
from drivers.sim.serve import PtyAdapter, TcpAdapter

Sim = TypeVar("Sim")
Server = TypeVar("Server", bound=TcpAdapter)
Driver = TypeVar("Driver", bound=Printer)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """A scene, within its deadline."""

    async def guarded() -> None:
        async with asyncio.timeout(15):
            await scenario

    asyncio.run(guarded())


def job(ref: int, text: str = "") -> PrintJob:
    return PrintJob(ref, {"code": text or f"C{ref}"})


def printed(event: PrintEvent | None) -> int | None:
    """The number of the print that must have been reported."""
    assert event is not None
    assert event.kind is PrintEventKind.PRINTED
    return event.ref


class Model(Protocol[Driver]):
    """A driver's class."""

    def __call__(self, name: str, config: Any, context: DeviceContext, /) -> Driver: ...


@dataclass(frozen=True)
class CoderStage(Generic[Sim, Server, Driver]):
    """A coder of `device` on a TCP socket, and a driver with the device's `section`."""

    name: str
    device: Callable[[], Sim]
    server: Callable[[Sim], Server]
    driver: Model[Driver]
    config: type[BaseModel]
    section: Mapping[str, Any]

    def play(
        self,
        scene: Callable[[Sim, Server, Driver], Awaitable[None]],
        device: Sim | None = None,
        **more: Any,
    ) -> None:
        """The scene with the coder listening and its driver not yet opened; `more` are keys of the
        section."""
        made = self.device() if device is None else device

        async def staged() -> None:
            server = self.server(made)
            address = {"address": f"tcp://127.0.0.1:{await server.start()}"}
            try:
                section = self.config.model_validate({**address, **self.section, **more})
                driver = self.driver(self.name, section, DeviceContext())
                try:
                    await scene(made, server, driver)
                finally:
                    await driver.close()
            finally:
                await server.stop()

        run(staged())


@dataclass(frozen=True)
class LabelStage(Generic[Sim, Driver]):
    """A label printer on a TCP socket or a serial line, and a driver with the device's `section`,
    which is opened."""

    name: str
    tcp: Callable[[Sim, Callable[[], float]], TcpAdapter]
    pty: Callable[[Sim, Callable[[], float]], PtyAdapter]
    driver: Model[Driver]
    config: type[BaseModel]
    section: Mapping[str, Any]

    def made(self, address: str, context: DeviceContext | None = None, **more: Any) -> Driver:
        """A driver for this address; `more` are keys of the section."""
        section = self.config.model_validate({"address": address, **self.section, **more})
        return self.driver(self.name, section, context or DeviceContext())

    async def play(
        self,
        sim: Sim,
        act: Callable[[Driver, Sim], Awaitable[None]],
        *,
        serial: bool = False,
        **more: Any,
    ) -> None:
        """The scene with the driver open."""
        adapter = (self.pty if serial else self.tcp)(sim, time.monotonic)
        at = await adapter.start()
        device = self.made(
            f"serial://{at}?baud=115200" if serial else f"tcp://127.0.0.1:{at}", **more
        )
        await device.open()
        try:
            await act(device, sim)
        finally:
            await device.close()
            await adapter.stop()
