"""The vocabulary of the journal: what every kind of fact must be, and that none is forgotten."""

import inspect
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.core import evolve, facts
from agent.core.facts import KINDS, Fact
from agent.core.scheme import PackingScheme
from agent.core.state import LineState
from agent.store import journal, project
from tests.core.lines import LINE, SCHEME, WHOLE, WHOLE_PATHS, chain

by_name = pytest.mark.parametrize("name", sorted(KINDS))

FORGOTTEN_AT_RESTART = {
    "ItemSeen",
    "ItemRead",
    "ItemPrinted",
    "PrintUnpaired",
    "PrintMissed",
    "PrintPairingLost",
    "GatePassed",
    "PathEntered",
    "StrokeSeen",
    "ContainerSeen",
    "ContainerJudged",
    "RejectSeries",
    "ChildrenSeen",
    "LaneRestated",
    "NeighbourSuspected",
    "PlacesMixed",
}
"""Facts that change a line's state and are not written: what is on its way when power fails."""


def test_every_class_of_the_module_is_a_kind() -> None:
    defined = {
        name
        for name, thing in inspect.getmembers(facts, inspect.isclass)
        if issubclass(thing, Fact) and thing is not Fact
    }
    assert defined == set(KINDS)


@by_name
def test_a_kind_is_a_value_of_declared_fields(name: str) -> None:
    kind = KINDS[name]
    assert is_dataclass(kind)
    assert kind.__dataclass_params__.unsafe_hash  # type: ignore[attr-defined]
    assert "__slots__" in vars(kind)


def test_what_a_restart_forgets_is_written_down_here() -> None:
    assert {name for name, kind in KINDS.items() if not kind.durable} == FORGOTTEN_AT_RESTART


def test_the_store_and_the_state_forget_no_kind() -> None:
    durable = {kind for kind in KINDS.values() if kind.durable}
    assert durable == project.HANDLED
    assert set(KINDS.values()) == evolve.HANDLED


# ------------------------------------------------------------------------- through the journal

NUMBERS = st.integers(-(2**63), 2**63 - 1)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    int: NUMBERS,  # what JSON of 64-bit readers carries
    str: st.text(max_size=20),
    bool: st.booleans(),
    type(None): st.none(),
    PackingScheme: st.just(SCHEME),
}


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of a field's type."""
    if hint in PLAIN:
        return PLAIN[hint]
    parts = get_args(hint)
    if get_origin(hint) is tuple and parts[-1] is ...:
        return st.lists(values(parts[0]), max_size=3).map(tuple)
    if get_origin(hint) is tuple:
        return st.tuples(*map(values, parts))
    if get_origin(hint) is dict:
        return st.dictionaries(*map(values, parts), max_size=3)
    if parts:
        return st.one_of(*map(values, parts))
    if issubclass(hint, Enum):
        return st.sampled_from(hint)
    return st.builds(hint, **{name: values(each) for name, each in get_type_hints(hint).items()})


def any_of(kind: type[Fact]) -> st.SearchStrategy[Fact]:
    hints = get_type_hints(kind)
    return st.builds(kind, **{each.name: values(hints[each.name]) for each in fields(kind)})


@by_name
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_durable_fact_comes_back_from_the_journal_as_it_was(
    name: str, data: st.DataObject
) -> None:
    kind = KINDS[name]
    fact = data.draw(any_of(kind))
    if kind.durable:
        back = journal.decode(1, name, journal.encode(fact).decode())
        assert back == fact
        assert type(back) is kind
        assert journal.encode(back) == journal.encode(fact)
    else:
        with pytest.raises(KeyError):
            journal.encode(fact)


def test_facts_without_a_place_in_a_line_leave_its_state_alone() -> None:
    plan = chain(*WHOLE, paths=WHOLE_PATHS)
    state, untouched = LineState(LINE), LineState(LINE)
    for fact in (
        facts.AgentStarted("1"),
        facts.UnitsDoubted((1,), "duplicate"),
        facts.CodeRegistered(facts.CodeKey(1, 2, 0), "RULE-7"),
    ):
        assert evolve.evolve(plan, state, fact) == untouched
