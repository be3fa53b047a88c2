"""What a line's state wants of the PLC: may it run, which lamps, which flags are alarms."""

from typing import NamedTuple

from agent.core.state import LineState
from agent.core.stopping import AGENT

FLAG_ALARMS = ("reject_full", "low_air")
"""Flags of the PLC that are alarms, under the same name."""
NO_CODES = frozenset({"pool_empty", "pool_in_question"})
"""Alarms while which nothing can be printed: the line stands until they are over."""


class Wishes(NamedTuple):
    """What a line's state wants of the PLC: whether it may run, whether it was stopped by us, its
    lamps; which alarms of the PLC's flags are open, and whether it is in bypass."""

    run: bool
    stop: bool
    lamps: frozenset[str]
    flags: frozenset[str]
    bypass: bool


def wishes_of(state: LineState) -> Wishes:
    """What the state wants now."""
    priorities = {alarm.priority for alarm in state.alarms.values() if not alarm.acknowledged}
    stopped = any(alarm.key in NO_CODES for alarm in state.alarms.values())
    lamps = {"red", "horn"} if 1 in priorities else {"amber"} if priorities else set[str]()
    if state.status == "running" or state.trial is not None:
        lamps |= {"green"}
    running = state.status == "running" or state.trial is not None
    flags = frozenset(alarm.key for alarm in state.alarms.values() if alarm.key in FLAG_ALARMS)
    by_us = state.status == "paused" and state.paused_by == AGENT
    bypass = state.bypass is not None
    return Wishes(running and (bypass or not stopped), by_us, frozenset(lamps), flags, bypass)
