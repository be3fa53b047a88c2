"""Code 128 as code words: the shortest way through subsets B and C, and how wide it is.

Source: ISO/IEC 15417 (11 modules a code word, 13 for the stop; FNC1 is 102).
"""

from typing import NamedTuple

from agent.core.gs1 import GS

START_B, START_C, TO_B, TO_C, FNC1 = "start-b", "start-c", "to-b", "to-c", "fnc1"


class Word(NamedTuple):
    """One code word: a start, a change of subset, FNC1, or `text` of one or two characters."""

    what: str
    text: str = ""


def words(text: str, gs1: bool = False) -> list[Word]:
    """The code words of printable ASCII, without check word and stop. With `gs1` an FNC1 stands
    first, and for each GS."""
    marks = ([GS] if gs1 else []) + list(text)
    count = len(marks)
    # The fewest words from each place on, in subset B and in subset C, and the first step there.
    in_b: list[tuple[int, str]] = [(0, "")] * (count + 1)
    in_c: list[tuple[int, str]] = [(0, "")] * (count + 1)
    for at in range(count - 1, -1, -1):
        fnc1 = gs1 and marks[at] == GS
        pair = at + 1 < count and _digit(marks[at]) and _digit(marks[at + 1])
        stay_b = 1 + in_b[at + 1][0]
        stay_c = 1 + in_c[at + 1][0] if fnc1 else 1 + in_c[at + 2][0] if pair else count * 3
        in_b[at] = (stay_b, "stay") if stay_b <= stay_c + 1 else (stay_c + 1, "change")
        in_c[at] = (stay_c, "stay") if stay_c <= stay_b + 1 else (stay_b + 1, "change")
    subset = "c" if in_c[0][0] < in_b[0][0] else "b"
    found = [Word(START_C if subset == "c" else START_B)]
    at = 0
    while at < count:
        if (in_c if subset == "c" else in_b)[at][1] == "change":
            subset = "b" if subset == "c" else "c"
            found.append(Word(TO_C if subset == "c" else TO_B))
        if gs1 and marks[at] == GS:
            found.append(Word(FNC1))
            at += 1
        else:
            size = 2 if subset == "c" else 1
            found.append(Word("data", "".join(marks[at : at + size])))
            at += size
    return found


def modules(found: list[Word]) -> int:
    """Width in modules, with check word and stop, without quiet zones."""
    return 11 * (len(found) + 1) + 13


def _digit(char: str) -> bool:
    return "0" <= char <= "9"
