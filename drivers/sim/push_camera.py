"""A simulated smart camera: renders what it sees and posts it over HTTP, in order.

It shares nothing with the driver: the request is written out by hand. Rendering and posting run
in a thread of their own, so that the plant's loop never waits for the agent.
"""

import contextlib
import http.client
import queue
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from drivers.sim.render import encode, render
from drivers.sim.world import Exposure, Scene

_TIMEOUT = 2.0


@dataclass(frozen=True, slots=True)
class CameraFaults:
    """What goes wrong, by the counter of the exposure: pictures lost, posted twice, or posted
    so many seconds late."""

    drop: frozenset[int] = frozenset()
    twice: frozenset[int] = frozenset()
    delay: Mapping[int, float] = field(default_factory=dict)


class PushCamera:
    """Posts to http://`host`:`port`/frame. `picture` is raw (the quickest), bmp, jpeg or png.

    Like a real one it holds a few pictures (`memory`); one that finds the memory full, or that
    cannot be delivered within 2 s, is lost and its number is never used again. `sent` and `lost`
    count pictures.
    """

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        token: str = "",
        *,
        picture: str = "raw",
        faults: CameraFaults | None = None,
        memory: int = 32,
    ) -> None:
        self.name = name
        self.sent = 0
        self.lost = 0
        self._address = host, port
        self._token = token
        self._picture = picture
        self._faults = faults or CameraFaults()
        self._exposures: queue.Queue[Exposure | None] = queue.Queue(memory)
        self._connection: http.client.HTTPConnection | None = None
        self._stopping = threading.Event()
        self._dead = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"camera-{name}", daemon=True)
        self._thread.start()

    def submit(self, exposure: Exposure) -> None:
        """The camera was fired. Returns at once."""
        try:
            self._exposures.put_nowait(exposure)
        except queue.Full:
            self.lost += 1

    def stop(self) -> None:
        """The camera hangs: it takes pictures and posts none, until `resume`."""
        self._dead.set()

    def resume(self) -> None:
        """The camera posts again; what it saw in between is lost."""
        self._dead.clear()

    def close(self, timeout: float = 3.0) -> None:
        """Switch off: post what waits if it can be done within `timeout` s, then end."""
        deadline = time.monotonic() + timeout
        with contextlib.suppress(queue.Full):
            self._exposures.put(None, timeout=timeout)
        self._thread.join(max(0.0, deadline - time.monotonic()))
        self._stopping.set()
        self._thread.join(_TIMEOUT)

    def _run(self) -> None:
        # A real camera needs no time for its first picture: what every rendering uses is made now
        # (30 ms), and not while the plant's PLC waits for the interpreter.
        render(Scene(64, 64, ()))
        while not self._stopping.is_set():
            try:
                exposure = self._exposures.get(timeout=0.2)
            except queue.Empty:
                continue
            if exposure is None:
                break
            self._expose(exposure)
        self._hang_up()

    def _expose(self, exposure: Exposure) -> None:
        number, faults = exposure.counter, self._faults
        if self._dead.is_set() or number in faults.drop:
            self.lost += 1
            return
        headers = {
            "X-Frame-Counter": str(number),
            "X-Frame-Time": f"{exposure.camera_time:.6f}",
            "Content-Type": "application/octet-stream",
        }
        if self._token:
            headers["X-Frame-Token"] = self._token
        image = render(exposure.scene)
        if self._picture == "raw":
            headers["X-Frame-Size"] = f"{image.shape[1]}x{image.shape[0]}"
            body = image.tobytes()
        else:
            body = encode(image, self._picture)
        if number in faults.delay:
            self._stopping.wait(faults.delay[number])
        for _ in range(2 if number in faults.twice else 1):
            if self._post(body, headers):
                self.sent += 1
            else:
                self.lost += 1

    def _post(self, body: bytes, headers: dict[str, str]) -> bool:
        """Post once, and once more if the kept connection turns out to be gone. True if the
        answer was 200."""
        if self._connection is not None:
            try:
                return self._request(self._connection, body, headers)
            except ConnectionError:
                self._hang_up()
            except (OSError, http.client.HTTPException):
                self._hang_up()
                return False
        try:
            self._connection = http.client.HTTPConnection(*self._address, timeout=_TIMEOUT)
            self._connection.connect()
            # Head and body are two writes; without this the second waits for an acknowledgement.
            self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return self._request(self._connection, body, headers)
        except (OSError, http.client.HTTPException):
            self._hang_up()
            return False

    def _request(
        self, connection: http.client.HTTPConnection, body: bytes, headers: dict[str, str]
    ) -> bool:
        connection.request("POST", "/frame", body, headers)
        answer = connection.getresponse()
        answer.read(65_536)
        if answer.will_close:
            self._hang_up()
        return answer.status == 200

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
