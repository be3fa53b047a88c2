"""The thread behind an SDK, its counts, and what a camera's buffer becomes. The SDK here is a
script: what a real one does when its cable is pulled, nobody can make the simulations do."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from queue import Empty, SimpleQueue

import numpy as np
import pytest

from agent.core.errors import ConfigError, TransientError
from agent.health import Health
from agent.supervisor import Session
from drivers.cameras.grabbing import FROZEN, BlockIds, Grabbed, GrabbedCamera, GrabberConfig
from drivers.cameras.pfnc import MONO8, grey
from drivers.cameras.picture import PictureError
from tests.drivers.saying import english

PICTURE = np.zeros((4, 6), np.uint8)
LOST = TransientError("the cable is out")


class Script:
    """An SDK that gives what the test puts in: a Grabbed, or an error to raise."""

    def __init__(self) -> None:
        self.gives: SimpleQueue[Grabbed | Exception] = SimpleQueue()
        self.gone = False
        self.left: tuple[int, ...] = ()  # what still waits in it when it is gone
        self.hang: threading.Event | None = None
        self.fired = 0
        self.stops = 0
        self.refuses: Exception | None = None

    def put(self, *numbers: int) -> None:
        for number in numbers:
            self.gives.put(Grabbed(number, PICTURE, number / 10))

    def start(self) -> None:
        if self.hang is not None:
            self.hang.wait(20)
        if self.refuses is not None:
            raise self.refuses

    def grab(self, timeout: float) -> Grabbed | None:
        try:
            one = self.gives.get(timeout=timeout)
        except Empty:
            return None
        if isinstance(one, Exception):
            raise one
        return one

    def alive(self) -> None:
        if self.gone:
            self.put(*self.left)
            raise LOST

    def trigger(self, timeout: float) -> None:
        self.fired += 1

    def stop(self) -> None:
        self.stops += 1


def run(act: Callable[[GrabbedCamera, Script], Awaitable[None]], **more: object) -> GrabbedCamera:
    script = Script()
    config = GrabberConfig(**more)  # type: ignore[arg-type]
    camera = GrabbedCamera("cam", config, lambda: script, "the script")

    async def scenario() -> None:
        async with asyncio.timeout(10):
            await camera.open()
            try:
                await act(camera, script)
            finally:
                await camera.close()
        assert script.stops == 1

    asyncio.run(scenario())
    assert not [one for one in threading.enumerate() if one.name == "camera-cam"]
    return camera


async def numbers_of(camera: GrabbedCamera, count: int) -> list[int]:
    frames = [await camera.next_frame(5) for _ in range(count)]
    return [frame.counter for frame in frames if frame is not None]


def test_a_camera_with_an_eye_is_not_fired_beside_it() -> None:
    async def act(camera: GrabbedCamera, script: Script) -> None:
        assert not await camera.fire()
        assert script.fired == 0

    run(act)


def test_numbers_that_never_came_are_counted_and_the_gap_is_handed_on() -> None:
    async def act(camera: GrabbedCamera, script: Script) -> None:
        assert [one.good for one in await camera.check()] == [True]
        script.put(3, 4, 7)
        assert await numbers_of(camera, 3) == [3, 4, 7]
        (found,) = await camera.check()
        assert (found.good, english(found).split(":")[0]) == (False, "2 of 5 pictures never came")
        for first in range(8, 2008, 200):
            script.put(*range(first, first + 200))
            assert len(await numbers_of(camera, 200)) == 200
        (found,) = await camera.check()
        assert (found.good, english(found).split(":")[0]) == (True, "2 of 2005 pictures never came")

    assert run(act, queue=256).missed == 2


@pytest.mark.parametrize("number", [2, None])
def test_a_damaged_picture_is_counted_once_whether_its_number_is_known_or_not(
    number: int | None,
) -> None:
    async def act(camera: GrabbedCamera, script: Script) -> None:
        script.put(1)
        script.gives.put(Grabbed(number, None, why="incomplete"))
        script.put(3)
        assert await numbers_of(camera, 2) == [1, 3]

    camera = run(act)
    assert (camera.failed, camera.missed) == (1, 0)


def test_the_cameras_time_is_handed_on_unless_the_config_drops_it() -> None:
    async def act(camera: GrabbedCamera, script: Script) -> None:
        script.put(5)
        frame = await camera.next_frame(5)
        assert frame is not None
        assert frame.camera_time == (0.5 if camera._config.stamps else None)
        assert abs(time.monotonic() - frame.received) < 5

    run(act)
    run(act, stamps=False)


def test_a_camera_that_gives_the_same_picture_again_is_frozen() -> None:
    async def act(camera: GrabbedCamera, script: Script) -> None:
        script.put(1, 1, 2, *[2] * FROZEN)
        assert await numbers_of(camera, 2) == [1, 2]
        with pytest.raises(TransientError, match=r"frozen.*picture 2 again"):
            await camera.next_frame(5)

    assert run(act).repeated == 1 + FROZEN


def test_a_camera_that_gives_nothing_but_damaged_pictures_is_lost() -> None:
    async def act(camera: GrabbedCamera, script: Script) -> None:
        for number in range(1, 40):
            script.gives.put(Grabbed(number, None, why="packets are missing"))
        with pytest.raises(TransientError, match=r"packets are missing.*packet size"):
            await camera.next_frame(5)

    run(act)


def test_a_pulled_cable_is_noticed_though_the_line_stands_and_after_the_frames_before() -> None:
    async def act(camera: GrabbedCamera, script: Script) -> None:
        script.put(1)
        assert await camera.next_frame(5) is not None
        assert await camera.next_frame(0.3) is None
        script.left = (2,)
        script.gone = True
        assert await numbers_of(camera, 1) == [2]
        with pytest.raises(TransientError, match="the cable is out"):
            await camera.next_frame(5)

    run(act, alive_s=0.05)


def test_a_trigger_without_a_picture_is_noticed() -> None:
    async def act(camera: GrabbedCamera, script: Script) -> None:
        assert await camera.fire()
        script.put(1)
        assert await numbers_of(camera, 1) == [1]
        assert await camera.next_frame(0.3) is None
        await camera.trigger()
        with pytest.raises(TransientError, match="was fired and gave no picture"):
            await camera.next_frame(5)

    run(act, trigger="software", answer_s=0.15)


def test_it_fires_by_itself_where_the_config_says_so() -> None:
    async def act(camera: GrabbedCamera, script: Script) -> None:
        end = time.monotonic() + 5
        while script.fired < 5:
            assert time.monotonic() < end
            await asyncio.sleep(0.001)

    run(act, trigger="software", interval_s=0.01)


def test_an_sdk_that_hangs_is_given_up_and_not_entered_twice() -> None:
    script = Script()
    script.hang = threading.Event()
    camera = GrabbedCamera("cam", GrabberConfig(open_s=0.05), lambda: script, "the script")

    async def scenario() -> None:
        with pytest.raises(TransientError, match="did not start within"):
            await camera.open()
        with pytest.raises(TransientError, match="has not let go"):
            await camera.open()
        assert script.hang is not None
        script.hang.set()
        for thread in threading.enumerate():
            if thread.name == "camera-cam":
                await asyncio.to_thread(thread.join, 5)
        await camera.open()
        await camera.close()

    asyncio.run(scenario())
    assert script.stops == 2


def test_a_setting_that_is_refused_says_so_when_it_is_opened() -> None:
    script = Script()
    script.refuses = ConfigError("no node Foo")
    camera = GrabbedCamera("cam", GrabberConfig(), lambda: script, "the script")

    async def scenario() -> None:
        with pytest.raises(ConfigError, match="Foo"):
            await camera.open()
        with pytest.raises(TransientError, match="not open"):
            await camera.next_frame(1)

    asyncio.run(scenario())
    assert script.stops == 1


def test_the_supervisor_opens_it_again_after_its_cable_was_out() -> None:
    scripts: list[Script] = []

    def make() -> Script:
        scripts.append(Script())
        scripts[-1].put(1, 2)
        return scripts[-1]

    camera = GrabbedCamera("cam", GrabberConfig(), make, "the script")
    health = Health("cam", "camera")
    states: list[str] = []
    counters: list[int] = []
    done = asyncio.Event()

    async def work() -> None:
        while True:
            frame = await camera.next_frame(1)
            if frame is not None:
                counters.append(frame.counter)
            if len(counters) == 2:
                scripts[0].gives.put(LOST)
            if len(counters) == 4:
                done.set()

    async def changed(now: Health) -> None:
        states.append(now.state)

    async def scenario() -> None:
        task = asyncio.create_task(Session(camera, health, work, changed).run())
        async with asyncio.timeout(10):
            await done.wait()
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(scenario())
    assert counters == [1, 2, 1, 2]
    assert states == ["ok", "lost", "ok"]


# ---------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("from_zero", "block_ids", "numbers"),
    [
        (True, [0, 1, 2, 70_000], [1, 2, 3, 70_001]),
        (False, [1, 2, 5], [1, 2, 5]),
        # GigE Vision 1: 16 bits, without 0.
        (False, [65_534, 65_535, 1, 2], [65_534, 65_535, 65_536, 65_537]),
        (False, [65_533, 3, 65_535, 1], [65_533, 65_538, 131_070, 131_071]),
        # One that was switched off and on counts anew.
        (False, [500, 1, 2], [500, 1, 2]),
    ],
)
def test_block_ids_become_a_count(
    from_zero: bool, block_ids: list[int], numbers: list[int]
) -> None:
    ids = BlockIds(from_zero=from_zero)
    assert [ids.number(one) for one in block_ids] == numbers


# ----------------------------------------------------------------------------------------- pixels


def test_grey_rows_lose_their_padding_and_become_a_picture_of_their_own() -> None:
    buffer = bytearray(range(32))
    image = grey(buffer, 6, 4, 2, MONO8)
    assert image.tolist() == [list(range(8 * row, 8 * row + 6)) for row in range(4)]
    buffer[:] = bytes(32)
    assert image[3, 5] == 29


@pytest.mark.parametrize(
    ("pixel_format", "bits"),
    [(0x01100003, 10), (0x01100005, 12), (0x01100025, 14), (0x01100007, 16)],
)
def test_deep_pixels_keep_their_upper_bits(pixel_format: int, bits: int) -> None:
    words = np.array([[0, 1 << (bits - 1), (1 << bits) - 1]], "<u2")
    assert grey(words.tobytes(), 3, 1, 0, pixel_format).tolist() == [[0, 128, 255]]


@pytest.mark.parametrize(
    ("pixel_format", "pixel"),
    [
        (0x02180014, (255, 0, 0)),
        (0x02180015, (0, 0, 255)),
        (0x02200016, (255, 0, 0, 9)),
        (0x02200017, (0, 0, 255, 9)),
    ],
)
def test_red_is_as_dark_in_every_order_of_colours(
    pixel_format: int, pixel: tuple[int, ...]
) -> None:
    data = bytes(pixel) * 6
    assert np.all(grey(data, 3, 2, 0, pixel_format) == 76)


@pytest.mark.parametrize(
    ("pixel_format", "red_at"),
    [(0x01080009, (0, 0)), (0x01080008, (0, 1)), (0x0108000A, (1, 0)), (0x0108000B, (1, 1))],
)
def test_a_red_scene_through_a_bayer_filter_is_as_dark_in_every_pattern(
    pixel_format: int, red_at: tuple[int, int]
) -> None:
    raw = np.zeros((12, 12), np.uint8)
    raw[red_at[0] :: 2, red_at[1] :: 2] = 255
    inner = grey(raw.tobytes(), 12, 12, 0, pixel_format)[3:9, 3:9]
    assert abs(float(inner.mean()) - 76) < 3


@pytest.mark.parametrize(
    ("size", "pixel_format", "words"),
    [
        ((6, 4), 0x010C0006, "Mono8"),  # Mono12Packed
        ((6, 5), MONO8, "24 bytes"),
        ((0, 4), MONO8, "claims"),
        ((99_999, 99_999), MONO8, "claims"),
        ((6, 4), 0x01100005, "24 bytes"),
    ],
)
def test_a_buffer_that_is_no_picture_of_ours_is_refused(
    size: tuple[int, int], pixel_format: int, words: str
) -> None:
    with pytest.raises(PictureError, match=words):
        grey(bytes(24), *size, 0, pixel_format)


@pytest.mark.parametrize(
    "wrong",
    [
        {"roi": (0, 0, 0, 5)},
        {"roi": (-1, 0, 5, 5)},
        {"trigger_line": ""},
        {"trigger": "button"},
        {"nodes": (("a b", 1),)},
        {"exposure_us": 0},
        {"interval_s": 1},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        GrabberConfig(**wrong)  # type: ignore[arg-type]
