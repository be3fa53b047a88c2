"""`caselink device` as a person types it: without an agent, and through one that runs."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.config import load
from agent.demo.scene import free_ports
from drivers.context import no_mask
from drivers.registry import TYPES
from drivers.sim.modbus_server import SimPlcServer
from drivers.sim.world import RUNNING, PlcImage
from drivers.sim.zpl_printer import ZplPrinter, ZplServer
from drivers.wirelog import WireLog
from tests.e2e.test_agent import agent, example, wait_for, write
from tests.test_cli import SITE, Shell, shell

__all__ = ["shell"]


@contextmanager
def plc_at_work(port: int = 0) -> Iterator[tuple[SimPlcServer, PlcImage, set[int]]]:
    """A PLC whose program runs; the lamps that it was told to show are noted."""
    server, image, lamps = SimPlcServer(port=port), PlcImage(run=5), set[int]()
    server.publish(image)
    server.port = server.start()  # type: ignore[attr-defined]
    over = threading.Event()

    def run() -> None:
        while not over.wait(0.02):
            image.heartbeat += 1
            server.publish(image)
            lamps.add(server.agent().lamps)

    program = threading.Thread(target=run)
    program.start()
    try:
        yield server, image, lamps
    finally:
        over.set()
        program.join(5)
        server.stop()


@contextmanager
def stranger(said: bytes) -> Iterator[int]:
    """Somebody else on the port, who says this to everybody."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        over = threading.Event()

        def serve() -> None:
            talks = []
            while not over.is_set():
                try:
                    talk, _ = server.accept()
                except TimeoutError:
                    continue
                talk.sendall(said)
                talks.append(talk)
            for talk in talks:
                talk.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        over.set()
        thread.join(5)


def test_the_types_say_what_to_install_and_what_their_word_is_worth(shell: Shell) -> None:
    status, out, _ = shell("device", "list", "--types", "--json")
    found = {each["type"]: each for each in json.loads(out)}
    assert (status, set(found)) == (0, set(TYPES))
    assert all(each["install"].startswith("pip install") for each in found.values())
    assert found["zpl"]["evidence"]
    status, out, _ = shell("device", "list", "--types")
    assert "keyence_sr" in out
    assert "'caselink[basler]'" in out, "to be copied as it stands"


def test_devices_are_listed_without_an_agent(shell: Shell) -> None:
    section = '\n[devices.plc1]\ntype = "modbus"\naddress = "tcp://192.0.2.1:502"\n'
    shell.site.write_text(SITE + section, "utf-8")
    status, out, _ = shell("device", "list", "--json")
    found = json.loads(out)
    assert (status, found["running"]) == (0, False)
    (plc,) = found["devices"]
    assert (plc["id"], plc["kind"], plc["address"]) == ("plc1", "plc", "tcp://192.0.2.1:502")
    assert plc["state"] is None
    assert "No agent runs" in shell("device", "list")[1]


def test_a_check_says_in_words_what_is_wrong_with_each(shell: Shell) -> None:
    (closed,) = free_ports(1)
    with plc_at_work() as (plc, _, _), stranger(b"box login: ") as telnet:
        port = plc.port  # type: ignore[attr-defined]
        shell.site.write_text(
            SITE
            + f"""
[devices.right]
type = "modbus"
address = "tcp://127.0.0.1:{port}"
[devices.closed]
type = "zpl"
address = "tcp://127.0.0.1:{closed}"
labels = {{ case = "case" }}
connect_timeout = 0.5
[devices.login]
type = "line_reader"
address = "tcp://127.0.0.1:{telnet}"
[devices.wrong]
type = "line_reader"
address = "tcp://127.0.0.1:{telnet}"
colour = 1
[devices.unplugged]
type = "line_reader"
address = "serial:///dev/ttyNOBODY7"
""",
            "utf-8",
        )
        status, out, _ = shell("device", "check", "all", "--json")
        found = json.loads(out)
        assert status == 1
        assert [each["words"] for each in found["right"] if not each["good"]] == []
        assert any("slots (holding registers" in each["words"] for each in found["right"])

        def told(name: str) -> str:
            return "\n".join(each["words"] for each in found[name] if not each["good"])

        assert "nothing takes connections" in told("closed")
        assert "port 9100 / 6101 as a rule" in told("closed")
        assert 'What answers is a login prompt ("box login:")' in told("login")
        assert "unknown key 'colour'" in told("wrong")
        assert "/dev/ttyNOBODY7 is not there: plug the device in" in told("unplugged")
        status, out, _ = shell("device", "check", "right")
        assert (status, "right: run (register 1): 5" in out) == (0, True)
        _, out, _ = shell("device", "check", "all", "--lang", "zh")
        assert "不接受连接" in out
        assert "不认识配置项 'colour'" in out
        assert "连接被拒绝" in out
        assert "标志：0xca01，输入寄存器 0" in out
        assert all(max(line) > "\u4e00" for line in out.splitlines()), "nothing is English only"
        status, _, err = shell("device", "test", "closed", "--yes", "--lang", "zh")
        assert (status, "连不上" in err) == (1, True)
        assert "应答的是登录提示（“box login:”）" in out
        assert "运行号（寄存器 1）：5" in out
        status, _, err = shell("device", "check", "nobody")
        assert (status, "There is no device nobody" in err) == (1, True)


def test_the_wire_log_is_printed(shell: Shell) -> None:
    section = '\n[devices.plc1]\ntype = "modbus"\naddress = "tcp://192.0.2.1:502"\n'
    shell.site.write_text(SITE + section, "utf-8")
    wire = WireLog(shell.files.wire, "plc1", no_mask)
    wire.sent(b"~HS\r\n")
    wire.close()
    status, out, _ = shell("device", "log", "plc1")
    assert (status, "> ~HS<CR><LF>  [7e 48 53 0d 0a]" in out) == (0, True)
    assert "~HS" in shell("device", "log", "plc1", "--since", "1h")[1]
    assert shell("device", "log", "plc1", "--since", "2099-01-01T00:00")[1] == ""
    assert shell("device", "log", "plc1", "--since", "soon")[0] == 2
    assert shell("device", "log", "nobody")[0] == 1


def test_through_an_agent_that_holds_the_devices(
    tmp_path: Path, shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    ports = free_ports(10)
    (web, *others) = ports
    data = example("A", iter(others))
    data["web"]["port"] = web
    address = data["devices"]["A-plc"]["address"]
    with plc_at_work(int(address.rpartition(":")[2])) as (_, image, lamps):
        config = write(tmp_path / "agent", data) if (tmp_path / "agent").mkdir() is None else None
        assert config is not None
        with agent(config) as client:
            shell.site, shell.files = config, type(shell.files)(load(config), config)

            def state(name: str) -> str:
                devices = client.get("/api/devices").json()["devices"]
                return str(next(each["state"] for each in devices if each["id"] == name))

            wait_for(lambda: state("A-plc") == "ok", "the PLC is not there")
            wait_for(lambda: state("A-coder") == "lost", "the coder should be lost")
            status, out, _ = shell("device", "list", "--json")
            found = json.loads(out)
            assert (status, found["running"]) == (0, True)
            plc = next(each for each in found["devices"] if each["id"] == "A-plc")
            # A busy machine may have lost it for a moment.
            assert plc["line"] == "A"
            assert (plc["state"], plc["losses"] > 0) in {
                ("ok", False),
                ("ok", True),
                ("lost", True),
            }
            wait_for(lambda: state("A-plc") == "ok", "the PLC is not there")
            status, out, _ = shell("device", "check", "A-plc")
            assert (status, "run (register 1): 5" in out) == (0, True), out
            status, out, _ = shell("device", "check", "A-coder")
            assert (status, "✕ it does not answer" in out) == (1, True)
            status, _, err = shell("device", "test", "A-coder", "--yes")
            assert (status, "cannot be tested now" in err) == (1, True)
            status, _, err = shell("device", "test", "A-coder", "--yes", "--lang", "zh")
            assert (status, "请先看它的故障" in err) == (1, True), err
            out = shell("device", "list", "--lang", "zh")[1].replace("\n", "")
            assert "连接被拒绝" in "".join(part.strip() for part in out.split("│")), out
            image.flags = RUNNING

            def asked(words: str) -> bool:
                """The agent polls every 5 ms, but a busy machine may keep it from that."""
                _, out, err = shell("device", "test", "A-plc", "--yes")
                return words in out + err

            wait_for(lambda: asked("Line A runs"), "not refused while the belt runs")
            image.flags = 0
            wait_for(lambda: asked("The light tower showed red"), "not tested")
            assert {1, 2, 4, 8} <= lamps
            assert state("A-plc") == "ok"
            assert image.run == 5


def test_a_test_label_comes_out_of_a_label_printer(shell: Shell) -> None:
    """Without an agent; one that cannot print says why, and one that is no printer is told."""
    device, over, ports = ZplPrinter(), threading.Event(), list[int]()
    started = threading.Event()

    async def serve() -> None:
        server = ZplServer(device, time.monotonic)
        ports.append(await server.start())
        started.set()
        await asyncio.to_thread(over.wait)
        await server.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(10)
    try:
        shell.site.write_text(
            SITE
            + f"""
[devices.labeller]
type = "zpl"
address = "tcp://127.0.0.1:{ports[0]}"
labels = {{ case = "case" }}
""",
            "utf-8",
        )
        status, out, err = shell("device", "test", "labeller", "--yes")
        assert (status, "A test label came out" in out) == (0, True), err
        (label,) = device.printed
        assert label.texts == (), "no symbol that a scanner could take for goods"
        device.faults.add("head_open")
        device.mute_on_media = False
        status, _, err = shell("device", "test", "labeller", "--yes")
        assert (status, "labeller prints nothing now: head_open" in err) == (1, True), err
        status, out, _ = shell("device", "check", "labeller")
        assert (status, "it cannot print now: head_open" in out) == (1, True)
        assert len(device.printed) == 1
    finally:
        over.set()
        thread.join(10)
