"""Streams with deadlines, and the wire log: real sockets, ptys and files."""

import asyncio
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from agent.core.errors import ConfigError, TransientError
from drivers.context import DeviceContext, no_mask
from drivers.sim.serve import PtyAdapter, TcpAdapter
from drivers.transport import SerialAddress, TcpAddress, Transport, parse_address
from drivers.wirelog import WireLog
from drivers.wireread import entries


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """Run a scenario with a hard end, and no task may outlive it."""

    async def guarded() -> None:
        await asyncio.wait_for(scenario, 10)
        me = asyncio.current_task()
        left = [task for task in asyncio.all_tasks() if task is not me]
        if left:
            await asyncio.wait(left, timeout=1)
        assert not [task for task in left if not task.done()]

    asyncio.run(guarded())


class Echo:
    def feed(self, data: bytes) -> bytes:
        return data


class Mute:
    def feed(self, data: bytes) -> bytes:
        return b""


def transport(address: str, **more: Any) -> Transport:
    return Transport("device 1", address, **{"connect_timeout": 1.0, **more})


async def exactly(stream: Transport, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = await stream.read_some(2.0)
        assert more is not None
        data += more
    return data


async def write_much(stream: Transport, data: bytes) -> None:
    for _ in range(500):
        await stream.write(data, 0.1)
        assert stream._writer is not None
        assert stream._writer.transport.get_write_buffer_size() == 0, "the kernel has all of it"


# ----------------------------------------------------------------------------------- addresses


def test_addresses() -> None:
    assert parse_address("tcp://10.0.0.5:9100") == TcpAddress("10.0.0.5", 9100)
    assert parse_address("tcp://[::1]:9100") == TcpAddress("::1", 9100)
    assert parse_address("serial:///dev/ttyUSB0") == SerialAddress("/dev/ttyUSB0")
    assert parse_address(
        "serial:///dev/ttyS1?baud=19200&bits=7&parity=e&stop=2&flow=rtscts"
    ) == SerialAddress("/dev/ttyS1", 19200, 7, "E", 2, "rtscts")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10.0.0.5:9100",
        "tcp://10.0.0.5",
        "tcp://:9100",
        "tcp://h:99999",
        "tcp://h:1/path",
        "udp://h:1",
        "serial://ttyUSB0",
        "serial:///dev/ttyUSB0?speed=9600",
        "serial:///dev/ttyUSB0?baud=fast",
        "serial:///dev/ttyUSB0?parity=X",
        "serial:///dev/ttyUSB0?parity=",
        "serial:///dev/ttyUSB0?bits=9",
        "serial:///dev/ttyUSB0?flow=maybe",
    ],
)
def test_a_wrong_address_says_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"write (tcp://HOST:PORT|serial)"):
        parse_address(text)


def test_a_serial_port_cannot_be_the_server() -> None:
    with pytest.raises(ConfigError, match="role"):
        transport("serial:///dev/ttyUSB0", role="server")


# ------------------------------------------------------------------------------------- streams


def test_tcp_both_ways_and_socket_options() -> None:
    async def scenario() -> None:
        server = TcpAdapter(Echo)
        stream = transport(f"tcp://127.0.0.1:{await server.start()}")
        await stream.open()
        await stream.write(b"x" * 300_000, 2.0)
        assert await exactly(stream, 300_000) == b"x" * 300_000
        assert await stream.read_some(0.02) is None
        assert stream._writer is not None
        sock = stream._writer.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 5
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 11_000
        await stream.close()
        await stream.close()
        await server.stop()

    run(scenario())


def test_pty_both_ways() -> None:
    async def scenario() -> None:
        line = PtyAdapter(Echo)
        stream = transport(f"serial://{await line.start()}?baud=115200")
        await stream.open()
        await stream.write(bytes(range(256)), 1.0)
        assert await exactly(stream, 256) == bytes(range(256))
        await line.stop()
        with pytest.raises(TransientError, match="cable"):
            await stream.read_some(2.0)
        with pytest.raises(TransientError):
            await write_much(stream, b"x")
        assert stream.lost
        await stream.close()

    run(scenario())


def test_a_port_is_opened_by_one_program_only() -> None:
    async def scenario() -> None:
        line = PtyAdapter(Echo)
        path = await line.start()
        first, second = transport(f"serial://{path}"), transport(f"serial://{path}")
        await first.open()
        with pytest.raises(TransientError):
            await second.open()
        await first.close()
        await second.open()
        await second.close()
        await line.stop()

    run(scenario())


@pytest.mark.parametrize(
    "address", ["serial:///dev/no-such-tty", "tcp://127.0.0.1:1", "tcp://no-such-host.invalid:1"]
)
def test_a_device_that_is_not_there_is_named(address: str) -> None:
    async def scenario() -> None:
        stream = transport(address, connect_timeout=3.0)
        with pytest.raises(TransientError) as error:
            await stream.open()
        assert "device 1" in str(error.value)
        assert address in str(error.value)
        await stream.close()

    run(scenario())


def test_a_full_backlog_ends_at_the_connect_deadline() -> None:
    async def scenario() -> None:
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(sock.getsockname())
            fillers.append(filler)
        stream = transport(f"tcp://127.0.0.1:{sock.getsockname()[1]}", connect_timeout=0.2)
        begin = time.monotonic()
        with pytest.raises(TransientError, match=r"within 0\.2 s"):
            await stream.open()
        assert time.monotonic() - begin < 1.0
        for filler in (*fillers, sock):
            filler.close()

    run(scenario())


def test_a_peer_that_never_reads_ends_at_the_write_deadline_and_closes_in_time() -> None:
    async def scenario() -> None:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        stream = transport(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
        await stream.open()
        peer, _ = listener.accept()
        with pytest.raises(TransientError, match="took no more bytes"):
            await write_much(stream, b"x" * 100_000)
        begin = time.monotonic()
        await stream.close()
        assert time.monotonic() - begin < 3.0
        peer.close()
        listener.close()

    run(scenario())


def test_a_serial_peer_that_never_reads_closes_in_time() -> None:
    async def scenario() -> None:
        master, slave = os.openpty()
        stream = transport(f"serial://{os.ttyname(slave)}")
        await stream.open()
        with pytest.raises(TransientError, match="took no more bytes"):
            await write_much(stream, b"x" * 4096)
        begin = time.monotonic()
        await stream.close()
        assert time.monotonic() - begin < 3.0
        os.close(master)
        os.close(slave)

    run(scenario())


def test_the_cable_is_pulled_and_the_same_transport_opens_again() -> None:
    async def scenario() -> None:
        server = TcpAdapter(Echo)
        stream = transport(f"tcp://127.0.0.1:{await server.start()}")
        for _ in range(3):
            await stream.open()
            await stream.write(b"a", 1.0)
            assert await stream.read_some(1.0) == b"a"
            await server.drop()
            with pytest.raises(TransientError):
                await stream.read_some(2.0)
            assert stream.lost
            await stream.close()
        await server.stop()

    run(scenario())


def test_without_a_session_it_says_so() -> None:
    async def scenario() -> None:
        stream = transport("tcp://127.0.0.1:1")
        for call in (stream.read_some(0.1), stream.write(b"x", 0.1)):
            with pytest.raises(TransientError, match="no open session"):
                await call
        await stream.close()

    run(scenario())


def test_the_newest_connection_wins() -> None:
    async def scenario() -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        stream = transport(f"tcp://127.0.0.1:{port}", role="server")
        opening = asyncio.create_task(stream.open())
        first = await connect(port)
        await opening
        first[1].write(b"one")
        assert await stream.read_some(1.0) == b"one"
        second = await connect(port)
        assert await first[0].read() == b""
        with pytest.raises(TransientError):
            await stream.read_some(1.0)
        with pytest.raises(TransientError, match="connected anew"):
            await stream.write(b"x", 1.0)
        await stream.close()
        assert await second[0].read() == b""
        for _, writer in (first, second):
            writer.close()
        opening = asyncio.create_task(stream.open())
        third = await connect(port)
        await opening
        await stream.write(b"hello", 1.0)
        assert await third[0].readexactly(5) == b"hello"
        third[1].close()
        await stream.close()

    run(scenario())


def test_a_listening_start_that_is_broken_off_at_any_moment_leaves_the_port_free() -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        stream = transport(f"tcp://127.0.0.1:{port}", role="server")
        for turns in range(20):
            opening = asyncio.create_task(stream.open())
            for _ in range(turns):
                await asyncio.sleep(0)
            opening.cancel()
            await asyncio.wait({opening})
            assert opening.cancelled()
            with socket.create_server(("127.0.0.1", port)):
                pass

    run(scenario())


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    end = time.monotonic() + 2
    while True:
        try:
            return await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            assert time.monotonic() < end
            await asyncio.sleep(0.005)


# ------------------------------------------------------------------------------------ wire log


def wire(path: Path, mask: Callable[[bytes], bytes] = no_mask, **more: Any) -> WireLog:
    return WireLog(path, "device 1", mask, **more)


def lines(path: Path) -> list[list[str]]:
    return [line.split() for line in (path / "device_1.log").read_text().splitlines()]


def test_a_session_is_written_down(tmp_path: Path) -> None:
    async def scenario() -> None:
        server = TcpAdapter(Echo)
        context = DeviceContext(wire_log_dir=tmp_path)
        stream = transport(f"tcp://127.0.0.1:{await server.start()}", context=context)
        await stream.open()
        await stream.write(b"ping\n", 1.0)
        assert await stream.read_some(1.0) == b"ping\n"
        await server.drop()
        with pytest.raises(TransientError):
            await stream.read_some(1.0)
        await stream.close()
        await server.stop()

    run(scenario())
    found = lines(tmp_path)
    assert [line[2] for line in found] == ["-", ">", "<", "-", "-"]
    assert found[1][3] == found[2][3] == b"ping\n".hex()
    assert found[0][0].endswith("Z")
    assert float(found[1][1]) <= float(found[2][1])
    assert (tmp_path / "device_1.log").stat().st_mode & 0o777 == 0o600


def test_a_secret_that_comes_in_pieces_is_masked(tmp_path: Path) -> None:
    log = wire(tmp_path, lambda data: data.replace(b"PRIZE", b"*****"))
    for piece in (b"x PR", b"IZE y\r\nPRI", b"ZE", b"\r\n", b"PRI"):
        log.received(piece)
    log.sent(b"PRIZE")
    log.received(b"ZE")
    log.close()
    raw = b"".join(bytes.fromhex(line[3]) for line in lines(tmp_path))
    assert b"PRIZE" not in raw
    assert raw.count(b"*****") == 4


def test_the_ring_is_bounded_and_packed(tmp_path: Path) -> None:
    log = wire(tmp_path, max_bytes=2000, total=6000)
    for number in range(400):
        log.sent(b"%03d" % number * 10)
        wait_for_packing()
    log.close()
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes["device_1.log"] <= 2000
    packed = {name: size for name, size in sizes.items() if name != "device_1.log"}
    assert len(packed) > 2, "packed to much less than they were"
    assert all(re.fullmatch(r"device_1\.\d{8}T\d{6}\.\d{6}Z\.log\.zst", name) for name in packed)
    assert sum(packed.values()) <= 6000 + 2000
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in tmp_path.iterdir())
    numbers = [int(entry.data[:3]) for entry in entries(tmp_path, "device 1")]
    assert numbers == list(range(numbers[0], 400))
    assert 0 < numbers[0] < 300


def wait_for_packing() -> None:
    for thread in threading.enumerate():
        if thread.name == "wire-log":
            thread.join(5)


def test_old_files_are_dropped_and_a_day_is_a_file(tmp_path: Path) -> None:
    current = tmp_path / "device_1.log"
    old = tmp_path / "device_1.20200101T000000.000000Z.log.zst"
    old.write_bytes(b"x")
    os.utime(old, (time.time() - 8 * 86_400,) * 2)
    current.write_text("2020-02-02T00:00:00.000000Z 1.0 > 00\n")
    log = wire(tmp_path)
    log.sent(b"new")
    log.close()
    wait_for_packing()
    assert not old.exists()
    assert (tmp_path / "device_1.20200202T000000.000000Z.log.zst").exists()
    assert [line[3] for line in lines(tmp_path)] == [b"new".hex()]
    assert [entry.data for entry in entries(tmp_path, "device 1")] == [b"\0", b"new"]


def test_what_was_not_packed_is_read_and_packed_at_the_next_turn(tmp_path: Path) -> None:
    """Power was lost while a file was packed: both of it are there, and half of another one."""
    log = wire(tmp_path, max_bytes=100)
    log.sent(b"a")
    log.sent(b"b" * 40)
    wait_for_packing()
    (packed,) = tmp_path.glob("*.zst")
    packed.with_suffix("").write_text("2020-02-02T00:00:00.000000Z 1.0 > 0c\n")
    packed.with_suffix(".half").write_bytes(b"half")
    assert [entry.data[:1] for entry in entries(tmp_path, "device 1")] == [b"a", b"b"]
    log.sent(b"d" * 40)
    log.close()
    wait_for_packing()
    assert [entry.data[:1] for entry in entries(tmp_path, "device 1")] == [b"a", b"b", b"d"]


def test_a_huge_message_is_cut(tmp_path: Path) -> None:
    log = wire(tmp_path)
    log.received(b"x" * 1_000_000)
    log.close()
    assert (tmp_path / "device_1.log").stat().st_size < 10_000


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "drivers.wirelog"]


def test_a_full_disk_does_not_reach_the_device(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a file where the directory should be")
    log = wire(blocked, retry=0.0)
    for _ in range(10):
        log.sent(b"x")
        log.received(b"y\n")
    assert len(warnings(caplog)) == 1
    blocked.unlink()
    log.sent(b"z")
    log.close()
    assert [line[3] for line in lines(blocked)] == [b"z".hex()]
    assert "written again" in warnings(caplog)[1]


def test_a_full_disk_is_not_tried_at_every_message(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    log = wire(blocked)
    log.sent(b"x")
    blocked.unlink()
    log.sent(b"y")
    log.close()
    assert not blocked.exists()


def test_a_device_that_is_full_does_not_reach_the_device(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "device_1.log").symlink_to("/dev/full")
    log = wire(tmp_path)
    log.sent(b"x")
    log.close()
    assert "No space left" in caplog.text


def test_a_device_name_cannot_leave_the_directory(tmp_path: Path) -> None:
    log = WireLog(tmp_path / "logs", "../../etc/passwd", no_mask)
    log.sent(b"x")
    log.close()
    assert [path.parent for path in tmp_path.rglob("*.log")] == [tmp_path / "logs"]
