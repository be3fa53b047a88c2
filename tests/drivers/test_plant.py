"""The pure plant: what happens on the belt, and what it says happened."""

import itertools
import json
from pathlib import Path

import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.errors import ConfigError
from drivers.sim.layout import Feed, dump, load
from drivers.sim.lines import bottling
from drivers.sim.plant import Plant
from drivers.sim.plcmodel import PlcModel
from drivers.sim.render import render
from drivers.sim.troubles import DAILY, PRESETS, Trouble, rates
from drivers.sim.world import (
    AGENT_LOST,
    ENTERED,
    LABEL_APPLIED,
    PASSED,
    REJECT_FAILED,
    REJECTED,
    RUNNING,
    STROKE,
    TRIGGER,
    AgentImage,
)
from tests.drivers.plant_help import (
    BODY,
    CASE,
    PALLET,
    Log,
    Roll,
    Scripted,
    liquor_layout,
    make,
    rolls,
    run,
)

MARKS = ("unreadable", "duplicate", "foreign", "campaign", "repeat", "label_unreadable")
"""The troubles of codes and symbols."""


def told(plant: Plant) -> list[dict[str, object]]:
    return plant.truth.containers(str)


def test_small_run_is_what_a_person_computes() -> None:
    """48 bottles: two cases, in the order of the belt, and an open pallet of nothing yet."""
    plant = make(48)
    log = run(plant)
    codes = [f"HTTPS://Q.EXAMPLE.CN/{n:08d}" for n in range(1, 49)]
    assert told(plant) == [
        {
            "level": "case",
            "code": "HTTPS://Q.EXAMPLE.CN/C/000001",
            "children": codes[:24],
            "open": False,
        },
        {
            "level": "case",
            "code": "HTTPS://Q.EXAMPLE.CN/C/000002",
            "children": codes[24:],
            "open": False,
        },
    ]
    assert [entry.number for entry in log.of(TRIGGER, 1)] == list(range(1, 49))
    assert [entry.number for entry in log.of(PASSED, 1)] == list(range(1, 49))
    assert [(entry.lane, entry.number) for entry in log.of(ENTERED, 2)] == [
        ((n - 1) % 4, n) for n in range(1, 49)
    ]
    assert [(e.number, e.lane, e.data) for e in log.of(STROKE, 2)] == [
        (1, 1, 0x6666),
        (2, 1, 0x6666),
    ]
    assert [entry.number for entry in log.of(LABEL_APPLIED, 3)] == [1, 2]
    assert plant.truth.places() == {"packed": 48}


def test_pallet_takes_two_layers_and_a_picture_of_each() -> None:
    plant = make(24 * 9)
    log = run(plant)
    pallets = [each for each in told(plant) if each["level"] == "pallet"]
    assert [each["children"] for each in pallets] == [
        [f"HTTPS://Q.EXAMPLE.CN/C/{n:06d}" for n in range(1, 9)]
    ]
    strokes = [(e.number, e.lane, e.data) for e in log.of(STROKE, 4)]
    assert strokes == [(1, 0, 0x22), (1, 1, 0x22)]
    assert [(entry.number, entry.data) for entry in log.of(TRIGGER, 4)] == [(1, 0), (1, 1)]
    layers = [shot for shot in log.exposures if shot.camera == "layer"]
    assert [[symbol.text[-1] for symbol in shot.scene.symbols] for shot in layers] == [
        ["1", "2", "3", "4"],
        ["5", "6", "7", "8"],
    ]
    # The ninth case waits in a lane: it is in no pallet.
    assert [case.place for case in plant.truth.levels[1]] == ["packed"] * 8 + ["lane"]


def test_half_filled_pallet_stays_open() -> None:
    plant = make(24 * 5)
    run(plant)
    pallet = told(plant)[-1]
    assert pallet["level"] == "pallet"
    assert pallet["open"] is True
    assert pallet["code"] is None
    assert len(pallet["children"]) == 4  # type: ignore[arg-type]


def test_content_picture_shows_every_child_inside_the_frame() -> None:
    log = run(make(24))
    (shot,) = [shot for shot in log.exposures if shot.camera == "case-content"]
    assert [symbol.text for symbol in shot.scene.symbols] == [
        f"HTTPS://Q.EXAMPLE.CN/{n:08d}" for n in range(1, 25)
    ]
    for symbol in shot.scene.symbols:
        assert symbol.size / 2 < symbol.x < shot.scene.width - symbol.size / 2
        assert symbol.size / 2 < symbol.y < shot.scene.height - symbol.size / 2


@pytest.mark.parametrize("liquor", [False, True])
def test_pictures_can_be_read_but_for_damaged_symbols(liquor: bool) -> None:
    layout = liquor_layout(60) if liquor else bottling(BODY, CASE, PALLET)
    plant = make(48, layout=layout, bph=12_000, troubles={"unreadable": 0.1})
    damage = set()
    for shot in run(plant).exposures:
        damage |= {each.damage for each in shot.scene.symbols}
        read = sorted(each.text for each in zxingcpp.read_barcodes(render(shot.scene)))
        assert read == sorted(each.text for each in shot.scene.symbols if not each.damage)
    assert damage == {0.0, 1.0}


def test_cameras_count_their_own_exposures_in_time() -> None:
    log = run(make(60))
    for camera in ("verify", "case-content", "case-label"):
        shots = [shot for shot in log.exposures if shot.camera == camera]
        assert [shot.counter for shot in shots] == list(range(1, len(shots) + 1))
        times = [shot.camera_time for shot in shots]
        assert times == sorted(times)
    verify = [shot.camera_time for shot in log.exposures if shot.camera == "verify"]
    gaps = [b - a for a, b in itertools.pairwise(verify)]
    assert gaps == pytest.approx([0.1] * 59)  # 36,000 bottles/h


def test_sequence_line_takes_no_picture_of_the_content() -> None:
    plant = make(24 * 8, layout=bottling(BODY, CASE, PALLET, sequence=True))
    log = run(plant)
    assert {shot.camera for shot in log.exposures} == {"verify", "case-label", "pallet-label"}
    assert len(told(plant)) == 9


def test_liquor_bottle_gets_the_cap_that_was_read_for_it() -> None:
    plant = make(25, layout=liquor_layout(30), bph=12_000)
    log = run(plant)
    caps = [shot.scene.symbols[0].text for shot in log.exposures if shot.camera == "cap"]
    bodies = [shot.scene.symbols[0].text for shot in log.exposures if shot.camera == "body"]
    for index, bottle in enumerate(plant.truth.levels[0]):
        assert bottle.marks["cap-inner"].text == caps[index]
        assert bottle.marks["body"].text == bodies[index]
    boxes = [each for each in told(plant) if each["level"] == "box"]
    assert [each["children"] for each in boxes] == [
        [f"HTTPS://Q.EXAMPLE.CN/B/{n:06d}"] for n in range(1, 26)
    ]
    cases = [each for each in told(plant) if each["level"] == "case"]
    assert [len(each["children"]) for each in cases] == [6] * 4  # type: ignore[arg-type]
    (pallet,) = [each for each in told(plant) if each["level"] == "pallet"]
    assert pallet["children"] == [each["code"] for each in cases]


def test_supply_that_runs_out_leaves_bottles_without_a_code() -> None:
    plant = make(12, layout=liquor_layout(6), bph=12_000)
    run(plant)
    assert [bottle.bad for bottle in plant.truth.levels[0]] == [""] * 6 + ["uncoded"] * 6
    first, second = [each for each in told(plant) if each["level"] == "case"]
    assert None not in first["children"]  # type: ignore[operator]
    assert second["children"] == [None] * 6


# ------------------------------------------------------------------------------------------ gate


def test_gate_obeys_only_the_slot_of_its_own_item() -> None:
    stale = (5 - 16) & 0xFFF  # what stood in slot 5 sixteen items ago

    def verdict(station: int, number: int) -> int | None:
        if station == 1:
            return {3: 2 << 12 | 3, 5: 1 << 12 | stale, 7: None, 9: 9}.get(
                number, 1 << 12 | number & 0xFFF
            )
        return 1 << 12 | number & 0xFFF

    plant = make(12)
    log = run(plant, Scripted(verdict))
    assert [entry.number for entry in log.of(REJECTED, 1)] == [3, 5, 7, 9]
    assert {b.number: b.why for b in plant.truth.levels[0] if b.rejected} == {
        3: "verdict",
        5: "no_verdict",
        7: "no_verdict",
        9: "no_verdict",
    }
    # The gap in the numbers stays.
    assert [entry.number for entry in log.of(ENTERED, 2)] == [1, 2, 4, 6, 8, 10, 11, 12]


def test_answer_is_used_once() -> None:
    """What stood in a slot 4096 items ago has the same low 12 bits, and is no answer."""
    plc = PlcModel(1.0)
    agent = AgentImage(heartbeat=1, commands=1, slots={1: [0] * 16})
    plc.observe(0.0, agent)
    agent.heartbeat = 2
    agent.slots[1][5] = 1 << 12 | 5
    plc.observe(0.1, agent)
    assert plc.gate(1, 5) == ""
    assert plc.gate(1, 5 + 4096) == "no_verdict"
    agent.slots[1][5] = 1 << 12 | 21
    assert plc.gate(1, 21) == ""
    agent.slots[1][6] = 1 << 12 | 6
    plc.observe(1.7, agent)  # the agent is lost: all answers are cleared
    assert plc.gate(1, 6) == "agent_lost"
    agent.heartbeat = 3
    plc.observe(1.8, agent)
    assert plc.gate(1, 6) == "no_verdict"
    agent.slots[1][7] = 1 << 12 | 7
    assert plc.gate(1, 7) == ""


def test_silent_agent_gets_everything_rejected() -> None:
    plant = make(30)
    run(plant, Scripted(lambda station, number: None))
    assert plant.truth.places() == {"rejected": 30}
    assert plant.truth.account(str)["gates"]["verify"]["rejected_good"] == 30


def test_rejected_case_keeps_its_bottles_and_stays_in_the_account() -> None:
    def verdict(station: int, number: int) -> int | None:
        return (2 if (station, number) == (3, 1) else 1) << 12 | number & 0xFFF

    plant = make(48)
    run(plant, Scripted(verdict))
    case, other = plant.truth.levels[1]
    assert (case.place, case.rejected, other.place) == ("rejected", "case-label", "lane")
    assert len(told(plant)[0]["children"]) == 24  # type: ignore[arg-type]
    assert plant.truth.places() == {"packed": 48}
    account = plant.truth.account(str)
    assert account["containers"][0]["rejected"] == "case-label"
    assert account["good_rejected"] == []


def test_numbers_wrap_at_sixteen_bits() -> None:
    plant = make(40, layout=bottling(BODY, CASE, PALLET, first_number=65_530))
    log = run(plant)
    numbers = [entry.number for entry in log.of(TRIGGER, 1)]
    assert numbers == [*range(65_530, 65_536), *range(34)]
    assert plant.truth.places() == {"packed": 24, "lane": 16}


# ---------------------------------------------------------------------------------------- labels


def test_label_that_comes_late_stops_the_containers_only() -> None:
    printers = {**rolls(), "case-printer": Roll("C{:03d}", silent=lambda n: n <= 50)}
    plant = make(48, printers=printers)
    log = run(plant)
    first, second = log.of(LABEL_APPLIED, 3)
    assert (first.number, second.number) == (1, 2)
    fired = [t for t, entry in log.events if entry.kind == LABEL_APPLIED]
    met = [t for t, entry in log.events if entry.kind == TRIGGER and entry.station == 2]
    # 500 mm further at 600 mm/s, and 50 looks of 20 ms.
    assert fired[0] - met[0] == pytest.approx(900 / 600 + 1.0, abs=0.05)
    verify = [t for t, entry in log.events if entry.kind == TRIGGER and entry.station == 1]
    assert max(b - a for a, b in itertools.pairwise(verify)) < 0.15


def test_containers_that_queue_for_a_label_keep_their_distance() -> None:
    printer = Roll("C{:03d}", silent=lambda n: n <= 140)
    plant = make(24 * 5, printers={**rolls(), "case-printer": printer}, bph=120_000)
    log = run(plant)
    origins = [case.origin for case in plant.truth.levels[1]]
    gaps = [b - a for a, b in itertools.pairwise(origins)]
    assert min(gaps) == pytest.approx(500)  # those that came while the belt stood
    label = [shot for shot in log.exposures if shot.camera == "case-label"]
    speed = 500 * 120_000 / 3600 / 24 * 1.2
    assert label[0].camera_time - printer.times[140] == pytest.approx(600 / speed)


def test_each_container_waits_its_own_time_for_a_label() -> None:
    printer = Roll("C{:03d}", silent=lambda n: True)
    run(make(48, printers={**rolls(), "case-printer": printer}))
    assert 300 <= printer.fired <= 304  # twice 3 s, a look every 20 ms


def test_label_that_never_comes_leaves_the_container_unlabelled() -> None:
    printers = {**rolls(), "case-printer": Roll("C{:03d}", silent=lambda n: True)}
    plant = make(24, printers=printers)
    log = run(plant)
    assert log.of(LABEL_APPLIED) == []
    assert told(plant)[0]["code"] is None
    assert plant.truth.levels[1][0].bad == "unlabelled"
    label = [shot for shot in log.exposures if shot.camera == "case-label"]
    assert label[0].scene.symbols == ()


def test_coder_without_data_leaves_the_bottle_blank() -> None:
    printers = {**rolls(), "coder": Roll("B{:03d}", silent=lambda n: n == 2)}
    plant = make(4, printers=printers)
    run(plant)
    assert [bottle.bad for bottle in plant.truth.levels[0]] == ["", "uncoded", "", ""]
    assert [plant.truth.primary(bottle) for bottle in plant.truth.levels[0]] == [
        "B001",
        None,
        "B002",
        "B003",
    ]


# ------------------------------------------------------------------------------ permission, agent


def test_infeed_waits_for_permission() -> None:
    plant = make(5)
    agent, log = Scripted(), Log()
    agent.image.commands = 0
    for turn in range(1, 100):
        agent.work(turn * 0.02, plant, log)
    assert plant.fed == 0
    assert plant.advance(2.0, agent.image).plc.flags == 0
    agent.image.commands = 3  # permission, but a stop request too
    agent.work(2.02, plant, log)
    assert plant.fed == 0
    agent.image.commands = 1
    agent.work(2.04, plant, log)
    assert plant.advance(2.04, agent.image).plc.flags == RUNNING
    assert plant.fed == 1


def test_permission_that_flickers_feeds_no_faster() -> None:
    plant = make(1000)
    agent, log = Scripted(), Log()
    for turn in range(1, 501):
        agent.image.commands = turn % 2
        agent.work(turn * 0.02, plant, log)
    assert 0 < plant.fed <= 101  # 10 s at 36,000 bottles/h


def test_lost_agent_runs_the_line_empty_rejecting_and_stops() -> None:
    plant = make(1000)
    agent, log = Scripted(), Log()
    turn = 0
    while plant.fed < 40:
        turn += 1
        agent.work(turn * 0.02, plant, log)
    agent.beating = False
    lost = turn * 0.02
    while turn * 0.02 < lost + 1.45:
        turn += 1
        agent.work(turn * 0.02, plant, log)
    before = plant.fed
    assert plant.advance(turn * 0.02, agent.image).plc.flags & AGENT_LOST == 0
    passed = len(log.of(PASSED))
    while plant.on_belts:
        turn += 1
        assert turn < 5000
        agent.work(turn * 0.02, plant, log)
    assert plant.fed - before <= 1  # the infeed closed
    assert len(log.of(PASSED)) == passed  # nothing passes any more, the agent's slots say what
    assert {b.why for b in plant.truth.levels[0] if b.rejected} == {"agent_lost"}
    assert plant.advance(turn * 0.02, agent.image).plc.flags == AGENT_LOST
    encoder = plant.advance(turn * 0.02, agent.image).plc.encoder
    standing = plant.advance(turn * 0.02 + 5, agent.image).plc
    assert standing.encoder == encoder
    assert (standing.speed, standing.flags) == (0, AGENT_LOST)
    agent.beating = True
    fed = plant.fed
    for more in range(1, 100):
        agent.work(turn * 0.02 + 5 + more * 0.02, plant, log)
    assert plant.fed > fed
    assert plant.advance(turn * 0.02 + 7, agent.image).plc.flags == RUNNING


def test_agent_that_never_came_starts_nothing() -> None:
    plant = make(5)
    for turn in range(100):
        out = plant.advance(turn * 0.1, AgentImage(heartbeat=7, commands=1))
    assert (plant.fed, out.plc.flags) == (0, 0)
    assert out.plc.heartbeat == 99


def test_stop_feed_runs_empty() -> None:
    plant = Plant(bottling(BODY, CASE, PALLET), 1, {}, rolls(), Feed(None, 36_000))
    agent, log = Scripted(), Log()
    for turn in range(1, 300):
        agent.work(turn * 0.02, plant, log)
    assert not plant.finished
    plant.stop_feed()
    fed = plant.fed
    for turn in range(300, 1000):
        agent.work(turn * 0.02, plant, log)
    assert plant.finished
    assert plant.fed == fed


# -------------------------------------------------------------------------------------- troubles


def test_each_trouble_occurs_at_its_rate_and_alone() -> None:
    for name in MARKS:
        plant = make(1500, troubles={name: 0.1}, layout=bottling(BODY, CASE, PALLET))
        run(plant, step=0.05)
        bad = plant.truth.account(str)["bad"]
        if name == "label_unreadable":
            assert bad == {}
            cases = plant.truth.levels[1]
            assert 1 <= sum(case.bad == name for case in cases) <= 15
        else:
            assert set(bad) == {name}
            assert 105 <= bad[name] <= 195  # 150 expected, sigma 12


def test_troubles_do_not_shift_each_other() -> None:
    def hit(names: tuple[str, ...]) -> set[int]:
        plant = make(600, troubles=dict.fromkeys(names, 0.05))
        run(plant, step=0.05)
        return {b.serial for b in plant.truth.levels[0] if not b.marks["body"].readable}

    alone = hit(("unreadable",))
    assert alone
    assert hit(("unreadable", "foreign", "repeat", "duplicate")) == alone


@given(st.integers(0, 2**32), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_higher_rate_hits_at_least_the_same_items(seed: int, one: float, two: float) -> None:
    low, high = (Trouble(seed, "unreadable", rate) for rate in sorted((one, two)))
    assert all(high.hits(item) for item in range(200) if low.hits(item))


def test_troubles_show_on_the_bottles() -> None:
    plant = make(1500, troubles=dict.fromkeys(MARKS, 0.05))
    run(plant, step=0.05)
    bottles = plant.truth.levels[0]
    texts = [bottle.marks["body"].text for bottle in bottles]
    seen: set[str] = set()
    for bottle, text in zip(bottles, texts, strict=True):
        match bottle.bad:
            case "":
                assert text not in seen
                assert bottle.marks["body"].readable
            case "duplicate":
                assert text in seen
                assert bottles[texts.index(text)].bad == ""
            case "repeat":
                # The coder's roll counts from 1: bottle n would have got code n.
                assert int(text[-8:]) < bottle.serial
            case "foreign" | "campaign":
                assert text.startswith(f"HTTPS://{bottle.bad.upper()}")
            case "unreadable":
                assert plant.truth.primary(bottle) is None
        seen.add(text)
    assert None in told(plant)[0]["children"]  # type: ignore[operator]


def test_repeat_prints_what_was_printed_last() -> None:
    plant = make(300, troubles={"repeat": 0.2})
    run(plant)
    bottles = plant.truth.levels[0]
    repeated = [bottle for bottle in bottles if bottle.bad == "repeat"]
    assert repeated
    for bottle in repeated:
        assert bottle.marks["body"] == bottles[bottle.serial - 2].marks["body"]


def test_presets() -> None:
    assert PRESETS["none"] == {}
    assert rates("harsh") == {name: pytest.approx(10 * rate) for name, rate in DAILY.items()}
    assert rates("daily", {"foreign": 0.5})["foreign"] == 0.5
    with pytest.raises(ConfigError, match="no preset"):
        rates("awful")
    with pytest.raises(ConfigError, match="not known"):
        rates("none", {"gremlins": 0.1})
    with pytest.raises(ConfigError, match="between 0 and 1"):
        rates("none", {"foreign": 2})


# ---------------------------------------------------------------------- determinism, conservation


def test_same_seed_same_bytes() -> None:
    def bytes_of(seed: int) -> str:
        plant = make(300, seed=seed, troubles=rates("harsh"))
        log = run(plant)
        return repr(log) + json.dumps(plant.truth.account(str))

    first = bytes_of(4)
    assert first == bytes_of(4)
    assert first != bytes_of(5)


def test_size_of_steps_changes_no_event() -> None:
    """How often the host calls changes when the agent is heard, not what the belt does."""
    entries = []
    for step in (0.005, 0.05):
        log = run(make(100), step=step)
        origin = log.exposures[0].camera_time
        entries.append([round(shot.camera_time - origin, 6) for shot in log.exposures])
    assert entries[0] == entries[1]


@given(
    total=st.integers(0, 120),
    seed=st.integers(0, 1000),
    reject=st.sets(st.tuples(st.integers(1, 5), st.integers(1, 120)), max_size=30),
    loss=st.none() | st.integers(0, 400),
)
@settings(max_examples=30, deadline=None)
def test_nothing_appears_or_vanishes(
    total: int, seed: int, reject: set[tuple[int, int]], loss: int | None
) -> None:
    """At every moment: fed = rejected + in containers + on belts and in lanes."""

    def verdict(station: int, number: int) -> int:
        return (2 if (station, number) in reject else 1) << 12 | number & 0xFFF

    plant = make(total, seed=seed, troubles=rates("harsh"))
    agent, log = Scripted(verdict), Log()
    turn = 0
    while not plant.finished:
        turn += 1
        assert turn < 20_000
        agent.beating = loss is None or not loss <= turn < loss + 100
        agent.work(turn * 0.05, plant, log)
        bottles = plant.truth.levels[0]
        inside = sum(len(case.children) for case in plant.truth.levels[1])
        places = plant.truth.places()
        assert places.get("packed", 0) == inside
        belt = len(plant._belts[0].items())
        assert places.get("belt", 0) == belt
        assert sum(places.values()) == len(bottles) == plant.fed
    for gate in plant.truth.account(str)["gates"].values():
        station = gate["station"]
        passed = gate["passed_good"] + gate["passed_bad"]
        rejected = gate["rejected_good"] + gate["rejected_bad"]
        assert passed == len(log.of(PASSED, station))
        assert rejected == len(log.of(REJECTED, station))
        assert gate["failed"] + gate["empty"] == len(log.of(REJECT_FAILED, station))
    # Nothing is in flight any more: every trigger has found its end at the gate.
    verify = plant.truth.account(str)["gates"]["verify"]
    ended = sum(verify[key] for key in verify if key not in ("station", "unseen", "unasked"))
    assert plant.truth.triggers.get("verify", 0) == ended - verify["unasked"]


# ---------------------------------------------------------------------------- layout and account


def test_layout_survives_json() -> None:
    for layout in (bottling(BODY, CASE, PALLET), liquor_layout(3)):
        assert load(json.loads(json.dumps(dump(layout)))) == layout


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        (("belts", 0, "speed"), 0, "above 0"),
        (("belts", 0, "colour"), "red", "colour"),
        (("belts", 0, "stations", 0, "at"), 5000, "by their place"),
        (("belts", 0, "stations", 1, "gate"), 100, "between the camera and the end"),
        (("belts", 0, "pitch"), 20, "16 verdict slots"),
        (("belts", 0, "packer"), None, "needs a packer"),
        (("belts", 0, "packer", "lanes"), 9, "at most 8 lanes"),
        (("belts", 1, "stations", 0, "views", 0, "columns"), 2, "24 children"),
        (("belts", 1, "stations", 0, "station"), 1, "used twice"),
        (("belts", 1, "stations", 0, "name"), "verify", "used twice"),
        (("belts",), [], "no belts"),
    ],
)
def test_layout_that_cannot_be_built_says_what_to_mend(
    place: tuple[str | int, ...], value: object, says: str
) -> None:
    data = dump(bottling(BODY, CASE, PALLET))
    part = data
    for key in place[:-1]:
        part = part[key]  # type: ignore[index]
    part[place[-1]] = value  # type: ignore[index]
    with pytest.raises(ConfigError, match=says):
        load(data)


def test_plant_asks_for_its_printers() -> None:
    with pytest.raises(ConfigError, match="coder"):
        Plant(bottling(BODY, CASE, PALLET), 1, {}, {}, Feed(1, 100))
    with pytest.raises(ConfigError, match="above 0"):
        Plant(bottling(BODY, CASE, PALLET), 1, {}, rolls(), Feed(1, 0))


def test_gs1_label_is_told_as_a_reader_would_report_it() -> None:
    """A label printer says the bare element string; without FNC1 it would be another code."""
    printers = {**rolls(), "pallet-printer": Roll("0006901234567000001{}")}
    plant = make(24 * 8, printers=printers)
    run(plant)
    assert plant.truth.containers(str)[-1]["code"] == "]C100069012345670000011"


def test_files_hold_the_truth(tmp_path: Path) -> None:
    plant = make(30, troubles={"unreadable": 0.3})
    run(plant)
    plant.truth.write(tmp_path, str.lower, {"seed": 1})
    lines = (tmp_path / "truth.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == plant.truth.containers(str.lower)
    assert all(set(json.loads(line)) == {"level", "code", "children", "open"} for line in lines)
    account = json.loads((tmp_path / "plant.json").read_text("utf-8"))
    assert account["seed"] == 1
    assert account["fed"] == 30 == len(account["items"])
    assert account["bad"] == {
        "unreadable": sum(each["bad"] is not None for each in account["items"])
    }
    packed = [each for each in account["items"] if each["place"] == "packed"]
    assert {each["container"] for each in packed} == {1}
    assert len(packed) == 24
    assert {each["place"] for each in account["items"]} == {"packed", "lane"}
