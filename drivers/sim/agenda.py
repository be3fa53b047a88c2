"""What happens to the plant by the clock and not by an item."""

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from math import inf

from drivers.sim.troubles import Dice, moments

Deed = Callable[[float], None]


class Agenda:
    """Deeds by time, those of the same time in the order in which they were written in."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._heap: list[tuple[float, int, Deed]] = []
        self._order = 0
        self._resting = False

    @property
    def due(self) -> float:
        """When the next deed is due; inf: never."""
        return self._heap[0][0] if self._heap else inf

    def step(self) -> None:
        """Do what is due."""
        at, _, deed = heappop(self._heap)
        deed(at)

    def at(self, time: float, deed: Deed) -> None:
        """Write a deed in."""
        self._order += 1
        heappush(self._heap, (time, self._order, deed))

    def rest(self) -> None:
        """Nothing more happens by chance; what has begun takes its course."""
        self._resting = True

    def often(
        self,
        trouble: str,
        per_hour: float,
        deed: Callable[["Chance", float], None],
        where: str = "",
    ) -> None:
        """Do a deed so many times an hour, each time with a chance of its own; `where` tells apart
        the places of one trouble."""
        name = f"{trouble}/{where}" if where else trouble
        times = moments(self._seed, name, per_hour)
        dice = Dice(self._seed, name + "/how")
        self._again(times, dice, 1, deed)

    def _again(
        self,
        times: Iterator[float],
        dice: Dice,
        number: int,
        deed: Callable[["Chance", float], None],
    ) -> None:
        time = next(times, None)
        if time is None:
            return

        def now_and_again(now: float) -> None:
            if self._resting:
                return
            deed(Chance(dice.roll(number)), now)
            self._again(times, dice, number + 1, deed)

        self.at(time, now_and_again)


class Chance:
    """Numbers drawn from one throw."""

    def __init__(self, value: int) -> None:
        self._value = value

    def below(self, choices: int) -> int:
        """One of 0 .. choices - 1."""
        self._value, drawn = divmod(self._value, 1 << 8)
        return drawn * choices >> 8

    def between(self, low: float, high: float) -> float:
        """A number of low .. high."""
        self._value, drawn = divmod(self._value, 1 << 12)
        return low + (high - low) * drawn / 4095

    def shuffled(self, count: int) -> list[int]:
        """0 .. count - 1 in another order, where there is one."""
        turn = 1 + self.below(max(1, count - 1))
        return [(place + turn) % count for place in range(count)]
