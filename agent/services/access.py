"""Who a request of a PDA comes from: its device by token and signature, its person by log-in.

Device clocks are wrong, so the time of a request is only bound by its signature; a request that
comes twice is known by its nonce. Items are idempotent by their number and need no nonce of theirs.

A log-in lasts a shift. On the server it also ends when nothing was done for a while, or when the
person's PIN changes or the person is removed. A device without a network goes by `until` alone:
what a person scanned there before it counts, whenever it is sent.
"""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any, NamedTuple

from agent.core.errors import DomainError
from agent.core.goods import Scope
from agent.now import wall_ms
from agent.services.devices import operations_of
from agent.services.rates import Rate, Rates
from agent.services.signing import item_text, request_text, verified
from agent.services.users import User, Users
from agent.store import devices as stored
from agent.store.devices import Device, Login
from agent.store.readers import Readers
from agent.store.turns import Turn
from agent.store.writer import Writer

NONCES = 10_000
"""Nonces that are remembered for a device."""
LASTS_MS = 12 * 3_600_000
"""A log-in ends after so long, offline too."""
IDLE_MS = 30 * 60_000
"""Without a request for so long, it must be made anew for what needs a person at the device."""
MOST_ACTIVE = 4096
"""Log-ins of which it is remembered to the second when the person was last there."""
TOUCH_MS = 60_000
"""That a person did something is written down at most so often."""
OLDEST_MS = 90 * 86_400_000
"""A scan is not older than this: a clock that was set says so."""

REQUESTS = Rate(20, 100)
ITEMS = Rate(50, 1_000)
QUERIES = Rate(5, 20)
LOGINS = Rate(0.1, 5)
FAILURES = Rate(10, 200)
"""Requests that no device signed, by the address they come from: many may share one."""
STRANGERS = Rate(1, 10)
"""Questions of devices that are not enrolled, by address."""
ENROLMENTS = Rate(1, 100)
"""By address."""


class Signed(NamedTuple):
    """A request as it came: `target` is its path with the query, `address` where from."""

    method: str
    target: str
    body: bytes
    device: str
    bearer: str
    time: str
    nonce: str
    signature: str
    address: str


class Session(NamedTuple):
    """A log-in as the device is told of it; `until` in ms by our clock."""

    token: str
    user: User
    operations: tuple[str, ...]
    until: int


class Access:
    """Lets devices and people in, or not."""

    def __init__(self, readers: Readers, writer: Writer, users: Users) -> None:
        self._readers = readers
        self._writer = writer
        self._users = users
        self._nonces: dict[str, dict[int, None]] = {}
        self._active: OrderedDict[str, int] = OrderedDict()
        self._lock = Lock()
        self.requests = Rates(REQUESTS)
        self.items = Rates(ITEMS)
        self.queries = Rates(QUERIES)
        self.logins = Rates(LOGINS)
        self.failures = Rates(FAILURES)
        self.enrolments = Rates(ENROLMENTS)
        self.strangers = Rates(STRANGERS)

    # ------------------------------------------------------------------------------------ device

    def device(self, signed: Signed) -> Device:
        """The device that signed a request.

        DomainError `not_enrolled` (no such device, or not its token), `device_revoked`,
        `bad_signature`, `replayed`; TooMany.
        """
        self.failures.wait(signed.address)
        try:
            found = self._believed(signed)
        except DomainError:
            self.failures.take(signed.address)
            raise
        self.requests.take(found.id)
        return found

    def _believed(self, signed: Signed) -> Device:
        with self._readers.connection() as conn:
            found = stored.get(conn, signed.device)
        # Compared for a device that is not there too, so that both take the same time.
        token = hashlib.sha256(signed.bearer.encode()).hexdigest()
        if not hmac.compare_digest(token, found.token if found else "0" * 64) or found is None:
            raise DomainError(
                "not_enrolled", "No device that is enrolled here has this name and token: enrol it."
            )
        if found.revoked is not None:
            raise DomainError(
                "device_revoked",
                "This device was revoked. What waits on it can be exported; ask a supervisor.",
            )
        text = request_text(signed.method, signed.target, signed.time, signed.nonce, signed.body)
        if not verified(found.key, text, signed.signature):
            raise DomainError(
                "bad_signature",
                "The request is not signed by this device: sign method, path with query, time, "
                "nonce and the body's SHA-256, as docs/pda-api.md says.",
            )
        self._once(found.id, signed.nonce)
        return found

    def _once(self, device: str, nonce: str) -> None:
        """Only what was signed is remembered, so that nobody can push a nonce out."""
        # 64 bits of each, some 100 bytes in memory.
        short = int.from_bytes(hashlib.blake2b(nonce.encode(), digest_size=8).digest())
        with self._lock:
            seen = self._nonces.setdefault(device, {})
            if short in seen:
                raise DomainError("replayed", "This request came before: make a new nonce.")
            seen[short] = None
            if len(seen) > NONCES:
                del seen[next(iter(seen))]

    def signed_items(self, device: Device, items: Sequence[dict[str, Any]]) -> None:
        """DomainError `item_forged` names the first item that this device did not sign."""
        for item in items:
            if not _signed(device, item):
                raise DomainError(
                    "item_forged",
                    f"Item {item['seq']} is not signed by this device, so nothing was taken. "
                    "Export what waits on the device and ask a supervisor.",
                )

    # ------------------------------------------------------------------------------------ person

    def login(self, device: Device, badge: str, pin: str) -> Session:
        """A person logs in on a device; takes about 50 ms.

        DomainError `no_users`, `pin_wait`, `pin_wrong`; TooMany.
        """
        self.logins.take(device.id)
        user = self._users.check(badge, pin)
        token, now = secrets.token_urlsafe(32), wall_ms()
        made = Login(device.id, badge, user.stamp, now, now + LASTS_MS, now)
        self._writer.wait(lambda conn: stored.add_login(conn, _hash(token), made))
        return Session(token, user, _may(device, user), made.until_ms)

    def person(self, device: Device, token: str) -> Scope:
        """For whom a logged-in person asks. DomainError `not_logged_in`."""
        key, now = _hash(token), wall_ms()
        with self._readers.connection() as conn:
            found = stored.login(conn, key)
        if found is not None and found.device == device.id:
            user = self._users.get(found.badge)
            valid = now < found.until_ms and self._goes_on(key, found, now)
            if valid and user is not None and user.stamp == found.stamp:
                return _scope(device, user)
        raise DomainError(
            "not_logged_in", "Nobody is logged in on this device any more: scan the badge again."
        )

    def _goes_on(self, key: str, login: Login, at_ms: int) -> bool:
        """Whether the person was still there at a time; what they did then keeps it going."""
        with self._lock:
            seen = max(login.seen_ms, self._active.get(key, 0))
            if at_ms - seen >= IDLE_MS:
                return False
            self._active[key] = max(seen, at_ms)
            self._active.move_to_end(key)
            while len(self._active) > MOST_ACTIVE:
                self._active.popitem(last=False)
        if at_ms - login.seen_ms >= TOUCH_MS:
            self._writer.wait(lambda conn: stored.touch_login(conn, key, at_ms), turn=Turn.SHORT)
        return True

    def speaks(self, device: Device, badge: str) -> Callable[[int], Scope]:
        """For whom an item of a badge was made at a time (ms by our clock): with what the person
        may do if they were logged in on the device then, with nothing otherwise. Who scans
        without a network stays logged in by it."""
        with self._readers.connection() as conn:
            found = stored.last_login(conn, device.id, badge)
        user = self._users.get(badge)
        nothing = Scope(device.party, device.locations, (), badge, device.id)
        if found is None or user is None:
            return lambda at_ms: nothing
        key, login, scope = *found, _scope(device, user)

        def at(at_ms: int) -> Scope:
            if at_ms >= login.until_ms:
                return nothing
            if user.stamp == login.stamp:
                self._goes_on(key, login, at_ms)
            return scope

        return at


def _signed(device: Device, item: Mapping[str, Any]) -> bool:
    try:
        return verified(device.key, item_text(device.id, item), item["sig"])
    except ValueError:  # what cannot be written as canonical JSON was never signed
        return False


def scan_time(now_ms: int, device_now_ms: int, device_ms: int) -> int:
    """When something was scanned by our clock, from what the device's said then and says now. A
    device whose clock was set in between gives what cannot be; then it is now."""
    at = now_ms - (device_now_ms - device_ms)
    return at if now_ms - OLDEST_MS <= at <= now_ms else now_ms


def _scope(device: Device, user: User) -> Scope:
    return Scope(device.party, device.locations, _may(device, user), user.badge, device.id)


def _may(device: Device, user: User) -> tuple[str, ...]:
    return operations_of(device, user.at_least("supervisor"), user.operations)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def scope_data(device: Device) -> Mapping[str, Any]:
    """A device's scope, as it is told."""
    return {
        "party": device.party,
        "locations": list(device.locations),
        "operations": list(device.operations),
    }
