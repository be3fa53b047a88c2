"""Agents, consumers and broker are killed again and again on a network that cuts, stalls, loses,
doubles and swaps: what the agents recorded is at the cloud once, in order, as if nothing had been
(tests/faults/chaos.py is the long form). And each defence that only whole processes show is needed.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.chaos import Options, Outcome, campaign, database, prepare
from tests.faults.chaos_mutants import MUTANTS, copied, noticed, play
from tests.faults.chaos_world import Box
from tests.sync.brokers import needs_mosquitto

BOTTLES = 200
KILLS = 13
"""Of each run, and two or three more at its end."""
RUNS = {
    "sqlite": {"persistence": True, "consumers": 1, "seed": 3},
    "postgresql": {"persistence": False, "consumers": 2, "seed": 4},
}

pytestmark = needs_mosquitto


@pytest.fixture(scope="module")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> list[Box]:
    return prepare(tmp_path_factory.mktemp("before"), 1, BOTTLES)


def test_everything_arrives_once_and_in_order(boxes: list[Box], tmp_path: Path) -> None:
    def run(kind: str) -> Outcome:
        folder = tmp_path / kind
        folder.mkdir()
        with database(kind, folder) as url:
            return campaign(folder, Options(url, KILLS, **RUNS[kind]), boxes)  # type: ignore[arg-type]

    with ThreadPoolExecutor(2) as both:
        outcomes = list(both.map(run, RUNS))
    for outcome in outcomes:
        assert not outcome.problems, str(outcome)
        kills = {name: n for name, n in outcome.faults.items() if name.startswith("kills")}
        assert len(kills) == 3, kills
        assert sum(kills.values()) >= 15, kills
        assert outcome.faults["cut"] + outcome.faults["stall"] > 0
        assert outcome.counts["documents"] > 200


def test_without_these_defences_rows_are_lost(boxes: list[Box], tmp_path: Path) -> None:
    copy = copied(tmp_path / "packages")
    with ThreadPoolExecutor(2) as both:
        plays = {
            mutant.name: both.submit(play, mutant, copy, tmp_path / str(n), boxes)
            for n, mutant in enumerate(MUTANTS)
        }
    for name, run in plays.items():
        assert noticed(run.result()), f"{name} lives: {run.result()}"
