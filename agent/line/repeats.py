"""Notices a camera that answers with the picture that it sent before, or with none at all. Pure.

A sensor never gives the same pixels twice. A picture that comes again is of an item that has gone
by: whatever can be read in it is that item's code, not this one's.
"""

from dataclasses import dataclass
from math import isqrt

from agent.ports.reading import Image

SAMPLES = 16_384
"""Pixels of a picture that are compared, evenly spread; a smaller picture is compared whole."""
STUCK = 3
"""The same picture again so many times, one after the other, is a camera that is stuck."""
SILENT = 3
"""Items without any picture, one after the other, are a camera that is silent."""


@dataclass(slots=True)
class Repeats:
    """One camera. `stuck` and `silent` say what it is now."""

    again: int = 0  # times that the last picture came once more
    unseen: int = 0  # items since the last picture
    _last: tuple[tuple[int, ...], int] | None = None

    def look(self, image: Image) -> bool:
        """A picture came; whether it is the one before."""
        seen = _print_of(image)
        same = seen == self._last
        self._last = seen
        self.again = self.again + 1 if same else 0
        self.unseen = 0
        return same

    def missed(self) -> None:
        """An item's time was over, and no picture of it had come."""
        self.unseen += 1

    @property
    def stuck(self) -> bool:
        return self.again >= STUCK

    @property
    def silent(self) -> bool:
        return self.unseen >= SILENT


def _print_of(image: Image) -> tuple[tuple[int, ...], int]:
    """What tells one picture from another: its size, and a hash of pixels all over it."""
    step = 1 + isqrt(max(0, image.size - 1) // SAMPLES)
    return image.shape, hash(image[::step, ::step].tobytes())
