"""What befalls the agent's computer in a simulated shift: kills, a full disk, a clock that jumps.
Every moment and every choice comes from the seed.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Protocol

from agent.core.errors import CaselinkError, ConfigError
from agent.demo import scene as scenes
from agent.demo.simagent import Moment, SimAgent
from agent.demo.simtime import VirtualLoop
from agent.store.database import Connection

YEAR_NS = 365 * 86_400 * 10**9
MOST_PAGES = 1 << 30
DYING = 1.0
"""Seconds within which a dying agent meets its moment, or dies without it."""


@dataclass(frozen=True, slots=True)
class Fate:
    """How often on a good floor, per hour; how long it lasts, in seconds; what happens."""

    daily: float
    lasts: tuple[float, float]
    what: str


FATES: dict[str, Fate] = {
    "agent_killed": Fate(1 / 100, (0.5, 8.0), "the agent is killed and started again"),
    "disk_full": Fate(1 / 1000, (1.0, 15.0), "the store cannot keep anything"),
    "disk_slow": Fate(1 / 10, (0.1, 1.4), "a commit takes long: what is decided comes late"),
    "clock_jumped": Fate(1 / 100, (0.0, 0.0), "the wall clock jumps, by years at times"),
    "lot_change": Fate(1 / 8, (0.0, 0.0), "the next lot begins, with cases open"),
}
BLINDING = frozenset({"agent_killed", "disk_full"})
"""After these the agent has not seen everything that the gates did."""


def preset(name: str) -> dict[str, float]:
    """Rates per hour of a preset of troubles."""
    factor = {"none": 0, "daily": 1, "harsh": 10}[name]
    return {fate: factor * each.daily for fate, each in FATES.items()} if factor else {}


def split(rates: Mapping[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """Those of the plant, and those of the agent's computer. ConfigError: out of range."""
    mine = {name: rate for name, rate in rates.items() if name in FATES}
    for name, rate in mine.items():
        if not 0 <= rate <= 3600:
            raise ConfigError(f"troubles: {name} happens {rate} times an hour; write 0 to 3600")
    return {name: rate for name, rate in rates.items() if name not in FATES}, mine


def trouble_rate(written: str) -> tuple[str, float]:
    """A trouble of the plant or of the agent, and its rate, as a person writes them. ConfigError
    where they are wrong."""
    name, _, rate = written.partition("=")
    if name not in FATES:
        return scenes.trouble_rate(written)
    try:
        return name, float(rate)
    except ValueError:
        raise ConfigError(
            f"troubles: write {name}=N, how often an hour it happens, not {written}"
        ) from None


class Stage(Protocol):
    """What fates act on."""

    agent: SimAgent
    conn: Connection
    loop: VirtualLoop

    async def kill(self, moment: Moment, patience: float, away: float) -> None:
        """End the agent and start another one `away` s later."""

    async def change_lot(self) -> None:
        """Let the line go on with the next lot. CaselinkError: not now."""


class Fates:
    """Brings them about, from `run` until it is cancelled. `met` counts them."""

    def __init__(self, stage: Stage, rates: Mapping[str, float], seed: int) -> None:
        self._stage = stage
        self._rates = {name: rate for name, rate in rates.items() if rate > 0}
        self._seed = seed
        self._alone = asyncio.Lock()  # one at a time: each ends before the next begins
        self.met: Counter[str] = Counter()
        self._ways: dict[str, Callable[[Random, float], Awaitable[None]]] = {
            "agent_killed": self._killed,
            "disk_full": self._disk_full,
            "disk_slow": self._disk_slow,
            "clock_jumped": self._clock_jumped,
            "lot_change": self._lot_changed,
        }

    async def run(self) -> None:
        """For ever. Nothing is left broken when it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, rate in self._rates.items():
                group.create_task(self._befall(name, rate))

    async def _befall(self, name: str, rate: float) -> None:
        dice = Random(f"{self._seed}/{name}")
        shortest, longest = FATES[name].lasts
        while True:
            await asyncio.sleep(dice.expovariate(rate / 3600))
            # Short ones are as likely as long ones.
            lasts = shortest * (longest / shortest) ** dice.random() if shortest else 0.0
            async with self._alone:
                self.met[name] += 1
                await self._ways[name](dice, lasts)

    async def _killed(self, dice: Random, lasts: float) -> None:
        moments: tuple[Moment, ...] = ("now", "before_commit", "after_commit")
        await self._stage.kill(dice.choice(moments), DYING, lasts)

    async def _disk_full(self, dice: Random, lasts: float) -> None:
        conn = self._stage.conn
        conn.execute("PRAGMA max_page_count = 1")  # as many as there are
        try:
            await asyncio.sleep(lasts)
        finally:
            conn.execute(f"PRAGMA max_page_count = {MOST_PAGES}")

    async def _disk_slow(self, dice: Random, lasts: float) -> None:
        gate = self._stage.agent.gate
        gate.commits.clear()
        try:
            await asyncio.sleep(lasts)
        finally:
            gate.commits.set()

    async def _clock_jumped(self, dice: Random, lasts: float) -> None:
        years = dice.random() < 0.3
        span = 30 * YEAR_NS if years else 7200 * 10**9
        self._stage.loop.wall_offset_ns += int(dice.uniform(-span, span))

    async def _lot_changed(self, dice: Random, lasts: float) -> None:
        with suppress(CaselinkError):  # held, or the store keeps nothing: the lot goes on
            await self._stage.change_lot()
