"""A camera that posts every hardware-triggered picture to us over HTTP, as smart cameras can.

`POST /frame`, headers `X-Frame-Counter` (its own number of the exposure, +1 each),
`X-Frame-Time` (its clock in seconds, optional) and, for raw 8-bit rows, `X-Frame-Size: WxH`;
the body is the picture (JPEG, PNG, BMP or binary PGM). It is answered with 200 once the picture is
in our queue, and with the fitting 4xx and a sentence when it is refused.
"""

import asyncio
import logging
import re
import time
from collections import deque
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from agent.core.errors import ConfigError, TransientError
from agent.ports.reading import Frame, Image
from agent.told import os_said, told
from drivers.cameras import picture
from drivers.cameras.http_frames import CHUNK, FrameConnection, Gone, Limits, Posted, Refused
from drivers.context import DeviceContext

log = logging.getLogger(__name__)

_MOST_PEERS = 8
_OPEN_TIMEOUT = 5.0
_CLOSE_TIMEOUT = 2.0
_LOG_EVERY = 60.0
_INLINE = 2_000_000
"""Bytes of an uncompressed picture that are unpacked in the loop: a thread would cost more."""


def _host_port(text: str) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[([\w:.%]+)\]|([\w.-]+)):(\d{1,5})", text, re.ASCII)
    if match is None or int(match[3]) > 65_535:
        raise ValueError(f"'{text}' is not an address to listen on; write HOST:PORT")
    return match[1] or match[2], int(match[3])


def _check_listen(text: str) -> str:
    _host_port(text)
    return text


class HttpPushConfig(BaseModel):
    """`listen` is the address the camera posts to, `token` what it must send as X-Frame-Token.

    `max_bytes` caps one picture, `queue` how many wait for the line, `request_s` how long one
    picture may take to arrive, `idle_s` how long a silent connection is kept.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["http_push"] = "http_push"
    listen: Annotated[str, AfterValidator(_check_listen)]
    token: str = Field("", max_length=256, pattern=r"^[!-~]*$")
    max_bytes: int = Field(16 * 1024 * 1024, ge=1024, le=256 * 1024 * 1024)
    queue: int = Field(32, ge=1, le=1024)
    request_s: float = Field(5.0, gt=0, le=60)
    idle_s: float = Field(600.0, gt=0, le=86_400)


class HttpPushCamera:
    """One camera that posts to one address of ours; the newest connection is the camera.

    A picture that finds the queue full pushes out the oldest: the gap in the counters shows it,
    and `dropped` counts it. `refused` counts requests that were answered with an error.
    """

    def __init__(self, name: str, config: HttpPushConfig, context: DeviceContext) -> None:
        # No wire log for the context: pictures are 10 MB/s, and a secret code stands in them.
        self.name = name
        self.dropped = 0
        self.refused = 0
        self._config = config
        self._limits = Limits(
            config.max_bytes, config.request_s, config.idle_s, config.token.encode()
        )
        self._server: asyncio.Server | None = None
        self._frames: deque[Frame] = deque()
        self._arrived = asyncio.Event()
        self._peers: dict[asyncio.Task[None], FrameConnection] = {}
        self._camera: asyncio.Task[None] | None = None
        self._refusal_logged = float("-inf")
        self._overrun = False

    async def open(self) -> None:
        """Listen. TransientError if the address cannot be had now, ConfigError if never."""
        host, port = _host_port(self._config.listen)
        try:
            async with asyncio.timeout(_OPEN_TIMEOUT):
                # In two steps: a start that is broken off leaves a server that can be closed.
                self._server = await asyncio.start_server(
                    self._connected,
                    host,
                    port,
                    limit=CHUNK,
                    backlog=_MOST_PEERS,
                    start_serving=False,
                )
                await self._server.start_serving()
        except PermissionError as error:
            raise ConfigError(
                *told("camera_port_low", name=self.name, where=self._config.listen)
            ) from error
        except OSError as error:
            raise TransientError(
                *told(
                    "camera_port_used",
                    name=self.name,
                    where=self._config.listen,
                    why=os_said(error),
                )
            ) from error

    @property
    def port(self) -> int:
        """The port that we listen on (the config may say 0: any)."""
        if self._server is None:
            raise TransientError(*told("camera_closed", name=self.name))
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening, cut every connection, forget the pictures that wait."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for task in self._peers:
            task.cancel()
        if self._peers:
            await asyncio.wait(list(self._peers), timeout=_CLOSE_TIMEOUT)
        self._camera = None
        self._frames.clear()
        self._overrun = False

    async def next_frame(self, timeout: float) -> Frame | None:
        """The next picture in order of arrival, None when none came within `timeout` s."""
        if not self._frames:
            if self._server is None:
                raise TransientError(*told("camera_closed", name=self.name))
            self._overrun = False
            self._arrived.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self._arrived.wait()
            except TimeoutError:
                return None
        return self._frames.popleft() if self._frames else None

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        strangers = [task for task in self._peers if task is not self._camera]
        if len(strangers) >= _MOST_PEERS:
            strangers[0].cancel()  # the oldest; the camera itself must always get in
        peer = FrameConnection(reader, writer, self._limits)
        task = asyncio.get_running_loop().create_task(self._serve(peer, writer))
        self._peers[task] = peer
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._peers.pop(task, None)
        if self._camera is task:
            self._camera = None

    async def _serve(self, peer: FrameConnection, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._request(peer):
                if self._camera is not asyncio.current_task() and self._camera is not None:
                    return  # a newer connection has become the camera
        except Gone:
            return
        finally:
            writer.transport.abort()

    async def _request(self, peer: FrameConnection) -> bool:
        """One request and its answer; False when the connection is over."""
        try:
            head = await peer.head()
            self._become_camera()
            posted = await peer.body(head)
            image = await _unpack(posted)
        except Refused as refused:
            self._log_refusal(refused)
            return await peer.refuse(refused)
        self._put(Frame(image, head.counter, head.camera_time, posted.received))
        return await peer.answer(200, "ok")

    def _become_camera(self) -> None:
        task, older = asyncio.current_task(), self._camera
        self._camera = task
        if older is None or older is task:
            return
        # One that waits for bytes is a dead cable; one that is at work ends by itself.
        peer = self._peers.get(older)
        if peer is not None and peer.waiting:
            older.cancel()

    def _put(self, frame: Frame) -> None:
        if len(self._frames) >= self._config.queue:
            lost = self._frames.popleft()
            self.dropped += 1
            if not self._overrun:
                self._overrun = True
                log.warning(
                    "camera %s: picture %d was thrown away, because %d others wait for the line; "
                    "the line reads slower than the camera takes pictures: use a smaller region "
                    "or more vision threads",
                    self.name,
                    lost.counter,
                    self._config.queue,
                )
        self._frames.append(frame)
        self._arrived.set()

    def _log_refusal(self, refused: Refused) -> None:
        """At most one line a minute: a camera set up wrongly repeats itself 30 times a second."""
        self.refused += 1
        now = time.monotonic()
        if now - self._refusal_logged < _LOG_EVERY:
            return
        self._refusal_logged = now
        log.warning(
            "camera %s: a request to %s was refused (%d: %s), %d so far; correct the settings of "
            "the camera that posts there",
            self.name,
            self._config.listen,
            refused.status,
            refused.why,
            self.refused,
        )


async def _unpack(posted: Posted) -> Image:
    """The pixels of a posted picture; Refused (415) when it is none."""
    body, size = posted.body, posted.head.size
    try:
        if size is not None:
            return picture.raw(body, *size)
        if body.startswith((b"BM", b"P5")) and len(body) <= _INLINE:
            return picture.decode(body)
        return await asyncio.to_thread(picture.decode, body)
    except picture.PictureError as error:
        raise Refused(
            415, f"the picture is not one that we can take: {error}", close=False
        ) from error
