"""A change of order while the coder still has codes of the one before in hand."""

from dataclasses import replace
from pathlib import Path

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.inputs import GateSaw
from agent.core.life import CodeState
from agent.core.poolfile import Declared
from agent.store import balance
from tests.core.lines import BOTTLES, CASES, Line, order, read


def test_codes_of_the_old_order_in_the_coder_spoil_no_code_of_the_new_one(tmp_path: Path) -> None:
    with Line(tmp_path, bottles=40) as line:
        new = line.add_pool(Declared("new", "bottle", ("body",)), "N", 40)
        line.start()
        for item in range(10):
            line.good_bottle(item)
        line.tell(i.PrintAccepted("coder", 10, 4, BOTTLES, 0), i.FinishOrder("li"))
        pools = {"bottle/body": new, "case/case-outer": CASES}
        line.tell(i.CreateOrder(replace(order("WO-2"), pools=pools), "li"))
        line.tell(i.StartOrder("WO-2", "li"))
        for item in range(10, 30):
            # Four of the old pool come out first, then the new pool's.
            old = item < 14
            pool, position = (BOTTLES, item) if old else (new, item - 14)
            line.tell(
                i.ItemTriggered("coder", item),
                i.PrintAccepted("coder", position, 1, pool, 0),
                i.PrintReported("coder", position, 4, pool, 0),
                i.RefillWanted("coder", 1),
                i.ItemTriggered("verify", item),
                read(f"{'B' if old else 'N'}-{position:04d}", item=item),
                i.GateReported("verify", item, GateSaw.REJECTED if old else GateSaw.PASSED),
            )
        rejected = line.facts(f.ItemRejected)
        assert [(each.item, each.verdict) for each in rejected] == [
            (item, "wrong_product") for item in range(10, 14)
        ]
        assert len(line.facts(f.ItemPassed)) == 26
        assert [line.code(f"B-{n:04d}").state for n in range(10, 14)] == [CodeState.SUSPECT] * 4
        left = dict(balance.balances(line.conn))["bottles/body"]
        assert (left.in_process, left.suspect, left.difference) == (0, 4, 0)
