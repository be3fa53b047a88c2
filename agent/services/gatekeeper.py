"""Who lets PDAs in and out: a supervisor at the panel by badge and PIN, or the command line."""

from collections.abc import Callable
from typing import Any

import segno

from agent.core.errors import DomainError
from agent.services.devices import Devices, Wanted
from agent.services.users import User, Users

Address = Callable[[], tuple[str, str]]
"""The app's address (ends with /pda/), and the SHA-256 of the certificate there ("" = none)."""


class Gatekeeper:
    """What the panel and the command line ask about devices. Called in threads."""

    def __init__(self, devices: Devices, users: Users, address: Address) -> None:
        self._devices = devices
        self._users = users
        self._address = address

    def supervisor(self, badge: str, pin: str) -> User:
        """The person, if the PIN is theirs and their role is supervisor or above. DomainError:
        Users.check, `not_supervisor`."""
        user = self._users.check(badge, pin)
        if not user.at_least("supervisor"):
            raise DomainError(
                "not_supervisor", f"{user.name} is no supervisor: one must do this with their PIN."
            )
        return user

    def invite(self, wanted: Wanted) -> dict[str, Any]:
        """A code for one device: {seconds it is good, text (the QR's: the app's address with the
        code, and with the certificate's SHA-256 where there is one), rows (of the symbol, texts of
        0 and 1)}. DomainError: Devices.invite."""
        code = self._devices.invite(wanted)
        address, fingerprint = self._address()
        text = f"{address}#enrol={code.text}" + (f"&cert={fingerprint}" if fingerprint else "")
        symbol = segno.make(text, error="m", micro=False)
        rows = ["".join(str(int(dark)) for dark in row) for row in symbol.matrix_iter(border=4)]
        return {"seconds": code.seconds, "text": text, "rows": rows}

    def revoke(self, device: str, by: str, why: str) -> None:
        """Devices.revoke."""
        self._devices.revoke(device, by, why)

    def every(self, party: str = "") -> list[dict[str, Any]]:
        """Devices of a party ("" = of all), the oldest first: {device, name, model, party,
        locations, operations, by, revoked, revoked_by, why, seen_ms (0 = never), queue (items that
        wait on it, -1 = not said), skew_ms (its clock against ours)}."""
        return [
            {
                "device": device.id,
                "name": device.name,
                "model": device.model,
                "party": device.party,
                "locations": list(device.locations),
                "operations": list(device.operations),
                "by": device.by,
                "revoked": device.revoked is not None,
                "revoked_by": device.revoked_by,
                "why": device.why,
                "seen_ms": seen.at_ms if seen else 0,
                "queue": seen.queue if seen else -1,
                "skew_ms": seen.skew_ms if seen else 0,
            }
            for device, seen in self._devices.every()
            if party in ("", device.party)
        ]
