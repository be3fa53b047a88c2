"""Membership by rule: a prefix, and optionally a check character over what follows it.

For pools too large to hold and never for a role that is worth money: a rule says that a code could
be ours, a list that it is. A rule is written `<prefix>` or `<check>:<prefix>`:

| check | what follows the prefix |
|---|---|
| (none) | at least one character |
| `gs1mod10` | digits, the last one the GS1 check digit (weights 3 and 1) of those before it |
| `luhn10` | digits, the last one the Luhn check digit of those before it |
| `luhn36` | digits and capital letters, the last one the Luhn mod 36 check character (0-9A-Z) |

Source: GS1 General Specifications 7.9.1; ISO/IEC 7812-1 annex B (Luhn), and its common extension to
n characters.
"""

from collections.abc import Callable
from dataclasses import dataclass

from agent.core.codes import DIGITAL_LINK, MAX_LENGTH
from agent.core.errors import DomainError
from agent.core.gs1 import check_digit

SHORTEST_PREFIX = 4
"""Characters: a shorter prefix would claim codes of other makers."""

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_VALUE = {character: value for value, character in enumerate(_ALPHABET)}


def luhn(text: str, base: int) -> str:
    """The Luhn check character of a text over the first `base` characters of 0-9A-Z.

    Every second character from the right, beginning with the last, counts double, its digits (in
    that base) added. KeyError for any other character.
    """
    total = 0
    for at, character in enumerate(reversed(text)):
        value = _VALUE[character]
        if value >= base:
            raise KeyError(character)
        if at % 2 == 0:
            value *= 2
            value = value // base + value % base
        total += value
    return _ALPHABET[-total % base]


def _gs1(tail: str) -> bool:
    return tail.isascii() and tail.isdigit() and check_digit(tail[:-1]) == tail[-1]


def _luhn(base: int) -> Callable[[str], bool]:
    def check(tail: str) -> bool:
        try:
            return luhn(tail[:-1], base) == tail[-1]
        except KeyError:
            return False

    return check


CHECKS: dict[str, Callable[[str], bool]] = {
    "gs1mod10": _gs1,
    "luhn10": _luhn(10),
    "luhn36": _luhn(36),
}
"""Checks by name, each for what follows the prefix (two characters or more)."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`prefix` of canonical texts and the name of a check of CHECKS ("" for none)."""

    prefix: str
    check: str = ""

    def __post_init__(self) -> None:
        if self.check and self.check not in CHECKS:
            raise _bad(f"it has no check {self.check}; there are {', '.join(CHECKS)}")
        if not SHORTEST_PREFIX <= len(self.prefix) <= MAX_LENGTH or not self.prefix.isprintable():
            raise _bad(f"its prefix must have {SHORTEST_PREFIX} visible characters or more")
        if self.prefix != self.prefix.lstrip(" ]("):
            raise _bad(
                "its prefix must be written as codes are held: no AIM identifier or brackets"
            )
        scheme, colon, rest = self.prefix.partition("://")
        host, slash, path = rest.partition("/")
        if colon and (scheme != scheme.lower() or host != host.lower()):
            raise _bad("scheme and host of its prefix must be in lower case, as codes are held")
        if colon and not slash:
            raise _bad("its prefix must include the whole host and a slash")
        if f"/{path}".find("/01/") >= 0 and f"{scheme}://{host}" != DIGITAL_LINK:
            raise _bad(f"GS1 codes are held as {DIGITAL_LINK}/01/..., so its prefix must be, too")

    @classmethod
    def parse(cls, text: str) -> "Rule":
        """The rule that `text` writes; DomainError with what to write instead."""
        check, colon, prefix = text.partition(":")
        return cls(prefix, check) if colon and check in CHECKS else cls(text)

    @property
    def text(self) -> str:
        """As `parse` reads it, and as PoolImported.rule holds it."""
        return f"{self.check}:{self.prefix}" if self.check else self.prefix

    def admits(self, text: str) -> bool:
        """Whether a canonical text may belong to the pool."""
        if not text.startswith(self.prefix):
            return False
        tail = text[len(self.prefix) :]
        return (
            CHECKS[self.check](tail)
            if self.check and len(tail) > 1
            else bool(tail) and not self.check
        )


def _bad(what: str) -> DomainError:
    return DomainError("pool_bad_rule", f"The rule cannot be used: {what}.")
