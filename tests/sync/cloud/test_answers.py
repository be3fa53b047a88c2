"""Answers: what is where, what it is worth, and what is not known yet; on both databases."""

from typing import Any

import pytest

from agent.core.errors import DomainError
from sync.cloud.answers import agent_rows, trace
from sync.cloud.lists import containers
from sync.cloud.relations import as_csv, as_lines, relations
from tests.sync.cloud.told import Cloud, Teller, bottles, case, pallet


def asked(cloud: Cloud, text: str, depth: int = 1) -> dict[str, Any]:
    return trace(cloud.conn, text, depth=depth)


def test_up_and_down_with_the_weakest_integrity(cloud: Cloud) -> None:
    agent = Teller()
    agent.case(case(1), bottles(3, "1"))
    agent.case(case(2), bottles(3, "2"), **{"x:integrity": "inferred"})
    agent.pallet(pallet(1), [case(1), case(2)])
    cloud.take(agent.cut())
    found = asked(cloud, bottles(3, "2")[0])
    assert found["answer"] == "known"
    assert [(up["code"], up["level"], up["integrity"]) for up in found["up"]] == [
        (case(2), "case", "inferred"),
        (pallet(1), "pallet", "anchored"),
    ]
    assert (found["level"], found["lot"], found["product"], found["order"]) == (
        "bottle",
        "L1",
        "cola",
        "WO-1",
    )
    assert (found["weakest"], found["state"]) == ("inferred", "packed")
    assert asked(cloud, bottles(3, "1")[0])["weakest"] == "anchored"
    down = asked(cloud, pallet(1), depth=2)["down"]
    assert [each["code"] for each in down] == [case(1), case(2)]
    assert down[0]["down"] == bottles(3, "1")
    assert down[1]["integrity"] == "inferred"
    (reported,) = found["reported"]
    assert (reported["agent"], reported["upto"]) == (agent.name, 3)


def test_what_nobody_told_is_not_known_yet(cloud: Cloud) -> None:
    agent = Teller()
    agent.row()
    cloud.take(agent.cut())
    found = asked(cloud, "https://q.example.cn/nobody")
    assert found["answer"] == "not_known_yet"
    assert [each["upto"] for each in found["reported"]] == [1]
    agent.commission(bottles(1))
    cloud.take(agent.cut(2, 2))
    loose = asked(cloud, bottles(1)[0])
    assert loose["up"] == []
    assert "up" in loose["not_known_yet"]
    with pytest.raises(DomainError):
        asked(cloud, "a\nb")


def test_a_container_told_before_its_content(cloud: Cloud) -> None:
    """A warehouse stacks cases whose factory has not reported yet."""
    factory, dock = Teller(), Teller("brand/dock/edge-2")
    factory.case(case(1), bottles(2))
    dock.pallet(pallet(1), [case(1)])
    cloud.take(dock.cut())
    early = asked(cloud, pallet(1))
    assert [each["code"] for each in early["down"]] == [case(1)]
    assert asked(cloud, case(1))["not_known_yet"] == ["commissioning", "where"]
    assert asked(cloud, bottles(2)[0])["answer"] == "not_known_yet"
    cloud.take(factory.cut())
    late = asked(cloud, bottles(2)[0])
    assert [up["code"] for up in late["up"]] == [case(1), pallet(1)]
    assert {each["agent"] for each in late["reported"]} == {factory.name, dock.name}


def test_unpacked_replaced_and_packed_again(cloud: Cloud) -> None:
    agent = Teller()
    agent.case(case(1), bottles(3))
    agent.unpack(case(1), bottles(1))
    agent.move(bottles(1), "destroying", "destroyed", **{"x:reason": "broken"})
    agent.commission(bottles(1, "n"))
    agent.pack(case(1), bottles(1, "n"))
    cloud.take(agent.cut())
    box = asked(cloud, case(1))
    assert [each["code"] for each in box["down"]] == [*bottles(3)[1:], *bottles(1, "n")]
    assert box["integrity"] == "proven"
    gone = asked(cloud, bottles(1)[0])
    assert (gone["state"], gone["reason"], gone["up"]) == ("destroyed", "broken", [])
    assert [each["container"] for each in gone["formerly"]] == [case(1)]
    assert gone["not_known_yet"] == []
    assert [each["bizStep"] for each in gone["history"]] == [
        "commissioning",
        "packing",
        "unpacking",
        "destroying",
    ]


def test_weaker_evidence_later_takes_from_a_container(cloud: Cloud) -> None:
    agent = Teller()
    agent.case(case(1), bottles(3))
    agent.commission(bottles(1, "n"))
    agent.pack(case(1), bottles(1, "n"), **{"x:evidence": "order"})
    cloud.take(agent.cut())
    assert asked(cloud, case(1))["integrity"] == "inferred"


def test_a_correction_takes_back_what_was_told(cloud: Cloud) -> None:
    agent = Teller()
    agent.case(case(1), bottles(3))
    say = agent.speaker()
    (wrong,) = agent_events(agent, 1)
    wrong["errorDeclaration"] = {
        "declarationTime": wrong["eventTime"],
        "reason": "incorrect_data",
        "correctiveEventIDs": [],
    }
    about = {
        "x:level": "case",
        "x:integrity": "inferred",
        "x:evidence": "order",
        "x:expectedQuantity": 3,
        "x:unknown": 0,
    }
    right = bottles(3)[1:] + bottles(1, "n")
    events = say.objects(
        "ADD", "n", "commissioning", "active", bottles(1, "n"), {"x:level": "bottle"}
    )
    agent.say(say, [*events, wrong, *say.aggregated("ADD", "again", case(1), right, about)])
    cloud.take(agent.cut())
    box = asked(cloud, case(1))
    assert [each["code"] for each in box["down"]] == right
    assert box["integrity"] == "inferred"
    assert asked(cloud, bottles(3)[0])["up"] == []


def agent_events(agent: Teller, seq: int) -> list[dict[str, Any]]:
    """The aggregations that a row told."""
    import orjson

    return [
        event
        for body in agent.bodies[seq]
        for event in orjson.loads(body)["epcisBody"]["eventList"]
        if event["type"] == "AggregationEvent"
    ]


def test_codes_of_a_unit_and_a_new_label(cloud: Cloud) -> None:
    agent = Teller()
    agent.case(case(1), bottles(2))
    agent.bear(bottles(2)[0], ["https://q.example.cn/cap0"])
    say = agent.speaker()
    relabel = say.associated("relabel", case(2), [case(1)], {"x:relabel": "case-outer"})
    dead = say.objects("DELETE", "void", "decommissioning", "inactive", [case(1)])
    agent.say(say, [relabel, *dead])
    agent.pallet(pallet(1), [case(2)])
    cloud.take(agent.cut())
    by_cap = asked(cloud, "https://q.example.cn/cap0")
    assert by_cap["name"] == bottles(2)[0]
    assert by_cap["codes"] == [
        {"code": "https://q.example.cn/cap0", "role": "cap", "pair": "proven"}
    ]
    assert [up["code"] for up in by_cap["up"]] == [case(2), pallet(1)]
    old = asked(cloud, case(1))
    assert (old["name"], old["state"]) == (case(2), "packed")
    assert [each["code"] for each in asked(cloud, case(2))["down"]] == bottles(2)


def test_goods_move_with_what_holds_them_in_any_order(cloud: Cloud) -> None:
    factory, dealer = Teller(), Teller("brand/dealer/edge-2")
    factory.case(case(1), bottles(2))
    factory.pallet(pallet(1), [case(1)])
    party = [{"type": "possessing_party", "destination": "https://id.x/party/d1"}]
    papers = {"bizTransactionList": [{"type": "desadv", "bizTransaction": "https://id.x/dn/1"}]}
    factory.move([pallet(1)], "shipping", "in_transit", destinationList=party, **papers)
    dealer.clock = factory.clock - 3_600_000  # its clock is an hour behind
    dealer.move([pallet(1)], "receiving", "in_progress", destinationList=party, **papers)
    cloud.take(dealer.cut())
    cloud.take(factory.cut())
    where = asked(cloud, bottles(2)[0])["where"]
    assert (where["holder"], where["in_transit"]) == ("https://id.x/party/d1", False)


def test_doubt_hold_and_reject(cloud: Cloud) -> None:
    agent = Teller()
    agent.case(case(1), bottles(2))
    agent.look([case(1)], **{"x:doubtful": True, "x:why": "slip"})
    agent.move([case(1)], "holding", "non_sellable_other", **{"x:held": True, "x:hold": 1})
    cloud.take(agent.cut())
    found = asked(cloud, bottles(2)[0])
    assert (found["doubtful"], found["held"]) == (True, True)
    agent.look([case(1)], **{"x:doubtful": False, "x:integrity": "anchored"})
    agent.move([case(1)], "holding", "sellable_not_accessible", **{"x:held": False, "x:hold": 1})
    agent.look(bottles(2)[:1], "non_sellable_other", **{"x:reason": "rejected"})
    cloud.take(agent.cut(4, 6))
    found = asked(cloud, bottles(2)[0])
    assert (found["doubtful"], found["held"], found["state"]) == (False, False, "rejected")
    assert asked(cloud, case(1))["integrity"] == "anchored"


def test_an_old_code_that_dies_takes_nothing_with_it(cloud: Cloud) -> None:
    """A case gets another label; the bottles in it stay what they are."""
    agent = Teller()
    agent.case(case(1), bottles(2))
    agent.bear(case(2), [case(1)], **{"x:relabel": "case-outer"})
    agent.move([case(1)], "decommissioning", "inactive", **{"x:reason": "torn"})
    cloud.take(agent.cut())
    found = asked(cloud, bottles(2)[0])
    assert (found["state"], found["up"][0]["code"]) == ("packed", case(2))
    assert {row["state"] for row in relations(cloud.conn).rows} == {"packed"}


def test_what_is_in_a_rejected_container_is_rejected_as_long_as_it_is_in_it(cloud: Cloud) -> None:
    agent = Teller()
    first, second = bottles(2)
    agent.case(case(1), [first, second])
    agent.look([case(1)], "non_sellable_other", **{"x:reason": "own_no_read"})
    agent.look([second], "non_sellable_other", **{"x:reason": "rejected"})
    cloud.take(agent.cut())
    assert [asked(cloud, each)["state"] for each in (first, second)] == ["rejected"] * 2
    assert {row["state"] for row in relations(cloud.conn).rows} == {"rejected"}
    agent.unpack(case(1), [first])
    agent.pack(case(2), [first])
    agent.look([case(1)], "active", **{"x:why": "passed"})
    cloud.take(agent.cut(4, 6))
    # The case is back on the line; what was refused for itself is still refused.
    assert [asked(cloud, each)["state"] for each in (first, second)] == ["packed", "rejected"]


def test_a_code_in_a_void_range_of_its_pool(cloud: Cloud) -> None:
    agent = Teller()
    say = agent.speaker()
    column = agent.identity.column("caps", "cap-inner")
    about = {
        "quantityList": [{"epcClass": column, "quantity": 100}],
        "x:first": 50,
        "x:reason": "lost",
    }
    agent.say(say, [say.range("decommissioning", "inactive", "DELETE", about)])
    cloud.take(agent.cut())
    assert asked(cloud, f"{column}/50")["state"] == "void"
    assert asked(cloud, f"{column}/149")["state"] == "void"
    assert asked(cloud, f"{column}/150")["answer"] == "not_known_yet"


def test_a_code_that_was_never_on_anything_is_known_to_be_void(cloud: Cloud) -> None:
    agent = Teller()
    say, (code,) = agent.speaker(), bottles(1)
    more = {"x:reason": "test_mode"}
    agent.say(say, say.objects("DELETE", "void", "decommissioning", "inactive", [code], more))
    cloud.take(agent.cut())
    found = asked(cloud, code)
    assert (found["answer"], found["state"]) == ("known", "void")


def test_two_claims_on_a_code_are_told_alike_whoever_came_first(cloud: Cloud) -> None:
    one, two = Teller(), Teller("brand/plant-1/edge-2")
    one.case(case(1), bottles(2))
    two.case(case(2), [bottles(2)[1], *bottles(1, "x")])
    cloud.take(two.cut())
    cloud.take(one.cut())
    found = asked(cloud, bottles(2)[1])
    assert found["answer"] == "quarantined"
    assert [claim["agent"] for claim in found["claims"]] == [one.name, two.name]
    assert asked(cloud, bottles(2)[0])["answer"] == "known"


def test_a_child_seen_elsewhere_breaks_the_container_it_left(cloud: Cloud) -> None:
    agent, dock = Teller(), Teller("brand/dock/edge-2")
    agent.case(case(1), bottles(2))
    agent.pallet(pallet(1), [case(1)])
    dock.clock = agent.clock + 1000
    dock.pallet(pallet(2), [case(1)])
    cloud.take(agent.cut())
    cloud.take(dock.cut())
    assert [up["code"] for up in asked(cloud, case(1))["up"]] == [pallet(2)]
    left = asked(cloud, pallet(1))
    assert left["broken"]
    assert left["down"][0]["elsewhere"] == pallet(2)


def test_what_a_restored_agent_lost_is_marked(cloud: Cloud) -> None:
    agent = Teller()
    agent.row()
    agent.case(case(1), bottles(2))
    cloud.take(agent.cut())
    back = agent.restored(1, "e2")
    back.row()
    cloud.take(back.cut(2, 2))
    found = asked(cloud, bottles(2)[0])
    assert found["lost_by_its_agent"]
    assert [up["code"] for up in found["up"]] == [case(1)]


def test_agents_say_how_far_they_are(cloud: Cloud) -> None:
    for name in ("brand/a/1", "brand/a/2"):
        agent = Teller(name)
        agent.case(case(int(name[-1])), bottles(2, name[-1]))
        agent.row(b"{}")
        cloud.take(agent.cut())
    rows = agent_rows(cloud.conn, 10)
    assert [(each["agent"], each["upto"], each["dead_letters"]) for each in rows] == [
        ("brand/a/1", 2, 1),
        ("brand/a/2", 2, 1),
    ]
    assert [each["agent"] for each in agent_rows(cloud.conn, 10, "brand/a/1")] == ["brand/a/2"]


# ------------------------------------------------------------------------------------- relations


def all_rows(cloud: Cloud, limit: int = 10_000) -> tuple[dict[str, dict[str, Any]], int]:
    """What a platform that takes every page has in the end, and how many pages it took."""
    kept: dict[str, dict[str, Any]] = {}
    cursor, pages = "", 0
    while True:
        page = relations(cloud.conn, cursor, limit)
        pages += 1
        kept |= {row["bottle"]: row for row in page.rows}
        assert page.more == (page.cursor != relations(cloud.conn, page.cursor, limit).cursor)
        if not page.more:
            return kept, pages
        cursor = page.cursor


def test_relations_in_pages_and_what_changed_since(cloud: Cloud) -> None:
    agent = Teller()
    for n in range(5):
        agent.case(case(n), bottles(4, str(n)))
    cloud.take(agent.cut())
    kept, pages = all_rows(cloud, 8)
    assert (len(kept), pages) == (20, 3)
    assert kept[bottles(4, "0")[0]] | {"time": ""} == {
        "bottle": bottles(4, "0")[0],
        "box": None,
        "case": case(0),
        "pallet": None,
        "product": "cola",
        "lot": "L1",
        "time": "",
        "integrity": "proven",
        "state": "packed",
        "doubtful": False,
    }
    cursor = relations(cloud.conn).cursor
    assert relations(cloud.conn, cursor).rows == []
    agent.pallet(pallet(1), [case(0), case(1)])
    agent.unpack(case(2), bottles(4, "2")[:1])
    cloud.take(agent.cut(6, 7))
    changed = {row["bottle"]: row for row in relations(cloud.conn, cursor).rows}
    assert len(changed) == 8 + 4
    assert changed[bottles(4, "0")[0]]["pallet"] == pallet(1)
    assert changed[bottles(4, "0")[0]]["integrity"] == "anchored"
    assert changed[bottles(4, "2")[0]]["case"] is None
    assert b'"cursor"' in [*as_lines(relations(cloud.conn, cursor))][-1]
    lines = as_csv(relations(cloud.conn, cursor)).splitlines()
    assert lines[0].startswith("bottle,box,case,pallet,product,lot,time,integrity")
    assert len(lines) == 13
    with pytest.raises(DomainError, match="cursor"):
        relations(cloud.conn, "yesterday")


def test_a_cell_is_no_formula(cloud: Cloud) -> None:
    agent = Teller()
    say = agent.speaker()
    ilmd = {"cbvmda:lotNumber": "=1+1", "x:product": "cola"}
    events = say.objects("ADD", "b", "commissioning", "active", bottles(1), {"ilmd": ilmd})
    about = {"x:expectedQuantity": 1, "x:integrity": "proven", "x:level": "case"}
    agent.say(say, [*events, *say.aggregated("ADD", "pack", case(1), bottles(1), about)])
    cloud.take(agent.cut())
    assert ",'=1+1," in as_csv(relations(cloud.conn))


def test_all_containers_are_listed(cloud: Cloud) -> None:
    agent = Teller()
    agent.case(case(1), bottles(2))
    agent.pallet(pallet(1), [case(1)])
    cloud.take(agent.cut())
    assert sorted(containers(cloud.conn)) == [case(1), pallet(1)]


def test_papers_of_one_number_are_of_their_senders(cloud: Cloud) -> None:
    """Two ship by number 1: what one has received is not later because the other shipped late."""
    first, second, third = Teller("b/p/1"), Teller("b/p/2"), Teller("b/p/3")

    def moved(agent: Teller, step: str, source: str, to: str) -> None:
        agent.move(
            [case(1)],
            step,
            "in_progress",
            bizTransactionList=[{"type": "desadv", "bizTransaction": "urn:x:1"}],
            sourceList=[{"type": "possessing_party", "source": f"urn:{source}"}],
            destinationList=[{"type": "possessing_party", "destination": f"urn:{to}"}],
        )

    first.case(case(1), bottles(2))
    moved(first, "shipping", "A", "B")
    second.clock = first.clock - 60_000  # its clock is late: the paper says that it was later
    moved(second, "receiving", "A", "B")
    third.clock = first.clock + 10_000_000
    moved(third, "shipping", "C", "D")
    for agent in (first, second, third):
        cloud.take(agent.cut())
    found = asked(cloud, case(1))
    assert [(each["bizStep"], each["agent"][-1]) for each in found["history"]][-3:] == [
        ("shipping", "1"),
        ("receiving", "2"),
        ("shipping", "3"),
    ]
