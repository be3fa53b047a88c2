"""What reading costs beside a bare zxingcpp call on the same pixels, and what it sustains.

`python tests/bench/bench_vision.py` prints everything in short form, `... ratio|case|deadline|
threads|lanes|memory` one part: `lanes --seconds 60` eight lanes at 33.3 frames/s, `memory --frames
50000` the growth. Ours and the bare call take turns, so that both meet the same noise; figures of
a busy machine are those of a busy machine.
"""

import argparse
import asyncio
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median, quantiles

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import zxingcpp

from agent.ports.reading import Image
from agent.vision.cascade import decode
from agent.vision.formats import FORMATS
from agent.vision.multiread import decode_cells
from agent.vision.second import SecondOpinion
from agent.vision.workers import DecodeSettings, VisionWorkers
from drivers.sim.render import render, suggest_size
from drivers.sim.world import Scene, Symbol
from tests.vision.render import empty, frame, seeds
from tests.vision.scenes import MATRIX, URL, nominal

ITEM = 0.015
FAR = time.monotonic() + 1e6
FPS = 33.3


def soon(seconds: float = 30.0) -> float:
    return time.monotonic() + seconds


def timed(call: Callable[[], object]) -> float:
    """Milliseconds."""
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000


def bare(kind: str) -> dict[str, object]:
    return {
        "formats": FORMATS[kind],
        "text_mode": zxingcpp.TextMode.Plain,
        "try_downscale": False,
        "try_invert": False,
    }


def compare(
    name: str, rounds: int, pairs: list[tuple[Callable[[], object], Callable[[], object]]]
) -> None:
    """Ours and the bare call on many pictures, in a shuffled order, warmed."""
    rng = random.Random(1)
    own: list[float] = []
    others: list[float] = []
    for ours, other in pairs:
        ours(), other()
    for _ in range(rounds):
        ours, other = rng.choice(pairs)
        if rng.random() < 0.5:
            others.append(timed(other))
            own.append(timed(ours))
        else:
            own.append(timed(ours))
            others.append(timed(other))
    p99 = quantiles(own, n=100)[98]
    more = (median(own) - median(others)) * 1000
    print(
        f"{name:40}{median(own):9.4f}{p99:9.3f}{median(others):9.4f}"
        f"{median(own) / median(others):7.3f}{more:9.1f}"
    )


def ratio(rounds: int) -> None:
    """One symbol on a region and on a whole frame; goals: 2-D on a region at most 1.15 x bare,
    1-D at most 5 us more."""
    print(
        f"{f'median of {rounds}':40}{'ours ms':>9}{'p99':>9}{'bare ms':>9}{'ratio':>7}"
        f"{'more us':>9}"
    )
    for kind in (*MATRIX, "Code128", "EAN13"):
        region = (180, 100, 280, 280) if kind in MATRIX else (40, 100, 560, 280)
        x, y, w, h = region
        roi, whole, options = DecodeSettings(kind, region=region), DecodeSettings(kind), bare(kind)
        pictures = [nominal(kind, number)[1] for number in range(40)]
        # Frames that the first attempt reads: the others are dearer on purpose.
        crops = [image[y : y + h, x : x + w] for image in pictures]
        easy = [n for n, crop in enumerate(crops) if zxingcpp.read_barcode(crop, **options)]
        compare(
            f"{kind}, region {w}x{h}",
            rounds,
            [
                (
                    partial(decode, pictures[n], roi, FAR),
                    partial(zxingcpp.read_barcode, crops[n], **options),
                )
                for n in easy
            ],
        )
        compare(
            f"{kind}, frame 640x480",
            rounds,
            [
                (
                    partial(decode, pictures[n], whole, FAR),
                    partial(zxingcpp.read_barcode, pictures[n], **options),
                )
                for n in easy
            ],
        )


def case(rounds: int) -> None:
    """24 cells in one frame against one bare call on it."""
    for kind in MATRIX:
        size = suggest_size(URL + "000", kind)
        cell = round(size * 1.6)
        symbols = tuple(
            Symbol(f"{URL}{n:03d}", kind, cell * (n % 6 + 0.5), cell * (n // 6 + 0.5), size, n * 15)
            for n in range(24)
        )
        picture = render(Scene(cell * 6, cell * 4, symbols))
        grid, options = DecodeSettings(kind, grid=(4, 6)), bare(kind)
        compare(
            f"{kind}, 24 cells in {cell * 6}x{cell * 4}",
            max(10, rounds // 10),
            [
                (
                    partial(decode_cells, picture, grid, FAR),
                    partial(zxingcpp.read_barcodes, picture, **options),
                )
            ],
        )


def deadline(rounds: int) -> None:
    """Frames that nothing can be read of: how far beyond the deadline, and the longest attempt.
    Goal: nothing exceeds it by more than one attempt."""
    print(f"{f'worst of {rounds}, nothing to read':40}{'ms':>9}{'over':>9}{'attempt':>9}")
    for kind in ("QRCode", "DataMatrix", "EAN13"):
        for width, height in ((320, 320), (640, 480), (1280, 1024), (2448, 2048)):
            worst = (0.0, 0.0, 0.0)
            for number in range(max(3, rounds * 300 * 300 // (width * height))):
                image = empty(number, (height, width))
                station = DecodeSettings(kind)
                start = time.monotonic()
                result = decode(image, station, start + ITEM)
                took = time.monotonic() - start
                longest = max((seconds for _, seconds in result.tried), default=0.0)
                worst = max(worst, (took, took - ITEM, longest))
            over = f"{max(0.0, worst[1]) * 1000:9.2f}"
            print(
                f"{f'{kind} {width}x{height}':40}{worst[0] * 1000:9.2f}{over}{worst[2] * 1e3:9.2f}"
            )


def threads(rounds: int) -> None:
    """Frames per second of one thread and of two; goal: 1.7 x on two quiet cores."""
    pictures = [nominal(kind, number)[1] for kind in MATRIX for number in range(20)]
    stations = [DecodeSettings(kind) for kind in MATRIX for _ in range(20)]

    def work(count: int) -> None:
        for number in range(count):
            decode(pictures[number % 40], stations[number % 40], soon())

    def rate(many: int) -> float:
        each = [threading.Thread(target=work, args=(rounds,)) for _ in range(many)]
        start = time.perf_counter()
        for thread in each:
            thread.start()
        for thread in each:
            thread.join()
        return many * rounds / (time.perf_counter() - start)

    rate(1)
    turns = [(rate(1), rate(2)) for _ in range(5)]
    one, two = median(a for a, _ in turns), median(b for _, b in turns)
    best = max(b / a for a, b in turns)
    print(
        f"frames/s: one thread {one:.0f}, two {two:.0f}: {two / one:.2f} x (best turn {best:.2f})"
    )


async def lanes(many: int, seconds: float, workers: int) -> None:
    """Lanes that each take a 640x480 picture every 30 ms from memory and want it read in 15 ms;
    one of ten is as hard as `tests.vision.render` makes nominal ones."""
    pictures = []
    for number, kind in enumerate(("QRCode", "DataMatrix", "Code128", "EAN13")):
        station = DecodeSettings(kind)
        name = ("qr", "datamatrix", "code128", "ean13")[number]
        for n in range(20):
            image = nominal(kind, n)[1]
            if n % 10 == 0:
                hard = frame(name, "nominal", n * 2)[1]
                image = np.full((480, 640), 120, np.uint8)
                h, w = min(480, hard.shape[0]), min(640, hard.shape[1])
                image[:h, :w] = hard[:h, :w]
            pictures.append((station, image))
    pool = VisionWorkers(workers)
    counts = {"frames": 0, "read": 0, "late": 0, "missed": 0}
    times: list[float] = []

    async def lane(number: int, begin: float) -> None:
        rng = random.Random(number)
        for n in range(int(seconds * FPS)):
            due = begin + (n + number / many) / FPS
            wait = due - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            elif wait < -1 / FPS:
                counts["missed"] += 1  # the next picture is there already
                continue
            station, image = rng.choice(pictures)
            start = time.monotonic()
            result = await pool.decode(station, image, start + ITEM)
            times.append(time.monotonic() - start)
            counts["frames"] += 1
            counts["read"] += len(result.reads)
            counts["late"] += result.late

    begin = time.monotonic() + 0.1
    busy = time.process_time()
    await asyncio.gather(*(lane(number, begin) for number in range(many)))
    busy = time.process_time() - busy
    await pool.close()
    p99 = quantiles(times, n=100)[98] * 1000
    print(
        f"{many} lanes, {workers} threads, {seconds:.0f} s: {counts['frames']} frames, "
        f"{counts['missed']} dropped, {counts['late']} late, {counts['read']} read; median "
        f"{median(times) * 1000:.2f} ms, p99 {p99:.2f} ms, {busy / seconds:.2f} cores"
    )


def memory(frames: int) -> None:
    """Resident memory over so many frames of all kinds, read and unread."""
    second = SecondOpinion()
    pictures: list[tuple[DecodeSettings, Image]] = []
    for name, kind in (("qr", "QRCode"), ("datamatrix", "DataMatrix"), ("ean13", "EAN13")):
        station = DecodeSettings(kind)
        pictures += [(station, frame(name, "hard", seed)[1]) for seed in seeds(20, proof=False)]
        pictures += [(station, nominal(kind, number)[1]) for number in range(40)]
    shown = []
    for number in range(frames):
        station, image = pictures[number % len(pictures)]
        decode(image, station, soon(ITEM), second=second)
        if number in (frames // 10, frames // 2, frames - 1):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            shown.append((number + 1, pages * os.sysconf("SC_PAGE_SIZE") / 1e6))
    second.close()
    print("memory: " + ", ".join(f"{mb:.1f} MB after {number}" for number, mb in shown))


async def through_workers(rounds: int) -> None:
    """What the way to a thread and back costs."""
    _, image = nominal("QRCode", 1)
    roi = DecodeSettings("QRCode", region=(180, 100, 280, 280))
    workers = VisionWorkers(1)
    own, direct = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        await workers.decode(roi, image, soon())
        own.append((time.perf_counter() - start) * 1000)
        direct.append(timed(lambda: decode(image, roi, soon())))
    await workers.close()
    print(f"through a worker {median(own):.3f} ms, direct {median(direct):.3f} ms")


def main() -> None:
    parts = ("ratio", "case", "deadline", "threads", "lanes", "memory", "all")
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    asked.add_argument("part", nargs="?", default="all", choices=parts)
    asked.add_argument("--rounds", type=int, default=1000)
    asked.add_argument("--lanes", type=int, default=8)
    asked.add_argument("--seconds", type=float, default=5.0)
    asked.add_argument("--threads", type=int, default=2)
    asked.add_argument("--frames", type=int, default=3000)
    said = asked.parse_args()
    every = said.part == "all"
    if every or said.part == "ratio":
        ratio(said.rounds)
        asyncio.run(through_workers(min(1000, said.rounds)))
    if every or said.part == "case":
        case(said.rounds)
    if every or said.part == "deadline":
        deadline(max(5, said.rounds // 20))
    if every or said.part == "threads":
        threads(max(200, said.rounds))
    if every or said.part == "lanes":
        asyncio.run(lanes(said.lanes, said.seconds, said.threads))
    if every or said.part == "memory":
        memory(said.frames)


if __name__ == "__main__":
    main()
