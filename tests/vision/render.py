"""Rendered frames of a line, each the same for the same technique, level and seed.

A symbol is printed (solid, or as dots of an inkjet or a dot peen marker), lies on a flat label, a
bottle or a cap, is tilted and turned, lit unevenly, with glare and droplets, and is taken by a
camera that moves, is out of focus, and is noisy. Lengths are modules of the symbol until the
camera, pixels from there.

Three levels by one knob, the severity: `easy`, `nominal`, where bare zxing-cpp reads 82 to 89 of
100, `hard`, where it reads 25 to 50. The knob's values in SEVERITY are calibrated so, by
`python -m tests.vision.table --calibrate`. Seeds are for tuning or held out by `held_out`;
nothing of the program is tuned on the latter.
"""

import random
from dataclasses import dataclass
from math import cos, pi, radians, sin
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.vision.symbols import Drawn, Modules, draw

Picture = NDArray[np.uint8]
Plane = NDArray[np.float32]
Level = Literal["easy", "nominal", "hard"]
Print = Literal["solid", "inkjet", "peen"]

LEVELS: tuple[Level, ...] = ("easy", "nominal", "hard")
_TEXEL = 8  # of the label, per module: the dots' shape and the jitter of an edge need so many
_BAR_TEXEL = 5


@dataclass(frozen=True, slots=True)
class Technique:
    """What is rendered: `pitch` is px per module as an installer is asked for, `quiet` the legal
    quiet zone in modules."""

    name: str
    symbology: str
    print: Print = "solid"
    pitch: float = 4.0
    quiet: float = 4.0
    linear: bool = False
    upright: bool = False  # bare zxing-cpp finds it within 4 degrees of upright only

    @property
    def texel(self) -> int:
        return _BAR_TEXEL if self.linear else _TEXEL


TECHNIQUES = {
    each.name: each
    for each in (
        Technique("qr", "QRCode", pitch=4.0),
        Technique("datamatrix", "DataMatrix", pitch=6.0, quiet=2.0),
        Technique("inkjet", "DataMatrix", "inkjet", 6.0, 3.0),
        Technique("peen", "DataMatrix", "peen", 7.0, 3.0),
        Technique("code128", "Code128", pitch=2.6, quiet=10, linear=True),
        Technique("ean13", "EAN13", pitch=3.0, quiet=9, linear=True),
        Technique("ean8", "EAN8", pitch=3.0, quiet=7, linear=True),
        Technique("itf14", "ITF14", pitch=2.6, quiet=10, linear=True),
        Technique("databar", "DataBar", pitch=2.6, quiet=3, linear=True),
        Technique("microqr", "MicroQRCode", pitch=5.0, quiet=2),
        Technique("rmqr", "RMQRCode", pitch=5.0, quiet=2, upright=True),
    )
}

_MATRIX: dict[Level, float] = {"easy": 0.4, "nominal": 0.83, "hard": 1.3}
SEVERITY: dict[str, dict[Level, float]] = {
    "qr": {"easy": 0.5, "nominal": 0.96, "hard": 1.35},
    "datamatrix": _MATRIX,
    # Calibrated by printed Data Matrix: bare zxing-cpp reads much less of what is made of dots.
    "inkjet": _MATRIX,
    "peen": _MATRIX,
    "code128": {"easy": 0.5, "nominal": 0.95, "hard": 1.3},
    "ean13": {"easy": 0.5, "nominal": 0.93, "hard": 1.3},
    "ean8": {"easy": 0.5, "nominal": 0.93, "hard": 1.25},
    "itf14": {"easy": 0.5, "nominal": 0.96, "hard": 1.25},
    "databar": {"easy": 0.4, "nominal": 0.82, "hard": 1.25},
    "microqr": {"easy": 0.4, "nominal": 0.8, "hard": 1.2},
    # Not calibrated: bare zxing-cpp reads a third of it even without any trouble but a tilt.
    "rmqr": {"easy": 0.02, "nominal": 0.05, "hard": 0.2},
}


def held_out(seed: int) -> bool:
    """Whether a seed is kept for the proof. Even seeds are for tuning, odd ones are held out."""
    return seed % 2 == 1


def seeds(count: int, proof: bool, start: int = 0) -> range:
    """The first `count` seeds for the proof, or for tuning."""
    return range(start * 2 + proof, start * 2 + proof + 2 * count, 2)


def frame(name: str, level: Level, seed: int) -> tuple[str, Picture]:
    """The text and the picture of a seed, 8-bit grey."""
    return at_severity(name, SEVERITY[name][level], seed)


def at_severity(
    name: str, severity: float, seed: int, angle: float | None = None
) -> tuple[str, Picture]:
    """As `frame`, at any severity: 0 is a perfect picture, every trouble grows with it. `angle`:
    how the symbol is turned, in degrees, in a square picture."""
    technique = TECHNIQUES[name]
    rng = random.Random(f"{name} {seed}")
    drawn = draw(technique.symbology, rng)
    return drawn.text, _taken(technique, drawn, severity, rng, seed, angle)


def empty(seed: int, size: tuple[int, int] = (320, 320)) -> Picture:
    """A frame without a symbol that looks as if it had one: print, stripes, grids, texture."""
    rng = np.random.default_rng([seed, 77])
    height, width = size
    picture = np.full(size, int(rng.uniform(60, 220)), np.uint8)
    for _ in range(int(rng.integers(3, 14))):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        w, h = int(rng.integers(8, width // 2)), int(rng.integers(8, height // 2))
        box = picture[y : y + h, x : x + w]
        ink, paper = float(rng.uniform(10, 90)), float(rng.uniform(140, 240))
        step = int(rng.integers(2, 7))
        match int(rng.integers(0, 7)):
            case 0:  # bars without a meaning
                bars = rng.integers(0, 2, (1, box.shape[1] // step + 1)).repeat(step, 1)
                box[:] = np.where(bars[:, : box.shape[1]], ink, paper)
            case 1:  # modules without a meaning
                grid = rng.integers(0, 2, (box.shape[0] // step + 1, box.shape[1] // step + 1))
                grid = grid.repeat(step, 0).repeat(step, 1)
                box[:] = np.where(grid[: box.shape[0], : box.shape[1]], ink, paper)
            case 2:
                words = (
                    "BEST BEFORE 12/26",
                    "LOT 7A",
                    "|||| ||| ||",
                    "6901234567892",
                    "NET 500 ml",
                )
                said = words[int(rng.integers(0, len(words)))]
                cv2.putText(picture, said, (x, y), 0, float(rng.uniform(0.4, 1.6)), ink, step // 2)
            case 3:  # finder patterns alone
                for n, shade in ((7, ink), (5, paper), (3, ink)):
                    cv2.rectangle(
                        picture,
                        (x + (7 - n) * step // 2, y + (7 - n) * step // 2),
                        (x + (7 + n) * step // 2, y + (7 + n) * step // 2),
                        shade,
                        -1,
                    )
            case 4:  # an L of a Data Matrix around nothing
                cv2.line(picture, (x, y), (x, y + h), ink, step)
                cv2.line(picture, (x, y + h), (x + w, y + h), ink, step)
            case 5:  # stripes, as of a cap's knurls
                box[:] = (ink + paper) / 2 + (paper - ink) / 2 * np.sign(
                    np.sin(np.arange(box.shape[1]) * 2 * pi / (step * float(rng.uniform(1.5, 4))))
                )
            case _:
                cv2.ellipse(picture, (x, y), (w, h), 30, 0, 270, ink, step)
    shown = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.3, 1.8)))
    if rng.random() < 0.5:
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.uniform(0, 360)), 1.2)
        shown = cv2.warpAffine(shown, turn, (width, height), borderMode=cv2.BORDER_REFLECT)
    noise = rng.standard_normal(size, np.float32) * float(rng.uniform(1, 14))
    return np.clip(np.rint(shown + noise), 0, 255).astype(np.uint8)


# ------------------------------------------------------------------------------------- the label


def _label(
    technique: Technique, modules: Modules, severity: float, rng: random.Random, seed: int
) -> tuple[Plane, float, float]:
    """Ink on the label, 0 blank to 1 printed, at `texel` texels per module; and the symbol's width
    and height in modules. It is larger than the symbol: what stands beside it is on it too."""
    rows, columns = modules.shape
    # The legal quiet zone, less at higher severity: print or an edge comes too near.
    quiet = max(technique.quiet * (1 - 0.25 * min(1.6, severity) * rng.random()), 1.0)
    texel = technique.texel
    border = round(quiet * texel)
    beyond = border + 14 * texel
    if technique.print == "solid":
        ink = _solid(modules, texel, severity, rng, seed)
    else:
        ink = _dots(technique, modules, severity, rng, seed)
    around = np.zeros((ink.shape[0] + 2 * beyond, ink.shape[1] + 2 * beyond), np.uint8)
    height, width = around.shape
    near = beyond - border
    if rng.random() < 0.5:  # a frame line, and print beside the symbol
        cv2.rectangle(
            around,
            (near - texel, near - texel),
            (width - near + texel, height - near + texel),
            90,
            texel,
        )
    words = rng.choice(("LOT 7A2", "EXP 2027-03", "NET 500 ml", "www"))
    cv2.putText(around, words, (near, near - 2 * texel), 0, texel / 4, 90, texel)
    cv2.putText(around, words, (near, height - near + 8 * texel), 0, texel / 4, 90, texel)
    texture = around.astype(np.float32) / 100
    texture[beyond : height - beyond, beyond : width - beyond] = ink
    return texture, columns, rows


def _solid(modules: Modules, texel: int, severity: float, rng: random.Random, seed: int) -> Plane:
    """Print growth, a rough edge, and voids of a worn ribbon."""
    fine = cv2.resize(
        modules.astype(np.float32), None, fx=texel, fy=texel, interpolation=cv2.INTER_NEAREST
    )
    growth = rng.gauss(0, 0.07) * severity
    soft = cv2.GaussianBlur(fine, (0, 0), 0.16 * texel)
    noise = _smooth_noise(fine.shape, 0.5 * texel, seed) * 0.08 * severity
    ink: Plane = np.clip((soft - 0.5 + growth * 1.6 + noise) * 6 + 0.5, 0, 1).astype(np.float32)
    if rng.random() < 0.3 * severity:
        voids = _smooth_noise(fine.shape, 0.7 * texel, seed + 1)
        ink *= np.clip(1.2 - np.clip(voids - 2.2, 0, 1) * 4, 0, 1)
    return ink


def _dots(
    technique: Technique, modules: Modules, severity: float, rng: random.Random, seed: int
) -> Plane:
    """One dot for each module, off its place, uneven in size, some missing; each line a little
    shifted, as the product does not run evenly under the head."""
    dice = np.random.default_rng([seed, 5])
    rows, columns = modules.shape
    peen = technique.print == "peen"
    ink = np.zeros((rows * _TEXEL, columns * _TEXEL), np.float32)
    size = rng.uniform(0.7, 0.86) if peen else rng.uniform(0.82, 1.02)
    size -= 0.08 * (severity - 1)
    missing = (0.006 if peen else 0.008) * severity * rng.random()
    jitter = (0.035 if peen else 0.05) * severity
    shift = dice.normal(0, 0.05 * severity, columns)
    for row, column in zip(*np.nonzero(modules), strict=True):
        if dice.random() < missing:
            continue
        x = column + 0.5 + dice.normal(0, jitter)
        y = row + 0.5 + dice.normal(0, jitter) + shift[column]
        radius = max(0.2, size / 2 * (1 + dice.normal(0, 0.06 * severity)))
        at = (round((x * _TEXEL - 0.5) * 16), round((y * _TEXEL - 0.5) * 16))
        cv2.circle(ink, at, round(radius * _TEXEL * 16), 1.0, -1, cv2.LINE_AA, 4)
    if peen:
        # A crater: its wall away from the light is dark, the one towards it bright.
        angle = rng.uniform(0, 2 * pi)
        dx, dy = 0.16 * _TEXEL * cos(angle), 0.16 * _TEXEL * sin(angle)
        moved = cv2.warpAffine(ink, np.array([[1, 0, dx], [0, 1, dy]], np.float32), ink.shape[::-1])
        ink = np.asarray(ink - 0.55 * np.clip(moved - ink, 0, 1) - 0.25 * ink * moved, np.float32)
    return ink


def _smooth_noise(shape: tuple[int, ...], sigma: float, seed: int) -> Plane:
    """Noise of mean 0 and deviation 1 with grains of about sigma texels."""
    dice = np.random.default_rng([seed, 9])
    step = max(1.0, sigma)
    small = dice.standard_normal((int(shape[0] / step) + 2, int(shape[1] / step) + 2), np.float32)
    large = cv2.resize(small, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(large, np.float32)


# ------------------------------------------------------------------------------------ the camera


def _taken(
    technique: Technique,
    drawn: Drawn,
    severity: float,
    rng: random.Random,
    seed: int,
    given: float | None,
) -> Picture:
    texture, columns, rows = _label(technique, drawn.modules, severity, rng, seed)
    pitch = technique.pitch * (1 - 0.1 * severity * rng.uniform(-0.6, 1.0))
    wide, high = columns * pitch, rows * pitch
    if given is not None:
        angle, size = given, (round((wide**2 + high**2) ** 0.5 * 1.3),) * 2
    elif technique.linear:
        angle = rng.uniform(-11, 11)
        size = (round(wide * 1.35), round(high + wide * 0.35))
        if rng.random() < 0.3:
            angle, size = angle + 90, size[::-1]
    elif technique.upright:
        angle = rng.choice((0, 90, 180, 270)) + rng.uniform(-2, 2)
        size = (round(max(wide, high) * 1.5),) * 2
    else:
        angle = rng.uniform(0, 360)
        size = (round(max(wide, high) * 1.7),) * 2
    size = (max(120, min(900, size[0])), max(100, min(900, size[1])))
    ink = _projected(texture, pitch, angle, size, severity, rng, technique)
    light = _light(size, severity, rng)
    dark, bright = _contrast(technique, severity, rng)
    ground = 1.0
    if technique.print == "peen":
        ground = 1 + 0.09 * severity * _brushed(size, seed)
    picture = np.asarray(light * ground * (bright - (bright - dark) * ink), np.float32)
    if rng.random() < 0.25 * severity:
        _droplets(picture, rng, pitch, severity)
    if rng.random() < 0.35 * severity:
        _glare(picture, rng, severity)
    return _exposed(picture, pitch, severity, rng, seed)


def _projected(
    texture: Plane,
    pitch: float,
    angle: float,
    size: tuple[int, int],
    severity: float,
    rng: random.Random,
    technique: Technique,
) -> Plane:
    """The label as the camera sees it: on a bottle (a cylinder) or flat, tilted, turned."""
    width, height = size
    x, y = np.meshgrid(
        np.arange(width, dtype=np.float32) - width / 2 + rng.uniform(-4, 4),
        np.arange(height, dtype=np.float32) - height / 2 + rng.uniform(-4, 4),
    )
    tilt_x, tilt_y = (rng.gauss(0, 0.12) * severity for _ in range(2))
    depth = 1 + (x * tilt_x + y * tilt_y) / max(width, height)
    a = radians(angle)
    u = (x * cos(a) + y * sin(a)) * depth
    v = (-x * sin(a) + y * cos(a)) * depth
    if rng.random() < 0.5:
        # A cylinder: the nearer its edge, the narrower the modules. Its axis is upright on the
        # label; the symbol covers at most about 80 degrees of it.
        span = texture.shape[1] / technique.texel * pitch / 2
        radius = span * rng.uniform(1.5, 3.0) / max(0.6, severity)
        u = radius * np.arcsin(np.clip(u / radius, -0.98, 0.98))
    scale = technique.texel / pitch
    map_x = u * scale + texture.shape[1] / 2
    map_y = v * scale + texture.shape[0] / 2
    # What one pixel gathers.
    smooth = cv2.GaussianBlur(texture, (0, 0), max(0.3, 0.42 * scale))
    return np.asarray(
        cv2.remap(smooth, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
        np.float32,
    )


def _light(size: tuple[int, int], severity: float, rng: random.Random) -> Plane:
    """Uneven light over the picture, 1 in the mean."""
    width, height = size
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    a = rng.uniform(0, 2 * pi)
    fall = 0.28 * severity * rng.random()
    plane = 1 + fall * (x * cos(a) + y * sin(a)) - 0.18 * severity * rng.random() * (x * x + y * y)
    return np.asarray(np.clip(plane, 0.15, 2), np.float32)


def _contrast(technique: Technique, severity: float, rng: random.Random) -> tuple[float, float]:
    """Grey of ink and of paper."""
    bright = rng.uniform(150, 215)
    keep = {"solid": 0.85, "inkjet": 0.62, "peen": 0.55}[technique.print]
    contrast = keep * (1 - min(0.88, 0.42 * severity * rng.random()))
    return bright * (1 - contrast), bright


def _brushed(size: tuple[int, int], seed: int) -> Plane:
    dice = np.random.default_rng([seed, 13])
    lines = dice.standard_normal((size[1], size[0]), np.float32)
    lines = cv2.blur(lines, (25, 1))
    return np.asarray(lines / (lines.std() + 1e-6), np.float32)


def _droplets(picture: Plane, rng: random.Random, pitch: float, severity: float) -> None:
    """Water: each drop blurs what is below it and has a bright spot."""
    height, width = picture.shape
    for _ in range(rng.randint(1, 3)):
        r = max(2, round(pitch * rng.uniform(0.6, 1.3) * min(1.5, severity)))
        cx, cy = rng.randrange(r, max(r + 1, width - r)), rng.randrange(r, max(r + 1, height - r))
        box = picture[max(0, cy - r) : cy + r, max(0, cx - r) : cx + r]
        if min(box.shape) < 3:
            continue
        box[:] = cv2.GaussianBlur(box, (0, 0), r * 0.4) * 0.97
        cv2.circle(picture, (cx - r // 3, cy - r // 3), max(1, r // 4), 250.0, -1)


def _glare(picture: Plane, rng: random.Random, severity: float) -> None:
    """A stripe of the lamp on the curved side."""
    height, width = picture.shape
    x = np.arange(width, dtype=np.float32)[None, :]
    y = np.arange(height, dtype=np.float32)[:, None]
    a = rng.uniform(-0.4, 0.4)
    middle = rng.uniform(0.1, 0.9) * width
    reach = rng.uniform(0.03, 0.09) * width
    off = (x - middle) * cos(a) + (y - height / 2) * sin(a)
    picture += (65 * severity * rng.uniform(0.4, 1.0)) * np.exp(-(off * off) / (2 * reach * reach))


def _exposed(
    picture: Plane, pitch: float, severity: float, rng: random.Random, seed: int
) -> Picture:
    """Motion, focus, sensor: lengths are shares of a module, because a camera is set up so."""
    length = pitch * 0.55 * severity * rng.random()
    if length > 1:
        picture = _moved(picture, length, rng.uniform(0, pi))
    sigma = pitch * (0.10 + 0.28 * severity * rng.random())
    picture = cv2.GaussianBlur(picture, (0, 0), max(0.35, sigma))
    exposure = 1 - 0.3 * severity * rng.random()
    dice = np.random.default_rng([seed, 21])
    deviation = 1.5 + 8 * severity * rng.random()
    noise = dice.standard_normal(picture.shape, np.float32) * deviation
    return np.clip(np.rint(picture * exposure + noise), 0, 255).astype(np.uint8)


def _moved(picture: Plane, length: float, angle: float) -> Plane:
    edge = int(length) // 2 * 2 + 3
    kernel = np.zeros((edge * 4, edge * 4), np.float32)
    middle = edge * 2
    dx, dy = cos(angle) * length * 2, sin(angle) * length * 2
    cv2.line(
        kernel,
        (round(middle - dx), round(middle - dy)),
        (round(middle + dx), round(middle + dy)),
        1.0,
        4,
    )
    kernel = cv2.resize(kernel, (edge, edge), interpolation=cv2.INTER_AREA)
    return np.asarray(
        cv2.filter2D(picture, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE),
        np.float32,
    )
