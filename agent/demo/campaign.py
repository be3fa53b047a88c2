"""Many simulated shifts and what they come to together."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, fields, replace
from multiprocessing import get_context
from time import perf_counter
from typing import Any

from agent.demo.result import INTEGRITIES, Result
from agent.demo.simulate import Outcome, SimOptions, simulate
from agent.demo.slips import Slips

_SUMMED = tuple(
    each.name
    for each in fields(Result)
    if isinstance(each.default, int) and not isinstance(each.default, bool)
)


@dataclass(slots=True)
class Total:
    """What many shifts come to. `failing` are the seeds whose audit was not good."""

    seeds: int = 0
    failing: list[int] = field(default_factory=list)
    sums: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_SUMMED, 0))
    rejected: dict[str, int] = field(default_factory=dict)
    containers: dict[str, int] = field(default_factory=dict)
    slips: Slips = field(default_factory=Slips)
    met: dict[str, int] = field(default_factory=dict)
    virtual: float = 0.0
    began: float = field(default_factory=perf_counter)

    def add(self, outcome: Outcome) -> None:
        result = outcome.result
        self.seeds += 1
        if not result.good:
            self.failing.append(outcome.seed)
        for name in _SUMMED:
            self.sums[name] += getattr(result, name)
        for counts, new in (
            (self.rejected, result.rejected),
            (self.containers, result.containers),
            (self.met, outcome.met),
        ):
            for name, count in new.items():
                counts[name] = counts.get(name, 0) + count
        self.slips.add(outcome.slips)
        self.virtual += outcome.virtual

    def data(self) -> dict[str, Any]:
        """For --json. `ppm` is of the containers of that integrity, `good_rejected_share` of the
        bottles; `times_real` how much quicker than a real line all of it was."""
        real = perf_counter() - self.began
        sums = self.sums
        return {
            "seeds": self.seeds,
            "failing": self.failing,
            **sums,
            "containers": {name: self.containers.get(name, 0) for name in INTEGRITIES},
            "ppm": {name: self.ppm(name) for name in INTEGRITIES},
            "rejected": dict(sorted(self.rejected.items(), key=lambda each: -each[1])),
            "good_rejected_share": round(sums["good_rejected"] / max(1, sums["bottles"]), 6),
            "slips": self.slips.data(),
            "met": dict(sorted(self.met.items())),
            "virtual_h": round(self.virtual / 3600, 2),
            "real_s": round(real, 1),
            "times_real": round(self.virtual / real, 1),
        }

    def ppm(self, worth: str) -> float:
        """Wrong records among a million of this integrity."""
        of = self.containers.get(worth, 0)
        return round(1e6 * self.sums[f"wrong_{worth}"] / of, 1) if of else 0.0


def run(shifts: Sequence[tuple[SimOptions, int]], jobs: int) -> Iterator[Outcome]:
    """Every shift (what to play, and its seed) in this order; `jobs` processes share the work."""
    if jobs == 1 or len(shifts) == 1:
        yield from (simulate(options, seed) for options, seed in shifts)
        return
    with ProcessPoolExecutor(min(jobs, len(shifts)), get_context("spawn")) as pool:
        yield from pool.map(simulate, *zip(*shifts, strict=True))


SHIFTS_A_PROCESS = 40
"""Then others take over: what a shift leaves behind in memory does not add up. (The executor's own
`max_tasks_per_child` hangs when a process has done its share, Python 3.11 and 3.12.)"""


def attempt(
    shifts: Sequence[tuple[SimOptions, int]], jobs: int, each: int = SHIFTS_A_PROCESS
) -> Iterator[Outcome | BaseException]:
    """As `run`; a shift that ends with a mistake of the program gives that one, and the next ones
    are played all the same. `each` shifts are played by one process."""
    share = each * jobs
    for start in range(0, len(shifts), share):
        with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
            some = shifts[start : start + share]
            for played in [pool.submit(simulate, *shift) for shift in some]:
                yield played.exception() or played.result()


FEW = 24
"""Bottles of a shift that is not made shorter any more."""


def shortest(options: SimOptions, fails: Callable[[SimOptions], bool]) -> SimOptions:
    """The same shift with fewer bottles, by halves, as long as it fails: nothing before the last
    bottle depends on how many follow."""
    while options.bottles > FEW:
        half = replace(options, bottles=options.bottles // 2, keep=None)
        if not fails(half):
            break
        options = half
    return options


def fails(seed: int) -> Callable[[SimOptions], bool]:
    """Plays a shift of this seed; whether its audit is not good."""
    return lambda options: not simulate(options, seed).result.good
