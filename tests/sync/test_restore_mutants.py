"""Backup, restore and archive with one defence taken out: a test of theirs must fail each time."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.planted import planted

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 120.0
RESTORED, BACKUP, ARCHIVE = (
    "tests/sync/test_restored.py",
    "tests/store/test_backup.py",
    "tests/store/test_archive.py",
)


@dataclass(frozen=True)
class Mutant:
    """`name` says what defence is gone; `test` notices it."""

    name: str
    file: str
    old: str
    new: str
    test: str


MUTANTS = (
    Mutant(
        "no new epoch on restore",
        "agent/store/restore.py",
        "        journal.begin_epoch(conn, epoch)\n",
        "        conn.tail = None\n",
        f"{RESTORED}::test_codes_printed_after_the_backup_never_print_again",
    ),
    Mutant(
        "codes not in question",
        "agent/store/restore.py",
        "            tuple(pool.pool for pool in asked),\n",
        "            (),\n",
        f"{RESTORED}::test_codes_printed_after_the_backup_never_print_again",
    ),
    Mutant(
        "what the cloud knows to be used is not void",
        "agent/core/pools.py",
        "    taken = max(pool.next_position, used)\n",
        "    taken = pool.next_position\n",
        f"{RESTORED}::test_codes_printed_after_the_backup_never_print_again",
    ),
    Mutant(
        "what was printed without being told is not void",
        "agent/core/pools.py",
        "    return min(pool.count, taken + ceil(gap_ms * per_s / 1000))\n",
        "    return min(pool.count, taken)\n",
        f"{RESTORED}::test_what_may_have_been_printed_without_being_told_is_void_too",
    ),
    Mutant(
        "a journal that has more is replaced without a reason",
        "agent/store/restore.py",
        "    if lost and not terms.force:\n",
        "    if lost < 0 and not terms.force:\n",
        f"{BACKUP}::test_a_journal_that_has_more_is_not_replaced_without_a_reason",
    ),
    Mutant(
        "a backup of many moments",
        "agent/store/backup.py",
        "    made = wall_ms()\n",
        '    made = wall_ms()\n    source.execute("COMMIT")\n    time.sleep(0.5)\n'
        '    source.execute("BEGIN")\n',
        f"{BACKUP}::test_a_backup_of_a_running_agent_is_of_one_moment",
    ),
    Mutant(
        "what is not acknowledged is archived",
        "agent/store/archive.py",
        "        last = min(outbox.acked(conn).seq, newest - 1, moved + most)\n",
        "        last = min(newest - 1, moved + most)\n",
        f"{ARCHIVE}::test_nothing_that_is_not_acknowledged_moves",
    ),
    Mutant(
        "rows deleted though their archive is not sound",
        "agent/store/archive.py",
        "        if not sound:\n",
        "        if not archives:\n",
        f"{ARCHIVE}::test_rows_stay_where_their_archive_is_not_sound",
    ),
)


def run(mutant: Mutant, copy: Path, where: Path) -> subprocess.CompletedProcess[str]:
    planted(mutant, copy, where)
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"),
            *("--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml")),
            *("-o", f"pythonpath={where} {ROOT}", str(ROOT / mutant.test)),
        ],
        cwd=where,
        env={**os.environ, "PYTHONPATH": f"{where}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, subprocess.CompletedProcess[str]]:
    """Every mutant, two at a time, on a copy: others may be at work in the tree."""
    copy, base = tmp_path_factory.mktemp("packages"), tmp_path_factory.mktemp("mutants")
    leave = shutil.ignore_patterns("web", "demo", "vision", "node_modules")
    for package in ("agent", "sync"):
        shutil.copytree(ROOT / package, copy / package, ignore=leave)
    with ThreadPoolExecutor(2) as pool:
        done = pool.map(lambda m: run(m, copy, base / m.name.replace(" ", "-")), MUTANTS)
        return dict(zip([mutant.name for mutant in MUTANTS], done, strict=True))


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_a_defence_that_is_gone_is_missed(
    mutant: Mutant, runs: dict[str, subprocess.CompletedProcess[str]]
) -> None:
    done = runs[mutant.name]
    assert done.returncode == 1, f"{mutant.name} lives:\n{done.stdout}{done.stderr}"
    assert "1 failed" in done.stdout, done.stdout
