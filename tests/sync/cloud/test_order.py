"""However the network shuffles, repeats, cuts and loses: the answers are the same."""

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync.cloud.database import open_database
from tests.sync.cloud.conftest import fresh_postgres
from tests.sync.cloud.delivery import Step, answers, deliver, doubled
from tests.sync.cloud.told import Cloud

STEPS = st.lists(
    st.builds(
        Step,
        who=st.integers(0, 2),
        many=st.integers(1, 4),
        back=st.integers(-2, 3),
        lost=st.booleans(),
    ),
    max_size=30,
)


def told(url: str, steps: list[Step]) -> dict[str, Any]:
    """What a new cloud answers after these steps."""
    cloud = Cloud(open_database(url))
    try:
        deliver(cloud, steps)
        assert doubled(cloud.conn) == []
        return answers(cloud.conn)
    finally:
        cloud.close()


@cache
def expected() -> dict[str, Any]:
    """The answers when everything came in order, one agent after the other."""
    with tempfile.TemporaryDirectory() as folder:
        return told(f"sqlite:///{folder}/cloud.db", [])


@settings(max_examples=30, deadline=None)
@given(steps=STEPS)
def test_the_order_of_arrival_does_not_matter(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert told(f"sqlite:///{folder}/cloud.db", steps) == expected()


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_nor_does_it_on_postgresql(postgres_server: str, steps: list[Step]) -> None:
    assert told(fresh_postgres(postgres_server), steps) == expected()


@pytest.mark.parametrize("who", [0, 1, 2])
def test_whoever_comes_last(tmp_path: Path, who: int) -> None:
    """Each agent after all others, row by row."""
    steps = [Step(other, 1, 0, False) for other in range(3) for _ in range(12) if other != who]
    assert told(f"sqlite:///{tmp_path / 'cloud.db'}", steps) == expected()


def test_the_story_has_everything_in_it() -> None:
    """The comparison would be worth little if nothing happened."""
    found = expected()
    told_of = [each for code, each in found.items() if code.startswith("https://")]
    assert {"packed", "sampled", "received"} <= {each.get("state") for each in told_of}
    assert {each["answer"] for each in told_of} == {"known", "quarantined", "not_known_yet"}
    history = [event for each in told_of for event in each.get("history", ())]
    assert any(event.get("lost_by_its_agent") for event in history)
    assert found["letters"]
    assert found["quarantine"]["quarantined"]
