"""Sequences that once went wrong, each as it was found."""

from collections.abc import Iterator

import pytest

from agent.core import inputs as i
from agent.core.effects import PrintLabel
from agent.core.errors import DomainError
from agent.core.facts import (
    ContainerClosed,
    ContainerRejected,
    ItemPassed,
    ItemRejected,
    ItemsMissed,
)
from agent.core.tracking import differences
from tests.core.rig import Rig, durable
from tests.core.sites import SITES


def started(site: str) -> Iterator[Rig]:
    rig = Rig(SITES[site])
    rig.submit([i.RunChanged(1, "first_start")])
    yield rig
    rig.remove()


@pytest.fixture
def sequence() -> Iterator[Rig]:
    """Pre-coded bottles, packed by lane and count."""
    yield from started("sequence")


@pytest.fixture
def coded() -> Iterator[Rig]:
    """Bottles are printed, cases read and labelled, pallets too."""
    yield from started("coded")


@pytest.fixture
def roles() -> Iterator[Rig]:
    """Bottles with a secret cap code, a body code and an optional neck code."""
    yield from started("roles")


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


def _bottles(rig: Rig, first: int, count: int) -> None:
    """Bottles first, first + 1, ... with the codes of the same rows, passed and in lane 0."""
    for number in range(first, first + count):
        text = f"1-body-{number:04d}"
        rig.submit([i.ItemTriggered("verify", number)])
        rig.submit([i.ItemReadings("verify", number, "eye", (text,))])
        rig.submit([i.GateReported("verify", number, i.GateSaw.PASSED)])
        rig.submit([i.ItemEntered("packer", 0, number)])


def _contents(rig: Rig) -> dict[int, int]:
    """How many units each container holds."""
    return dict(rig.ask("SELECT unit, count FROM container"))


def test_a_plc_restart_gives_container_numbers_anew(sequence: Rig) -> None:
    """Children went into the container that had the number before, closed or not."""
    rig = sequence
    _bottles(rig, 10, 6)
    rig.submit([i.Stroked("packer", 0, (2, 0), last=False)])
    rig.submit([i.RunChanged(2, "plc_restart")])
    _bottles(rig, 20, 4)
    rig.submit([i.Stroked("packer", 0, (4, 0))])
    assert sorted(_contents(rig).values()) == [2, 4]


def test_a_number_that_wrapped_names_a_new_container(sequence: Rig) -> None:
    """After a restart the agent does not know that a container has left the line."""
    rig = sequence
    _bottles(rig, 10, 8)
    rig.submit([i.Stroked("packer", 0, (4, 0))])
    rig.restart()
    rig.submit([i.RunChanged(1, "agent_restart")])
    _bottles(rig, 20, 4)
    rig.submit([i.Stroked("packer", 0, (4, 0))])
    assert sorted(_contents(rig).values()) == [4, 4]
    (one, two) = rig.state().containers["packer"].values(), rig.replayed().containers["packer"]
    assert [c.unit for c in one] == [c.unit for c in two.values()]


def test_labels_of_two_containers_closed_at_once_differ(sequence: Rig) -> None:
    """Both got the next code of the pool, and the whole group was refused."""
    rig = sequence
    _bottles(rig, 10, 4)
    rig.submit([i.Stroked("packer", 0, (2, 0), last=False)])
    rig.submit([i.Stroked("packer", 1, (2, 0), last=False)])
    done = rig.submit([i.ClosePartial("packer", "end of lot", "li")])
    keys = [effect.key for effect in done.effects if isinstance(effect, PrintLabel)]
    assert len(set(keys)) == 2


def test_a_role_is_missed_though_its_reader_answered_too_late(roles: Rig) -> None:
    """The cap's answer came when the bottle was at the next station: it passed without a cap."""
    rig = roles
    rig.submit([i.ItemTriggered("caps", 1), i.ItemTriggered("front", 1)])
    rig.submit([i.ItemReadings("caps", 1, "cap", ("1-cap-0005",))])
    rig.submit([i.ItemReadings("front", 1, "two", ())])
    done = rig.submit([i.ItemReadings("front", 1, "one", ("1-body-0005",))])
    assert [type(fact) for fact in done.facts] == [ItemRejected]


def test_a_second_code_of_a_role_at_a_later_station_is_a_mismatch(roles: Rig) -> None:
    """What the last reader of a station had read was not remembered at the next one."""
    rig = roles
    rig.submit([i.ItemTriggered("caps", 1)])
    rig.submit([i.ItemReadings("caps", 1, "cap", ("1-cap-0005",))])
    rig.submit([i.ItemTriggered("front", 1)])
    rig.submit([i.ItemReadings("front", 1, "one", ("1-body-0005",))])
    done = rig.submit([i.ItemReadings("front", 1, "two", ("NECK-1",))])
    assert ItemPassed in [type(fact) for fact in done.facts]
    rig.submit([i.GateReported("front", 1, i.GateSaw.PASSED), i.ItemTriggered("back", 1)])
    done = rig.submit([i.ItemReadings("back", 1, "three", ("1-body-0005", "NECK-2"))])
    kinds = [type(fact) for fact in done.facts]
    assert ItemRejected in kinds
    assert ItemPassed not in kinds


def test_a_container_before_the_gate_is_in_flight_no_more_when_events_were_lost(
    sequence: Rig,
) -> None:
    """The counts began anew without it, and its station never balanced again."""
    rig = sequence
    _bottles(rig, 10, 4)
    rig.submit([i.Stroked("packer", 0, (4, 0)), i.ItemTriggered("label", 0)])
    rig.submit([i.RunChanged(1, "ring_overrun")])
    assert differences(rig.site.plan, rig.state()) == []


def test_a_case_of_a_finished_order_gets_its_label(sequence: Rig) -> None:
    """Only the pools of the running order were looked up: the label pool seemed to be empty."""
    rig = sequence
    _bottles(rig, 10, 4)
    rig.submit([i.Stroked("packer", 0, (2, 0), last=False)])
    rig.submit([i.FinishOrder("li")])
    done = rig.submit([i.Stroked("packer", 0, (2, 0))])
    assert [type(effect) for effect in done.effects] == [PrintLabel]


def test_a_full_case_leaves_the_permission_to_the_next_short_one(sequence: Rig) -> None:
    """The permission was gone with the next case that closed, full or not."""
    rig = sequence
    rig.submit([i.ClosePartial("packer", "end of lot", "li")])
    _bottles(rig, 10, 6)
    rig.submit([i.Stroked("packer", 0, (4, 0)), i.ItemTriggered("label", 0)])
    done = rig.submit([i.ItemReadings("label", 0, "side", ("2-outer-0002",))])
    assert [f.reason for f in done.facts if isinstance(f, ContainerClosed)] == [""]
    done = rig.submit([i.Stroked("packer", 1, (2, 0))])
    assert not any(isinstance(fact, ContainerRejected) for fact in done.facts)


def test_a_label_that_was_never_sent_does_not_stop_the_printer(sequence: Rig) -> None:
    """Its code became suspect, and the pool could not be printed past it any more."""
    rig = sequence
    _bottles(rig, 10, 16)
    for number in range(4):
        rig.submit([i.Stroked("packer", number, (4, 0)), i.ItemTriggered("label", number)])
        done = rig.submit([i.ItemReadings("label", number, "side", ("2-outer-0005",))])
        good = any(isinstance(fact, ContainerClosed) for fact in done.facts)
        assert good == (number == 3), "the code is good once it was sent"


def test_a_case_that_is_taken_off_before_its_label_is_missed(coded: Rig) -> None:
    """Containers were not counted on the way from the packer to the labeller."""
    rig = coded
    for number in (0, 1):
        rig.submit([i.Stroked("packer", number, (0, 0)), i.ItemTriggered("packer", number)])
        rig.submit([i.GateReported("packer", number, i.GateSaw.FAILED)])
    done = rig.submit([i.ItemTriggered("label", 1)])
    assert [f.items for f in done.facts if isinstance(f, ItemsMissed)] == [(0,)]


def test_a_refused_case_is_still_the_same_after_lost_events(sequence: Rig) -> None:
    """Its next stroke made a second container of it."""
    rig = sequence
    rig.submit([i.Stroked("packer", 0, (2, 0), last=False)])  # nobody knows what was in the lane
    rig.submit([i.RunChanged(1, "inputs_lost")])
    _bottles(rig, 10, 2)
    rig.submit([i.Stroked("packer", 0, (2, 0))])
    assert list(_contents(rig).values()) == [4]


def test_a_pallet_that_gets_its_last_layer_later_is_not_overtaken(coded: Rig) -> None:
    """It was on the path since its first layer, and said to be missing when another came first."""
    rig = coded
    for number, last in ((0, False), (1, True), (0, True)):
        rig.submit([i.Stroked("stacker", number, (1,), last), i.ItemTriggered("stacker", number)])
    for number in (1, 0):
        done = rig.submit([i.ItemTriggered("last", number)])
        assert not any(isinstance(fact, ItemsMissed) for fact in done.facts)
