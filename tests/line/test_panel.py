"""What the panel is told of a line: as docs/live-feed.md promises, and null for what is unknown."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.core import inputs as i
from agent.health import Health
from agent.line.panel import LinePanel, PanelSettings, excerpt
from agent.line.runner import LineRunner
from agent.now import RealTime, follow
from tests.core.lines import Line, filled, labelled, order, shown
from tests.web.site import empty_snapshot

SETTINGS = PanelSettings(
    {"zh": "1 号线", "en": "Line 1"}, {"cola": {"zh": "可乐", "en": "Cola"}}, (570, 630)
)


class NoPlc:
    """ports.LinePlc of which only the health is looked at."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def poll(self) -> Any:
        raise NotImplementedError

    async def write_slots(self, slots: Any) -> None: ...

    async def write_outputs(self, outputs: Any) -> None: ...


class Shown:
    """A line, and its panel, which hears everything that the line says."""

    def __init__(self, folder: Path) -> None:
        self.line = Line(folder)
        self.plc = Health("plc", "plc", "ok")
        self.runner = LineRunner(self.line.plan, self.line.gate, NoPlc(), self.plc, lambda _: None)
        self.runner.wants_running = True
        self.runner.plc_flags = frozenset({"running"})
        self.panel = LinePanel(self.runner, SETTINGS)
        self._heard = 0

    @property
    def now(self) -> dict[str, Any]:
        for committed in self.line.said[self._heard :]:
            self.panel.observe(committed)
        self._heard = len(self.line.said)
        return self.panel.snapshot(excerpt(self.line.state))


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Shown]:
    stage = Shown(tmp_path)
    yield stage
    stage.line.database.close()


def contract() -> dict[str, Any]:
    """The example object of docs/live-feed.md."""
    text = Path("docs/live-feed.md").read_text("utf-8")
    found = re.search(r"```json\n(.*?)```", text, re.S)
    assert found
    return dict(json.loads(found[1]))


def keys(value: Any) -> Any:
    """The shape of an object: its keys, nested; of a list its first entry."""
    if isinstance(value, dict):
        return {name: keys(inner) for name, inner in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [keys(value[0])]
    return None


def unknown(value: Any, path: str = "") -> set[str]:
    """Where an object holds null."""
    if isinstance(value, dict):
        return {each for name, one in value.items() for each in unknown(one, f"{path}.{name}")}
    return {path} if value is None else set()


def test_the_page_is_tried_with_all_that_is_unknown_without_an_order(stage: Shown) -> None:
    """A null that no test of the page has seen stops the page from being drawn."""
    never = unknown(stage.now)
    assert ".speed.unit" in never
    assert never <= unknown(empty_snapshot())


def test_a_snapshot_has_the_shape_of_the_contract(stage: Shown) -> None:
    stage.line.start()
    filled(stage.line, 0, 1)
    shown(stage.line, "B-0000", "B-0001")
    labelled(stage.line, "C-0000")
    stage.line.good_bottle(2)
    stage.line.tell(i.CreateOrder(order("WO-2"), "li"))
    stage.line.tell(i.GateReported("verify", 99, i.GateSaw.FAILED))
    now = json.loads(json.dumps(stage.now))
    wanted = contract()
    assert set(now) == set(wanted)
    for name in (
        "line",
        "state",
        "order",
        "orders",
        "devices",
        "sealed",
        "current",
        "oee",
        "speed",
    ):
        assert keys(now[name]) == keys(wanted[name]), name
    for name in ("rejected", "no_read", "trend"):
        assert set(now[name]) == set(wanted[name]), name
    (alarm,) = now["alarms"]
    assert set(alarm) == set(wanted["alarms"][0])


def test_without_an_order_nothing_is_counted_and_nothing_is_zero(stage: Shown) -> None:
    now = stage.now
    assert (now["order"], now["good"], now["plan"], now["current"]) == (None, None, None, None)
    assert now["rejected"]["count"] is None
    assert now["speed"]["per_min"] is None
    assert now["state"]["packml"] == "idle"


def test_numbers_follow_the_line(stage: Shown) -> None:
    stage.line.start()
    for item in (0, 1):
        stage.line.good_bottle(item)
    stage.line.code_bottle(2, 2)
    stage.line.see_bottle(2, gate=i.GateSaw.REJECTED)
    now = stage.now
    assert (now["good"], now["rejected"]["count"], now["no_read"]["count"]) == (2, 1, 1)
    assert now["rejected"]["reasons"] == {"no_read": 1}
    assert now["order"]["names"]["zh"] == "可乐"
    cells = now["current"]["cells"]
    assert [(cell["s"], cell["code"]) for cell in cells] == [("good", "B-0000"), ("good", "B-0001")]


def test_a_sealed_case_is_shown_with_its_code_and_its_worth(stage: Shown) -> None:
    stage.line.start()
    filled(stage.line, 0, 1)
    shown(stage.line, "B-0000", "B-0001")
    labelled(stage.line, "C-0000")
    (case,) = stage.now["sealed"]
    assert (case["code"], case["count"], case["of"], case["integrity"]) == (
        "C-0000",
        2,
        2,
        "proven",
    )
    assert stage.now["current"]["number"] == 2


@pytest.mark.parametrize(
    ("plc", "flags", "wants", "state"),
    [
        ("starting", {"running"}, True, "starting"),
        ("lost", {"running"}, True, "lost"),
        ("ok", {"running", "estop"}, True, "aborted"),
        ("ok", {"running"}, False, "held"),
        ("ok", set(), True, "stopped"),
        ("ok", {"running"}, True, "suspended"),
    ],
)
def test_the_state_of_the_line_in_words(
    stage: Shown, plc: Any, flags: set[str], wants: bool, state: str
) -> None:
    stage.line.start()
    stage.plc.state, stage.runner.plc_flags = plc, frozenset(flags)
    stage.runner.wants_running = wants
    assert stage.now["state"]["packml"] == state


def test_a_line_that_makes_bottles_executes_and_one_that_pauses_is_held(stage: Shown) -> None:
    stage.line.start()
    stage.line.good_bottle(0)
    assert stage.now["state"]["packml"] == "execute"
    stage.line.tell(i.PauseOrder("li", "lunch"))
    now = stage.now
    assert now["state"]["packml"] == "held"
    assert now["oee"]["stops"] == 1


def test_why_a_line_is_held_and_whether_it_goes_on_by_itself(stage: Shown) -> None:
    stage.line.start()
    assert stage.now["state"]["cause"] is None
    stage.runner.healths.append(Health("cam7", "camera", "lost"))
    now = stage.now
    assert now["state"]["packml"] == "held"
    assert now["state"]["cause"] == {"key": "device", "by": None, "agent": True, "device": "cam7"}
    assert now["order"]["status"] == "running", "there is nothing to resume"
    stage.runner.healths.pop()
    stage.line.tell(i.ConditionChanged("L1/plc/low_air", True, 1, "low_air"))
    now = stage.now
    assert now["state"]["cause"] == {
        "key": "low_air",
        "by": "agent",
        "agent": True,
        "device": None,
    }
    assert now["order"]["status"] == "paused"
    stage.line.tell(i.ConditionChanged("L1/plc/low_air", False, 1, "low_air"))
    stage.line.tell(i.StartOrder("WO-1", "li"), i.PauseOrder("li"))
    cause = stage.now["state"]["cause"]
    assert (cause["key"], cause["by"], cause["agent"]) == (None, "li", False)


def test_a_store_that_keeps_nothing_is_said_although_it_cannot_be_recorded(stage: Shown) -> None:
    stage.line.start()
    stage.runner._store_failed = True
    now = stage.now
    assert now["state"]["cause"]["key"] == "store_failed"
    assert [alarm["key"] for alarm in now["alarms"]] == ["store_failed"]
    assert stage.now["alarms"] == now["alarms"], "since when, stays"
    stage.runner._store_failed = False
    assert stage.now["alarms"] == []


class SetClock(RealTime):
    """This machine's clock, and how far somebody set it."""

    offset = 0

    def wall_ns(self) -> int:
        return super().wall_ns() + self.offset


@pytest.mark.parametrize("years", [10, -10])
def test_a_clock_that_is_set_changes_no_number(tmp_path: Path, years: int) -> None:
    clock = SetClock()
    follow(clock)
    stage = Shown(tmp_path)
    try:
        stage.line.start()
        filled(stage.line, 0, 1)
        before = stage.now
        clock.offset = years * 365 * 86_400 * 10**9
        after = stage.now
        moved = years * 365 * 86_400_000
        assert after["state"]["packml"] == before["state"]["packml"] == "execute"
        assert after["speed"]["per_min"] == before["speed"]["per_min"]
        assert abs(after["at"] - before["at"] - moved) < 60_000
        assert abs(after["state"]["since"] - before["state"]["since"] - moved) < 60_000
        assert abs(after["trend"]["from"] - before["trend"]["from"] - moved) < 60_000
        assert after["oee"]["stopped_s"] == before["oee"]["stopped_s"]
    finally:
        stage.line.database.close()
        follow(RealTime())
