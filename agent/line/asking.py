"""Which container the panel asks a person to scan by hand: of those that tell of the order in a
packer, the one that tells most (core.anchors)."""

from collections.abc import Mapping
from dataclasses import replace

from agent.core import anchors
from agent.core.state import LineState, OpenAlarm

WANTED = ("order_doubtful", "anchor_wanted", "slip_unconfirmed")
"""Alarms that ask for one container of what comes; `slip_found` asks for those that are left."""


def alarms(state: LineState) -> dict[str, OpenAlarm]:
    """A copy of the open alarms; those that ask for a scan name the unit in their argument `scan`
    where there is one to be scanned."""
    found = {name: replace(alarm) for name, alarm in state.alarms.items()}
    for alarm in found.values():
        packing = state.packing.get(alarm.station)
        asked = alarm.key in WANTED
        if packing is not None and (asked or alarm.key == "slip_found"):
            for unit in anchors.best(packing, asked=asked)[:1]:
                alarm.args = {**alarm.args, "scan": str(unit)}
    return found


def shown(args: Mapping[str, str], codes: Mapping[int, str | None]) -> dict[str, str]:
    """The arguments as people read them: the unit by its code, or not at all."""
    given = dict(args)
    unit = given.pop("scan", "")
    code = codes.get(int(unit)) if unit else None
    return given if code is None else {**given, "scan": code}
