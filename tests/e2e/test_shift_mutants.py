"""Each defence of `shift_mutants` taken out makes a simulated shift fail that is good with it."""

from pathlib import Path

import pytest

from tests.e2e.shift_mutants import MUTANTS, ShiftMutant, copy_packages, play
from tests.planted import planted


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_packages(tmp_path_factory.mktemp("packages"))


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_a_shift_notices(mutant: ShiftMutant, copy: Path, tmp_path: Path) -> None:
    done = play(planted(mutant, copy, tmp_path / "mutant"), mutant.shift)
    assert done.returncode == 1, f"{mutant.name} lives:\n{done.stdout}{done.stderr}"
    assert "is not good. Again: caselink simulate" in done.stderr, done.stderr


@pytest.mark.parametrize("shift", sorted({mutant.shift for mutant in MUTANTS}))
def test_the_shift_is_good_with_every_defence(shift: str, copy: Path) -> None:
    done = play(copy, shift)
    assert done.returncode == 0, done.stdout + done.stderr
