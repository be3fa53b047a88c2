"""A camera that posts its pictures: over real sockets, well behaved and not."""

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.core.errors import TransientError
from agent.ports.reading import Frame
from drivers.cameras.http_push import HttpPushCamera, HttpPushConfig
from drivers.context import DeviceContext
from drivers.sim.push_camera import CameraFaults, PushCamera
from drivers.sim.render import encode, render, suggest_size
from drivers.sim.world import Exposure, Scene, Symbol

IMAGE = np.arange(48 * 64, dtype=np.uint8).reshape(48, 64)
BMP = encode(IMAGE, "bmp")


def with_camera(test: Callable[[HttpPushCamera], Awaitable[None]], **options: object) -> None:
    """Run a test with a camera that is open and is closed again without a task left behind."""

    async def run() -> None:
        config = HttpPushConfig(listen="127.0.0.1:0", **options)  # type: ignore[arg-type]
        camera = HttpPushCamera("cam", config, DeviceContext())
        await camera.open()
        try:
            async with asyncio.timeout(20):
                await test(camera)
        finally:
            await camera.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


class Client:
    """The camera's side, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, camera: HttpPushCamera) -> "Client":
        return cls(*await asyncio.open_connection("127.0.0.1", camera.port))

    async def post(self, counter: object, body: bytes = BMP, *headers: str) -> int:
        self.writer.write(request(counter, body, *headers))
        return await self.answer()

    async def answer(self) -> int:
        """The status of the next answer."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await self.reader.readexactly(length)
        return int(head.split()[1])

    async def ended(self) -> bool:
        """Whether the other side ends the connection (at once or after what it still says)."""
        try:
            while await self.reader.read(65_536):
                pass
        except ConnectionError:
            pass
        self.close()
        return True

    def close(self) -> None:
        self.writer.transport.abort()


def request(counter: object, body: bytes = BMP, *headers: str) -> bytes:
    lines = [
        "POST /frame HTTP/1.1",
        "Host: agent",
        f"X-Frame-Counter: {counter}",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


async def arrived(camera: HttpPushCamera, timeout: float = 10) -> Frame:
    frame = await camera.next_frame(timeout)
    assert frame is not None
    return frame


# --------------------------------------------------------------------------- a well-behaved one


def test_pictures_come_in_order_over_one_connection() -> None:
    async def test(camera: HttpPushCamera) -> None:
        client = await Client.to(camera)
        for number in range(5):
            assert await client.post(number, BMP, f"X-Frame-Time: {number / 8}") == 200
        for number in range(5):
            frame = await arrived(camera)
            assert (frame.counter, frame.camera_time) == (number, number / 8)
            assert np.array_equal(frame.image, IMAGE)
        assert await camera.next_frame(0.01) is None
        client.close()

    with_camera(test)


@pytest.mark.parametrize("kind", ["bmp", "png", "jpeg"])
def test_every_kind_of_picture_is_taken(kind: str) -> None:
    async def test(camera: HttpPushCamera) -> None:
        client = await Client.to(camera)
        assert await client.post(1, encode(IMAGE, kind)) == 200
        frame = await arrived(camera)
        assert (frame.image.shape, frame.camera_time) == ((48, 64), None)
        client.close()

    with_camera(test)


def test_raw_rows_are_taken_with_their_size() -> None:
    async def test(camera: HttpPushCamera) -> None:
        client = await Client.to(camera)
        assert await client.post(7, IMAGE.tobytes(), "X-Frame-Size: 64x48") == 200
        assert np.array_equal((await arrived(camera)).image, IMAGE)
        assert await client.post(8, IMAGE.tobytes(), "X-Frame-Size: 64x49") == 415
        assert await client.post(9, IMAGE.tobytes(), "X-Frame-Size: 64x48") == 200
        client.close()

    with_camera(test)


def test_pieces_of_any_size_and_chunks_make_one_picture() -> None:
    async def test(camera: HttpPushCamera) -> None:
        client = await Client.to(camera)
        for byte in request(1, b"P5 2 1 255\nab"):
            client.writer.write(bytes([byte]))
            await client.writer.drain()
        assert await client.answer() == 200
        client.writer.write(
            b"POST /frame HTTP/1.1\r\nHost: a\r\nX-Frame-Counter: 2\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n5\r\nP5 2 \r\n8\r\n1 255\nab\r\n0\r\n\r\n"
        )
        assert await client.answer() == 200
        assert [(await arrived(camera)).counter for _ in range(2)] == [1, 2]
        client.close()

    with_camera(test)


def test_two_requests_in_one_piece_are_two_pictures() -> None:
    async def test(camera: HttpPushCamera) -> None:
        client = await Client.to(camera)
        client.writer.write(request(1) + request(2))
        assert [await client.answer(), await client.answer()] == [200, 200]
        assert [(await arrived(camera)).counter for _ in range(2)] == [1, 2]
        client.close()

    with_camera(test)


def test_a_camera_that_asks_first_is_told_to_go_on() -> None:
    async def test(camera: HttpPushCamera) -> None:
        client = await Client.to(camera)
        head, body = request(1, BMP, "Expect: 100-continue").split(b"\r\n\r\n", 1)
        client.writer.write(head + b"\r\n\r\n")
        assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        client.writer.write(body)
        assert await client.answer() == 200
        client.close()

    with_camera(test)


def test_the_simulated_camera_and_the_driver_understand_each_other() -> None:
    text = "https://q.example.cn/ABC"
    symbol = Symbol(text, "QRCode", 160, 120, suggest_size(text, "QRCode"))
    faults = CameraFaults(drop=frozenset({3}), twice=frozenset({5}), delay={6: 0.05})

    async def test(camera: HttpPushCamera) -> None:
        for kind in ("raw", "jpeg"):
            source = PushCamera(
                "c", "127.0.0.1", camera.port, "secret", picture=kind, faults=faults
            )
            scenes = [Scene(320, 240, (symbol,), seed=n) for n in range(1, 8)]
            for n, scene in enumerate(scenes, 1):
                source.submit(Exposure("c", n, n / 10, scene))
            frames = [await arrived(camera) for _ in range(7)]
            await asyncio.to_thread(source.close)
            assert [frame.counter for frame in frames] == [1, 2, 4, 5, 5, 6, 7]
            assert frames[2].camera_time == pytest.approx(0.4)
            if kind == "raw":
                assert np.array_equal(frames[2].image, render(scenes[3]))
            assert (source.sent, source.lost) == (7, 1)

    with_camera(test, token="secret")
    assert not [t for t in threading.enumerate() if t.name == "camera-c"]


def test_the_simulated_camera_stops_goes_on_and_survives_an_agent_that_is_away() -> None:
    scene = Scene(64, 48, ())

    async def test(camera: HttpPushCamera) -> None:
        source = PushCamera("c", "127.0.0.1", camera.port)
        source.submit(Exposure("c", 1, 0.1, scene))
        assert (await arrived(camera)).counter == 1
        source.stop()
        source.submit(Exposure("c", 2, 0.2, scene))
        await asyncio.to_thread(wait_for, lambda: source.lost == 1)
        source.resume()
        source.submit(Exposure("c", 3, 0.3, scene))
        assert (await arrived(camera)).counter == 3
        await camera.close()
        source.submit(Exposure("c", 4, 0.4, scene))
        await asyncio.to_thread(source.close)
        assert (source.sent, source.lost) == (2, 2)

    with_camera(test)


# ------------------------------------------------------------------- too many, too new, too slow


def test_a_full_queue_loses_the_oldest_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    async def test(camera: HttpPushCamera) -> None:
        client = await Client.to(camera)
        for number in range(1, 8):
            assert await client.post(number) == 200
        assert [(await arrived(camera)).counter for _ in range(3)] == [5, 6, 7]
        assert camera.dropped == 4
        client.close()

    with caplog.at_level(logging.WARNING):
        with_camera(test, queue=3)
    assert caplog.text.count("thrown away") == 1


def test_the_newest_connection_is_the_camera() -> None:
    async def test(camera: HttpPushCamera) -> None:
        old, new = await Client.to(camera), await Client.to(camera)
        assert await old.post(1) == 200
        assert await new.post(2) == 200
        assert await old.ended()
        assert await new.post(3) == 200
        assert [(await arrived(camera)).counter for _ in range(3)] == [1, 2, 3]
        new.close()

    with_camera(test)


def test_a_stranger_without_the_token_does_not_push_the_camera_out() -> None:
    async def test(camera: HttpPushCamera) -> None:
        real, stranger = await Client.to(camera), await Client.to(camera)
        assert await real.post(1, BMP, "X-Frame-Token: right") == 200
        assert await stranger.post(2, BMP, "X-Frame-Token: wrong") == 401
        assert await stranger.ended()
        assert await real.post(3, BMP, "X-Frame-Token: right") == 200
        assert [(await arrived(camera)).counter for _ in range(2)] == [1, 3]
        real.close()

    with_camera(test, token="right")


def test_any_number_of_silent_connections_does_not_keep_the_camera_out() -> None:
    async def test(camera: HttpPushCamera) -> None:
        silent = [await Client.to(camera) for _ in range(20)]
        client = await Client.to(camera)
        assert await client.post(1) == 200
        assert await silent[0].ended()
        silent += [await Client.to(camera) for _ in range(20)]
        assert await client.post(2) == 200
        for each in [*silent, client]:
            each.close()

    with_camera(test)


def test_a_request_that_does_not_end_is_answered_408_and_ended() -> None:
    async def test(camera: HttpPushCamera) -> None:
        slow, other = await Client.to(camera), await Client.to(camera)
        slow.close()
        for part in (request(1)[:20], request(1)[:-5]):
            slow = await Client.to(camera)
            slow.writer.write(part)
            assert await slow.answer() == 408
            assert await slow.ended()
        assert await other.post(2) == 200
        assert (await arrived(camera)).counter == 2
        other.close()

    with_camera(test, request_s=0.1)


def test_the_beginning_of_a_second_request_does_not_wait_for_ever() -> None:
    async def test(camera: HttpPushCamera) -> None:
        client = await Client.to(camera)
        client.writer.write(request(1) + request(2)[:30])
        assert [await client.answer(), await client.answer()] == [200, 408]
        assert await client.ended()

    with_camera(test, request_s=0.1, idle_s=60)


def test_a_slow_loris_gains_no_time_by_its_drops() -> None:
    async def test(camera: HttpPushCamera) -> None:
        loris = await Client.to(camera)
        answer = asyncio.ensure_future(loris.answer())
        for byte in request(1)[:40]:
            loris.writer.write(bytes([byte]))
            await asyncio.wait([answer], timeout=0.02)
            if answer.done():
                break
        assert await answer == 408
        loris.close()

    with_camera(test, request_s=0.2)


def test_an_idle_connection_is_ended_and_the_camera_comes_back() -> None:
    async def test(camera: HttpPushCamera) -> None:
        client = await Client.to(camera)
        assert await client.post(1) == 200
        assert await client.ended()
        again = await Client.to(camera)
        assert await again.post(2) == 200
        again.close()

    with_camera(test, idle_s=0.1)


# -------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request("x"), 400),
        (request(""), 400),
        (request("-1"), 400),
        (request("9" * 30), 400),
        (request("²"), 400),
        (request(1).replace(b"X-Frame-Counter: 1\r\n", b""), 400),
        (request(1, BMP, "X-Frame-Time: soon"), 400),
        (request(1, BMP, "X-Frame-Time: nan"), 400),
        (request(1, BMP, "X-Frame-Size: 64"), 400),
        (request(1, BMP, "X-Frame-Size: 99999x99999"), 400),
        (request(1).replace(b"/frame", b"/other"), 404),
        (request(1, b"").replace(b"POST", b"GET"), 405),
        (request(1, b"").replace(b"POST", b"PUT"), 405),
        (request(1, b"").replace(b"POST", b"CONNECT"), 405),
        (request(1, b"no picture"), 415),
        (request(1, b""), 415),
        (request(1, BMP[:-50]), 415),
        (request(1, bytes(100_000)), 413),
        (request(1).replace(b"Content-Length: ", b"Content-Length: 9999999999"), 413),
        (request(1).replace(b"Content-Length: ", b"Content-Length: -"), 400),
        (b"GARBAGE\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (request(1, BMP, "X-Long: " + "y" * 400_000), 431),
        (b"POST /frame HTTP/1.1\r\nHost: a\r\nX-Frame-Counter: 1\r\n"
         b"Transfer-Encoding: chunked\r\n\r\nZZZ\r\n", 400),
        (b"POST /frame HTTP/1.1\r\nHost: a\r\nX-Frame-Counter: 1\r\n"
         b"Transfer-Encoding: chunked\r\n\r\n" + b"7000\r\n" + bytes(0x7000) + b"\r\n"
         + b"7000\r\n" + bytes(0x7000) + b"\r\n", 413),
    ],
)  # fmt: skip
def test_a_bad_request_gets_its_status_and_the_next_one_is_served(sent: bytes, status: int) -> None:
    async def test(camera: HttpPushCamera) -> None:
        bad = await Client.to(camera)
        bad.writer.write(sent)
        assert await bad.answer() == status
        bad.close()
        good = await Client.to(camera)
        assert await good.post(2) == 200
        assert (await arrived(camera)).counter == 2
        assert camera.refused == 1
        good.close()

    with_camera(test, max_bytes=50_000)


def test_a_head_request_gets_no_body() -> None:
    async def test(camera: HttpPushCamera) -> None:
        client = await Client.to(camera)
        client.writer.write(b"HEAD /frame HTTP/1.1\r\nHost: a\r\n\r\n")
        data = await client.reader.read()
        client.close()
        assert data.startswith(b"HTTP/1.1 405 ")
        assert data.endswith(b"\r\n\r\n")

    with_camera(test)


def test_a_camera_that_reads_only_after_it_has_sent_megabytes_too_many_gets_its_answer() -> None:
    def post(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as stream:
            stream.sendall(request(1, bytes(20_000_000)))
            return stream.recv(65_536)

    async def test(camera: HttpPushCamera) -> None:
        assert b" 413 " in await asyncio.to_thread(post, camera.port)

    with_camera(test, max_bytes=1_000_000)


def test_a_refused_picture_keeps_the_connection_and_is_said_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test(camera: HttpPushCamera) -> None:
        client = await Client.to(camera)
        for number in range(20):
            assert await client.post(number, b"no picture") == 415
        assert await client.post(99) == 200
        assert (await arrived(camera)).counter == 99
        assert camera.refused == 20
        client.close()

    with caplog.at_level(logging.WARNING):
        with_camera(test)
    assert len(caplog.records) == 1


def test_a_cable_pulled_in_the_middle_of_a_picture_gives_no_picture() -> None:
    async def test(camera: HttpPushCamera) -> None:
        for cut in (30, 120, len(request(1)) - 1):
            client = await Client.to(camera)
            client.writer.write(request(1)[:cut])
            await client.writer.drain()
            client.writer.write_eof()
            await client.ended()
            client.close()
        good = await Client.to(camera)
        assert await good.post(2) == 200
        assert (await arrived(camera)).counter == 2
        good.close()

    with_camera(test)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=300), st.just(request(1)), st.just(b"\r\n\r\n")),
                max_size=6))  # fmt: skip
def test_no_bytes_stop_it(pieces: list[bytes]) -> None:
    async def test(camera: HttpPushCamera) -> None:
        client = await Client.to(camera)
        client.writer.write(b"".join(pieces))
        client.writer.write_eof()
        await client.ended()
        client.close()
        while await camera.next_frame(0) is not None:
            pass
        good = await Client.to(camera)
        assert await good.post(2) == 200
        assert (await arrived(camera)).counter == 2
        good.close()

    with_camera(test, request_s=1.0)


# -------------------------------------------------------------------------------------- sessions


def test_it_opens_again_after_close_and_forgets_what_waited() -> None:
    async def test(camera: HttpPushCamera) -> None:
        client = await Client.to(camera)
        assert await client.post(1) == 200
        await camera.close()
        assert await client.ended()
        with pytest.raises(TransientError, match="not open"):
            await camera.next_frame(0.1)
        await camera.open()
        assert await camera.next_frame(0.01) is None
        again = await Client.to(camera)
        assert await again.post(2) == 200
        assert (await arrived(camera)).counter == 2
        again.close()

    with_camera(test)


def test_a_start_that_is_broken_off_at_any_moment_leaves_the_address_free() -> None:
    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            listen = f"127.0.0.1:{probe.getsockname()[1]}"
        camera = HttpPushCamera("cam", HttpPushConfig(listen=listen), DeviceContext())
        broken_off = 0
        for turns in range(20):
            opening = asyncio.create_task(camera.open())
            for _ in range(turns):
                await asyncio.sleep(0)
            opening.cancel()
            await asyncio.wait({opening})
            broken_off += opening.cancelled()
            await camera.close()
            await camera.open()
            await camera.close()
        assert 0 < broken_off < 20

    asyncio.run(run())


def test_an_address_that_is_taken_is_said_with_its_remedy() -> None:
    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            listen = f"127.0.0.1:{taken.getsockname()[1]}"
            camera = HttpPushCamera("cam", HttpPushConfig(listen=listen), DeviceContext())
            with pytest.raises(TransientError, match="stop what else uses"):
                await camera.open()
            await camera.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    "wrong",
    [
        {"listen": "127.0.0.1"},
        {"listen": "http://a:1/x"},
        {"listen": "a:99999"},
        {"listen": ":80"},
        {"listen": "127.0.0.1:1", "queue": 0},
        {"listen": "127.0.0.1:1", "token": "two words"},
        {"listen": "127.0.0.1:1", "tokn": "x"},
    ],
)
def test_a_config_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        HttpPushConfig(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("listen", ["0.0.0.0:9201", "localhost:0", "[::1]:9201"])
def test_addresses_to_listen_on(listen: str) -> None:
    assert HttpPushConfig(listen=listen).listen == listen
