"""What facts do to the tables, what they may not do, and what is answered from them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core import facts as f
from agent.core.facts import Attachment, CodeKey, Fact, LinkEvidence, PairIntegrity
from agent.core.known import Known, Questions
from agent.core.life import CodeState, IllegalTransition, UnitState
from agent.core.poolfile import PoolRefused
from agent.core.pools import balance_of
from agent.store import journal, lookup, orders, pools, snapshots, units
from agent.store.trace import containers, trace, trace_key, trace_unit
from agent.store.verify import verify
from tests.store.store_help import (
    BODY,
    BOTTLES,
    CAP,
    CASES,
    LINE,
    ORDER,
    RULE,
    Plant,
    at,
    boxed,
    codes,
    listed,
    shift,
)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with pools and an order, to be copied."""
    where = tmp_path_factory.mktemp("loaded")
    Plant(where).load().close()
    return where


@pytest.fixture
def plant(loaded: Path, tmp_path: Path) -> Iterator[Plant]:
    plant = Plant(shutil.copytree(loaded, tmp_path / "copy"))
    yield plant
    report = verify(plant.conn)
    plant.close()
    assert report.problems == []


def refused(plant: Plant, why: str, *facts: Fact) -> None:
    """The facts contradict the tables and leave nothing behind, in journal or tables."""
    before = list(plant.conn.execute("SELECT count(*), max(seq) FROM journal"))
    changes = plant.conn.execute("SELECT * FROM code WHERE room IS NULL").fetchall()
    with pytest.raises(IllegalTransition, match=why):
        plant.put(*facts)
    assert list(plant.conn.execute("SELECT count(*), max(seq) FROM journal")) == before
    assert plant.conn.execute("SELECT * FROM code WHERE room IS NULL").fetchall() == changes


def attachment(pool: int, position: int, column: int, role: str = "body") -> Attachment:
    return Attachment(role, CodeKey(pool, position, column), PairIntegrity.PROVEN)


def known(plant: Plant, *texts: str, units: tuple[int, ...] = ()) -> Known:
    return lookup.answer(plant.conn, Questions(texts=texts, units=units), at(1))


# ---------------------------------------------------------------------------------- look-ups


def test_a_text_is_answered_with_its_code_unit_and_pool(plant: Plant) -> None:
    plant.put(*plant.case(1, 0, 0))
    text = codes("https://q.example.cn/b/", 200)
    answer = known(plant, text[2], text[50], "nobody's", units=(5, 99))
    assert set(answer.codes) == {text[2], text[50]}
    one = answer.codes[text[2]]
    assert one.key == CodeKey(BOTTLES, 2, BODY)
    assert (one.role, one.state, one.registered) == ("body", CodeState.ATTACHED, True)
    assert one.unit is not None
    assert (one.unit.unit, one.unit.parent, one.unit.state) == (3, 5, UnitState.PACKED)
    assert (one.unit.order, one.unit.product, one.unit.lot) == ("WO-1", "sku-1", "lot-1")
    assert answer.codes[text[50]].state is CodeState.ISSUED
    assert answer.codes[text[50]].unit is None
    assert set(answer.units) == {5}
    assert answer.units[5].level == "case"
    assert set(answer.pools) == {BOTTLES}
    assert answer.next_unit == 6


def test_a_text_that_a_rule_admits_gets_the_next_position(plant: Plant) -> None:
    plant.put(f.CodeRegistered(CodeKey(RULE, 0, 0), "RULE-0"))
    answer = known(plant, "RULE-0", "RULE-1", "RULE-2", "RULE-1", "RULE-", "OTHER-1")
    assert {text: (code.key.position, code.registered) for text, code in answer.codes.items()} == {
        "RULE-0": (0, True),
        "RULE-1": (1, False),
        "RULE-2": (2, False),
    }
    assert answer.pools[RULE].next_position == 1
    plant.put(f.CodeRegistered(CodeKey(RULE, 1, 0), "RULE-1"))
    refused(plant, "place already", f.CodeRegistered(CodeKey(RULE, 2, 0), "RULE-1"))
    refused(plant, "given already", f.CodeRegistered(CodeKey(RULE, 1, 0), "RULE-9"))
    refused(plant, "not a pool by rule", f.CodeRegistered(CodeKey(BOTTLES, 300, 0), "X"))


def test_next_unit_survives_gaps_lines_and_restarts(plant: Plant) -> None:
    assert known(plant).next_unit == 1
    position = 0
    for unit in (1, 2, 3, 7, 8, 20):
        plant.put(plant.bottle(unit, position))
        position += 1
        plant.reopen()
        assert known(plant).next_unit == unit + 1
    for unit in range(21, 90):
        plant.put(plant.bottle(unit, position))
        position += 1
    plant.reopen()
    assert known(plant).next_unit == 90
    assert [u for u in range(100) if units.find(plant.conn, u)] == [1, 2, 3, 7, 8, *range(20, 90)]
    refused(plant, "given already", plant.bottle(15, 150))


# --------------------------------------------------------------------------------- rule 1


def test_a_code_belongs_to_one_unit_for_ever(plant: Plant) -> None:
    plant.put(plant.bottle(1, 0))
    refused(plant, "is on unit 1 and cannot go to unit 2", plant.bottle(2, 0))
    plant.put(plant.bottle(2, 1))
    stolen = (attachment(BOTTLES, 0, BODY),)
    refused(plant, "is on unit 1", f.ItemPassed("s", 2, 2, "bottle", ORDER.number, stolen, False))
    plant.put(f.RejectConfirmed("verify", 1, 1))
    refused(plant, "is on unit 1", plant.bottle(3, 0))


def test_a_unit_has_one_open_parent(plant: Plant) -> None:
    plant.put(*plant.case(1, 0, 0))
    formed = f.ContainerFormed(6, "case", ORDER.number, "pack", 6, 4)
    read = (LinkEvidence.READ,)
    refused(plant, "unit 2 is packed in container 5", formed, f.Packed(6, (2,), read))
    plant.put(plant.bottle(6, 10), f.ContainerFormed(7, "case", "WO-1", "pack", 7, 4))
    refused(plant, "named twice", f.Packed(7, (6, 6), read))
    refused(plant, "does not exist", f.Packed(7, (6, 99), read))
    refused(plant, "in itself", f.Packed(7, (7,), read))
    refused(plant, "is not a container", f.Packed(6, (1,), read))
    refused(plant, "2 children with 3 evidences", f.Packed(7, (6, None), read * 3))
    plant.put(f.RejectConfirmed("verify", 6, 6))
    refused(plant, "unit 6 is rejected", f.Packed(7, (6,), read))


def test_a_unit_that_came_back_still_in_its_parent_is_not_packed_elsewhere(plant: Plant) -> None:
    plant.put(*plant.case(1, 0, 0), f.ContainerFormed(6, "case", "WO-1", "pack", 6, 4))
    received, packed = 5, 2  # no fact leads to received yet
    state = "UPDATE code SET unit_state = ? WHERE unit = 1 AND unit_state IS NOT NULL"
    plant.conn.execute(state, (received,))
    refused(plant, "in container 5", f.Packed(6, (1,), (LinkEvidence.READ,)))
    plant.conn.execute(state, (packed,))


def test_a_container_is_named_by_its_primary_code_alone(plant: Plant) -> None:
    def bound(position: int, role: str) -> f.LabelBound:
        code = attachment(CASES, position, 0, role)
        return f.LabelBound(1, (code,), f.OwnCode.CAPTIVE, "label")

    plant.put(f.ContainerFormed(1, "case", "WO-1", "pack", 6, 4), bound(3, "case-inner"))
    assert [case["code"] for case in containers(plant.conn)] == [None]
    plant.put(bound(7, "case-outer"), bound(9, "case-outer"))
    assert [case["code"] for case in containers(plant.conn)] == [codes("CASE-", 60)[7]]


def test_a_rejected_container_comes_back_by_its_label_and_a_packed_one_does_not(
    plant: Plant,
) -> None:
    plant.put(*plant.case(1, 0, 0), f.ContainerRejected(5, "label", "no_read"))
    again = f.LabelBound(5, (attachment(CASES, 0, 0),), f.OwnCode.CAPTIVE, "label")
    plant.put(again)
    assert known(plant, units=(5,)).units[5].state is UnitState.VERIFIED
    plant.put(f.ContainerFormed(6, "pallet", "WO-1", "pack", 6, 2))
    plant.put(f.Packed(6, (5,), (LinkEvidence.READ,)))
    refused(plant, "packed cannot become verified", again)


def test_neighbours_are_packed_and_begun_as_if_one_by_one(plant: Plant) -> None:
    """Gaps between units, between codes, and the order of the children make no difference."""
    plant.put(*(plant.bottle(unit, at) for unit, at in ((1, 0), (2, 1), (3, 3), (5, 4), (6, 5))))
    assert {unit: units.get(plant.conn, unit).home >> 5 & 0xFF for unit in (1, 2, 3, 5, 6)} == {
        1: 0,
        2: 1,
        3: 3,
        5: 4,
        6: 5,
    }
    rows = [plant.bottle(7, 6), plant.bottle(8, 7), plant.bottle(9, 1)]
    refused(plant, "is on unit 2 and cannot go to unit 9", *rows)
    refused(plant, "is on unit 1", plant.bottle(7, 0), plant.bottle(8, 1))
    plant.put(f.ContainerFormed(7, "case", "WO-1", "pack", 7, 5))
    refused(plant, "unit 4 does not exist", f.Packed(7, (4,), (LinkEvidence.READ,)))
    plant.put(f.Packed(7, (6, 2, 5, 3), (LinkEvidence.READ,)))
    parents = {unit: units.get(plant.conn, unit).parent for unit in (1, 2, 3, 5, 6)}
    assert parents == {1: None, 2: 7, 3: 7, 5: 7, 6: 7}


def test_every_code_of_a_unit_leads_to_it(plant: Plant) -> None:
    plant.put(*plant.case(1, 0, 0))
    cap = Attachment("cap", CodeKey(BOTTLES, 7, CAP), PairIntegrity.INFERRED)
    plant.put(plant.bottle(6, 7))
    plant.put(f.ItemPassed("second", 8, 6, "bottle", ORDER.number, (cap,), False))
    text = codes("CAP-", 200)[7], codes("https://q.example.cn/b/", 200)[7]
    by_cap, by_body = (known(plant, one).codes[one].unit for one in text)
    assert by_cap is not None
    assert by_cap == by_body
    assert (by_cap.unit, by_cap.level, by_cap.state) == (6, "bottle", UnitState.VERIFIED)


def test_a_child_that_left_is_no_child_any_more(plant: Plant) -> None:
    plant.put(*plant.case(1, 0, 0))
    (bound,) = (e.seq for e in journal.read(plant.conn) if isinstance(e.fact, f.Packed))
    plant.put(f.Unpacked(5, (2,), (bound,), 0, "wrong", "li"))
    (case,) = containers(plant.conn)
    text = codes("https://q.example.cn/b/", 200)
    assert case["children"] == [text[0], text[2], text[3]]


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ([f.ItemPassed("v", 1, 1, "bottle", "WO-1", (), True)], "without a code"),
        ([f.ItemPassed("v", 1, 1, "bottle", "WO-1", (attachment(9, 0, 0),), True)], "no pool"),
        (
            [f.ItemPassed("v", 1, 1, "bottle", "WO-1", (attachment(BOTTLES, 200, BODY),), True)],
            "no pool",
        ),
        ([f.ItemPassed("v", 1, 1, "bottle", "WO-1", (), False)], "no unit 1"),
        ([f.RejectConfirmed("v", 1, 1)], "no unit 1"),
        ([f.UnitsDoubted((1,), "why")], "no unit 1"),
        ([f.CodesMoved(BOTTLES, BODY, 0, 1, "printed")], "issued cannot become printed"),
        ([f.CodesMoved(BOTTLES, BODY, 0, 1, "attached")], "by being read"),
        ([f.CodesMoved(BOTTLES, BODY, 198, 3, "allocated")], "does not hold 3"),
        ([f.CodesMoved(BOTTLES, BODY, 0, 0, "allocated")], "0 codes"),
        ([f.CodesMoved(BOTTLES, 2, 0, 1, "allocated")], "does not hold"),
        ([f.LabelAssigned(1, CodeKey(CASES, 0, 0), "zpl")], "not a container"),
        ([f.ContainerClosed(1, 0, 0, f.Integrity.PROVEN)], "not a container"),
        ([f.OrderCreated(ORDER, "li")], "exists already"),
        ([f.OrderStarted(ORDER.number, "li")], "running cannot become running"),
        ([f.OrderPaused("WO-9", "li")], "no work order"),
        ([f.AlarmCleared("a")], "not open"),
        ([f.AlarmAcknowledged("a", "li")], "not open"),
        ([f.AlarmRaised("a", 1, "a"), f.AlarmRaised("a", 1, "a")], "open already"),
    ],
)
def test_facts_that_contradict_the_tables_change_nothing(
    plant: Plant, facts: list[Fact], why: str
) -> None:
    refused(plant, why, f.AgentStarted("1"), *facts)


def test_a_container_is_closed_with_what_it_holds(plant: Plant) -> None:
    facts = plant.case(1, 0, 0, unknown=1)
    refused(
        plant, "links say otherwise", *facts[:-1], f.ContainerClosed(5, 5, 0, f.Integrity.PROVEN)
    )
    plant.put(*facts)


# ------------------------------------------------------------------------- codes and rejects


def test_codes_of_a_rejected_item_are_suspect_and_counted(plant: Plant) -> None:
    for first, count in ((0, 2), (9, 1)):
        plant.put(
            f.CodesMoved(BOTTLES, BODY, first, count, "allocated"),
            f.CodesMoved(BOTTLES, BODY, first, count, "sending"),
        )
    plant.put(plant.bottle(1, 5))
    never_sent = 20
    read = tuple(CodeKey(BOTTLES, position, BODY) for position in (0, 5, 9, never_sent))
    item = f.ItemRejected("v", 2, "mismatch", "WO-1", None, read, CodeKey(BOTTLES, 1, BODY))
    plant.put(item)
    plant.put(item)  # the same again: nothing left to move
    counts = pools.pool_counts(plant.conn, BOTTLES, BODY)
    assert counts.codes[CodeState.SUSPECT] == counts.rejected == 3
    assert counts.codes[CodeState.ATTACHED] == 1
    plant.put(plant.bottle(3, 9))  # fed again
    counts = pools.pool_counts(plant.conn, BOTTLES, BODY)
    assert counts.rejected == 2
    assert counts.units == {UnitState.VERIFIED: 2}


def test_a_unit_that_is_fed_again_is_the_same_unit(plant: Plant) -> None:
    plant.put(plant.bottle(1, 0), f.RejectConfirmed("verify", 1, 1))
    plant.put(f.RejectConfirmed("verify", 1, 1))  # heard twice
    assert units.get(plant.conn, 1).state == 6
    codes_again = (attachment(BOTTLES, 0, BODY), attachment(BOTTLES, 7, CAP, "cap"))
    plant.put(f.ItemPassed("verify", 9, 1, "bottle", "WO-1", codes_again, False))
    answer = known(plant, units=(1,)).units[1]
    assert answer.state is UnitState.VERIFIED
    history = [entry["kind"] for entry in (trace_unit(plant.conn, 1) or {})["history"]]
    assert history == ["ItemPassed", "RejectConfirmed", "RejectConfirmed", "ItemPassed"]


def test_the_balance_of_a_busy_day_comes_out(plant: Plant) -> None:
    for facts in shift(plant):
        plant.put(*facts)
        for pool in pools.list_pools(plant.conn):
            for column in range(len(pool.roles)):
                counts = pools.pool_counts(plant.conn, pool.pool, column)
                assert pool.membership == "rule" or counts.total == pool.count
                assert balance_of(counts.total, counts.codes, counts.units).difference == 0
    cap = pools.pool_counts(plant.conn, BOTTLES, CAP)
    assert cap.units == {UnitState.REJECTED: 1}  # the state of the unit, whose home is its body


def test_positions_are_allocated_once(plant: Plant) -> None:
    def reached() -> int:
        pool = pools.known(plant.conn, BOTTLES)
        assert pool is not None
        return pool.next_position

    plant.put(f.CodesMoved(BOTTLES, BODY, 0, 5, "allocated"))
    assert reached() == 5
    plant.put(f.CodesMoved(BOTTLES, BODY, 7, 2, "void"))
    assert reached() == 5
    plant.put(f.CodesMoved(BOTTLES, BODY, 5, 2, "void"))
    assert reached() == 9
    plant.put(f.CodesMoved(BOTTLES, BODY, 0, 2, "void"))
    assert reached() == 9
    refused(plant, "void cannot become", f.CodesMoved(BOTTLES, BODY, 7, 1, "allocated"))


# ------------------------------------------------------------------------------------- trace


def test_trace_tells_the_whole_story(plant: Plant) -> None:
    for facts in shift(plant):
        plant.put(*facts)
    body = codes("https://q.example.cn/b/", 200)
    bottle = trace(plant.conn, body[5])
    assert bottle is not None
    assert (bottle["unit"], bottle["level"], bottle["state"]) == (7, "bottle", "packed")
    assert (bottle["product"], bottle["lot"], bottle["evidence"]) == ("sku-1", "lot-1", "read")
    assert bottle["parent"]["code"] == "CASE-00059"
    assert bottle["weakest"] == "incomplete"
    assert [entry["kind"] for entry in bottle["history"]] == ["ItemPassed", "Packed"]
    case = trace(plant.conn, "CASE-00059")
    assert case is not None
    assert case["children"] == [*body[4:8], None]
    assert (case["integrity"], case["weakest"], case["own"]) == (
        "incomplete",
        "incomplete",
        "captive",
    )
    assert [entry["kind"] for entry in case["history"]] == [
        *("ContainerFormed", "Packed", "LabelAssigned", "LabelBound", "ContainerClosed"),
        "Packed",
    ]
    assert trace(plant.conn, "nobody's") is None
    assert trace_unit(plant.conn, 999) is None


def test_a_secret_code_is_shown_by_its_place_only(plant: Plant) -> None:
    for facts in shift(plant):
        plant.put(*facts)
    cap = codes("CAP-", 200)[20]
    found = trace(plant.conn, cap)
    assert found is not None
    assert found["codes"]["cap"] == {"code": "1/20", "pair": "inferred"}
    assert cap not in str(found)
    alone = trace_key(plant.conn, CodeKey(BOTTLES, 40, CAP))
    assert alone is not None
    assert (alone["code"], alone["state"], alone["unit"]) == ("1/40", "issued", None)


def test_weakest_is_not_known_while_a_container_is_open(plant: Plant) -> None:
    plant.put(*plant.case(1, 0, 0)[:-1])
    found = trace_unit(plant.conn, 1)
    assert found is not None
    assert found["weakest"] is None


def test_containers_are_exported_with_their_children_by_place(plant: Plant) -> None:
    plant.put(*(plant.bottle(1 + n, n) for n in range(4)))
    read, order = (LinkEvidence.READ,), (LinkEvidence.ORDER, LinkEvidence.SCANNED)
    plant.put(f.ContainerFormed(5, "case", "WO-1", "pack", 5, 4))
    plant.put(f.Packed(5, (4, None), order, first_place=2))
    plant.put(f.Packed(5, (2, 1), read))
    text = codes("https://q.example.cn/b/", 200)
    (case,) = containers(plant.conn)
    assert case == {
        "level": "case",
        "code": None,
        "children": [text[1], text[0], text[3], None],
        "evidence": ["order", "read"],
        "integrity": None,
        "state": "commissioned",
        "doubtful": False,
        "broken": False,
        "closed_at": None,
    }
    plant.put(f.ContainerClosed(5, 4, 1, f.Integrity.INCOMPLETE, "last", "li"))
    (case,) = containers(plant.conn)
    seconds = 20 + plant.tick  # 1,700,000,000 s is 22:13:20
    assert case["closed_at"] == f"2023-11-14T22:13:{seconds}.000+00:00"
    assert case["integrity"] == "incomplete"
    found = trace_unit(plant.conn, 4)
    assert found is not None
    assert found["evidence"] == "order"


# ------------------------------------------------------------------- pools, orders, snapshots


def test_a_pool_with_a_known_code_is_refused_whole(plant: Plant) -> None:
    before = plant.conn.execute("SELECT count(*) FROM pool_code").fetchone()
    texts = [*codes("NEW-", 50), "CASE-00003", "PAL-00000"]
    with pytest.raises(PoolRefused) as caught:
        plant.take(listed("again", "case", {"case-outer": texts}))
    message = str(caught.value)
    assert "row 51, case-outer, is in pool 2 (cases) already" in message
    assert "row 52, case-outer, is in pool 3 (pallets) already, row 1" in message
    assert "CASE-00003" not in message  # it may be secret
    assert plant.conn.execute("SELECT count(*) FROM pool_code").fetchone() == before
    assert len(pools.list_pools(plant.conn)) == 4


def test_a_linked_set_keeps_parents_and_spelling(plant: Plant) -> None:
    texts = tuple(codes("LINK-", 4))
    spelled = (texts[0], texts[1].lower(), texts[2], texts[3])
    fact = plant.take(
        listed(
            "linked",
            "bottle",
            {"body": texts},
            parents=("P1", "P1", "P2", "P2"),
            spelled=(spelled,),
        )
    )
    assert pools.texts(plant.conn, fact.pool, 0, 0, 4) == list(spelled)
    assert pools.text_of(plant.conn, CodeKey(fact.pool, 1, 0)) == texts[1]
    assert pools.text_of(plant.conn, CodeKey(fact.pool, 3, fact.parent_column)) == "P2"
    assert pools.place_of(plant.conn, "P2") is None
    with pytest.raises(KeyError, match="does not hold 2 rows"):
        pools.texts(plant.conn, fact.pool, 0, 3, 2)


def test_orders_and_alarms_are_listed(plant: Plant) -> None:
    plant.put(f.AlarmRaised("b", 2, "key"), f.AlarmRaised("a", 1, "key", "s", 7, (("n", "3"),), 5))
    plant.put(f.AlarmAcknowledged("a", "li"), f.AlarmAcknowledged("a", "wu"))
    (first, second) = orders.open_alarms(plant.conn)
    assert (first.alarm, first.item, first.args, first.acknowledged_by) == (
        "a",
        7,
        {"n": "3"},
        "li",
    )
    assert (first.raised, first.cleared) == (at(1), None)
    plant.put(f.AlarmCleared("a"))
    assert [alarm.alarm for alarm in orders.open_alarms(plant.conn, LINE)] == [second.alarm]
    assert [alarm.alarm for alarm in orders.alarm_history(plant.conn)] == ["a", "b"]
    assert [a.alarm for a in orders.alarm_history(plant.conn, before_seq=first.seq)] == ["b"]
    (row,) = orders.list_orders(plant.conn, LINE)
    assert (row.order, row.state) == (ORDER, "running")
    assert orders.list_orders(plant.conn, "line-9") == []
    assert orders.get(plant.conn, "WO-9") is None


def test_a_start_reads_snapshot_and_tail(plant: Plant) -> None:
    assert snapshots.load(plant.conn, LINE) == (0, b"")
    plant.put(plant.bottle(1, 0))
    plant.writer.run_inline(lambda conn: snapshots.save(conn, LINE, b"state"))
    seq = plant.put(plant.bottle(2, 1), plant.bottle(3, 2))
    plant.reopen()
    saved = snapshots.load(plant.conn, LINE)
    assert saved == (seq - 2, b"state")
    tail = snapshots.tail(plant.conn, LINE, saved.seq)
    assert [entry.fact for entry in tail] == [plant.bottle(2, 1), plant.bottle(3, 2)]
    assert snapshots.tail(plant.conn, "line-9", saved.seq) == []


def test_a_pallet_holds_cases_and_a_deep_chain_is_followed(plant: Plant) -> None:
    plant.put(*plant.case(1, 0, 0), *plant.case(6, 4, 1))
    plant.put(*boxed(11, "pallet", (5, 10), CodeKey(3, 0, 0), "pallet"))
    pallet = trace(plant.conn, "PAL-00000")
    assert pallet is not None
    assert pallet["children"] == ["CASE-00000", "CASE-00059"]
    assert known(plant, units=(5,)).units[5].parent == 11
