"""kill -9 of the real agent at random moments while the demonstration line runs.

    python -m tests.faults.kill --kills 300

plays one demonstration after the other, each line with its share of the kills: the agent is started
again on its database and goes on by itself; the plant never stops. At the end the audit holds every
container and every count against the plant, and the database against its journal.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from agent import config as site_config
from agent.app import Files
from agent.demo.result import Result
from agent.demo.run import Demo, DemoOptions
from agent.store.database import open_reader
from agent.store.verify import verify

WRONG = ("wrong_proven", "wrong_anchored", "wrong_incomplete", "missing", "child_in_two")
SHARE = 25
"""Kills of one demonstration."""


@dataclass(frozen=True)
class Line:
    """A line to kill the agent of; `speed` in bottles an hour."""

    site: str
    pack: str
    speed: int


LINES = (
    Line("bottling", "multiread", 36_000),
    Line("bottling", "sequence", 36_000),
    Line("liquor", "multiread", 18_000),
)


def campaign(folder: Path, line: Line, kills: int, seed: int) -> tuple[Result, list[str]]:
    """Play one demonstration with so many kills; its audit, and what is wrong with the record."""
    options = DemoOptions(
        seconds=5.0 * kills + 20,  # codes enough for that long
        speed=line.speed,
        seed=seed,
        pack=line.pack,
        site=line.site,
        web=False,
        keep=folder,
        kills=kills,
    )
    result = Demo(options, lambda text: None).run()
    wrong = [f"{name} {getattr(result, name)}" for name in WRONG if getattr(result, name)]
    if result.unexplained or not result.finished:
        wrong.append(f"unexplained {result.unexplained}, finished {result.finished}")
    config = folder / "site.toml"
    files = Files(site_config.load(config), config)
    conn = open_reader(files.database, files.key)
    try:
        wrong += verify(conn, folder).problems
    finally:
        conn.close()
    log = (folder / "agent.log").read_text("utf-8", "replace")
    if "Traceback" in log or "this is a bug" in log:
        wrong.append(f"the agent's log tells of a bug: {folder / 'agent.log'}")
    return result, wrong + (result.notes if wrong else [])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--site", choices=["bottling", "liquor"])
    parser.add_argument("--pack", choices=["multiread", "sequence"])
    parser.add_argument("--keep", type=Path, help="leave the runs in this folder")
    given = parser.parse_args()
    lines = [
        line
        for line in LINES
        if given.site in (None, line.site) and given.pack in (None, line.pack)
    ]
    total: Counter[str] = Counter()
    bad = done = number = 0
    with tempfile.TemporaryDirectory(prefix="caselink-") as scratch:
        while done < given.kills:
            line, kills = lines[number % len(lines)], min(SHARE, given.kills - done)
            seed = given.seed + number
            began = time.monotonic()
            folder = (given.keep or Path(scratch)) / f"{line.site}-{line.pack}-{seed}"
            result, wrong = campaign(folder, line, kills, seed)
            done += kills
            number += 1
            bad += bool(wrong)
            total.update(
                bottles=result.bottles,
                good_rejected=result.good_rejected,
                wrong_inferred=result.wrong_inferred,
                unexplained=result.unexplained,
                **{name: getattr(result, name) for name in WRONG},
                **result.containers,
            )
            print(
                f"{folder.name}: {kills} kills, {result.bottles} bottles, "
                f"{sum(result.containers.values())} containers, "
                f"{'; '.join(wrong[:9]) if wrong else 'good'} ({time.monotonic() - began:.0f} s)",
                flush=True,
            )
    print(f"{done} kills in {number} runs, {bad} runs not good:", dict(total))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
