"""Each defence of `shift_mutants` taken out makes a simulated shift fail that is good with it."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.e2e.shift_mutants import MUTANTS, ShiftMutant, copy_packages, play
from tests.planted import planted


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_packages(tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool
        pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def runs(
    copy: Path, pool: ThreadPoolExecutor, tmp_path_factory: pytest.TempPathFactory
) -> dict[ShiftMutant, "Future[CompletedProcess[str]]"]:
    """Every mutant, two at a time."""
    base = tmp_path_factory.mktemp("mutants")
    return {
        mutant: pool.submit(play, planted(mutant, copy, base / str(n)), mutant.shift)
        for n, mutant in enumerate(MUTANTS)
    }


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_a_shift_notices(
    mutant: ShiftMutant, runs: dict[ShiftMutant, "Future[CompletedProcess[str]]"]
) -> None:
    done = runs[mutant].result()
    assert done.returncode == 1, f"{mutant.name} lives:\n{done.stdout}{done.stderr}"
    assert "is not good. Again: caselink simulate" in done.stderr, done.stderr


@pytest.fixture(scope="module")
def clean(copy: Path, pool: ThreadPoolExecutor) -> dict[str, "Future[CompletedProcess[str]]"]:
    """Every shift with all defences."""
    return {shift: pool.submit(play, copy, shift) for shift in {each.shift for each in MUTANTS}}


@pytest.mark.parametrize("shift", sorted({mutant.shift for mutant in MUTANTS}))
def test_the_shift_is_good_with_every_defence(
    shift: str, clean: dict[str, "Future[CompletedProcess[str]]"]
) -> None:
    done = clean[shift].result()
    assert done.returncode == 0, done.stdout + done.stderr
