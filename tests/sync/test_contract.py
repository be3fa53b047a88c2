"""The contract: equal to what the code makes, good by AsyncAPI's own schema, its examples good by
its schemas and by the program."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest

from sync import contract, envelope, kinds, messages, parts
from sync.envelope import Batch
from sync.lint import problems
from tests.npm import judge

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = ROOT / "config" / "asyncapi.json"
SPECS = "@asyncapi/specs@6.11.1"


@pytest.fixture(scope="module")
def committed() -> Any:
    return json.loads(COMMITTED.read_bytes())


def test_the_committed_contract_is_what_the_code_makes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sync.contract"],
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert COMMITTED.read_bytes() == done.stdout, (
        "run: .venv/bin/python -m sync.contract > config/asyncapi.json"
    )


@pytest.fixture(scope="module")
def asyncapi() -> Any:
    """The JSON schema of AsyncAPI 3.0.0 as its makers ship it."""
    whole = json.loads((judge(SPECS) / "schemas" / "3.0.0.json").read_text("utf-8"))
    return jsonschema_rs.validator_for(whole, validate_formats=True)


def test_it_is_asyncapi_3(asyncapi: Any, committed: Any) -> None:
    assert [error.message for error in asyncapi.iter_errors(committed)] == []
    for wrong in (
        {**committed, "asyncapi": "4.0.0"},
        {**committed, "operations": {"x": {"action": "publish"}}},
        {**committed, "channels": {"evt": {"address": 7}}},
    ):
        assert not asyncapi.is_valid(wrong)


def test_every_reference_leads_somewhere(committed: Any) -> None:
    found = 0

    def look(at: Any) -> None:
        nonlocal found
        if isinstance(at, dict):
            if "$ref" in at:
                target = committed
                for step in at["$ref"].removeprefix("#/").split("/"):
                    target = target[step]
                found += 1
            for each in at.values():
                look(each)
        elif isinstance(at, list):
            for each in at:
                look(each)

    look(committed)
    assert found > 20


def examples(committed: Any) -> list[tuple[str, str, Any]]:
    return [
        (name, each["name"], each["payload"])
        for name, message in committed["components"]["messages"].items()
        for each in message["examples"]
    ]


def schema(committed: Any, name: str) -> Any:
    whole = {"components": committed["components"], "$ref": f"#/components/schemas/{name}"}
    return jsonschema_rs.validator_for(whole, validate_formats=True)


def test_the_examples_keep_to_the_schemas(committed: Any) -> None:
    seen = set()
    for name, title, payload in examples(committed):
        judge = schema(committed, name)
        assert [error.message for error in judge.iter_errors(payload)] == [], (name, title)
        for field in committed["components"]["schemas"][name]["required"]:
            without = {key: value for key, value in payload.items() if key != field}
            assert not judge.is_valid(without), (name, field)
        seen.add(name)
    assert seen == {"Batch", "Ack", "Command", "Answer", "State"}


def test_the_program_takes_the_examples_as_they_are(committed: Any) -> None:
    for name, title, payload in examples(committed):
        data = orjson.dumps(payload)
        if name == "Batch":
            batch = envelope.decode(envelope.zstandard.ZstdCompressor().compress(data))
            assert isinstance(batch, Batch), (title, batch)
            for each in batch.docs:
                body = bytes(each.doc)
                assert problems(orjson.loads(body), len(body)) == []
        else:
            kind = getattr(messages, name)
            read = messages.read(kind, data)
            assert isinstance(read, kind), title
            if isinstance(read, messages.Command):
                held = parts.piece(read)
                assert isinstance(held, parts.Piece), title
                if held.what.parts == 1:
                    kinds.parse(read.kind, held.data)


def test_the_schemas_refuse_what_the_program_refuses(committed: Any) -> None:
    """Each limit of a field, in both."""
    (ack,) = [
        payload
        for name, title, payload in examples(committed)
        if (name, title) == ("Ack", "all of it")
    ]
    judge = schema(committed, "Ack")
    for wrong in (
        {"epoch": "a/b"},
        {"epoch": "a\n"},
        {"upto": -1},
        {"hash": "A7" * 16},
        {"hash": "a7" * 17},
        {"rewind": 1},
        {"fork": "x" * 2001},
        {"v": envelope.VERSION + 1},
        {"reject": [{"seq": 0, "n": 0, "reason": ""}]},
    ):
        changed = {**ack, **wrong}
        assert not judge.is_valid(changed), wrong
        assert isinstance(messages.read(messages.Ack, orjson.dumps(changed)), envelope.Refused)


@pytest.mark.parametrize("kind", [*kinds.KINDS, *parts.SEALED])
def test_the_content_of_every_kind_of_command_is_in_the_contract(committed: Any, kind: str) -> None:
    judge = schema(committed, "Command")
    command = {"id": "c-1", "kind": kind}
    part = {"size": 70_000, "sum": "c4" * 32, "data": "L7UH"}
    assert judge.is_valid({**command, "n": 1, "of": 2, "body": part})
    assert not judge.is_valid({**command, "n": 1, "of": 2, "body": {"unheard": 1}})
    assert not judge.is_valid({**command, "body": {"unheard": 1}})
    assert not judge.is_valid(command)
    assert judge.is_valid({**command, "body": part}) == (kind in parts.SEALED)


def test_a_kind_that_is_not_known_yet_keeps_to_the_contract(committed: Any) -> None:
    assert schema(committed, "Command").is_valid({"id": "c-1", "kind": "later", "body": {"a": 1}})


def test_the_topics_are_those_of_the_program(committed: Any) -> None:
    addresses = [channel["address"] for channel in committed["channels"].values()]
    assert addresses == list(messages.topics("{tenant}", "{site}", "{agent}"))
    for operation in committed["operations"].values():
        assert operation["bindings"]["mqtt"]["qos"] == 1
    assert contract.TOPICS.keys() == set(messages.Topics._fields)
