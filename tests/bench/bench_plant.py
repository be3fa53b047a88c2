"""Bottles a second that the pure plant simulates, without rendering."""

import sys
from pathlib import Path
from time import process_time

sys.path.insert(0, str(Path(__file__).parents[2]))

from drivers.sim.troubles import rates
from tests.drivers.plant_help import Log, Scripted, make


def main(bottles: int = 50_000) -> None:
    for preset in ("none", "daily", "harsh"):
        plant = make(bottles, troubles=rates(preset))
        agent, log = Scripted(), Log()
        turn = 0
        began = process_time()
        while not plant.finished:
            turn += 1
            agent.work(turn * 0.1, plant, log, keep=False)
        whole = process_time() - began
        print(
            f"{preset:6} {bottles} bottles, whole loop {whole:.2f} s of processor: "
            f"{bottles / whole:,.0f} bottles/s, {whole / bottles * 1e6:.1f} us per bottle"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000)
