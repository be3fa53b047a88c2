"""Seeded troubles of the floor, and the dice everything random in the plant is thrown with.

A throw is a pure function of (seed, name, item): adding one trouble, or one camera, never shifts
another, and a rate that is raised only adds items to those that were hit before.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from math import log

import numpy as np

from agent.core.errors import ConfigError

_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15
_BLOCK = 9  # items whose throws are made at once, as a power of two


@dataclass(frozen=True, slots=True)
class Kind:
    """A trouble: its rate on a good floor, per what (`hour`: so many an hour, anything else: the
    share of those things that it hits), and what happens."""

    daily: float
    per: str
    what: str


TROUBLES: dict[str, Kind] = {
    # Codes and symbols.
    "unreadable": Kind(1 / 500, "bottle", "one symbol of the bottle is damaged"),
    "duplicate": Kind(1 / 5000, "bottle", "its primary code is a copy of an earlier bottle's"),
    "foreign": Kind(1 / 5000, "bottle", "a bottle of another product"),
    "campaign": Kind(1 / 20_000, "bottle", "a bottle or cap of another campaign"),
    "repeat": Kind(1 / 3000, "bottle", "the coder prints the code before again"),
    "label_unreadable": Kind(1 / 500, "container", "a container's label is damaged or torn"),
    "label_shifted": Kind(
        1 / 2000, "container", "a label sticks in the applicator: the next ones come one late"
    ),
    # Caps: one bag with a bent edge in it is enough.
    "cap_dropped": Kind(1 / 5000, "bottle", "the capper drops the cap and takes the next one"),
    "cap_skipped": Kind(1 / 5000, "bottle", "no cap; its head keeps it for its next bottle"),
    # Hands: samples, bottles set straight, a bottle of the reject table: a few an hour.
    "taken": Kind(1 / 10_000, "item", "a hand takes it off the belt for good"),
    "put_back": Kind(1 / 20_000, "item", "taken off and put back into its own place"),
    "put_elsewhere": Kind(1 / 20_000, "item", "taken off and put back into another gap"),
    "put_in": Kind(1 / 20_000, "item", "behind it a hand puts in one that was taken, or a blank"),
    "fallen": Kind(1 / 10_000, "bottle", "lies down: unreadable, seen late or not; jams a packer"),
    "touching": Kind(1 / 10_000, "bottle", "closes up to the one before: one edge for two"),
    "foreign_told": Kind(1 / 2000, "bottle", "a rejector that is not ours takes it and says so"),
    "foreign_silent": Kind(1 / 20_000, "bottle", "a rejector that is not ours takes it in silence"),
    # Photo-eyes: drops, dust, glass that glitters.
    "lost_trigger": Kind(1 / 100_000, "edge", "the eye does not see the item"),
    "double_trigger": Kind(1 / 50_000, "edge", "the eye sees the item twice"),
    "extra_trigger": Kind(1 / 100_000, "edge", "the eye sees something where nothing is"),
    # Pictures.
    "neighbour": Kind(1 / 5000, "picture", "the item before or behind is in view too, or alone"),
    "lost_frame": Kind(1 / 50_000, "picture", "taken and numbered, never delivered"),
    "extra_frame": Kind(1 / 200_000, "picture", "the camera fires without the PLC"),
    "late_frame": Kind(1 / 20_000, "picture", "delivered up to 2 s late, and what follows behind"),
    "repeated_frame": Kind(1 / 100_000, "picture", "the same picture is delivered twice"),
    "repeated_picture": Kind(1 / 200_000, "picture", "a new number with the picture before"),
    # Containers: until their picture, or their closing.
    "content_taken": Kind(
        1 / 5000, "container", "a hand takes one out of it while it is open, or changes it"
    ),
    "refed": Kind(1 / 2000, "container", "sealed and read, it is fed before the camera again"),
    "unstacked": Kind(
        1 / 2000, "container", "one of a finished pallet is fed before its camera again"
    ),
    "layer_order": Kind(1 / 500, "container", "its layers are counted in another order"),
    "half_pallet": Kind(1 / 200, "container", "leaves half full and is topped up later by hand"),
    "wrong_scan": Kind(1 / 50, "scan", "a person who tops up a pallet scans a wrong case first"),
    "roll_swapped": Kind(1 / 100, "roll", "mounted before the one that should come before it"),
    # Packers.
    "divider": Kind(1 / 500_000, "bottle", "goes into the lane beside the one that is counted"),
    "stroke_short": Kind(1 / 50_000, "stroke", "the gripper leaves one behind in its lane"),
    "stroke_aborted": Kind(1 / 20_000, "stroke", "the packer stops in mid-move and is emptied"),
    # The line as a whole: a stop every other hour.
    "jam": Kind(0.5, "hour", "a stretch is cleared by hand: taken out, or put in another order"),
    "guard_open": Kind(0.5, "hour", "a guard is opened; half of the time with a hand in it"),
    "estop": Kind(0.1, "hour", "the emergency stop"),
    "stopped": Kind(0.5, "hour", "the belts stop for some seconds, for no reason that is told"),
    "creep": Kind(1 / 50, "start", "items lag behind a belt that starts after a stop"),
    "plc_restart": Kind(1 / 200, "hour", "a new run: numbers begin anew, lanes are emptied"),
    "gate_failed": Kind(1 / 2000, "reject", "the blast misses: what should go stays on the belt"),
    "reject_full": Kind(0.1, "hour", "the reject table is full for some seconds"),
    "low_air": Kind(0.02, "hour", "for some seconds no gate has air"),
    # Devices and their links, each of them.
    "link_loss": Kind(0.1, "hour", "the PLC cannot be reached for some seconds"),
    "camera_away": Kind(0.02, "hour", "no picture arrives for some seconds"),
    "camera_reboot": Kind(0.005, "hour", "the camera starts anew and counts from 1"),
    "camera_stuck": Kind(0.002, "hour", "for some seconds every picture is the last one"),
    "printer_away": Kind(0.05, "hour", "prints on, and cannot be reached for some seconds"),
    "printer_reboot": Kind(0.01, "hour", "starts anew: what it held is gone"),
    "ink_out": Kind(0.1, "hour", "ink or labels run out and are refilled"),
}
"""Every trouble of the plant by name. What befalls the agent itself is not the plant's."""

DAILY: dict[str, float] = {name: kind.daily for name, kind in TROUBLES.items()}
"""Rates of a good floor."""

PRESETS: dict[str, dict[str, float]] = {
    "none": {},
    "daily": DAILY,
    "harsh": {
        name: 10 * kind.daily if kind.per == "hour" else min(1.0, 10 * kind.daily)
        for name, kind in TROUBLES.items()
    },
}


def rates(preset: str, overrides: Mapping[str, float] | None = None) -> dict[str, float]:
    """The rates of a preset with some replaced. ConfigError for an unknown name or a rate
    outside of its range."""
    if preset not in PRESETS:
        raise ConfigError(f"troubles: {preset!r} is no preset; use one of {sorted(PRESETS)}")
    chosen = {**PRESETS[preset], **(overrides or {})}
    check(chosen)
    return chosen


def parse(written: str) -> tuple[str, float]:
    """NAME=RATE as a person writes it (a rate as 0.001 or 1/1000). ConfigError says what to write
    instead."""
    name, _, text = written.partition("=")
    over, _, under = text.partition("/")
    try:
        rate = float(over) / float(under or 1)
    except (ValueError, ZeroDivisionError):
        raise ConfigError(
            f"troubles: {written!r} is no NAME=RATE; write for example taken=0.001 or taken=1/1000"
        ) from None
    check({name: rate})
    return name, rate


def check(chosen: Mapping[str, float]) -> None:
    """ConfigError unless every name is a known trouble and every rate lies in its range: 0..1, or
    0..3600 an hour."""
    for name, rate in chosen.items():
        if name not in TROUBLES:
            raise ConfigError(f"troubles: {name!r} is not known; use one of {sorted(TROUBLES)}")
        per = TROUBLES[name].per
        most = 3600 if per == "hour" else 1
        if not 0 <= rate <= most:
            raise ConfigError(
                f"troubles: the rate of {name} is {rate} per {per}; write one between 0 and {most}"
            )


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

    def below(self, first: int, count: int, limit: int) -> set[int]:
        """Those of the items first .. first + count - 1 whose roll is below `limit` (at most
        2^64)."""
        start = np.uint64((self._base + (first + 1) * _STEP) & _MASK)
        values = np.arange(count, dtype=np.uint64) * np.uint64(_STEP) + start
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        values ^= values >> np.uint64(31)
        hit = values <= np.uint64(limit - 1)
        return {first + int(place) for place in np.flatnonzero(hit)}


class Trouble:
    """One trouble: does it hit this item, and with which of n choices.

    `where` tells apart the places at which one trouble is thrown for the same item.
    """

    __slots__ = ("_block", "_dice", "_hits", "_limit", "_which", "name")

    def __init__(self, seed: int, name: str, rate: float, where: str = "") -> None:
        self.name = name
        key = f"{name}/{where}" if where else name
        self._dice = Dice(seed, key)
        self._which = Dice(seed, key + "/which")
        self._limit = int(rate * (_MASK + 1))
        self._block = -1
        self._hits: set[int] = set()

    def __bool__(self) -> bool:
        return self._limit > 0

    def hits(self, item: int) -> bool:
        if not self._limit:
            return False
        block = item >> _BLOCK
        if block != self._block:
            # Throwing dice one by one for every item and trouble would cost more than the plant.
            self._hits = self._dice.below(block << _BLOCK, 1 << _BLOCK, self._limit)
            self._block = block
        return item in self._hits

    def pick(self, item: int, choices: int) -> int:
        """One of 0 .. choices - 1 for an item that was hit."""
        return self._which.roll(item) % choices

    def share(self, item: int) -> float:
        """A number of 0 .. 1 for an item that was hit, independent of `pick` of few choices."""
        return (self._which.roll(item) >> 32) / 0xFFFFFFFF


def moments(seed: int, name: str, per_hour: float) -> Iterator[float]:
    """The times (s from the start of the plant) at which a trouble of so many an hour happens,
    without end; none at a rate of 0."""
    if per_hour <= 0:
        return
    dice = Dice(seed, name + "/moments")
    at, number = 0.0, 0
    while True:
        number += 1
        at -= log(1 - (dice.roll(number) >> 11) / (1 << 53)) * 3600 / per_hour
        yield at
