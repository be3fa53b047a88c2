"""PINs of line leaders: argon2id over a peppered PIN, and a growing wait after wrong ones.

The hashes stand in one file, the pepper in another, the wrong ones in a row in a third, all beside
the database and for their owner only. The wait is per person: another person's mistakes lock nobody
out. A start of the agent begins it anew, so that neither a restart nor a clock that jumps ends it.
"""

import hashlib
import hmac
import json
import logging
import os
import secrets
from collections.abc import Collection, Mapping
from itertools import pairwise
from pathlib import Path
from threading import Lock

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from agent.core.errors import ConfigError, DomainError
from agent.now import monotonic

log = logging.getLogger(__name__)

SHORTEST, LONGEST = 6, 12
"""Digits of a PIN."""
FREE = 3
"""Wrong PINs in a row that cost no wait."""
FIRST_WAIT, LONGEST_WAIT = 5.0, 600.0
"""Seconds after the next wrong one: doubled up to the longest."""
MOST = 1000
"""People with a PIN."""
_PEPPER_BYTES = 32
_MAX_FILE = 1_000_000

# OWASP's minimum for argon2id: 19 MiB, two passes, one lane.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


class Pins:
    """The PINs of one agent."""

    def __init__(self, file: Path, pepper: Path) -> None:
        self._file = file
        self._pepper_file = pepper
        self._wrong_file = file.with_name(file.name + ".wrong")
        # Name -> wrong ones in a row, and when the last was (monotonic seconds).
        self._wrong: dict[str, tuple[int, float]] = {}
        self._remembered = False
        self._lock = Lock()
        self._nobody = ""

    def names(self) -> list[str]:
        """Who has a PIN. ConfigError when the file cannot be read."""
        return sorted(self._read())

    def set(self, name: str, pin: str) -> None:
        """Give a person a PIN, in place of the one they had. DomainError `pin_weak`."""
        _check_strength(pin)
        kept = self._read()
        if name not in kept and len(kept) >= MOST:
            raise DomainError("too_many_pins", f"{MOST} people have a PIN: remove one first.")
        kept[name] = _hasher.hash(self._peppered(pin))
        _write(self._file, kept)

    def remove(self, name: str) -> None:
        """The person's PIN is no longer good. DomainError `no_pin` if they had none."""
        kept = self._read()
        if kept.pop(name, None) is None:
            raise DomainError("no_pin", f"{name} has no PIN: nothing to remove.")
        _write(self._file, kept)

    def check(self, name: str, pin: str) -> None:
        """Returns if this is the person's PIN; takes about 50 ms, right or wrong.

        DomainError: `no_pins` (nobody has one), `pin_wait` (too many wrong ones), `pin_wrong`.
        ConfigError when a file cannot be read or written: nobody is let in whose wrong ones would
        not be counted.
        """
        with self._lock:
            kept = self._read()
            self._remember()
            if not kept:
                raise DomainError(
                    "no_pins", "Nobody has a PIN yet: set one with `caselink pin set NAME`."
                )
            # Names that have none share one count, so that they cost no memory.
            who = name if name in kept else ""
            row, last = self._wrong.get(who, (0, 0.0))
            left = last + _wait(row) - monotonic()
            if left > 0:
                raise DomainError(
                    "pin_wait", f"Too many wrong PINs: wait {left:.0f} s, then try again."
                )
            if self._right(kept.get(name), pin):
                if self._wrong.pop(who, None) is not None:
                    self._keep_wrong(kept)
                return
            self._wrong[who] = (row + 1, monotonic())
            self._keep_wrong(kept)
            log.warning("Wrong PIN for %r, %d in a row.", name, row + 1)
            raise DomainError("pin_wrong", "This is not the person's PIN.")

    def _right(self, stored: str | None, pin: str) -> bool:
        if not self._nobody:
            self._nobody = _hasher.hash(secrets.token_hex(16))
        try:
            # A name without a PIN takes as long as one with a wrong PIN.
            _hasher.verify(stored or self._nobody, self._peppered(pin))
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None

    def _peppered(self, pin: str) -> str:
        return hmac.new(self._pepper(), pin.encode(), hashlib.sha256).hexdigest()

    def _pepper(self) -> bytes:
        try:
            handle = os.open(self._pepper_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return _read(self._pepper_file)
        except OSError as error:
            raise ConfigError(
                f"{self._pepper_file}: cannot be written ({error.strerror})."
            ) from None
        made = secrets.token_bytes(_PEPPER_BYTES)
        with os.fdopen(handle, "wb") as file:
            file.write(made)
            file.flush()
            os.fsync(file.fileno())
        return made

    def _remember(self) -> None:
        """Take over what an agent before this one has counted."""
        if self._remembered:
            return
        if self._wrong_file.exists():
            try:
                found = {str(k): int(v) for k, v in json.loads(_read(self._wrong_file)).items()}
            except (ValueError, TypeError, AttributeError):
                raise ConfigError(
                    f"{self._wrong_file}: not a count of wrong PINs. Delete it and try again."
                ) from None
            self._wrong = {name: (row, monotonic()) for name, row in found.items()}
        self._remembered = True

    def _keep_wrong(self, kept: Collection[str]) -> None:
        """Before anyone hears that a PIN was wrong."""
        rows = {name: row for name, (row, _) in self._wrong.items() if not name or name in kept}
        _write(self._wrong_file, rows)

    def _read(self) -> dict[str, str]:
        if not self._file.exists():
            return {}
        try:
            found = json.loads(_read(self._file))
        except ValueError:
            raise ConfigError(
                f"{self._file}: not a file of PINs. Delete it and set the PINs anew."
            ) from None
        return {str(name): str(value) for name, value in found.items()}


def _write(path: Path, kept: Mapping[str, str | int]) -> None:
    new = path.with_name(path.name + ".new")
    try:
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(kept, file, ensure_ascii=False, indent=1)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be written ({error.strerror}). Make room, or give the folder to the "
            "agent's user."
        ) from None


def _wait(row: int) -> float:
    return 0.0 if row < FREE else min(FIRST_WAIT * 2.0 ** (row - FREE), LONGEST_WAIT)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_FILE)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from None


def _check_strength(pin: str) -> None:
    steps = {ord(two) - ord(one) for one, two in pairwise(pin)}
    digits = pin.isascii() and pin.isdigit() and SHORTEST <= len(pin) <= LONGEST
    if not digits or steps in ({0}, {1}, {-1}):
        raise DomainError(
            "pin_weak",
            f"A PIN has {SHORTEST} to {LONGEST} digits, not all the same and not counting up or "
            "down: choose another.",
        )
