"""People who scan: badge, name, role, what they may do, and a PIN (agent.services.pins).

Who they are stands in a file beside the database, their PINs in a file of their own: a badge is
good only where both know it. The command line changes them while the agent runs.
"""

import json
import os
import re
import secrets
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from agent.core.errors import ConfigError, DomainError
from agent.services.pins import Pins

Role = Literal["operator", "supervisor", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""Each may do what those before it may."""

MOST = 1000
_MAX_FILE = 1_000_000
_BADGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")


class User(NamedTuple):
    """A person; `stamp` changes with the PIN, and ends the log-ins that were made with the old."""

    badge: str
    name: str
    role: Role
    operations: tuple[str, ...]
    stamp: str

    def at_least(self, role: Role) -> bool:
        """Whether the person's role is this one or above it."""
        return ROLES.index(self.role) >= ROLES.index(role)


class Users:
    """The people of one agent. `known` are the operations there are."""

    def __init__(self, file: Path, pins: Pins, known: Collection[str]) -> None:
        self._file = file
        self._pins = pins
        self._known = tuple(known)
        # Every scan asks: which file was read last (it is never changed, only replaced), and what
        # it says.
        self._last: tuple[tuple[int, ...], dict[str, User]] = ((), {})

    def every(self) -> list[User]:
        """All of them, by badge. ConfigError: the file cannot be read."""
        return [user for _, user in sorted(self._read().items())]

    def get(self, badge: str) -> User | None:
        """The person of a badge."""
        return self._read().get(badge)

    def add(self, badge: str, name: str, role: Role, operations: Collection[str], pin: str) -> None:
        """Let a person scan, in place of who had the badge; no operations = all of them.

        DomainError `badge_wrong`, `name_wrong`, `role_wrong`, `operation_unknown`, `pin_weak`,
        `too_many_users`.
        """
        if not _BADGE.fullmatch(badge):
            raise DomainError(
                "badge_wrong",
                f"{badge!r:.40} is not a badge: 1 to 32 letters, digits, dots, dashes and "
                "underscores, as the badge's code says it.",
            )
        if not 1 <= len(name) <= 64 or not name.isprintable():
            raise DomainError("name_wrong", "A person's name has 1 to 64 printable characters.")
        if role not in ROLES:
            raise DomainError("role_wrong", f"{role!r:.40} is no role: {', '.join(ROLES)}.")
        wrong = sorted(set(operations) - set(self._known))
        if wrong:
            raise DomainError(
                "operation_unknown",
                f"{', '.join(wrong)[:80]}: no such operation (there are {', '.join(self._known)}).",
            )
        kept = self._read()
        if badge not in kept and len(kept) >= MOST:
            raise DomainError("too_many_users", f"{MOST} people may scan: remove one first.")
        # The PIN first: without the entry in our file it opens nothing.
        self._pins.set(badge, pin)
        allowed = tuple(o for o in self._known if o in operations) or self._known
        kept[badge] = User(badge, name, role, allowed, secrets.token_hex(8))
        self._write(kept)

    def set_pin(self, badge: str, pin: str) -> None:
        """A new PIN; who is logged in with the old one is out. DomainError `no_user`."""
        kept = self._read()
        user = _known(kept, badge)
        self._pins.set(badge, pin)
        kept[badge] = user._replace(stamp=secrets.token_hex(8))
        self._write(kept)

    def remove(self, badge: str) -> None:
        """The badge is no longer good. DomainError `no_user`."""
        kept = self._read()
        _known(kept, badge)
        del kept[badge]
        self._write(kept)
        if badge in self._pins.names():
            self._pins.remove(badge)

    def check(self, badge: str, pin: str) -> User:
        """The person, if the PIN is theirs; takes about 50 ms, right or wrong.

        DomainError: `no_users` (there are none), `pin_wait` (too many wrong ones), `pin_wrong`.
        """
        kept = self._read()
        if not kept:
            raise DomainError(
                "no_users", "Nobody may scan yet: add a person with `caselink user add BADGE`."
            )
        self._pins.check(badge, pin)
        user = kept.get(badge)
        if user is None:
            raise DomainError("pin_wrong", "This is not the person's PIN.")
        return user

    def _read(self) -> dict[str, User]:
        """What the file says, to keep: a copy."""
        try:
            with self._file.open("rb") as file:
                stat = os.fstat(file.fileno())
                stamp = (stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size)
                last, kept = self._last
                if last != stamp:
                    found = json.loads(file.read(_MAX_FILE))
                    kept = {badge: _user(badge, entry) for badge, entry in found.items()}
                    self._last = stamp, kept
            return dict(kept)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ConfigError(f"{self._file}: cannot be read ({error.strerror}).") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ConfigError(
                f"{self._file}: not a file of people who scan. Delete it and add them anew."
            ) from None

    def _write(self, kept: Mapping[str, User]) -> None:
        told = {
            badge: {
                "name": user.name,
                "role": user.role,
                "operations": user.operations,
                "stamp": user.stamp,
            }
            for badge, user in kept.items()
        }
        new = self._file.with_name(self._file.name + ".new")
        try:
            handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(told, file, ensure_ascii=False, indent=1)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._file)
        except OSError as error:
            raise ConfigError(
                f"{self._file}: cannot be written ({error.strerror}). Make room, or give the "
                "folder to the agent's user."
            ) from None


def _user(badge: str, entry: Mapping[str, Any]) -> User:
    role = entry["role"]
    if role not in ROLES:
        raise ValueError(role)
    operations = tuple(str(each) for each in entry["operations"])
    return User(str(badge), str(entry["name"]), role, operations, str(entry["stamp"]))


def _known(kept: Mapping[str, User], badge: str) -> User:
    user = kept.get(badge)
    if user is None:
        raise DomainError("no_user", f"Nobody has the badge {badge}: see `caselink user list`.")
    return user
