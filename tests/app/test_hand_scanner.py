"""A hand scanner of a site file at its station: from the keys that it types to the line's state."""

import asyncio
from pathlib import Path

import pytest

from agent.app.lines import LineBuilder, Pictures, RealDevices
from agent.app.site import check_devices
from agent.config import load
from agent.core.errors import ConfigError
from agent.store.database import Database
from agent.store.gate import Gate
from agent.store.writer import Writer
from agent.vision.evidence import EvidenceWriter
from agent.vision.workers import VisionWorkers
from drivers.sim.keyboard import KeyboardFifo

LIQUOR = Path(__file__).parents[2] / "config" / "liquor.toml"
BOXER = 'id = "boxer"\n'
DEVICE = '\n[devices.gun]\ntype = "hid_scanner"\ngrab = false\npath = "%s"\n'


def site_text(path: str, scanner: str = '{ device = "gun", by = "li", pause_s = 0.5 }') -> str:
    text = LIQUOR.read_text("utf-8")
    assert BOXER in text
    return text.replace(BOXER, f"{BOXER}scanners = [{scanner}]\n") + DEVICE % path


def test_a_scan_that_the_core_refuses_stands_in_the_lines_state(tmp_path: Path) -> None:
    async def scenario() -> None:
        gun = KeyboardFifo(tmp_path / "kbd")
        path = tmp_path / "site.toml"
        path.write_text(site_text(await gun.start()), "utf-8")
        site = load(path)
        assert check_devices(site, path) == []
        database = Database.open(tmp_path / "store.db", tmp_path / "store.key")
        writer = Writer(database.conn)
        vision, evidence = VisionWorkers(1), EvidenceWriter(0)
        writer.start()
        gate = Gate(writer, [line.plan() for line in site.lines])
        builder = LineBuilder(site, None, RealDevices(vision), Pictures(evidence, tmp_path))
        line = builder.build(site.lines[0], gate)
        work = {
            asyncio.create_task(coroutine, name=name)
            for name, coroutine in line.work().items()
            if name in ("gun", "writer") or coroutine.close()
        }
        try:
            async with asyncio.timeout(20):
                gun.read("https://q.example.cn/Nobody", "CASELINK-COMPLETE")
                alarms: list[tuple[str, str, str]] = []
                while not alarms:
                    await asyncio.sleep(0.01)
                    state = await gate.view(line.section.id, lambda state: state)
                    alarms = [
                        (alarm.key, alarm.station, dict(alarm.args)["error"])
                        for alarm in state.alarms.values()
                    ]
            ((key, station, error),) = alarms
            assert (key, station) == ("scan_refused", "boxer")
            assert "https://q.example.cn/Nobody" in error
        finally:
            for task in work:
                task.cancel()
            await asyncio.wait(work)
            await vision.close()
            evidence.close()
            writer.close()
            database.close()
            await gun.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('{ device = "gun"', '{ device = "cap"'), "used twice"),
        (('{ device = "gun"', '{ device = "nothing"'), "not described"),
        (("pause_s = 0.5", "pause_s = 0"), "pause_s"),
    ],
)
def test_a_scanner_that_cannot_be_is_refused(
    tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    path = tmp_path / "site.toml"
    path.write_text(site_text("/dev/input/by-id/x").replace(*change), "utf-8")
    with pytest.raises(ConfigError, match=words):
        load(path)


def test_a_printer_is_no_scanner_and_a_coder_has_no_containers(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    wrong = site_text("/dev/input/by-id/x").replace(
        'type = "hid_scanner"\ngrab = false\npath = "/dev/input/by-id/x"',
        'type = "text_coder"\naddress = "tcp://h:1"\nprofile = "generic-queue"',
    )
    path.write_text(wrong, "utf-8")
    (problem,) = check_devices(load(path), path)
    assert "gun is a printer; name a reader here" in problem
    text = LIQUOR.read_text("utf-8") + DEVICE % "/dev/input/by-id/x"
    station = 'kind = "verify"\n'
    scanners = f'{station}scanners = [{{ device = "gun" }}]\n'
    path.write_text(text.replace(station, scanners, 1), "utf-8")
    with pytest.raises(ConfigError, match="containers to scan by hand"):
        load(path)
