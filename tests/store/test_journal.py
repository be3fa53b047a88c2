"""The journal: every kind comes back as it was, in order, sealed; and cannot be changed."""

import types
import typing
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlcipher3 import dbapi2

from agent.core import facts as f
from agent.core.errors import ConfigError
from agent.core.facts import KINDS, Fact
from agent.core.scheme import WorkOrder
from agent.store import journal
from agent.store.project import HANDLED
from agent.store.verify import verify
from tests.store.store_help import LINE, ORDER, Plant, at, shift

DURABLE = [kind for kind in KINDS.values() if kind.durable]


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of a field's type."""
    if hint is int:
        return st.integers(-(2**53), 2**53)
    if hint is str:
        return st.text()
    if hint is bool:
        return st.booleans()
    if hint is WorkOrder:
        return st.just(ORDER)
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return st.one_of(*(st.none() if one is type(None) else values(one) for one in inner))
    if origin is tuple and inner[-1] is Ellipsis:
        return st.lists(values(inner[0]), max_size=4).map(tuple)
    if origin is tuple:
        return st.tuples(*(values(one) for one in inner))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(list(hint))
    if isinstance(hint, type) and issubclass(hint, tuple):  # a NamedTuple
        return st.tuples(*(values(one) for one in get_type_hints(hint).values())).map(
            lambda parts: hint(*parts)
        )
    raise AssertionError(f"no strategy for {hint}")


def facts_of(kind: type[Fact]) -> st.SearchStrategy[Fact]:
    hints = get_type_hints(kind)
    return st.builds(kind, **{field.name: values(hints[field.name]) for field in fields(kind)})


@given(st.one_of(*(facts_of(kind) for kind in DURABLE)))
def test_every_kind_comes_back_as_it_was(fact: Fact) -> None:
    kind = type(fact).__name__
    back = journal.decode(1, kind, journal.encode(fact).decode())
    assert back == fact
    assert type(back) is type(fact)
    for field in fields(fact):
        assert type(getattr(back, field.name)) is type(getattr(fact, field.name))


def test_a_body_is_a_plain_array_and_a_new_field_may_be_missing() -> None:
    fact = f.OrderPaused("WO-1", "li", "break")
    assert journal.encode(fact) == b'["WO-1","li","break"]'
    assert journal.decode(1, "OrderPaused", '["WO-1","li"]') == f.OrderPaused("WO-1", "li")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("Teleported", "[]"),
        ("OrderPaused", '["WO-1","li","why","a field of tomorrow"]'),
        ("OrderPaused", '["WO-1"]'),
        ("OrderPaused", '["WO-1",5]'),
        ("GatePassed", '["gate",1]'),  # not durable: cannot have been written
    ],
)
def test_what_this_program_cannot_read_is_loud_and_named(kind: str, body: str) -> None:
    with pytest.raises(ConfigError, match=rf"row 7 of kind {kind} .* caselink \S+ .* newer"):
        journal.decode(7, kind, body)


def test_new_fields_of_facts_have_defaults_after_those_without() -> None:
    for kind in DURABLE:
        given = [field.default is not MISSING for field in fields(kind)]
        assert is_dataclass(kind)
        assert given == sorted(given)


def test_the_store_knows_what_every_durable_kind_changes() -> None:
    assert set(DURABLE) == HANDLED


def test_rows_are_gapless_and_carry_their_clock(tmp_path: Path) -> None:
    plant = Plant(tmp_path).load()
    for facts in shift(plant):
        plant.put(*facts)
    entries = list(journal.read(plant.conn))
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    assert len({entry.epoch for entry in entries}) == 1
    assert entries[0].line == ""
    assert entries[-1].line == LINE
    assert entries[-1].clock == at(plant.tick)
    assert entries[-1].fact == f.OrderFinished(ORDER.number, "li")
    assert [entry.seq for entry in journal.read(plant.conn, 3, 5)] == [3, 4, 5]
    plant.close()


def test_the_hash_is_what_the_document_says(tmp_path: Path) -> None:
    from hashlib import blake2b

    plant = Plant(tmp_path).load()
    before = bytes(16)
    for row in journal.rows(plant.conn):
        head = msgspec.json.encode(list(row[:7]))
        before = blake2b(before + head + row.body.encode(), digest_size=16).digest()
        assert row.hash == before
    plant.close()


def test_a_fact_that_is_not_durable_is_not_written(tmp_path: Path) -> None:
    plant = Plant(tmp_path).load()
    seq = plant.put(f.AgentStarted("1"))
    assert plant.put(f.GatePassed("verify", 1)) == seq
    with pytest.raises(ValueError, match="not durable"):
        journal.append(plant.conn, LINE, [f.GatePassed("verify", 1)], at(1))
    plant.close()


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM journal WHERE seq = 2", "UPDATE journal SET body = '[]' WHERE seq = 2"],
)
def test_the_journal_is_append_only(tmp_path: Path, statement: str) -> None:
    plant = Plant(tmp_path).load()
    with pytest.raises(dbapi2.IntegrityError, match="append-only"):
        plant.conn.execute(statement)
    plant.close()


def test_rows_keep_the_epoch_in_which_they_were_written(tmp_path: Path) -> None:
    plant = Plant(tmp_path).load()
    last = plant.put(f.AgentStarted("1"))
    (first,) = {row.epoch for row in journal.rows(plant.conn)}
    plant.writer.run_inline(lambda conn: journal.begin_epoch(conn, "restored"))
    assert plant.put(f.AgentStarted("1")) == last + 1
    plant.reopen()
    plant.put(f.AgentStarted("1"))
    epochs = [row.epoch for row in journal.rows(plant.conn)]
    assert epochs == [first] * last + ["restored"] * 2
    assert verify(plant.conn).ok
    plant.close()
