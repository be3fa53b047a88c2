"""Messages beside the batches: they come back as they went, and are refused by name."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync import messages
from sync.envelope import Refused
from sync.messages import Ack, Answer, Command, Reject, State, read, write

_HASH = "0123456789abcdef" * 2


def test_messages_come_back_as_they_went() -> None:
    ack = Ack(epoch="e", upto=7, hash=_HASH, rewind=True, reject=[Reject(5, 0, "why")], fork="x")
    state = State(online=True, version="1", lines={"L1": "running"}, backlog=3, oldest_ms=9, last=4)
    command = Command(id="c-1", kind="code_pool", body=msgspec.Raw(b'{"a":1}'), n=1, of=3)
    answer = Answer(id="c-1", ok=False, reason="unknown", text="No.", body={"seen": [1]})
    assert read(Ack, write(ack)) == ack
    assert read(State, write(state)) == state
    assert read(Command, write(command)) == command
    assert read(Answer, write(answer)) == answer


def reason(kind: type[Ack] | type[Command], payload: bytes) -> str:
    answer = read(kind, payload)
    assert isinstance(answer, Refused)
    assert answer.text.endswith(".")
    return answer.reason


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": ""},
        {"epoch": None},
        {"upto": -1},
        {"upto": 1 << 63},
        {"upto": 1.5},
        {"hash": ""},
        {"hash": _HASH.upper()},
        {"rewind": 1},
        {"reject": [{"seq": 1, "n": 0}]},
        {"reject": [{"seq": 1, "n": 0, "reason": ""}] * 1_001},
        {"fork": "x" * 2_001},
        {"v": 0},
    ],
)
def test_a_malformed_acknowledgement_is_refused(change: dict[str, object]) -> None:
    good: dict[str, object] = {"v": 1, "epoch": "e", "upto": 7, "hash": _HASH}
    assert isinstance(read(Ack, json.dumps(good).encode()), Ack)
    assert reason(Ack, json.dumps(good | change).encode()) == "malformed"


def test_reasons_have_names() -> None:
    assert reason(Ack, b"\xff") == "malformed"
    assert reason(Ack, b"[" * 100_000) == "malformed"
    assert reason(Ack, b'{"v":2}') == "future_version"
    assert reason(Ack, b" " * (messages.MAX_MESSAGE + 1)) == "oversized"
    assert reason(Command, b'{"id":"a","kind":"b","n":3,"of":3}') == "malformed"
    assert reason(Command, b'{"id":"../a","kind":"b"}') == "malformed"


@settings(max_examples=300)
@given(st.binary(max_size=100))
def test_no_bytes_raise(payload: bytes) -> None:
    for kind in (Ack, Command, Answer):
        assert isinstance(read(kind, payload), Refused)


def test_topics_name_their_agent() -> None:
    topics = messages.topics("acme", "plant-1", "box.7")
    assert topics.evt == "cl/v1/acme/plant-1/box.7/evt"
    assert {messages.agent_of(topic) for topic in topics} == {"acme/plant-1/box.7"}
    assert messages.agent_of("cl/v1/acme/plant-1/box.7/other") is None
    assert messages.agent_of("cl/v1/acme/plant-1/evt") is None
    assert messages.agent_of("cl/v2/acme/plant-1/box.7/evt") is None
