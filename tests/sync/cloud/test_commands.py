"""Commands at the cloud, on both databases: checked, queued, answered; the pools' own copy."""

import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent.core.errors import DomainError
from agent.core.poolfile import PoolRefused
from sync.cloud import answers, commands, pools
from sync.kinds import Pool
from sync.messages import Answer, State
from sync.sealed import BoxKey
from tests.sync.cloud.test_web import Ask, ask  # noqa: F401 - a fixture
from tests.sync.cloud.told import NOW, Cloud, Teller, bottles

ME = "acme/plant-1/box"
KEY = BoxKey.new()


def online(cloud: Cloud, name: str = ME, key: str = KEY.public, up: bool = True) -> None:
    cloud.ingest.heard({name: State(online=up, key=key)}, NOW)


def refused(reason: str, job: Any) -> str:
    with pytest.raises(DomainError) as caught:
        job()
    assert caught.value.reason == reason, caught.value
    return str(caught.value)


def send(cloud: Cloud, kind: str = "product", body: bytes = b'{"sku":"A"}', **more: Any) -> str:
    return commands.send(cloud.conn, more.pop("to", ME), kind, body, "li", NOW, **more)


def pool(cloud: Cloud, name: str = "p", rows: int = 5, **more: Any) -> str:
    head = Pool(name=name, level="bottle", roles=["cap", "body"], secret=["cap"])
    file = "cap,body\n" + "".join(
        f"{name}-SECRET-{n:04d},https://q.example.cn/{name}/{n:04d}\n" for n in range(rows)
    )
    file = more.pop("file", file)
    to = more.pop("to", ME)
    return commands.send_pool(cloud.conn, to, head, file.encode(), "li", NOW, **more)


def test_a_command_waits_until_its_agent_is_online(cloud: Cloud) -> None:
    refused("unknown_agent", lambda: send(cloud))
    online(cloud, up=False)
    first, second = send(cloud), send(cloud, "resend", b'{"from":7}')
    assert commands.waiting(cloud.conn, 10) == []
    online(cloud)
    (waits,) = commands.waiting(cloud.conn, 10)
    assert (waits.uid, waits.agent, waits.what.kind) == (first, ME, "product")
    content = commands.part(cloud.conn, waits.id, 0)
    assert content is not None
    assert json.loads(content)["sku"] == "A"
    assert hashlib.sha256(content).hexdigest() == waits.what.sum
    assert commands.answered(cloud.conn, ME, Answer(id=first, ok=True, body={"key": "A"}), NOW)
    assert commands.part(cloud.conn, waits.id, 0) is None
    (waits,) = commands.waiting(cloud.conn, 10)
    assert waits.uid == second
    found = commands.listed(cloud.conn, ME)
    assert [each["id"] for each in found] == [second, first]
    assert [each["state"] for each in found] == ["waits", "done"]
    assert found[1]["answer"] == {"key": "A"}
    assert commands.listed(cloud.conn, "acme/plant-1/other") == []


def test_the_first_last_word_stays_and_only_the_agent_itself_has_it(cloud: Cloud) -> None:
    online(cloud)
    asked = send(cloud)
    good = Answer(id=asked, ok=True)
    assert not commands.answered(cloud.conn, "acme/plant-1/other", good, NOW)
    bad = Answer(id=asked, ok=False, reason="no", text="why")
    assert commands.answered(cloud.conn, ME, bad, NOW)
    assert not commands.answered(cloud.conn, ME, good, NOW)
    found = commands.one(cloud.conn, asked)
    assert (found["state"], found["reason"], found["text"]) == ("refused", "no", "why")
    refused("unknown_command", lambda: commands.one(cloud.conn, "x"))


def test_what_cannot_be_is_refused_before_it_is_sent(cloud: Cloud) -> None:
    online(cloud)
    refused("unknown_kind", lambda: send(cloud, "sing", b"{}"))
    refused("command_malformed", lambda: send(cloud, "product", b'{"sku":"A","red":1}'))
    assert send(cloud, uid="mine") == "mine"
    refused("id_taken", lambda: send(cloud, uid="mine"))
    assert len(commands.listed(cloud.conn)) == 1


def test_a_command_that_is_not_sent_can_be_withdrawn(cloud: Cloud) -> None:
    online(cloud)
    asked, codes = send(cloud), pool(cloud)
    (waits,) = commands.waiting(cloud.conn, 10)
    commands.sent(cloud.conn, waits.id, NOW)
    commands.withdraw(cloud.conn, asked, "li", NOW)
    assert "may have done it" in commands.one(cloud.conn, asked)["text"]
    refused("command_closed", lambda: commands.withdraw(cloud.conn, asked, "li", NOW))
    refused("unknown_command", lambda: commands.withdraw(cloud.conn, "x", "li", NOW))
    # What the agent says all the same is the truth.
    assert commands.answered(cloud.conn, ME, Answer(id=asked, ok=True), NOW)
    assert commands.one(cloud.conn, asked)["state"] == "done"
    (waits,) = commands.waiting(cloud.conn, 10)
    assert waits.uid == codes
    commands.sent(cloud.conn, waits.id, NOW)
    refused("command_sent", lambda: commands.withdraw(cloud.conn, codes, "li", NOW))
    other = pool(cloud, "q")
    commands.withdraw(cloud.conn, other, "li", NOW)
    assert "never sent" in commands.one(cloud.conn, other)["text"]
    pool(cloud, "q", to=ME)


def test_one_consumer_at_a_time_has_the_turn(cloud: Cloud) -> None:
    def turn(holder: str, now: int) -> bool:
        return commands.take_turn(cloud.conn, ME, holder, now, now + 100)

    assert turn("a", 0)
    assert not turn("b", 50)
    assert turn("a", 60)
    assert not turn("b", 150)
    assert turn("b", 161)
    assert not turn("a", 170)


def test_a_pool_is_kept_and_resolves_what_is_secret(cloud: Cloud) -> None:
    online(cloud)
    uid = pool(cloud)
    (waits,) = commands.waiting(cloud.conn, 10)
    assert waits.uid == uid
    sealed = commands.part(cloud.conn, waits.id, 0)
    assert sealed is not None
    assert b"SECRET" not in sealed
    assert KEY.open(sealed, f"{ME}/{uid}")
    place = pools.place(cloud.conn, "p-SECRET-0003")
    assert place == ("p", "cap", 3, True)
    assert place.uri() == "https://id.caselink.example/pool/p/cap/3"
    body = pools.place(cloud.conn, "https://q.example.cn/p/0004")
    assert body == ("p", "body", 4, False)
    assert pools.place(cloud.conn, "nobody") is None
    assert pools.text_at(cloud.conn, "p", "cap", 3) == "p-SECRET-0003"
    assert pools.text_at(cloud.conn, "p", "cap", 5) is None
    assert pools.text_at(cloud.conn, "p", "lid", 3) is None
    assert answers.trace(cloud.conn, "p-SECRET-0003")["code"] == place.uri()


def test_a_secret_code_that_is_scanned_finds_its_bottle(cloud: Cloud) -> None:
    online(cloud)
    pool(cloud)
    agent = Teller(ME)
    (bottle,) = bottles(1)
    agent.commission([bottle])
    agent.bear(bottle, ["https://id.caselink.example/pool/p/cap/3"])
    cloud.take(agent.cut())
    found = answers.trace(cloud.conn, "p-SECRET-0003")
    assert (found["answer"], found["name"]) == ("known", bottle)
    assert "SECRET" not in json.dumps(found)
    assert answers.trace(cloud.conn, "p-SECRET-0002")["answer"] == "not_known_yet"


def test_no_code_is_issued_twice(cloud: Cloud) -> None:
    online(cloud)
    first = pool(cloud)
    refused("pool_exists", lambda: pool(cloud))
    text = "cap,body\nNEW,https://q.example.cn/p/0002\n"
    said = refused("pool_duplicate", lambda: pool(cloud, "other", file=text))
    assert "row 1, body, is in pool p, row 3" in said
    assert list(pools.names(cloud.conn)) == ["p"]
    assert len(commands.listed(cloud.conn)) == 1, "nothing of what was refused is queued"
    # Refused by the agent: the same pool may be sent again.
    commands.answered(cloud.conn, ME, Answer(id=first, ok=False, reason="not_for_us"), NOW)
    pool(cloud)
    assert pools.text_at(cloud.conn, "p", "cap", 4) == "p-SECRET-0004"


def test_a_pool_file_with_a_mistake_is_not_sent(cloud: Cloud) -> None:
    online(cloud)
    with pytest.raises(PoolRefused, match="line 3"):
        pool(cloud, file="cap,body\na,b\nc\n")
    assert commands.listed(cloud.conn) == []


def test_a_key_that_changes_is_not_believed(cloud: Cloud) -> None:
    online(cloud, key="")
    refused("key_unknown", lambda: pool(cloud))
    online(cloud)
    pool(cloud, "p1")
    other = BoxKey.new().public
    online(cloud, key=other)
    said = refused("key_changed", lambda: pool(cloud, "p2"))
    assert other in said
    assert KEY.public in said
    pool(cloud, "p2", key=other.upper())
    pool(cloud, "p3")
    refused("no_key", lambda: pool(cloud, "p4", key="zz"))
    assert list(pools.names(cloud.conn)) == ["p1", "p2", "p3"]


def test_commands_over_http(cloud: Cloud, ask: Ask) -> None:  # noqa: F811
    online(cloud)
    where = f"/agents/{ME}/commands"
    done = ask("POST", where, json={"kind": "resend", "body": {"from": 9}})
    assert done.status_code == 202, done.text
    uid = done.json()["id"]
    file = "cap,body\nS-1,https://q.example.cn/h/1\n"
    heading = {"name": "h", "level": "bottle", "roles": ["cap", "body"], "secret": ["cap"]}
    asked = {"kind": "pool", "body": heading, "file": file, "id": "mine-1"}
    assert ask("POST", where, json=asked).json() == {"id": "mine-1"}
    assert ask("POST", where, json=asked).status_code == 409
    assert ask("POST", where, json={"kind": "resend", "body": {}}).status_code == 422
    wrong = ask("POST", where, json={"kind": "pool", "body": {"name": "x"}})
    assert (wrong.status_code, wrong.json()["reason"]) == (422, "command_malformed")
    nobody = ask("POST", "/agents/a/b/c/commands", json={"kind": "resend", "body": {"from": 1}})
    assert (nobody.status_code, nobody.json()["reason"]) == (404, "unknown_agent")
    commands.answered(cloud.conn, ME, Answer(id=uid, ok=True, text="yes"), NOW)
    page = ask("GET", where, params={"limit": 1}).json()
    assert [each["id"] for each in page["commands"]] == ["mine-1"]
    page = ask("GET", where, params={"limit": 1, "before": page["next"]}).json()
    assert [(each["id"], each["state"]) for each in page["commands"]] == [(uid, "done")]
    assert ask("GET", f"/commands/{uid}").json()["text"] == "yes"
    assert ask("GET", "/commands/none").status_code == 404
    assert ask("POST", "/commands/mine-1/withdraw").json() == {"withdrawn": "mine-1"}
    assert ask("GET", where, "").status_code == 401
    assert ask("POST", where, "", json={"kind": "resend", "body": {"from": 9}}).status_code == 401


def test_who_may_not_send_a_pool_may_not_send_much(cloud: Cloud, ask: Ask) -> None:  # noqa: F811
    online(cloud)
    where = f"/agents/{ME}/commands"
    rows = "".join(f"S-{n:06d},https://q.example.cn/h/{n:06d}\n" for n in range(40_000))
    heading = {"name": "h", "level": "bottle", "roles": ["cap", "body"], "secret": ["cap"]}
    asked = {"kind": "pool", "body": heading, "file": "cap,body\n" + rows}
    for token in ("", "wrong"):
        answer = ask("POST", where, token, json=asked)
        assert (answer.status_code, answer.json()["reason"]) == (413, "too_large")
    assert ask("POST", where, json=asked).status_code == 202
    huge = ask("POST", where, content=b"{}", headers={"Content-Length": "90000000"})
    assert (huge.status_code, huge.json()["reason"]) == (413, "too_large")

    async def pieces() -> AsyncIterator[bytes]:
        yield b"{}"

    assert ask("POST", where, content=pieces()).status_code == 411
