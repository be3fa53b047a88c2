"""The door to the network, over real sockets: floods and slow peers of one address shut out nobody
else."""

import asyncio
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic

import httpx
import pytest
from fastapi import FastAPI

from agent.services.rates import Rate
from agent.web.door import Limits
from agent.web.server import WebServer

SECONDS = 20.0
ROGUE, HONEST = "127.0.0.66", "127.0.0.2"
FEW = Limits(most=40, each=6, handshakes=8, handshakes_each=2)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        (
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=box "
            f"-addext subjectAltName=IP:127.0.0.1 -keyout {file} -out {file.with_suffix('.crt')}"
        ).split(),
        capture_output=True,
        timeout=SECONDS,
        check=True,
    )
    with file.open("a") as both:
        both.write(file.with_suffix(".crt").read_text())
    return file


@contextmanager
def serving(limits: Limits, certificate: Path | None = None) -> Iterator[int]:
    """A server with one route in a loop of its own; its port."""
    app = FastAPI()

    @app.get("/")
    async def here() -> str:
        return "here"

    @app.get("/much")
    async def much() -> str:
        return "x" * 20_000_000

    up: Future[tuple[int, Callable[[], object]]] = Future()

    async def run() -> None:
        tls = None
        if certificate is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
        server = WebServer(app, "127.0.0.1", 0, tls=tls, limits=limits)
        work = asyncio.create_task(server.run())
        await server.started()
        loop = asyncio.get_running_loop()
        up.set_result((server.port, lambda: loop.call_soon_threadsafe(server.stop)))
        await work

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    port, stop = up.result(SECONDS)
    try:
        yield port
    finally:
        stop()
        thread.join(SECONDS)
        assert not thread.is_alive()


def connect(port: int, source: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), SECONDS, source_address=(source, 0))


def ask(port: int, certificate: Path | None = None, source: str = HONEST) -> int:
    """What an honest peer is answered."""
    scheme, verify = "http", ssl.create_default_context()
    if certificate is not None:
        scheme = "https"
        verify.load_verify_locations(certificate.with_suffix(".crt"))
    way = httpx.HTTPTransport(local_address=source, verify=verify)
    with httpx.Client(transport=way, timeout=SECONDS) as client:
        return client.get(f"{scheme}://127.0.0.1:{port}/").status_code


def is_closed(peer: socket.socket) -> bool:
    """Whether the server ends the connection, in the time that a test has."""
    peer.settimeout(SECONDS)
    try:
        return peer.recv(1) == b""
    except ConnectionError:
        return True


def test_an_address_gets_so_many_connections_and_another_one_its_own() -> None:
    with ExitStack() as stack:
        port = stack.enter_context(serving(FEW))
        held = [stack.enter_context(connect(port, ROGUE)) for _ in range(FEW.each)]
        more = [stack.enter_context(connect(port, ROGUE)) for _ in range(3)]
        assert all(is_closed(peer) for peer in more)
        assert ask(port) == 200
        held[0].sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert held[0].recv(100).startswith(b"HTTP/1.1 200")
        while not is_closed(held[0]):
            pass
        # Its place is free again.
        assert ask(port, source=ROGUE) == 200


def test_all_together_get_no_more_than_there_are() -> None:
    with ExitStack() as stack:
        port = stack.enter_context(serving(FEW._replace(most=4)))
        for n in range(4):
            stack.enter_context(connect(port, f"127.0.1.{n + 1}"))
        assert is_closed(stack.enter_context(connect(port, HONEST)))


def test_new_connections_of_an_address_come_at_a_rate() -> None:
    limits = FEW._replace(new=Rate(0.001, 3))
    with serving(limits) as port:
        assert [ask(port, source=ROGUE) for _ in range(3)] == [200] * 3
        with connect(port, ROGUE) as fourth:
            assert is_closed(fourth)
        assert ask(port) == 200


def test_handshakes_that_nobody_goes_on_with_keep_nobody_out(certificate: Path) -> None:
    limits = FEW._replace(handshakes=4, handshake_seconds=3.0)
    with ExitStack() as stack:
        port = stack.enter_context(serving(limits, certificate))
        silent = [stack.enter_context(connect(port, ROGUE)) for _ in range(FEW.each)]
        assert ask(port, certificate) == 200
        # Before anybody was given up: they wait for one another, and nobody for them.
        silent[0].setblocking(False)
        with pytest.raises(BlockingIOError):
            silent[0].recv(1)
        assert all(is_closed(peer) for peer in silent[: limits.handshakes_each])


def test_nonsense_instead_of_tls_is_closed(certificate: Path) -> None:
    with serving(FEW, certificate) as port:
        for _ in range(2 * FEW.each):
            with connect(port, ROGUE) as peer:
                peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
                while not is_closed(peer):
                    pass
        assert ask(port, certificate, ROGUE) == 200


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: "])
def test_a_head_that_does_not_come_is_not_waited_for(sent: bytes) -> None:
    with serving(FEW._replace(head_seconds=0.3)) as port, connect(port, ROGUE) as peer:
        peer.sendall(sent)
        assert is_closed(peer)


def test_a_head_that_trickles_is_not_waited_for() -> None:
    began = monotonic()
    with serving(FEW._replace(head_seconds=0.3)) as port, connect(port, ROGUE) as peer:
        peer.settimeout(0.05)
        peer.sendall(b"GET / HTTP/1.1\r\n")
        closed = False
        while not closed and monotonic() - began < SECONDS:
            try:
                peer.sendall(b"x: y\r\n")
                closed = peer.recv(1) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                closed = True
        assert closed


def test_an_answer_that_is_being_read_is_not_cut_off() -> None:
    with serving(FEW._replace(head_seconds=0.2)) as port, connect(port, HONEST) as peer:
        peer.sendall(b"GET /much HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        began, size = monotonic(), 0
        while monotonic() - began < 0.7:  # longer than a head would be waited for
            size += len(peer.recv(1))
        while data := peer.recv(1 << 20):
            size += len(data)
        assert size > 20_000_000
