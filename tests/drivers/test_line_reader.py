"""The line reader: framing of whatever arrives, and the driver against its simulated device."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.core.errors import TransientError
from agent.ports.reading import Read, Reading
from drivers.context import DeviceContext
from drivers.readers.line_reader import LineCodec, LineReader, LineReaderConfig
from drivers.readers.payload import Heard
from drivers.sim.line_reader import ReaderFormat, ReaderPty, ReaderServer

STX_CRLF: dict[str, Any] = {"prefix": "\x02", "separator": ";", "heartbeat": "HB"}
FORM = ReaderFormat(prefix=b"\x02")
GS1 = "]d20106901234567892\x1d21A7"


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


def config(address: str = "tcp://127.0.0.1:1", **more: Any) -> LineReaderConfig:
    return LineReaderConfig.model_validate({"address": address} | STX_CRLF | more)


def texts(readings: list[Heard]) -> list[tuple[str, ...]]:
    return [tuple(read.text for read in reading.reads) for reading in readings]


# ------------------------------------------------------------------------------------- codec


def test_dialogue() -> None:
    codec = LineCodec(config())
    stream = FORM.line(["A1"]) + FORM.line([GS1, "B2"]) + FORM.line([]) + FORM.alive()
    assert codec.feed(stream) == [
        Heard((Read("A1"),)),
        Heard((Read("0106901234567892\x1d21A7", "]d2"), Read("B2"))),
        Heard(()),
    ]


def test_dialogue_of_a_reader_with_defaults() -> None:
    codec = LineCodec(LineReaderConfig(address="tcp://h:1"))
    stream = b"]Q1https://q.example.cn/AbC\r\nNOREAD\r\nERROR\r\n\r\n;a;b\r\n"
    assert codec.feed(stream) == [
        Heard((Read("https://q.example.cn/AbC", "]Q1"),)),
        Heard(()),
        Heard(()),
        Heard((Read(";a;b"),)),
    ]


def test_a_line_in_chinese() -> None:
    codec = LineCodec(config(encoding="gbk"))
    assert texts(codec.feed(b"\x02" + "码1;码2".encode("gbk") + b"\r\n")) == [("码1", "码2")]


@settings(max_examples=80, deadline=None)
@given(
    lines=st.lists(
        st.lists(
            st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=";]"))
            .filter(lambda text: text not in ("", "NOREAD", "ERROR", "HB"))
            .map(lambda text: text + "\x1d1"),
            max_size=3,
            unique=True,
        ),
        max_size=6,
    ),
    noise=st.binary(max_size=30).map(lambda raw: raw.translate(None, b"\x02\r\n")),
    data=st.data(),
)
def test_any_split_and_noise_gives_the_same_readings(
    lines: list[list[str]], noise: bytes, data: st.DataObject
) -> None:
    stream = noise + b"".join(noise + FORM.line(line) for line in lines)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=12)))
    codec = LineCodec(config())
    readings = [
        reads
        for begin, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for reads in codec.feed(stream[begin:stop])
    ]
    assert texts(readings) == [tuple(line) for line in lines]


def test_one_byte_at_a_time() -> None:
    codec = LineCodec(config())
    stream = FORM.line(["A"]) + b"\r\n\n\r" + FORM.line(["B", "C"])
    assert texts([r for byte in stream for r in codec.feed(bytes([byte]))]) == [("A",), ("B", "C")]


@pytest.mark.parametrize("step", [1, 1000, 5000, 2_000_000])
def test_an_overlong_line_is_dropped_and_the_next_one_read(step: int) -> None:
    codec = LineCodec(config())
    size = 10_000 if step == 1 else 1_000_000
    stream = b"\x02" + b"x" * size
    for at in range(0, size + 1, step):
        assert codec.feed(stream[at : at + step]) == []
    assert codec.dropped == 1, "at the cap, not at the end of the line"
    assert texts(codec.feed(b"\r\n" + FORM.line(["A"]))) == [("A",)]
    assert codec.dropped == 1


def test_a_line_without_its_prefix_is_no_reading_and_a_garbled_one_has_no_reads() -> None:
    codec = LineCodec(config())
    assert codec.feed(b"A1\r\n") == []
    assert codec.feed(b"\x02\xff\xfe\r\n") == [Heard(())]
    assert codec.dropped == 2


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=8))
def test_the_codec_survives_anything(chunks: list[bytes]) -> None:
    codec = LineCodec(config())
    for chunk in chunks:
        codec.feed(chunk)


@pytest.mark.parametrize(
    "change",
    [{"separator": "\x1d"}, {"terminator": ""}, {"prefix": "码"}, {"heartbeat": "", "silence": 3}],
)
def test_a_wrong_section_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        config(**change)


# --------------------------------------------------------------------- against the simulated reader


async def with_reader(
    act: Callable[[LineReader, ReaderServer], Awaitable[None]], **more: Any
) -> None:
    sim = ReaderServer(FORM)
    device = LineReader(
        "reader 1", config(f"tcp://127.0.0.1:{await sim.start()}", **more), DeviceContext()
    )
    await device.open()
    await connected(sim)
    try:
        await act(device, sim)
    finally:
        await device.close()
        await sim.stop()


async def connected(sim: ReaderServer) -> None:
    """The peer's side of the connection exists a moment after ours."""
    end = time.monotonic() + 2
    while not sim.connected:
        assert time.monotonic() < end
        await asyncio.sleep(0.001)


def text_of(reading: Reading | None) -> tuple[str, ...]:
    assert reading is not None
    return tuple(read.text for read in reading.reads)


def test_readings_in_order_with_their_time() -> None:
    async def act(device: LineReader, sim: ReaderServer) -> None:
        begin = time.monotonic()
        sim.read("A", "B")
        sim.read()
        sim.push(sim.form.alive())
        sim.read("C")
        readings = [await device.next_reading(2.0) for _ in range(3)]
        assert [text_of(reading) for reading in readings] == [("A", "B"), (), ("C",)]
        assert all(r is not None and begin <= r.received <= time.monotonic() for r in readings)
        assert await device.next_reading(0.02) is None

    run(with_reader(act))


def test_over_a_serial_line() -> None:
    async def scenario() -> None:
        sim = ReaderPty(FORM)
        path = await sim.start()
        device = LineReader("reader 1", config(f"serial://{path}?baud=115200"), DeviceContext())
        await device.open()
        for number in range(20):
            sim.read(f"C{number}")
            assert text_of(await device.next_reading(2.0)) == (f"C{number}",)
        second = LineReader("reader 2", config(f"serial://{path}"), DeviceContext())
        with pytest.raises(TransientError, match="no other program"):
            await second.open()
        await sim.stop()
        with pytest.raises(TransientError):
            await device.next_reading(2.0)
        await device.close()

    run(scenario())


def test_the_reader_connects_to_us() -> None:
    async def scenario() -> None:
        probe = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
        port = probe.sockets[0].getsockname()[1]
        probe.close()
        device = LineReader(
            "reader 1", config(f"tcp://127.0.0.1:{port}", role="server"), DeviceContext()
        )
        opening = asyncio.create_task(device.open())
        sim = ReaderServer(FORM, connect_to=("127.0.0.1", port))
        end = time.monotonic() + 2
        while not sim.connected:
            assert time.monotonic() < end
            try:
                await sim.start()
            except ConnectionRefusedError:
                await asyncio.sleep(0.005)
        sim.read("A")
        await opening
        assert text_of(await device.next_reading(2.0)) == ("A",)
        await device.close()
        await sim.stop()

    run(scenario())


def test_nobody_connects_to_us() -> None:
    async def scenario() -> None:
        device = LineReader(
            "reader 1",
            config("tcp://127.0.0.1:0", role="server", connect_timeout=0.1),
            DeviceContext(),
        )
        with pytest.raises(TransientError, match="set to connect to us"):
            await device.open()
        await device.close()

    run(scenario())


def test_a_heartbeat_that_stops_ends_the_session_and_one_that_comes_does_not() -> None:
    async def act(device: LineReader, sim: ReaderServer) -> None:
        for _ in range(5):
            sim.push(sim.form.alive())
            assert await device.next_reading(0.1) is None
        begin = time.monotonic()
        with pytest.raises(TransientError, match="heartbeat"):
            await device.next_reading(5.0)
        assert time.monotonic() - begin < 4.0

    run(with_reader(act, silence=0.8))


def test_the_cable_is_pulled_and_a_new_session_reads_on() -> None:
    async def scenario() -> None:
        sim = ReaderServer(FORM)
        device = LineReader(
            "reader 1", config(f"tcp://127.0.0.1:{await sim.start()}"), DeviceContext()
        )
        for text in ("A", "B"):
            await device.open()
            await connected(sim)
            sim.read(text)
            assert text_of(await device.next_reading(2.0)) == (text,)
            sim.push(b"\x02half a li")
            await sim.drop()
            with pytest.raises(TransientError):
                await device.next_reading(2.0)
            await device.close()
        await sim.stop()

    run(scenario())


def test_a_flood_of_lines_ends_the_session_instead_of_growing() -> None:
    async def act(device: LineReader, sim: ReaderServer) -> None:
        sim.push(FORM.line([]) * 20_000)

        async def read_all() -> None:
            for _ in range(20_000):
                assert await device.next_reading(2.0) is not None

        with pytest.raises(TransientError, match="at once"):
            await read_all()

    run(with_reader(act))
