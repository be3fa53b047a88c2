"""A scene as the picture a camera would take: pure, and the same bytes for the same scene.

Symbols lie on white labels on grey ground; then lens (blur), light and sensor (noise).
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, cos, radians, sin

import cv2
import numpy as np
from numpy.typing import NDArray

from drivers.sim.symbols import LINEAR, QUIET, bitmap, printed, suggest_size
from drivers.sim.world import Scene, Symbol

__all__ = ["encode", "render", "suggest_size"]

Picture = NDArray[np.uint8]

# One picture is one thread's work: OpenCV's own pool would only fight with the plant.
cv2.setNumThreads(1)

_GROUND = 120.0
_INK, _PAPER = 35.0, 215.0
_BLOCK = 1024  # noise repeats after so many px
_SHIFTS = 16  # and starts at one of so many places each way,
_STEP = 32  # so many px apart


def render(scene: Scene) -> Picture:
    """The picture of a scene, height x width, 8-bit grey. ValueError for a symbol that cannot be
    written. A symbol's `x`, `y` is its middle; what lies outside the frame is cut off."""
    picture = np.full((scene.height, scene.width), _clip(_GROUND * scene.light), np.uint8)
    # All labels before all symbols: no label covers the bars of its neighbour.
    for symbol in scene.symbols:
        _paint_label(picture, scene, symbol)
    for symbol in scene.symbols:
        _paint_symbol(picture, scene, symbol)
    if scene.blur > 0.1:
        cv2.GaussianBlur(picture, (0, 0), scene.blur, dst=picture)
    if scene.noise > 0:
        _add_noise(picture, scene.noise, scene.seed)
    return picture


def encode(image: Picture, kind: str = "bmp") -> bytes:
    """The picture as a file: `bmp` (0.1 ms for 640 x 480), `jpeg` or `png`."""
    suffix, options = {
        "bmp": (".bmp", []),
        "jpeg": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 90]),
        "png": (".png", [cv2.IMWRITE_PNG_COMPRESSION, 1]),
    }[kind]
    done, data = cv2.imencode(suffix, image, options)
    if not done:
        raise ValueError(f"a picture of {image.shape} cannot be written as {kind}")
    return bytes(data.data)


def _clip(value: float) -> int:
    return max(0, min(255, round(value)))


@dataclass(frozen=True, slots=True)
class _Pose:
    """Where a symbol lies in the frame after the tilt, which turns the scene about its middle."""

    x: float
    y: float
    cos: float
    sin: float

    @classmethod
    def of(cls, symbol: Symbol, scene: Scene) -> "_Pose":
        tilt, angle = radians(scene.tilt), radians(scene.tilt + symbol.angle)
        dx, dy = symbol.x - scene.width / 2, symbol.y - scene.height / 2
        return cls(
            scene.width / 2 + dx * cos(tilt) - dy * sin(tilt),
            scene.height / 2 + dx * sin(tilt) + dy * cos(tilt),
            cos(angle),
            sin(angle),
        )


def _paint_label(picture: Picture, scene: Scene, symbol: Symbol) -> None:
    """The blank label: the symbol and its quiet zone."""
    rows, columns = bitmap(symbol.text, symbol.kind, symbol.gs1).shape
    module, quiet = symbol.size / columns, QUIET[symbol.kind]
    half_w = (columns / 2 + quiet) * module
    half_h = (rows / 2 + (2 if symbol.kind in LINEAR else quiet)) * module
    pose = _Pose.of(symbol, scene)
    corners = np.array(
        [
            (pose.x + u * pose.cos - v * pose.sin, pose.y + u * pose.sin + v * pose.cos)
            for u, v in (
                (-half_w, -half_h),
                (half_w, -half_h),
                (half_w, half_h),
                (-half_w, half_h),
            )
        ]
    )
    # 1/16 px: whole pixels would let the edges of a turned label jump.
    points = np.clip(np.rint(corners * 16), -1e6, 1e6).astype(np.int32)
    cv2.fillConvexPoly(picture, points, _clip(_PAPER * scene.light), cv2.LINE_8, 4)


def _paint_symbol(picture: Picture, scene: Scene, symbol: Symbol) -> None:
    """The printed modules, scaled and turned onto the label."""
    modules = bitmap(symbol.text, symbol.kind, symbol.gs1).shape[1]
    pitch = max(2, min(16, ceil(symbol.size / modules)))
    source = printed(symbol.text, symbol.kind, symbol.gs1, symbol.damage, pitch)
    height, width = source.shape
    scale = symbol.size / (modules * pitch)
    pose = _Pose.of(symbol, scene)
    a, b = scale * pose.cos, scale * pose.sin
    reach_x = (abs(a) * width + abs(b) * height) / 2 + 1
    reach_y = (abs(b) * width + abs(a) * height) / 2 + 1
    left, right = max(0, int(pose.x - reach_x)), min(scene.width, ceil(pose.x + reach_x))
    top, bottom = max(0, int(pose.y - reach_y)), min(scene.height, ceil(pose.y + reach_y))
    if left >= right or top >= bottom:
        return
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    matrix = np.array(
        [
            [a, -b, pose.x - left - a * centre_x + b * centre_y],
            [b, a, pose.y - top - b * centre_x - a * centre_y],
        ]
    )
    cv2.warpAffine(
        cv2.LUT(source, _shades(scene.light)),
        matrix,
        (right - left, bottom - top),
        dst=picture[top:bottom, left:right],
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_TRANSPARENT,
    )


@lru_cache(maxsize=64)
def _shades(light: float) -> NDArray[np.uint8]:
    values = (_INK + (_PAPER - _INK) * np.arange(256) / 255) * light
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _add_noise(picture: Picture, sigma: float, seed: int) -> None:
    noise = _noise(max(0.5, round(sigma * 2) / 2))
    top, left = seed // _SHIFTS % _SHIFTS * _STEP, seed % _SHIFTS * _STEP
    for y in range(0, picture.shape[0], _BLOCK):
        for x in range(0, picture.shape[1], _BLOCK):
            part = picture[y : y + _BLOCK, x : x + _BLOCK]
            h, w = part.shape
            cv2.add(part, noise[top : top + h, left : left + w], dst=part, dtype=cv2.CV_8U)


@lru_cache(maxsize=32)
def _noise(sigma: float) -> NDArray[np.int16]:
    """A tile of noise, made once per sigma: 30 ms each, so sigmas come in steps of 0.5."""
    edge = _BLOCK + _SHIFTS * _STEP
    tile = np.random.default_rng(20240229).standard_normal((edge, edge), np.float32) * sigma
    rounded: NDArray[np.int16] = np.rint(tile).astype(np.int16)
    return rounded
