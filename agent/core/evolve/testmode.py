"""How facts of test mode change a line."""

from agent.core import facts as f
from agent.core.evolve.common import Table, code_left_window
from agent.core.plan import LinePlan
from agent.core.state import LineState, Trial

TEST = "test"
"""The verdict (verdict.Verdict.TEST) by which every item of a test is rejected."""


def _began(plan: LinePlan, state: LineState, fact: f.TestModeBegan) -> None:
    state.trial = Trial(fact.order, fact.by)


def _ended(plan: LinePlan, state: LineState, fact: f.TestModeEnded) -> None:
    state.trial = None


def _item_tested(plan: LinePlan, state: LineState, fact: f.ItemTested) -> None:
    item = state.items.get(plan.zone[fact.station], {}).get(fact.item)
    if item is not None:
        # Should the gate fail, the next one takes it.
        item.verdict, item.fault, item.waiting = TEST, TEST, []
    for key in fact.codes:
        code_left_window(state, key)
    if state.trial is not None:
        verdict = str(fact.verdict)
        state.trial.seen[verdict] = state.trial.seen.get(verdict, 0) + 1


TABLE: Table = {
    f.TestModeBegan: _began,
    f.TestModeEnded: _ended,
    f.ItemTested: _item_tested,
}
