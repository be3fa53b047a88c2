"""Codes that are printed here: a small window in the coder's hand, and no code ever sent twice."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.effects import SendCodes
from agent.core.errors import DomainError
from agent.core.life import CodeState
from agent.core.poolfile import Declared
from agent.store import balance
from tests.core.lines import BOTTLES, CODER, VERIFY, Line, chain, order, read

PAIR = chain(CODER, VERIFY)
"""Coder and camera; the coder may have four codes in hand."""


def line(tmp_path: Path, bottles: int = 40) -> Line:
    return Line(tmp_path, PAIR, bottles=bottles).start()


def states(one: Line, *positions: int) -> list[CodeState]:
    return [one.code(f"B-{n:04d}").state for n in positions]


def sent(one: Line) -> list[int]:
    """Every position that left for the coder, in order."""
    return [n for e in one.effects(SendCodes) for n in range(e.first, e.first + e.count)]


# ------------------------------------------------------------------------------------ the window


def test_a_new_session_fills_the_window_and_no_more(tmp_path: Path) -> None:
    with line(tmp_path) as one:
        assert sent(one) == [0, 1, 2, 3]
        assert states(one, 3, 4) == [CodeState.SENDING, CodeState.ISSUED]
        assert one.tell(i.RefillWanted("coder", 9)).effects == ()
        one.tell(i.PrintAccepted("coder", 0, 4))
        assert one.tell(i.RefillWanted("coder", 9)).effects == (), "accepted is still in hand"
        one.tell(i.PrintReported("coder", 0, 5), i.RefillWanted("coder", 9))
        assert sent(one) == [0, 1, 2, 3, 4]


def test_codes_are_durable_as_sending_before_they_are_sent(tmp_path: Path) -> None:
    with line(tmp_path) as one:
        kinds = [(fact.first, fact.count, fact.to) for fact in one.facts(f.CodesMoved)]
        assert kinds == [(0, 4, "allocated"), (0, 4, "sending")]
        (group,) = [group for group in one.said if group.texts]
        assert group.texts[f.CodeKey(BOTTLES, 2, 0)] == "B-0002"


def test_no_order_no_codes(tmp_path: Path) -> None:
    with Line(tmp_path, PAIR) as one:
        one.tell(i.PrinterConnected("coder", True))
        assert one.tell(i.RefillWanted("coder", 4)).effects == ()
        one.tell(i.CreateOrder(one.order, "li"), i.StartOrder("WO-1", "li"))
        one.tell(i.PauseOrder("li"))
        assert one.tell(i.RefillWanted("coder", 4)).effects == ()


# ------------------------------------------------------------------------------ what became of one


def test_the_life_of_a_printed_code(tmp_path: Path) -> None:
    with line(tmp_path) as one:
        seen = [states(one, 0)[0]]
        one.tell(i.PrintAccepted("coder", 0, 1))
        seen += states(one, 0)
        one.tell(i.ItemTriggered("coder", 7), i.PrintReported("coder", 0, 5))
        seen += states(one, 0)
        one.tell(i.ItemTriggered("verify", 7), read("B-0000", item=7))
        seen += states(one, 0)
        assert [str(state) for state in seen] == ["sending", "accepted", "printed", "attached"]


def test_a_print_may_be_reported_before_its_acceptance(tmp_path: Path) -> None:
    with line(tmp_path) as one:
        one.tell(i.PrintReported("coder", 0, 5), i.PrintAccepted("coder", 0, 1))
        assert states(one, 0) == [CodeState.PRINTED], "and never back to accepted"


def test_a_reader_may_see_a_code_before_the_coder_reports_anything(tmp_path: Path) -> None:
    with line(tmp_path) as one:
        one.tell(i.ItemTriggered("coder", 7), i.ItemTriggered("verify", 7), read("B-0000", item=7))
        assert states(one, 0) == [CodeState.ATTACHED]
        assert 0 not in one.state.windows["coder"].codes, "its place in the window is free"
        one.tell(i.PrintAccepted("coder", 0, 1), i.PrintReported("coder", 0, 5))
        assert states(one, 0) == [CodeState.ATTACHED]


# ---------------------------------------------------------------------------------------- in doubt


def test_what_a_lost_session_had_in_hand_is_suspect(tmp_path: Path) -> None:
    with line(tmp_path) as one:
        one.tell(i.PrintAccepted("coder", 0, 3), i.PrintReported("coder", 0, 5))
        one.tell(i.PrinterConnected("coder", True))
        assert states(one, 0, 1, 2, 3) == [CodeState.PRINTED, *[CodeState.SUSPECT] * 3]
        one.tell(i.RefillWanted("coder", 4))
        assert sent(one) == [0, 1, 2, 3, 4, 5, 6, 7]
        # Two of them had come out after all: the reader says so.
        one.tell(i.ItemTriggered("verify", 9), read("B-0002", item=9))
        assert states(one, 2) == [CodeState.ATTACHED]


def test_an_unknown_hand_over_makes_suspect_only_what_was_not_accepted(tmp_path: Path) -> None:
    with line(tmp_path) as one:
        one.tell(i.PrintAccepted("coder", 0, 2), i.PrintDoubtful("coder", "printer_lost"))
        assert states(one, 0, 1, 2, 3) == [CodeState.ACCEPTED] * 2 + [CodeState.SUSPECT] * 2
        assert {fact.why for fact in one.facts(f.CodesMoved) if fact.to == "suspect"} == {
            "printer_lost"
        }


def test_after_lost_reports_only_what_is_held_for_sure_is_not_suspect(tmp_path: Path) -> None:
    """That 0 was printed and 1 was taken is what was lost; 2 is in the device's hand, 3 waits."""
    with line(tmp_path) as one:
        one.tell(i.PrintAccepted("coder", 0, 1), i.PrintAccepted("coder", 2, 1))
        held = tuple(f.CodeKey(1, position, 0) for position in (2, 3))
        one.tell(i.PrintDoubtful("coder", "inputs_lost", held))
        suspect = [CodeState.SUSPECT] * 2
        assert states(one, 0, 1, 2, 3) == [*suspect, CodeState.ACCEPTED, CodeState.SENDING]


def test_sessions_are_numbered(tmp_path: Path) -> None:
    with line(tmp_path) as one:
        one.tell(i.PrinterConnected("coder", False))
        began = one.facts(f.PrinterSessionBegan)
        assert [(each.session, each.cleared) for each in began] == [(1, True), (2, False)]


def test_a_printed_code_that_no_reader_sees_becomes_suspect(tmp_path: Path) -> None:
    """A bottle fell off between coder and camera: its code must not stay in process for ever."""
    many = CODER.unseen_after + 20
    with line(tmp_path, bottles=many) as one:
        one.tell(i.PrintReported("coder", 0, 5))
        for n in range(1, many - 4):
            one.tell(i.PrintReported("coder", n, 5), i.RefillWanted("coder", 1))
            one.tell(i.ItemTriggered("verify", n), read(f"B-{n:04d}", item=n))
        assert states(one, 0, 1) == [CodeState.SUSPECT, CodeState.ATTACHED]
        assert [fact.first for fact in one.facts(f.CodesMoved) if fact.why == "not_seen"] == [0]


# --------------------------------------------------------------------------- which item carries it


def test_a_print_is_paired_with_the_item_that_triggered_it(tmp_path: Path) -> None:
    with line(tmp_path) as one:
        one.tell(i.ItemTriggered("coder", 7), i.ItemTriggered("coder", 8))
        one.tell(i.PrintReported("coder", 0, 5), i.PrintReported("coder", 1, 5))
        pairs = [(fact.item, fact.key.position) for fact in one.facts(f.ItemPrinted)]
        assert pairs == [(7, 0), (8, 1)]


def test_a_print_that_is_reported_before_its_trigger_waits_for_it(tmp_path: Path) -> None:
    with line(tmp_path) as one:
        one.tell(i.PrintReported("coder", 0, 5), i.ItemTriggered("coder", 7))
        assert [(fact.item, fact.key.position) for fact in one.facts(f.ItemPrinted)] == [(7, 0)]


def test_an_item_for_which_the_coder_had_nothing_is_a_no_read(tmp_path: Path) -> None:
    with line(tmp_path, bottles=1) as one:
        one.tell(i.ItemTriggered("coder", 7), i.ItemTriggered("coder", 8))
        assert [fact.item for fact in one.facts(f.PrintMissed)] == [8]
        # Even a neighbour's code in view does not save it.
        one.tell(i.ItemTriggered("verify", 8), read("B-0000", item=8))
        assert [fact.verdict for fact in one.facts(f.ItemRejected)] == ["no_read"]


# ---------------------------------------------------------------------------------------- the pool


def test_a_pool_that_runs_low_and_empty_is_told(tmp_path: Path) -> None:
    with line(tmp_path, bottles=20) as one:
        heard = []
        for n in range(20):
            one.tell(i.PrintReported("coder", n, 5), i.RefillWanted("coder", 1))
            heard.append(sorted(one.alarms))
        assert heard[0] == []
        assert ["pool_low"] in heard
        assert heard[-1] == ["pool_empty"]
        assert sent(one) == list(range(20)), "every code once, and none invented"


def test_an_alarm_about_the_pool_ends_with_a_new_pool(tmp_path: Path) -> None:
    with line(tmp_path, bottles=4) as one:
        one.tell(i.PrintReported("coder", 0, 5), i.RefillWanted("coder", 1))
        assert "pool_empty" in one.alarms
        more = one.add_pool(Declared("more", "bottle", ("body",)), "M", 50)
        one.tell(
            i.FinishOrder("li"), i.CreateOrder(order("WO-2", pools={"bottle/body": more}), "li")
        )
        one.tell(i.StartOrder("WO-2", "li"), i.RefillWanted("coder", 2))
        assert one.alarms == {}
        assert one.code("M-0000").state is CodeState.SENDING


# ---------------------------------------------------------------------------------------- any day

EVENTS = st.one_of(
    st.tuples(st.just("refill"), st.integers(0, 9)),
    st.tuples(st.just("accept"), st.integers(0, 30)),
    st.tuples(st.just("print"), st.integers(0, 30)),
    st.tuples(st.just("lost"), st.just(0)),
    st.tuples(st.just("session"), st.just(0)),
    st.tuples(st.just("trigger"), st.integers(0, 30)),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(EVENTS, max_size=30))
def test_whatever_the_coder_says_the_window_holds_and_nothing_is_sent_twice(
    day: list[tuple[str, int]],
) -> None:
    """Reports in any order, of codes that were never sent too."""
    with tempfile.TemporaryDirectory() as folder, line(Path(folder)) as one:
        for what, n in day:
            told: dict[str, i.Input] = {
                "refill": i.RefillWanted("coder", n),
                "accept": i.PrintAccepted("coder", n, 1),
                "print": i.PrintReported("coder", n, 5),
                "lost": i.PrintDoubtful("coder", "printer_lost"),
                "session": i.PrinterConnected("coder", True),
                "trigger": i.ItemTriggered("coder", n),
            }
            one.tell(told[what])
            window = one.state.windows["coder"].codes
            in_hand = [p for p, s in window.items() if s in ("sending", "accepted")]
            assert len(in_hand) <= CODER.window
            # The state agrees with the tables.
            assert {p: states(one, p)[0] for p in window} == window
        assert sent(one) == list(range(len(sent(one)))), "in order, each once"
        assert {name: b.difference for name, b in balance.balances(one.conn)} == {
            "bottles/body": 0,
            "cases/case-outer": 0,
        }


@pytest.mark.parametrize("cut", ["sending", "accepted"])
def test_after_a_power_cut_nothing_that_may_have_been_printed_is_printed_again(
    tmp_path: Path, cut: str
) -> None:
    with line(tmp_path) as one:
        if cut == "accepted":
            one.tell(i.PrintAccepted("coder", 0, 4))
    with Line(tmp_path, PAIR, fresh=False) as one:
        one.tell(i.RunChanged(1, "agent_restart"), i.PrinterConnected("coder", True))
        assert states(one, 0, 1, 2, 3) == [CodeState.SUSPECT] * 4
        one.tell(i.RefillWanted("coder", 4))
        assert sent(one) == [4, 5, 6, 7]


def test_nothing_is_printed_from_a_pool_in_question_until_it_is_settled(tmp_path: Path) -> None:
    with line(tmp_path) as one:
        assert sent(one) == [0, 1, 2, 3]
        one.put(f.Restored("e0", 1, 2, (BOTTLES,)))
        one.tell(*(i.PrintReported("coder", n, 5) for n in range(4)), i.RefillWanted("coder", 4))
        assert sent(one) == [0, 1, 2, 3]
        assert list(one.alarms) == ["pool_in_question"]
        one.tell(i.FinishOrder("li"), i.CreateOrder(order("WO-2"), "li"))
        with pytest.raises(DomainError) as caught:
            one.tell(i.StartOrder("WO-2", "li"))
        assert caught.value.reason == "pool_in_question"
        void = f.CodesMoved(BOTTLES, 0, 4, 6, CodeState.VOID, why="restored")
        one.put(void, f.PoolSettled(BOTTLES, 10, "cloud"))
        one.tell(i.StartOrder("WO-2", "li"), i.RefillWanted("coder", 4))
        assert sent(one)[4:] == [10, 11, 12, 13]
        assert one.alarms == {}
