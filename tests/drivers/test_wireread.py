"""The wire log as people read it, and what can be said of a connection that does not work."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.health import Health
from agent.supervisor import Session
from drivers.context import DeviceContext, no_mask
from drivers.diagnose import about_serial, greeting, serial_ports, stranger, why_unreachable
from drivers.readers.line_reader import LineReader, LineReaderConfig
from drivers.sim.line_reader import ReaderPty
from drivers.wirelog import WireLog
from drivers.wireread import Follower, entries, parse, printable, tail
from tests.drivers.saying import told


def log(folder: Path, **settings: int) -> WireLog:
    return WireLog(folder, "coder", no_mask, **settings)


def test_what_was_written_down_is_read_back(tmp_path: Path) -> None:
    wire = log(tmp_path)
    wire.note("session open")
    wire.sent(b"\x1bA;1;ABC\x03")
    wire.received(b"\x06")
    wire.received(b"OK\r\n")
    wire.sent(b"x" * 3000)
    wire.close()
    found = list(entries(tmp_path, "coder"))
    assert [e.direction for e in found] == ["-", ">", "<", "<", ">"]
    assert found[0].note == "session open"
    assert [e.data for e in found[1:4]] == [b"\x1bA;1;ABC\x03", b"\x06", b"OK\r\n"]
    assert (len(found[4].data), found[4].more) == (2048, 952)
    assert "<ESC>A;1;ABC<ETX>  [1b 41" in found[1].text()
    assert found[4].text().endswith("+2488 bytes")
    assert tail(tmp_path, "coder", 2) == found[3:]
    assert list(entries(tmp_path, "coder", datetime.now(UTC) + timedelta(hours=1))) == []
    assert list(entries(tmp_path, "nobody")) == []


def test_the_ring_is_read_in_order_and_followed_over_a_turn(tmp_path: Path) -> None:
    wire = log(tmp_path, max_bytes=1500)
    wire.note("0")
    follower = Follower(tmp_path, "coder")
    try:
        told = []
        for n in range(1, 60):
            wire.note(str(n))
            told += [int(e.note) for e in follower.more()]
        wire.close()
    finally:
        follower.close()
    assert told == list(range(1, 60))
    numbers = [int(e.note) for e in entries(tmp_path, "coder")]
    assert numbers == list(range(numbers[0], 60))
    assert [int(e.note) for e in tail(tmp_path, "coder", 20)] == list(range(40, 60))


@given(st.binary(max_size=80))
def test_any_line_of_a_broken_file_is_an_entry_or_none(line: bytes) -> None:
    parse(line)
    parse(b"2026-01-01T00:00:00Z 1.0 < " + line)


@given(st.binary(max_size=80))
def test_any_bytes_are_printable(data: bytes) -> None:
    assert printable(data).isprintable()


def test_control_bytes_have_names() -> None:
    assert printable("\x02可乐\x1d\x9d\x7f".encode()) == "<STX>可乐<GS><U+009D><DEL>"


@pytest.mark.parametrize(
    ("heard", "who"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "an SSH server"),
        (b"HTTP/1.1 400 Bad Request\r\n", "a web server"),
        (b"\xff\xfd\x18\xff\xfd\x20", "a telnet server"),
        (b"Debian 12\r\nbox login: ", "a login prompt"),
        (b"220 ProFTPD Server\r\n", "an FTP or mail server"),
        (b"@PJL INFO STATUS\r\n", "an office printer (PJL)"),
        (b"\x02030,0,0\x03\r\n", ""),
        (b"\x06", ""),
        (b"", ""),
    ],
)
def test_strangers_are_known_by_what_they_say(heard: bytes, who: str) -> None:
    found = stranger(heard)
    assert (found.words if found else "") == who


@contextmanager
def speaking(said: bytes) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            talk, _ = server.accept()
            with talk:
                talk.sendall(said)
                talk.recv(100)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join(5)


def test_a_greeting_is_heard_and_a_refusal_explained() -> None:
    with speaking(b"220 mail ready\r\n") as port:
        assert asyncio.run(greeting("127.0.0.1", port)) == (b"220 mail ready\r\n", None)
    heard, error = asyncio.run(greeting("127.0.0.1", port))
    assert heard == b""
    assert error is not None
    words = told(why_unreachable(error, f"tcp://127.0.0.1:{port}", (9100,)))
    assert "nothing takes connections" in words
    assert "9100" in words
    assert "not known here" in told(why_unreachable(socket.gaierror(), "tcp://printer:9100"))
    assert "dialout" in told(why_unreachable(PermissionError(), "/dev/ttyUSB0"))
    assert "same network" in told(why_unreachable(OSError(113, "no route"), "tcp://h:1"))
    assert "Nobody answers" in told(why_unreachable(TimeoutError(), "tcp://h:1"))
    assert why_unreachable(ValueError(), "tcp://h:1") is None


def test_a_serial_device_is_to_be_named_by_its_stable_path(tmp_path: Path) -> None:
    device = tmp_path / "ttyUSB0"
    device.touch()
    folder = tmp_path / "by-id"
    assert serial_ports(folder) == []
    folder.mkdir()
    (folder / "usb-FTDI_FT232R_A5-if00-port0").symlink_to(device)
    stable = str(folder / "usb-FTDI_FT232R_A5-if00-port0")
    assert serial_ports(folder) == [(stable, str(device))]
    assert f"write serial://{stable} instead" in told(about_serial(str(device), folder))
    assert about_serial(stable, folder) is None
    missing = told(about_serial(str(tmp_path / "ttyUSB7"), folder))
    assert "plug the device in" in missing
    assert stable in missing


def test_a_serial_device_may_be_plugged_in_later_and_again(tmp_path: Path) -> None:
    """Addressed by its stable path; the supervisor waits for it, and for it to come back."""
    link = tmp_path / "by-id" / "usb-scanner"
    link.parent.mkdir()
    health = Health("gun", "reader")
    config = LineReaderConfig(type="line_reader", address=f"serial://{link}?baud=115200")
    reader = LineReader("gun", config, DeviceContext())
    texts: list[str] = []

    async def work() -> None:
        while True:
            reading = await reader.next_reading(1.0)
            texts.extend(read.text for read in reading.reads) if reading else None

    async def changed(_: Health) -> None:
        """Nobody wants to know."""

    async def until(state: str) -> None:
        async with asyncio.timeout(10):
            while health.state != state:  # noqa: ASYNC110  no event tells it
                await asyncio.sleep(0.01)

    async def go() -> None:
        session = asyncio.create_task(Session(reader, health, work, changed).run())
        await until("lost")
        assert "cannot be reached" in str(health.error)
        for n in range(2):
            gun = ReaderPty()
            link.symlink_to(await gun.start())
            await until("ok")
            gun.read(f"CODE-{n}")
            async with asyncio.timeout(10):
                while len(texts) <= n:  # noqa: ASYNC110  as above
                    await asyncio.sleep(0.01)
            await gun.stop()
            link.unlink()
            await until("lost")
        session.cancel()
        await asyncio.wait({session})

    asyncio.run(go())
    assert texts == ["CODE-0", "CODE-1"]
    assert health.losses == 3
