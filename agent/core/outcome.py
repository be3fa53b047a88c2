"""What a decision is collecting: facts in order, effects, and alarms said once."""

from agent.core import facts as f
from agent.core.effects import Effect
from agent.core.known import Known
from agent.core.plan import LinePlan
from agent.core.state import LineState

EVENT_ALARMS = frozenset(
    {
        "came_in",
        "trigger_missed",
        "count_difference",
        "reject_failed",
        "item_gone",
        "gate_blind",
        "reject_series",
        "duplicate_code",
        "void_code_on_product",
        "label_mismatch",
        "slip_found",
        "container_broken",
        "container_refused",
        "print_unconfirmed",
        "print_count",
        "record_gap",
        "restart_doubt",
        "ring_overrun",
    }
)
"""Alarms of something that happened: acknowledging them clears them. The others are conditions and
clear when the condition is over."""


CONDITION_ALARMS = frozenset(
    {
        "device_lost",
        "plc_lost",
        "printer_fault",
        "camera_stuck",
        "camera_silent",
        "quality_low",
        "reject_full",
        "low_air",
        "store_failed",
        "pool_low",
        "pool_empty",
        "pool_in_question",
        "order_doubtful",
        "anchor_wanted",
        "slip_unconfirmed",
        "scan_refused",
        "bypass",
        "test_mode",
        "sync_fork",
        "sync_parked",
        "sync_refused",
        "archive_failed",
    }
)
"""Alarms of something that is so, and clear when it is over."""


class Outcome:
    """Facts and effects of one decision, in the making. Reads the state, never changes it."""

    def __init__(self, plan: LinePlan, state: LineState, known: Known) -> None:
        self.plan = plan
        self.state = state
        self.known = known
        self.facts: list[f.Fact] = []
        self.effects: list[Effect] = []
        # Pool -> its next position, where this decision took codes from it already.
        self.taken: dict[int, int] = {}
        # This is about an item that no reader can have answered for (ItemReadings.blind).
        self.blind = False

    def alarm(
        self, key: str, priority: int, station: str, item: int | None = None, **args: str
    ) -> None:
        """Raise an alarm, unless the same one of this station is open already."""
        name = f"{self.state.line}/{station}/{key}"
        if name in self.state.alarms or any(
            isinstance(fact, f.AlarmRaised) and fact.alarm == name for fact in self.facts
        ):
            return
        self.facts.append(
            f.AlarmRaised(
                name,
                priority,
                key,
                station,
                item,
                tuple((name, str(value)) for name, value in args.items()),
                self.known.now.wall_ms,
            )
        )

    def open(self, key: str, station: str) -> bool:
        """Whether this alarm of the station is open since before."""
        return f"{self.state.line}/{station}/{key}" in self.state.alarms

    def clear(self, key: str, station: str) -> None:
        """The condition is over."""
        name = f"{self.state.line}/{station}/{key}"
        if self.open(key, station):
            self.facts.append(f.AlarmCleared(name))
