"""Which cameras of a site file leave pictures on disk: none that could show a secret code."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.app.lines import LineBuilder, Pictures, RealDevices
from agent.config import load
from agent.core.errors import ConfigError
from agent.store.database import Database
from agent.store.gate import Gate
from agent.store.writer import Writer
from agent.vision.evidence import EvidenceWriter
from agent.vision.workers import VisionWorkers

LIQUOR = Path(__file__).parents[2] / "config" / "liquor.toml"


@contextmanager
def kept(folder: Path, site_text: str) -> Iterator[dict[str, bool]]:
    """For each camera whether it leaves pictures."""
    path = folder / "site.toml"
    path.write_text(site_text, "utf-8")
    site = load(path)
    database = Database.open(folder / "store.db", folder / "store.key")
    vision, evidence = VisionWorkers(1), EvidenceWriter(0)
    try:
        gate = Gate(Writer(database.conn), [line.plan() for line in site.lines])
        builder = LineBuilder(
            site, None, RealDevices(vision), Pictures(evidence, folder / "pictures")
        )
        watches = [w for line in site.lines for w in builder.build(line, gate).runner.watches]
        yield {watch.reader.id: watch.evidence is not None for watch in watches}
    finally:
        asyncio.run(vision.close())
        evidence.close()
        database.close()


def test_cameras_of_secret_codes_keep_no_pictures(tmp_path: Path) -> None:
    with kept(tmp_path, LIQUOR.read_text("utf-8")) as cameras:
        assert cameras.pop("cap") is False
        assert all(cameras.values())
        assert len(cameras) >= 5


def test_a_person_who_wants_them_says_so_in_the_site_file(tmp_path: Path) -> None:
    text = LIQUOR.read_text("utf-8")
    wanted = text.replace('device = "cap",', 'device = "cap", evidence = { secret = true },')
    assert wanted != text
    with kept(tmp_path, wanted) as cameras:
        assert cameras["cap"] is True


@pytest.mark.parametrize("bad", ["{ megabytes = 0 }", "{ days = 0 }", "{ keep = 1 }"])
def test_a_wrong_bound_is_refused_with_its_line(tmp_path: Path, bad: str) -> None:
    text = LIQUOR.read_text("utf-8")
    wrong = text.replace('device = "cap",', f'device = "cap", evidence = {bad},')
    with pytest.raises(ConfigError, match=r"site\.toml:\d+: .*evidence"), kept(tmp_path, wrong):
        pass
