"""Defences taken out of the product one by one, and the simulated shift that notices.

Data only: `old` must stand exactly once in `file`, so that the list cannot rot; `shift` are the
options of `caselink simulate` under which the audit is good with the defence and not without it.
`python -m tests.e2e.shift_mutants` plays them all and prints the table.
"""

import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.planted import planted, run

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 150.0
"""Seconds that one shift may take."""


@dataclass(frozen=True)
class ShiftMutant:
    """`name` says what defence is gone."""

    name: str
    file: str
    old: str
    new: str
    shift: str


MUTANTS = (
    ShiftMutant(
        "frames are taken in their order, not by the camera's count",
        "agent/line/pairing.py",
        "        before = self._counter\n",
        # The camera's clock would notice it too: here it has none.
        "        before = self._counter\n        counter, taken = (before or 0) + 1, None\n",
        "--seeds 1 --bottles 75 --site liquor --speed 72000 --trouble lost_frame=0.02 "
        "--trouble unreadable=0.05",
    ),
    ShiftMutant(
        "a silence makes any frame the certain one",
        "agent/line/pairing.py",
        "            self._lead_frame, self._quiet_frame = counter if whole else None, since\n",
        "            self._lead_frame, self._quiet_frame = counter, since\n"
        "            taken = self._clock.forget()\n",
        "--seeds 5 --bottles 600 --site liquor --pack sequence --trouble lost_frame=0.2",
    ),
    ShiftMutant(
        "a child need not be read to be proven",
        "agent/core/pack.py",
        "    if evidence and set(evidence) <= _SEEN and own in _TOGETHER and not doubtful:\n",
        "    if evidence and own in _TOGETHER and not doubtful:\n",
        "--seeds 1 --bottles 150 --pack sequence --trouble divider=0.02 --trouble taken=0.02",
    ),
    ShiftMutant(
        "a code may be on two bottles",
        "agent/core/verdict.py",
        "    if code.unit is not None and code.unit.unit != own_unit:\n",
        "    if code.unit is not None and code.unit.unit != own_unit and code.unit.held:\n",
        "--seeds 1 --bottles 37 --site liquor --trouble duplicate=0.05",
    ),
    ShiftMutant(
        "who is overtaken where nothing overtakes is not missed",
        "agent/core/decide.py",
        "    before = overtaken(out.plan, out.state, station.id, number)\n",
        "    before: list[int] = []\n",
        "--seeds 1 --bottles 75 --trouble taken=0.02",
    ),
    ShiftMutant(
        "what passed and was in no container is certain after a restart",
        "agent/core/decide.py",
        "    units |= {unit for loose in state.loose.values() for unit in loose}\n",
        "",
        "--seeds 1 --bottles 31 --pack sequence --trouble agent_killed=240",
    ),
    ShiftMutant(
        "what came onto a path on the way is not told from what was sent",
        "agent/core/evolve/common.py",
        "        state.count(station.id).added += 1\n",
        "        pass\n",
        "--seeds 1 --bottles 400 --trouble put_elsewhere=0.02",
    ),
    ShiftMutant(
        "what hands may have moved is not doubted",
        "agent/line/runner.py",
        "        before = was & DISTURBING\n        after = report.flags & DISTURBING\n",
        "        before = after = frozenset[str]()\n",
        "--seeds 1 --bottles 72 --pack sequence --trouble jam=900 --trouble unreadable=0.1",
    ),
    ShiftMutant(
        "a gate obeys a verdict that speaks of another item",
        "drivers/sim/plcmodel.py",
        " or (register ^ number) & 0xFFF\n",
        "\n",
        "--seeds 2 --bottles 300 --speed 72000 --trouble unreadable=0.2 --trouble disk_slow=3000",
    ),
    ShiftMutant(
        "a verdict slot does not carry the whole number of its item",
        "drivers/plc/ring.py",
        "    return slot.verdict << 12 | slot.number & 0x0FFF\n",
        "    return slot.verdict << 12 | slot.number & 0x000F\n",
        "--seeds 1 --bottles 100",
    ),
    ShiftMutant(
        "codes that a killed agent's printer had in hand are neither void nor suspect",
        "agent/core/recovery.py",
        "    in_hand = [p for p, state in window.codes.items() if state in IN_DOUBT]\n",
        "    in_hand: list[int] = []\n",
        "--seeds 1 --bottles 40 --trouble agent_killed=240",
    ),
    ShiftMutant(
        "proven without the container's own code read in one frame or captive with its content",
        "agent/core/pack.py",
        "    if evidence and set(evidence) <= _SEEN and own in _TOGETHER and not doubtful:\n",
        "    if evidence and set(evidence) <= _SEEN and not doubtful:\n",
        "--seeds 1 --bottles 1500 --site bottling-loose --speed 120000 --trouble put_elsewhere=0.1",
    ),
    ShiftMutant(
        "a label is bound when it is printed, not when it is read",
        "agent/core/containers.py",
        "        f.Attachment(role, code.key, f.PairIntegrity.PROVEN)\n"
        "        for role, code in judgement.reads.items()\n",
        "        f.Attachment(role, container.label or code.key, f.PairIntegrity.PROVEN)\n"
        "        for role, code in judgement.reads.items()\n",
        "--seeds 1 --bottles 600 --trouble label_shifted=0.1",
    ),
    ShiftMutant(
        "a container that went astray is anchored",
        "agent/core/anchors.py",
        "kept.worth == f.Integrity.INFERRED and not kept.astray",
        "kept.worth == f.Integrity.INFERRED",
        "--seeds 1013 --bottles 3000 --troubles daily --pack sequence",
    ),
)


def copy_packages(where: Path) -> Path:
    """The packages and example sites as they are now: others may be at work in the tree."""
    leave = shutil.ignore_patterns("node_modules")
    for package in ("agent", "drivers", "sync", "config"):
        shutil.copytree(ROOT / package, where / package, ignore=leave)
    return where


def play(where: Path, shift: str) -> subprocess.CompletedProcess[str]:
    """Play the shift with the packages in `where`."""
    return run("agent.cli", ["simulate", *shift.split()], where, seconds=DEADLINE)


def main() -> None:
    """Play every mutant (or those whose names hold an argument), and their shifts without one."""
    words = sys.argv[1:] or [""]
    mutants = [each for each in MUTANTS if any(word in each.name for word in words)]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        copy = copy_packages(Path(folder) / "packages")
        clean = {shift: pool.submit(play, copy, shift) for shift in {m.shift for m in mutants}}
        runs = [
            pool.submit(lambda m=m, n=n: play(planted(m, copy, Path(folder) / str(n)), m.shift))
            for n, m in enumerate(mutants)
        ]
        for mutant, run in zip(mutants, runs, strict=True):
            without, done = clean[mutant.shift].result(), run.result()
            fate = "killed" if done.returncode == 1 else f"LIVES ({done.returncode})"
            if without.returncode:
                fate += f", but the shift is not good without it ({without.returncode})"
            print(f"{fate:8} {mutant.name}: {mutant.shift}", flush=True)
            if fate != "killed":
                print(" ".join(done.stdout.split())[-900:])


if __name__ == "__main__":
    main()
