"""Seeded troubles of the floor, and the dice everything random in the plant is thrown with.

A throw is a pure function of (seed, name, item): adding one trouble, or one camera, never shifts
another, and a rate that is raised only adds items to those that were hit before.
"""

from collections.abc import Mapping
from hashlib import blake2b

from agent.core.errors import ConfigError

_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15

DAILY: dict[str, float] = {
    "unreadable": 1 / 500,  # one symbol of the bottle is damaged
    "duplicate": 1 / 5000,  # its primary code is a copy of an earlier bottle's
    "foreign": 1 / 5000,  # a bottle of another product
    "repeat": 1 / 3000,  # the coder prints the code before again
    "label_unreadable": 1 / 500,  # a container's label is damaged
}
"""Rates per item of a good floor."""

PRESETS: dict[str, dict[str, float]] = {
    "none": {},
    "daily": DAILY,
    "harsh": {name: 10 * rate for name, rate in DAILY.items()},
}


def rates(preset: str, overrides: Mapping[str, float] | None = None) -> dict[str, float]:
    """The rates of a preset with some replaced. ConfigError for an unknown name or a rate
    outside 0..1."""
    if preset not in PRESETS:
        raise ConfigError(f"troubles: {preset!r} is no preset; use one of {sorted(PRESETS)}")
    chosen = {**PRESETS[preset], **(overrides or {})}
    check(chosen)
    return chosen


def check(chosen: Mapping[str, float]) -> None:
    """ConfigError unless every name is a known trouble and every rate lies in 0..1."""
    for name, rate in chosen.items():
        if name not in DAILY:
            raise ConfigError(f"troubles: {name!r} is not known; use one of {sorted(DAILY)}")
        if not 0 <= rate <= 1:
            raise ConfigError(f"troubles: the rate of {name} is {rate}; write one between 0 and 1")


def mix(value: int) -> int:
    """64 well-stirred bits of any integer (the finalizer of SplitMix64, Steele et al. 2014)."""
    value = (value + _STEP) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


class Dice:
    """Throws 64 random bits for an item, always the same for the same (seed, name, item)."""

    __slots__ = ("_base",)

    def __init__(self, seed: int, name: str) -> None:
        digest = blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
        self._base = int.from_bytes(digest, "big")

    def roll(self, item: int) -> int:
        return mix(self._base + item * _STEP)


class Trouble:
    """One trouble: does it hit this item, and with which of n choices."""

    __slots__ = ("_dice", "_limit", "_which")

    def __init__(self, seed: int, name: str, rate: float) -> None:
        self._dice = Dice(seed, name)
        self._which = Dice(seed, name + "/which")
        self._limit = int(rate * (_MASK + 1))

    def hits(self, item: int) -> bool:
        return self._limit > 0 and self._dice.roll(item) < self._limit

    def pick(self, item: int, choices: int) -> int:
        """One of 0 .. choices - 1 for an item that was hit."""
        return self._which.roll(item) % choices
