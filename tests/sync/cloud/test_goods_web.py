"""Stock, where, resolve, inspections and parties over HTTP, on both databases."""

from typing import Any
from urllib.parse import quote

import httpx
import pytest

from sync.cloud import follower, parties, relations
from sync.cloud.resolve import Limits
from sync.cloud.stock import stock
from sync.kinds import Party
from tests.sync.cloud import trade
from tests.sync.cloud.test_commands import ME as BOX
from tests.sync.cloud.test_commands import online, pool
from tests.sync.cloud.test_web import Ask, ask  # noqa: F401 - a fixture
from tests.sync.cloud.told import NOW, Cloud, Teller, bottles, case, pallet
from tests.sync.cloud.trade import Warehouse, told


def loaded() -> Warehouse:
    factory = trade.factory()
    factory.clock -= 3_600_000
    factory.case(case(1), bottles(3, "1"), **{"x:integrity": "inferred"})
    factory.pallet(pallet(1), [case(1)])
    factory.ship([pallet(1)], "SO-1", "D07", pieces=3, territory="east", channel="distribution")
    return factory


def scanned(ask: Ask, code: str, actor: str, **more: Any) -> dict[str, Any]:  # noqa: F811
    answer: httpx.Response = ask("POST", "/resolve", json={"code": code, "actor": actor, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_each_role_learns_its_own(cloud: Cloud, ask: Ask) -> None:  # noqa: F811
    told(cloud, loaded())
    with cloud.conn.writing():
        parties.learned(cloud.conn, Party(id="D07", kind="dealer", names={"zh": "华东"}), NOW)
    code = bottles(3, "1")[0]
    beyond = {"dealer", "dealer_names", "territory", "channel", "where", "diverted"}
    found = {who: scanned(ask, code, who) for who in ("shopper", "guide", "shop", "salesman")}
    learned = {who: beyond & each.keys() for who, each in found.items()}
    assert learned == {
        "shopper": set(),
        "guide": {"territory", "channel"},
        "shop": {"dealer", "dealer_names", "territory", "channel"},
        "salesman": beyond,
    }
    assert "D07" not in str(found["shopper"]) + str(found["guide"])
    assert trade.FACTORY not in str(found["shopper"])
    shop = found["shop"]
    assert (shop["dealer"], shop["dealer_names"]) == ("D07", {"zh": "华东"})
    assert (shop["territory"], shop["channel"]) == ("east", "distribution")
    shopper = found["shopper"]
    assert (shopper["product"], shopper["lot"], shopper["state"]) == ("cola", "L1", "shipped")
    assert shopper["weakest"] == "inferred"
    assert shopper["reported"]["agents"] == 1
    assert shopper["reported"]["newest_event"].startswith("2026-")
    assert [each["agent"] for each in found["salesman"]["reported"]] == [trade.FACTORY]
    assert found["salesman"]["where"]["in_transit"]


def test_the_first_scan_and_every_other(cloud: Cloud, ask: Ask) -> None:  # noqa: F811
    told(cloud, loaded())
    one, other = bottles(3, "1")[:2]
    first = scanned(ask, one, "shopper", place="31.2,121.4")["scan"]
    assert (first["n"], first["first"]) == (1, True)
    again = scanned(ask, one.replace("https://q.example.cn", "HTTPS://Q.EXAMPLE.CN"), "shopper")
    assert (again["scan"]["n"], again["scan"]["first"]) == (2, False)
    assert again["scan"]["since"] == first["since"]
    assert scanned(ask, one, "shop")["scan"]["n"] == 1, "a shop's scan is not a shopper's"
    assert scanned(ask, other, "shopper")["scan"]["n"] == 1


def test_what_nobody_has_told_is_not_known_yet_and_not_counted(
    cloud: Cloud,
    ask: Ask,  # noqa: F811
) -> None:
    factory = loaded()
    code = bottles(3, "1")[0]
    found = scanned(ask, code, "salesman")
    assert (found["answer"], found["scan"]) == ("not_known_yet", None)
    assert cloud.count("scan") == 0
    cloud.take(factory.cut(1, 2))
    found = scanned(ask, code, "shop")
    assert (found["answer"], found["dealer"]) == ("known", None)
    assert "dispatch" in found["not_known_yet"]


def test_a_secret_code_is_resolved_by_the_clouds_own_copy(
    cloud: Cloud,
    ask: Ask,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    online(cloud)
    pool(cloud, "p")
    agent = Teller(BOX)
    agent.case(case(1), bottles(1))
    agent.bear(bottles(1)[0], [agent.identity.secret("p", "cap", 3)])
    cloud.take(agent.cut())
    with caplog.at_level("DEBUG"):
        found = scanned(ask, "p-SECRET-0003", "shopper")
    assert (found["answer"], found["product"], found["scan"]["n"]) == ("known", "cola", 1)
    assert "SECRET" not in str(found) + caplog.text
    kept = cloud.conn.rows("SELECT key, actor, place FROM scan")
    assert len(bytes(kept[0][0])) == 16
    ask("POST", "/inspections", json={"code": "p-SECRET-0003", "inspector": "w", "party": "D9"})
    (row,) = ask("GET", "/inspections").json()["inspections"]
    assert row["code"].endswith("/pool/p/cap/3")


def test_a_code_that_is_not_surely_on_the_bottle_says_so(
    cloud: Cloud,
    ask: Ask,  # noqa: F811
) -> None:
    agent = Teller()
    agent.case(case(1), bottles(2))
    agent.bear(bottles(2)[0], ["https://q.example.cn/CAP"], **{"x:pairs": "inferred"})
    cloud.take(agent.cut())
    assert scanned(ask, bottles(2)[0], "shopper")["weakest"] == "proven"
    assert scanned(ask, "https://q.example.cn/CAP", "shopper")["weakest"] == "inferred"


def test_one_code_and_one_token_are_not_asked_for_without_end(
    cloud: Cloud,
    ask: Ask,  # noqa: F811
) -> None:
    told(cloud, loaded())
    code, other = bottles(3, "1")[:2]
    for n in range(10):
        assert scanned(ask, code, "shopper")["scan"]["n"] == n + 1
    refused = ask("POST", "/resolve", json={"code": code, "actor": "shop"})
    assert (refused.status_code, refused.json()["reason"]) == (429, "too_many_requests")
    assert refused.headers["Retry-After"] == "10"
    assert code not in refused.text
    assert scanned(ask, other, "shopper")["scan"]["n"] == 1
    codes = [f"https://q.example.cn/guess/{n}" for n in range(300)]
    statuses = [
        ask("POST", "/resolve", json={"code": code, "actor": "shop"}).status_code for code in codes
    ]
    assert statuses[-1] == 429
    assert statuses.count(200) == 300 - 12


def test_limits_give_back_with_time_and_forget() -> None:
    limits = Limits(2, 10.0, most=2)
    assert [limits.take("a", 0) for _ in range(3)] == [0, 0, 10]
    assert limits.take("a", 9_000) == 1
    assert limits.take("a", 10_000) == 0
    assert limits.take("a", 10_000) == 10
    assert limits.take("a", 0) > 0, "a clock that is set back"
    assert [limits.take("b", 0), limits.take("c", 0)] == [0, 0]
    assert limits.take("a", 0) == 0, "who has not asked for longest is forgotten"


def test_stock_by_product_lot_and_day(cloud: Cloud, ask: Ask) -> None:  # noqa: F811
    factory, east = loaded(), trade.east()
    east.receive([pallet(1)], "D07", "SO-1", "F01", pieces=3, day="2026-09-22")
    east.ship([bottles(3, "1")[0]], "E-1", "S1", "D07", pieces=1, day="2026-09-23")
    east.ship(["https://q.example.cn/X"], "E-2", "S1", "D07", 2, day="2026-09-23", implicit=True)
    told(cloud, factory, east)
    found = ask("GET", "/stock?party=D07").json()
    (lot,) = found["stock"]
    assert (lot["received"], lot["implicit"], lot["shipped"], lot["stock"]) == (3, 2, 3, 2)
    assert [each["day"] for each in found["days"]] == ["2026-09-22", "2026-09-23"]
    assert [each["agent"] for each in found["reported"]] == [trade.EAST]
    early = ask("GET", "/stock?party=D07&last=2026-09-22").json()
    assert early["stock"][0]["stock"] == 3
    late = ask("GET", "/stock?party=D07&first=2026-09-23").json()
    assert (late["stock"][0]["received"], late["stock"][0]["stock"]) == (0, 2)
    assert ask("GET", "/stock?party=D08").json()["answer"] == "not_known_yet"
    # What only goes to another place of the party is as it was.
    for kind in (trade.Kind.SHIPPED, trade.Kind.RECEIVED):
        east.moves(
            kind,
            [case(9)],
            kind,
            source=("D07", "D07/A-01"),
            destination=("D07", "D07/B-02"),
            content={case(9): [trade.Pieces("cola", "L1", 24)]},
        )
    told(cloud, east)
    (lot,) = ask("GET", "/stock?party=D07").json()["stock"]
    assert (lot["received"], lot["shipped"]) == (3, 3)
    # A shipment that is reversed is there again.
    east.moves(
        trade.Kind.SHIPMENT_VOIDED,
        [bottles(3, "1")[0]],
        source=("D07", ""),
        destination=("S1", ""),
        papers={"desadv": "E-1"},
        more={"day": "2026-09-24"},
        content={bottles(3, "1")[0]: [trade.Pieces("cola", "L1", 1)]},
    )
    told(cloud, east)
    assert ask("GET", "/stock?party=D07").json()["stock"][0]["stock"] == 3


def test_a_receipt_that_never_was_is_not_in_stock(cloud: Cloud) -> None:
    east = trade.east()
    say = east.speaker("")
    held = {case(1): [trade.Pieces("cola", "L1", 24)]}
    movement = trade.Movement(
        trade.Kind.RECEIVED, (case(1),), ("F01", ""), ("D07", ""), content=held
    )
    (event,) = trade.moved(say, movement)
    east.say(say, [event])
    told(cloud, east)
    assert stock(cloud.conn, "D07")["stock"][0]["stock"] == 24
    said = {"declarationTime": event["eventTime"], "reason": "did_not_occur"}
    east.say(east.speaker(""), [{**event, "errorDeclaration": said}])
    told(cloud, east)
    assert stock(cloud.conn, "D07")["stock"][0]["stock"] == 0


def test_what_a_restored_agent_lost_is_posted_once(cloud: Cloud) -> None:
    east = trade.east()
    east.row()
    east.receive([case(1)], "D07", pieces=24)
    told(cloud, east)
    copy = Warehouse(east.name, "e9", chains=east.chains[:2], epochs={1: "e2"}, clock=east.clock)
    copy.start = 2
    copy.receive([case(1)], "D07", pieces=24)
    told(cloud, copy)
    assert stock(cloud.conn, "D07")["stock"][0]["stock"] == 24


def test_where_a_code_is(cloud: Cloud, ask: Ask) -> None:  # noqa: F811
    factory, east = loaded(), trade.east()
    told(cloud, factory)
    code = quote(bottles(3, "1")[0], safe="")
    found = ask("GET", f"/where/{code}").json()
    assert (found["state"], found["where"]["in_transit"]) == ("shipped", True)
    assert found["where"]["holder"].endswith("/party/D07")
    east.receive([pallet(1)], "D07", "SO-1", "F01")
    told(cloud, east)
    found = ask("GET", f"/where/{code}").json()
    assert (found["state"], found["where"]["in_transit"]) == ("received", False)
    assert found["where"]["place"].endswith("/loc/D07/A-01")
    assert (found["weakest"], found["not_known_yet"]) == ("inferred", [])
    assert ask("GET", "/where/nobody").json()["answer"] == "not_known_yet"


def test_parties_shipments_and_diversions(cloud: Cloud, ask: Ask) -> None:  # noqa: F811
    factory, west = loaded(), trade.west()
    west.receive(bottles(3, "1")[1:2], "D09")
    told(cloud, factory, west)
    refused = ask("PUT", "/parties/D07", json={"agent": "nobody/at/all"})
    assert (refused.status_code, refused.json()["reason"]) == (404, "unknown_agent")
    assert ask("PUT", "/parties/D07", json={"agent": trade.WEST}).status_code == 200
    assert ask("GET", "/parties").json()["parties"][0]["agent"] == trade.WEST
    follower.catch_up(cloud.conn, NOW)
    found = ask("GET", "/shipments?state=open&party=D07").json()
    assert [each["number"] for each in found["shipments"]] == ["SO-1"]
    assert found["behind"] == 0
    assert found["shipments"][0]["asn"]["agent"] == trade.WEST
    (case_,) = ask("GET", "/diversions?state=suspected").json()["diversions"]
    everything = ask("GET", "/diversions").json()
    assert [each["agent"] for each in everything["reported"]] == [trade.FACTORY, trade.WEST]
    assert case_["units"][0]["unit"] == bottles(3, "1")[1]
    refused = ask("POST", "/inspections", json={"code": case(1), "inspector": "w"})
    assert (refused.status_code, refused.json()["reason"]) == (422, "nowhere_found")
    made = ask(
        "POST",
        "/inspections",
        json={"code": bottles(3, "1")[0], "inspector": "w", "territory": "north"},
    )
    assert made.status_code == 201
    assert ask("GET", "/diversions").json()["behind"] == 1
    follower.catch_up(cloud.conn, NOW)
    whys = [each["why"] for each in ask("GET", "/diversions").json()["diversions"]]
    assert sorted(whys) == ["party", "territory"]


@pytest.mark.parametrize("path", ["/shipments", "/diversions", "/stock?party=x", "/inspections"])
def test_nothing_is_said_without_a_token(cloud: Cloud, ask: Ask, path: str) -> None:  # noqa: F811
    assert ask("GET", path, "wrong").status_code == 401
    assert ask("POST", "/resolve", "", json={"code": "x", "actor": "shop"}).status_code == 401


def test_rows_of_which_nothing_moves_are_passed(cloud: Cloud) -> None:
    """Many batches with nothing but new bottles do not keep back what comes after them."""
    agent = Teller()
    for n in range(relations.ARRIVALS + 5):
        seq = agent.commission(bottles(1, f"n{n}-"))
        cloud.take(agent.cut(seq, seq))
    seq = agent.case(case(1), bottles(2))
    cloud.take(agent.cut(seq, seq))
    follower.catch_up(cloud.conn, NOW)
    assert follower.behind(cloud.conn) == 0
    cursor, rows = "", []
    for _ in range(5):
        page = relations.relations(cloud.conn, cursor)
        rows += page.rows
        cursor = page.cursor
        if not page.more:
            break
    assert [row["case"] for row in rows] == [case(1)] * 2
