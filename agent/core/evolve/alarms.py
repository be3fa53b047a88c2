"""How facts of alarms change a line."""

from agent.core import facts as f
from agent.core.evolve.common import Table
from agent.core.plan import LinePlan
from agent.core.state import LineState, OpenAlarm


def _alarm_raised(plan: LinePlan, state: LineState, fact: f.AlarmRaised) -> None:
    state.alarms[fact.alarm] = OpenAlarm(
        fact.priority, fact.key, fact.station, fact.item, dict(fact.args), fact.at_ms
    )


def _alarm_cleared(plan: LinePlan, state: LineState, fact: f.AlarmCleared) -> None:
    state.alarms.pop(fact.alarm, None)


def _alarm_acknowledged(plan: LinePlan, state: LineState, fact: f.AlarmAcknowledged) -> None:
    alarm = state.alarms.get(fact.alarm)
    if alarm is not None:
        alarm.acknowledged = True


TABLE: Table = {
    f.AlarmRaised: _alarm_raised,
    f.AlarmCleared: _alarm_cleared,
    f.AlarmAcknowledged: _alarm_acknowledged,
}
