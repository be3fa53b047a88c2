"""What is read wrongly, and what is read where nothing is: `python -m tests.vision.misread`.

Misreads: frames with a known text, every technique in turn, at severities from easy to beyond hard
(misreads come from what is just not readable). False reads: textured frames without a code, and
the frames of other symbologies, asked for every symbology. All attempts are made: the deadline is
far. One line for each, and exit status 1 if anything wrong was accepted.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator

from agent.vision.cascade import decode
from agent.vision.formats import FORMATS
from agent.vision.second import SecondOpinion
from agent.vision.settings import DecodeSettings
from tests.vision import render

FIRST = 500_000
"""Number of the first frame: none of those that the table or the tuning takes."""
FAR = 60.0


def misreads(
    frames: int, names: list[str], second: SecondOpinion | None, start: int = FIRST
) -> Iterator[tuple[str, float, int, str, str | None]]:
    """Each frame: technique, severity, seed, its text and what was read."""
    stations = {name: DecodeSettings(render.TECHNIQUES[name].symbology) for name in names}
    for number in range(frames):
        name = names[number % len(names)]
        nominal = render.SEVERITY[name]["nominal"]
        severity = nominal * (0.6 + 1.3 * (number // len(names) * 37 % 97) / 96)
        text, image = render.at_severity(name, severity, start + number)
        reads = decode(image, stations[name], time.monotonic() + FAR, second=second).reads
        yield name, severity, start + number, text, reads[0].text if reads else None


def false_reads(
    frames: int, symbologies: list[str], second: SecondOpinion | None, start: int = FIRST
) -> Iterator[tuple[str, str, int, str | None]]:
    """Each frame and symbology: what was shown, symbology, seed and what was read. Every fourth
    frame shows a symbol of another symbology, the others texture."""
    stations = [DecodeSettings(symbology) for symbology in symbologies]
    names = list(render.TECHNIQUES)
    for number in range(frames):
        seed = start + number
        shown = names[number // 4 % len(names)] if number % 4 == 3 else "texture"
        if shown == "texture":
            image = render.empty(seed)
        else:
            _, image = render.frame(shown, "easy", seed)
        for station in stations:
            if shown != "texture" and station.symbology == render.TECHNIQUES[shown].symbology:
                continue
            reads = decode(image, station, time.monotonic() + FAR, second=second).reads
            yield shown, station.symbology, seed, reads[0].text if reads else None


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    asked.add_argument("--frames", type=int, default=20_000, help="frames with a known text")
    asked.add_argument("--empty", type=int, default=2_000, help="frames without a code")
    asked.add_argument("--technique", action="append", choices=list(render.TECHNIQUES))
    asked.add_argument("--symbology", action="append", choices=list(FORMATS))
    said = asked.parse_args()
    second = SecondOpinion()
    second.warm(5.0)
    wrong = 0
    shown, right, misread = Counter[str](), Counter[str](), Counter[str]()
    for name, severity, seed, text, read in misreads(
        said.frames, said.technique or list(render.TECHNIQUES), second
    ):
        shown[name] += 1
        right[name] += read == text
        if read is not None and read != text:
            misread[name] += 1
            print(f"WRONG {name} {severity:.3f} seed {seed}: {text!r} was read as {read!r}")
    for name, count in shown.items():
        print(f"{name:11} {count:6} frames, read {right[name]:6}, wrong {misread[name]}")
    wrong += misread.total()
    asked_for, found = Counter[str](), Counter[str]()
    for what, symbology, seed, read in false_reads(
        said.empty, said.symbology or list(FORMATS), second
    ):
        asked_for[symbology] += 1
        if read is not None:
            found[symbology] += 1
            print(f"WRONG {symbology} in {what} seed {seed}: {read!r}")
    for symbology, count in asked_for.items():
        print(f"{symbology:11} {count:6} frames without it, found in {found[symbology]}")
    wrong += found.total()
    second.close()
    print(f"{shown.total()} frames with a text, {said.empty} without: {wrong} wrong accepts")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
