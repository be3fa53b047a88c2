"""The contract between agents and the cloud as an AsyncAPI 3 document, made from the code.

`python -m sync.contract` prints it; `config/asyncapi.json` is that output, and a test keeps them
equal. It speaks for the agent: what it sends, and what it receives.
"""

import inspect
import sys
from typing import Any, NamedTuple

import msgspec
import orjson

from agent.core.facts import Fact
from agent.core.known import Clock
from agent.ports.cloud import Entry
from sync import envelope, kinds, messages
from sync.envelope import Batch, Doc
from sync.events import Document, Speaker
from sync.messages import Ack, Answer, Command, Reject, State
from sync.mqtt import KEEPALIVE, MAX_PACKET
from sync.parts import PART, SEALED, Part
from sync.uris import Identity

BINDING = "0.2.0"
"""Version of AsyncAPI's MQTT bindings."""

EPCIS = "https://ref.gs1.org/standards/epcis/epcis-json-schema.json"
"""The published schema of what is in a batch."""

ME = Identity("brand", "plant-1", "edge-1")
_EPOCH = "5f0c1a2b3d4e5f60"
_SUM = "c4" * 32
_PREV, _HASH = "3f" * 16, "a7" * 16


class Topic(NamedTuple):
    """One topic: what is on it, whether the agent sends it, and how."""

    message: type[msgspec.Struct]
    sent: bool
    summary: str
    content: str = "application/json"
    retain: bool = False


TOPICS = {
    "evt": Topic(
        Batch,
        True,
        "A run of journal rows and the EPCIS documents that they became. The payload is one zstd "
        "frame, its content size declared, around the JSON that the schema describes: at most "
        f"{envelope.LIMITS.packed} bytes, {envelope.LIMITS.unpacked} unpacked. The receipt is the "
        "consumer's message on `ack`; the broker's PUBACK is none.",
        "application/zstd",
    ),
    "ack": Topic(
        Ack,
        False,
        "The consumer's word, sent after it has committed. The agent goes on from `upto` + 1 when "
        "it is told to rewind, or when no word comes.",
    ),
    "cmd": Topic(
        Command,
        False,
        "Something to do, once for each `id`, however often it arrives. It is answered on `rsp`. "
        f"A content of more than {PART} bytes comes in parts, and so does one that is sealed to "
        f"the agent's key ({', '.join(sorted(SEALED))}); `body` is then a `Part`.",
    ),
    "rsp": Topic(Answer, True, "What became of a command."),
    "state": Topic(
        State,
        True,
        "What the agent says of itself, retained. Its last will is the same with `online` false.",
        retain=True,
    ),
}


def document() -> dict[str, Any]:
    """The whole contract."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "caselink: agents and the cloud",
            "version": f"{envelope.VERSION}.0.0",
            "description": (
                "MQTT 5, quality of service 1, clean start, no session, no message expiry. Unknown "
                "fields are ignored; whatever changes a meaning raises `v`, and a reader refuses a "
                f"`v` above its own. No message but a batch has more than {messages.MAX_MESSAGE} "
                "bytes. What is in the documents is described in docs/events.md."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "broker": {
                "host": "{host}:8883",
                "protocol": "secure-mqtt",
                "protocolVersion": "5.0",
                "description": "Any MQTT 5 broker; each side shows a certificate of its own.",
                "variables": {"host": {"description": "Name of the broker."}},
                "bindings": {
                    "mqtt": {
                        "cleanSession": True,
                        "keepAlive": KEEPALIVE,
                        "sessionExpiryInterval": 0,
                        "maximumPacketSize": MAX_PACKET,
                        "lastWill": {
                            "topic": _address("state"),
                            "qos": 1,
                            "message": messages.write(State(online=False)).decode(),
                            "retain": True,
                        },
                        "bindingVersion": BINDING,
                    }
                },
            }
        },
        "channels": {leaf: _channel(leaf, topic) for leaf, topic in TOPICS.items()},
        "operations": dict(_operation(leaf, topic) for leaf, topic in TOPICS.items()),
        "components": {
            "messages": {t.message.__name__: _message(t) for t in TOPICS.values()},
            "schemas": schemas(),
        },
    }


def schemas() -> dict[str, Any]:
    """JSON Schemas (2020-12) of all messages and of what commands hold, by name."""
    _, found = msgspec.json.schema_components(
        [*(topic.message for topic in TOPICS.values()), Part, kinds.Pool, *kinds.KINDS.values()],
        ref_template="#/components/schemas/{name}",
    )
    found["Doc"]["properties"]["doc"] = {
        "type": "object",
        "description": f"An EPCISDocument of EPCIS 2.0: {EPCIS}.",
    }
    found["Command"]["properties"]["body"] = {"description": "What `kind` says.", "default": {}}
    found["Command"]["allOf"] = [_held(kind) for kind in (*kinds.KINDS, *sorted(SEALED))]
    return {name: _tidy(schema) for name, schema in sorted(found.items())}


def _held(kind: str) -> dict[str, Any]:
    """What the body of a command of this kind is."""
    of_kind: dict[str, Any] = {"kind": {"const": kind}}
    part = {"properties": {"body": {"$ref": "#/components/schemas/Part"}}, "required": ["body"]}
    if kind in SEALED:
        return {"if": {"properties": of_kind}, "then": part}
    whole = {"$ref": f"#/components/schemas/{kinds.KINDS[kind].__name__}"}
    several = {"properties": {"of": {"minimum": 2}}, "required": ["of"]}
    alone = {"properties": {"body": whole}, "required": ["body"]}
    return {"if": {"properties": of_kind}, "then": {"if": several, "then": part, "else": alone}}


def _tidy(schema: Any) -> Any:
    """Docstrings without their indentation, patterns without what only Python's `$` needs."""
    if isinstance(schema, list):
        return [_tidy(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _tidy(each) for name, each in schema.items()}
    if isinstance(text := found.get("description"), str):
        found["description"] = " ".join(inspect.cleandoc(text).split())
    if isinstance(pattern := found.get("pattern"), str):
        found["pattern"] = pattern.removesuffix(r"(?!\n)")
    return found


# ------------------------------------------------------------------------------------- its parts


def _address(leaf: str) -> str:
    return getattr(messages.topics("{tenant}", "{site}", "{agent}"), leaf)  # type: ignore[no-any-return]


def _channel(leaf: str, topic: Topic) -> dict[str, Any]:
    name = topic.message.__name__
    return {
        "address": _address(leaf),
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "parameters": {
            "tenant": {"description": "Who owns the record.", "examples": [ME.tenant]},
            "site": {"description": "The plant.", "examples": [ME.site]},
            "agent": {
                "description": "The agent's id, also the common name of its certificate.",
                "examples": [ME.agent],
            },
        },
    }


def _operation(leaf: str, topic: Topic) -> tuple[str, dict[str, Any]]:
    verb = "send" if topic.sent else "receive"
    name = topic.message.__name__
    found: dict[str, Any] = {
        "action": verb,
        "channel": {"$ref": f"#/channels/{leaf}"},
        "messages": [{"$ref": f"#/channels/{leaf}/messages/{name}"}],
        "bindings": {"mqtt": {"qos": 1, "retain": topic.retain, "bindingVersion": BINDING}},
    }
    reply = {"evt": "ack", "cmd": "rsp"}.get(leaf)
    if reply is not None:
        found["reply"] = {"channel": {"$ref": f"#/channels/{reply}"}}
    return f"{verb}{name}", found


def _message(topic: Topic) -> dict[str, Any]:
    name = topic.message.__name__
    return {
        "name": name,
        "summary": topic.summary,
        "contentType": topic.content,
        "payload": {"$ref": f"#/components/schemas/{name}"},
        "examples": [
            {"name": title, "payload": orjson.loads(msgspec.json.encode(example))}
            for title, example in EXAMPLES[topic.message].items()
        ],
    }


def _closed_case() -> Document:
    """A case of two bottles: its bottles and itself commissioned, then what is in it."""
    clock = Clock(1_795_255_200_000, 0, "synced")
    say = Speaker(ME, Entry(4712, _EPOCH, clock, "L1", "", Fact(), bytes(16)), clock.wall_ms)
    bottles = ["https://q.example.cn/7KX2M9QD4TB8WHRA", "https://q.example.cn/N3VJ6ZC5YE2GPFSU"]
    case = "https://q.example.cn/C8MR4WQ2XKTD9HBA"
    lot = {
        "cbvmda:lotNumber": "B41120",
        "cbvmda:itemExpirationDate": "2027-11-20",
        "x:productClass": ME.product("COLA-500"),
    }
    made = {"ilmd": lot, "x:level": "bottle", "x:role": "body"}
    box = {"ilmd": lot, "x:level": "case", "x:role": "case-outer"}
    held = {
        "x:level": "case",
        "x:integrity": "proven",
        "x:evidence": "read",
        "x:expectedQuantity": 2,
        "x:unknown": 0,
        "x:own": "read",
    }
    order = "WO-1"
    (told,) = say.documents(
        [
            *say.objects("ADD", "bottles", "commissioning", "active", bottles, made, order),
            *say.objects("ADD", "case", "commissioning", "active", [case], box, order),
            *say.aggregated("ADD", "content", case, bottles, held, order),
        ]
    )
    return told


def _command(id_: str, kind: str, held: msgspec.Struct) -> Command:
    return Command(id=id_, kind=kind, body=msgspec.Raw(msgspec.json.encode(held)))


EXAMPLES: dict[type[msgspec.Struct], dict[str, msgspec.Struct]] = {
    Batch: {
        "a closed case": Batch(
            agent=ME.name,
            epoch=_EPOCH,
            first=4711,
            last=4713,
            prev=_PREV,
            hash=_HASH,
            docs=[Doc(4712, 0, 1, msgspec.Raw(_closed_case().body))],
            began=1,
        ),
        "rows of which nothing is told": Batch(
            agent=ME.name, epoch=_EPOCH, first=4714, last=4715, prev=_HASH, hash=_PREV, docs=[]
        ),
    },
    Ack: {
        "all of it": Ack(epoch=_EPOCH, upto=4713, hash=_HASH),
        "something is missing before it": Ack(epoch=_EPOCH, upto=4700, hash=_PREV, rewind=True),
        "one document is parked": Ack(
            epoch=_EPOCH, upto=4713, hash=_HASH, reject=[Reject(4712, 0, "no_parent: event 2")]
        ),
        "another journal": Ack(
            epoch=_EPOCH,
            upto=4700,
            hash=_PREV,
            fork="Row 4700 has another hash here: two agents bear this name, or an old disk runs.",
        ),
    },
    Command: {
        "send again": _command("resend-20261122-1", "resend", kinds.Resend(first=4001)),
        "a work order": _command(
            "order-7",
            "order",
            kinds.Order(
                number="WO-7",
                line="L1",
                product="COLA-500",
                lot="B41121",
                scheme="case24-pallet8",
                target=96_000,
                pools={"bottle/body": "bottles-7"},
                expires="2027-11-21",
            ),
        ),
        "the second part of a sealed pool": Command(
            id="pool-bottles-7",
            kind="pool",
            body=msgspec.Raw(msgspec.json.encode(Part(PART + 5, _SUM, b"\x2f\xb5\x07\x11\xc4"))),
            n=1,
            of=2,
        ),
    },
    Answer: {
        "done": Answer(id="resend-20261122-1", ok=True),
        "refused": Answer(
            id="order-7",
            ok=False,
            reason="unknown_product",
            text="The product COLA-330 is not known here: send it first.",
        ),
    },
    State: {
        "online": State(
            online=True,
            version="0.1.0",
            lines={"L1": "execute"},
            backlog=18,
            oldest_ms=2_400,
            acked=4713,
            last=4731,
            epoch=_EPOCH,
            clock="synced",
            at_ms=1_795_255_203_000,
        ),
        "last will": State(online=False),
    },
}


def text() -> bytes:
    """The document as it stands in `config/asyncapi.json`."""
    return orjson.dumps(document(), option=orjson.OPT_INDENT_2) + b"\n"


if __name__ == "__main__":
    sys.stdout.buffer.write(text())
