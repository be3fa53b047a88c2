"""Troubles of containers and of what is mounted: open ones that lose something, sealed ones that
come again, pallets that leave half full, rolls in the wrong order, gates that fail."""

from itertools import pairwise

from drivers.sim.layout import Feed
from drivers.sim.lines import ROLL, bottling
from drivers.sim.plant import Plant
from drivers.sim.troubles import TROUBLES
from drivers.sim.world import (
    LABEL_APPLIED,
    LOW_AIR,
    REJECT_FAILED,
    REJECT_FULL,
    RUNNING,
    STROKE,
    TRIGGER,
    Ask,
)
from tests.drivers.plant_help import (
    BODY,
    CASE,
    PALLET,
    Log,
    Scripted,
    liquor_layout,
    make,
    rolls,
    run,
)

VERIFY, CASES, LABEL, PALLETISER = 1, 2, 3, 4


def test_content_taken_is_missing_in_the_picture_and_in_the_truth() -> None:
    plant = make(24 * 20, troubles={"content_taken": 0.4})
    log = run(plant)
    cases = plant.truth.levels[1]
    struck = [case for case in cases if "content_taken" in case.befell]
    shots = [shot for shot in log.exposures if shot.camera == "case-content"]
    for case, shot in zip(cases, shots, strict=True):
        inside = [child.marks["body"].text for child in case.children]
        assert [symbol.text for symbol in shot.scene.symbols] == inside
    short = [case for case in struck if len(case.children) == 23]
    changed = [case for case in struck if len(case.children) == 24]
    assert short
    assert changed
    for case in changed:
        assert any(child.serial <= (case.serial - 1) * 24 for child in case.children)
    places = plant.truth.places()
    assert places["packed"] == sum(len(case.children) for case in cases)
    assert places["packed"] + places["taken"] == 480


def test_nobody_opens_a_case_that_was_packed_by_order() -> None:
    layout = bottling(BODY, CASE, PALLET, sequence=True)
    plant = make(480, layout=layout, troubles={"content_taken": 1.0})
    run(plant)
    assert plant.truth.account(str)["happened"] == {}


def test_sealed_case_is_read_again_under_another_number() -> None:
    plant = make(24 * 30, troubles={"refed": 0.2})
    log = run(plant)
    struck = [
        case
        for case in plant.truth.levels[1]
        if "refed" in case.befell and case.place != "taken"  # there was no gap for it
    ]
    assert len(struck) > 2
    shots = [shot for shot in log.exposures if shot.camera == "case-label"]
    seen = [symbol.text for shot in shots for symbol in shot.scene.symbols]
    for case in struck:
        assert seen.count(case.marks["case-outer"].text) == 2
    assert len(log.of(LABEL_APPLIED, LABEL)) == 30  # it got no second label
    numbers = [entry.number for entry in log.of(TRIGGER, LABEL)]
    assert len(numbers) == len(set(numbers)) == 30 + len(struck)


def test_layers_are_counted_in_another_order() -> None:
    plant = make(24 * 8 * 6, troubles={"layer_order": 0.5})
    log = run(plant)
    turned = [p.serial for p in plant.truth.levels[2] if "layer_order" in p.befell]
    assert turned
    order: dict[int, list[int]] = {}
    for entry in log.of(TRIGGER, PALLETISER):
        order.setdefault(entry.number, []).append(entry.data)
    assert {n: found == [1, 0] for n, found in order.items()} == {
        n: n in turned for n in range(1, 7)
    }


class Asked(Scripted):
    """Keeps what people would do at the agent."""

    def __init__(self) -> None:
        super().__init__()
        self.asks: list[Ask] = []

    def work(self, t: float, plant: Plant, log: Log, keep: bool = True) -> None:
        out = plant.advance(t, self.image)
        self.asks += out.asks
        log.exposures += out.exposures
        super().work(t, plant, log, keep)


def half_pallets(people: bool) -> tuple[Plant, Log, list[Ask]]:
    layout = bottling(BODY, CASE, PALLET)
    feed = Feed(24 * 8 * 8, 36_000)
    plant = Plant(layout, 2, {"half_pallet": 0.3}, rolls(), feed, people=people)
    agent = Asked()
    return plant, run(plant, agent, step=0.05), agent.asks


def test_half_pallet_needs_somebody_who_tells_the_agent() -> None:
    plant, _, asks = half_pallets(people=False)
    assert plant.truth.account(str)["happened"] == {}
    assert asks == []
    assert {len(pallet.children) for pallet in plant.truth.levels[2]} == {8}


def test_half_pallet_leaves_and_is_topped_up_later() -> None:
    plant, log, asks = half_pallets(people=True)
    halves = [pallet for pallet in plant.truth.levels[2] if "half_pallet" in pallet.befell]
    topped = [pallet for pallet in halves if "topped_up" in pallet.befell]
    assert topped
    # It was said before its only stroke, which is its last one.
    assert [ask.kind for ask in asks].count("close_partial") >= len(halves)
    strokes = [entry.number for entry in log.of(STROKE, PALLETISER)]
    for pallet in topped:
        assert len(pallet.children) == 8
        assert strokes.count(pallet.number) == 1
        code = plant.truth.primary(pallet)
        added = [ask.children[0] for ask in asks if ask.kind == "top_up" and ask.code == code]
        assert added == [child.marks["case-outer"].text for child in pallet.children[4:]]
    for case in plant.truth.levels[1]:
        assert case.place != "packed" or case in case.parent.children  # type: ignore[union-attr]


def test_roll_is_mounted_before_the_one_that_should_come_before_it() -> None:
    count = 3 * ROLL
    plant = make(
        count, layout=liquor_layout(count), bph=24_000, troubles={"roll_swapped": 0.5}, seed=4
    )
    run(plant, step=0.05)
    happened = plant.truth.account(str)["happened"]
    assert happened["roll_swapped"] >= 1
    assert not any(bottle.bad for bottle in plant.truth.levels[0])
    order = {
        role: [int(bottle.marks[role].text[-6:]) for bottle in plant.truth.levels[0]]
        for role in ("body", "cap-inner")
    }
    assert any(found != sorted(found) for found in order.values())
    for found in order.values():
        assert sorted(found) == list(range(1, count + 1))
        steps = [after - before for before, after in pairwise(found)]
        assert {step for step in steps if step != 1} <= {ROLL + 1, 1 - 2 * ROLL}


# ------------------------------------------------------------------------------------------ gates


def rejecting(station: int, number: int) -> int:
    return (2 if station == VERIFY else 1) << 12 | number & 0xFFF


def test_gate_that_fails_leaves_the_bottle_on_the_belt_and_says_so() -> None:
    plant = make(240, troubles={"gate_failed": 0.1})
    log = run(plant, Scripted(rejecting))
    struck = [item for item in plant.truth.levels[0] if "gate_failed" in item.befell]
    failed = log.of(REJECT_FAILED, VERIFY)
    assert [entry.number for entry in failed] == [item.number for item in struck]
    assert {entry.lane for entry in failed} == {0}
    assert {item.place for item in struck} <= {"lane", "packed"}
    assert plant.truth.gates["verify"].failed == len(struck) > 0


def test_without_air_no_gate_rejects() -> None:
    plant = make(600, troubles={"low_air": 300.0})
    agent, log = Scripted(rejecting), Log()
    turn, up, passed = 0, 0, 0
    while not plant.finished:
        turn += 1
        before = len(log.of(REJECT_FAILED, VERIFY))
        agent.work(turn * 0.05, plant, log)
        up += bool(plant._floor.plc.image.flags & LOW_AIR)
        passed += len(log.of(REJECT_FAILED, VERIFY)) - before
    assert up
    assert passed == plant.truth.gates["verify"].failed > 0


def test_full_reject_table_is_a_flag_and_no_stop() -> None:
    plant = make(600, troubles={"reject_full": 300.0})
    agent, log = Scripted(), Log()
    turn, both = 0, 0
    while not plant.finished:
        turn += 1
        agent.work(turn * 0.05, plant, log)
        flags = plant._floor.plc.image.flags
        both += flags & (REJECT_FULL | RUNNING) == REJECT_FULL | RUNNING
    assert both
    assert plant.truth.places() == {"packed": 600}


def test_every_trouble_says_what_it_is_and_has_an_honest_rate() -> None:
    for name, kind in TROUBLES.items():
        assert kind.what
        assert 0 < kind.daily <= (1 if kind.per == "hour" else 1 / 50), name


def test_a_case_off_a_finished_pallet_comes_before_its_camera_again() -> None:
    plant = make(24 * 60, troubles={"unstacked": 0.1})
    log = run(plant)
    happened = [each for each in plant.truth.troubled if each.trouble == "unstacked"]
    assert happened
    shots = [shot for shot in log.exposures if shot.camera == "case-label"]
    for each in happened:
        case = plant.truth.levels[1][each.serial - 1]
        own = case.marks["case-outer"].text
        assert sum(own in [s.text for s in shot.scene.symbols] for shot in shots) >= 2
    robbed = [pallet for pallet in plant.truth.levels[2] if "unstacked" in pallet.befell]
    assert robbed
    assert all(len(pallet.children) < 8 for pallet in robbed)
    assert all(child.parent is pallet for pallet in robbed for child in pallet.children)
