"""Packed rows arrive as they were given, in every table that is written in bulk, on both databases;
and a key that exists is told."""

from collections.abc import Iterator
from typing import Any

import pytest

from sync.cloud.database import Connection, Database, Duplicate, open_database
from sync.cloud.migrations.m0001_initial import COLUMNS

MOST = (1 << 63) - 1
TEXTS = ["https://q.example.cn/A", "a'\"\\\n\t%22?", "码 é 𐐷", "", '["x", {"y": 1}]', "123", "null"]


def key(n: int) -> bytes:
    """A key; in no order, some of them with zero bytes."""
    return (n * 0x9E3779B97F4A7C15 % (1 << 64)).to_bytes(8, "big") + bytes(8)


ROWS: dict[str, list[tuple[Any, ...]]] = {
    "event": [
        (MOST - n, n, MOST, n, 100_000, key(n), 1_790_000_000_000 + n, key(-n)) for n in range(5)
    ],
    "unit": [(key(n), text, MOST - n) for n, text in enumerate(TEXTS)],
    "alias": [
        (key(n), key(n + 1), text, role, pair, MOST - n)
        for n, (text, role, pair) in enumerate(
            zip(
                TEXTS,
                ["cap", "b'", "cap", "", "a\\", "cap", "b'"],
                ["p", "", *"ppppp"],
                strict=True,
            )
        )
    ],
    "link": [(key(n % 3), MOST - n) for n in range(9)],
    "movement": [(key(n % 3), n + 1) for n in range(9)],
    "box": [(n + 1, key(n), text, key(n) * n) for n, text in enumerate(TEXTS)],
}


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = open_database(url)
    yield database
    database.close()


@pytest.fixture
def conn(database: Database) -> Iterator[Connection]:
    conn = database.connect()
    yield conn
    conn.close()


@pytest.mark.parametrize("table", COLUMNS)
def test_rows_arrive_as_they_were_given(database: Database, conn: Connection, table: str) -> None:
    with conn.writing():
        conn.copy(table, database.pack(table, ROWS[table]))
        conn.copy(table, database.pack(table, []))
    found = [
        tuple(bytes(each) if isinstance(each, memoryview) else each for each in row)
        for row in conn.rows(f"SELECT {', '.join(COLUMNS[table])} FROM {table}")
    ]
    assert sorted(found) == sorted(ROWS[table])


@pytest.mark.parametrize("table", ["unit", "alias"])
def test_a_key_that_exists_is_told_and_nothing_stays(
    database: Database, conn: Connection, table: str
) -> None:
    twice = database.pack(table, [*ROWS[table], ROWS[table][0]])
    with pytest.raises(Duplicate), conn.writing():
        conn.copy(table, twice)
    assert conn.one(f"SELECT count(*) FROM {table}") == (0,)
    once = database.pack(table, ROWS[table])
    with conn.writing():
        conn.copy(table, once)
    with pytest.raises(Duplicate), conn.writing():
        conn.copy(table, once)
    assert conn.one(f"SELECT count(*) FROM {table}") == (len(ROWS[table]),)
