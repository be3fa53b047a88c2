"""How slips are counted: what is one, what a reading could show, and how far it went unread."""

from collections import Counter

from agent.demo.slips import Case, Packer, Reading, Slips, count


def case(claimed: str, there: str | None, *, right: bool = True) -> Case:
    """One letter is one child; None: nobody can say what it holds."""
    return Case(Counter(claimed), None if there is None else Counter(there), right, False, False)


def measure(cases: list[Case], *reads: Reading) -> Slips:
    result = Slips()
    count(result, cases, Packer(list(range(len(cases))), list(reads)), lambda unit: chr(unit))
    return result


def whole(place: int, packed: int, seen: str) -> Reading:
    return Reading(place, packed, tuple(map(ord, seen)), whole=True)


def showed(place: int, packed: int) -> Reading:
    return Reading(place, packed, found=True, located=True)


LATE = [case("ab", "ab"), case("cd", "Xc"), case("ef", "de"), case("gh", "fg"), case("ij", "ij")]
"""One that nobody knows came into the second case; it is taken out behind the fourth."""


def test_an_order_that_is_wrong_is_a_slip_and_a_wrong_code_is_none() -> None:
    assert (measure(LATE).made, measure(LATE).odd) == (1, 0)
    misread = measure([case("ab", "ab"), case("cZ", "cd"), case("ef", "ef")])
    assert (misread.made, misread.odd) == (0, 1), "the others are where they were recorded"
    last = measure([case("ab", "ab"), case("cd", "ce")])
    assert (last.made, last.odd) == (1, 0), "nothing behind it shows that the order is right"


def test_a_case_of_which_nobody_can_say_what_it_holds_ends_no_slip() -> None:
    unknown = [*LATE[:2], case("ef", None), *LATE[3:]]
    found = measure(unknown, showed(3, 5))
    assert (found.made, found.found, found.repaired) == (1, 1, 1)


def test_cases_of_which_nothing_was_read_are_counted_apart() -> None:
    found = measure(LATE, whole(0, 2, "ab"), whole(3, 4, "fg"), showed(3, 4))
    assert (found.read, found.prompt) == (1, 1)
    assert (found.unread, found.behind, found.cases) == ({3: 1}, {0: 1}, {3: 1})


def test_a_reading_that_contradicts_in_vain_counts_against_us() -> None:
    vain = measure(LATE, whole(1, 2, "Xc"), whole(2, 3, "de"), showed(3, 4))
    assert (vain.unread, vain.behind) == ({1: 1}, {4: 1}), "two cases more, and two readings"
    assert (vain.read, vain.found, vain.prompt) == (1, 1, 0)
    never = measure(LATE, whole(1, 2, "Xc"))
    assert (never.read, never.found, never.prompt) == (1, 0, 0)


def test_a_reading_that_agrees_could_show_nothing() -> None:
    partly = Reading(2, 3, (ord("e"),))
    assert measure(LATE, partly).read == 0
    beyond = whole(4, 5, "ij")
    assert measure(LATE, beyond).read == 0
