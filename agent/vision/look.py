"""How a standing child looks from above, and what stands in a cell that gave no code.

Learnt from frames of full cases: mean and unevenness of the brightness in rings about the symbol's
middle, which do not change when a cap is turned; and how bright the case's floor is between them.
Without it a cell without a code is only "unread".
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.core.errors import ConfigError
from agent.ports.reading import Image
from agent.vision.settings import Box

Floats = NDArray[np.float64]

EDGE = 64
"""A cell is looked at in so many px: a code becomes grey, a cap stays a cap."""
RINGS = 8
_CLEAREST = 18.0
"""Grey values between floor and child below which the two cannot be told apart."""
_LEAST_SPREAD = 4.0
_LONG = 1.6
_BARE = 0.85
_SOMETHING = 0.06


class Verdict(StrEnum):
    """What is in a cell."""

    READ = "read"
    UNREAD = "unread"  # a child stands there, its code was not read; or it cannot be told
    MISSING = "missing"  # the floor of the case
    LYING = "lying"  # something long
    FOREIGN = "foreign"  # something that is not like the other children
    DOUBLED = "doubled"  # its code is in this frame twice, or two codes are in this cell


@dataclass(frozen=True, slots=True)
class Look:
    """`rings` is the brightness from the middle outwards, `spread` how much it varies from child to
    child in each ring, `limit` how far a good child may be from `rings` (root mean square of the
    distances over their spreads); `floor` and `rough` are brightness and unevenness between the
    children. Grey values at the light of the frames it was learnt from."""

    rings: tuple[float, ...]
    spread: tuple[float, ...]
    limit: float
    floor: float
    rough: float

    def __post_init__(self) -> None:
        values = (*self.rings, *self.spread, self.limit, self.floor, self.rough)
        whole = len(self.rings) == len(self.spread) == RINGS and all(map(np.isfinite, values))
        if not whole or min(self.spread) <= 0:
            raise ConfigError("the stored look of a camera's children is broken; tune it again")

    @property
    def tells_floor(self) -> bool:
        """Whether a child and the floor differ enough to say that one is missing."""
        return abs(float(np.mean(self.rings[:-2])) - self.floor) >= _CLEAREST


def learn(frames: Iterable[tuple[Image, Sequence[Box]]]) -> Look | None:
    """The look of children from frames and, for each, the boxes of cells that were read.

    None when there are too few (below eight cells)."""
    rings: list[Floats] = []
    corners: list[Floats] = []
    for image, boxes in frames:
        patches = [patch for box in boxes if (patch := _patch(image, box)) is not None]
        if not patches:
            continue
        level = float(np.mean([patch.mean() for patch in patches]))
        gain = np.array([patch.mean() / max(1.0, level) for patch in patches])
        for patch, here in zip(patches, gain, strict=True):
            rings.append(_rings(patch) / max(0.1, float(here)))
            corners.append(patch[_corners()].astype(np.float64) / max(0.1, float(here)))
    if len(rings) < 8:
        return None
    every = np.array(rings)
    middle = np.median(every, axis=0)
    spread = np.maximum(_LEAST_SPREAD, every.std(axis=0))
    apart = np.sqrt((((every - middle) / spread) ** 2).mean(axis=1))
    floors = np.array([np.median(each) for each in corners])
    around = np.concatenate(corners) - np.median(floors)
    return Look(
        tuple(round(float(each), 2) for each in middle),
        tuple(round(float(each), 2) for each in spread),
        round(1.5 * float(np.quantile(apart, 0.99)), 2),
        round(float(np.median(floors)), 2),
        round(float(np.quantile(np.abs(around), 0.68)), 2),
    )


@dataclass(frozen=True, slots=True)
class Light:
    """How bright this frame is against those that the look was learnt from, as a plane over the
    frame: gain = a + b x + c y."""

    plane: tuple[float, float, float] = (1.0, 0.0, 0.0)

    def at(self, box: Box) -> float:
        """The gain in the middle of a box; never near nothing."""
        x, y, w, h = box
        a, b, c = self.plane
        return float(np.clip(a + b * (x + w / 2) + c * (y + h / 2), 0.1, 10.0))


def light_of(image: Image, look: Look, read: Sequence[Box]) -> Light:
    """From the cells that were read, which show the known look in this frame's light."""
    spots: list[tuple[float, float, float]] = []
    gains: list[float] = []
    wanted = float(np.mean(look.rings[:-2]))
    for box in read:
        patch = _patch(image, box)
        if patch is not None:
            gains.append(float(_rings(patch)[:-2].mean()) / max(1.0, wanted))
            spots.append((1.0, box[0] + box[2] / 2, box[1] + box[3] / 2))
    if len(gains) < 4:
        return Light((float(np.median(gains)) if gains else 1.0, 0.0, 0.0))
    a, b, c = np.linalg.lstsq(np.array(spots), np.array(gains), rcond=None)[0]
    return Light((float(a), float(b), float(c)))


def tell(image: Image, box: Box, look: Look, light: Light) -> Verdict:
    """What a cell without a code shows; UNREAD where the picture cannot tell."""
    patch = _patch(image, box)
    if patch is None:
        return Verdict.UNREAD
    pixels = patch / light.at(box)
    off = (_rings(pixels) - np.array(look.rings)) / np.array(look.spread)
    if float(np.sqrt((off**2).mean())) <= look.limit or not look.tells_floor:
        return Verdict.UNREAD
    other = np.abs(pixels - look.floor) > max(_CLEAREST, 4.0 * look.rough)
    if float(other[_disc()].mean()) < 1 - _BARE:
        return Verdict.MISSING
    # A round window: the corners show the neighbours' edges.
    size, longness = _thing(other & (_radius() < 1.0))
    if size < _SOMETHING:
        return Verdict.MISSING
    return Verdict.LYING if longness >= _LONG else Verdict.FOREIGN


def _thing(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """The largest connected thing of a mask: its share of the cell, its length over its width."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if len(stats) < 2:
        return 0.0, 1.0
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    ys, xs = np.nonzero(labels == largest)
    _, (one, other), _ = cv2.minAreaRect(np.column_stack([xs, ys]).astype(np.float32))
    return len(xs) / mask.size, (max(one, other) + 1) / (min(one, other) + 1)


def _patch(image: Image, box: Box) -> Floats | None:
    """A cell in EDGE x EDGE px; None when most of it is outside the frame."""
    x, y, w, h = box
    left, top = max(0, x), max(0, y)
    right, bottom = min(image.shape[1], x + w), min(image.shape[0], y + h)
    if right - left < max(8, w * 0.6) or bottom - top < max(8, h * 0.6):
        return None
    small = cv2.resize(image[top:bottom, left:right], (EDGE, EDGE), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float64)


@lru_cache(maxsize=1)
def _radius() -> Floats:
    ys, xs = np.mgrid[0:EDGE, 0:EDGE] - (EDGE - 1) / 2
    return np.asarray(np.hypot(xs, ys) / (EDGE / 2), np.float64)


@lru_cache(maxsize=1)
def _ring_of() -> NDArray[np.intp]:
    return np.minimum((_radius() * RINGS).astype(np.intp), RINGS)


def _disc() -> NDArray[np.bool_]:
    return np.asarray(_radius() < 0.8)


def _corners() -> NDArray[np.bool_]:
    return np.asarray(_radius() > 1.25)


def _rings(patch: Floats) -> Floats:
    ring = _ring_of().ravel()
    total = np.bincount(ring, weights=patch.ravel(), minlength=RINGS + 1)
    return np.asarray((total / np.bincount(ring, minlength=RINGS + 1))[:RINGS], np.float64)


def save(look: Look, path: Path) -> None:
    """Write it as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(asdict(look)) + "\n", "utf-8")
    draft.replace(path)


def load(path: Path) -> Look | None:
    """What `save` wrote; None when there is none. ConfigError when it is broken."""
    try:
        data = json.loads(path.read_text("utf-8"))
        rings, spread = (tuple(map(float, data[key])) for key in ("rings", "spread"))
        return Look(rings, spread, *(float(data[key]) for key in ("limit", "floor", "rough")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} cannot be used ({error}); remove it, or run caselink vision tune again"
        ) from error
