"""Code 128 as code words: digits in pairs (subset C) as far as they go, then subset B, and how wide
that is.

The way back to subset C is not taken: ZPL writes it `>5`, which not every implementation of the
language knows. Source: ISO/IEC 15417 (11 modules a code word, 13 for the stop; FNC1 is 102).
"""

import re
from typing import NamedTuple

from agent.core.gs1 import GS

START_B, START_C, TO_B, FNC1 = "start-b", "start-c", "to-b", "fnc1"
_PAIRS = re.compile(r"(?:[0-9]{2}|\x1d)*")


class Word(NamedTuple):
    """One code word: a start, the change of subset, FNC1, or `text` of one or two characters."""

    what: str
    text: str = ""


def words(text: str, gs1: bool = False) -> list[Word]:
    """The code words of printable ASCII, without check word and stop. With `gs1` an FNC1 stands
    first, and for each GS."""
    marks = GS + text if gs1 else text
    pairs = _PAIRS.match(marks)
    assert pairs is not None  # it matches nothing at least
    in_c = pairs[0]
    found = [Word(START_C)]
    if len(in_c) - in_c.count(GS) < 4:  # a change of subset costs what two digits save
        found, in_c = [Word(START_B)], ""
    found += [_word(mark) for mark in re.findall(r"\x1d|..", in_c)]
    rest = marks[len(in_c) :]
    if in_c and rest:
        found.append(Word(TO_B))
    return found + [_word(mark) for mark in rest]


def _word(mark: str) -> Word:
    return Word(FNC1) if mark == GS else Word("data", mark)


def modules(found: list[Word]) -> int:
    """Width in modules, with check word and stop, without quiet zones."""
    return 11 * (len(found) + 1) + 13
