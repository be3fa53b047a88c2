"""The panel names the container of which a scan tells most."""

from pathlib import Path
from typing import Any

from agent.health import Health
from agent.line.panel import LinePanel, PanelSettings, excerpt
from agent.line.runner import LineRunner
from tests.core.test_slips import Hall, hall
from tests.line.test_panel import NoPlc


class Watched:
    """What the panel of this hall says."""

    def __init__(self, here: Hall) -> None:
        self._line = here.line
        runner = LineRunner(
            here.line.plan, here.line.gate, NoPlc(), Health("plc", "plc", "ok"), lambda _: None
        )
        self._panel = LinePanel(runner, PanelSettings({}, {}))
        self._heard = 0

    def asks(self) -> dict[str, str | None]:
        """Alarm key -> the code that it names."""
        for committed in self._line.said[self._heard :]:
            self._panel.observe(committed)
        self._heard = len(self._line.said)
        alarms: list[dict[str, Any]] = self._panel.snapshot(excerpt(self._line.state))["alarms"]
        return {alarm["key"]: alarm["args"].get("scan") for alarm in alarms}


def test_the_newest_case_is_named_when_the_order_is_doubtful(tmp_path: Path) -> None:
    with hall(tmp_path) as here:
        panel = Watched(here)
        here.cases(2)
        here.scan(1)
        here.arrive(here.bottle())
        here.arrive(here.bottle(), seen=False)
        here.arrive(here.bottle())
        assert panel.asks()["order_doubtful"] is None, "no case says anything of it yet"
        here.cases(2)
        assert panel.asks()["order_doubtful"] == "C-0003"
        here.scan(3)
        assert "order_doubtful" not in panel.asks()


def test_the_middle_one_of_those_among_which_it_slipped_is_named_next(tmp_path: Path) -> None:
    with hall(tmp_path) as here:
        panel = Watched(here)
        here.cases(2)
        here.scan(1)
        here.cases(3)
        here.arrive(here.bottle(), lane=1)  # counted into lane 0
        for _ in range(3):
            here.arrive(here.bottle())
        here.pack()
        here.cases(8)
        here.scan(13)
        named = panel.asks()["slip_found"]
        assert named == "C-0007"
        here.scan(7)
        again = panel.asks()["slip_found"]
        assert again is not None
        assert again < named, "it slipped before that one"
