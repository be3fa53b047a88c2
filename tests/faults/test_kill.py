"""The agent is killed again and again while the line runs, and goes on by itself: nothing that is
recorded is wrong, nothing is missing, every count adds up (tests/faults/kill.py, the long form)."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults.kill import LINES, campaign

KILLS = 10
"""Of each of two lines."""


def test_kills_at_random_moments_leave_no_wrong_record(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as both:
        runs = [
            both.submit(campaign, tmp_path / str(n), line, KILLS, 1 + n)
            for n, line in enumerate(LINES[:2])
        ]
    for result, wrong in (run.result() for run in runs):
        assert not wrong, wrong
        assert result.passed, "no bottle came through"
        assert result.bottles > 20
