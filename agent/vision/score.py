"""How well pictures in a folder are read, each against the text that lies beside it.

`name.txt` holds what `name.png` shows (agent.vision.expectation says what counts as the same); a
picture without a text must read nothing. The product's own cascade reads, on the whole picture;
bare zxing-cpp and bare ZBar can read the same pixels beside it.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any, Literal

import zxingcpp

from agent.ports.reading import Image, Read
from agent.vision import expectation
from agent.vision.attempts import ATTEMPTS
from agent.vision.cascade import attempt_all, decode
from agent.vision.formats import FORMATS, LINEAR
from agent.vision.photo import SUFFIXES, PhotoError, load
from agent.vision.second import SYMBOLS, SecondOpinion
from agent.vision.settings import DecodeSettings

Outcome = Literal["read", "wrong", "unread", "empty", "unreadable"]
"""`empty`: no text was expected and none was read. `unreadable`: the file is no picture."""

MOST_TEXT = 100_000
"""Bytes of a text file that are looked at: no symbol holds more than 7,089 characters."""

WARM = 10.0
"""Seconds that ZBar's process gets to begin: no picture is to be read without it."""

Answer = tuple[Read | None, float]
"""What a reader says of a picture, and the seconds it took."""


@dataclass(frozen=True, slots=True)
class Line:
    """One picture and one reader. `other`: the answer was another symbol of the picture, and the
    expected one is read in it too, at another place; it counts as read. `why` says what is wrong
    with an unreadable file."""

    picture: str
    outcome: Outcome
    expected: str = ""
    text: str = ""
    attempt: str = ""
    ms: float = 0.0
    other: bool = False
    why: str = ""


@dataclass(slots=True)
class Tally:
    """All pictures of one reader."""

    reader: str
    lines: list[Line] = field(default_factory=list)

    def count(self, outcome: Outcome) -> int:
        return sum(line.outcome == outcome for line in self.lines)

    def data(self) -> dict[str, Any]:
        """What a person asks of it, as plain data; times in ms over the pictures that could be
        decoded."""
        times = sorted(line.ms for line in self.lines if line.outcome != "unreadable")
        by = Counter(line.attempt for line in self.lines if line.outcome == "read")
        return {
            "total": len(self.lines),
            "expected": sum(bool(line.expected) for line in self.lines),
            "read": self.count("read"),
            "wrong": self.count("wrong"),
            "unread": self.count("unread"),
            "empty": self.count("empty"),
            "unreadable": self.count("unreadable"),
            "other": sum(line.other for line in self.lines),
            "ms": {
                "median": round(median(times), 3) if times else None,
                "p99": round(times[min(len(times) - 1, int(len(times) * 0.99))], 3)
                if times
                else None,
            },
            "attempts": dict(by.most_common()),
        }


def pictures(folder: Path) -> list[tuple[Path, Path | None]]:
    """The picture files below `folder`, in order of their names, each with its text file if there
    is one (`name.txt`, or `name.png.txt`). A file with a text beside it is meant as a picture,
    whatever it is called; others without a picture's name are left out."""
    found: list[tuple[Path, Path | None]] = []
    for file in sorted(folder.rglob("*")):
        if file.name.startswith(".") or file.suffix.lower() == ".txt" or not file.is_file():
            continue
        texts = (file.with_name(f"{file.name}.txt"), file.with_suffix(".txt"))
        text = next((each for each in texts if each.is_file()), None)
        if text is not None or file.suffix.lower() in SUFFIXES:
            found.append((file, text))
    return found


def score(
    folder: Path,
    settings: DecodeSettings,
    seconds: float,
    compare: bool = False,
    seen: Callable[[], object] = lambda: None,
) -> list[Tally]:
    """Read every picture: one tally for ours, with `compare` one for bare zxing-cpp and one for
    bare ZBar too. `seconds` is the deadline of each picture and reader, but zxing-cpp has none;
    `seen` is called after each. Never raises for any file."""
    second = SecondOpinion()
    second.warm(WARM)
    readers: dict[str, Callable[[Image], Answer]] = {
        "caselink": lambda image: _ours(image, settings, seconds, second)
    }
    if compare:
        readers["zxing-cpp"] = lambda image: _bare(image, settings)
        if settings.symbology in SYMBOLS and not second.absent:
            readers["zbar"] = lambda image: _zbar(image, settings, seconds, second)
    try:
        return _scored(folder, settings, readers, seen)
    finally:
        second.close()


def _scored(
    folder: Path,
    settings: DecodeSettings,
    readers: Mapping[str, Callable[[Image], Answer]],
    seen: Callable[[], object],
) -> list[Tally]:
    tallies = [Tally(name) for name in readers]
    for number, (file, text) in enumerate(pictures(folder)):
        name = str(file.relative_to(folder))
        expected = _expected(text)
        try:
            image = load(file)
        except PhotoError as error:
            for tally in tallies:
                tally.lines.append(Line(name, "unreadable", expected, why=str(error)))
            continue
        # In turn, so that no reader always finds the pixels warm.
        order = tallies if number % 2 else tallies[::-1]
        for tally in order:
            answer = readers[tally.reader](image)
            tally.lines.append(_judged(name, expected, answer, image, settings))
        seen()
    return tallies


def _expected(text: Path | None) -> str:
    if text is None:
        return ""
    try:
        with text.open("rb") as file:
            return expectation.expected_text(file.read(MOST_TEXT))
    except OSError:
        return ""


def _ours(image: Image, settings: DecodeSettings, seconds: float, second: SecondOpinion) -> Answer:
    result = decode(image, settings, time.monotonic() + seconds, second=second)
    return (result.reads[0] if result.reads else None), result.seconds


def _zbar(image: Image, settings: DecodeSettings, seconds: float, second: SecondOpinion) -> Answer:
    second.warm(WARM)  # it may have died of the last picture
    start = time.perf_counter()
    read = second.read(image, settings.symbology, time.monotonic() + seconds)
    return read, time.perf_counter() - start


def _bare(image: Image, settings: DecodeSettings) -> Answer:
    """zxing-cpp as it comes, with all that it does by itself and the one format."""
    start = time.perf_counter()
    found = zxingcpp.read_barcode(
        image, formats=FORMATS[settings.symbology], text_mode=zxingcpp.TextMode.Plain
    )
    took = time.perf_counter() - start
    if found is None:
        return None, took
    corners = tuple(
        (point.x, point.y)
        for point in (
            found.position.top_left,
            found.position.top_right,
            found.position.bottom_right,
            found.position.bottom_left,
        )
    )
    return Read(found.text, found.symbology_identifier, corners, "bare", bytes(found.bytes)), took


def _judged(
    name: str,
    expected: str,
    answer: Answer,
    image: Image,
    settings: DecodeSettings,
) -> Line:
    read, took = answer
    line = Line(name, "unread", expected, ms=took * 1000)
    if read is None:
        return line if expected else replace(line, outcome="empty")
    line = replace(line, text=read.text, attempt=read.attempt)
    if expected and expectation.says(read, expected):
        return replace(line, outcome="read")
    if expected and _stands_beside(expected, read, image, settings.symbology):
        return replace(line, outcome="read", other=True)
    return replace(line, outcome="wrong")


def _stands_beside(expected: str, read: Read, image: Image, symbology: str) -> bool:
    """Whether one look at the whole picture shows both what was read and what was expected.

    A matrix symbol corrects errors, so that two texts are two symbols, even one inside the other;
    bar codes must lie apart, because one of the two texts may be a misread.
    """
    seen = attempt_all(image, symbology, ATTEMPTS["full"], (0, 0))
    if not any(each.text == read.text for each in seen):
        return False
    linear = symbology in LINEAR
    return any(
        expectation.says(each, expected) and (not linear or _apart(each, read)) for each in seen
    )


def _apart(one: Read, other: Read) -> bool:
    """Whether two reads are of different bar codes. What was read of one is a thin line across
    it, so that its box is widened by a quarter of its length."""
    boxes = []
    for read in (one, other):
        xs, ys = zip(*read.corners, strict=True)
        more = (max(xs) - min(xs) + max(ys) - min(ys)) / 4
        boxes.append((min(xs) - more, min(ys) - more, max(xs) + more, max(ys) + more))
    (l0, t0, r0, b0), (l1, t1, r1, b1) = boxes
    return bool(r0 < l1 or r1 < l0 or b0 < t1 or b1 < t0)


def worst(lines: Sequence[Line], outcomes: Iterable[Outcome]) -> list[Line]:
    """The lines with one of these outcomes, in the order of the folder."""
    wanted = set(outcomes)
    return [line for line in lines if line.outcome in wanted]
