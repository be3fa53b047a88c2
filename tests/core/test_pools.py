"""Allocation never goes back or past the end; the balance holds at every moment."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agent.core.errors import DomainError
from agent.core.known import KnownPool
from agent.core.life import CODE_LIFE, UNIT_LIFE, CodeState, IllegalTransition, UnitState
from agent.core.pools import IN_DOUBT, Balance, Ledger, allocate, balance_of, runs, suspect

C, U = CodeState, UnitState


def known(**changes: object) -> KnownPool:
    said: dict[str, object] = {
        "pool": 4,
        "name": "P1",
        "level": "bottle",
        "roles": ("body",),
        "secret": (),
        "product": "",
        "campaign": "",
        "lot": "",
        "membership": "list",
        "preprinted": False,
        "count": 10,
        "next_position": 0,
    }
    return KnownPool(**(said | changes))  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------ allocation


@settings(deadline=None)
@given(st.integers(1, 50), st.lists(st.integers(1, 9), max_size=60))
def test_allocation_gives_every_position_once_in_order(count: int, wants: list[int]) -> None:
    given_out: list[int] = []
    for wanted in wants:
        pool = known(count=count, next_position=len(given_out))
        if len(given_out) == count:
            with pytest.raises(DomainError, match="P1 is used up: all") as caught:
                allocate(pool, wanted)
            assert caught.value.reason == "pool_empty"
            continue
        fact = allocate(pool, wanted, column=2, device="prn", session=3)
        assert (fact.pool, fact.column, fact.to) == (4, 2, "allocated")
        assert (fact.device, fact.session) == ("prn", 3)
        assert fact.count == min(wanted, count - len(given_out))
        given_out += range(fact.first, fact.first + fact.count)
    assert given_out == list(range(min(count, sum(wants))))


@pytest.mark.parametrize("changes", [{"preprinted": True}, {"membership": "rule", "count": 0}])
def test_pools_without_codes_to_print(changes: dict[str, object]) -> None:
    with pytest.raises(DomainError) as caught:
        allocate(known(**changes), 1)
    assert caught.value.reason == "pool_not_printable"


@pytest.mark.parametrize("wanted", [0, -1])
def test_nothing_is_no_allocation(wanted: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        allocate(known(), wanted)


@settings(deadline=None)
@given(st.dictionaries(st.integers(0, 30), st.sampled_from(C)))
def test_only_codes_in_doubt_become_suspect(states: dict[int, CodeState]) -> None:
    facts = suspect(4, 1, states, device="prn", session=2, why="printer_session")
    moved = [p for fact in facts for p in range(fact.first, fact.first + fact.count)]
    assert moved == sorted(p for p, state in states.items() if state in IN_DOUBT)
    for fact in facts:
        assert (fact.pool, fact.column, fact.to, fact.why) == (4, 1, "suspect", "printer_session")
        assert (fact.device, fact.session) == ("prn", 2)
    for one, other in pairwise(facts):
        assert one.first + one.count < other.first, "neighbours are one fact"
    assert all(C.SUSPECT in CODE_LIFE[state] for state in IN_DOUBT)


@settings(deadline=None)
@given(st.sets(st.integers(0, 40)))
def test_runs(positions: set[int]) -> None:
    found = list(runs(positions))
    assert {p for first, count in found for p in range(first, first + count)} == positions
    assert sum(count for _, count in found) == len(positions)


# --------------------------------------------------------------------------------------- balance


def test_the_formula_for_codes_printed_here() -> None:
    codes = {
        C.ISSUED: 100,
        C.ALLOCATED: 3,
        C.SENDING: 4,
        C.ACCEPTED: 5,
        C.PRINTED: 6,
        C.SUSPECT: 7,
        C.VOID: 8,
        C.ATTACHED: 50,
    }
    units = {
        U.COMMISSIONED: 1,
        U.VERIFIED: 20,
        U.PACKED: 10,
        U.UNPACKED: 2,
        U.SHIPPED: 3,
        U.RECEIVED: 4,
        U.REJECTED: 5,
        U.SAMPLED: 2,
        U.DESTROYED: 3,
    }
    balance = balance_of(183, codes, units)
    assert balance == Balance(
        issued=183,
        good=40,
        rejected=5,
        sampled=2,
        destroyed=3,
        void=8,
        suspect=7,
        in_process=15,
        left=103,
        unseen=0,
        stray=0,
    )
    assert balance.accounted == 183
    assert balance.difference == 0


def test_the_formula_for_pre_printed_codes() -> None:
    balance = balance_of(100, {C.ISSUED: 60, C.ATTACHED: 40}, {U.VERIFIED: 40}, unseen=2)
    assert (balance.left, balance.unseen, balance.good, balance.difference) == (58, 2, 40, 0)
    for unseen in (61, -1):
        with pytest.raises(ValueError, match="unseen"):
            balance_of(100, {C.ISSUED: 60, C.ATTACHED: 40}, {U.VERIFIED: 40}, unseen=unseen)


@pytest.mark.parametrize(
    ("issued", "codes", "units", "difference"),
    [
        (10, {C.ISSUED: 9}, {}, 1),
        (10, {C.ISSUED: 11}, {}, -1),
        (10, {C.ISSUED: 9, C.ATTACHED: 1}, {}, 1),
        (10, {C.ISSUED: 9, C.ATTACHED: 1}, {U.VERIFIED: 2}, -1),
        # Two mistakes that would cancel each other: a lost code and a unit without one.
        (10, {C.ISSUED: 8, C.ATTACHED: 1}, {U.VERIFIED: 2}, -1),
    ],
)
def test_a_difference_is_seen(
    issued: int, codes: dict[CodeState, int], units: dict[UnitState, int], difference: int
) -> None:
    assert balance_of(issued, codes, units).difference == difference


class LedgerMachine(RuleBasedStateMachine):
    """A factory in miniature: every code and every unit by itself, recounted after each move."""

    @initialize(issued=st.integers(0, 12), preprinted=st.booleans())
    def begin(self, issued: int, preprinted: bool) -> None:
        self.codes = [C.ISSUED] * issued
        self.units: dict[int, UnitState] = {}
        self.closed: set[int] = set()
        self.ledger = Ledger(issued, preprinted=preprinted)

    def touch(self, code: int) -> None:
        if code in self.closed:
            self.closed.remove(code)
            self.ledger.found()

    @rule(at=st.integers(0, 11), to=st.sampled_from([s for s in C if s is not C.ATTACHED]))
    def move_code(self, at: int, to: CodeState) -> None:
        if at >= len(self.codes):
            return
        now = self.codes[at]
        if to in CODE_LIFE[now]:
            self.touch(at)
            self.ledger.move_codes(now, to)
            self.codes[at] = to
        else:
            with pytest.raises(IllegalTransition):
                self.ledger.move_codes(now, to)

    @rule(at=st.integers(0, 11), unit=st.sampled_from(U))
    def attach(self, at: int, unit: UnitState) -> None:
        if at >= len(self.codes):
            return
        now = self.codes[at]
        if C.ATTACHED in CODE_LIFE[now]:
            self.touch(at)
            self.ledger.attach(now, unit)
            self.codes[at] = C.ATTACHED
            self.units[at] = unit
        else:
            with pytest.raises(IllegalTransition):
                self.ledger.attach(now, unit)

    @rule(at=st.integers(0, 11), to=st.sampled_from(U))
    def move_unit(self, at: int, to: UnitState) -> None:
        if at not in self.units:
            return
        now = self.units[at]
        if to in UNIT_LIFE[now]:
            self.ledger.move_units(now, to)
            self.units[at] = to
        else:
            with pytest.raises(IllegalTransition):
                self.ledger.move_units(now, to)

    @rule(upto=st.integers(0, 12))
    def close_roll(self, upto: int) -> None:
        unseen = {
            at
            for at, state in enumerate(self.codes[:upto])
            if state is C.ISSUED and at not in self.closed
        }
        if self.ledger.preprinted:
            self.ledger.close_roll(len(unseen))
            self.closed |= unseen
        else:
            with pytest.raises(ValueError, match="pre-printed"):
                self.ledger.close_roll(len(unseen))

    @rule(
        now=st.sampled_from(C),
        to=st.sampled_from(C),
        count=st.integers(-1, 14),
        unit=st.sampled_from(U),
    )
    def nothing_moves_that_is_not_there(
        self, now: CodeState, to: CodeState, count: int, unit: UnitState
    ) -> None:
        free = sum(state is now and at not in self.closed for at, state in enumerate(self.codes))
        if not 0 < count <= free:
            with pytest.raises((ValueError, IllegalTransition)):
                self.ledger.move_codes(now, to, count)
        if free == 0:
            with pytest.raises((ValueError, IllegalTransition)):
                self.ledger.attach(now, unit)
        there = sum(state is unit for state in self.units.values())
        if not 0 < count <= there:
            with pytest.raises((ValueError, IllegalTransition)):
                self.ledger.move_units(unit, U.DESTROYED, count)
        if not self.closed:
            with pytest.raises(ValueError, match="no code is unseen"):
                self.ledger.found()

    @invariant()
    def moves_and_recount_agree(self) -> None:
        counted = balance_of(
            len(self.codes),
            Counter(self.codes),
            Counter(self.units.values()),
            unseen=len(self.closed),
        )
        assert self.ledger.balance() == counted
        assert counted.difference == 0
        assert counted.left + counted.unseen == sum(
            state in (C.ISSUED, C.ALLOCATED) for state in self.codes
        )


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_code_is_attached_by_attach_alone() -> None:
    ledger = Ledger(1)
    with pytest.raises(ValueError, match="use attach"):
        ledger.move_codes(C.ISSUED, C.ATTACHED)
    assert ledger.balance() == Ledger(1).balance()


def test_a_bottle_that_was_rejected_for_its_symbol() -> None:
    """As the head of pools.py says: the code is in process until the reject is confirmed, then
    void; one that may be fed again is suspect and can still be attached."""
    ledger = Ledger(2)
    for now, to in pairwise((C.ISSUED, C.ALLOCATED, C.SENDING, C.ACCEPTED, C.PRINTED)):
        ledger.move_codes(now, to, 2)
    assert ledger.balance().in_process == 2
    ledger.move_codes(C.PRINTED, C.VOID)
    ledger.move_codes(C.PRINTED, C.SUSPECT)
    balance = ledger.balance()
    assert (balance.in_process, balance.void, balance.suspect, balance.difference) == (0, 1, 1, 0)
    ledger.attach(C.SUSPECT, U.VERIFIED)
    assert ledger.balance().good == 1
    with pytest.raises(IllegalTransition):
        ledger.attach(C.VOID, U.VERIFIED)
