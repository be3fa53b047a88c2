"""Reads a line's stored pictures again, by one configuration or by two that are compared.

So a change of settings is proven on the line's own history before it goes live. A picture of one
symbol has one place, that of an open case as many as its grid; what is compared are the texts at
the places.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from agent.ports.reading import Image
from agent.vision import evidence
from agent.vision.multiread import decode_cells
from agent.vision.photo import SUFFIXES, PhotoError, load
from agent.vision.region import Track
from agent.vision.settings import DecodeSettings

MOST_PICTURES = 1_000_000
MOST_NAMED = 1_000
"""Pictures that are named one by one in an answer."""

Texts = Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one configuration reads on one picture: text by place, seconds, whether it was late."""

    texts: Texts
    seconds: float
    late: bool


@dataclass(slots=True)
class Comparison:
    """Places of all pictures. `both` gave the same text, `differ` two texts, `only_a` and `only_b`
    one of them, `neither` none. `lost` and `won` name pictures where B reads less or otherwise, and
    more. `then` counts places where A reads otherwise than the line did when the picture was
    taken."""

    pictures: int = 0
    unreadable: int = 0
    both: int = 0
    only_a: int = 0
    only_b: int = 0
    differ: int = 0
    neither: int = 0
    then: int = 0
    late: list[int] = field(default_factory=lambda: [0, 0])
    seconds: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))
    lost: list[str] = field(default_factory=list)
    won: list[str] = field(default_factory=list)

    @property
    def loses(self) -> bool:
        """Whether B gives a place up that A read, or reads it otherwise."""
        return bool(self.only_a or self.differ)

    def data(self) -> dict[str, Any]:
        """For JSON and tables; times in ms."""
        return {
            "pictures": self.pictures,
            "unreadable": self.unreadable,
            "both": self.both,
            "only_a": self.only_a,
            "only_b": self.only_b,
            "differ": self.differ,
            "neither": self.neither,
            "other_than_then": self.then,
            "a": {"late": self.late[0], "ms": _times(self.seconds[0])},
            "b": {"late": self.late[1], "ms": _times(self.seconds[1])},
            "lost": self.lost[:MOST_NAMED],
            "won": self.won[:MOST_NAMED],
        }


def pictures(folder: Path) -> Iterator[Path]:
    """The pictures of a folder, by name."""
    found = (path for path in sorted(folder.iterdir())[: 2 * MOST_PICTURES])
    return (path for path in found if path.suffix.lower() in SUFFIXES and path.is_file())


def compare(
    paths: Iterable[Path],
    a: DecodeSettings,
    b: DecodeSettings,
    seconds: float,
    progress: Callable[[int], None] = lambda done: None,
) -> Comparison:
    """Read every picture by `a` and by `b`, each within `seconds`; they take turns at being first,
    so that neither always meets cold pixels."""
    result = Comparison()
    at = Track(), Track()
    for path in paths:
        try:
            image = load(path)
        except PhotoError:
            result.unreadable += 1
            continue
        if result.pictures % 2:
            other, one = read(image, b, seconds, at[1]), read(image, a, seconds, at[0])
        else:
            one, other = read(image, a, seconds, at[0]), read(image, b, seconds, at[1])
        _count(result, path, one, other)
        progress(result.pictures)
    return result


def read(
    image: Image, settings: DecodeSettings, seconds: float, track: Track | None = None
) -> Answer:
    """As the station would."""
    until = time.monotonic() + seconds
    if settings.grid is None:
        decoded = (track or Track()).decode(image, settings, until)
        texts = {n: each.text for n, each in enumerate(decoded.reads[:1])}
        return Answer(texts, decoded.seconds, decoded.late)
    cells = decode_cells(image, settings, until)
    texts = {n: each.text for n, each in enumerate(cells.cells) if each is not None}
    return Answer(texts, cells.seconds, cells.late)


def _count(result: Comparison, path: Path, a: Answer, b: Answer) -> None:
    result.pictures += 1
    for n, answer in enumerate((a, b)):
        result.seconds[n].append(answer.seconds)
        result.late[n] += answer.late
    lost = won = False
    places = {*a.texts, *b.texts}
    for place in places:
        one, other = a.texts.get(place), b.texts.get(place)
        if one == other:
            result.both += 1
        elif other is None:
            result.only_a += 1
            lost = True
        elif one is None:
            result.only_b += 1
            won = True
        else:
            result.differ += 1
            lost = True
    result.neither += not places
    if lost:
        result.lost.append(path.name)
    if won:
        result.won.append(path.name)
    about = evidence.sidecar(path)
    if about is not None:
        then = dict(zip(about.places or range(len(about.texts)), about.texts, strict=False))
        result.then += sum(then.get(place, text) != text for place, text in a.texts.items())


def _times(seconds: list[float]) -> dict[str, float | None]:
    if not seconds:
        return {"median": None, "p99": None}
    last = quantiles(seconds, n=100)[98] if len(seconds) > 1 else seconds[0]
    return {"median": round(1000 * median(seconds), 2), "p99": round(1000 * last, 2)}
