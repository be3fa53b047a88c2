"""What is installed beside the program: the units, judged by systemd, and the broker's
configuration, run by the broker itself."""

import asyncio
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.errors import CaselinkError
from sync.mqtt import Broker, Connection
from tests.sync.brokers import BrokerProcess, mosquitto, needs_mosquitto, running
from tests.sync.certificates import make

ROOT = Path(__file__).resolve().parents[2]
UNITS = sorted((ROOT / "systemd").glob("*.service"))
ANALYZE = shutil.which("systemd-analyze")
COMMAND = Path(sys.executable).with_name("caselink")

needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")


def analyze(*given: str) -> subprocess.CompletedProcess[str]:
    assert ANALYZE is not None
    return subprocess.run(
        [ANALYZE, *given], capture_output=True, text=True, timeout=60, check=False
    )


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_accepts_the_unit_and_finds_its_program(unit: Path, tmp_path: Path) -> None:
    text = unit.read_text()
    start = re.search(r"^ExecStart=(\S+)", text, re.MULTILINE)
    assert start is not None
    # What install.md makes of /opt/caselink is here the environment of the tests.
    installed = tmp_path / unit.name
    installed.write_text(text.replace(start[1], str(COMMAND)))
    done = analyze("verify", str(installed))
    problems = [line for line in done.stderr.splitlines() if unit.stem in line]
    assert (done.returncode, problems) == (0, []), done.stderr
    missing = tmp_path / f"missing-{unit.name}"
    missing.write_text(text.replace(start[1], str(tmp_path / "nothing")))
    assert analyze("verify", str(missing)).returncode != 0


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_the_unit_is_hardened(unit: Path, tmp_path: Path) -> None:
    done = analyze("security", "--offline=true", "--threshold=20", str(unit))
    assert done.returncode == 0, done.stdout[-400:]
    plain = tmp_path / unit.name
    kept = ("[", "ExecStart", "Type", "Description")
    lines = [line for line in unit.read_text().splitlines() if line.startswith(kept)]
    plain.write_text("\n".join(lines) + "\n")
    assert analyze("security", "--offline=true", "--threshold=20", str(plain)).returncode != 0


# ------------------------------------------------------------------------------------ the broker


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[tuple[BrokerProcess, Path]]:
    """mosquitto with the shipped configuration; only paths and the port are of this test."""
    certs = tmp_path / "certs"
    make(certs, "edge-1", ("edge-2", "caselink-cloud"))
    kept = tmp_path / "kept"
    kept.mkdir()
    text = (ROOT / "config" / "mosquitto.conf").read_text()
    for shipped, here in (
        ("/etc/mosquitto/certs/ca.crt", certs / "ca.pem"),
        ("/etc/mosquitto/certs/broker.crt", certs / "server.pem"),
        ("/etc/mosquitto/certs/broker.key", certs / "server.key"),
        ("/etc/mosquitto/caselink.acl", ROOT / "config" / "mosquitto.acl"),
        ("/var/lib/mosquitto/", f"{kept}/"),
    ):
        assert shipped in text, shipped
        text = text.replace(shipped, str(here))
    general, _, listener = text.partition("listener 8883\n")
    listening = [line for line in listener.splitlines() if line and not line.startswith("#")]
    ours = ("cafile", "certfile", "keyfile", "tls_", "require_", "use_")
    of_listener = [line for line in listening if line.startswith(ours)]
    rest = [line for line in listening if not line.startswith(ours)]
    found = mosquitto(tmp_path, lines=[*general.splitlines(), *rest], listener=of_listener)
    with running(found):
        yield found, certs


def as_client(broker: BrokerProcess, certs: Path, name: str) -> Broker:
    file = "client" if name == "edge-1" else name
    return Broker(
        broker.url.replace("mqtt:", "mqtts:"),
        name,
        ca=certs / "ca.pem",
        cert=certs / f"{file}.pem",
        key=certs / f"{file}.key",
    )


@needs_mosquitto
def test_an_agent_speaks_and_hears_in_its_own_tree_only(
    broker: tuple[BrokerProcess, Path],
) -> None:
    async def main() -> None:
        cloud = Connection(as_client(*broker, "caselink-cloud"))
        await cloud.open()
        await cloud.subscribe("$share/all/cl/v1/+/+/+/evt")
        one, two = (
            Connection(as_client(*broker, "edge-1")),
            Connection(as_client(*broker, "edge-2")),
        )
        await one.open()
        await two.open()
        await one.subscribe("cl/v1/brand/plant/edge-1/ack")
        await one.publish("cl/v1/brand/plant/edge-1/evt", b"mine")
        await one.settle()
        heard = await cloud.next_message(10.0)
        assert heard is not None
        assert (heard.topic, heard.payload) == ("cl/v1/brand/plant/edge-1/evt", b"mine")
        await cloud.publish("cl/v1/brand/plant/edge-1/ack", b"got it")
        answer = await one.next_message(10.0)
        assert answer is not None
        assert answer.payload == b"got it"
        # MQTT 5 says so when a publish is denied; 3.1.1 would call it a success.
        for topic in (
            "cl/v1/brand/plant/edge-1/evt",  # of another agent
            "cl/v1/other/plant/edge-2/evt",  # of another tenant
            "cl/v1/brand/plant/edge-2/ack",  # the cloud's
        ):
            await two.publish(topic, b"forged")
            with pytest.raises(CaselinkError):
                await two.settle()
            two = Connection(as_client(*broker, "edge-2"))
            await two.open()
        assert await cloud.next_message(0.3) is None
        for each in (one, two, cloud):
            await each.close()

    asyncio.run(main())


@needs_mosquitto
def test_who_shows_no_certificate_is_not_let_in(broker: tuple[BrokerProcess, Path]) -> None:
    found, certs = broker

    async def main() -> None:
        stranger = Connection(
            Broker(found.url.replace("mqtt:", "mqtts:"), "edge-1", ca=certs / "ca.pem")
        )
        with pytest.raises(CaselinkError):
            await stranger.open()
        await stranger.close()

    asyncio.run(main())
