"""Open cases as a camera above them takes them, 2448 x 2048, the same picture for the same number.

Caps stand in a dark carton: each leans a little and is turned anyhow, the light falls off to one
side, film or a wet cap shines, the lens is a little out of focus and the sensor is noisy. The
middle of the scale (`nominal`) is set so that one bare call of zxing-cpp on the whole frame reads
82 to 89 of 100 codes. Seeds from HELD_OUT on are never used to choose an order or a constant.

`python -m tests.vision.cases --frames 300` is the long table.
"""

import argparse
import random
import time
from dataclasses import dataclass, field
from functools import lru_cache
from math import ceil, cos, radians, sin
from statistics import median, quantiles

import cv2
import numpy as np
import zxingcpp
from numpy.typing import NDArray

from agent.vision.multiread import CellReads, decode_cells
from agent.vision.settings import DecodeSettings
from drivers.sim.symbols import bitmap
from tests.vision.scenes import URL

Picture = NDArray[np.uint8]
WIDTH, HEIGHT = 2448, 2048
ROWS, COLUMNS = 4, 6
PITCH = 380.0
HELD_OUT = 10_000
"""Numbers below are for tuning, from here on for proof."""
DEADLINE = 0.25

_FLOOR, _CAP, _INK, _GLASS = 62.0, 185.0, 55.0, 118.0


@dataclass(frozen=True, slots=True)
class Level:
    """How bad it is. `blur` (px, lowest and highest of the defocus), `noise` (sigma of grey
    values), `shine` (share of caps with a highlight), `fall` (how much darker the dark side is),
    `module` (px), `lean` (degrees)."""

    blur: tuple[float, float]
    noise: tuple[float, float]
    shine: float
    fall: float
    module: tuple[float, float]
    lean: float
    ink: float = _INK


LEVELS = {
    ("QRCode", "easy"): Level((0.6, 1.0), (2, 5), 0.0, 0.1, (5.3, 6.0), 3),
    ("QRCode", "nominal"): Level((0.9, 1.9), (6, 10), 0.12, 0.35, (5.0, 5.8), 8, 85.0),
    ("DataMatrix", "easy"): Level((0.6, 1.0), (2, 5), 0.0, 0.1, (5.6, 6.2), 3),
    ("DataMatrix", "nominal"): Level((0.8, 1.7), (4, 7), 0.12, 0.35, (5.4, 6.2), 8, 65.0),
}


@dataclass(frozen=True, slots=True)
class Case:
    """What stands where. `odd` says what is wrong at a place: missing, lying, foreign, or dead (a
    cap whose code is smeared)."""

    number: int
    kind: str = "QRCode"
    level: str = "nominal"
    odd: dict[int, str] = field(default_factory=dict)
    shift: tuple[float, float] = (0.0, 0.0)
    turn: float = 0.0
    rows: int = ROWS
    columns: int = COLUMNS

    def text(self, place: int) -> str:
        return f"{URL}{(self.number * 24 + place) % 1_000_000:06d}"

    @property
    def texts(self) -> list[str | None]:
        """What each place shows to a perfect reader."""
        gone = ("missing", "lying", "foreign", "dead")
        return [
            None if self.odd.get(n) in gone else self.text(n)
            for n in range(self.rows * self.columns)
        ]

    def middle(self, place: int) -> tuple[float, float]:
        """Where a place is in the frame (px)."""
        x = (place % self.columns - (self.columns - 1) / 2) * PITCH
        y = (place // self.columns - (self.rows - 1) / 2) * PITCH
        c, s = cos(radians(self.turn)), sin(radians(self.turn))
        return (
            WIDTH / 2 + self.shift[0] + x * c - y * s,
            HEIGHT / 2 + self.shift[1] + x * s + y * c,
        )


def settings(kind: str = "QRCode", rows: int = ROWS, columns: int = COLUMNS) -> DecodeSettings:
    """How such a case is read: the region has room for a case that stands askew."""
    w, h = PITCH * columns, PITCH * rows
    x, y = (WIDTH - w) / 2, (HEIGHT - h) / 2
    cells = tuple(
        ((x + PITCH * c) / WIDTH, (y + PITCH * r) / HEIGHT, PITCH / WIDTH, PITCH / HEIGHT)
        for r in range(rows)
        for c in range(columns)
    )
    return DecodeSettings(kind, grid=(rows, columns), cells=cells)


def render_case(case: Case) -> Picture:
    """The picture, 8-bit grey."""
    rng = random.Random(f"{case.kind} {case.level} {case.number}")
    level = LEVELS[case.kind, case.level]
    picture = _floor(case.rows, case.columns).copy()
    if case.turn or case.shift != (0.0, 0.0):
        matrix = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), -case.turn, 1.0)
        matrix[:, 2] += case.shift
        picture = cv2.warpAffine(
            picture, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE
        ).astype(np.uint8)
    lying: list[tuple[float, float, float]] = []
    pitch = rng.uniform(*level.module)
    for place in range(case.rows * case.columns):
        odd = case.odd.get(place, "")
        x, y = case.middle(place)
        x, y = x + rng.uniform(-14, 14), y + rng.uniform(-14, 14)
        module = pitch * rng.uniform(0.98, 1.02)  # no two stand equally high
        look = (rng.uniform(0, 360), module, rng.uniform(0, level.lean))
        soft, shine = rng.uniform(*level.blur), rng.random() < level.shine
        if odd == "missing":
            continue
        if odd == "lying":
            lying.append((x, y, rng.uniform(0, 180)))
            continue
        if odd == "foreign":
            cv2.circle(picture, (round(x), round(y)), 95, 235, -1, cv2.LINE_AA)
            cv2.putText(
                picture, "XX", (round(x) - 60, round(y) + 30), cv2.FONT_HERSHEY_SIMPLEX, 3, 20, 12
            )
            continue
        cap = _cap(case.text(place), case.kind, level.ink, odd == "dead")
        _stand(picture, cap, (x, y), look, soft, shine, rng)
    for x, y, angle in lying:
        _lie(picture, x, y, angle)
    _light(picture, level.fall, rng)
    _noise(picture, rng.uniform(*level.noise), rng)
    return picture


@lru_cache(maxsize=4)
def _floor(rows: int, columns: int) -> Picture:
    """Cardboard: a little uneven, with the carton's edge."""
    rng = np.random.default_rng(7)
    small = rng.normal(_FLOOR, 5, (HEIGHT // 16, WIDTH // 16)).astype(np.float32)
    floor = np.clip(cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR), 0, 255)
    out: Picture = floor.astype(np.uint8)
    w, h = PITCH * columns / 2, PITCH * rows / 2
    edge = (round(WIDTH / 2 - w), round(HEIGHT / 2 - h), round(2 * w), round(2 * h))
    cv2.rectangle(out, edge, 105, 14)
    return out


@lru_cache(maxsize=64)
def _cap(text: str, kind: str, ink: float, dead: bool) -> Picture:
    """A cap from above at 8 px per module of its code: its pixels, 0 outside."""
    modules = bitmap(text, kind)
    n = modules.shape[0]
    code = cv2.resize(modules, (n * 8, n * 8), interpolation=cv2.INTER_NEAREST)
    shade = np.where(code == 0, ink, _CAP).astype(np.uint8)
    edge = round(n * 8 * 2.0)
    cap = np.zeros((edge, edge), np.uint8)
    cv2.circle(cap, (edge // 2, edge // 2), edge // 2 - 4, _CAP * 0.82, -1, cv2.LINE_AA)
    cv2.circle(cap, (edge // 2, edge // 2), round(edge * 0.46), _CAP, -1, cv2.LINE_AA)
    at = (edge - n * 8) // 2
    if dead:
        shade = cv2.blur(shade, (61, 61)).astype(np.uint8)
    cap[at : at + n * 8, at : at + n * 8] = shade
    return cap


def _stand(
    picture: Picture,
    source: Picture,
    at: tuple[float, float],
    look: tuple[float, float, float],
    soft: float,
    shine: bool,
    rng: random.Random,
) -> None:
    """Put a cap into the picture: turned, leaning (foreshortened along one way), out of focus."""
    edge = len(source)
    angle, module, lean = look
    scale = module / 8
    reach = ceil(edge * scale / 2 * 1.05) + 4
    left, top = round(at[0]) - reach, round(at[1]) - reach
    box = np.s_[max(0, top) : top + 2 * reach, max(0, left) : left + 2 * reach]
    patch = picture[box]
    if patch.size == 0:
        return
    a = radians(angle)
    turn = np.array([[cos(a), -sin(a)], [sin(a), cos(a)]]) * scale
    way = radians(rng.uniform(0, 360))
    squash = np.eye(2) - (1 - cos(radians(lean))) * np.outer(
        (cos(way), sin(way)), (cos(way), sin(way))
    )
    linear = squash @ turn
    centre = np.array([at[0] - max(0, left), at[1] - max(0, top)])
    offset = centre - linear @ np.array([edge / 2, edge / 2])
    matrix = np.column_stack([linear, offset])
    size = (patch.shape[1], patch.shape[0])
    drawn = cv2.warpAffine(source, matrix, size, flags=cv2.INTER_LINEAR)
    mask = cv2.warpAffine(np.where(source > 0, 255, 0).astype(np.uint8), matrix, size)
    if shine:
        spot = (round(centre[0] + rng.uniform(-60, 60)), round(centre[1] + rng.uniform(-60, 60)))
        glow = np.zeros_like(drawn)
        axes = (rng.randint(8, 16), rng.randint(6, 11))
        cv2.ellipse(glow, spot, axes, rng.uniform(0, 180), 0, 360, 105, -1)
        glow = cv2.GaussianBlur(glow, (0, 0), 6.0)
        drawn = cv2.add(drawn, glow)
    np.copyto(patch, drawn, where=mask > 127)
    cv2.GaussianBlur(patch, (0, 0), soft, dst=patch)


def _lie(picture: Picture, x: float, y: float, angle: float) -> None:
    """A bottle on its side: a long grey body with a highlight along it."""
    way = np.array([cos(radians(angle)), sin(radians(angle))])
    a, b = np.array([x, y]) - way * 170, np.array([x, y]) + way * 170
    one, two = (round(a[0]), round(a[1])), (round(b[0]), round(b[1]))
    cv2.line(picture, one, two, _GLASS, 150, cv2.LINE_AA)
    cv2.line(picture, one, two, _GLASS + 50, 24, cv2.LINE_AA)


def _light(picture: Picture, fall: float, rng: random.Random) -> None:
    """Darker towards one side."""
    way = rng.uniform(0, 2 * np.pi)
    ys, xs = np.mgrid[0:8, 0:8] / 7 - 0.5
    small = (1 - fall * (0.5 + (xs * cos(way) + ys * sin(way)) / 1.42)).astype(np.float32)
    gain = cv2.resize(small * 256, (WIDTH, HEIGHT)).astype(np.uint16)
    np.right_shift(picture * gain, 8, out=gain)
    np.copyto(picture, gain, casting="unsafe")


@lru_cache(maxsize=1)
def _grain() -> NDArray[np.float32]:
    return np.random.default_rng(20240301).standard_normal((1024, 2048), np.float32)


def _noise(picture: Picture, sigma: float, rng: random.Random) -> None:
    grain = np.rint(_grain() * sigma).astype(np.int16)
    for y in range(0, HEIGHT, 512):
        for x in range(0, WIDTH, 1024):
            part = picture[y : y + 512, x : x + 1024]
            top, left = rng.randrange(512), rng.randrange(1024)
            h, w = part.shape
            cv2.add(part, grain[top : top + h, left : left + w], dst=part, dtype=cv2.CV_8U)


def bare(image: Picture, kind: str) -> list[str]:
    """What one call of zxing-cpp on the whole frame reads."""
    found = zxingcpp.read_barcodes(
        image,
        formats=getattr(zxingcpp.BarcodeFormat, kind),
        text_mode=zxingcpp.TextMode.Plain,
        try_downscale=False,
        try_invert=False,
    )
    return [each.text for each in found]


def read(image: Picture, station: DecodeSettings, seconds: float = DEADLINE) -> CellReads:
    return decode_cells(image, station, time.monotonic() + seconds)


def texts(result: CellReads) -> list[str | None]:
    return [None if cell is None else cell.text for cell in result.cells]


def table(kind: str, level: str, frames: int, first: int, seconds: float) -> None:
    """Complete cases and time, one bare call and ours by turns on the same frames."""
    station = settings(kind)
    whole = alone = wrong = codes = ours_codes = late = 0
    own, other = [], []
    for number in range(first, first + frames):
        rng = random.Random(number)
        shift = (rng.uniform(-40, 40), rng.uniform(-40, 40))
        case = Case(number, kind, level, shift=shift, turn=rng.uniform(-2, 2))
        image = render_case(case)
        for ours_first in (number % 2, 1 - number % 2):
            start = time.perf_counter()
            if ours_first:
                result = read(image, station, seconds)
                own.append(time.perf_counter() - start)
            else:
                plain = set(bare(image, kind))
                other.append(time.perf_counter() - start)
        found = texts(result)
        whole += found == case.texts
        late += result.late
        ours_codes += sum(text is not None for text in found)
        wrong += sum(a is not None and a != b for a, b in zip(found, case.texts, strict=True))
        alone += plain >= set(case.texts)
        codes += len(plain & set(case.texts))
    ms = [1000 * each for each in own]
    p99 = quantiles(ms, n=100)[98] if len(ms) > 1 else ms[0]
    print(
        f"{kind:11}{level:9}{frames:5} frames: complete {100 * whole / frames:6.2f} % "
        f"(bare {100 * alone / frames:5.1f}), codes {100 * ours_codes / frames / 24:6.2f} % "
        f"(bare {100 * codes / frames / 24:5.1f}), wrong {wrong}, late {late}, "
        f"ms {median(ms):6.1f} "
        f"p99 {p99:6.1f}, bare {1000 * median(other):6.1f}, ratio {median(own) / median(other):.2f}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--first", type=int, default=HELD_OUT)
    parser.add_argument("--level", default="nominal")
    parser.add_argument("--kind", action="append")
    parser.add_argument("--seconds", type=float, default=DEADLINE, help="deadline of one frame")
    asked = parser.parse_args()
    for each in asked.kind or ("QRCode", "DataMatrix"):
        table(each, asked.level, asked.frames, asked.first, asked.seconds)
