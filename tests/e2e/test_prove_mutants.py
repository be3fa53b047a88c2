"""Each defence of `prove_mutants` taken out makes a proof fail that is good with it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.prove_mutants import MUTANTS, ProveMutant
from tests.e2e.shift_mutants import copy_packages
from tests.planted import planted

DEADLINE = 120.0


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_packages(tmp_path_factory.mktemp("packages"))


def proves(where: Path, proof: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "agent.cli", "device", "prove", *proof.split()],
        cwd=where,
        env={**os.environ, "PYTHONPATH": str(where)},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_a_proof_notices(mutant: ProveMutant, copy: Path, tmp_path: Path) -> None:
    done = proves(planted(mutant, copy, tmp_path / "mutant"), mutant.proof)
    assert done.returncode == 1, f"{mutant.name} lives:\n{done.stdout}{done.stderr}"
    assert " NO " in done.stdout, done.stdout + done.stderr
