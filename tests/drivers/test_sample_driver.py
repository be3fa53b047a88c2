"""A driver of somebody else (docs/write-a-driver.md): one file, one line, and it runs in the
agent."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from agent.core.errors import ConfigError
from agent.demo.scene import free_ports
from drivers import registry
from tests.drivers.sample.plant_reader import Codec
from tests.e2e.test_agent import wait_for

SAMPLE = Path(__file__).parent / "sample"
SITE = """
[agent]
id = "test"

[web]
port = {web}

[products.P]
names = {{ en = "P" }}

[schemes.s]
levels = [
  {{ name = "bottle", primary = "body", roles = ["body"] }},
  {{ name = "case", primary = "case-outer", roles = ["case-outer"], children = 2 }},
]

[devices.plc]
type = "modbus"
address = "tcp://127.0.0.1:{plc}"

[devices.gate-reader]
type = "plant_reader"
address = "tcp://127.0.0.1:{reader}"

[[lines]]
id = "L1"
plc = "plc"

[[lines.stations]]
id = "verify"
index = 0
kind = "verify"
level = "bottle"
readers = [{{ device = "gate-reader", roles = ["body"] }}]
"""


def program(*words: str) -> subprocess.Popen[str]:
    """`caselink` in an environment where the package is installed."""
    return subprocess.Popen(
        [sys.executable, "-m", "agent.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SAMPLE)},
    )


def test_the_page_shows_the_file_that_is_tested() -> None:
    page = Path("docs/write-a-driver.md").read_text("utf-8")
    assert (SAMPLE / "plant_reader.py").read_text("utf-8") in page
    points = (SAMPLE / "plant_reader-1.0.dist-info" / "entry_points.txt").read_text("utf-8")
    assert points.split("= ")[1].strip() in page


def test_a_type_of_an_installed_package_is_known_and_its_mistakes_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(SAMPLE))
    assert "plant_reader" in registry.known_types()
    assert registry.kind_of({"type": "plant_reader"}) == "reader"
    with pytest.raises(ConfigError, match="unknown key 'adress'"):
        registry.check("d", {"type": "plant_reader", "adress": "tcp://h:1"})
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[caselink.devices]\nnowhere = not_there_at_all:ENTRY\nstrange = json:dumps\nzpl = json:x\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match="not_there_at_all:ENTRY, which cannot be loaded"):
        registry.check("d", {"type": "nowhere"})
    with pytest.raises(ConfigError, match=r"json:dumps, which is not a drivers\.registry\.Entry"):
        registry.check("d", {"type": "strange"})
    assert registry.entry_of("zpl") is registry.TYPES["zpl"], "ours cannot be taken"


def test_its_codec_takes_bytes_at_any_split() -> None:
    said = b"CODE A1;NONE;" + b"x" * 10_000 + b";CODE B2;"
    codec, found = Codec(), list[str]()
    for n in range(len(said)):
        found += codec.feed(said[n : n + 1])
    assert [found[0], found[1], found[-1]] == ["CODE A1", "NONE", "CODE B2"]


@pytest.fixture
def site(tmp_path: Path) -> tuple[Path, int, int]:
    web, plc, reader = free_ports(3)
    path = tmp_path / "site.toml"
    path.write_text(SITE.format(web=web, plc=plc, reader=reader), "utf-8")
    return path, web, reader


def test_it_runs_in_the_agent_and_is_listed(site: tuple[Path, int, int]) -> None:
    path, web, port = site
    listing = program("device", "list", "--types", "--json")
    agent = program("run", "--config", str(path))
    try:
        out, _ = listing.communicate(timeout=60)
        found = {each["type"]: each for each in json.loads(out)}
        assert found["plant_reader"]["kind"] == "reader"
        assert agent.stdout is not None
        line = agent.stdout.readline()
        while "ready" not in line:
            assert line, "the agent did not start"
            line = agent.stdout.readline()

        def device() -> dict[str, object]:
            told = httpx.get(f"http://127.0.0.1:{web}/api/devices").json()["devices"]
            return next(each for each in told if each["id"] == "gate-reader")

        wait_for(lambda: device()["state"] == "lost", "nobody is there")

        def heard() -> bool:
            told = httpx.get(f"http://127.0.0.1:{web}/api/devices/gate-reader/wire").json()
            return any("CODE 4711;" in each["text"] for each in told["entries"])

        with socket.create_server(("127.0.0.1", port)) as server:
            server.settimeout(20)
            talk, _ = server.accept()
            with talk:
                wait_for(lambda: device()["state"] == "ok", "it is there")
                talk.sendall(b"CODE 4711;\n")
                wait_for(heard, "nothing on the wire")
        wait_for(lambda: device()["state"] == "lost", "it is gone")
        assert re.search(r"gate-reader .*at tcp://", str(device()["error"]))
    finally:
        agent.terminate()
        agent.communicate(timeout=30)
