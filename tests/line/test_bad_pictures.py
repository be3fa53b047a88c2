"""Whatever a camera sends, the line goes on: a bad picture is a reject with its reason, never a
crash, and never another item's code.

The real way of a picture: over HTTP (or a folder) through the driver, the pairing, the reader's
threads, the core and the store, to the slot of the PLC. Item n bears the code B-n.
"""

import asyncio
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from agent import config
from agent.app.lines import LineBuilder, RealDevices
from agent.core import facts as f
from agent.core import inputs as i
from agent.core.errors import TransientError
from agent.line.pairing import QUIET
from agent.line.repeats import SILENT, STUCK
from agent.ports.devices import Device
from agent.ports.line import Committed
from agent.ports.plc import PlcEventKind, PlcReport, SlotVerdict
from agent.ports.reading import FrameDecoder, Image
from agent.sections import ReaderSection
from agent.vision.workers import VisionWorkers
from drivers.cameras.folder import FolderCamera
from drivers.cameras.http_push import HttpPushCamera
from drivers.context import DeviceContext
from drivers.sim.render import encode, render
from drivers.sim.world import Scene, Symbol
from tests.core.lines import Line, order
from tests.drivers.test_cameras_http import Client
from tests.drivers.test_cameras_http import request as posted
from tests.line.test_runner import ScriptedPlc

SITE = """
[agent]
id = "test"
[schemes.two]
levels = [
  {{ name = "bottle", primary = "body", roles = ["body"] }},
  {{ name = "case", primary = "case-outer", roles = ["case-outer"], children = 2 }},
]
[devices.plc]
type = "modbus"
address = "tcp://127.0.0.1:5020"
[devices.cam]
{camera}
[[lines]]
id = "L1"
plc = "plc"
limits = {{ rejects_in_a_row = 0 }}
[[lines.stations]]
id = "verify"
index = 1
kind = "verify"
level = "bottle"
deadline_ms = {deadline_ms}
readers = [{{ device = "cam", roles = ["body"], symbology = "QRCode"{more} }}]
"""
HTTP = 'type = "http_push"\nlisten = "127.0.0.1:0"\nmax_bytes = 400_000'
FOLDER = 'type = "folder"\npath = "{path}"\ninterval_s = 0.01\nsettle_s = 0'


def picture(item: int) -> Image:
    """What the camera sees of item `item`."""
    symbol = Symbol(f"B-{item:04d}", "QRCode", 100, 90, 110)
    return render(Scene(200, 180, (symbol,), 0.5, 3.0, 1.0, seed=item))


STALL = 0.04
"""Seconds between two polls of the PLC above which this machine was too busy: what belongs together
by its time of arrival cannot be told then."""


class Plc(ScriptedPlc):
    """Notes the longest time between two polls while items pass."""

    def __init__(self) -> None:
        super().__init__(list)
        self.stall = 0.0
        self._polled = 0.0

    async def poll(self) -> PlcReport:
        now = time.monotonic()
        if self._polled:
            self.stall = max(self.stall, now - self._polled)
        self._polled = now
        return await super().poll()


class Floor:
    """A line with one camera that runs, and both ends of it: the PLC, and what the camera sends."""

    def __init__(self, folder: Path, over: str, more: str = "", deadline_ms: int = 600) -> None:
        """`deadline_ms` is short where many items are too late, and busy machines are borne."""
        self.dropped = folder / "pictures"
        self.dropped.mkdir()
        camera = HTTP if over == "http" else FOLDER.format(path=self.dropped)
        site_file = folder / "site.toml"
        site_file.write_text(
            SITE.format(camera=camera, more=more, deadline_ms=deadline_ms), "utf-8"
        )
        self.site = config.load(site_file)
        made = order(pools={})
        self.line = Line(folder, self.site.lines[0].plan(), preprinted=True, made=made).start()
        self.plc = Plc()
        self.camera: HttpPushCamera | FolderCamera | None = None
        self.client: Client | None = None
        self.seen: list[Committed] = []
        self.number = self.counter = 0

    # ports of the builder ---------------------------------------------------------------------

    def build(self, name: str, section: Mapping[str, Any], context: DeviceContext) -> Device:
        if name == "plc":
            return self.plc
        built = RealDevices(self.vision).build(name, section, context)
        assert isinstance(built, HttpPushCamera | FolderCamera)
        self.camera = built
        return built

    def decoder(self, reader: ReaderSection) -> FrameDecoder:
        return RealDevices(self.vision).decoder(reader)

    # what happens -----------------------------------------------------------------------------

    def play(self, scene: Callable[["Floor"], Awaitable[None]]) -> None:
        async def staged() -> None:
            self.vision = VisionWorkers(2)
            self.line.writer.start()
            builder = LineBuilder(self.site, None, self, grading=self.vision)
            built = builder.build(self.site.lines[0], self.line.gate)
            built.runner._observe = self.seen.append
            self.built = built
            tasks = [asyncio.create_task(work) for work in built.work().values()]
            try:
                async with asyncio.timeout(30):
                    # The belt stands still for a moment: the next item is the first.
                    await asyncio.sleep(QUIET + 0.1)
                    await scene(self)
                assert not any(task.done() for task in tasks), "a loop of the line has ended"
            finally:
                for task in tasks:
                    task.cancel()
                for task in tasks:
                    with suppress(asyncio.CancelledError, TransientError):
                        await task
                if self.client is not None:
                    self.client.close()
                await self.vision.close()
                self.line.writer.close()
                self.line.database.close()

        asyncio.run(staged())

    def fire(self) -> int:
        """The next item comes: the PLC says so, and the camera has exposed. Gives its number."""
        self.number += 1
        self.counter += 1
        self.plc.fire(PlcEventKind.TRIGGER, self.number)
        return self.number

    async def post(self, counter: object, body: bytes, *headers: str) -> int:
        """The camera sends a picture; what it is answered. A camera comes back when cut off."""
        assert isinstance(self.camera, HttpPushCamera)
        if self.client is None:
            self.client = await Client.to(self.camera)
        status = await self.client.post(counter, body, *headers)
        if status not in (200, 415):
            self.client.close()
            self.client = None
        return status

    async def send(self, body: bytes, suffix: str = ".bmp") -> None:
        """The picture of the last item, whichever way the camera goes."""
        if isinstance(self.camera, HttpPushCamera):
            await self.post(self.counter, body)
            return
        hidden = self.dropped / f"{self.counter:06d}.part"
        hidden.write_bytes(body)
        hidden.rename(hidden.with_suffix(suffix))

    async def good(self) -> str:
        """A good item."""
        return await self.item(lambda item: encode(picture(item)), ".bmp", ("pass",))

    async def item(self, body: Callable[[int], bytes], suffix: str, wanted: tuple[str, ...]) -> str:
        """An item with a picture; what was decided of it. Where this machine was too busy for an
        item's deadline, the next but one may show it: sent twice running it would be an old one."""
        for _ in range(3):
            item = self.fire()
            await self.send(body(item), suffix)
            found = await self.verdict(item)
            if found != "late" or "late" in wanted:
                break
            await self.silence()
            between = self.fire()
            await self.send(encode(picture(between)))
            await self.verdict(between)
        return found

    async def silence(self) -> None:
        await asyncio.sleep(QUIET + 0.1)

    async def verdict(self, item: int) -> str:
        """What was decided of an item: "pass", or why not."""
        end = time.monotonic() + 5
        while item not in self.plc.slots:
            assert time.monotonic() < end, (item, self.plc.slots)
            await asyncio.sleep(0.002)
        reasons = {fact.item: fact.verdict for fact in self.facts(f.ItemRejected)}
        passed = self.plc.slots[item] is SlotVerdict.PASS
        assert passed != (item in reasons)
        return "pass" if passed else reasons[item]

    def facts(self, kind: type[f.Fact]) -> list[Any]:
        return [fact for group in self.seen for fact in group.facts if isinstance(fact, kind)]

    def alarms(self) -> list[tuple[str, str]]:
        """Alarms of the camera that were raised and cleared, in order."""
        told = []
        for fact in self.facts(f.Fact):
            if isinstance(fact, f.AlarmRaised | f.AlarmCleared):
                kind = "raised" if isinstance(fact, f.AlarmRaised) else "cleared"
                told.append((fact.alarm.rpartition("/")[2], kind))
        return told

    def only_own_codes(self) -> bool:
        """Whether every item that passed did so with the code that stands on it."""
        passed = self.facts(f.ItemPassed)
        return all(code.key.position == fact.item for fact in passed for code in fact.codes)


@pytest.fixture(params=["http", "folder"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Floor:
    return Floor(tmp_path, request.param, deadline_ms=250)


@pytest.fixture
def floor(tmp_path: Path) -> Floor:
    return Floor(tmp_path, "http")


def steadily(
    folder: Path, scene: Callable[[Floor], Awaitable[None]], deadline_ms: int = 600
) -> None:
    """Play a scene that needs every poll in time; once more where this machine was too busy."""
    for attempt in range(4):
        (folder / str(attempt)).mkdir()
        floor = Floor(folder / str(attempt), "http", deadline_ms=deadline_ms)
        try:
            floor.play(scene)
        except AssertionError:
            if floor.plc.stall < STALL:
                raise
        else:
            return
    pytest.skip(f"this machine is too busy: the PLC was not asked for {floor.plc.stall:.3f} s")


# -------------------------------------------------------------------------- files that are none


def _png16(item: int) -> bytes:
    done, data = cv2.imencode(".png", picture(item).astype(np.uint16) * 257)
    assert done
    return bytes(data.data)


def _colour(item: int) -> bytes:
    done, data = cv2.imencode(".jpg", cv2.merge([picture(item)] * 3))
    assert done
    return bytes(data.data)


def _bmp_that_claims(width: int, height: int) -> bytes:
    return (
        b"BM"
        + struct.pack("<IHHI", 1000, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 0, 0, 0, 0, 256, 0)
    )


FILES: dict[str, tuple[Callable[[int], bytes], str, tuple[str, ...]]] = {
    # what: the file of item n, its suffix, and what may become of the item
    "a PNG that is cut off": (lambda n: encode(picture(n), "png")[:900], ".png", ("late",)),
    "a JPEG that is cut off in its head": (
        lambda n: encode(picture(n), "jpeg")[:200],
        ".jpg",
        ("late",),
    ),
    "a JPEG that is cut off in the middle of the code": (
        lambda n: encode(picture(n), "jpeg")[: len(encode(picture(n), "jpeg")) // 2],
        ".jpg",
        ("late", "no_read"),
    ),
    "a BMP that is cut off": (lambda n: encode(picture(n))[:20_000], ".bmp", ("late", "no_read")),
    "noise": (lambda n: bytes(np.random.default_rng(n).bytes(5000)), ".jpg", ("late",)),
    "a JPEG with broken middle": (
        lambda n: b"\x5a".join(
            [encode(picture(n), "jpeg")[:900], encode(picture(n), "jpeg")[2500:]]
        ),
        ".jpg",
        ("late", "no_read"),
    ),
    "an empty file": (lambda n: b"", ".png", ("late",)),
    "a picture of no pixels": (lambda n: b"P5 0 0 255\n", ".pgm", ("late",)),
    "a picture of 10^10 pixels": (lambda n: _bmp_that_claims(10**5, 10**5), ".bmp", ("late",)),
    "a 16-bit PGM": (
        lambda n: b"P5 200 180 65535\n" + (picture(n).astype(">u2") * 257).tobytes(),
        ".pgm",
        ("late",),
    ),
    "a text": (lambda n: b"<html>404 Not Found</html>", ".png", ("late",)),
    "a black picture": (lambda n: encode(picture(n) * 0), ".bmp", ("no_read",)),
    "one pixel": (lambda n: b"P5 1 1 255\n\x07", ".pgm", ("no_read",)),
    # These can be looked at after all, and show the item that they show.
    "a 16-bit PNG": (_png16, ".png", ("pass",)),
    "a picture in colour": (_colour, ".jpg", ("pass",)),
}


def test_a_file_that_is_no_good_picture_rejects_its_item_and_no_other(either: Floor) -> None:
    async def scene(floor: Floor) -> None:
        assert await floor.good() == "pass"
        over_http = isinstance(floor.camera, HttpPushCamera)
        for what, (body, suffix, wanted) in list(FILES.items())[:: 1 if over_http else 3]:
            assert await floor.item(body, suffix, wanted) in wanted, what
            assert await floor.good() == "pass", f"the item after {what}"
        assert floor.only_own_codes()
        assert floor.alarms() == []

    either.play(scene)


RAW: dict[str, tuple[Callable[[Image], bytes], str, int, str]] = {
    "rows that are padded": (
        lambda p: np.pad(p, ((0, 0), (0, 8))).tobytes(),
        "200x180",
        415,
        "late",
    ),
    "two bytes for each pixel": (lambda p: p.astype("<u2").tobytes(), "200x180", 415, "late"),
    "three colours for each pixel": (lambda p: p.repeat(3).tobytes(), "200x180", 415, "late"),
    "a size of nothing": (lambda p: b"", "0x0", 415, "late"),
    "a size that is no size": (lambda p: p.tobytes(), "200 by 180", 400, "late"),
    "more than a picture may have": (lambda p: bytes(500_000), "1000x500", 413, "late"),
    "rows of another length": (lambda p: p.tobytes(), "180x200", 200, "no_read"),
}


def test_raw_rows_that_do_not_fit_reject_their_item_and_no_other(tmp_path: Path) -> None:
    floor = Floor(tmp_path, "http", deadline_ms=250)

    async def scene(floor: Floor) -> None:
        assert await floor.good() == "pass"
        for what, (body, size, status, wanted) in RAW.items():
            item = floor.fire()
            headers = (f"X-Frame-Size: {size}",)
            assert await floor.post(floor.counter, body(picture(item)), *headers) == status, what
            assert await floor.verdict(item) in (wanted, "late"), what
            assert await floor.good() == "pass", f"the item after {what}"
        assert floor.only_own_codes()

    floor.play(scene)


def test_a_picture_without_a_number_is_nobodys(tmp_path: Path) -> None:
    """Also one with a number that is none, and one that ends before it is whole."""
    floor = Floor(tmp_path, "http", deadline_ms=250)

    async def scene(floor: Floor) -> None:
        assert await floor.good() == "pass"
        for counter in ("", "seven", "9" * 40):
            item = floor.fire()
            assert await floor.post(counter, encode(picture(item))) == 400, counter
            assert await floor.verdict(item) == "late", counter
            assert await floor.good() == "pass"
        item = floor.fire()
        assert floor.client is not None
        floor.client.writer.write(posted(floor.counter, encode(picture(item)))[:5000])
        await floor.client.writer.drain()
        floor.client.close()
        floor.client = None
        assert await floor.verdict(item) == "late"
        assert await floor.good() == "pass"
        assert floor.only_own_codes()

    floor.play(scene)


# ------------------------------------------------------------------- frames that do not fit items


PITCH = 0.1
"""Seconds between two items on the belt."""


async def _ride(floor: Floor, items: int) -> list[int]:
    """So many items closely behind each other."""
    numbers = []
    for _ in range(items):
        numbers.append(floor.fire())
        await floor.send(encode(picture(numbers[-1])))
        await asyncio.sleep(PITCH)
    return numbers


async def _twice(floor: Floor) -> None:
    """Two exposures of one item: everything behind them is one off."""
    item = floor.fire()
    await floor.send(encode(picture(item)))
    floor.counter += 1
    await asyncio.sleep(PITCH / 8)
    await floor.send(encode(picture(item)[:, ::-1].copy()))
    await asyncio.sleep(PITCH)


async def _nobodys(floor: Floor) -> None:
    """The camera fires by itself between two items, and sees the next one come."""
    floor.counter += 1
    await floor.send(encode(picture(floor.number + 1)[::-1].copy()))
    await asyncio.sleep(PITCH)


async def _swapped(floor: Floor) -> None:
    """The pictures of two items come in the wrong order."""
    one = floor.fire()
    await asyncio.sleep(PITCH)
    two = floor.fire()
    assert await floor.post(floor.counter, encode(picture(two))) == 200
    assert await floor.post(floor.counter - 1, encode(picture(one))) == 200
    await asyncio.sleep(PITCH)


async def _missed(floor: Floor) -> None:
    """The camera was not ready: neither a picture nor a number."""
    floor.fire()
    floor.counter -= 1
    await asyncio.sleep(PITCH)


@pytest.mark.parametrize("trouble", [_twice, _nobodys, _swapped, _missed])
def test_pictures_that_do_not_fit_the_items_are_given_to_none(
    tmp_path: Path, trouble: Callable[[Floor], Awaitable[None]]
) -> None:
    async def scene(floor: Floor) -> None:
        before = await _ride(floor, 10)
        await trouble(floor)
        behind = await _ride(floor, 3)
        told = [await floor.verdict(item) for item in before]
        assert told.count("pass") > 5, "or this machine was too busy to see anything"
        for item in range(before[-1] + 1, behind[-1] + 1):
            assert await floor.verdict(item) in ("late", "pass")
        assert await floor.verdict(behind[-1]) == "late", "nobody can say which picture is its"
        assert floor.only_own_codes()
        await floor.silence()
        for _ in range(3):
            if (result := await floor.good()) == "pass":
                break
            await floor.silence()
        assert result == "pass", "after a stop of the belt it is in step again"
        assert floor.only_own_codes()

    steadily(tmp_path, scene, deadline_ms=300)


# --------------------------------------------------------------------------- an eye that is frozen


def test_the_picture_before_once_more_is_an_old_picture_and_nobodys_code(tmp_path: Path) -> None:
    """Item 2 was not read; its picture, sent for item 3 too, must not become item 3's code."""

    async def scene(floor: Floor) -> None:
        assert await floor.good() == "pass"
        assert floor.fire() == 2
        hidden = picture(2)
        hidden[60:120, 70:130] = 128
        await floor.send(encode(hidden))
        assert await floor.verdict(2) == "no_read"
        assert floor.fire() == 3
        await floor.send(encode(hidden))
        assert await floor.verdict(3) == "old_picture"
        assert await floor.good() == "pass"
        assert floor.fire() == 5
        await floor.send(encode(picture(4)))
        assert await floor.verdict(5) == "old_picture", "not a duplicate: the bottle is a good one"
        assert await floor.good() == "pass"
        assert floor.only_own_codes()
        assert floor.alarms() == [], "once may be a hiccup"

    steadily(tmp_path, scene)


def test_the_picture_of_an_item_that_was_too_late_never_becomes_the_next_ones_code(
    tmp_path: Path,
) -> None:
    """Its code is still free: only that the picture came before tells that it is not item 3's."""

    async def scene(floor: Floor) -> None:
        assert await floor.good() == "pass"
        assert floor.fire() == 2
        assert await floor.verdict(2) == "late"
        await floor.send(encode(picture(2)))
        for _ in range(3):  # until a stop of the belt has brought them into step again
            await floor.silence()
            item = floor.fire()
            await floor.send(encode(picture(2)))
            told = await floor.verdict(item)
            assert told in ("late", "old_picture")
            if told == "old_picture":
                break
        assert told == "old_picture"
        assert floor.only_own_codes()

    steadily(tmp_path, scene)


def test_a_camera_that_is_stuck_is_told_and_over_by_itself(tmp_path: Path) -> None:
    async def scene(floor: Floor) -> None:
        assert await floor.good() == "pass"
        for _ in range(STUCK):
            item = floor.fire()
            await floor.send(encode(picture(1)))
            assert await floor.verdict(item) == "old_picture"
        assert floor.alarms() == [("camera_stuck", "raised")]
        (raised,) = floor.facts(f.AlarmRaised)
        assert (raised.priority, raised.station, raised.args) == (2, "verify", (("device", "cam"),))
        assert await floor.good() == "pass"
        assert floor.alarms()[1:] == [("camera_stuck", "cleared")]
        assert floor.only_own_codes()

    steadily(tmp_path, scene)


def test_the_same_number_with_the_same_picture_answers_no_later_item(tmp_path: Path) -> None:
    async def scene(floor: Floor) -> None:
        assert await floor.good() == "pass"
        for _ in range(STUCK):
            item = floor.fire()
            assert await floor.post(1, encode(picture(1))) == 200
            assert await floor.verdict(item) == "late"
        assert ("camera_stuck", "raised") in floor.alarms()
        await floor.silence()
        for _ in range(3):
            if (result := await floor.good()) == "pass":
                break
            await floor.silence()
        assert result == "pass"
        assert floor.only_own_codes()

    steadily(tmp_path, scene, deadline_ms=300)


def test_a_camera_that_sends_nothing_any_more_is_told_and_over_by_itself(tmp_path: Path) -> None:
    async def scene(floor: Floor) -> None:
        assert await floor.good() == "pass"
        for _ in range(SILENT):
            assert await floor.verdict(floor.fire()) == "late"
        assert floor.alarms() == [("camera_silent", "raised")]
        assert await floor.good() == "pass"
        assert floor.alarms()[1:] == [("camera_silent", "cleared")]

    steadily(tmp_path, scene, deadline_ms=300)


def test_an_alarm_of_before_a_restart_is_over_with_the_first_good_picture(floor: Floor) -> None:
    """Who raised it is gone; who came after must be able to clear it."""

    for key in ("camera_stuck", "camera_silent"):
        floor.line.tell(i.ConditionChanged(f"L1/cam/{key}", True, 2, key, "verify"))

    async def scene(floor: Floor) -> None:
        assert await floor.good() == "pass"
        assert floor.alarms() == [("camera_stuck", "cleared"), ("camera_silent", "cleared")]

    floor.play(scene)
