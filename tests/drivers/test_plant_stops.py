"""Stops of the whole line, packers that miscount, devices that go away: what the plant does and
what the PLC says of it."""

from collections.abc import Mapping
from itertools import pairwise

from drivers.sim.agenda import Agenda, Chance
from drivers.sim.layout import Feed, Layout
from drivers.sim.lines import bottling
from drivers.sim.plant import Plant
from drivers.sim.text_coder import Record, TextCoder
from drivers.sim.world import (
    CLEARED,
    ENTERED,
    ESTOP,
    GUARD_OPEN,
    JAM,
    REJECT_FAILED,
    REJECTED,
    RUNNING,
    STROKE,
    TRIGGER,
    Machine,
)
from drivers.sim.zpl_printer import ZplPrinter
from tests.drivers.plant_help import BODY, CASE, PALLET, Log, Scripted, make, rolls, run

VERIFY, PACKER = 1, 2
STEP = 0.05


class Watched(Scripted):
    """Remembers the flags, the encoder and what is away at every poll."""

    def __init__(self) -> None:
        super().__init__()
        self.flags: list[int] = []
        self.travel: list[int] = []
        self.away: list[frozenset[str]] = []

    def work(self, t: float, plant: Plant, log: Log, keep: bool = True) -> None:
        super().work(t, plant, log, keep)
        image = plant._floor.plc.image
        self.flags.append(image.flags)
        self.travel.append(image.encoder)
        self.away.append(frozenset(plant._floor.away))


def play(
    troubles: Mapping[str, float],
    total: int = 480,
    layout: Layout | None = None,
    seed: int = 1,
) -> tuple[Plant, Log, Watched]:
    plant = make(total, troubles=troubles, layout=layout, seed=seed)
    agent = Watched()
    log = run(plant, agent, step=STEP)
    assert plant.truth.account(str)["happened"].keys() == troubles.keys()
    return plant, log, agent


def spans(flags: list[int], bit: int) -> list[tuple[int, int]]:
    """From and to (polls) of every time at which a flag was up."""
    found, began = [], None
    for at, word in enumerate([*flags, 0]):
        if word & bit and began is None:
            began = at
        elif not word & bit and began is not None:
            found.append((began, at))
            began = None
    return found


# ------------------------------------------------------------------------------------------ stops


def test_jam_stops_the_line_and_hands_clear_it_behind_an_open_guard() -> None:
    plant, log, agent = play({"jam": 300.0})
    jams, guards = spans(agent.flags, JAM), spans(agent.flags, GUARD_OPEN)
    assert len(jams) == plant.truth.account(str)["happened"]["jam"] == len(guards) > 0
    for (began, ended), (opened, closed) in zip(jams, guards, strict=True):
        assert began < opened < closed < ended
        assert not any(word & RUNNING for word in agent.flags[began:ended])
        assert len(set(agent.travel[began:ended])) == 1
    # What was taken out is on the table, what was put back lies in another window.
    assert plant.truth.places().get("taken", 0) > 0
    assert sum(plant.truth.places().values()) == 480
    order = [item.number for item in plant.truth.levels[0] if item.place != "taken"]
    assert order != sorted(order)
    assert len(log.of(ENTERED, PACKER)) == plant.truth.places()[
        "packed"
    ] + plant.truth.places().get("lane", 0)


def test_guard_and_estop_show_their_flags_while_nothing_moves() -> None:
    for name, bit in (("guard_open", GUARD_OPEN), ("estop", ESTOP)):
        plant, _, agent = play({name: 300.0})
        held = spans(agent.flags, bit)
        assert len(held) == plant.truth.account(str)["happened"][name]
        for began, ended in held:
            assert (ended - began) * STEP > 2.5
            assert len(set(agent.travel[began:ended])) == 1
        if name == "estop":
            assert plant.truth.places() == {"packed": 480}


class Resting(Watched):
    """Lets the plant rest after so many seconds, when a guard is open."""

    def work(self, t: float, plant: Plant, log: Log, keep: bool = True) -> None:
        super().work(t, plant, log, keep)
        if t > 10.0 and not plant.calm:
            plant.rest()


def test_what_has_begun_ends_and_nothing_else_begins_when_the_plant_rests() -> None:
    plant = make(480, troubles={"guard_open": 900.0, "link_loss": 900.0})
    run(plant, Resting(), step=STEP)
    before = max(each.at for each in plant.truth.troubled)
    assert 5.0 < before < 20.0
    assert plant.calm
    assert plant.finished


def test_items_creep_when_the_belt_starts_again() -> None:
    plant, log, _ = play({"estop": 300.0, "creep": 1.0})
    gate = plant.truth.gates["verify"]
    # Some lie in no window any more: their own pass the gate empty, the next eye numbers them anew.
    assert gate.empty > 0
    assert gate.empty == len(log.of(REJECT_FAILED, VERIFY))
    entered = [entry.number for entry in log.of(ENTERED, PACKER)]
    assert entered != sorted(entered)
    assert len(entered) == len(set(entered))
    assert sum(plant.truth.places().values()) == 480


def test_plc_restart_begins_a_run_with_empty_lanes() -> None:
    plant, log, agent = play({"plc_restart": 200.0})
    restarts = plant.truth.account(str)["happened"]["plc_restart"]
    assert plant._floor.plc.image.run == 1 + restarts
    # Numbers begin anew, and whoever emptied the lanes has said so first.
    numbers = [entry.number for entry in log.of(TRIGGER, 0)]
    assert 0 < sum(after < before for before, after in pairwise(numbers)) <= restarts
    assert len(log.of(CLEARED, PACKER)) == restarts
    assert any("plc" in away for away in agent.away)
    # Nobody answers for what stood between eye and gate.
    gate = plant.truth.gates["verify"]
    blind = [item for item in plant.truth.levels[0] if item.why == "plc_restart"]
    assert gate.blind == len(blind) > 0
    assert gate.rejected_good + gate.rejected_bad == len(log.of(REJECTED, VERIFY))
    for case in plant.truth.levels[1]:
        assert len(case.children) == 24


def test_a_pallet_that_was_half_full_is_put_aside_when_the_plc_forgets_it() -> None:
    plant, _, _ = play({"plc_restart": 200.0}, total=24 * 60, seed=3)
    aside = [pallet for pallet in plant.truth.levels[2] if pallet.place == "aside"]
    assert aside
    for pallet in aside:
        assert len(pallet.children) == 4
        assert pallet.open


# ---------------------------------------------------------------------------------------- packers


def test_divider_puts_a_bottle_into_a_lane_that_does_not_count_it() -> None:
    layout = bottling(BODY, CASE, PALLET, sequence=True)
    plant, log, _ = play({"divider": 0.01}, layout=layout)
    happened = plant.truth.account(str)
    assert happened["untold"] == happened["happened"]
    # The PLC tells nothing: lane by lane as ever, and every stroke is full.
    assert [entry.lane for entry in log.of(ENTERED, PACKER)] == [n % 4 for n in range(480)]
    assert {entry.data for entry in log.of(STROKE, PACKER)} == {0x6666}
    first = next(item.serial for item in plant.truth.levels[0] if item.befell)
    cases = plant.truth.levels[1]
    honest = [sorted(child.serial for child in case.children) for case in cases]
    expected = [list(range(24 * n + 1, 24 * n + 25)) for n in range(len(cases))]
    assert honest[: (first - 1) // 24] == expected[: (first - 1) // 24]
    assert honest != expected


def test_stroke_leaves_one_behind() -> None:
    layout = bottling(BODY, CASE, PALLET, sequence=True)
    plant, log, _ = play({"stroke_short": 0.2}, layout=layout)
    short = [case for case in plant.truth.levels[1] if len(case.children) == 23]
    happened = plant.truth.account(str)["happened"]["stroke_short"]
    assert 0 < len(short) <= happened
    assert {entry.data for entry in log.of(STROKE, PACKER)} == {0x6666}
    left = [item for item in plant.truth.levels[0] if item.befell]
    for item in left:
        # It goes into the next case, or waits in its lane.
        assert item.parent is None or item.parent.serial > (item.serial - 1) // 24 + 1


def test_aborted_stroke_is_a_jam_and_no_stroke() -> None:
    plant, log, agent = play({"stroke_aborted": 0.2})
    bottles = log.of(CLEARED, PACKER)
    assert bottles
    taken = plant.truth.places()["taken"]
    assert taken == 24 * len(bottles)
    assert len(log.of(STROKE, PACKER)) == len(plant.truth.levels[1]) == 20 - len(bottles)
    assert len(spans(agent.flags, JAM)) >= len(bottles)
    for case in plant.truth.levels[1]:
        assert len(case.children) == 24


# ---------------------------------------------------------------------------------------- devices


def test_devices_go_away_and_come_back() -> None:
    devices = {"link_loss": "plc", "camera_away": "verify", "printer_away": "coder"}
    for name, device in devices.items():
        plant, _, agent = play({name: 200.0})
        gone = [device in away for away in agent.away]
        assert any(gone)
        assert not all(gone)
        assert plant.truth.places() == {"packed": 480}


def test_camera_that_is_away_loses_pictures_and_not_their_numbers() -> None:
    plant, log, _ = play({"camera_away": 100.0})
    counters = [shot.counter for shot in log.exposures if shot.camera == "verify"]
    assert len(counters) < 480 == plant.truth.triggers["verify"]
    assert counters == sorted(set(counters))
    assert max(counters) > len(counters)


def test_camera_that_starts_anew_counts_from_one() -> None:
    _, log, _ = play({"camera_reboot": 100.0})
    counters = [shot.counter for shot in log.exposures if shot.camera == "verify"]
    assert counters.count(1) > 1
    assert len(counters) < 480


def test_camera_that_is_stuck_shows_its_last_picture_under_new_numbers() -> None:
    _, log, _ = play({"camera_stuck": 400.0})
    shots = [shot for shot in log.exposures if shot.camera == "verify"]
    assert [shot.counter for shot in shots] == list(range(1, 481))
    assert len({shot.scene for shot in shots}) < 470


def test_machine_starts_anew_or_runs_out() -> None:
    coder, labels = TextCoder(), ZplPrinter()
    for machine in (coder, labels):
        assert isinstance(machine, Machine)
    coder.add(Record("1", ("A",)))
    coder.faults.add(coder.empty)
    assert coder.fire(0.0) is None
    coder.faults.clear()
    assert coder.fire(0.1) == ("A",)
    coder.add(Record("2", ("B",)))
    coder.reboot()
    assert (coder.fire(0.2), coder.counter) == (None, 0)
    labels.accept(b"^FO0,0^BQN,2,5^FDQA,ONE^FS", 0.0)
    labels.reboot()
    labels.accept(b"^FO0,0^BQN,2,5^FDQA,TWO^FS", 0.0)
    assert labels.fire(1.0) == ("TWO",)


def test_coder_out_of_ink_codes_nothing_until_it_is_refilled() -> None:
    coder = TextCoder(capacity=1000)
    for n in range(600):
        coder.add(Record(str(n), (f"HTTPS://Q.EXAMPLE.CN/{n:08d}",)))
    printers = {**rolls(), "coder": coder}
    for name, again in (("ink_out", True), ("printer_reboot", False)):
        plant = Plant(
            bottling(BODY, CASE, PALLET),
            1,
            {name: 100.0},
            printers,
            Feed(300, 36_000),
        )
        run(plant, step=STEP)
        bad = [bottle.bad for bottle in plant.truth.levels[0]]
        assert "uncoded" in bad
        # A machine that is refilled goes on; one that started anew waits for new records.
        assert ("" in bad[bad.index("uncoded") :]) == again


# ----------------------------------------------------------------------------------------- agenda


def test_agenda_keeps_the_order_of_what_is_due_together() -> None:
    agenda, done = Agenda(1), list[str]()
    for time, word in ((2.0, "c"), (1.0, "a"), (1.0, "b")):
        agenda.at(time, lambda now, word=word: done.append(word))  # type: ignore[misc]
    while agenda.due < 10:
        agenda.step()
    assert done == ["a", "b", "c"]


def test_chance_shuffles_what_can_be_shuffled() -> None:
    for value in range(50):
        for count in range(6):
            order = Chance(value * 7919).shuffled(count)
            assert sorted(order) == list(range(count))
            assert count < 2 or order != list(range(count))


def test_stopped_plant_stays_stopped_when_the_agent_says_so() -> None:
    """The end of a jam is no permission to feed."""
    plant = make(400, troubles={"jam": 600.0})
    agent, log = Watched(), Log()
    turn = 0
    while not plant._floor.plc.held:
        turn += 1
        assert turn < 4000
        agent.work(turn * STEP, plant, log)
    agent.image.commands = 0
    fed = plant.fed
    for later in range(turn + 1, turn + 2000):
        agent.work(later * STEP, plant, log)
    assert plant.fed == fed
    assert not plant.on_belts


def test_a_stop_that_nobody_explains_shows_in_the_running_flag_alone() -> None:
    plant, _, agent = play({"stopped": 300.0})
    happened = plant.truth.account(str)["happened"]["stopped"]
    assert happened > 0
    assert not any(word & (GUARD_OPEN | JAM | ESTOP) for word in agent.flags)
    running = [bool(word & RUNNING) for word in agent.flags]
    falls = sum(before and not after for before, after in pairwise(running))
    assert falls >= happened
    assert plant.truth.places() == {"packed": 480}
