"""What is installed beside the program: the units, judged by systemd, and the broker's
configuration, run by the broker itself."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from agent.core.errors import CaselinkError
from sync.mqtt import Broker, Connection
from tests.sync.brokers import BrokerProcess, mosquitto, needs_mosquitto, running
from tests.sync.certificates import make

ROOT = Path(__file__).resolve().parents[2]
UNITS = sorted((ROOT / "systemd").glob("*.service"))
ANALYZE = shutil.which("systemd-analyze")
COMMAND = Path(sys.executable).with_name("caselink")
COMMAND_HERE = [sys.executable, "-m", "agent.cli"]

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


def shown(*words: str) -> str:
    """The help of a command, wide enough that no name is cut."""
    done = subprocess.run(
        [*COMMAND_HERE, *words, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_option_of_a_unit_is_one_of_the_program() -> None:
    for unit in UNITS:
        words = re.search(r"^ExecStart=\S+ (.*)$", unit.read_text(), re.MULTILINE)
        assert words is not None
        command = [word for word in words[1].split() if not word.startswith(("/", "-", "$"))]
        told = shown(*command)
        for option in re.findall(r"--[a-z-]+", words[1]):
            assert option in told, (unit.name, option)


def test_a_command_gets_the_keys_that_the_agent_gets() -> None:
    """With another key it reads no record, and with another pepper it sets PINs for nobody."""
    unit = (ROOT / "systemd" / "caselink-agent.service").read_text()
    here = (ROOT / "systemd" / "caselink-here").read_text()
    for name in ("User", "Group", "UMask", "WorkingDirectory", "LoadCredentialEncrypted"):
        given = re.findall(rf"^({name}=\S+)$", unit, re.MULTILINE)
        assert given
        assert re.findall(rf"--property=({name}=\S+)", here) == given
    start = re.search(r"^ExecStart=(\S+) ", unit, re.MULTILINE)
    assert start is not None
    assert f'{start[1]} "$@"' in here


def environment() -> dict[str, str]:
    """What docs/install.md says to write into cloud.env."""
    guide = (ROOT / "docs" / "install.md").read_text("utf-8")
    return dict(re.findall(r"^(CASELINK_[A-Z]+)=(\S+)", guide, re.MULTILINE))


def test_the_cloud_consumer_knows_every_variable_of_the_guide() -> None:
    told = shown("cloud", "run")
    assert {"CASELINK_DB", "CASELINK_BROKER", "CASELINK_HTTP"} <= environment().keys()
    assert [name for name in environment() if name not in told] == []


def test_the_cloud_consumer_starts_as_its_unit_starts_it(tmp_path: Path) -> None:
    """From the environment alone, with certificates of its own; systemd hears that it is ready,
    and on and on that it is alive, also while there is no broker."""
    certs = tmp_path / "certs"
    make(certs, "edge-1", ("caselink-cloud",))
    unit = (ROOT / "systemd" / "caselink-cloud.service").read_text()
    words = re.search(r"^ExecStart=\S+ (.*)$", unit, re.MULTILINE)
    assert words is not None
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        here = {
            "CASELINK_DB": f"sqlite:///{tmp_path / 'cloud.db'}",
            "CASELINK_BROKER": "mqtts://127.0.0.1:1",
            "CASELINK_HTTP": "127.0.0.1:0",
            "CASELINK_CA": str(certs / "ca.pem"),
            "CASELINK_CERT": str(certs / "caselink-cloud.pem"),
            "CASELINK_KEY": str(certs / "caselink-cloud.key"),
        }
        assert here.keys() == environment().keys()
        process = subprocess.Popen(
            [*COMMAND_HERE, *words[1].split()],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                **here,
                "NOTIFY_SOCKET": str(tmp_path / "notify"),
                "WATCHDOG_USEC": "300000",
            },
        )
        try:
            said = [systemd.recv(4096).decode() for _ in range(4)]
            assert said == ["READY=1", *["WATCHDOG=1\nSTATUS=running"] * 3]
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())["ready"]
            with httpx.Client(base_url=ready["http"], timeout=30) as client:
                assert client.get("/agents").status_code == 401
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=30)
            assert process.returncode == 0, errors
        finally:
            process.kill()
            process.communicate(timeout=30)


# ------------------------------------------------------------------------------------ the broker


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[tuple[BrokerProcess, Path]]:
    """mosquitto with the shipped configuration, read by Debian's own as docs/install.md says; only
    paths and the port are of this test."""
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
    ):
        assert shipped in text, shipped
        text = text.replace(shipped, str(here))
    general, _, listener = text.partition("listener 8883\n")
    listening = [line for line in listener.splitlines() if line and not line.startswith("#")]
    ours = ("cafile", "certfile", "keyfile", "tls_", "require_", "use_")
    of_listener = [line for line in listening if line.startswith(ours)]
    rest = [line for line in listening if not line.startswith(ours)]
    # /etc/mosquitto/mosquitto.conf of the package; what is said twice ends mosquitto.
    debian = ["persistence true", f"persistence_location {kept}/", f"log_dest file {kept}/log"]
    lines = [*debian, *general.splitlines(), *rest]
    found = mosquitto(tmp_path, lines=lines, listener=of_listener)
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
