"""The follower: of two that look at once one writes, what it does not look at again is the same all
the same, and it runs by itself in the consumer."""

import os
import random
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.errors import TransientError
from sync.cloud import cases, follower, parties, shipments
from sync.cloud.database import Connection, open_database
from sync.cloud.follower import Follower
from sync.messages import State
from tests.sync.cloud import trade
from tests.sync.cloud.test_diversion import story
from tests.sync.cloud.test_shipments import asns
from tests.sync.cloud.told import NOW, Cloud, bottles, case, pallet
from tests.sync.cloud.trade import EAST, Warehouse, told

SECONDS = 20.0


def seen(conn: Connection) -> list[object]:
    """All that the follower has made."""
    rows = conn.rows("SELECT key, state, body FROM shipment ORDER BY key")
    return [
        cases.listed(conn, "", 100, "", ""),
        [(bytes(key), state, body) for key, state, body in rows],
    ]


def test_of_two_that_look_at_once_one_writes(cloud: Cloud) -> None:
    factory, west = trade.factory(), trade.west()
    factory.case(case(1), bottles(2))
    factory.ship([case(1)], "SO-1", "D07")
    west.receive([case(1)], "D09")
    for agent in (factory, west):
        cloud.take(agent.cut())
    with cloud.conn.reading():
        late = follower._look(cloud.conn, follower.BASE, False)
    other = cloud.database.connect()
    follower.catch_up(other, NOW)
    before = seen(other)
    with pytest.raises(TransientError), cloud.conn.writing():
        follower._write(cloud.conn, late, NOW)
    assert seen(other) == before
    assert follower.behind(other) == 0
    other.close()


def test_several_followers_and_agents_at_once(cloud: Cloud) -> None:
    """Three look while the story is being told; afterwards it is as if one had looked."""
    agents = story()
    conns = [cloud.database.connect() for _ in range(3)]
    going = True

    def follow(conn: Connection) -> None:
        while going:
            with suppress(TransientError):
                follower.step(conn, NOW)

    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(follow, conn) for conn in conns]
        try:
            for n in range(max(agent.last for agent in agents)):
                for agent in agents:
                    if n < agent.last:
                        cloud.take(agent.cut(n + 1, n + 1))
        finally:
            going = False
        for job in jobs:
            job.result(SECONDS)
    follower.catch_up(cloud.conn, NOW)
    found = seen(cloud.conn)
    assert anew(cloud) == found
    for conn in conns:
        conn.close()


@pytest.mark.parametrize("clock", ["synced", "free"])
def test_what_a_dealer_does_after_its_receipt(cloud: Cloud, clock: str) -> None:
    """It changes nothing of the shipment, and is not looked at for it; what it did before does."""
    factory, east = trade.factory(), trade.east()
    factory.case(case(1), bottles(3, "1"))
    factory.case(case(2), bottles(3, "2"))
    factory.pallet(pallet(1), [case(1), case(2)])
    factory.ship([pallet(1)], "SO-1", "D07")
    east.unpack(pallet(1), [case(2)])
    east.receive([pallet(1)], "D07", "SO-1", "F01", clock=clock)
    told(cloud, factory, east)
    (found,) = shipments.listed(cloud.conn, "", 9, "", "")["shipments"]
    assert (found["state"], found["missing"]) == ("open", [case(2)])
    east.unpack(pallet(1), [case(1)])
    cloud.take(east.cut(east.start))
    with cloud.conn.reading():
        change = follower._look(cloud.conn, follower.BASE, False)
    assert len(change.shipments) == (0 if clock == "synced" else 1)
    follower.catch_up(cloud.conn, NOW)
    (again,) = shipments.listed(cloud.conn, "", 9, "", "")["shipments"]
    assert again == found


def test_links_that_somebody_else_tells_later_change_what_was_sent(cloud: Cloud) -> None:
    factory, dock = trade.factory(), trade.Warehouse("brand/dock/x", "e9", clock=NOW + 9_000)
    factory.case(case(1), bottles(2))
    dock.ship([case(1)], "SO-1", "D07", by="F01")
    told(cloud, dock)
    (found,) = shipments.listed(cloud.conn, "", 9, "", "")["shipments"]
    assert found["pieces"]["sent"] == 1, "a unit of which nothing is known"
    told(cloud, factory)
    (found,) = shipments.listed(cloud.conn, "", 9, "", "")["shipments"]
    assert (found["pieces"]["sent"], found["not_known_yet"]) == (2, [])


def test_a_mistake_of_ours_ends_it_and_is_heard(cloud: Cloud) -> None:
    """The service waits for this future: a consumer must not go on without it."""

    def clock() -> int:
        raise ZeroDivisionError

    running = Follower(cloud.database, clock)
    running.start()
    assert isinstance(running.ended.exception(SECONDS), ZeroDivisionError)
    running.close()


def test_it_runs_by_itself(cloud: Cloud) -> None:
    cloud.ingest.heard({EAST: State(online=True)}, NOW)
    parties.serve(cloud.conn, "D07", EAST, NOW)
    running = Follower(cloud.database, lambda: NOW)
    running.start()
    factory = trade.factory()
    factory.case(case(1), bottles(2))
    factory.ship([case(1)], "SO-1", "D07")
    cloud.take(factory.cut())
    try:
        until = time.monotonic() + SECONDS
        while not asns(cloud):
            assert time.monotonic() < until, "it does not follow"
            time.sleep(0.02)
    finally:
        running.close()
    assert [each.number for each in asns(cloud)] == ["SO-1"]


# --------------------------------------------------------------------- whatever happens to goods


def any_story(chance: random.Random) -> list[Warehouse]:
    """Two pallets of two cases, and three agents that do with them whatever people may do, by
    clocks of any quality."""
    agents = [trade.factory(), trade.east(), trade.west()]
    factory = agents[0]
    integrity = ("proven", "anchored", "inferred")
    for n in range(4):
        factory.case(case(n), bottles(2, str(n)), **{"x:integrity": chance.choice(integrity)})
    for n in range(2):
        factory.pallet(pallet(n), [case(2 * n), case(2 * n + 1)])
    parties_ = ("F01", "D07", "D09")
    things = [*(case(n) for n in range(4)), pallet(0), pallet(1), bottles(2, "0")[0]]
    for _ in range(chance.randint(3, 14)):
        at = chance.randrange(3)
        agent, here = agents[at], parties_[at]
        goods = chance.sample(things, chance.randint(1, 2))
        other = parties_[chance.randrange(3)]
        if chance.random() < 0.1:
            agent.clock += chance.choice((-50_000, 30_000, 10_000_000))
        number = f"S{chance.randint(1, 2)}"
        clock = chance.choice(("synced", "synced", "free"))
        match chance.randrange(9):
            case 0 | 1:
                agent.ship(goods, number, other, here, 2, clock=clock)
            case 2 | 3:
                agent.receive(goods, here, number, other, 2, clock=clock)
            case 4:
                agent.take_back(goods, number, other, here)
            case 5:
                agent.give_back(goods, here, other)
            case 6:
                agent.unpack(pallet(chance.randrange(2)), [case(chance.randrange(4))])
            case 7:
                agent.pack(pallet(chance.randrange(3)), [case(chance.randrange(4))])
            case _:
                agent.look(goods, **{"x:doubtful": chance.random() < 0.5})
    return agents


def anew(cloud: Cloud) -> list[object]:
    """All that a follower makes of the same, at once and from the beginning."""
    with cloud.conn.writing():
        for table in ("shipment", "diversion", "diversion_case"):
            cloud.conn.change(f"DELETE FROM {table}")
        cloud.conn.change(
            "UPDATE follower SET xid = 0, arrival = 0, event = 0 WHERE name = 'goods'"
        )
    follower.catch_up(cloud.conn, NOW)
    return seen(cloud.conn)


@settings(max_examples=int(os.environ.get("CASELINK_STORIES", "10")), deadline=None)
@given(seed=st.integers(0, 10**9))
def test_whatever_people_do_and_whoever_tells_first(seed: int) -> None:
    """What was made little by little is what is made at once."""
    chance = random.Random(seed)
    agents = any_story(chance)
    with tempfile.TemporaryDirectory() as folder:
        cloud = Cloud(open_database(f"sqlite:///{folder}/cloud.db"))
        try:
            while left := [agent for agent in agents if agent.start <= agent.last]:
                agent = chance.choice(left)
                last = min(agent.last, agent.start + chance.randint(0, 4))
                cloud.take(agent.cut(agent.start, last))
                agent.start = last + 1
                if chance.random() < 0.6:
                    follower.catch_up(cloud.conn, NOW)
            follower.catch_up(cloud.conn, NOW)
            found = seen(cloud.conn)
            assert anew(cloud) == found
        finally:
            cloud.close()
