"""A connection to an MQTT 5 broker for asyncio, over paho-mqtt's protocol engine.

One `Connection` is one connection: opened once, closed once, never again. Nothing survives it, by
intent: clean start, session expiry 0, and a paho client of its own, so that paho's queue, which
goes on filling without a connection, dies with it. Who uses it opens the next one (`Backoff`) and
repeats what was not acknowledged by whom it was for: the broker's PUBACK is flow control here, not
a receipt.
"""

import asyncio
import logging
import os
import random
import socket
import ssl
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.core.errors import CaselinkError, ConfigError, TransientError

log = logging.getLogger(__name__)

KEEPALIVE = 15
"""Seconds; a peer that is gone is noticed within twice that, or within `STUCK_MS` while sending."""
STUCK_MS = 20_000
"""Sent bytes that the peer's kernel does not acknowledge for so long end the connection."""
OPEN_SECONDS = 10.0
"""For name, TCP, TLS and CONNACK together."""
ANSWER_SECONDS = 20.0
"""What the broker gets to acknowledge a message or a subscription."""
IN_FLIGHT = 16
"""Messages that the broker may owe an acknowledgement for; who sends more waits."""
RECEIVE_MAXIMUM = 16
"""Messages that the broker may send ahead of what was taken from `next_message`."""
HELD = 64
"""Received messages that may wait; a broker that heeds no receive maximum is not read past it."""
MAX_PACKET = 4_000_000
"""Bytes of one packet in either direction."""
CLOSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Broker:
    """Where a broker is and who we are. `url` is mqtt://host[:port] or mqtts://host[:port]; with
    mqtts `ca` verifies the broker (None = the system's authorities), `cert` and `key` show us.
    `keepalive` and `answer`: how many seconds without a sign of life, or without an answer that is
    owed, mean that the connection is lost."""

    url: str
    client: str
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    keepalive: int = KEEPALIVE
    answer: float = ANSWER_SECONDS

    def place(self) -> tuple[str, int, bool]:
        """Host, port, and whether it is TLS. ConfigError when the URL is none of ours."""
        try:
            parts = urlsplit(self.url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port, parts = None, None, urlsplit("")
        if parts.scheme not in ("mqtt", "mqtts") or not host or parts.path not in ("", "/"):
            raise ConfigError(
                f"{self.url} is no address of a broker: write mqtts://host:8883 or "
                "mqtt://host:1883 ([sync] url of the site file, --broker of `caselink cloud run`)."
            )
        tls = parts.scheme == "mqtts"
        return host, port or (8883 if tls else 1883), tls


class Message(NamedTuple):
    """What came in."""

    topic: str
    payload: bytes
    retained: bool


class Will(NamedTuple):
    """What the broker publishes, retained, when we are gone without a word."""

    topic: str
    payload: bytes


class Backoff:
    """How long to wait before the next attempt: doubled up to `longest`, each time anything
    between half of it and all of it, so that a thousand agents do not come back at once."""

    def __init__(self, first: float = 0.5, longest: float = 60.0) -> None:
        self._first, self._longest = first, longest
        self._next = first

    def worked(self) -> None:
        """The attempt brought something about."""
        self._next = self._first

    def wait(self) -> float:
        """Seconds to wait now."""
        now, self._next = self._next, min(2 * self._next, self._longest)
        return now * random.uniform(0.5, 1.0)


class _Client(paho.Client):
    """paho over a socket that is connected already: its own connect would block the loop."""

    given: socket.socket

    def _create_socket(self) -> Any:
        return self.given


class Connection:
    """One connection. All methods are for the event loop it was made in."""

    def __init__(self, broker: Broker, will: Will | None = None) -> None:
        self._broker = broker
        self._client = client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=broker.client,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.max_inflight_messages = IN_FLIGHT
        client.max_queued_messages = 2 * IN_FLIGHT
        if will is not None:
            client.will_set(will.topic, will.payload, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        self._loop = asyncio.get_running_loop()
        self._connected = False
        self._lost: CaselinkError | None = None
        self._changed = asyncio.Event()
        self._owed: dict[int, float] = {}
        self._refused: dict[int, ReasonCode | None] = {}
        self._messages: deque[paho.MQTTMessage] = deque()
        self._reading = False
        self._writing = False
        self._ticking: asyncio.TimerHandle | None = None
        self._socket: socket.socket | None = None
        self._max_packet = MAX_PACKET

    # -------------------------------------------------------------------------------- use

    async def open(self, timeout: float = OPEN_SECONDS) -> None:
        """Connect, all within `timeout` s. TransientError: the broker is not there or does not
        take us now. ConfigError: it never will, by its certificate or ours."""
        host, port, tls = self._broker.place()
        context = _context(self._broker) if tls else None
        where = f"the broker {host}:{port}"
        try:
            async with asyncio.timeout(timeout):
                sock = await _connected(host, port)
                if context is not None:
                    sock = await _secured(sock, context, host)
                self._begin(sock)
                await self._until(lambda: self._connected)
        except TimeoutError:
            self._abandon()
            raise TransientError(f"{where} did not answer within {timeout:g} s.") from None
        except ssl.SSLCertVerificationError as error:
            self._abandon()
            raise ConfigError(
                f"{where} shows a certificate that is not trusted ({error.verify_message}): check "
                "its name and [sync] ca."
            ) from error
        except OSError as error:
            self._abandon()
            known = (error.errno or 0) > 0  # a name that is not found has numbers of its own
            why = os.strerror(error.errno or 0) if known else error.strerror or str(error)
            raise TransientError(f"{where} cannot be reached: {why}.") from error
        except BaseException:
            self._abandon()
            raise

    async def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, timeout: float | None = None
    ) -> None:
        """Hand a message over, QoS 1, as soon as the broker owes fewer than `IN_FLIGHT` answers.
        Not yet acknowledged then: if that fails the connection ends. TransientError: it has ended,
        or there was no room within `timeout` s (default: as long as an answer may take)."""
        if len(payload) + len(topic) + 64 > self._max_packet:
            raise ConfigError(
                f"The broker takes packets of {self._max_packet} bytes, this one has "
                f"{len(payload)}: raise its limit (mosquitto: max_packet_size) to {MAX_PACKET}."
            )
        await self._wait(lambda: len(self._owed) < IN_FLIGHT, timeout, "acknowledge messages")
        info = self._client.publish(topic, payload, qos=1, retain=retain)
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise self._fail(TransientError(f"Publishing failed: {paho.error_string(info.rc)}"))
        self._owed[info.mid] = self._loop.time() + self._broker.answer

    async def settle(self, timeout: float | None = None) -> None:
        """Wait until the broker has acknowledged everything. TransientError as `publish`."""
        await self._wait(lambda: not self._owed, timeout, "acknowledge messages")
        self._check()

    async def subscribe(self, topic: str, timeout: float | None = None) -> None:
        """Subscribe with QoS 1 and wait for the answer. ConfigError when it is not allowed."""
        self._check()
        code, mid = self._client.subscribe(topic, qos=1)
        if code != paho.MQTT_ERR_SUCCESS or mid is None:
            raise self._fail(TransientError(f"Subscribing failed: {paho.error_string(code)}"))
        self._refused[mid] = None
        await self._wait(lambda: self._refused[mid] is not None, timeout, "answer a subscription")
        answer = self._refused.pop(mid)
        if answer is None or answer.is_failure:
            raise ConfigError(
                f"The broker does not let {self._broker.client} subscribe to {topic} ({answer}): "
                "see its access list."
            )

    async def next_message(self, timeout: float) -> Message | None:
        """The next message in order, None when none came within `timeout` s. TransientError when
        the connection has ended and all that it brought is taken."""
        if not self._messages:
            try:
                async with asyncio.timeout(timeout):
                    await self._until(lambda: bool(self._messages))
            except TimeoutError:
                return None
        message = self._messages.popleft()
        if self._socket is not None and self._lost is None:
            self._client.ack(message.mid, message.qos)
            self._read_on()
        return Message(message.topic, bytes(message.payload), message.retain)

    @property
    def alive(self) -> bool:
        """Whether it is connected."""
        return self._connected and self._lost is None

    async def close(self, *, politely: bool = True) -> None:
        """End it. Politely: with a word to the broker, so that the will is not carried out."""
        try:
            if politely and self.alive:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self.settle(CLOSE_SECONDS)
                    self._client.disconnect()
                    await self._until(lambda: self._socket is None)
        except (TimeoutError, CaselinkError):
            pass
        finally:
            self._abandon()

    # ------------------------------------------------------------------------------ waiting

    def _check(self) -> None:
        if self._lost is not None:
            raise self._lost
        if not self._connected:
            raise TransientError("The connection to the broker is not open.")

    async def _until(self, done: Callable[[], bool]) -> None:
        while not done():
            if self._lost is not None:
                raise self._lost
            self._changed.clear()
            await self._changed.wait()

    async def _wait(self, done: Callable[[], bool], timeout: float | None, what: str) -> None:
        self._check()
        timeout = self._broker.answer if timeout is None else timeout
        try:
            async with asyncio.timeout(timeout):
                await self._until(done)
        except TimeoutError:
            lost = TransientError(f"The broker did not {what} within {timeout:g} s.")
            raise self._fail(lost) from None

    def _fail(self, error: CaselinkError) -> CaselinkError:
        """The connection ends by this, unless it has ended."""
        if self._lost is None:
            self._lost = error
        self._abandon()
        return self._lost

    # ------------------------------------------------------------------------------- socket

    def _begin(self, connected: socket.socket) -> None:
        client = self._client
        self._socket = client.given = connected
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 0
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        properties.MaximumPacketSize = MAX_PACKET
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_want_write
        client.on_socket_unregister_write = self._on_written
        client.connect(
            "broker", 1, keepalive=self._broker.keepalive, clean_start=True, properties=properties
        )  # the address is not used: see _Client
        self._read_on()
        self._tick()

    def _read_on(self) -> None:
        """Read the socket, unless enough is waiting."""
        wanted = self._socket is not None and len(self._messages) < HELD
        if self._socket is None or wanted == self._reading:
            return
        self._reading = wanted
        if wanted:
            self._loop.add_reader(self._socket, self._readable)
            # What TLS has unpacked already makes no socket readable.
            self._loop.call_soon(self._readable)
        else:
            self._loop.remove_reader(self._socket)

    def _readable(self) -> None:
        while self._reading and self._socket is not None:
            self._client.loop_read()
            self._read_on()
            if not isinstance(self._socket, ssl.SSLSocket) or not self._socket.pending():
                return

    def _tick(self) -> None:
        self._ticking = self._loop.call_later(1.0, self._tick)
        if self._reading:  # else its answers wait unread
            self._client.loop_misc()
        if self._owed and self._loop.time() > next(iter(self._owed.values())):
            self._fail(
                TransientError(f"The broker acknowledges nothing for {self._broker.answer:g} s.")
            )

    def _on_want_write(self, _client: Any, _userdata: Any, wanting: Any) -> None:
        if not self._writing:
            self._writing = True
            self._loop.add_writer(wanting, self._client.loop_write)

    def _on_written(self, _client: Any, _userdata: Any, written: Any) -> None:
        if self._writing:
            self._writing = False
            self._loop.remove_writer(written)

    def _on_socket_close(self, _client: Any, _userdata: Any, closing: Any) -> None:
        if not self._loop.is_closed():  # paho was collected, and nobody had closed us
            self._loop.remove_reader(closing)
            self._loop.remove_writer(closing)
        self._reading = self._writing = False
        self._socket = None
        self._changed.set()

    def _abandon(self) -> None:
        """Close the socket without a word."""
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        if self._lost is None:
            self._lost = TransientError("The connection to the broker is closed.")
        # paho closes its socket once more when it is collected, maybe without a loop.
        self._client.on_socket_close = self._client.on_socket_unregister_write = None
        if self._socket is not None:
            sock = self._socket
            self._on_socket_close(None, None, sock)
            sock.close()
        self._changed.set()

    # ---------------------------------------------------------------------- paho's callbacks

    def _on_connect(
        self, _client: Any, _userdata: Any, _flags: Any, reason: ReasonCode, granted: Any
    ) -> None:
        if reason.is_failure:
            self._lost = ConfigError(
                f"The broker does not let {self._broker.client} in ({reason}): see its list of "
                "users and our certificate."
            )
        else:
            self._connected = True
            self._max_packet = min(MAX_PACKET, getattr(granted, "MaximumPacketSize", MAX_PACKET))
        self._changed.set()

    def _on_disconnect(
        self, _client: Any, _userdata: Any, flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if self._lost is None:
            self._lost = TransientError(_why(reason, flags))
        self._changed.set()

    def _on_message(self, _client: Any, _userdata: Any, message: paho.MQTTMessage) -> None:
        self._messages.append(message)
        self._changed.set()

    def _on_publish(
        self, _client: Any, _userdata: Any, mid: int, reason: ReasonCode, _properties: Any
    ) -> None:
        self._owed.pop(mid, None)
        if reason.is_failure:
            self._lost = self._lost or ConfigError(
                f"The broker did not take a message of {self._broker.client} ({reason}): see its "
                "access list and limits."
            )
        self._changed.set()

    def _on_subscribe(
        self, _client: Any, _userdata: Any, mid: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        if mid in self._refused:
            self._refused[mid] = reasons[0]
        self._changed.set()


def _why(reason: ReasonCode, flags: Any) -> str:
    who = "The broker ended the connection" if flags.is_disconnect_packet_from_server else "Lost"
    return f"{who}: {reason}."


def _context(broker: Broker) -> ssl.SSLContext:
    """How we speak TLS. ConfigError when a file is missing or does not fit."""
    try:
        context = ssl.create_default_context(cafile=broker.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if broker.cert is not None:
            context.load_cert_chain(broker.cert, broker.key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"The certificates in [sync] (ca {broker.ca}, cert {broker.cert}, key {broker.key}) "
            f"cannot be used: {error}."
        ) from error
    return context


async def _connected(host: str, port: int) -> socket.socket:
    """A TCP connection to the first address that answers."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return await _first(found)


async def _first(addresses: Iterable[tuple[Any, ...]]) -> socket.socket:
    loop = asyncio.get_running_loop()
    failure: OSError = OSError("the name has no address")
    for family, kind, protocol, _, address in addresses:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            # Without it a window of one sends 20 batches a second instead of 939.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STUCK_MS)
            await loop.sock_connect(sock, address)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


async def _secured(plain: socket.socket, context: ssl.SSLContext, host: str) -> ssl.SSLSocket:
    """TLS over a connected socket, without blocking."""
    loop = asyncio.get_running_loop()
    secured = context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
    try:
        while True:
            try:
                secured.do_handshake()
                return secured
            except ssl.SSLWantReadError:
                await _ready(loop.add_reader, loop.remove_reader, secured)
            except ssl.SSLWantWriteError:
                await _ready(loop.add_writer, loop.remove_writer, secured)
    except BaseException:
        secured.close()
        raise


async def _ready(add: Callable[..., None], remove: Callable[..., Any], sock: ssl.SSLSocket) -> None:
    came: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def ready() -> None:
        if not came.done():
            came.set_result(None)

    add(sock, ready)
    try:
        await came
    finally:
        remove(sock)
