"""One HTTP connection that posts pictures: h11 does the protocol, this does deadlines and caps."""

import asyncio
import hmac
import re
import time
from dataclasses import dataclass
from math import isfinite

import h11

from drivers.cameras import picture

CHUNK = 262_144
_MOST_HEAD = 16_384
_LINGER = 1.0
_LINGER_BYTES = 64 * 1024 * 1024


class Refused(Exception):
    """A request that is answered with `status` and a sentence. `close`: and then hung up on,
    because what follows on the connection is not known to be a request."""

    def __init__(self, status: int, why: str, close: bool = True) -> None:
        super().__init__(why)
        self.status = status
        self.why = why
        self.close = close


class Gone(Exception):
    """The other side ended the connection, or has been silent for too long: nobody to answer."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`max_bytes` of one picture, `request_s` from a request's first byte to its last, `idle_s`
    between requests; `token` must come as X-Frame-Token unless it is empty."""

    max_bytes: int
    request_s: float
    idle_s: float
    token: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """What the headers of a picture say; `size` (width, height) only for raw rows."""

    counter: int
    camera_time: float | None
    size: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Posted:
    """A picture as it was posted: its head, its bytes, time.monotonic() of the last byte."""

    head: Head
    body: bytearray
    received: float


class FrameConnection:
    """The server's side of one connection. `waiting` is true while it waits for bytes."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limits: Limits
    ) -> None:
        self.waiting = False
        self._reader = reader
        self._writer = writer
        self._limits = limits
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MOST_HEAD)
        self._bodiless = False
        self._deadline = 0.0

    async def head(self) -> Head:
        """The next request's head. Refused if it is no POST of a picture that we take, Gone when
        the connection has ended or nothing came within the idle time."""
        begun = bool(self._http.trailing_data[0])
        self._deadline = time.monotonic() + (
            self._limits.request_s if begun else self._limits.idle_s
        )
        event = await self._event(idle=not begun)
        if not isinstance(event, h11.Request):
            raise Gone
        self._bodiless = event.method == b"HEAD"
        return self._check(event)

    async def body(self, head: Head) -> Posted:
        """The picture that belongs to a head; Refused when it is too long or too slow."""
        body = bytearray()
        while isinstance(event := await self._event(), h11.Data):
            body += event.data
            if len(body) > self._limits.max_bytes:
                raise self._too_long()
        if isinstance(event, h11.ConnectionClosed):
            raise Gone
        return Posted(head, body, time.monotonic())

    async def answer(self, status: int, text: str, close: bool = False) -> bool:
        """Answer the request; False when the connection is over. Never waits longer than
        `request_s`; Gone if the other side does not take it."""
        data = text.encode() + b"\n"
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(data)).encode()),
        ]
        if close or self._http.their_state is not h11.DONE:
            headers.append((b"connection", b"close"))
        http = self._http
        out = [
            http.send(h11.Response(status_code=status, headers=headers)),
            http.send(h11.Data(b"" if self._bodiless else data)),
            http.send(h11.EndOfMessage()),
        ]
        try:
            self._writer.write(b"".join(part for part in out if part))
            async with asyncio.timeout(self._limits.request_s):
                await self._writer.drain()
        except OSError as error:  # TimeoutError is one
            raise Gone from error
        if http.our_state is h11.DONE and http.their_state is h11.DONE:
            http.start_next_cycle()
            return True
        await self._linger()
        return False

    async def refuse(self, refused: Refused) -> bool:
        """Answer a refusal; False when the connection is over."""
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return False
        return await self.answer(refused.status, refused.why, refused.close)

    async def _event(self, idle: bool = False) -> object:
        """The next h11 event before the deadline. `idle`: no byte of the request is here yet, and
        its first one sets the deadline for the rest."""
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(status_code=100, headers=[])
                    self._writer.write(self._http.send(go_on) or b"")
                data = await self._read(idle)
                if idle and data:
                    idle = False
                    self._deadline = time.monotonic() + self._limits.request_s
                self._http.receive_data(data)
        except h11.RemoteProtocolError as error:
            why = f"this is not HTTP as we know it: {error}"
            raise Refused(error.error_status_hint, why) from error
        return event

    async def _read(self, idle: bool) -> bytes:
        self.waiting = True
        try:
            async with asyncio.timeout(max(0.0, self._deadline - time.monotonic())):
                return await self._reader.read(CHUNK)
        except TimeoutError:
            if idle:
                raise Gone from None
            why = f"the request did not end within {self._limits.request_s:g} s"
            raise Refused(408, why) from None
        except OSError as error:
            raise Gone from error
        finally:
            self.waiting = False

    async def _linger(self) -> None:
        """Take what is still on its way: a reset in its face would make the other side lose our
        answer. Bounded in time and in bytes."""
        taken = 0
        try:
            if self._writer.can_write_eof():
                self._writer.write_eof()
            async with asyncio.timeout(_LINGER):
                while taken < _LINGER_BYTES and (data := await self._reader.read(CHUNK)):
                    taken += len(data)
        except OSError:
            return

    def _too_long(self) -> Refused:
        return Refused(413, f"a picture may have {self._limits.max_bytes} bytes at most")

    def _check(self, request: h11.Request) -> Head:
        headers = dict(request.headers)
        if request.target.split(b"?")[0] != b"/frame":
            raise Refused(404, "post pictures to /frame")
        if request.method != b"POST":
            raise Refused(405, "pictures are posted: use POST")
        token = self._limits.token
        if token and not hmac.compare_digest(headers.get(b"x-frame-token", b""), token):
            raise Refused(401, "X-Frame-Token is missing or is not the one of our config")
        if int(headers.get(b"content-length", b"0")) > self._limits.max_bytes:
            raise self._too_long()
        counter = headers.get(b"x-frame-counter", b"")
        if not re.fullmatch(rb"\d{1,18}", counter):
            raise Refused(400, "X-Frame-Counter must be the number of the exposure")
        return Head(
            int(counter),
            _time(headers.get(b"x-frame-time")),
            _size(headers.get(b"x-frame-size")),
        )


def _time(text: bytes | None) -> float | None:
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = float("nan")
    if not isfinite(seconds):
        raise Refused(400, "X-Frame-Time must be seconds of the camera's clock")
    return seconds


def _size(text: bytes | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(rb"(\d{1,5})x(\d{1,5})", text)
    if match is None or int(match[1]) * int(match[2]) > picture.MOST_PIXELS:
        raise Refused(400, "X-Frame-Size must be WIDTHxHEIGHT of the raw picture in pixels")
    return int(match[1]), int(match[2])
