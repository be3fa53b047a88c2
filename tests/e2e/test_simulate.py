"""Whole shifts in virtual time: every container audited, the same seed the same bytes, and a
failing seed says how it is played again."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.cli.simulating import replay
from agent.demo import campaign, longform
from agent.demo.simfates import FATES
from agent.demo.simulate import Outcome, SimOptions
from agent.demo.simulate import simulate as play
from drivers.sim.troubles import TROUBLES

CASELINK = [sys.executable, "-m", "agent.cli"]
SECONDS = 120.0
DAMAGE = {"unreadable": 0.02, "duplicate": 0.01, "foreign": 0.01, "repeat": 0.01}
"""Rates per bottle of troubles that an honest line answers by rejecting."""


def simulate(*options: str, chance: str = "0") -> tuple[int, list[dict[str, Any]], str]:
    """Status, what it printed, its errors. `chance` shakes the order of Python's sets."""
    done = subprocess.run(
        [*CASELINK, "simulate", "--json", *options],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        env={"PYTHONHASHSEED": chance},
    )
    assert done.stdout, done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


@pytest.mark.parametrize("site", ["bottling", "liquor"])
@pytest.mark.parametrize("pack", ["multiread", "sequence"])
def test_shifts_of_both_lines_come_out_right(site: str, pack: str) -> None:
    options = SimOptions(bottles=240, speed=18_000, pack=pack, site=site)
    result = play(options, 1).result
    assert result.good, result.notes
    assert (result.bottles, result.passed, result.rejected) == (240, 240, {})
    for seed in (2, 3):
        result = play(replace(options, rates=DAMAGE), seed).result
        assert result.good, (seed, result.notes)
        assert result.rejected


def test_the_same_seed_gives_the_same_bytes() -> None:
    given = ("--seeds", "7..8", "--bottles", "200", "--troubles", "harsh")
    _, first, _ = simulate(*given, chance="1")
    _, again, _ = simulate(*given, "--jobs", "2", chance="2")
    assert first[:2] == again[:2]
    assert first[0]["journal"]["rows"] > 500
    assert first[0]["journal"]["hash"] != first[1]["journal"]["hash"]
    assert first[0]["truth"] != first[1]["truth"]


def test_what_is_kept_can_be_asked(tmp_path: Path) -> None:
    given = ("--seeds", "4", "--bottles", "120", "--keep", str(tmp_path))
    status, shown, errors = simulate(*given)
    assert status == 0, errors
    _, in_memory, _ = simulate(*given[:4])
    assert shown[0] == in_memory[0]
    done = subprocess.run(
        [*CASELINK, "export", "containers", "--config", str(tmp_path / "seed-4" / "site.toml")],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    recorded = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(each["level"] == "case" and bool(each["code"]) for each in recorded) == 5


@pytest.mark.parametrize("trouble", ["agent_killed", "disk_full", "disk_slow", "clock_jumped"])
def test_what_befalls_the_agents_computer_comes_out_right(trouble: str) -> None:
    met = 0
    for seed in (1, 2):
        outcome = play(SimOptions(bottles=250, rates={trouble: 400.0}), seed)
        assert outcome.result.good, (seed, outcome.result.notes)
        met += outcome.met.get(trouble, 0)
    assert met >= 3


def test_cases_that_change_places_before_their_label_are_never_proven() -> None:
    rates = {"put_elsewhere": 0.1}
    result = play(SimOptions(1500, 120_000, rates=rates, site="bottling-loose"), 1).result
    assert result.good, result.notes
    assert result.wrong_inferred, "no two cases changed places"
    assert not result.containers.get("proven")


def test_slips_are_counted_by_what_became_of_them() -> None:
    options = SimOptions(bottles=500, pack="sequence", rates={"divider": 0.004})
    outcome = play(options, 1)
    slips = outcome.slips
    assert outcome.met["divider"] >= slips.made >= 1
    assert slips.made >= slips.read >= slips.found >= slips.located >= slips.repaired
    assert slips.found >= slips.prompt
    assert sum(slips.unread.values()) == slips.read
    assert sum(slips.cases.values()) == sum(slips.behind.values()) == slips.found
    assert slips.located >= slips.unique
    assert not outcome.result.wrong_proven, outcome.result.notes
    assert not play(replace(options, rates={}), 1).slips.made


def test_cases_of_boxes_whose_order_slipped_are_found_by_hand_and_repaired() -> None:
    options = SimOptions(300, pack="sequence", site="liquor", rates={"divider": 1 / 150})
    outcome = play(options, 767)
    assert outcome.result.good, outcome.result.notes
    assert outcome.slips.made == outcome.slips.unique == outcome.slips.repaired == 1
    assert not outcome.result.wrong_inferred
    assert not outcome.result.wrong_doubtful


@pytest.mark.parametrize(("trouble", "seed"), [("lost_trigger", 2), ("divider", 3)])
def test_what_a_camera_sees_of_a_case_shows_a_slip_at_once(trouble: str, seed: int) -> None:
    """The camera of the label sees one bottle of each lane, two cases behind the packer."""
    rates = longform.alone(trouble, 300, 36_000)
    options = SimOptions(300, pack="seen", rates=rates)
    outcome = play(options, seed)
    slips = outcome.slips
    assert outcome.result.good, outcome.result.notes
    assert slips.made == slips.found == slips.prompt == slips.repaired == 1
    assert max(slips.cases) <= 3, "nothing but the belt lies between"
    blind = play(replace(options, pack="sequence"), seed).slips
    assert min(blind.unread) > 3, "a hand scans later"
    assert max(blind.behind, default=0) == 0


def test_what_is_said_of_a_failing_seed_plays_the_same_shift_again() -> None:
    rates = {"unreadable": 0.01, "agent_killed": 200.0}
    options = SimOptions(bottles=120, speed=18_000, troubles="daily", rates=rates, pack="sequence")
    outcome = play(options, 5)
    words = replay(5, options).split()
    assert words[:2] == ["caselink", "simulate"]
    _, shown, _ = simulate(*words[2:])
    assert shown[0] == json.loads(json.dumps(outcome.data()))


def test_the_command_for_a_failing_seed_plays_no_more_bottles_than_it_needs() -> None:
    options = SimOptions(bottles=1000)
    assert campaign.shortest(options, lambda less: less.bottles >= 200).bottles == 250
    assert campaign.shortest(options, lambda less: False) == options
    # What is cut off changes nothing before it.
    whole, half = play(SimOptions(bottles=240), 6), play(SimOptions(bottles=120), 6)
    assert (whole.result.cases, half.result.cases) == (10, 5)


def test_a_seed_whose_audit_is_not_good_is_named_in_the_total() -> None:
    options = SimOptions(bottles=24)
    outcome = play(options, 9)
    total = campaign.Total()
    total.add(outcome)
    outcome.result.wrong_proven = 1
    total.add(outcome)
    assert total.failing == [9]
    assert total.data()["ppm"]["proven"] == 500_000
    assert replay(9, SimOptions(bottles=288_000)) == "caselink simulate --seeds 9"


def test_the_long_form_plays_each_trouble_alone_in_every_way() -> None:
    plan = longform.shifts(1000, 5, 1000, 36_000)
    assert abs(len(plan) - 1050) <= 8
    assert [each.seed for each in plan] == list(range(5, 5 + len(plan)))
    ways: dict[str, set[tuple[str, str]]] = {}
    for each in plan:
        ways.setdefault(each.row, set()).add((each.options.site, each.options.pack))
        assert each.options.troubles == "none" or not each.options.rates
    assert ways.pop("seen") == {("bottling", "seen"), ("liquor", "seen")}
    assert set(ways) == {"daily", "harsh", *TROUBLES, *FATES}
    assert all(len(found) == 4 for found in ways.values())


def test_a_shift_that_breaks_does_not_end_the_long_form() -> None:
    plan = longform.shifts(1, 3, 24, 36_000)[:2]
    broken = replace(plan[0].options, site="nowhere")
    outcomes = list(campaign.attempt([(broken, 3), (plan[1].options, 4)], jobs=2))
    rows = longform.Rows()
    for each, outcome in zip(plan, outcomes, strict=True):
        if isinstance(outcome, BaseException):
            rows.broke(each)
        else:
            rows.add(each, outcome)
    assert rows.rows["daily"].seeds == rows.all.seeds == 2
    assert rows.all.failing == [3]
    assert rows.all.sums["bottles"] == 24
    assert next(column.header for column in rows.table().columns) == "trouble"


@pytest.mark.parametrize("pack", ["multiread", "sequence"])
def test_what_people_do_to_pallets_and_lots_comes_out_right(pack: str) -> None:
    """Half pallets that are topped up and wrong scans; a stopped belt that creeps; another lot with
    cases open; cases of finished pallets that come again."""
    options = SimOptions(bottles=960, pack=pack)
    people = {"half_pallet": 0.9, "wrong_scan": 0.5}
    found = play(replace(options, rates=people), 1)
    assert found.result.good, found.result.notes
    assert found.met.keys() >= people.keys()
    assert found.result.wrong_doubtful == found.result.good_containers_rejected == 0
    for rates in ({"stopped": 300.0, "creep": 1.0}, {"lot_change": 300.0}, {"unstacked": 0.2}):
        found = play(replace(options, rates=rates), 2)
        assert found.result.good, found.result.notes
        assert found.met.keys() >= rates.keys()


def test_who_finds_no_room_by_the_record_takes_out_what_is_not_on_the_pallet() -> None:
    """A case of a half pallet came onto the belt again, and the pallet is topped up."""
    rates = {"half_pallet": 0.9, "unstacked": 0.3}
    found = play(SimOptions(bottles=240, site="liquor", rates=rates), 1)
    assert found.result.good, found.result.notes
    assert found.met.keys() >= rates.keys()


def test_the_long_form_goes_on_when_processes_have_done_their_share() -> None:
    shifts = [(SimOptions(bottles=24), seed) for seed in range(1, 6)]
    played = list(campaign.attempt(shifts, 2, each=1))
    assert [each.seed for each in played if isinstance(each, Outcome)] == [1, 2, 3, 4, 5]
