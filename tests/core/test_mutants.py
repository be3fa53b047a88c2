"""The state machine notices when a defence is taken out: each mutant of `mutants` breaks a rule.

Each runs in a process of its own, on a copy of the packages; the copy without a mutant passes.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.core.mutants import MUTANTS, Mutant
from tests.planted import planted, run

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 100.0
"""Seconds that one run may take."""
LENGTH = 20
STEPS = 1000
"""Rules in one example, and in one run at the most."""


def machine(where: Path, site: str, troubles: str, steps: int) -> subprocess.CompletedProcess[str]:
    """Run the machine on the packages in `where`."""
    words = ["--first", "--seed", "7", "--site", site, "--only", troubles]
    words += ["--steps", str(steps), "--length", str(LENGTH)]
    return run("tests.core.machine", words, where, ROOT, seconds=DEADLINE)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages as they are now: others may be at work in the tree."""
    where = tmp_path_factory.mktemp("packages")
    leave = shutil.ignore_patterns("web", "demo", "vision", "node_modules")
    for package in ("agent", "drivers"):
        shutil.copytree(ROOT / package, where / package, ignore=leave)
    return where


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_a_mutant_is_killed(mutant: Mutant, copy: Path, tmp_path: Path) -> None:
    where = planted(mutant, copy, tmp_path / "mutant")
    done = machine(where, mutant.site, mutant.troubles, STEPS)
    assert done.returncode == 1, f"{mutant.name} lives:\n{done.stdout}{done.stderr}"
    assert "Failing test case" in done.stderr, done.stderr


def test_without_a_mutant_no_rule_is_broken(copy: Path) -> None:
    done = machine(copy, "sequence", "", 200)
    assert done.returncode == 0, done.stderr
