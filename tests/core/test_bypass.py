"""Bypass: what passes is counted and never claimed, and it ends by itself."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.bypass import left_seconds
from agent.core.effects import PrintLabel, SendCodes, SetSlot
from agent.core.errors import DomainError
from agent.core.inputs import GateSaw
from agent.core.known import Clock
from agent.core.life import CodeState
from agent.core.plan import Limits
from agent.store.balance import balances
from agent.store.verify import verify
from tests.core.lines import (
    CODER,
    LABEL,
    LINE,
    PACKER,
    VERIFY,
    WHOLE,
    WHOLE_PATHS,
    Line,
    chain,
    filled,
    labelled,
    read,
    shown,
)

BEGIN = i.BeginBypass("wang", "camera broken", 600)
SEQUENCE = replace(PACKER, mode="sequence", readers=(), gate=False)


def at(line: Line, what: i.Input, mono_ms: int) -> None:
    """Tell it at another monotonic time."""
    clock = Clock(line.clock().wall_ms, mono_ms)
    done = line.writer.run_inline(lambda conn: line.gate.decide(conn, LINE, [(what, clock)]))
    line.said.append(done)
    line.state = line.writer.run_inline(lambda conn: line.gate.look(conn, LINE, lambda s: s))


def bottle(line: Line, item: int) -> None:
    """A bottle passes coder, camera and gate, and enters its lane."""
    line.tell(i.ItemTriggered("coder", item), i.ItemTriggered("verify", item))
    line.tell(read(item=item, late=True), i.GateReported("verify", item, GateSaw.PASSED))
    line.tell(i.ItemEntered("packer", item % 2, item))


def sound(line: Line) -> None:
    """Tables are what the journal says, and every code is accounted for."""
    assert verify(line.conn).problems == []
    assert all(found.difference == 0 for _, found in balances(line.conn))


def test_what_passes_is_no_unit_and_is_counted(tmp_path: Path) -> None:
    with Line(tmp_path).start(BEGIN) as line:
        bottle(line, 1)
        bottle(line, 2)
        assert [(slot.number, slot.passed) for slot in line.effects(SetSlot)] == [
            (1, True),
            (2, True),
        ]
        assert line.facts(f.ItemPassed) == line.facts(f.ItemRejected) == []
        assert [(u.station, u.item, u.order) for u in line.facts(f.ItemUnseen)] == [
            ("verify", 1, "WO-1"),
            ("verify", 2, "WO-1"),
        ]
        assert line.state.tally.good == 0
        assert line.state.tally.unseen == {"verify": 2}
        assert line.state.lanes["packer"] == {0: [None], 1: [None]}
        assert line.alarms == {"bypass": None}
        line.tell(i.EndBypass("li"))
        (ended,) = line.facts(f.BypassEnded)
        assert (ended.by, ended.why, ended.unseen) == ("li", "person", (("verify", 2),))
        assert line.alarms == {}
        assert line.state.bypass is None
        sound(line)


def test_the_pass_is_durable_before_it_is_given(tmp_path: Path) -> None:
    with Line(tmp_path).start(BEGIN) as line:
        done = line.tell(i.ItemTriggered("verify", 1))
        kinds = [type(fact).__name__ for fact in done.facts if fact.durable]
        assert kinds == ["ItemUnseen"]
        assert done.effects == (SetSlot("verify", 1, passed=True),)


def test_the_coder_gets_no_codes_and_what_it_printed_meanwhile_is_suspect(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        line.code_bottle(0, 0)  # printed, and not read yet
        sent = len(line.effects(SendCodes))
        line.tell(BEGIN, i.RefillWanted("coder", 4))
        assert len(line.effects(SendCodes)) == sent
        line.code_bottle(1, 1)
        for item in (2, 3, 4, 5):  # these pass the coder while it stands
            line.tell(i.ItemTriggered("coder", item))
        line.tell(i.EndBypass("li"))
        states = [line.code(f"B-{n:04d}").state for n in range(6)]
        assert states[:2] == [CodeState.SUSPECT, CodeState.SUSPECT]
        assert set(states[2:]) <= {CodeState.SENDING, CodeState.ISSUED}
        # What the coder still holds comes out now, on the bottles that come now.
        line.code_bottle(9, 2)
        assert line.facts(f.ItemPassed, line.see_bottle(9, "B-0002"))
        # A bottle that passed the coder before the end shows a suspect code: it is that bottle's.
        assert line.facts(f.ItemPassed, line.see_bottle(10, "B-0001"))
        sound(line)


def test_a_case_of_unseen_bottles_by_order_is_incomplete(tmp_path: Path) -> None:
    plan = chain(CODER, VERIFY, SEQUENCE, LABEL, paths=("single_file", "single_file", "captive"))
    with Line(tmp_path, plan).start() as line:
        known = line.good_bottle(0)
        line.tell(BEGIN)
        bottle(line, 1)
        line.tell(i.EndBypass("li"))
        line.tell(i.Stroked("packer", 1, (1, 1)))
        labelled(line, "C-0000")
        (packed,) = line.facts(f.Packed)
        assert packed.children == (known, None)
        (closed,) = line.facts(f.ContainerClosed)
        assert (closed.unknown, closed.integrity) == (1, f.Integrity.INCOMPLETE)
        # No other case is excused for it.
        line.good_bottle(2)
        line.tell(i.Stroked("packer", 2, (1, 1)))
        assert [fact.verdict for fact in line.facts(f.ContainerRejected)] == ["no_read"]
        sound(line)


def test_a_case_whose_picture_misses_the_unseen_is_incomplete(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        line.good_bottle(0)
        line.tell(BEGIN)
        bottle(line, 1)
        line.tell(i.EndBypass("li"), i.Stroked("packer", 1, (1, 1)))
        shown(line, "B-0000")
        labelled(line, "C-0000")
        (closed,) = line.facts(f.ContainerClosed)
        assert (closed.count, closed.unknown, closed.integrity) == (2, 1, f.Integrity.INCOMPLETE)
        sound(line)


def test_more_unseen_bottles_than_a_case_holds_are_on_their_way(tmp_path: Path) -> None:
    with Line(tmp_path).start(BEGIN) as line:
        for item in range(6):
            bottle(line, item)
        line.tell(i.EndBypass("li"))
        for number in range(3):
            line.tell(i.Stroked("packer", number, (1, 1)))
            shown(line, number=number)
            labelled(line, f"C-{number:04d}", number=number)
        assert [closed.unknown for closed in line.facts(f.ContainerClosed)] == [2, 2, 2]
        assert line.state.unseen == {"packer": 0}
        sound(line)


def test_a_case_made_in_bypass_has_no_code_and_claims_nothing(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        line.good_bottle(0)
        line.good_bottle(1)
        line.tell(BEGIN, i.Stroked("packer", 1, (1, 1)))
        shown(line, "B-0000", "B-0001")
        labelled(line, "C-0000")
        assert line.effects(PrintLabel) == []
        assert line.facts(f.LabelBound) == []
        (packed,) = line.facts(f.Packed)
        assert packed.children == (None, None)
        (closed,) = line.facts(f.ContainerClosed)
        assert (closed.unknown, closed.integrity) == (2, f.Integrity.INCOMPLETE)
        assert line.state.tally.unseen == {"packer": 1, "label": 1}
        assert line.alarms == {"bypass": None}
        assert all(slot.passed for slot in line.effects(SetSlot))
        sound(line)


def test_what_was_known_before_the_bypass_uses_up_no_excuse(tmp_path: Path) -> None:
    """A case of known bottles is packed in bypass; the unseen ones come into the next case."""
    with Line(tmp_path).start() as line:
        line.good_bottle(0)
        line.good_bottle(1)
        line.tell(BEGIN)
        bottle(line, 2)
        bottle(line, 3)
        line.tell(i.Stroked("packer", 1, (1, 1)))
        shown(line, number=1)
        line.tell(i.EndBypass("li"), i.Stroked("packer", 2, (1, 1)))
        shown(line, number=2)
        labelled(line, "C-0000", number=2)
        assert [closed.unknown for closed in line.facts(f.ContainerClosed)] == [2]
        assert line.facts(f.ContainerRefused) == []
        assert line.state.unseen == {"packer": 0}
        sound(line)


def test_what_coasts_when_it_ends_does_not_stop_the_line(tmp_path: Path) -> None:
    """Bottles between coder and camera were not coded: their rejects say nothing of the line."""
    plan = replace(chain(CODER, VERIFY), limits=Limits(rejects_in_a_row=2))
    with Line(tmp_path, plan).start(BEGIN) as line:
        for item in range(6):
            line.tell(i.ItemTriggered("coder", item))
        line.tell(i.EndBypass("li"))
        for item in range(6):
            line.tell(i.ItemTriggered("verify", item), read(item=item))
        assert len(line.facts(f.ItemRejected)) == 6
        assert line.state.status == "running"
        for item in range(6, 8):
            line.tell(i.ItemTriggered("coder", item), i.ItemTriggered("verify", item))
            line.tell(read(item=item))
        assert line.state.status == "paused"


def test_a_full_case_that_passes_its_label_unread_is_not_proven(tmp_path: Path) -> None:
    with Line(tmp_path).start() as line:
        filled(line, 0, 1)
        shown(line, "B-0000", "B-0001")
        line.tell(BEGIN)
        labelled(line, "C-0000")
        (closed,) = line.facts(f.ContainerClosed)
        assert (closed.unknown, closed.integrity) == (0, f.Integrity.INFERRED)
        assert line.code("C-0000").state is CodeState.SUSPECT
        sound(line)


def test_a_unit_that_passes_a_later_station_unseen_is_doubtful(tmp_path: Path) -> None:
    second = replace(VERIFY, id="second", index=4)
    plan = chain(VERIFY, second)
    with Line(tmp_path, plan, preprinted=True).start() as line:
        line.see_bottle(1, "B-0001")
        line.tell(BEGIN, i.ItemTriggered("second", 1))
        (unseen,) = line.facts(f.ItemUnseen)
        assert unseen.unit == 1
        assert line.unit(1).doubtful
        item = line.state.item("verify", 1)
        assert item is not None
        assert item.unit is None


def test_it_ends_by_itself_when_its_time_is_over(tmp_path: Path) -> None:
    with Line(tmp_path).start(BEGIN) as line:
        assert line.state.bypass is not None
        began = line.state.bypass.mono_ms
        assert left_seconds(line.state.bypass, began + 1000) == 599
        at(line, i.Tick(), began + 599_999)
        assert line.state.bypass is not None
        at(line, i.Tick(), began + 600_000)
        assert line.state.bypass is None
        assert [(e.by, e.why) for e in line.facts(f.BypassEnded)] == [("", "time")]
        at(line, i.Tick(), began + 700_000)
        assert len(line.facts(f.BypassEnded)) == 1


def test_a_machine_that_was_started_anew_ends_it(tmp_path: Path) -> None:
    """Its monotonic clock begins anew, and the wall clock may be years off."""
    with Line(tmp_path).start(BEGIN) as line:
        at(line, i.Tick(), 5)
        assert [e.why for e in line.facts(f.BypassEnded)] == ["restart"]


def test_it_goes_on_after_a_restart_of_the_agent(tmp_path: Path) -> None:
    with Line(tmp_path).start(BEGIN) as line:
        bottle(line, 1)
        began = line.state.bypass
    with Line(tmp_path, fresh=False) as line:
        assert line.state.bypass == began
        assert line.state.tally.unseen == {"verify": 1}


def test_the_order_s_end_ends_it(tmp_path: Path) -> None:
    with Line(tmp_path).start(BEGIN) as line:
        line.tell(i.FinishOrder("li"))
        assert [e.why for e in line.facts(f.BypassEnded)] == ["order"]
        assert line.alarms == {}


def test_what_is_refused(tmp_path: Path) -> None:
    plan = replace(chain(*WHOLE, paths=WHOLE_PATHS), limits=Limits(bypass_seconds=600))

    def reason(line: Line, what: i.Input) -> str:
        with pytest.raises(DomainError) as refused:
            line.tell(what)
        return refused.value.reason

    with Line(tmp_path, plan) as line:
        assert reason(line, BEGIN) == "no_order"
        line.start()
        assert reason(line, i.EndBypass("li")) == "no_bypass"
        assert reason(line, replace(BEGIN, seconds=601)) == "bypass_too_long"
        assert reason(line, replace(BEGIN, seconds=0)) == "bypass_too_long"
        assert reason(line, replace(BEGIN, reason="")) == "reason_missing"
        line.tell(BEGIN)
        assert reason(line, BEGIN) == "bypass_on"


def test_rejects_in_a_row_do_not_stop_a_line_in_bypass(tmp_path: Path) -> None:
    plan = replace(chain(VERIFY), limits=Limits(rejects_in_a_row=2))
    with Line(tmp_path, plan, preprinted=True).start(BEGIN) as line:
        for item in range(5):
            line.tell(i.ItemTriggered("verify", item), read(item=item, late=True))
            line.tell(i.GateReported("verify", item, GateSaw.PASSED))
        assert line.state.status == "running"
        assert line.state.series == {}
