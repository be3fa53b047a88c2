"""An item's way along the belt: seen, read, judged, let pass or rejected, and what is doubted."""

from pathlib import Path

import pytest

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.decide import decide, questions
from agent.core.effects import SetSlot
from agent.core.evolve import evolve
from agent.core.inputs import GateSaw
from agent.core.known import Known
from agent.core.life import CodeState, UnitState
from agent.core.poolfile import Declared, rule_pool
from agent.core.poolrule import Rule
from agent.core.state import LineState
from agent.core.tracking import differences
from agent.services import pool_files
from tests.core.lines import (
    BOTTLES,
    CASES,
    CODER,
    LINE,
    NOW,
    VERIFY,
    Line,
    chain,
    filled,
    order,
    read,
    shown,
)


def names(line: Line, since: int = 0) -> list[str]:
    return [type(fact).__name__ for group in line.said[since:] for fact in group.facts]


def test_a_good_bottle_becomes_a_unit(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        line.code_bottle(0, 0)
        done = line.see_bottle(0, "B-0000", gate=None)
        (passed,) = line.facts(f.ItemPassed)
        key = line.code("B-0000").key
        assert passed == f.ItemPassed(
            "verify",
            0,
            1,
            "bottle",
            "WO-1",
            (f.Attachment("body", key, f.PairIntegrity.PROVEN),),
            commissioned=True,
        )
        assert done.effects == (SetSlot("verify", 0, passed=True),)
        assert line.code("B-0000").state is CodeState.ATTACHED
        assert line.unit(1).state is UnitState.VERIFIED


def test_an_unread_bottle_is_rejected_and_its_printed_code_lives_no_more(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        line.code_bottle(0, 0)
        done = line.see_bottle(0, gate=GateSaw.REJECTED)
        assert done.effects == (SetSlot("verify", 0, passed=False),)
        (rejected,) = line.facts(f.ItemRejected)
        assert (rejected.verdict, rejected.expected) == ("no_read", line.code("B-0000").key)
        assert line.code("B-0000").state is CodeState.SUSPECT
        assert names(line)[-1] == "RejectConfirmed"
        assert (line.state.tally.good, line.state.tally.rejected) == (0, 1)
        assert line.state.tally.reasons == {"no_read": 1}


def test_nothing_in_time_is_late(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        line.code_bottle(0, 0)
        line.tell(i.ItemTriggered("verify", 0), read(item=0, late=True))
        assert [each.verdict for each in line.facts(f.ItemRejected)] == ["late"]


def test_a_late_answer_with_a_text_is_judged_as_read(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        line.code_bottle(0, 0)
        line.tell(i.ItemTriggered("verify", 0), read("B-0000", item=0, late=True))
        assert len(line.facts(f.ItemPassed)) == 1


# ------------------------------------------------------------------------------------- the gate


@pytest.mark.parametrize(
    ("texts", "saw", "fact", "good"),
    [
        (("B-0000",), GateSaw.PASSED, "GatePassed", 1),
        (("B-0000",), GateSaw.REJECTED, "RejectConfirmed", 0),  # the verdict came too late for it
        ((), GateSaw.REJECTED, "RejectConfirmed", 0),
        ((), GateSaw.FAILED, "RejectFailed", 0),
        ((), GateSaw.PASSED, "RejectFailed", 0),  # it let a bad bottle go
    ],
)
def test_what_the_gate_reports(
    tmp_path: Path, texts: tuple[str, ...], saw: GateSaw, fact: str, good: int
) -> None:
    with Line(tmp_path).start() as line:
        line.code_bottle(0, 0)
        line.see_bottle(0, *texts, gate=saw)
        assert fact in names(line)
        assert line.state.tally.good == good
        assert ("reject_failed" in line.alarms) == (fact == "RejectFailed")
        assert differences(line.plan, line.state) == []


def test_a_unit_that_the_gate_took_off_is_rejected_with_its_item(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        line.code_bottle(0, 0)
        line.see_bottle(0, "B-0000", gate=GateSaw.REJECTED)
        (confirmed,) = line.facts(f.RejectConfirmed)
        assert (confirmed.unit, confirmed.judged, confirmed.passed) == (1, True, True)
        assert line.unit(1).state is UnitState.REJECTED
        assert line.state.tally.reasons == {"late": 1}


def test_a_reject_before_any_verdict_is_counted_as_late(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        line.code_bottle(0, 0)
        line.tell(i.ItemTriggered("verify", 0), i.GateReported("verify", 0, GateSaw.REJECTED))
        (confirmed,) = line.facts(f.RejectConfirmed)
        assert (confirmed.unit, confirmed.judged) == (None, False)
        assert line.state.tally.reasons == {"late": 1}


def test_an_item_without_a_verdict_that_passes_the_gate_is_an_alarm(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        line.code_bottle(0, 0)
        line.tell(i.ItemTriggered("verify", 0), i.GateReported("verify", 0, GateSaw.PASSED))
        assert line.alarms == {"reject_failed": 0}


def test_a_foreign_rejector_takes_a_unit(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        line.code_bottle(0, 0)
        line.see_bottle(0, "B-0000")
        line.tell(i.ForeignReject("verify", 0))
        assert line.facts(f.ForeignRejected) == [f.ForeignRejected("verify", 0, 1)]
        assert line.unit(1).state is UnitState.REJECTED
        assert differences(line.plan, line.state) == []


# ------------------------------------------------------------------------------- what is doubted


def test_a_plc_restart_doubts_everything_on_the_belt(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        line.good_bottle(0)  # in the packer's lane
        line.code_bottle(1, 1)
        line.see_bottle(1, "B-0001")  # on the path to it
        line.code_bottle(2, 2)
        line.see_bottle(2, "B-0002", gate=None)  # before the gate
        line.code_bottle(3, 3)  # not a unit yet
        line.tell(i.RunChanged(2, "plc_restart"))
        assert line.facts(f.RunBegan)[-1] == f.RunBegan(2, "plc_restart", (1, 2, 3))
        assert all(line.unit(unit).doubtful for unit in (1, 2, 3))
        state = line.state
        assert [state.items, state.on_path, state.lanes, state.counts] == [{}, {}, {}, {}]


def test_after_a_restart_units_that_are_in_no_container_are_doubtful(tmp_path: Path) -> None:
    """What is on the belt is forgotten with the process; that they passed is not."""
    with Line(tmp_path).start() as line:
        filled(line, 0, 1)
        shown(line, "B-0000", "B-0001")
        line.good_bottle(2)
        line.code_bottle(3, 3)
        line.see_bottle(3, "B-0003", gate=None)  # nobody will know whether the gate let it pass
        line.code_bottle(4, 4)
        line.see_bottle(4, "B-0004", gate=GateSaw.REJECTED)
        kept = [fact for fact in line.facts(f.Fact) if fact.durable]
        state = LineState(line.state.line)
        for fact in kept:
            state = evolve(line.plan, state, fact)
        facts, _ = decide(line.plan, state, i.RunChanged(1, "agent_restart"), Known(NOW, 1_000))
        case = line.facts(f.ContainerFormed)[0].unit
        loose = {fact.unit for fact in line.facts(f.ItemPassed)[2:4]}
        (began,) = (fact for fact in facts if isinstance(fact, f.RunBegan))
        assert set(began.doubtful) == loose | {case}
        assert evolve(line.plan, state, began).loose == {}, "what is doubtful is so once"


def test_units_that_no_packer_takes_are_not_doubted_for_ever(tmp_path: Path) -> None:
    plan = chain(VERIFY)
    state = LineState(LINE)
    for unit in range(1, 100):
        state = evolve(plan, state, f.ItemPassed("verify", unit, unit, "bottle", "WO", (), True))
    facts, _ = decide(plan, state, i.RunChanged(1, "agent_restart"), Known(NOW, 1_000))
    (began,) = (fact for fact in facts if isinstance(fact, f.RunBegan))
    assert began.doubtful == tuple(range(84, 100)), "as many as can be before the gate"


def test_the_same_run_is_no_restart(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        assert line.tell(i.RunChanged(1, "plc_restart")).facts == ()
        assert names(line)[-1] != "RunBegan"
        # Ring entries were lost: the run is the same and yet nothing is certain.
        assert line.tell(i.RunChanged(1, "ring_overrun")).facts[0] == (
            f.RunBegan(1, "ring_overrun", ())
        )
        assert set(line.alarms) == {"ring_overrun"}


def test_a_restart_that_leaves_something_doubtful_says_how_much(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        line.tell(i.RunChanged(1, "agent_restart"))
        assert line.alarms == {}, "nothing was on the belt"
        line.good_bottle(0)
        line.good_bottle(1)
        line.tell(i.RunChanged(1, "agent_restart"))
        (alarm,) = line.state.alarms.values()
        assert (alarm.key, alarm.args) == ("restart_doubt", {"count": "2"})
        line.tell(i.AcknowledgeAlarm(next(iter(line.state.alarms)), "li"))
        line.tell(i.RunChanged(1, "inputs_lost"))
        assert set(line.alarms) == {"record_gap"}


def test_numbers_of_the_old_run_mean_nothing_in_the_new_one(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        line.code_bottle(0, 0)
        line.tell(i.ItemTriggered("verify", 0), i.RunChanged(2, "plc_restart"))
        assert line.tell(read("B-0000", item=0)).facts == ()
        assert line.code("B-0000").unit is None


# ----------------------------------------------------------------------- what the store is asked


def test_what_is_asked_before_a_decision() -> None:
    plan, state = chain(CODER, VERIFY), LineState(LINE)
    state.order = order()
    state.orders = {"WO-1": state.order}
    asked = questions(plan, state, read("a", "b"))
    # A bottle needs no label: the pools of its codes come with the codes.
    assert (asked.texts, asked.pools) == (("a", "b"), ())
    assert questions(plan, state, i.RefillWanted("coder", 3)).pools == (BOTTLES,)
    assert set(questions(plan, state, i.StartOrder("WO-1", "li")).pools) == {BOTTLES, CASES}
    assert questions(plan, state, i.StartOrder("WO-9", "li")).pools == ()
    assert questions(plan, state, i.ItemTriggered("verify", 1)) == questions(
        plan, state, i.PauseOrder("li")
    )


def test_a_code_that_a_rule_admits_is_registered_when_it_is_first_seen(tmp_path: Path) -> None:
    with Line(tmp_path, chain(VERIFY), made=order(pools={})) as line:
        rule = rule_pool(
            Declared("rule", "bottle", ("body",), preprinted=True), Rule.parse("RULE-")
        )
        line.writer.run_inline(lambda conn: pool_files.keep(conn, rule, line.clock()))
        line.start()
        line.see_bottle(1, "RULE-7", gate=None)
        (registered,) = line.facts(f.CodeRegistered)
        assert registered.text == "RULE-7"
        assert line.facts(f.ItemPassed)[0].codes[0].key == registered.key
        # The second time it is a duplicate and needs no new place.
        line.see_bottle(2, "RULE-7", gate=None)
        assert [each.verdict for each in line.facts(f.ItemRejected)] == ["duplicate"]
        assert len(line.facts(f.CodeRegistered)) == 1
