"""Cameras and code readers: pictures, what is read on them, and who looks at it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from agent.core.values import value
from agent.ports.devices import Device

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Image = NDArray[np.uint8]
else:
    Image = Any  # who deals with no picture need not load numpy
"""A picture: height x width, 8-bit grey."""


@value(frozen=True, slots=True)
class Frame:
    """One hardware-triggered picture.

    `counter` is the camera's own number of the exposure (+1 each; a gap is a lost frame),
    `camera_time` the camera's clock at the exposure in seconds (within 1 ms, running on by itself;
    pairs are proven by it) or None, `received` is time.monotonic() when the last byte had arrived.
    `repeated`: its pixels are those of the frame before (the line's shell looks, no driver need).
    """

    image: Image
    counter: int
    camera_time: float | None
    received: float
    repeated: bool = False


@runtime_checkable
class FrameSource(Device, Protocol):
    async def next_frame(self, timeout: float) -> Frame | None:
        """The next picture in the order of exposure, None when none came within `timeout` s."""


@value(frozen=True, slots=True)
class Read:
    """One symbol that was read: its text as carried, its AIM identifier ("]Q1"; "" if unknown),
    its four corners in pixels of the full frame (x, y; empty for a line reader), and the attempt
    of the cascade that read it. `data` are the bytes that the symbol carries (b"" if unknown)."""

    text: str
    symbology: str = ""
    corners: tuple[tuple[int, int], ...] = ()
    attempt: str = ""
    data: bytes = b""


@value(frozen=True, slots=True)
class Reading:
    """What a code reader said once: no reads means that it said "no read".

    `trigger` is the reader's own trigger number where its protocol carries one.
    """

    reads: tuple[Read, ...]
    received: float
    trigger: int | None = None


@runtime_checkable
class CodeReader(Device, Protocol):
    async def next_reading(self, timeout: float) -> Reading | None:
        """The next reading in order of arrival, None when none came within `timeout` s."""


@value(frozen=True, slots=True)
class Decoded:
    """What the decoder made of one frame. `seconds` is the time spent decoding; `late` says that
    the deadline ended it before every attempt had been tried. `places` (content pictures only) are
    the grid places of the reads, `repeated` counts symbols whose text stood twice. `tried` are the
    attempts in the order they were made, each with its seconds. `verdicts` (content pictures only)
    say of every cell what is in it (agent.vision.look.Verdict), `boxes` where it was looked for
    (x, y, width, height in px)."""

    reads: tuple[Read, ...]
    seconds: float
    late: bool = False
    places: tuple[int, ...] = ()
    repeated: int = 0
    tried: tuple[tuple[str, float], ...] = ()
    verdicts: tuple[str, ...] = ()
    boxes: tuple[tuple[int, int, int, int], ...] = ()


class FrameDecoder(Protocol):
    async def decode(self, image: Image, deadline: float) -> Decoded:
        """Read the symbols of a picture. `deadline` is a time.monotonic() value; the result is
        empty and `late` when it passes. Never raises for any picture."""


class PictureSink(Protocol):
    """Keeps pictures as evidence of how they were read."""

    def offer(
        self, image: Image, decoded: Decoded, number: int, wall_ms: int, *, failed: bool
    ) -> None:
        """A picture of item or container `number`, taken at `wall_ms`, and what was read on it.
        Never waits, never raises; whether it is kept is the sink's affair."""


class QualityFollower(Protocol):
    """Follows how well the symbols of one camera are printed."""

    def offer(self, image: Image, decoded: Decoded) -> None:
        """A picture and what was read on it. Never waits, never raises; whether it is measured is
        the follower's affair."""

    def facts(self) -> Mapping[str, Any] | None:
        """The index and its trend for the live feed; None while nothing is known."""
