"""The troubles of the plant: each physically happens, is told as a PLC and a camera would tell it,
and the truth knows."""

import json
from collections import Counter

import pytest

from agent.core.errors import ConfigError
from drivers.sim.layout import Layout
from drivers.sim.plant import Plant
from drivers.sim.troubles import TROUBLES, Dice, Trouble, moments, parse, rates
from drivers.sim.truth import Item
from drivers.sim.world import (
    ENTERED,
    FOREIGN_REJECT,
    JAM,
    LABEL_APPLIED,
    PASSED,
    REJECT_FAILED,
    REJECTED,
    TRIGGER,
    Exposure,
)
from tests.drivers.plant_help import Log, Scripted, liquor_layout, make, run

VERIFY, INFEED, LABEL = 1, 2, 3


def play(
    name: str, rate: float = 0.05, total: int = 240, layout: Layout | None = None, seed: int = 1
) -> tuple[Plant, Log, list[Item]]:
    """A plant with one trouble, what it said, and the bottles that the trouble befell."""
    bph = 36_000 if layout is None else 12_000
    plant = make(total, layout=layout, troubles={name: rate}, bph=bph, seed=seed)
    log = run(plant)
    struck = [item for item in plant.truth.levels[0] if name in item.befell]
    happened = plant.truth.account(str)["happened"]
    assert happened.keys() == {name} or name == "fallen"
    assert struck
    return plant, log, struck


def shots(log: Log, camera: str) -> list[Exposure]:
    return [shot for shot in log.exposures if shot.camera == camera]


def texts(shot: Exposure) -> list[str]:
    return [symbol.text for symbol in shot.scene.symbols if not symbol.damage]


def numbers(log: Log, kind: int, station: int) -> list[int]:
    return [entry.number for entry in log.of(kind, station)]


# ------------------------------------------------------------------------------------------ hands


def test_bottle_taken_leaves_its_window_empty() -> None:
    plant, log, struck = play("taken")
    assert {item.place for item in struck} == {"taken"}
    assert len(struck) + plant.truth.places()["packed"] + plant.truth.places()["lane"] == 240
    gate = plant.truth.gates["verify"]
    empty = log.of(REJECT_FAILED, VERIFY)
    # Taken between camera and gate: the gate says that no sensor saw anything.
    assert gate.empty == len(empty) > 0
    assert {entry.lane for entry in empty} == {1}
    # Nobody got the numbers of those that never came: every other one is as it was.
    assert set(numbers(log, ENTERED, INFEED)) < set(range(1, 241))
    assert plant.finished


def test_bottle_put_back_into_its_place_keeps_its_number() -> None:
    _, log, struck = play("put_back", rate=0.1)
    printed = dict(enumerate(numbers(log, TRIGGER, 0), start=1))
    coded = [item for item in struck if item.marks and item.place in ("packed", "lane")]
    assert len(coded) > 5
    for item in coded:
        assert item.number == printed[int(item.marks["body"].text[-8:])]
    assert {item.place for item in struck} <= {"packed", "lane", "taken", "rejected"}
    # It was not there when the camera fired for it: it has no answer, and is rejected.
    unasked = [item for item in struck if item.place == "rejected"]
    assert unasked
    triggered = set(numbers(log, TRIGGER, VERIFY))
    assert not {item.number for item in unasked} & triggered
    assert {item.number for item in unasked} <= set(numbers(log, REJECTED, VERIFY))


def test_bottle_put_elsewhere_gets_the_number_of_where_it_lies() -> None:
    plant, log, struck = play("put_elsewhere", rate=0.1)
    assert plant.truth.places().get("taken", 0) < len(struck)
    entered = numbers(log, ENTERED, INFEED)
    # Outside of every window the eye that meets it first opens a new one.
    new = [number for number in entered if number > 240 - len(struck)]
    assert new
    assert entered != sorted(entered)
    assert len(entered) == len(set(entered))


def test_hand_puts_in_a_blank_or_what_lay_on_the_table() -> None:
    def verdict(station: int, number: int) -> int:
        return (2 if station == VERIFY and number % 7 == 0 else 1) << 12 | number & 0xFFF

    plant = make(240, troubles={"put_in": 0.2})
    log = run(plant, Scripted(verdict))
    struck = [item for item in plant.truth.levels[0] if "put_in" in item.befell]
    blank = [item for item in struck if not item.marks]
    again = [item for item in struck if item.marks]
    assert blank
    assert again
    assert {item.bad for item in blank} == {"uncoded"}
    assert {item.bad for item in again} == {""}
    assert plant.fed == 240 + len(blank)
    assert len(numbers(log, ENTERED, INFEED)) == sum(
        plant.truth.places().get(place, 0) for place in ("packed", "lane")
    )


def test_nobody_touches_what_is_packed() -> None:
    plant = make(240, troubles=dict.fromkeys(("taken", "put_elsewhere", "put_in"), 0.2))
    run(plant)
    for case in plant.truth.levels[1]:
        assert all(child.place == "packed" and child.parent is case for child in case.children)
        assert len(case.children) == 24


# ------------------------------------------------------------------------- on the belt by itself


def test_fallen_bottle_is_seen_late_or_not_at_all() -> None:
    plant, log, struck = play("fallen", rate=0.1)
    assert {item.bad for item in struck} == {"fallen"}
    assert not any(mark.readable for item in struck for mark in item.marks.values())
    hidden = [item for item in struck if item.hidden]
    late = [item for item in struck if not item.hidden]
    assert hidden
    assert late
    # The gate takes what was seen; what reaches the packer jams it, and a person takes it away.
    assert {item.place for item in struck} == {"taken", "rejected"}
    places = plant.truth.places()
    assert places["packed"] + places["lane"] == len(log.of(ENTERED, INFEED))


def test_fallen_bottle_jams_the_packer() -> None:
    plant = make(240, troubles={"fallen": 0.02})
    agent, log = Scripted(), Log()
    turn, jams, was = 0, 0, 0
    while not plant.finished:
        turn += 1
        agent.work(turn * 0.02, plant, log)
        now = plant._floor.plc.image.flags & JAM
        jams += bool(now and not was)
        was = now
    taken = [item for item in plant.truth.levels[0] if item.place == "taken"]
    assert len(taken) >= jams > 0
    assert all("fallen" in item.befell for item in taken)


def test_touching_bottles_give_one_trigger_and_one_picture_of_both() -> None:
    plant, log, _ = play("touching", rate=0.1)
    both = [shot for shot in shots(log, "verify") if len(shot.scene.symbols) == 2]
    assert both
    assert len(log.of(TRIGGER, VERIFY)) < 240 - plant.truth.places().get("rejected", 0)
    assert len(log.of(TRIGGER, VERIFY)) == len(shots(log, "verify"))
    assert plant.truth.gates["verify"].unseen > 0
    assert sum(plant.truth.places().values()) == 240


def test_blast_at_touching_bottles_takes_one_or_both() -> None:
    plant = make(480, troubles={"touching": 0.2})
    log = run(plant, Scripted(lambda station, n: (2 if station == VERIFY else 1) << 12 | n & 0xFFF))
    failed = [entry for entry in log.of(REJECT_FAILED, VERIFY) if not entry.lane]
    assert plant.truth.gates["verify"].failed == len(failed) > 0
    assert [item for item in plant.truth.levels[0] if item.why == "next_to"]


@pytest.mark.parametrize("told", [True, False])
def test_foreign_rejector(told: bool) -> None:
    plant, log, struck = play("foreign_told" if told else "foreign_silent")
    assert {item.place for item in struck} == {"foreign"}
    events = log.of(FOREIGN_REJECT)
    assert len(events) == (len(struck) if told else 0)
    # It names the station that the bottle left last, and no gate misses it.
    assert {entry.station for entry in events} <= {VERIFY}
    assert (plant.truth.gates["verify"].empty == 0) == told
    assert len(log.of(ENTERED, INFEED)) == 240 - len(struck)


# ------------------------------------------------------------------------------------- photo-eyes


def test_lost_trigger_takes_no_picture_and_gets_no_pass() -> None:
    plant, log, struck = play("lost_trigger")
    assert len(log.of(TRIGGER, VERIFY)) == len(shots(log, "verify"))
    uncoded = [item for item in struck if item.bad == "uncoded"]
    assert uncoded  # the coder's eye missed it: the next one numbers it
    unasked = [item for item in struck if item.place == "rejected"]
    assert plant.truth.gates["verify"].unasked == len(unasked) > 0
    assert {item.why for item in unasked} == {"no_verdict"}


def test_double_trigger_opens_a_window_with_nothing_in_it() -> None:
    plant, log, _ = play("double_trigger")
    coder, verify, infeed = (
        set(numbers(log, kind, station))
        for kind, station in ((TRIGGER, 0), (TRIGGER, VERIFY), (ENTERED, INFEED))
    )
    assert len(coder) > 240
    # What the coder's eye saw twice is in no window of the next one.
    assert not (coder - set(range(1, 241)) and coder <= verify)
    again = [
        number
        for number in numbers(log, REJECT_FAILED, VERIFY)
        if number in verify and number not in infeed
    ]
    assert len(again) == plant.truth.gates["verify"].empty > 0
    # The camera saw the same bottle twice.
    seen = [tuple(texts(shot)) for shot in shots(log, "verify")]
    assert len(seen) - len(set(seen)) == plant.truth.gates["verify"].empty
    assert plant.truth.places()["packed"] + plant.truth.places().get("lane", 0) == 240


def test_extra_trigger_at_the_infeed_makes_a_case_that_is_short() -> None:
    plant, log, _ = play("extra_trigger")
    blank = [shot for shot in shots(log, "verify") if not shot.scene.symbols]
    assert len(blank) == plant.truth.gates["verify"].empty > 0
    assert any(len(case.children) < 24 for case in plant.truth.levels[1])
    assert all(entry.data == 0x6666 for entry in log.of(5, INFEED))  # as the PLC counts


# --------------------------------------------------------------------------------------- pictures


def test_neighbour_is_read_too_or_alone() -> None:
    plant, log, _ = play("neighbour", rate=0.2)
    texts_of = {item.number: item.marks["body"].text for item in plant.truth.levels[0]}
    alone = both = 0
    triggers = numbers(log, TRIGGER, VERIFY)
    for number, shot in zip(triggers, shots(log, "verify"), strict=True):
        seen = texts(shot)
        both += len(seen) == 2
        alone += texts_of[number] not in seen
    assert both
    assert alone


def test_lost_frame_leaves_a_gap_in_the_numbers() -> None:
    _, log, struck = play("lost_frame")
    counters = [shot.counter for shot in shots(log, "verify")]
    assert len(counters) < 240
    assert counters == sorted(set(counters))
    assert len(log.of(TRIGGER, VERIFY)) == 240 > len(struck)


def test_extra_frame_has_no_trigger() -> None:
    _, log, _ = play("extra_frame")
    frames = shots(log, "verify")
    assert len(frames) > len(log.of(TRIGGER, VERIFY)) == 240
    assert [shot.counter for shot in frames] == list(range(1, len(frames) + 1))


def test_late_frame_holds_up_those_behind_it() -> None:
    plant = make(240, troubles={"late_frame": 0.02})
    agent, log = Scripted(), Log()
    turn, late = 0, 0
    while not plant.finished:
        turn += 1
        before = len(log.exposures)
        agent.work(turn * 0.02, plant, log)
        late += any(turn * 0.02 - shot.camera_time > 0.1 for shot in log.exposures[before:])
    assert late
    counters = [shot.counter for shot in shots(log, "verify")]
    assert counters == list(range(1, 241))


def test_repeated_frame_and_repeated_picture() -> None:
    _, log, _ = play("repeated_frame")
    counters = [shot.counter for shot in shots(log, "verify")]
    assert sorted(set(counters)) == list(range(1, 241))
    assert len(counters) > 240
    _, log, _ = play("repeated_picture")
    frames = shots(log, "verify")
    assert [shot.counter for shot in frames] == list(range(1, 241))
    assert len({shot.scene for shot in frames}) < 240


# --------------------------------------------------------------------------------- caps and labels


def test_cap_that_is_dropped_shifts_the_caps_behind_it() -> None:
    plant, log, struck = play("cap_dropped", rate=0.05, total=120, layout=liquor_layout(200))
    read = [texts(shot)[0] for shot in shots(log, "cap")]
    bottles = plant.truth.levels[0]
    wrong = {
        item.serial
        for item, text in zip(bottles, read, strict=True)
        if item.marks["cap-inner"].text != text
    }
    # Those whose caps lay in the chute already: then one has gone by the camera unseen.
    assert wrong == {item.serial + n for item in struck for n in range(3)} & set(range(1, 121))
    assert len({item.marks["cap-inner"].text for item in bottles}) == 120
    assert not any(item.bad for item in bottles)


def test_cap_that_is_skipped_comes_a_turn_later() -> None:
    plant, _, struck = play("cap_skipped", rate=0.02, total=120, layout=liquor_layout(200))
    bottles = plant.truth.levels[0]
    for item in struck:
        assert item.bad == "cap_skipped"
        assert "cap-inner" not in item.marks
    first = struck[0].serial
    later = int(bottles[first - 1 + 8].marks["cap-inner"].text[-6:])
    assert later == first


def test_label_that_sticks_comes_one_late() -> None:
    plant = make(24 * 30, troubles={"label_shifted": 0.1})
    log = run(plant)
    cases = plant.truth.levels[1]
    struck = [case for case in cases if "label_shifted" in case.befell]
    bare = [case for case in struck if not case.marks]
    shifted = [case for case in struck if case.marks]
    assert bare
    assert shifted
    for case in shifted:
        assert int(case.marks["case-outer"].text[-6:]) == case.serial - 1
    assert len(log.of(LABEL_APPLIED, 3)) == 30


# ------------------------------------------------------------------------------------- the dice


@pytest.mark.parametrize("name", list(TROUBLES))
def test_each_trouble_is_the_same_for_a_seed_and_comes_to_an_end(name: str) -> None:
    def play_once() -> str:
        layout = liquor_layout(160) if name.startswith("cap_") else None
        rate = 300 if TROUBLES[name].per == "hour" else 0.05
        plant = make(144, layout=layout, troubles={name: rate}, seed=7)
        log = run(plant, step=0.05)
        account = plant.truth.account(str)
        assert set(account["happened"]) <= {name, "unreadable"}
        assert sum(account["places"].values()) == account["fed"]
        inside = sum(len(case.children) for case in plant.truth.levels[1])
        assert account["places"].get("packed", 0) == inside
        return repr(log) + json.dumps(account)

    assert play_once() == play_once()


def test_one_trouble_does_not_shift_another() -> None:
    def taken(more: dict[str, float]) -> list[int]:
        plant = make(240, troubles={"taken": 0.05, **more})
        run(plant, step=0.05)
        return [item.serial for item in plant.truth.levels[0] if "taken" in item.befell]

    alone = taken({})
    assert alone
    assert taken({"unreadable": 0.1, "late_frame": 0.1, "neighbour": 0.1}) == alone


def test_dice_in_blocks_are_the_same_dice() -> None:
    dice = Dice(3, "taken")
    for limit in (1, 1 << 60, (1 << 64) - 1, 1 << 64):
        one_by_one = {n for n in range(1000, 1600) if dice.roll(n) < limit}
        assert dice.below(1000, 600, limit) == one_by_one
    always, never = Trouble(3, "taken", 1.0), Trouble(3, "taken", 0.0)
    assert all(always.hits(n) for n in range(3000))
    assert not any(never.hits(n) for n in range(3000))


def test_moments_come_at_their_rate() -> None:
    times = moments(1, "jam", 6.0)
    first = [next(times) for _ in range(600)]
    assert first == sorted(first)
    assert 90 * 3600 < first[-1] < 110 * 3600  # 100 h expected, sigma 4 h
    assert list(moments(1, "jam", 0)) == []


def test_rate_as_a_person_writes_it() -> None:
    assert parse("taken=0.001") == ("taken", 0.001)
    assert parse("taken=1/1000") == ("taken", 0.001)
    assert rates("none", dict([parse("taken=1/1000")])) == {"taken": 0.001}
    for wrong, says in (
        ("taken", "NAME=RATE"),
        ("taken=x", "NAME=RATE"),
        ("taken=1/0", "NAME=RATE"),
        ("gremlins=1", "not known"),
        ("taken=2", "between 0 and 1"),
        ("taken=nan", "between 0 and 1"),
    ):
        with pytest.raises(ConfigError, match=says):
            parse(wrong)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_trigger_ends_once_at_its_gate_whatever_happens(seed: int) -> None:
    # The gate is told apart by its windows: a PLC that forgets them has a test of its own.
    mixed = {n: min(1.0, k.daily * 200) for n, k in TROUBLES.items() if k.per != "hour"}
    plant = make(480, troubles={**mixed, "jam": 120, "guard_open": 120, "estop": 60}, seed=seed)
    log = run(plant)
    for name, station in (("verify", VERIFY), ("case-label", LABEL)):
        triggered = Counter(numbers(log, TRIGGER, station))
        assert set(triggered.values()) == {1}
        passed, rejected, failed = (
            numbers(log, kind, station) for kind in (PASSED, REJECTED, REJECT_FAILED)
        )
        ends = Counter([*passed, *rejected, *failed])
        assert set(ends.values()) == {1}
        assert triggered.keys() <= ends.keys()
        gate = plant.truth.gates[name]
        assert gate.unasked == len(ends.keys() - triggered.keys())
        assert gate.passed_good + gate.passed_bad == len(passed)
        assert gate.rejected_good + gate.rejected_bad == len(rejected)
        assert gate.failed + gate.empty == len(failed)


def test_the_plant_knows_what_a_camera_was_shown() -> None:
    plant = make(240, troubles={"lost_trigger": 0.02})
    run(plant, Scripted())
    unseen = {each.serial for each in plant.truth.troubled if each.where == "verify"}
    assert unseen
    for bottle in plant.truth.levels[0]:
        assert bottle.shown == (bottle.serial not in unseen)
        assert plant.truth._fate(bottle, str)["shown"] == bottle.shown
