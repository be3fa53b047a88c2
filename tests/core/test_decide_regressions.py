"""Sequences that once went wrong, each as it was found."""

from collections.abc import Iterator

import pytest

from agent.core import inputs as i
from agent.core.errors import DomainError
from tests.core.rig import Rig, durable
from tests.core.sites import SITES


@pytest.fixture
def sequence() -> Iterator[Rig]:
    """Pre-coded bottles, packed by lane and count."""
    rig = Rig(SITES["sequence"])
    rig.submit([i.RunChanged(1, "first_start")])
    yield rig
    rig.remove()


def test_a_refused_group_leaves_no_trace_in_the_state(sequence: Rig) -> None:
    """An input that is refused after one of its group was decided took that one's rows back, and
    the state went on without them."""
    rig = sequence
    rig.submit([i.ItemTriggered("verify", 7), i.ItemReadings("verify", 7, "eye", ("1-body-0007",))])
    before = durable(rig.state())
    with pytest.raises(DomainError):
        rig.submit(
            [
                i.ItemTriggered("verify", 8),
                i.ItemReadings("verify", 8, "eye", ("1-body-0008",)),
                i.StartOrder("WO-1", "li"),
            ]
        )
    after = rig.state()
    assert after.items == {}, "what was in flight is not known any more"
    assert durable(after) == durable(rig.replayed()) == before
