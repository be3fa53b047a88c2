"""A camera's print quality on a line that runs: measured beside it, raised and cleared as an alarm
of the record, shown in the feed, and named after what prints the codes."""

import asyncio
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.app.lines import LineBuilder, RealDevices
from agent.config import load
from agent.core import facts as f
from agent.core import inputs as i
from agent.core.errors import ConfigError
from agent.line.panel import excerpt
from agent.ports.reading import Image
from agent.store.database import Database
from agent.store.gate import Gate
from agent.store.writer import Writer
from agent.vision.quality_trend import LEAST
from agent.vision.quality_watch import QualityWatch
from agent.vision.workers import VisionWorkers
from drivers.sim.render import encode
from tests.line.test_bad_pictures import PITCH, Floor, picture

CONFIG = Path(__file__).parents[2] / "config"


def faded(item: int) -> Image:
    """The ink is nearly as light as the paper."""
    light: Image = (picture(item).astype(np.float32) * 0.25 + 160).astype(np.uint8)
    return light


async def ride(floor: Floor, look: Callable[[int], Image], until: Callable[[], bool]) -> None:
    """Items of this look until something is so."""
    end = time.monotonic() + 15
    while not until():
        assert time.monotonic() < end, floor.alarms()
        await floor.item(lambda item: encode(look(item)), ".bmp", ("pass", "late"))
        await asyncio.sleep(PITCH)


def shown(floor: Floor) -> dict[str, Any] | None:
    """What the live feed says of the camera's print quality."""
    snapshot = floor.built.panel.snapshot(excerpt(floor.line.state))
    (camera,) = [each for each in snapshot["devices"]["list"] if each["id"] == "cam"]
    found: dict[str, Any] | None = camera["quality"]
    return found


def test_fading_print_is_an_alarm_while_every_item_still_passes(tmp_path: Path) -> None:
    floor = Floor(tmp_path, "http", ", quality = { every = 1, window = 4 }")

    async def scene(floor: Floor) -> None:
        assert shown(floor) is None
        assert await floor.good() == "pass"
        await ride(floor, faded, lambda: ("quality_low", "raised") in floor.alarms())
        (raised,) = floor.facts(f.AlarmRaised)
        told = dict(raised.args)
        assert (raised.priority, raised.station, raised.key) == (2, "verify", "quality_low")
        assert (told["device"], told["parameter"]) == ("cam", "SC")
        assert told["letter"] in "DF"
        assert "printer" not in told, "these codes came printed"
        seen = shown(floor)
        assert seen is not None
        assert (seen["low"], seen["worst"], seen["limit"]) == (True, "SC", "C")
        assert len(seen["points"]) == seen["samples"] >= LEAST
        assert not [r for r in floor.facts(f.ItemRejected) if r.verdict != "late"]
        await ride(floor, picture, lambda: ("quality_low", "cleared") in floor.alarms())
        assert floor.only_own_codes()

    floor.play(scene)


def test_the_alarm_names_the_printer_of_the_codes(tmp_path: Path) -> None:
    site = load(CONFIG / "bottling.toml")
    vision = VisionWorkers(1)
    try:
        with closing(Database.open(tmp_path / "store.db", tmp_path / "store.key")) as database:
            gate = Gate(Writer(database.conn), [line.plan() for line in site.lines])
            builder = LineBuilder(site, None, RealDevices(vision), grading=vision)
            line = builder.build(site.lines[0], gate)
            makers = {s.device for s in line.runner.plan.stations if s.device}
            named = {}
            for watch in line.runner.watches:
                if not isinstance(watch.quality, QualityWatch):
                    continue
                watch.quality._low(True, {"parameter": "SC"})
                (told, _) = line.runner._urgent.get_nowait()
                assert isinstance(told, i.ConditionChanged)
                assert told.alarm == f"{line.runner.plan.id}/{watch.reader.id}/quality_low"
                named[watch.reader.id] = dict(told.args).get("printer")
    finally:
        asyncio.run(vision.close())
    assert set(named.values()) & makers, named


@pytest.mark.parametrize(
    "bad", ["{ every = -1 }", '{ limit = "E" }', "{ window = 0 }", "{ white = 0 }", "{ wite = 1 }"]
)
def test_a_wrong_key_is_refused_with_its_line(tmp_path: Path, bad: str) -> None:
    text = (CONFIG / "liquor.toml").read_text("utf-8")
    path = tmp_path / "site.toml"
    path.write_text(text.replace('device = "cap",', f'device = "cap", quality = {bad},'), "utf-8")
    with pytest.raises(ConfigError, match=r"site\.toml:\d+: .*quality"):
        load(path)
