"""PDAs: how one is let in by a code that is shown once, and how it is shut out again.

A code is good for one device and five minutes; it stands in memory only, as a hash. Of the token
that a device gets, only a hash is kept.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any, NamedTuple

from agent.clockwatch import clock
from agent.core.errors import DomainError
from agent.core.facts import DeviceEnrolled, DeviceRevoked
from agent.core.goods import SUPERVISE
from agent.core.rules import OPERATIONS
from agent.now import monotonic
from agent.services.signing import key_of
from agent.store import devices as stored
from agent.store.database import Connection
from agent.store.devices import Device, Seen
from agent.store.readers import Readers
from agent.store.record import record
from agent.store.turns import Turn
from agent.store.writer import Writer

ALLOWED: tuple[str, ...] = (*OPERATIONS, "unpack", "query")
"""What a device or a person may be allowed to do. `supervise` comes with a role."""

CODE_SECONDS = 300.0
"""How long a code is good."""
MOST_CODES = 500
"""Codes that are good or were lately."""
MOST_DEVICES = 5000
"""Devices of one agent, revoked ones too."""
SEEN_EVERY_MS = 60_000
"""When a device was last heard is written down at most so often."""
_LETTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
_CODE_BYTES = 16


class Wanted(NamedTuple):
    """A device that is to be: what the person said who asked for the code."""

    name: str
    party: str
    locations: tuple[str, ...]
    operations: tuple[str, ...]
    by: str


class Code(NamedTuple):
    """A code to be shown once, and for how many seconds it is good."""

    text: str
    seconds: float


class Enrolled(NamedTuple):
    """What a device is told; the token is never told again."""

    device: Device
    token: str


class _Shown(NamedTuple):
    wanted: Wanted
    until: float
    used: bool


class Devices:
    """The devices of one agent. `places` are the locations of each party that has a warehouse
    here."""

    def __init__(
        self, readers: Readers, writer: Writer, places: Mapping[str, Sequence[str]]
    ) -> None:
        self._readers = readers
        self._writer = writer
        self._places = places
        self._shown: dict[str, _Shown] = {}
        self._heard: dict[str, Seen] = {}
        self._kept: dict[str, int] = {}
        self._lock = Lock()

    # ------------------------------------------------------------------------------- letting in

    def invite(self, wanted: Wanted) -> Code:
        """A code for one device.

        DomainError `name_wrong`, `unknown_party`, `unknown_location`, `operation_unknown`,
        `too_many_codes`.
        """
        self._check(wanted)
        code = secrets.token_urlsafe(_CODE_BYTES)
        with self._lock:
            now = monotonic()
            # One that has run out is remembered for as long again, to say so.
            self._shown = {
                key: shown for key, shown in self._shown.items() if now < shown.until + CODE_SECONDS
            }
            if len(self._shown) >= MOST_CODES:
                raise DomainError(
                    "too_many_codes",
                    f"{MOST_CODES} codes were shown in the last minutes: wait, then try again.",
                )
            self._shown[_hash(code)] = _Shown(wanted, now + CODE_SECONDS, used=False)
        return Code(code, CODE_SECONDS)

    def enrol(self, code: str, jwk: Mapping[str, Any], model: str) -> Enrolled:
        """A device that was shown a code becomes one of ours; durable.

        DomainError `key_wrong`, `enrol_unknown`, `enrol_used`, `enrol_expired`,
        `too_many_devices`; TransientError: not written, the code stays good.
        """
        key = key_of(jwk)
        wanted = self._use(_hash(code))
        token = secrets.token_urlsafe(32)

        def write(conn: Connection) -> Device:
            # A seldom job, so that what is to be counted and looked up may be read here.
            known = {device.id for device in stored.every(conn)}
            if len(known) >= MOST_DEVICES:
                raise DomainError(
                    "too_many_devices",
                    f"{MOST_DEVICES} devices are enrolled, which is all that one agent takes.",
                )
            name = _new_id()
            while name in known:
                name = _new_id()
            scope = wanted.party, wanted.locations, wanted.operations
            fact = DeviceEnrolled(name, wanted.name, key, *scope, wanted.by, _hash(token), model)
            record(conn, "", [fact], clock())
            found = stored.get(conn, name)
            assert found is not None
            return found

        try:
            device = self._writer.wait(write)
        except BaseException:
            self._give_back(_hash(code))
            raise
        return Enrolled(device, token)

    def _check(self, wanted: Wanted) -> None:
        if not 1 <= len(wanted.name) <= 64 or not wanted.name.isprintable():
            raise DomainError("name_wrong", "A device's name has 1 to 64 printable characters.")
        places = self._places.get(wanted.party)
        if places is None:
            known = ", ".join(self._places) or "none: add a [[warehouse]] to the site file"
            raise DomainError(
                "unknown_party",
                f"No warehouse of {wanted.party!r:.40} is in the site file (there is {known}).",
            )
        wrong = sorted(set(wanted.locations) - set(places))
        if wrong:
            raise DomainError(
                "unknown_location",
                f"{wanted.party} has no location {', '.join(wrong)[:80]} "
                f"(there are {', '.join(places)[:200]}).",
            )
        wrong = sorted(set(wanted.operations) - set(ALLOWED))
        if wrong or not wanted.operations:
            raise DomainError(
                "operation_unknown",
                f"A device needs operations out of {', '.join(ALLOWED)}"
                + (f"; {', '.join(wrong)[:80]} is none of them." if wrong else "."),
            )

    def _use(self, key: str) -> Wanted:
        with self._lock:
            shown = self._shown.get(key)
            if shown is None:
                raise DomainError(
                    "enrol_unknown", "This code was not shown here: scan the one on the panel."
                )
            if shown.used:
                raise DomainError(
                    "enrol_used", "This code has let a device in already: show a new one."
                )
            if monotonic() >= shown.until:
                raise DomainError(
                    "enrol_expired",
                    f"This code was good for {CODE_SECONDS / 60:.0f} minutes: show a new one.",
                )
            self._shown[key] = shown._replace(used=True)
            return shown.wanted

    def _give_back(self, key: str) -> None:
        with self._lock:
            if key in self._shown:
                self._shown[key] = self._shown[key]._replace(used=False)

    # ----------------------------------------------------------------------------- shutting out

    def revoke(self, device: str, by: str, why: str) -> None:
        """What the device signs is refused from now on; durable. DomainError `unknown_device`,
        `device_revoked` (it is already)."""
        self._writer.wait(lambda conn: revoke(conn, device, by, why))

    # -------------------------------------------------------------------------------- questions

    def every(self) -> list[tuple[Device, Seen | None]]:
        """All devices, the oldest first, and when each was last heard."""
        with self._readers.connection() as conn:
            found, seen = stored.every(conn), stored.seen(conn)
        seen.update(self._heard)
        return [(device, seen.get(device.id)) for device in found]

    def heard(self, device: str, seen: Seen) -> None:
        """A device has asked something; what it does not say of its queue stays as it was."""
        before = self._heard.get(device)
        if seen.queue < 0 and before is not None:
            seen = seen._replace(queue=before.queue)
        self._heard[device] = seen
        if abs(seen.at_ms - self._kept.get(device, 0)) >= SEEN_EVERY_MS:
            self._kept[device] = seen.at_ms
            self._writer.wait(lambda conn: stored.keep_seen(conn, device, seen), turn=Turn.SHORT)


def revoke(conn: Connection, device: str, by: str, why: str) -> None:
    """Revoke a device, in the caller's transaction. DomainError: see `Devices.revoke`."""
    found = stored.get(conn, device)
    if found is None:
        raise DomainError("unknown_device", f"There is no device {device!r:.40} here.")
    if found.revoked is not None:
        raise DomainError("device_revoked", f"Device {device} was revoked before: nothing to do.")
    record(conn, "", [DeviceRevoked(device, by, why)], clock())


def operations_of(device: Device, role_supervises: bool, person: Sequence[str]) -> tuple[str, ...]:
    """What a person may do on a device: what both may, and `supervise` by the person's role."""
    both = tuple(each for each in device.operations if each in person)
    return (*both, SUPERVISE) if role_supervises else both


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _new_id() -> str:
    """Eight letters that nobody takes for one another: documents made on the device carry them."""
    return "".join(secrets.choice(_LETTERS) for _ in range(8))
