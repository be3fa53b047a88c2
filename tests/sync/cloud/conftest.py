"""Each back end of the cloud, fresh for every test."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest

from sync.cloud.database import open_database
from tests.sync.cloud import postgres
from tests.sync.cloud.told import Cloud

_number = count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A running PostgreSQL; the URL of its databases, up to the name."""
    with postgres.server() as url:
        yield url


def fresh_postgres(server: str) -> str:
    """The URL of a new, empty database; the one before is gone then."""
    number = next(_number)
    name = f"test{number}"
    with psycopg.connect(server + "postgres", autocommit=True) as conn:
        conn.execute(f"DROP DATABASE IF EXISTS test{number - 1} WITH (FORCE)")  # type: ignore[arg-type]
        conn.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    return server + name


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of each kind, empty."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'cloud.db'}"
    return fresh_postgres(request.getfixturevalue("postgres_server"))


@pytest.fixture
def cloud(url: str) -> Iterator[Cloud]:
    made = Cloud(open_database(url))
    yield made
    made.close()
