"""The lot or the order changes while items of the one before are still on the belt."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.errors import DomainError
from agent.store.record import record
from agent.store.verify import verify
from tests.core.lines import (
    CASE,
    LABEL,
    PACKER,
    VERIFY,
    WHOLE_PATHS,
    Line,
    chain,
    filled,
    labelled,
    order,
    read,
    scheme,
    shown,
)

SEQUENCE = replace(PACKER, mode="sequence", readers=(), gate=False)
FOUR = replace(CASE, children=4)


def changing(folder: Path, *, mixed: str = "close_partial", pack: str = "multi_read") -> Line:
    """A line that verifies pre-printed bottles and packs four in a case; WO-1 runs, WO-2 of lot B
    waits."""
    made = scheme(case=FOUR, mixed_lots=mixed)
    packer = SEQUENCE if pack == "sequence" else PACKER
    plan = chain(VERIFY, packer, LABEL, paths=WHOLE_PATHS[1:])
    pools = {"case/case-outer": 2}
    line = Line(folder, plan, preprinted=True, made=order(scheme=made, pools=pools)).start()
    line.tell(i.CreateOrder(order("WO-2", lot="B", scheme=made, pools=pools), "li"))
    return line


def bottles(line: Line, *items: int) -> list[int]:
    return [line.good_bottle(item) for item in items]


def test_what_is_on_the_belt_keeps_its_order(tmp_path: Path) -> None:
    line = changing(tmp_path)
    with line:
        line.tell(i.ItemTriggered("verify", 1))
        line.tell(i.ChangeOrder("WO-2", "li"))
        line.tell(i.ItemTriggered("verify", 2))
        for item in (1, 2):
            line.tell(i.ItemReadings("verify", item, "cam", (f"B-000{item}",)))
        passed = [(fact.item, fact.order) for fact in line.facts(f.ItemPassed)]
        assert passed == [(1, "WO-1"), (2, "WO-2")]
        assert line.state.tally.good == 1, "it counts for the order that the line runs"
        line.tell(i.GateReported("verify", 1, i.GateSaw.REJECTED))
        assert line.state.tally.good == 1


def test_a_change_finishes_one_and_starts_the_other(tmp_path: Path) -> None:
    line = changing(tmp_path)
    with line:
        with pytest.raises(DomainError, match="change over"):
            line.tell(i.StartOrder("WO-2", "li"))
        done = line.tell(i.ChangeOrder("WO-2", "li"))
        assert done.facts == (f.OrderFinished("WO-1", "li"), f.OrderStarted("WO-2", "li"))
        with pytest.raises(DomainError, match="already"):
            line.tell(i.ChangeOrder("WO-2", "li"))
        with pytest.raises(DomainError, match="stays so"):
            line.tell(i.ChangeOrder("WO-1", "li"))


def test_the_last_case_of_a_lot_is_closed_partial_once(tmp_path: Path) -> None:
    line = changing(tmp_path)
    with line:
        bottles(line, 0, 1, 2)
        line.tell(i.ChangeOrder("WO-2", "li"))
        line.tell(i.Stroked("packer", 1, (1, 1)))
        done = shown(line, "B-0000", "B-0001")
        assert f.PartialAllowed("packer", "lot_change", "", 1) in done.facts
        (closed,) = line.facts(f.ContainerClosed, labelled(line, "C-0000"))
        assert (closed.reason, closed.by, closed.integrity) == ("lot_change", "", "proven")
        (formed,) = line.facts(f.ContainerFormed)
        assert formed.order == "WO-1"
        line.tell(i.Stroked("packer", 2, (1, 0)))
        shown(line, "B-0002", number=2, gate=None)
        (refused,) = line.facts(f.ContainerRefused)
        assert refused.verdict == "count", "a second short case is a mistake"


def test_two_lots_in_one_case_are_refused_or_allowed(tmp_path: Path) -> None:
    for mixed in ("close_partial", "allow"):
        (tmp_path / mixed).mkdir()
        line = changing(tmp_path / mixed, mixed=mixed)
        with line:
            bottles(line, 0, 1, 2)
            line.tell(i.ChangeOrder("WO-2", "li"))
            bottles(line, 3)
            line.tell(i.Stroked("packer", 1, (2, 2)))
            gate = i.GateSaw.PASSED if mixed == "allow" else None
            done = shown(line, "B-0000", "B-0001", "B-0002", "B-0003", gate=gate)
            if mixed == "allow":
                (closed,) = line.facts(f.ContainerClosed, labelled(line, "C-0000"))
                assert (closed.count, closed.integrity) == (4, "proven")
                assert [fact.order for fact in line.facts(f.ContainerFormed)] == ["WO-1"]
            else:
                (refused,) = line.facts(f.ContainerRefused, done)
                assert refused.verdict == "wrong_lot"


def test_by_order_the_last_case_is_the_one_that_nothing_of_its_lot_follows(tmp_path: Path) -> None:
    line = changing(tmp_path, pack="sequence")
    with line:
        bottles(line, 0, 1, 2, 3)
        line.tell(i.ChangeOrder("WO-2", "li"))
        bottles(line, 4, 5, 6, 7)
        done = line.tell(i.Stroked("packer", 1, (1, 1)))
        assert not line.facts(f.PartialAllowed, done), "more of its lot waits"
        assert line.facts(f.ContainerRejected, done)
        done = line.tell(i.Stroked("packer", 2, (1, 1)))
        assert line.facts(f.PartialAllowed, done)
        assert not line.facts(f.ContainerRejected, done)
        done = line.tell(i.Stroked("packer", 3, (2, 2)))
        assert not line.facts(f.PartialAllowed, done)
        orders = [fact.order for fact in line.facts(f.ContainerFormed)]
        assert orders == ["WO-1", "WO-1", "WO-2"]


def test_an_open_case_is_closed_when_the_next_lot_goes_into_another(tmp_path: Path) -> None:
    line = changing(tmp_path, pack="sequence")
    with line:
        bottles(line, 0, 1)
        line.tell(i.Stroked("packer", 1, (1, 1), last=False))
        line.tell(i.ChangeOrder("WO-2", "li"))
        bottles(line, 2, 3)
        done = line.tell(i.Stroked("packer", 2, (1, 1), last=False))
        assert f.PartialAllowed("packer", "lot_change", "", 1) in done.facts
        assert [fact.container for fact in line.facts(f.LabelAssigned, done)] == [3]
        (closed,) = line.facts(f.ContainerClosed, labelled(line, "C-0000"))
        assert (closed.container, closed.count, closed.reason) == (3, 2, "lot_change")


def test_by_order_two_lots_in_one_case_are_told_as_that(tmp_path: Path) -> None:
    line = changing(tmp_path, pack="sequence")
    with line:
        bottles(line, 0, 1, 2)
        line.tell(i.ChangeOrder("WO-2", "li"))
        bottles(line, 3)
        done = line.tell(i.Stroked("packer", 1, (2, 2)))
        (rejected,) = line.facts(f.ContainerRejected, done)
        assert rejected.verdict == "wrong_lot"


def test_a_lot_on_hold_is_not_started(tmp_path: Path) -> None:
    line = changing(tmp_path)
    with line:
        hold = f.HoldPlaced(1, (), "cola", "B", -1, 0, -1, "smell", "qa")
        line.writer.run_inline(lambda conn: record(conn, "", [hold], line.clock()))
        with pytest.raises(DomainError) as refused:
            line.tell(i.ChangeOrder("WO-2", "li"))
        assert refused.value.reason == "lot_held"


def test_a_number_that_another_line_has_is_refused(tmp_path: Path) -> None:
    line = changing(tmp_path)
    with line:
        other = replace(order("WO-9"), line="L2")
        made = f.OrderCreated(other, "li")
        line.writer.run_inline(lambda conn: record(conn, "L2", [made], line.clock()))
        with pytest.raises(DomainError, match="line L2") as refused:
            line.tell(i.CreateOrder(order("WO-9"), "li"))
        assert refused.value.reason == "order_exists"


@pytest.mark.parametrize("mode", ["sequence", "multi_read"])
def test_one_permission_is_for_one_container(tmp_path: Path, mode: str) -> None:
    """Three are begun before the first of them closes; the first that comes short uses it up."""
    pack = PACKER if mode == "multi_read" else replace(PACKER, mode="sequence", readers=())
    plan = chain(VERIFY, replace(pack, gate=False), LABEL, paths=("single_file", "captive"))
    made = order(pools={"case/case-outer": 2})
    with Line(tmp_path, plan, preprinted=True, made=made).start() as line:
        line.tell(i.ClosePartial("packer", "end of shift", "li"))
        for number in (1, 2, 3):
            filled(line, number, number=number)
            if mode == "multi_read":
                shown(line, f"B-{number:04d}", number=number, gate=None)
        line.tell(
            i.ItemTriggered("label", 1), read("C-0000", item=1, station="label", reader="eye")
        )
        claims = [fact.number for fact in line.facts(f.PartialAllowed) if fact.number >= 0]
        assert claims == [1]
        closed = [(fact.reason, fact.by) for fact in line.facts(f.ContainerClosed)]
        assert closed == [("end of shift", "li")]
        refused = line.facts(f.ContainerRejected), line.facts(f.ContainerRefused)
        assert sum(map(len, refused)) == 2
        assert line.state.partial == {}
        assert verify(line.conn).problems == []
