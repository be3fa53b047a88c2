"""A power cut at any call of the unmodified agent loses nothing that was promised and breaks
nothing; without the sync at each commit it does (tests/faults/power_cut.py, the long form)."""

import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.disk import Disk, Write
from tests.faults.power_cut import DEFENCE, cut
from tests.faults.recording import Promises, mutant, record

IMAGES, UNDEFENDED, BOTTLES = 1000, 100, 48


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_a_power_cut_loses_nothing_that_was_promised(tmp_path: Path) -> None:
    source = mutant(tmp_path / "source", DEFENCE, DEFENCE.replace("FULL", "OFF"))
    with ThreadPoolExecutor(2) as both:
        ours = both.submit(record, tmp_path / "run", BOTTLES)
        off = both.submit(record, tmp_path / "off", BOTTLES, agent=source)
    tally = cut(ours.result().calls, Promises(ours.result()), IMAGES, 1)
    assert (tally.lost, tally.corrupt) == (0, 0), tally.notes[:5]
    assert tally.images == IMAGES
    assert tally.promised > IMAGES / 2, "a run that promised little"
    without = cut(off.result().calls, Promises(off.result()), UNDEFENDED, 1)
    assert without.lost > UNDEFENDED / 10, f"a rehearsal that finds nothing: {without}"
    assert without.corrupt, f"a rehearsal that finds nothing: {without}"


def found(disk: Disk, seeds: int = 300) -> set[tuple[tuple[str, bytes], ...]]:
    """Every way in which the disk is found."""
    images = (disk.image(random.Random(seed))[1] for seed in range(seeds))
    return {tuple(sorted(image.items())) for image in images}


def test_what_was_synced_is_on_the_disk_and_the_rest_may_be() -> None:
    disk = Disk()
    disk.create("db")
    disk.sync_names()
    disk.write("db", Write(0, b"A" * 1024))
    disk.write("db", Write(1024, b"B" * 1024))
    assert disk.waiting("db") == 2
    disk.sync("db", 1)
    sure, more = b"A" * 1024, b"B" * 1024
    assert found(disk) == {(("db", each),) for each in (sure, sure + more, sure + more[:512])}
    disk.write("db", Write(512, None))
    assert (("db", sure[:512]),) in found(disk)
    disk.sync("db", 2)
    assert found(disk) == {(("db", sure[:512]),)}


def test_a_name_is_there_for_sure_when_its_directory_was_synced() -> None:
    disk = Disk()
    disk.create("key.new")
    disk.write("key.new", Write(0, b"key"))
    disk.sync("key.new", 1)
    disk.rename("key.new", "key")
    assert found(disk) == {(), (("key.new", b"key"),), (("key", b"key"),)}
    disk.sync_names()
    assert found(disk) == {(("key", b"key"),)}
    disk.remove("key")
    assert found(disk) == {(), (("key", b"key"),)}
