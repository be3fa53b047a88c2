"""The answers over HTTP, on both databases; and the consumer as a program, with a broker."""

import asyncio
import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from sync.cloud import tokens
from sync.cloud.database import open_database
from sync.cloud.web import create_app
from sync.envelope import encode
from tests.sync.brokers import BrokerProcess
from tests.sync.cloud.test_consumer import agent as connected
from tests.sync.cloud.told import NOW, Cloud, Teller, bottles, case

Ask = Callable[..., httpx.Response]


@pytest.fixture
def ask(cloud: Cloud) -> Iterator[Ask]:
    """Asks with a manager's token, unless `token` is another."""
    app = create_app(cloud.database, lambda: NOW)
    mine = tokens.make(cloud.conn, "boss", True, NOW)

    def asked(method: str, path: str, token: str | None = None, **more: Any) -> httpx.Response:
        async def main() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            bearer = mine if token is None else token
            headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
            async with httpx.AsyncClient(
                transport=transport, base_url="http://cloud", headers=headers
            ) as client:
                return await client.request(method, path, **more)

        return asyncio.run(main())

    yield asked
    app.state.pool.close()


def test_nothing_is_said_without_a_token(cloud: Cloud, ask: Ask) -> None:
    for path in ("/agents", "/trace/x", "/relations", "/dead-letters", "/forks", "/quarantine"):
        for token in ("", "wrong", "x" * 1000):
            answer = ask("GET", path, token)
            assert (answer.status_code, answer.json()["reason"]) == (401, "no_token"), path
    kept = cloud.conn.rows("SELECT hash FROM token")
    assert len(kept[0][0]) == 64
    tokens.revoke(cloud.conn, "boss")
    assert ask("GET", "/agents").status_code == 401


def test_trace_of_a_code_as_it_is_scanned(cloud: Cloud, ask: Ask) -> None:
    agent = Teller()
    agent.case(case(1), bottles(2))
    cloud.take(agent.cut())
    for text in (
        bottles(2)[0],
        bottles(2)[0].replace("https://q.example.cn", "HTTPS://Q.EXAMPLE.CN"),
    ):
        answer = ask("GET", f"/trace/{quote(text, safe='')}")
        assert answer.status_code == 200
        assert [up["code"] for up in answer.json()["up"]] == [case(1)]
    assert ask("GET", "/trace/nobody").json()["answer"] == "not_known_yet"
    refused = ask("GET", "/trace/a%E2%80%8Bb")
    assert (refused.status_code, refused.json()["reason"]) == (422, "code_control_character")


def test_relations_as_lines_and_as_csv(cloud: Cloud, ask: Ask) -> None:
    agent = Teller()
    for n in range(4):
        agent.case(case(n), bottles(3, str(n)))
    cloud.take(agent.cut())
    first = ask("GET", "/relations?limit=6")
    *rows, last = [json.loads(line) for line in first.text.splitlines()]
    assert len(rows) == 6
    assert last == {"cursor": first.headers["X-Cursor"], "more": True}
    second = ask("GET", f"/relations?limit=6&format=csv&since={last['cursor']}")
    assert second.headers["X-More"] == "0"
    table = list(csv.DictReader(second.text.splitlines()))
    assert {row["case"] for row in table} == {case(2), case(3)}
    assert ask("GET", "/relations?since=nonsense").json()["reason"] == "bad_cursor"
    assert ask("GET", "/relations?limit=0").status_code == 422


def test_dead_letters_are_seen_retried_and_discarded(cloud: Cloud, ask: Ask) -> None:
    agent = Teller()
    agent.row(b'{"type":"x"}', b"[]")
    agent.case(case(1), bottles(2))
    (good,) = agent.bodies[2]
    agent.bodies[2] = [good.replace(b'"2.0"', b'"2.1"')]
    cloud.take(agent.cut())
    page = ask("GET", "/dead-letters?limit=2").json()
    assert [(each["seq"], each["n"]) for each in page["dead_letters"]] == [(1, 0), (1, 1)]
    rest = ask("GET", f"/dead-letters?after={page['next']}").json()
    ((letter, reason),) = [(each["id"], each["reason"]) for each in rest["dead_letters"]]
    assert reason.startswith("schema_version")
    reader = tokens.make(cloud.conn, "reader", False, NOW)
    assert ask("POST", f"/dead-letters/{letter}/retry", reader).status_code == 403
    again = ask("POST", f"/dead-letters/{letter}/retry").json()
    assert again["applied"] is False
    assert again["problems"][0].startswith("schema_version")
    cloud.conn.change(
        "UPDATE dead_letter SET doc = ? WHERE id = ?", (bytearray(good), letter)
    )  # the lint was wrong
    assert ask("POST", f"/dead-letters/{letter}/retry").json() == {"applied": True, "problems": []}
    assert ask("GET", f"/trace/{quote(bottles(2)[0], safe='')}").json()["answer"] == "known"
    first = page["dead_letters"][0]["id"]
    assert ask("POST", f"/dead-letters/{first}/discard", json={}).status_code == 422
    said = ask("POST", f"/dead-letters/{first}/discard", json={"reason": "a test"})
    assert said.json() == {"discarded": first}
    kept = ask("GET", "/dead-letters?state=discarded").json()["dead_letters"]
    assert [(each["why"], each["who"]) for each in kept] == [("a test", "boss")]
    assert ask("POST", "/dead-letters/999/retry").status_code == 404
    assert ask("POST", f"/dead-letters/{first}/retry").json()["reason"] == "letter_closed"


def test_agents_forks_quarantine_and_refusals(cloud: Cloud, ask: Ask) -> None:
    agent, other = Teller(), Teller("brand/plant-1/edge-2")
    agent.case(case(1), bottles(2))
    other.case(case(2), bottles(2))
    cloud.take(agent.cut())
    cloud.take(other.cut())
    back = other.restored(0, "e2")
    back.row()
    cloud.take(back.cut())
    page = ask("GET", "/agents?limit=1").json()
    assert page["next"] == agent.name
    (last,) = ask("GET", f"/agents?after={page['next']}").json()["agents"]
    assert (last["agent"], last["epoch"], last["upto"]) == (other.name, "e2", 1)
    (fork,) = ask("GET", "/forks").json()["forks"]
    assert (fork["agent"], fork["kind"]) == (other.name, "restored")
    found = ask("GET", "/quarantine?limit=1").json()
    rest = ask("GET", f"/quarantine?after={found['next']}").json()
    codes = {each["code"] for each in (*found["quarantined"], *rest["quarantined"])}
    assert codes == set(bottles(2))
    assert ask("GET", "/quarantine?after=zz").status_code == 422
    assert ask("GET", "/refused").json() == {"refused": [], "next": None}
    paths = ask("GET", "/openapi.json").json()["paths"]
    assert "/trace/{code}" in paths
    nowhere = ask("GET", "/no/such/path")
    assert (nowhere.status_code, nowhere.json()["reason"]) == (404, "no_such_path")


def test_the_program_consumes_answers_and_ends_when_told(
    broker: BrokerProcess, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'cloud.db'}"
    database = open_database(url)
    conn = database.connect()
    token = tokens.make(conn, "test", False, NOW)
    conn.close()
    command = [sys.executable, "-m", "agent.cli", "cloud", "run", "--http", "127.0.0.1:0"]
    env = {**os.environ, "CASELINK_DB": url, "CASELINK_BROKER": broker.url}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = json.loads(process.stdout.readline())["ready"]["http"]
            teller = Teller("brand/plant-1/edge-77")
            teller.case(case(1), bottles(2))

            async def main() -> None:
                async with connected(broker, teller) as box:
                    ack = None
                    while ack is None:
                        await box.send(encode(teller.cut()))
                        ack = await box.ack(1.0)
                    assert ack.upto == 1

            asyncio.run(main())
            headers = {"Authorization": f"Bearer {token}"}
            with httpx.Client(base_url=address, headers=headers, timeout=10) as client:
                took = []
                for _ in range(10):
                    began = time.perf_counter()
                    answer = client.get(f"/trace/{quote(bottles(2)[0], safe='')}")
                    took.append(time.perf_counter() - began)
            assert [up["code"] for up in answer.json()["up"]] == [case(1)]
            assert min(took) < 0.02, "a body waits for its head to be acknowledged, 40 ms"
            second = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
            assert second.returncode == 1
            assert "Another consumer writes" in second.stderr
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()
