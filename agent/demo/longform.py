"""The long form: a thousand short shifts of everything, and one table of what they come to.

A fifth of the shifts is `daily`, a fifth `harsh`, the others have one trouble alone. Each of these
goes round both ways of packing and both sites. Behind them, one for twenty of these, come `harsh`
shifts in which a camera sees something of each case that was packed by order.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from rich.table import Table

from agent.demo import simfates
from agent.demo.campaign import Total
from agent.demo.result import INTEGRITIES
from agent.demo.scene import SEEN
from agent.demo.simulate import Outcome, SimOptions
from drivers.sim.troubles import TROUBLES

WAYS = tuple(product(("bottling", "liquor"), ("sequence", "multiread")))
GLIMPSED = (("bottling", SEEN), ("liquor", SEEN))
"""Where something of every case is read behind its packer."""
BOTTLES = 1000
"""Bottles of each shift."""
HITS = 2.0
"""How often a trouble that is alone happens in a shift, about."""
WIDTH = 250
"""Characters of the table, also where it goes to a file."""
PRESETS = {"daily": "daily", "harsh": "harsh", SEEN: "harsh"}
"""Rows of many troubles at once."""
SHARES = {"container": 0.05, "stroke": 0.05, "roll": 0.5, "start": 0.5, "reject": 0.3}
"""How much of what there is few of is hit by a trouble that is alone."""
WITH: Mapping[str, Mapping[str, float]] = {
    "creep": {"estop": 150.0},  # a belt that starts must have stopped
    "gate_failed": {"unreadable": 0.02},  # a gate must have something to reject
}
"""What must happen too for a trouble to show."""


@dataclass(frozen=True, slots=True)
class Played:
    """One shift of the long form. `row` is where it counts in the table."""

    row: str
    options: SimOptions
    seed: int


def alone(trouble: str, bottles: int, speed: int) -> dict[str, float]:
    """The rates of a shift in which this trouble happens and no other."""
    per = TROUBLES[trouble].per if trouble in TROUBLES else "hour"
    rate = SHARES.get(per, HITS / bottles)
    if per == "hour":
        rate = min(3600.0, HITS * speed / bottles)
    return {trouble: rate, **WITH.get(trouble, {})}


def shifts(count: int, first: int, bottles: int, speed: int) -> list[Played]:
    """`count` shifts, row by row, of seeds from `first` on, and those of `SEEN`. Each trouble is
    played at least once in each way, however few shifts are asked for."""
    names = [*TROUBLES, *simfates.FATES]
    each = max(len(WAYS), count // 5)
    left = max(0, count - 2 * each)
    rows: list[tuple[str, int]] = [("daily", each), ("harsh", each)]
    share, more = divmod(left, len(names))
    rows += [(name, max(len(WAYS), share + (n < more))) for n, name in enumerate(names)]
    rows.append((SEEN, max(len(GLIMPSED), count // 20)))
    found: list[Played] = []
    for row, many in rows:
        for n in range(many):
            ways = GLIMPSED if row == SEEN else WAYS
            site, pack = ways[n % len(ways)]
            preset = PRESETS.get(row, "none")
            rates = {} if row in PRESETS else alone(row, bottles, speed)
            options = SimOptions(bottles, speed, preset, rates, pack, site)
            found.append(Played(row, options, first + len(found)))
    return found


class Rows:
    """What the shifts of each row come to, and all of them."""

    def __init__(self) -> None:
        self.rows: dict[str, Total] = {}
        self.all = Total()

    def add(self, played: Played, outcome: Outcome) -> None:
        for total in (self.rows.setdefault(played.row, Total()), self.all):
            total.add(outcome)

    def broke(self, played: Played) -> None:
        """The program did not play this shift to its end."""
        for total in (self.rows.setdefault(played.row, Total()), self.all):
            total.seeds += 1
            total.failing.append(played.seed)

    def data(self) -> dict[str, Any]:
        """For --json."""
        return {
            "rows": {name: total.data() for name, total in self.rows.items()},
            "total": self.all.data(),
        }

    def table(self) -> Table:
        """For people."""
        table = Table(*COLUMNS, title="Simulated shifts")
        for name, total in (*self.rows.items(), ("in all", self.all)):
            table.add_row(*_cells(name, total))
        return table


COLUMNS = (
    "trouble",
    "shifts",
    "met",
    "bottles",
    "proven",
    "anchored",
    "inferred",
    "incompl.",
    "wrong p/a",
    "wrong inf. (ppm)",
    "incompl./doubtful wrong",
    "slips made",
    "warned",
    "read",
    "found",
    "within 3 of a reading",
    "located",
    "of these unique",
    "repaired",
    "nothing read med/max",
    "from reading med/max",
    "wrong alone",
    "good rejected",
    "unexplained",
    "failing",
)


def _cells(name: str, total: Total) -> Iterator[str]:
    sums, slips = total.sums, total.slips
    yield name
    yield str(total.seeds)
    presets = name not in TROUBLES and name not in simfates.FATES
    yield f"{sum(total.met.values()) if presets else total.met.get(name, 0):,}"
    yield f"{sums['bottles']:,}"
    for worth in INTEGRITIES:
        yield f"{total.containers.get(worth, 0):,}"
    yield f"{sums['wrong_proven']}/{sums['wrong_anchored']}"
    yield f"{sums['wrong_inferred']} ({total.ppm('inferred'):.0f})"
    yield f"{sums['wrong_incomplete']}/{sums['wrong_doubtful']}"
    yield from map(str, (slips.made, slips.warned, slips.read, slips.found, slips.prompt))
    yield from map(str, (slips.located, slips.unique, slips.repaired))
    for distances in (slips.unread, slips.behind):
        middle, most = slips.middle(distances)
        yield f"{middle}/{most}" if distances else ""
    yield str(slips.odd)
    yield f"{100 * sums['good_rejected'] / max(1, sums['bottles']):.2f} %"
    yield str(sums["unexplained"])
    yield str(len(total.failing))
