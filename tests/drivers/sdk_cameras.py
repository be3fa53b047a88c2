"""Scenarios with the camera SDKs' own simulations, in a process of their own: an SDK changes the
warnings, signals and environment of the process that it is in.

`python -m tests.drivers.sdk_cameras basler|genicam FOLDER` runs all of one SDK and prints a JSON
line for each. `FOLDER` has pictures 000.png, 001.png, ... of the QR codes CODE-0, CODE-1, ...
"""

import asyncio
import importlib
import json
import os
import platform
import re
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.core.errors import ConfigError, TransientError
from agent.ports.reading import Frame
from agent.vision.settings import DecodeSettings
from agent.vision.workers import StationDecoder, VisionWorkers
from drivers import registry
from drivers.context import DeviceContext

PICTURES = 6
SHAPE = (240, 320)
Scenario = Callable[[Path], Awaitable[None]]
BASLER: dict[str, Scenario] = {}
GENICAM: dict[str, Scenario] = {}
FAULTY: dict[str, Scenario] = {}
"""Of GenICam too, where a compiler is at hand."""


def compiles() -> bool:
    """Whether gentl_faults.c can be built here."""
    return bool(shutil.which("gcc") and shutil.which("nm")) and platform.machine() == "x86_64"


def of(table: dict[str, Scenario]) -> Callable[[Scenario], Scenario]:
    """A scenario of one SDK, by its name."""

    def add(scenario: Scenario) -> Scenario:
        table[scenario.__name__] = scenario
        return scenario

    return add


@asynccontextmanager
async def opened(name: str, section: dict[str, Any]) -> AsyncIterator[Any]:
    camera = registry.build(name, section, DeviceContext())
    await camera.open()
    try:
        yield camera
    finally:
        begin = time.monotonic()
        await camera.close()
        assert time.monotonic() - begin < 2
        assert not [t for t in threading.enumerate() if t.name == f"camera-{name}"]


async def frame_of(camera: Any) -> Frame:
    frame = await camera.next_frame(5)
    assert isinstance(frame, Frame)
    assert frame.image.dtype == np.uint8
    return frame


async def to_the_end(camera: Any) -> None:
    """Take frames until it raises."""
    while True:
        await camera.next_frame(5)


async def fails(
    section: dict[str, Any], kind: type[Exception], *words: str, name: str = "bad"
) -> None:
    camera = registry.build(name, section, DeviceContext())
    try:
        with pytest.raises(kind) as said:
            await camera.open()
    finally:
        await camera.close()
    for word in (name, *words):
        assert word in str(said.value)


# ---------------------------------------------------------------------------------------- basler


def basler(folder: Path, **more: Any) -> dict[str, Any]:
    nodes = [["TestImageSelector", "Off"], ["ImageFilename", str(folder)], ["ImageFileMode", "On"]]
    return {
        "type": "basler",
        "serial": "0815-0000",
        "trigger": "software",
        "roi": [0, 0, SHAPE[1], SHAPE[0]],
        **more,
        "nodes": nodes + more.get("nodes", []),
    }


@of(BASLER)
async def one_picture_per_trigger_is_counted_and_read(folder: Path) -> None:
    workers = VisionWorkers(1)
    decoder = StationDecoder(workers, DecodeSettings("QRCode"))
    async with opened("cam", basler(folder)) as camera:
        for number in range(PICTURES + 2):
            await camera.trigger()
            frame = await frame_of(camera)
            assert (frame.counter, frame.image.shape) == (number + 1, SHAPE)
            assert frame.camera_time is None, "the emulation stamps nothing"
            decoded = await decoder.decode(frame.image, time.monotonic() + 5)
            assert [read.text for read in decoded.reads] == [f"CODE-{number % PICTURES}"]
        assert (camera.missed, camera.failed, camera.dropped, camera.repeated) == (0, 0, 0, 0)
    await workers.close()


@of(BASLER)
async def failed_pictures_are_counted_and_leave_a_gap(folder: Path) -> None:
    failing = [["ForceFailedBufferCount", 2], ["ForceFailedBuffer", 1]]
    async with opened("cam", basler(folder, nodes=failing)) as camera:
        counters = []
        for _ in range(5):
            await camera.trigger()
            frame = await camera.next_frame(5 if camera.failed == 2 else 0.3)
            counters.append(None if frame is None else frame.counter)
        assert counters == [None, None, 3, 4, 5]
        assert (camera.failed, camera.missed) == (2, 0)


@of(BASLER)
async def a_new_session_counts_from_one(folder: Path) -> None:
    for _ in range(2):
        async with opened("cam", basler(folder)) as camera:
            await camera.trigger()
            assert (await frame_of(camera)).counter == 1


@of(BASLER)
async def two_cameras_are_told_apart_by_serial(folder: Path) -> None:
    one, two = basler(folder), basler(folder, serial="0815-0001", roi=[0, 0, 160, 120])
    async with opened("one", one) as first, opened("two", two) as second:
        await second.trigger()
        assert (await frame_of(second)).image.shape == (120, 160)
        assert await first.next_frame(0.05) is None


@of(BASLER)
async def what_the_line_does_not_take_is_dropped_and_shows_in_the_counters(folder: Path) -> None:
    free = basler(folder, trigger="free", frame_rate=200, queue=2)
    async with opened("cam", free) as camera:
        begin = time.monotonic()
        while camera.dropped < 5:
            assert time.monotonic() - begin < 5
            await asyncio.sleep(0.005)
        counters = [(await frame_of(camera)).counter for _ in range(3)]
        lost = counters[0] - 1 + sum(b - a - 1 for a, b in pairwise(counters))
        assert lost >= 5
        assert camera.missed == 0


@of(BASLER)
async def a_camera_that_nobody_fires_is_silent_and_stays(folder: Path) -> None:
    section = basler(folder, trigger="hardware", trigger_line="Line1", alive_s=0.05)
    async with opened("cam", section) as camera:
        for _ in range(5):
            assert await camera.next_frame(0.1) is None


@of(BASLER)
async def every_setting_is_written(folder: Path) -> None:
    wanted = basler(
        folder, trigger="hardware", trigger_line="Line3", trigger_edge="FallingEdge",
        trigger_delay_us=100, exposure_us=1234, gain_db=2, strobe_line="Line2",
        strobe_inverted=True, frame_rate=50, roi=[16, 8, 320, 240],
    )  # fmt: skip
    async with opened("cam", wanted) as camera:
        tree = camera._session._grabber._camera.GetNodeMap()  # the SDK's own

        def read(name: str) -> str:
            return str(tree.GetNode(name).ToString())

        assert [read(name) for name in ("OffsetX", "OffsetY", "Width", "Height")] == [
            "16", "8", "320", "240",
        ]  # fmt: skip
        assert [read(name) for name in ("TriggerMode", "TriggerSource", "TriggerActivation")] == [
            "On", "Line3", "FallingEdge",
        ]  # fmt: skip
        assert [read(name) for name in ("LineSelector", "LineMode", "LineSource")] == [
            "Line2", "Output", "ExposureActive",
        ]  # fmt: skip
        assert [float(read(name)) for name in ("ExposureTime", "TriggerDelay", "Gain")] == [
            1234, 100, pytest.approx(2, abs=0.1),
        ]  # fmt: skip
        assert float(read("AcquisitionFrameRateAbs")) == 50
        assert read("LineInverter") == "1"


@of(BASLER)
async def what_is_wrong_is_named(folder: Path) -> None:
    here = partial(basler, folder)
    await asyncio.gather(  # most of it is the SDK's looking around
        fails(here(serial="4711"), TransientError, "4711 is not there", "cable"),
        fails(here(serial=""), ConfigError, "0815-0000, 0815-0001", "serial"),
        fails(here(nodes=[["Foo", 1]]), ConfigError, "no node Foo", "'nodes'"),
        fails(here(exposure_us=0.1), ConfigError, "ExposureTime = 0.1", "exposure_us"),
        fails(here(strobe_line="Line9"), ConfigError, "LineSelector", "strobe_line"),
        fails(here(roi=[0, 0, 99_999, 8]), ConfigError, "Width = 99999", "4096"),
        fails(here(user_set="Mine"), ConfigError, "UserSetSelector", "user_set"),
    )
    async with opened("cam", basler(folder, nodes=[["Foo", 1]], optional=["Foo"])) as camera:
        await camera.trigger()
        await frame_of(camera)


# --------------------------------------------------------------------------------------- genicam


def producer() -> str:
    place = importlib.import_module("genicam").__file__
    assert place is not None
    return str(Path(place).with_name("viky.cti"))


def viky(serial: int, **more: Any) -> dict[str, Any]:
    section = {"type": "genicam", "producer": producer(), "serial": str(serial), "trigger": "free"}
    return section | {"frame_rate": 30} | more


@of(GENICAM)
async def three_cameras_share_one_producer(folder: Path) -> None:
    loaded = importlib.import_module("drivers.cameras.gentl")._producers
    async with opened("a", viky(0, queue=256)) as a, opened("b", viky(1, queue=256)) as b:
        async with opened("c", viky(2, roi=[0, 0, 200, 100])) as c:
            assert (await frame_of(c)).image.shape == (100, 200)
            assert len(loaded) == 1
        for camera in (a, b):
            counters = [(await frame_of(camera)).counter for _ in range(6)]
            assert counters == list(range(counters[0], counters[0] + 6))
            assert (camera.missed, camera.failed, camera.repeated) == (0, 0, 0)
        async with opened("c", viky(2)) as c:
            await frame_of(c)
    assert loaded == {}


@of(GENICAM)
async def colour_becomes_grey(folder: Path) -> None:
    async with opened("a", viky(0, pixel_format="RGBa8", roi=[0, 0, 200, 100])) as camera:
        frame = await frame_of(camera)
        assert frame.image.shape == (100, 200)
        assert frame.camera_time is None, "this producer stamps nothing"


@of(GENICAM)
async def nobody_takes_the_frames_and_it_still_closes(folder: Path) -> None:
    async with opened("a", viky(0, queue=1, buffers=2)) as camera:
        begin = time.monotonic()
        while camera.dropped < 3:
            assert time.monotonic() - begin < 5
            await asyncio.sleep(0.005)


@of(GENICAM)
async def what_is_wrong_is_named_and_the_others_run_on(folder: Path) -> None:
    text = folder.parent / "text.cti"
    text.write_text("not a library")
    async with opened("good", viky(1)) as good:
        await fails(viky(1), TransientError, "cannot be opened", "no other program")
        await fails(viky(9), TransientError, "9 of", "is not there")
        await fails(viky(0) | {"serial": ""}, ConfigError, "0, 1, 2", "serial")
        await fails(viky(0, trigger="hardware"), ConfigError, "TriggerMode", "cannot be triggered")
        await fails(viky(0, gain_db=3), ConfigError, "Gain", "gain_db", '"optional"')
        await fails(viky(0, roi=[0, 0, 9999, 9]), ConfigError, "Width = 9999", "800")
        await fails(viky(0, pixel_format="Mono7"), ConfigError, "PixelFormat", "Mono7")
        await fails(viky(0, producer="/no/such.cti"), ConfigError, "no GenTL producer")
        await fails(viky(0, producer=str(text)), ConfigError, "cannot be loaded")
        await frame_of(good)


@of(GENICAM)
async def the_process_is_left_as_it_was(folder: Path) -> None:
    filters, handler = list(warnings.filters), signal.getsignal(signal.SIGINT)
    async with opened("a", viky(0)) as camera:
        await frame_of(camera)
    assert warnings.filters == filters
    assert signal.getsignal(signal.SIGINT) == handler


# What the simulated producer does not do: another one before it does (gentl_faults.c).

TOUCHED = ("DSGetBufferInfo", "GCReadPort", "EventGetData")


class Faults:
    """A producer with faults in front of the simulated one."""

    def __init__(self, folder: Path) -> None:
        self.path = folder.parent / "faults.cti"
        self._control = folder.parent / "faults.control"
        self.tell()
        os.environ["GENTL_FAULTS"] = str(self._control)
        os.environ["GENTL_OTHER"] = producer()
        if not self.path.exists():
            self._build(folder.parent)

    def tell(self, unplugged: int = 0, damaged: int = 0, frozen: int = 0) -> None:
        """What shall go wrong from now on."""
        # In place: it is mapped.
        with self._control.open("r+b" if self._control.exists() else "w+b") as file:
            file.write(struct.pack("=QQQ", unplugged, damaged, frozen))

    def _build(self, folder: Path) -> None:
        exports = subprocess.run(
            ["nm", "-D", "--defined-only", producer()], capture_output=True, text=True, check=True
        ).stdout
        names = [line.split()[2] for line in exports.splitlines()]
        names = [n for n in names if re.fullmatch(r"(GC|TL|IF|Dev|DS|Event)[A-Z]\w*", n)]
        lines = [f"{'HIDDEN' if n in TOUCHED else 'FORWARD'}({n})" for n in names]
        lines.append("static void resolve(void *other) {")
        lines += [f'real_{name} = dlsym(other, "{name}");' for name in names]
        (folder / "names.h").write_text("\n".join([*lines, "}"]))
        source = Path(__file__).with_name("gentl_faults.c")
        command = ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", f"-I{folder}"]
        subprocess.run([*command, str(source), "-ldl", "-o", str(self.path)], check=True)

    def camera(self, **more: Any) -> dict[str, Any]:
        return viky(0, producer=str(self.path), **more)


@of(FAULTY)
async def the_cameras_stamp_is_handed_on_in_seconds(folder: Path) -> None:
    faults = Faults(folder)
    async with opened("a", faults.camera()) as camera:
        first, second = await frame_of(camera), await frame_of(camera)
        assert first.camera_time is not None
        assert second.camera_time is not None
        step = second.counter - first.counter
        assert second.camera_time - first.camera_time == pytest.approx(0.02 * step)
        assert 5 < first.camera_time < 30
    async with opened("a", faults.camera(stamps=False)) as camera:
        assert (await frame_of(camera)).camera_time is None


@of(FAULTY)
async def a_damaged_picture_is_counted_and_leaves_a_gap(folder: Path) -> None:
    faults = Faults(folder)
    async with opened("a", faults.camera(queue=256)) as camera:
        now = (await frame_of(camera)).counter
        faults.tell(damaged=now + 9)  # of the producer's numbers, which begin at 1 and not at 2
        counters = []
        while not counters or counters[-1] < now + 15:
            counters.append((await frame_of(camera)).counter)
        assert now + 10 not in counters
        assert (camera.failed, camera.missed) == (1, 0)


@of(FAULTY)
async def a_frozen_camera_ends_the_session(folder: Path) -> None:
    faults = Faults(folder)
    async with opened("a", faults.camera()) as camera:
        faults.tell(frozen=(await frame_of(camera)).counter + 3)
        with pytest.raises(TransientError, match="camera a is frozen"):
            await to_the_end(camera)


@of(FAULTY)
async def a_pulled_cable_is_noticed_and_the_camera_comes_back(folder: Path) -> None:
    faults = Faults(folder)
    for _ in range(2):
        async with opened("a", faults.camera(alive_s=0.02, frame_rate=5)) as camera:
            # Asked between any two pictures whether it is still there, it is.
            counters = [(await frame_of(camera)).counter for _ in range(3)]
            assert counters == list(range(counters[0], counters[0] + 3))
            faults.tell(unplugged=1)
            begin = time.monotonic()
            with pytest.raises(TransientError, match=r"camera a: .* is lost: .*cable"):
                await to_the_end(camera)
            assert time.monotonic() - begin < 2
        faults.tell()


async def attempt(scenario: Scenario, folder: Path) -> str:
    """Run a scenario; what went wrong, "" if nothing did."""
    task = asyncio.create_task(scenario(folder))
    await asyncio.wait([task], timeout=20)
    if not task.done():
        return "it did not end within 20 s"
    error = task.exception()
    return "" if error is None else "".join(traceback.format_exception(error))


def main(sdk: str, folder: Path) -> None:
    """Run every scenario of one SDK."""
    os.environ["PYLON_CAMEMU"] = "2"
    table = {"basler": BASLER, "genicam": GENICAM | (FAULTY if compiles() else {})}[sdk]
    for name, scenario in table.items():
        begin = time.monotonic()
        trace = asyncio.run(attempt(scenario, folder))
        seconds = round(time.monotonic() - begin, 2)
        print(json.dumps({"name": name, "trace": trace, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
