"""What is read of rendered frames: zxing-cpp alone, ZBar alone and ours, side by side.

`python -m tests.vision.table --frames 400` prints, for each technique and level, how much of the
held-out frames each reads, with 95 % confidence (Wilson), and what was wrong. `--tuning` takes the
frames that settings may be tuned on, `--calibrate` shows what bare zxing-cpp reads of them at
several severities. Times are those of a busy or idle machine, as it is; rates hold for the
deadline that is given.
"""

import argparse
import time
from collections import Counter
from dataclasses import dataclass, field
from math import sqrt
from statistics import mean

import zxingcpp

from agent.vision.cascade import decode
from agent.vision.formats import FORMATS
from agent.vision.second import SYMBOLS, SecondOpinion
from agent.vision.settings import DecodeSettings
from tests.vision import render


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share."""
    if not of:
        return 0.0, 1.0
    z, p = 1.96, hits / of
    middle = (p + z * z / (2 * of)) / (1 + z * z / of)
    half = z * sqrt(p * (1 - p) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(slots=True)
class Column:
    """One reader's result over the frames of a row."""

    frames: int = 0
    right: int = 0
    wrong: list[tuple[int, str, str]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    by: Counter[str] = field(default_factory=Counter)
    late: int = 0

    def take(self, seed: int, text: str, said: str | None, seconds: float) -> None:
        self.frames += 1
        self.right += said == text
        if said is not None and said != text:
            self.wrong.append((seed, text, said))
        self.seconds.append(seconds)

    def shown(self) -> str:
        low, high = wilson(self.right, self.frames)
        rate = 100 * self.right / max(1, self.frames)
        wrong = f" {len(self.wrong)} WRONG" if self.wrong else ""
        return f"{rate:5.1f} ({100 * low:4.1f}-{100 * high:5.1f}){wrong}"


def row(
    name: str,
    level: render.Level,
    seeds: range,
    deadline: float,
    second: SecondOpinion | None,
    alone: bool = True,
    station: DecodeSettings | None = None,
) -> tuple[Column, Column, Column]:
    """zxing-cpp alone, ZBar alone and ours over the frames of these seeds."""
    symbology = render.TECHNIQUES[name].symbology
    settings = station or DecodeSettings(symbology)
    bare, zbar, ours = Column(), Column(), Column()
    for seed in seeds:
        text, image = render.frame(name, level, seed)
        if alone:
            start = time.perf_counter()
            found = zxingcpp.read_barcode(
                image, formats=FORMATS[symbology], text_mode=zxingcpp.TextMode.Plain
            )
            bare.take(seed, text, found and found.text, time.perf_counter() - start)
            if second is not None and symbology in SYMBOLS:
                start = time.perf_counter()
                read = second.read(image, symbology, time.monotonic() + 2.0)
                zbar.take(seed, text, read and read.text, time.perf_counter() - start)
        result = decode(image, settings, time.monotonic() + deadline, second=second)
        said = result.reads[0] if result.reads else None
        ours.take(seed, text, said and said.text, result.seconds)
        ours.late += result.late
        if said is not None:
            ours.by[said.attempt] += 1
    return bare, zbar, ours


def calibrate(names: list[str], frames: int) -> None:
    for name in names:
        shown = []
        for step in range(1, 17):
            severity, right = step / 10, 0
            for seed in render.seeds(frames, proof=False):
                text, image = render.at_severity(name, severity, seed)
                found = zxingcpp.read_barcode(
                    image,
                    formats=FORMATS[render.TECHNIQUES[name].symbology],
                    text_mode=zxingcpp.TextMode.Plain,
                )
                right += found is not None and found.text == text
            shown.append(f"{severity}: {100 * right / frames:.0f}")
        print(f"{name:11}{'  '.join(shown)}", flush=True)


def main() -> None:
    said = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    said.add_argument("--frames", type=int, default=200, help="frames of each row")
    said.add_argument("--technique", action="append", choices=list(render.TECHNIQUES))
    said.add_argument("--level", action="append", choices=render.LEVELS)
    said.add_argument("--deadline-ms", type=float, default=15.0)
    said.add_argument("--tuning", action="store_true", help="the frames for tuning")
    said.add_argument("--start", type=int, default=0, help="number of the first frame")
    said.add_argument("--pitch", action="store_true", help="the station knows its module size")
    said.add_argument("--calibrate", action="store_true")
    said.add_argument("--show", action="store_true", help="seeds that were not read, and wrong")
    asked = said.parse_args()
    names = asked.technique or list(render.TECHNIQUES)
    if asked.calibrate:
        calibrate(names, asked.frames)
        return
    second = SecondOpinion()
    second.warm(5.0)
    print(
        f"{'tuning' if asked.tuning else 'held-out'} frames, {asked.frames} a row, deadline "
        f"{asked.deadline_ms:g} ms; read in % (95 % confidence)\n"
        f"{'':20}{'zxing-cpp':24}{'ZBar':24}{'ours':24}{'ms':>6}{'bare':>7}{'late':>5}"
    )
    seeds = render.seeds(asked.frames, not asked.tuning, asked.start)
    for name in names:
        technique = render.TECHNIQUES[name]
        station = DecodeSettings(
            technique.symbology, pitch=technique.pitch if asked.pitch else None
        )
        for level in asked.level or render.LEVELS:
            columns = row(name, level, seeds, asked.deadline_ms / 1000, second, station=station)
            bare, zbar, ours = columns
            print(
                f"{name:11}{level:9}{bare.shown():24}{zbar.shown() if zbar.frames else '-':24}"
                f"{ours.shown():24}{1000 * mean(ours.seconds):6.2f}"
                f"{1000 * mean(bare.seconds):7.2f}{ours.late:5}",
                flush=True,
            )
            if asked.show:
                print("   ", dict(ours.by.most_common()), ours.wrong)
    second.close()


if __name__ == "__main__":
    main()
