"""Each defence of `prove_mutants` taken out makes a proof fail that is good with it."""

from pathlib import Path

import pytest

from tests.e2e.prove_mutants import MUTANTS, ProveMutant
from tests.e2e.shift_mutants import copy_packages
from tests.planted import planted, run

DEADLINE = 120.0


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_packages(tmp_path_factory.mktemp("packages"))


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_a_proof_notices(mutant: ProveMutant, copy: Path, tmp_path: Path) -> None:
    where = planted(mutant, copy, tmp_path / "mutant")
    done = run("agent.cli", ["device", "prove", *mutant.proof.split()], where, seconds=DEADLINE)
    assert done.returncode == 1, f"{mutant.name} lives:\n{done.stdout}{done.stderr}"
    assert " NO " in done.stdout, done.stdout + done.stderr
