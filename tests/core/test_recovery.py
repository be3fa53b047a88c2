"""What becomes of codes in a printer's hand, said by its counter, and settled by the reader."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.life import CodeState
from agent.store import balance
from tests.core.lines import CODER, VERIFY, Line, chain, read

NEAR = replace(CODER, unseen_after=4)
"""The reader stands close behind the coder."""

SENDING, ACCEPTED, PRINTED = CodeState.SENDING, CodeState.ACCEPTED, CodeState.PRINTED
SUSPECT, VOID = CodeState.SUSPECT, CodeState.VOID


def line(tmp_path: Path, counter: int = 100) -> Line:
    """A coder that has printed `counter` times; 0, 1 and 2 are accepted, 3 is being sent."""
    one = Line(tmp_path, chain(NEAR, VERIFY), bottles=60).start()
    one.tell(i.PrinterConnected("coder", True, counter, True), i.RefillWanted("coder", 4))
    return one


def given(tmp_path: Path, counter: int = 100) -> Line:
    one = line(tmp_path, counter)
    (first, *_) = one.state.windows["coder"].codes
    assert first == 4, "the first session's codes were suspect"
    one.tell(i.PrintAccepted("coder", 4, 3))
    return one


def states(one: Line, *positions: int) -> list[CodeState]:
    return [one.code(f"B-{n:04d}").state for n in positions]


def back(counter: int = -1, *, cleared: bool = True, steady: bool = True, **more: int) -> i.Input:
    return i.PrinterConnected("coder", cleared, counter, steady, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("again", "then"),
    [
        (back(100), [VOID, VOID, VOID, SUSPECT]),
        (back(102), [PRINTED, PRINTED, VOID, SUSPECT]),
        (back(104), [PRINTED] * 4),
        # The queue is not known to be empty, or its counter still moves: the rest may come.
        (back(101, cleared=False), [PRINTED, SUSPECT, SUSPECT, SUSPECT]),
        (back(101, steady=False), [PRINTED, SUSPECT, SUSPECT, SUSPECT]),
        # It prints more than it was given, counts from 0 again, or does not count.
        (back(105), [SUSPECT] * 4),
        (back(2), [SUSPECT] * 4),
        (back(), [SUSPECT] * 4),
        # It names the record that it printed last; where both speak they must agree.
        (back(102, last=5), [PRINTED, PRINTED, VOID, SUSPECT]),
        (back(101, last=5), [SUSPECT] * 4),
        (back(last=5), [PRINTED, PRINTED, VOID, SUSPECT]),
    ],
)
def test_the_counter_says_which_codes_in_hand_came_out(
    tmp_path: Path, again: i.Input, then: Sequence[CodeState]
) -> None:
    with given(tmp_path) as one:
        one.tell(again)
        assert states(one, 4, 5, 6, 7) == then
        inferred = [m for m in one.facts(f.CodesMoved) if m.why == "inferred"]
        assert sum(m.count for m in inferred) == then.count(PRINTED)
        assert {m.evidence for m in inferred} <= {3}, "by the counter, and by nothing better"


def test_a_counter_that_may_have_begun_anew_says_nothing(tmp_path: Path) -> None:
    """Four in hand after a count of 4: switched off, it could have counted to 4 again."""
    with given(tmp_path, counter=4) as one:
        one.tell(back(4))
        assert states(one, 4, 5, 6, 7) == [SUSPECT] * 4
    with Line(tmp_path, chain(NEAR, VERIFY), fresh=False) as one:
        one.tell(back(4), i.RefillWanted("coder", 4), i.PrintAccepted("coder", 8, 4))
        one.tell(i.PrinterConnected("coder", True, 5, True, kept=True))
        assert states(one, 8, 9) == [PRINTED, VOID], "a counter that a power cut keeps is believed"


def test_what_was_proven_meanwhile_is_not_counted_twice(tmp_path: Path) -> None:
    """One print was reported, one was seen by the reader before its report came."""
    with given(tmp_path) as one:
        one.tell(i.PrintReported("coder", 4, 5), i.ItemTriggered("verify", 1), read("B-0005"))
        one.tell(back(103))
        assert states(one, 4, 5, 6) == [PRINTED, CodeState.ATTACHED, PRINTED]
        assert one.state.windows["coder"].counter == 103


def test_a_hand_over_that_was_cut_may_have_been_printed_too(tmp_path: Path) -> None:
    with given(tmp_path) as one:
        one.tell(i.PrintDoubtful("coder", "printer_lost"))
        one.tell(back(104))
        assert states(one, 4, 5, 6, 7) == [PRINTED, PRINTED, PRINTED, SUSPECT]


def test_codes_of_the_order_before_make_the_count_say_less(tmp_path: Path) -> None:
    with given(tmp_path) as one:
        one.tell(i.PrintDoubtful("coder", "inputs_lost", tuple(f.CodeKey(1, p, 0) for p in (6, 7))))
        one.tell(back(101))
        assert states(one, 4, 5, 6, 7) == [SUSPECT] * 4


def test_a_record_that_was_overtaken_is_suspect(tmp_path: Path) -> None:
    with given(tmp_path) as one:
        one.tell(i.PrintReported("coder", 6, 5))
        assert states(one, 4, 5, 6, 7) == [SUSPECT, SUSPECT, PRINTED, SENDING]
        assert "print_unconfirmed" in one.alarms
        one.tell(i.PrintReported("coder", 7, 4))
        assert states(one, 7) == [PRINTED]


def test_a_device_that_names_no_record_overtakes_nothing(tmp_path: Path) -> None:
    with given(tmp_path) as one:
        one.tell(i.PrintReported("coder", 6, 4))
        assert states(one, 4, 5, 6) == [ACCEPTED, ACCEPTED, PRINTED]


def test_a_counter_that_disagrees_makes_all_since_it_agreed_suspect(tmp_path: Path) -> None:
    with given(tmp_path) as one:
        one.tell(i.PrintReported("coder", 4, 4))
        one.tell(i.PrinterCounted("coder", 101))
        assert "print_count" not in one.alarms
        assert one.state.windows["coder"].counter == 101
        one.tell(i.PrinterCounted("coder", 103, 2))
        assert states(one, 4, 5, 6, 7) == [SUSPECT] * 4
        (alarm,) = [a for a in one.state.alarms.values() if a.key == "print_count"]
        assert alarm.args == {"count": "4", "missing": "2"}
        assert [c.missing for c in one.facts(f.PrinterCounted)] == [0, 2]


# ------------------------------------------------------------------------------ the reader settles


def bottles(one: Line, first: int, last: int) -> None:
    """These codes are printed and read, one after the other."""
    for n in range(first, last):
        one.tell(i.RefillWanted("coder", 1), i.PrintReported("coder", n, 5))
        one.tell(i.ItemTriggered("verify", n), read(f"B-{n:04d}", item=n))


def test_a_suspect_code_is_attached_when_it_is_seen_and_void_when_it_cannot_come(
    tmp_path: Path,
) -> None:
    with given(tmp_path) as one:
        one.tell(back(), i.RefillWanted("coder", 4))
        one.tell(i.ItemTriggered("verify", 90), read("B-0005", item=90))
        bottles(one, 8, 12)
        assert states(one, 4, 5, 6, 7) == [SUSPECT, CodeState.ATTACHED, SUSPECT, SUSPECT]
        bottles(one, 12, 14)
        assert states(one, 4, 5, 6, 7) == [VOID, CodeState.ATTACHED, VOID, VOID]
        assert one.state.windows["coder"].doubted == {}
        one.tell(i.ItemTriggered("verify", 91), read("B-0006", item=91))
        assert "void_code_on_product" in one.alarms
        assert {name: b.difference for name, b in balance.balances(one.conn)} == {
            "bottles/body": 0,
            "cases/case-outer": 0,
        }


def test_a_stopped_line_makes_nothing_void(tmp_path: Path) -> None:
    """A coder that comes and goes while the belt stands: bottles with codes stand before the
    reader."""
    with given(tmp_path) as one:
        for _ in range(5):
            one.tell(back(), i.RefillWanted("coder", 4))
        assert set(states(one, *range(4, 24))) == {SUSPECT}


def test_a_suspect_code_that_a_person_made_void_is_left_alone(tmp_path: Path) -> None:
    with given(tmp_path) as one:
        one.tell(back(), i.RefillWanted("coder", 4))
        one.put(f.CodesMoved(1, 0, 5, 1, VOID, why="pool"))
        bottles(one, 8, 16)
        assert states(one, 4, 5, 6) == [VOID] * 3
