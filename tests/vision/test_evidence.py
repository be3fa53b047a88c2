"""Pictures that prove how a camera read: kept within their bounds, and never in a verdict's way."""

import json
import logging
import os
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.ports.reading import Decoded, Image, Read
from agent.vision.evidence import (
    QUEUE,
    CameraEvidence,
    EvidenceSettings,
    EvidenceWriter,
    sidecar,
)

DAY = 86_400_000
NOW = time.time_ns() // 1_000_000
GOOD = Decoded((Read("CODE-1", "]Q1", (), "half"),), 0.004)
FAILED = Decoded((), 0.015, late=True)


def picture(seed: int = 0, edge: int = 200) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (edge, edge), np.uint8)


class Shelf:
    """A writer, a camera, and what lies in its folder."""

    def __init__(self, folder: Path, settings: EvidenceSettings, reserve: int = 0) -> None:
        self.folder = folder
        self.writer = EvidenceWriter(reserve)
        self.camera: CameraEvidence = self.writer.camera(folder, "verify", settings)

    def offer(
        self, number: int, failed: bool = True, at: int | None = None, edge: int = 200
    ) -> None:
        decoded = FAILED if failed else GOOD
        wall = NOW + number if at is None else at
        self.camera.offer(picture(number, edge), decoded, number, wall, failed=failed)

    def settle(self) -> list[str]:
        """Everything that was offered is written or lost."""
        self.writer.close(10)
        return sorted(path.name for path in self.folder.glob("*.jpg"))


def numbers(names: list[str]) -> list[int]:
    return [int(name.split("-")[1]) for name in names]


def test_every_failed_and_every_nth_good_picture_is_kept_with_what_was_read(
    tmp_path: Path,
) -> None:
    shelf = Shelf(tmp_path / "cam", EvidenceSettings(good_every=4))
    for number in range(1, 10):
        shelf.offer(number, failed=False)
    shelf.offer(10)
    names = shelf.settle()
    assert numbers(names) == [1, 5, 9, 10]
    image = cv2.imread(str(shelf.folder / names[0]), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    assert image.shape == (200, 200)
    good, bad = sidecar(shelf.folder / names[0]), sidecar(shelf.folder / names[-1])
    assert good is not None
    assert bad is not None
    assert (good.station, good.number, good.texts, good.attempts) == (
        "verify",
        1,
        ("CODE-1",),
        ("half",),
    )
    assert (bad.failed, bad.late, bad.texts, bad.ms) == (True, True, (), 15.0)
    # Nobody else on the machine reads them.
    assert {path.stat().st_mode & 0o777 for path in shelf.folder.iterdir()} == {0o600}
    assert shelf.folder.stat().st_mode & 0o777 == 0o700
    assert shelf.camera.counts.kept == 4


@pytest.mark.parametrize(
    ("failed", "good_every", "kept"), [(False, 0, 0), (True, 0, 1), (False, 1, 1)]
)
def test_what_is_not_wanted_is_not_kept(
    tmp_path: Path, failed: bool, good_every: int, kept: int
) -> None:
    shelf = Shelf(tmp_path / "cam", EvidenceSettings(failed=failed, good_every=good_every))
    shelf.offer(1)
    shelf.offer(2, failed=False)
    assert len(shelf.settle()) == kept
    assert shelf.camera.counts.written == kept


def test_the_ring_is_bounded_by_size_and_the_oldest_goes(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "cam", EvidenceSettings(megabytes=1))
    for number in range(12):  # of about 230 kB each
        while shelf.camera.counts.written < number:
            time.sleep(0.001)
        shelf.offer(number, edge=500)
    names = shelf.settle()
    assert numbers(names) == list(range(12))[-len(names) :]
    assert 2 < len(names) < 6
    total = sum(path.stat().st_size for path in shelf.folder.iterdir())
    assert total == shelf.camera.counts.bytes <= 1_000_000
    assert {path.suffix for path in shelf.folder.iterdir()} == {".jpg", ".json"}
    assert len(list(shelf.folder.iterdir())) == 2 * len(names)


def test_a_later_run_goes_on_with_the_ring_and_removes_what_is_too_old(tmp_path: Path) -> None:
    settings = EvidenceSettings(days=2)
    first = Shelf(tmp_path / "cam", settings)
    first.offer(1, at=NOW - 3 * DAY)
    first.offer(2, at=NOW - DAY)
    first.settle()
    (first.folder / "20260101T000000000-7-failed.json").write_text("{}")  # its picture is gone
    (first.folder / "x.draft").write_text("half a picture")
    (first.folder / "notes.txt").write_text("not ours")
    second = Shelf(tmp_path / "cam", settings)
    second.offer(3)
    assert numbers(second.settle()) == [2, 3]
    assert {
        path.name for path in second.folder.iterdir() if path.suffix not in (".jpg", ".json")
    } == {"notes.txt"}
    assert len(list(second.folder.glob("*.json"))) == 2


def test_what_is_too_old_goes_though_nothing_new_comes(tmp_path: Path) -> None:
    settings = EvidenceSettings(days=2)
    first = Shelf(tmp_path / "cam", settings)
    first.offer(1, at=NOW - DAY)
    first.settle()
    old = next(first.folder.glob("*.jpg"))
    then = "20200101T000000000-1-failed"
    old.with_suffix(".json").rename(first.folder / f"{then}.json")
    old.rename(first.folder / f"{then}.jpg")
    second = Shelf(tmp_path / "cam", settings)
    end = time.monotonic() + 10
    while list(second.folder.iterdir()):
        assert time.monotonic() < end
        time.sleep(0.01)
    second.settle()


def test_large_pictures_fill_no_memory(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "cam", EvidenceSettings())
    image: Image = np.zeros((5000, 5000), np.uint8)  # 25 MB each
    for number in range(10):
        shelf.camera.offer(image, FAILED, number, NOW + number, failed=True)
    shelf.settle()
    assert shelf.camera.counts.lost >= 10 - 2 - 2  # 64 MB hold two, and one or two were written


def test_a_burst_is_lost_and_said_but_nobody_waits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Shelf(tmp_path / "cam", EvidenceSettings())
    with caplog.at_level(logging.WARNING):
        start = time.monotonic()
        for number in range(120):
            shelf.offer(number, edge=1000)
        offered = time.monotonic() - start
        names = shelf.settle()
    making = time.monotonic()
    for number in range(120):
        picture(number, 1000)
    making = time.monotonic() - making
    counts = shelf.camera.counts
    assert counts.lost > 0
    assert counts.written + counts.lost == 120
    assert len(names) == counts.written >= QUEUE
    assert offered < 3 * making + 0.5  # to make the pictures takes longer than to offer them
    assert "not kept" in caplog.text
    assert caplog.text.count("not kept") <= 1 + caplog.text.count("kept again")


def test_a_disk_that_is_nearly_full_gets_nothing_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Shelf(tmp_path / "cam", EvidenceSettings(), reserve=1 << 60)
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            shelf.offer(number)
        assert shelf.settle() == []
    assert shelf.camera.counts.lost == 3
    assert caplog.text.count("are free on the disk") == 1


def test_a_folder_that_cannot_be_written_loses_pictures_and_comes_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cam").write_text("a file where the folder should be")
    shelf = Shelf(tmp_path / "cam", EvidenceSettings())
    with caplog.at_level(logging.WARNING):
        shelf.offer(1)
        while not shelf.camera.counts.lost:
            time.sleep(0.001)
        os.unlink(tmp_path / "cam")
        shelf.offer(2)
        assert numbers(shelf.settle()) == [2]
    assert "kept again; 1 were lost" in caplog.text


def test_a_broken_sidecar_is_none(tmp_path: Path) -> None:
    path = tmp_path / "20260101T000000000-7-failed.jpg"
    assert sidecar(path) is None
    for broken in ("", "{}", "[]", json.dumps({"texts": 1})):
        path.with_suffix(".json").write_text(broken)
        assert sidecar(path) is None
