"""What measuring the quality index costs, and that it delays no verdict.

    python tests/bench/bench_quality.py [--rounds 200]

First table: one grading per symbology and size, its parts, and decode alone beside it. Second: the
time from frame to decoded read while every frame is graded too, while none is, and by turns.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from agent.ports.reading import Image, Read
from agent.vision.cascade import decode
from agent.vision.quality import grade
from agent.vision.quality_grid import fit, reflectances
from agent.vision.quality_watch import QualityWatch, SampleSettings
from agent.vision.workers import DecodeSettings, StationDecoder, VisionWorkers
from tests.vision.defects import Look, modules, paint, read

TEXTS = {"Code128": "CASE000123", "EAN13": "6901234567892"}
LONG = "https://q.example.cn/" + "ABCDEFGHJKLMNPQR" * 8


def timed(rounds: int, call: Callable[[], object]) -> list[float]:
    """Milliseconds of processor time in this thread: a busy machine changes little of it."""
    call()
    found = []
    for _ in range(rounds):
        start = time.thread_time()
        call()
        found.append((time.thread_time() - start) * 1000)
    return found


def p99(values: list[float]) -> float:
    return quantiles(values, n=100)[98]


def costs(rounds: int) -> None:
    print(f"{'symbol':34}{'grade ms':>10}{'p99':>8}{'grid':>8}{'light':>8}{'decode':>8}")
    for kind, text, px in (
        ("QRCode", "", 4),
        ("QRCode", "", 8),
        ("QRCode", LONG, 4),
        ("DataMatrix", "", 6),
        ("DataMatrix", LONG, 6),
        ("Code128", "", 3),
        ("EAN13", "", 3),
    ):
        dark = modules(kind, text or TEXTS[kind]) if text or kind in TEXTS else modules(kind)
        image = paint(dark, Look(px=px, turn=7 if kind not in TEXTS else 2, blur=0.6, noise=3))
        at = read(image, kind)
        times = timed(rounds, lambda i=image, a=at, k=kind: grade(i, a, k))
        name = f"{kind} {dark.shape[0]}x{dark.shape[1]}, {px} px"
        parts = _parts(image, at, kind, dark.shape, rounds)
        plain = median(timed(rounds, lambda i=image, k=kind: _decoded(i, k)))
        print(f"{name:34}{median(times):10.2f}{p99(times):8.2f}{parts}{plain:8.2f}")


def _parts(image: Image, at: Read, kind: str, shape: tuple[int, ...], rounds: int) -> str:
    if kind in TEXTS:
        return f"{'':16}"
    corners = np.array(at.corners, np.float64) + 0.5
    rows, columns = shape
    grid = fit(image, corners, (rows, columns))
    assert grid is not None
    one = median(timed(rounds, lambda: fit(image, corners, (rows, columns))))
    two = median(timed(rounds, lambda: reflectances(image, grid)))
    return f"{one:8.2f}{two:8.2f}"


def _decoded(image: Image, kind: str) -> object:
    return decode(image, DecodeSettings(kind), time.monotonic() + 5)


async def verdicts(rounds: int) -> None:
    """30 frames a second through the workers, as a watch does it."""
    dark = modules("QRCode")
    image = np.full((480, 640), 200, np.uint8)
    seen = paint(dark, Look(px=4, blur=0.6, noise=3))
    image[100 : 100 + seen.shape[0], 200 : 200 + seen.shape[1]] = seen
    print(
        f"\n{'frame to read, ms':34}{'median':>10}{'p99':>8}{'most':>8}"
        f"{'graded':>8}{'left out':>10}"
    )
    for name, every in (("none graded", 0), ("every 20th", 20), ("every frame", 1)):
        workers = VisionWorkers(2)
        watch = QualityWatch(workers, "QRCode", SampleSettings(every), lambda *_: None, lambda: 0)
        station = StationDecoder(workers, DecodeSettings("QRCode", region=(150, 60, 300, 300)))
        found = []
        for _ in range(rounds):
            start = time.perf_counter()
            decoded = await station.decode(image, time.monotonic() + 1)
            found.append((time.perf_counter() - start) * 1000)
            watch.offer(image, decoded)
            await asyncio.sleep(0.033 - min(0.03, time.perf_counter() - start))
        await workers.close()
        print(
            f"{name:34}{median(found):10.2f}{p99(found):8.2f}{max(found):8.2f}"
            f"{watch.graded:8}{watch.skipped:10}"
        )
    workers = VisionWorkers(2)
    watch = QualityWatch(workers, "QRCode", SampleSettings(1), lambda *_: None, lambda: 0)
    station = StationDecoder(workers, DecodeSettings("QRCode", region=(150, 60, 300, 300)))
    found = []
    for _ in range(rounds):
        decoded = await station.decode(image, time.monotonic() + 1)
        watch.offer(image, decoded)
        # The next frame comes while the one before is being measured.
        start = time.perf_counter()
        await station.decode(image, time.monotonic() + 1)
        found.append((time.perf_counter() - start) * 1000)
        await asyncio.sleep(0.02)
    await workers.close()
    print(
        f"{'while the one before is graded':34}"
        f"{median(found):10.2f}{p99(found):8.2f}{max(found):8.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    costs(rounds)
    asyncio.run(verdicts(rounds))


if __name__ == "__main__":
    main()
