"""Whole shifts in virtual time: every container audited, the same seed the same bytes, and a
failing seed says how it is played again."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CASELINK = [sys.executable, "-m", "agent.cli"]
SECONDS = 120.0


def simulate(*options: str, chance: str = "0") -> tuple[int, list[dict[str, Any]], str]:
    """Status, what it printed, its errors. `chance` shakes the order of Python's sets."""
    done = subprocess.run(
        [*CASELINK, "simulate", "--json", *options],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        env={"PYTHONHASHSEED": chance},
    )
    assert done.stdout, done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


@pytest.mark.parametrize("site", ["bottling", "liquor"])
@pytest.mark.parametrize("pack", ["multiread", "sequence"])
def test_shifts_of_both_lines_come_out_right(site: str, pack: str) -> None:
    line = ("--site", site, "--pack", pack, "--bottles", "240", "--speed", "18000")
    status, shown, errors = simulate("--seeds", "1..1", *line)
    assert status == 0, (shown, errors)
    shift = shown[0]
    assert (shift["bottles"], shift["passed"], shift["rejected"]) == (240, 240, {})
    status, shown, errors = simulate("--seeds", "2..3", "--troubles", "daily", *line)
    assert status == 0, (shown, errors)
    assert [each["seed"] for each in shown[:-1]] == [2, 3]
    total = shown[-1]["total"]
    assert total["bottles"] == 480
    assert sum(total["containers"].values()) == sum(
        sum(each["containers"].values()) for each in shown[:-1]
    )


def test_the_same_seed_gives_the_same_bytes() -> None:
    given = ("--bottles", "300", "--troubles", "harsh")
    _, first, _ = simulate("--seeds", "7", *given, chance="1")
    _, again, _ = simulate("--seeds", "7", *given, chance="2")
    _, other, _ = simulate("--seeds", "8", *given, chance="2")
    assert first[0] == again[0]
    assert first[0]["journal"]["rows"] > 1000
    assert first[0]["journal"]["hash"] != other[0]["journal"]["hash"]
    assert first[0]["truth"] != other[0]["truth"]


def test_what_is_kept_can_be_asked(tmp_path: Path) -> None:
    given = ("--seeds", "4", "--bottles", "120", "--keep", str(tmp_path))
    status, shown, errors = simulate(*given)
    assert status == 0, errors
    _, in_memory, _ = simulate(*given[:4])
    assert shown[0] == in_memory[0]
    done = subprocess.run(
        [*CASELINK, "export", "containers", "--config", str(tmp_path / "seed-4" / "site.toml")],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    recorded = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(each["level"] == "case" and bool(each["code"]) for each in recorded) == 5
