"""A folder as a camera: order, counters, what becomes of a file, and files that are none."""

import asyncio
import logging
import os
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from agent.core.errors import ConfigError, TransientError
from agent.ports.reading import Frame, FrameSource
from drivers.cameras.folder import FolderCamera, FolderConfig
from drivers.context import DeviceContext


def put(folder: Path, name: str, shade: int = 100) -> Path:
    path = folder / name
    cv2.imwrite(str(path), np.full((20, 30), shade, np.uint8))
    return path


def camera(folder: Path, **options: object) -> FolderCamera:
    config = FolderConfig(path=folder, interval_s=0.01, **options)  # type: ignore[arg-type]
    return FolderCamera("cam", config, DeviceContext())


def frames(source: FrameSource, most: int = 50) -> list[Frame]:
    """Everything that is there now."""

    async def run() -> list[Frame]:
        await source.open()
        try:
            taken: list[Frame] = []
            while len(taken) < most and (frame := await source.next_frame(0.05)) is not None:
                taken.append(frame)
            return taken
        finally:
            await source.close()

    return asyncio.run(run())


def test_pictures_come_in_the_order_of_their_names_with_the_number_in_it(tmp_path: Path) -> None:
    for number in (3, 1, 12, 2):
        put(tmp_path, f"cam1_{number:04d}.bmp", shade=number)
    taken = frames(camera(tmp_path))
    assert [frame.counter for frame in taken] == [1, 2, 3, 12]
    assert [int(frame.image[0, 0]) for frame in taken] == [1, 2, 3, 12]
    assert taken[0].image.shape == (20, 30)
    assert taken[0].camera_time is None, "a file's time is not that of the exposure"


def test_by_order_the_counter_counts(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "c.JPG"):
        put(tmp_path, name)
    source = camera(tmp_path, counter="order")
    assert [frame.counter for frame in frames(source)] == [1, 2, 3]
    put(tmp_path, "d.pgm")
    assert [frame.counter for frame in frames(source)] == [4]


def test_no_file_is_taken_twice_while_it_is_kept(tmp_path: Path) -> None:
    put(tmp_path, "2.bmp")
    source = camera(tmp_path)
    assert len(frames(source)) == 1
    assert frames(source) == []
    put(tmp_path, "1.bmp")  # a smaller name than the last one
    assert [frame.counter for frame in frames(source)] == [1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.bmp", "2.bmp"]


def test_a_name_that_was_gone_in_the_meantime_is_a_new_picture(tmp_path: Path) -> None:
    source = camera(tmp_path)
    for _ in range(2):
        path = put(tmp_path, "1.bmp")
        assert [frame.counter for frame in frames(source)] == [1]
        path.unlink()
        assert frames(source) == []


def test_files_are_deleted_or_moved_when_asked_for(tmp_path: Path) -> None:
    inbox, done = tmp_path / "in", tmp_path / "a" / "done"
    inbox.mkdir()
    put(inbox, "1.bmp")
    assert len(frames(camera(inbox, after="delete"))) == 1
    assert list(inbox.iterdir()) == []
    put(inbox, "2.bmp")
    assert len(frames(camera(inbox, after="move", move_to=done))) == 1
    assert list(inbox.iterdir()) == []
    assert [path.name for path in done.iterdir()] == ["2.bmp"]


def test_a_file_that_is_still_growing_holds_up_those_after_it(tmp_path: Path) -> None:
    async def run() -> None:
        whole = put(tmp_path, "x1.bmp", 1).read_bytes()
        put(tmp_path, "x2.bmp", 2)
        (tmp_path / "x1.bmp").write_bytes(whole[:300])
        source = camera(tmp_path, settle_s=30)
        await source.open()
        assert await source.next_frame(0.1) is None
        (tmp_path / "x1.bmp").write_bytes(whole)
        counters = []
        for _ in range(2):
            frame = await source.next_frame(5)
            assert frame is not None
            counters.append(frame.counter)
        assert counters == [1, 2]
        await source.close()

    asyncio.run(run())


def test_a_file_that_stays_no_picture_is_left_out_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "1.bmp").write_bytes(b"no picture")
    (tmp_path / "2.bmp").write_bytes(b"")
    put(tmp_path, "name.bmp")
    (tmp_path / "readme.txt").write_text("hello")
    (tmp_path / "5.bmp").mkdir()
    cv2.imwrite(str(tmp_path / "6.bmp"), np.zeros((100, 100), np.uint8))  # a picture, too large
    put(tmp_path, "7.bmp")
    source = camera(tmp_path, settle_s=0, max_bytes=3000)
    with caplog.at_level(logging.WARNING):
        assert [frame.counter for frame in frames(source)] == [7]
        assert frames(source) == []
    assert source.skipped == 4
    assert len(caplog.records) == 1
    assert "1.bmp" in caplog.text


def test_left_out_files_leave_a_gap_in_the_order(tmp_path: Path) -> None:
    put(tmp_path, "a.bmp")
    (tmp_path / "b.bmp").write_bytes(b"x")
    put(tmp_path, "c.bmp")
    source = camera(tmp_path, counter="order", settle_s=0)
    assert [frame.counter for frame in frames(source)] == [1, 3]


def test_a_clock_that_is_ahead_does_not_hold_up_the_line(tmp_path: Path) -> None:
    (tmp_path / "1.bmp").write_bytes(b"x")
    put(tmp_path, "2.bmp")
    os.utime(tmp_path / "1.bmp", (time.time() + 9e5, time.time() + 9e5))
    assert [frame.counter for frame in frames(camera(tmp_path))] == [2]


def test_a_file_that_arrives_is_taken_while_we_wait(tmp_path: Path) -> None:
    async def run() -> None:
        source = camera(tmp_path)
        await source.open()
        waiting = asyncio.ensure_future(source.next_frame(5))
        await asyncio.sleep(0)
        temporary = put(tmp_path, "9.tmp.bmp")
        temporary.rename(tmp_path / "9.bmp")
        frame = await waiting
        assert frame is not None
        assert frame.counter == 9
        await source.close()

    asyncio.run(run())


def test_a_folder_that_is_not_there_is_said_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match="mounted"):
        frames(camera(tmp_path / "none"))
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="folder"):
        frames(camera(tmp_path, after="move", move_to=tmp_path / "file"))

    async def gone() -> None:
        folder = tmp_path / "usb"
        folder.mkdir()
        source = camera(folder)
        await source.open()
        folder.rmdir()
        with pytest.raises(TransientError, match="cannot be used"):
            await source.next_frame(1)
        await source.close()
        with pytest.raises(TransientError, match="not open"):
            await source.next_frame(1)

    asyncio.run(gone())


@pytest.mark.parametrize(
    "wrong", [{"after": "move"}, {"move_to": "/x"}, {"after": "burn"}, {"unknown": 1}]
)
def test_a_config_that_makes_no_sense_is_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        FolderConfig(path=tmp_path, **wrong)  # type: ignore[arg-type]
