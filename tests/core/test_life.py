"""The two life tables: nothing becomes usable again, nothing is out of reach, no illegal move."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

import pytest

from agent.core.life import (
    CODE_LIFE,
    MAY_ARRIVE,
    PRINTABLE_LEFT,
    UNIT_LIFE,
    CodeState,
    IllegalTransition,
    UnitState,
    move_code,
    move_unit,
)

C, U = CodeState, UnitState
S = TypeVar("S", bound=StrEnum)


def after(table: Mapping[S, frozenset[S]], start: S) -> set[S]:
    """Every state that can follow `start`, however many moves later."""
    seen: set[S] = set()
    todo = [start]
    while todo:
        new = table[todo.pop()] - seen
        seen |= new
        todo.extend(new)
    return seen


def test_both_tables_name_every_state() -> None:
    assert set(CODE_LIFE) == set(C)
    assert set(UNIT_LIFE) == set(U)


def test_every_state_can_be_reached() -> None:
    assert after(CODE_LIFE, C.ISSUED) == set(C) - {C.ISSUED}
    assert after(UNIT_LIFE, U.COMMISSIONED) == set(U) - {U.COMMISSIONED}


def test_no_code_comes_back_to_a_state_in_which_it_could_be_used_twice() -> None:
    for state in C:
        assert state not in after(CODE_LIFE, state), f"{state} is on a circle"
    for state in set(C) - PRINTABLE_LEFT:
        assert not after(CODE_LIFE, state) & PRINTABLE_LEFT
    # Bytes go to a device once: only a code that was never sent may be sent.
    assert {state for state in C if C.SENDING in CODE_LIFE[state]} == {C.ALLOCATED}
    # After doubt a device never gets or reports the code again.
    assert after(CODE_LIFE, C.SUSPECT) == {C.ATTACHED, C.VOID}


def test_final_states() -> None:
    assert {state for state in C if not CODE_LIFE[state]} == {C.ATTACHED, C.VOID}
    assert {state for state in U if not UNIT_LIFE[state]} == {U.DESTROYED}


def test_every_code_can_end() -> None:
    for state in set(C) - {C.ATTACHED, C.VOID}:
        assert C.VOID in CODE_LIFE[state]
        assert C.ATTACHED in after(CODE_LIFE, state)


def test_a_reader_may_see_every_code_that_a_device_may_have_printed() -> None:
    attachable = {state for state in C if C.ATTACHED in CODE_LIFE[state]}
    assert attachable == MAY_ARRIVE | {C.ISSUED}  # issued: pre-printed
    assert C.ALLOCATED not in attachable


def test_a_unit_that_is_gone_never_comes_back() -> None:
    assert after(UNIT_LIFE, U.SAMPLED) == {U.DESTROYED}
    assert UNIT_LIFE[U.REJECTED] == {U.VERIFIED, U.SAMPLED, U.DESTROYED}
    for state in set(U) - {U.SAMPLED, U.DESTROYED}:
        assert {U.SAMPLED, U.DESTROYED} <= UNIT_LIFE[state]
    for state in U:
        assert U.COMMISSIONED not in UNIT_LIFE[state]


def test_a_packed_unit_leaves_its_container_before_it_is_rejected() -> None:
    assert U.REJECTED not in UNIT_LIFE[U.PACKED]
    assert U.REJECTED in UNIT_LIFE[U.UNPACKED]


@pytest.mark.parametrize("now", C)
@pytest.mark.parametrize("to", C)
def test_code_moves_follow_the_table(now: CodeState, to: CodeState) -> None:
    before = dict(CODE_LIFE)
    if to in CODE_LIFE[now]:
        assert move_code(now, to) is to
    else:
        with pytest.raises(IllegalTransition, match=f"{now} cannot become {to}"):
            move_code(now, to)
    assert before == CODE_LIFE


@pytest.mark.parametrize("now", U)
@pytest.mark.parametrize("to", U)
def test_unit_moves_follow_the_table(now: UnitState, to: UnitState) -> None:
    before = dict(UNIT_LIFE)
    if to in UNIT_LIFE[now]:
        assert move_unit(now, to) is to
    else:
        with pytest.raises(IllegalTransition, match=f"{now} cannot become {to}"):
            move_unit(now, to)
    assert before == UNIT_LIFE
