"""Packed rows arrive as they were given, in every table that is written in bulk, on both databases;
and a key that exists is told."""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

import pytest

from sync.cloud.database import Block, Connection, Database, Duplicate, open_database
from sync.cloud.migrations.m0001_initial import COLUMNS
from sync.cloud.rows import Named

MOST = (1 << 63) - 1
TEXTS = [
    "https://q.example.cn/A",
    "https://q.example.cn/B",
    "ftps://q.example.cn/码码码",
    "a'\"\\\n\t%22?",
    "码 é 𐐷",
    "",
    '["x", {"y": 1}]',
    "123",
    "null",
]


def key(n: int) -> bytes:
    """A key; in no order, some of them with zero bytes."""
    return (n * 0x9E3779B97F4A7C15 % (1 << 64)).to_bytes(8, "big") + bytes(8)


STREAM = 77
ROWS: dict[str, list[tuple[Any, ...]]] = {
    "event": [
        (MOST - n, STREAM, MOST, n, 100_000, key(n), 1_790_000_000_000 + n, key(-n))
        for n in range(5)
    ],
    "unit": [(key(n), text, MOST - n // 3) for n, text in enumerate(TEXTS)],
    "alias": [
        (key(n), key(n + 1), text, role, pair, MOST - n)
        for n, (text, role, pair) in enumerate(
            zip(
                TEXTS,
                ["cap", "b'", "cap", "", "a\\", "cap", "b'", "cap", "cap"],
                ["p", "", *"ppppppp"],
                strict=True,
            )
        )
    ],
    "link": [(key(n % 3), MOST - n) for n in range(9)],
    "movement": [(key(n % 3), n + 1) for n in range(9)],
    "box": [(n + 1, key(n), text, key(n) * n) for n, text in enumerate(TEXTS)],
}


def packed(database: Database, table: str, rows: list[tuple[Any, ...]]) -> Block:
    """Rows as the consumer packs them."""
    if table == "event":
        events = database.pack(table, [(at, *rest) for at, _, *rest in rows])
        return database.placed(events, STREAM)
    if table == "unit":
        named = []
        for event, some in groupby(rows, itemgetter(2)):
            keys, texts, _ = zip(*some, strict=True)
            named.append(Named(event, keys, texts))
        return database.pack(table, named)
    if table in ("link", "movement"):
        groups = groupby(rows, itemgetter(1))
        return database.pack(table, [Named(n, [key for key, _ in some]) for n, some in groups])
    return database.pack(table, rows)


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
        half = len(ROWS[table]) // 2
        conn.copy(table, [packed(database, table, some) for some in (ROWS[table][:half], [])])
        conn.copy(table, [database.pack(table, [])])
        conn.copy(table, [])
        conn.copy(table, [packed(database, table, ROWS[table][half:])])
    found = [
        tuple(bytes(each) if isinstance(each, memoryview) else each for each in row)
        for row in conn.rows(f"SELECT {', '.join(COLUMNS[table])} FROM {table}")
    ]
    assert sorted(found) == sorted(ROWS[table])


@pytest.mark.parametrize("table", ["unit", "alias"])
def test_a_key_that_exists_is_told_and_nothing_stays(
    database: Database, conn: Connection, table: str
) -> None:
    twice = [packed(database, table, some) for some in (ROWS[table], ROWS[table][:1])]
    with pytest.raises(Duplicate), conn.writing():
        conn.copy(table, twice)
    assert conn.one(f"SELECT count(*) FROM {table}") == (0,)
    once = [packed(database, table, ROWS[table])]
    with conn.writing():
        conn.copy(table, once)
    with pytest.raises(Duplicate), conn.writing():
        conn.copy(table, once)
    assert conn.one(f"SELECT count(*) FROM {table}") == (len(ROWS[table]),)
