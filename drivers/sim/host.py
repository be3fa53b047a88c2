"""The plant's process: drives the pure plant in real time and puts its devices on real sockets.

    python -m drivers.sim.host spec.json

Lines of JSON on stdout: {"ready": {ports}} once everything listens, {"progress": {...}},
{"finished": {...}} when the account is written. Lines on stdin: `stop` (no more bottles, run
empty), `progress` (one line now), `quit` (write the account as things stand). SIGTERM is `stop`, a
second one `quit`; the death of the process that started it is `stop`. Ends by itself when every
bottle is fed and the belts are empty.
"""

import asyncio
import contextlib
import json
import os
import signal
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from agent.core.codes import canonical
from agent.core.errors import CaselinkError, ConfigError
from drivers.sim.camera_clock import CameraClock
from drivers.sim.layout import Feed, Layout, check
from drivers.sim.modbus_server import SimPlcServer
from drivers.sim.plant import Plant
from drivers.sim.plc_memory import PlcLayout
from drivers.sim.push_camera import PushCamera
from drivers.sim.text_coder import CoderServer, TextCoder
from drivers.sim.world import FiredPrinter
from drivers.sim.zpl_printer import ZplPrinter, ZplServer

_STRICT = ConfigDict(extra="forbid")
MAX_STEP = 0.02  # s of plant time in one step: a host that stalls slows the belt, no item jumps
MAX_COMMAND = 256

Say = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class PrinterSpec:
    """A simulated printer. `port` 0: choose one and tell it in the ready line. `capacity` is how
    many records a text coder holds, `print_time` how many s a label takes, `peel` says that the
    next label is printed when the last one was taken."""

    __pydantic_config__ = _STRICT
    type: Literal["text", "zpl"]
    port: int = 0
    capacity: int = 16
    print_time: float = 0.2
    peel: bool = False


@dataclass(frozen=True, slots=True)
class CameraSpec:
    """Where a simulated camera posts its pictures (http://`host`:`port`/frame), with what token,
    and as what: raw, bmp, jpeg or png."""

    __pydantic_config__ = _STRICT
    port: int
    host: str = "127.0.0.1"
    token: str = ""
    picture: Literal["raw", "bmp", "jpeg", "png"] = "raw"


@dataclass(frozen=True, slots=True)
class HostSpec:
    """What the process is to play.

    `folder`: where truth.jsonl and plant.json go. `register_map`: a map's TOML file, "" = standard.
    `limit`: s after which the infeed closes whatever was ordered; `drain`: s within which the belts
    must run empty then; `linger`: s for which the devices go on answering after the end, so that
    the agent sees it. `progress`: s between two progress lines, 0 = only when asked.
    """

    __pydantic_config__ = _STRICT
    layout: Layout
    feed: Feed
    folder: str
    cameras: dict[str, CameraSpec]
    printers: dict[str, PrinterSpec]
    seed: int = 1
    troubles: dict[str, float] = field(default_factory=dict)
    plc_port: int = 0
    register_map: str = ""
    step: float = 0.004
    progress: float = 0.0
    limit: float = 3600.0
    drain: float = 120.0
    linger: float = 2.0


_ADAPTER = TypeAdapter(HostSpec)


def load_spec(data: Mapping[str, Any]) -> HostSpec:
    """A checked spec from parsed JSON. ConfigError names the place."""
    try:
        spec = _ADAPTER.validate_python(data)
    except ValidationError as error:
        raise ConfigError(f"plant: {error}") from error
    check(spec.layout)
    for what, needed, given in (
        ("camera", set(spec.layout.cameras()), set(spec.cameras)),
        ("printer", spec.layout.printers(), set(spec.printers)),
    ):
        if needed != given:
            raise ConfigError(
                f"plant: the layout has the {what}s {sorted(needed)}, the spec {sorted(given)}; "
                "they must be the same"
            )
    return spec


def dump_spec(spec: HostSpec) -> dict[str, Any]:
    """Plain data that `load_spec` takes back and JSON can carry."""
    data: dict[str, Any] = _ADAPTER.dump_python(spec, mode="json")
    return data


def canonical_text(raw: str) -> str:
    """The canonical form, or the text itself where it can be no code."""
    try:
        return canonical(raw).text
    except CaselinkError:
        return raw


class Host:
    """One plant with its devices; `start`, then `drive`, then `close`, in one event loop."""

    def __init__(self, spec: HostSpec, say: Say) -> None:
        self._spec = spec
        self._say = say
        layout = PlcLayout.load(Path(spec.register_map)) if spec.register_map else None
        self._plc = SimPlcServer(layout, port=spec.plc_port)
        self._servers: dict[str, CoderServer | ZplServer] = {}
        models: dict[str, FiredPrinter] = {}
        for name, printer in spec.printers.items():
            if printer.type == "text":
                coder = TextCoder(capacity=printer.capacity)
                models[name] = coder
                self._servers[name] = CoderServer(coder, port=printer.port)
            else:
                labels = ZplPrinter(print_time=printer.print_time, peel=printer.peel)
                models[name] = labels
                self._servers[name] = ZplServer(labels, lambda: self._now, port=printer.port)
        self._cameras: dict[str, PushCamera] = {}
        self._clocks: dict[str, CameraClock] = {}
        self.plant = Plant(spec.layout, spec.seed, spec.troubles, models, spec.feed)
        self._now = 0.0  # the plant's time, s
        self._stalled = 0.0
        self._away: frozenset[str] = frozenset()
        self._quit = False
        self._began = 0.0
        self._last = 0.0

    async def start(self) -> dict[str, Any]:
        """Listen everywhere; the ports: {"plc": n, "printers": {name: n}}. OSError if one is
        taken."""
        ports: dict[str, Any] = {"plc": self._plc.start(), "printers": {}}
        for name, server in self._servers.items():
            ports["printers"][name] = await server.start()
        for name, camera in self._spec.cameras.items():
            self._cameras[name] = PushCamera(
                name, camera.host, camera.port, camera.token, picture=camera.picture
            )
            self._clocks[name] = CameraClock(name, self._spec.seed)
        self._began = self._last = monotonic()
        return ports

    async def close(self) -> None:
        """Release every socket and thread."""
        await asyncio.gather(
            *(asyncio.to_thread(camera.close) for camera in self._cameras.values())
        )
        for server in self._servers.values():
            await server.stop()
        self._plc.stop()

    def stop(self) -> None:
        """No more bottles; `drive` ends when the belts are empty. Said twice: now."""
        if self.plant.stopping:
            self._quit = True
        self.plant.stop_feed()

    def quit(self) -> None:
        """End now, whatever is on the belts."""
        self._quit = True

    def tell(self) -> None:
        """Say how far it is."""
        self._say({"progress": self.state()})

    def state(self) -> dict[str, Any]:
        plant = self.plant
        gates = plant.truth.gates
        return {
            "t": round(self._now, 3),
            "fed": plant.fed,
            "on_belts": plant.on_belts,
            "made": [len(things) for things in plant.truth.levels],
            "rejected": {
                name: gate.rejected_good + gate.rejected_bad for name, gate in gates.items()
            },
            "stalled": round(self._stalled, 3),
        }

    async def drive(self) -> bool:
        """Run until the plant is finished (True) or was told to quit or ran out of time (False),
        write the account, and answer on for `linger` s."""
        clean = await self._run_belts()
        await asyncio.to_thread(self._write, clean)
        self._say({"finished": {**self.state(), "clean": clean}})
        until = monotonic() + self._spec.linger
        while clean and monotonic() < until and not self._quit:
            await self._step()
        return clean

    def _write(self, clean: bool) -> None:
        folder = Path(self._spec.folder)
        folder.mkdir(parents=True, exist_ok=True)
        more = {
            "seed": self._spec.seed,
            "troubles": self._spec.troubles,
            "finished": clean,
            "seconds": round(self._now, 3),
            "stalled": round(self._stalled, 3),
            "cameras": {
                name: {"sent": camera.sent, "lost": camera.lost}
                for name, camera in self._cameras.items()
            },
        }
        self.plant.truth.write(folder, canonical_text, more)

    async def _run_belts(self) -> bool:
        spec, plant = self._spec, self.plant
        told = self._began
        until = self._began + spec.limit
        while not self._quit:
            await self._step()
            if plant.finished:
                return True
            now = monotonic()
            if plant.stopping and until > now + spec.drain:
                until = now + spec.drain
            if now > until:
                if plant.stopping:
                    return False
                plant.stop_feed()
                until = now + spec.drain
            if spec.progress and now - told >= spec.progress:
                told = now
                self.tell()
        return plant.finished

    async def _step(self) -> None:
        await asyncio.sleep(self._spec.step)
        now = monotonic()
        passed, self._last = now - self._last, now
        if passed > MAX_STEP:
            self._stalled += passed - MAX_STEP
            passed = MAX_STEP
        self._now += passed
        out = self.plant.advance(self._now, self._plc.agent())
        self._plc.publish(out.plc)
        if out.away != self._away:
            await self.unplug(out.away)
        behind = now - self._now  # the plant's clock stands still while the host stalls
        for exposure in out.exposures:
            fired = replace(exposure, camera_time=exposure.camera_time + behind)
            stamp = self._clocks[exposure.camera].stamp(fired)
            self._cameras[exposure.camera].submit(replace(fired, camera_time=stamp))

    async def unplug(self, away: frozenset[str]) -> None:
        """Cut the links of what is away now, and listen again for what is back. A camera that is
        away posts nothing: there is no link to cut."""
        self._plc.trouble.frozen = "plc" in away
        for name, server in self._servers.items():
            if name in away and name not in self._away:
                await server.stop()
            elif name in self._away and name not in away:
                await server.start()
        self._away = away


async def run(spec: HostSpec, say: Say | None = None) -> bool:
    """Play the spec to its end under the commands of this process' stdin and SIGTERM. True when
    the belts ran empty."""
    host = Host(spec, say or _print)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, host.stop)
    tasks = [loop.create_task(_obey(host)), loop.create_task(_mind_parent(host))]
    try:
        (say or _print)({"ready": await host.start()})
        return await host.drive()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=1.0)
        await host.close()


async def _obey(host: Host) -> None:
    """Commands on stdin, where it is something to wait for."""
    mode = os.fstat(sys.stdin.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=MAX_COMMAND)
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    actions = {"stop": host.stop, "progress": host.tell, "quit": host.quit}
    try:
        # A line that is too long ends the conversation: nobody who means us writes one.
        while line := await reader.readline():
            action = actions.get(line.decode("ascii", "replace").strip())
            if action is not None:
                action()
    except ValueError:
        return
    finally:
        transport.close()


async def _mind_parent(host: Host) -> None:
    """Nobody is left to stop a plant whose starter was killed."""
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.5)
    host.stop()


def _print(data: Mapping[str, Any]) -> None:
    # Nobody listens any more: the belts run empty and the account is written all the same.
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(data) + "\n")
        sys.stdout.flush()


def main(path: str) -> int:
    """Exit code: 0 belts empty, 1 ended before, 2 the spec or a port is wrong."""
    try:
        spec = load_spec(json.loads(Path(path).read_text("utf-8")))
        return 0 if asyncio.run(run(spec)) else 1
    except (ConfigError, OSError, ValueError) as error:
        sys.stderr.write(f"simulated plant: {error}\n")
        return 2


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m drivers.sim.host spec.json\n")
        sys.exit(2)
    sys.exit(main(sys.argv[1]))
