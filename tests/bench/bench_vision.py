"""What our decoding adds to a bare zxingcpp call on the same pixels, and what the cascade reads.

Ours and the bare call take turns, so that both meet the same noise.
"""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles

sys.path.insert(0, str(Path(__file__).parents[2]))

import zxingcpp

from agent.vision.cascade import decode
from agent.vision.multiread import decode_cells
from agent.vision.workers import DecodeSettings, VisionWorkers
from drivers.sim.render import encode, render, suggest_size
from drivers.sim.world import Scene, Symbol
from tests.vision.scenes import KINDS, MATRIX, URL, hard, nominal


def soon() -> float:
    return time.monotonic() + 30


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000


def bare(kind: str) -> dict[str, object]:
    return {
        "formats": getattr(zxingcpp.BarcodeFormat, kind),
        "text_mode": zxingcpp.TextMode.Plain,
        "try_downscale": False,
        "try_invert": False,
    }


def against_bare(rounds: int) -> None:
    print(f"{'median of ' + str(rounds):42}{'ours ms':>9}{'p99':>9}{'bare ms':>9}{'ratio':>7}")
    for kind in MATRIX:
        _, image = nominal(kind, 1)
        x, y, w, h = region = (180, 100, 280, 280)
        roi, whole = DecodeSettings(kind, region=region), DecodeSettings(kind)
        options = bare(kind)
        crop = image[y : y + h, x : x + w]
        compare(
            f"{kind}, region 280x280",
            rounds,
            lambda roi=roi, image=image: decode(image, roi, soon()),
            lambda crop=crop, options=options: zxingcpp.read_barcode(crop, **options),
        )
        compare(
            f"{kind}, full frame 640x480",
            rounds,
            lambda whole=whole, image=image: decode(image, whole, soon()),
            lambda image=image, options=options: zxingcpp.read_barcode(image, **options),
        )
        size = suggest_size(URL + "000", kind)
        cell = round(size * 1.6)
        symbols = tuple(
            Symbol(f"{URL}{n:03d}", kind, cell * (n % 6 + 0.5), cell * (n // 6 + 0.5), size, n * 15)
            for n in range(24)
        )
        case = render(Scene(cell * 6, cell * 4, symbols))
        grid = DecodeSettings(kind, grid=(4, 6))
        compare(
            f"{kind}, 24 cells in {cell * 6}x{cell * 4}",
            max(10, rounds // 10),
            lambda grid=grid, case=case: decode_cells(case, grid, soon()),
            lambda case=case, options=options: zxingcpp.read_barcodes(case, **options),
        )


def compare(
    name: str, rounds: int, ours: Callable[[], object], other: Callable[[], object]
) -> None:
    own, others = [], []
    for _ in range(rounds):
        own.append(timed(ours))
        others.append(timed(other))
    ratio = median(own) / median(others)
    p99 = quantiles(own, n=100)[98]
    print(f"{name:42}{median(own):9.3f}{p99:9.3f}{median(others):9.3f}{ratio:7.2f}")


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
    p99 = quantiles(own, n=100)[98]
    ratio = median(own) / median(direct)
    print(f"{'through a worker, against direct':42}{median(own):9.3f}{p99:9.3f}", end="")
    print(f"{median(direct):9.3f}{ratio:7.2f}")


def read_rates(count: int) -> None:
    print(
        f"\n{f'read of {count}':22}{'fast':>6}{'cascade':>9}{'wrong':>7}{'mean ms':>9}  by attempt"
    )
    for level, make in (("nominal", nominal), ("hard", hard)):
        for kind in KINDS if level == "nominal" else MATRIX:
            fast = wrong = 0
            by: Counter[str] = Counter()
            seconds = []
            for number in range(1000, 1000 + count):
                value, image = make(kind, number)
                fast += len(decode(image, DecodeSettings(kind, attempts=("fast",)), soon()).reads)
                result = decode(image, DecodeSettings(kind), soon())
                seconds.append(result.seconds * 1000)
                by.update(read.attempt for read in result.reads)
                wrong += sum(read.text != value for read in result.reads)
            attempts = ", ".join(f"{name} {n}" for name, n in by.most_common())
            print(
                f"{kind + ' ' + level:22}{fast:6}{by.total():9}{wrong:7}"
                f"{sum(seconds) / count:9.2f}  {attempts}"
            )


def rendering(rounds: int) -> None:
    print()
    _, one = nominal("QRCode", 1)
    size = suggest_size(URL + "000", "QRCode")
    symbol = Symbol(URL + "001", "QRCode", 320, 240, size, 12)
    case = tuple(
        Symbol(f"{URL}{n:03d}", "QRCode", 80 + 160 * (n % 6), 80 + 160 * (n // 6), 104, n * 15)
        for n in range(24)
    )
    for name, call in (
        ("render 640x480, one symbol", lambda: render(Scene(640, 480, (symbol,)))),
        ("render 960x640, 24 symbols", lambda: render(Scene(960, 640, case))),
        ("encode 640x480 as bmp", lambda: encode(one, "bmp")),
        ("encode 640x480 as jpeg", lambda: encode(one, "jpeg")),
    ):
        times = [timed(call) for _ in range(rounds)]
        print(f"{name:42}{median(times):9.3f}")


def main(rounds: int = 1000) -> None:
    against_bare(rounds)
    asyncio.run(through_workers(rounds))
    read_rates(max(20, rounds // 5))
    rendering(max(20, rounds // 10))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
