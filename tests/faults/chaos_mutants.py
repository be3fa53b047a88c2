"""Defences of the way to the cloud that only whole processes show, and how each is removed.

    python -m tests.faults.chaos_mutants

Each is played without kills: the last rows of tests/faults/chaos.py must be lost by it. Defences of
single rooms are taken out in tests/sync (docs/developer.md has the table of all).
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.shift_mutants import copy_packages
from tests.faults.chaos import ROOT, Options, Outcome, campaign, prepare
from tests.faults.chaos_world import Box
from tests.planted import planted


@dataclass(frozen=True)
class ChaosMutant:
    """`name` says what defence is gone."""

    name: str
    file: str
    old: str
    new: str


MUTANTS = (
    ChaosMutant(
        "acknowledged by the broker",
        "sync/uplink.py",
        "        relay.sent(Sent(built.first, built.last, built.hash), self._now())\n",
        "        before = relay.acked\n"
        "        relay.sent(Sent(built.first, built.last, built.hash), self._now())\n"
        "        await connection.settle()\n"
        "        ack = Ack(epoch=relay.epoch, upto=built.last, hash=built.hash)\n"
        "        relay.heard(ack, built.hash, self._now())\n"
        "        await self._moved(relay, before, built.hash)\n",
    ),
    ChaosMutant(
        "acknowledged before the commit",
        "sync/cloud/consumer.py",
        "            answers = await loop.run_in_executor(",
        "            for agent, _, each in group:\n"
        "                if isinstance(each, Prepared):\n"
        "                    b = each.batch\n"
        "                    ack = Ack(epoch=b.epoch, upto=b.last, hash=b.hash)\n"
        "                    await connection.publish(topics(*agent.split('/')).ack, write(ack))\n"
        "            answers = await loop.run_in_executor(",
    ),
)


KILLS = (0, 12, 24)
"""Random kills of a run, and of those after it; consumer and broker are killed once in any case."""


def copied(where: Path) -> Path:
    """Our packages, and these tests."""
    copy_packages(where)
    (where / "tests").symlink_to(ROOT / "tests")
    return where


def play(mutant: ChaosMutant, copy: Path, folder: Path, boxes: list[Box]) -> Outcome:
    """The end of a run without one defence, on SQLite: of the first in which rows were lost, else
    of the last. A kill must meet a moment of milliseconds, so that one run may be lucky."""
    source = planted(mutant, copy, folder / "source")
    for kills in KILLS:
        here = folder / f"kills-{kills}"
        here.mkdir(parents=True)
        options = Options(f"sqlite:///{here / 'cloud.db'}", kills, source=source)
        outcome = campaign(here, options, boxes)
        if noticed(outcome):
            break
    return outcome


def noticed(outcome: Outcome) -> bool:
    """Whether rows that were acknowledged are seen to be lost, and nothing else is wrong."""
    return outcome.counts.get("lost", 0) > 0


def main() -> int:
    lives = 0
    with tempfile.TemporaryDirectory(prefix="caselink-") as scratch:
        folder = Path(scratch)
        copy, boxes = copied(folder / "packages"), prepare(folder / "before", 1, 200)
        for n, mutant in enumerate(MUTANTS):
            outcome = play(mutant, copy, folder / str(n), boxes)
            lives += not noticed(outcome)
            fate = "killed" if noticed(outcome) else "LIVES"
            print(f"{fate:8} {mutant.name}: {outcome}", flush=True)
    return 1 if lives else 0


if __name__ == "__main__":
    sys.exit(main())
