"""One symbol out of one frame: attempts in order, stop at the first read, one deadline for all."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from zxingcpp import read_barcode, read_barcodes

from agent.ports.reading import Decoded, Image, Read
from agent.vision.attempts import ATTEMPTS, Attempt, ask
from agent.vision.formats import FORM, doubtful
from agent.vision.orient import Matrix, turned
from agent.vision.quiet import ends
from agent.vision.second import SecondOpinion
from agent.vision.settings import DecodeSettings

Turns = dict[Callable[[Image], float], tuple[Image, Matrix]]
"""Turned pictures of one region, by what asked for the angle, and what leads back from each."""

_FAST = ATTEMPTS["fast"]

LARGE, SMALL = 2_500_000, 1_000_000
"""Pixels of a region above which a smaller copy of so many pixels is tried first."""

MOST_PIXELS = 100_000_000
"""A larger picture is not looked at: no camera in use makes one, and doubling it would not fit."""


def decode(
    image: Image,
    settings: DecodeSettings,
    deadline: float,
    expected: Collection[str] = (),
    second: SecondOpinion | None = None,
) -> Decoded:
    """Read one symbol in the station's region of `image` (height x width, 8-bit grey).

    `deadline` is a time.monotonic() value. Before each attempt it is asked whether the attempt
    can still end in time, judged by what the attempts before it took on these pixels; one that
    cannot is left out. A read that comes after the deadline is late too, and is not given: the
    item's fate is decided by then. `expected` are the texts that the item may carry, where the
    caller knows them: what a fallback reads of a bar code counts at once if it is one of them.
    `second` is asked where the order says `second`; without it that attempt is left out.
    Never raises for any picture; what is not a picture gives an empty result.
    """
    start = time.monotonic()
    if (
        not isinstance(image, np.ndarray)
        or image.dtype != np.uint8
        or image.ndim != 2
        or not 0 < image.size <= MOST_PIXELS
    ):
        return Decoded((), time.monotonic() - start)
    left = top = 0
    if settings.region is not None:
        left, top, width, height = settings.region
        image = image[top : top + height, left : left + width]
        if not image.size:
            return Decoded((), time.monotonic() - start)
    asked = settings.fast
    if asked is not None and start < deadline:
        # Most frames end here, without what the other attempts need: microseconds count.
        try:
            found = read_barcode(image, **asked)
        except (ValueError, RuntimeError):
            found = None
        if found is not None:
            read = _read(found, settings.symbology, _FAST, (left, top), None)
            if read is not None and not (settings.linear and doubtful(read.symbology, read.text)):
                now = time.monotonic()
                took = now - start
                if now > deadline:
                    return Decoded((), took, True, (), 0, (("fast", took),))
                return Decoded((read,), took, False, (), 0, (("fast", took),))
    return _on(image, settings, deadline, (left, top), expected, second, start)


def _on(
    region: Image,
    settings: DecodeSettings,
    deadline: float,
    offset: tuple[int, int],
    expected: Collection[str],
    second: SecondOpinion | None,
    start: float,
) -> Decoded:
    """The attempts in their order; `fast`, if it is the first, has read nothing since `start`."""
    budget = Budget(deadline)
    budget.start(start)
    agreement = Agreement(settings.linear, expected)
    tried: list[tuple[str, float]] = []
    turns: Turns = {}
    symbology = settings.symbology
    shown, scale = region, 1.0
    for number, (attempt, small) in enumerate(_steps(settings.plan, region.size)):
        if number == 0 and settings.fast is not None and start < deadline:
            tried.append((attempt.name, budget.spent(attempt)))
            continue
        share = SMALL / region.size if small else 1.0
        if (attempt.second and second is None) or not budget.allows(attempt, share):
            continue
        if small != (scale < 1):
            shown, scale = _reduced(region) if small else (region, 1.0)
            turns = {}
        if attempt.second:
            assert second is not None
            read = _asked(second, shown, symbology, deadline, (0, 0))
        else:
            read = attempt_one(shown, symbology, attempt, (0, 0), turns)
        tried.append((attempt.name, budget.spent(attempt, share)))
        if read is not None:
            read = _placed(read, scale, offset)
            if agreement.counts(read):
                now = time.monotonic()
                if now > deadline:
                    return Decoded((), now - start, True, tried=tuple(tried))
                return Decoded((agreement.fullest(read),), now - start, tried=tuple(tried))
    return Decoded((), time.monotonic() - start, budget.late, tried=tuple(tried))


def _steps(plan: Sequence[Attempt], pixels: int) -> Iterator[tuple[Attempt, bool]]:
    """The attempts, each with whether it is made on a smaller copy. In a picture of many megapixels
    a symbol has more pixels than any attempt is made for, and each attempt takes many times as
    long: after the first and `full` all are made on a copy first, then the rest as it is."""
    if pixels <= LARGE:
        yield from ((attempt, False) for attempt in plan)
        return
    first = [attempt for n, attempt in enumerate(plan) if n == 0 or attempt.name == "full"]
    yield from ((attempt, False) for attempt in first)
    yield from ((attempt, True) for attempt in plan)
    yield from ((attempt, False) for attempt in plan if attempt not in first)


def _reduced(region: Image) -> tuple[Image, float]:
    """A copy of at most SMALL pixels and its scale."""
    height, width = region.shape
    scale = (SMALL / region.size) ** 0.5
    size = (max(1, int(width * scale)), max(1, int(height * scale)))
    copy: Image = cv2.resize(region, size, interpolation=cv2.INTER_AREA)
    return copy, scale


def _placed(read: Read, scale: float, offset: tuple[int, int]) -> Read:
    """The read of a region, or of a smaller copy of it, with its corners in the frame."""
    left, top = offset
    if scale == 1.0 and not left and not top:
        return read
    corners = tuple((left + round(x / scale), top + round(y / scale)) for x, y in read.corners)
    return replace(read, corners=corners)


def _asked(
    second: SecondOpinion,
    region: Image,
    symbology: str,
    deadline: float,
    offset: tuple[int, int],
) -> Read | None:
    read = second.read(region, symbology, deadline)
    if read is None or doubtful(read.symbology, read.text):
        return None
    left, top = offset
    return replace(read, corners=tuple((left + x, top + y) for x, y in read.corners))


def _pixels(image: Any) -> Image | None:
    """The picture if it is one that the reader can take, else None."""
    if (
        not isinstance(image, np.ndarray)
        or image.dtype != np.uint8
        or image.ndim != 2
        or not 0 < image.size <= MOST_PIXELS
    ):
        return None
    return image


def is_picture(image: Any) -> bool:
    """Whether `image` is height x width of 8-bit grey, not empty and not absurdly large."""
    return _pixels(image) is not None


@dataclass(slots=True)
class Budget:
    """What is left until the deadline, in attempts: learns from each what the next will cost."""

    deadline: float
    late: bool = False
    _unit: float = 0.0
    _last: float = field(default_factory=time.monotonic)

    def start(self, moment: float) -> None:
        """The attempt that is reported next began at this time.monotonic() value."""
        self._last = moment

    def allows(self, attempt: Attempt, share: float = 1.0) -> bool:
        """Whether the attempt, on `share` of the pixels, can end in time; if not, we are late."""
        now = time.monotonic()
        self._last = now
        if now >= self.deadline or now + self._unit * attempt.cost * share > self.deadline:
            self.late = True
            return False
        return True

    def spent(self, attempt: Attempt, share: float = 1.0) -> float:
        """The attempt that was allowed has ended; the seconds that it took."""
        took = time.monotonic() - self._last
        if not attempt.second:
            # The smallest unit seen: one slow attempt (the thread was not running) proves nothing.
            unit = took / (attempt.cost * share)
            self._unit = min(self._unit, unit) if self._unit else unit
        return took


@dataclass(slots=True)
class Agreement:
    """The rule for linear symbologies: a fallback's text counts once two attempts gave it, or if
    it is `expected`.

    A bar code of few pixels per bar misreads with a right check digit (VISION.md: 6 wrong of 60
    at 1.3 px/bar), and every further attempt is a further chance to do so. The two must differ in
    kind: the same misread came from a half and a smaller picture, and from one light correction
    with two thresholds. Where witnesses contradict each other, more of them are needed.
    """

    linear: bool
    expected: Collection[str] = ()
    _seen: dict[str, dict[str, Read]] = field(default_factory=dict)

    def counts(self, read: Read) -> bool:
        """Whether this read may be believed."""
        if not self.linear or read.text in self.expected:
            return True
        doubt = doubtful(read.symbology, read.text)
        if read.attempt == "fast" and not doubt:
            return True
        attempt = ATTEMPTS.get(read.attempt)
        witness = read.attempt if attempt is None else attempt.witness
        self._seen.setdefault(read.text, {}).setdefault(witness, read)
        rivals = (len(seen) for text, seen in self._seen.items() if text != read.text)
        return len(self._seen[read.text]) >= 2 + doubt + max(rivals, default=0)

    def fullest(self, read: Read) -> Read:
        """The read, or the same text from a witness that also knows its symbology identifier."""
        if read.symbology:
            return read
        others = self._seen.get(read.text, {}).values()
        return next((other for other in others if other.symbology), read)


def attempt_one(
    region: Image,
    symbology: str,
    attempt: Attempt,
    offset: tuple[int, int],
    turns: Turns | None = None,
) -> Read | None:
    """Try once; `offset` is where the region's corner lies in the full frame. Never raises.

    `turns` keeps the turned pictures of this region from attempt to attempt. The second opinion
    is not one to be tried here: it reads nothing."""
    if attempt.second:
        return None
    try:
        if attempt.turn is None:
            found = read_barcode(attempt.prepare(region), **ask(symbology, attempt))
            back = None
        else:
            known = None if turns is None else turns.get(attempt.turn)
            shown, back = known or turned(region, attempt.turn(region))
            if turns is not None:
                turns[attempt.turn] = shown, back
            found = read_barcode(attempt.prepare(shown), **ask(symbology, attempt))
    except (cv2.error, ValueError, RuntimeError):
        # A region of a few pixels is too small for some filters: then this attempt reads nothing.
        return None
    read = None if found is None else _read(found, symbology, attempt, offset, back)
    return read if read is None or _whole(read, region, offset) else None


def attempt_all(
    region: Image, symbology: str, attempt: Attempt, offset: tuple[int, int]
) -> list[Read]:
    """Every symbol that one attempt sees in the region. Never raises."""
    back = None
    if attempt.second:
        return []
    try:
        shown = region
        if attempt.turn is not None:
            shown, back = turned(region, attempt.turn(region))
        found = read_barcodes(attempt.prepare(shown), **ask(symbology, attempt))
    except (cv2.error, ValueError, RuntimeError):
        return []
    reads = (_read(each, symbology, attempt, offset, back) for each in found)
    return [read for read in reads if read is not None and _whole(read, region, offset)]


def _whole(read: Read, region: Image, offset: tuple[int, int]) -> bool:
    """Whether a text that could be a part of a longer one is the whole symbol."""
    return not doubtful(read.symbology, read.text) or ends(region, read, *offset)


def _read(
    found: Any, symbology: str, attempt: Attempt, offset: tuple[int, int], back: Matrix | None
) -> Read | None:
    """The reader's answer as ours; None if it cannot be a symbol of this symbology."""
    text = found.text
    form = FORM.get(symbology)
    if form is not None and form.fullmatch(text) is None:
        return None
    position = found.position
    a, b = position.top_left, position.top_right
    c, d = position.bottom_right, position.bottom_left
    left, top = offset
    corners: tuple[tuple[int, int], ...]
    if back is None and attempt.scale == 1.0:
        corners = (
            (left + a.x, top + a.y),
            (left + b.x, top + b.y),
            (left + c.x, top + c.y),
            (left + d.x, top + d.y),
        )
    else:
        scale = attempt.scale
        across, up = scale if isinstance(scale, tuple) else (scale, scale)
        corners = tuple(
            _back(point.x / across, point.y / up, back, left, top) for point in (a, b, c, d)
        )
    return Read(text, found.symbology_identifier, corners, attempt.name, found.bytes)


def _back(x: float, y: float, back: Matrix | None, left: int, top: int) -> tuple[int, int]:
    if back is not None:
        (a, b, c), (d, e, f) = back.tolist()
        x, y = a * x + b * y + c, d * x + e * y + f
    return left + round(x), top + round(y)
