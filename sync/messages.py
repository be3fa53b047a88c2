"""What else travels between an agent and the cloud: acknowledgement, state, command, answer.

All are small JSON objects, uncompressed, on topics of their own under `cl/v1/`. Unknown fields are
ignored, so a later version may add some; one that changes a meaning raises `v` and is refused.
"""

from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec

from sync.envelope import VERSION, Hash, Name, Part, Refused, Seq, newer
from sync.restored import Restored

MAX_MESSAGE = 1_500_000
"""Bytes of one message; a command that needs more comes in chunks."""

MAX_REJECTS = 1_000
"""Documents one acknowledgement may refuse."""

Version = Annotated[int, msgspec.Meta(ge=1, le=VERSION)]
Upto = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Text = Annotated[str, msgspec.Meta(max_length=2_000)]
Key = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$(?!\n)")]
Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$(?!\n)")]


class Reject(msgspec.Struct, frozen=True):
    """A document that the cloud parked: it counts as received, and a person must look at it."""

    seq: Seq
    n: Part
    reason: Text


class Ack(msgspec.Struct, frozen=True, kw_only=True):
    """The consumer's word: every row up to `upto` of `epoch` is durable, and the chain's hash at
    `upto` is `hash` (zeros when `upto` is 0).

    `rewind`: send again from `upto` + 1. `fork`: not empty = what was sent does not belong to the
    chain that was acknowledged before; nothing of it was applied. `restored` answers a batch that
    asks.
    """

    v: Version = VERSION
    epoch: Name
    upto: Upto
    hash: Hash
    rewind: bool = False
    reject: Annotated[list[Reject], msgspec.Meta(max_length=MAX_REJECTS)] = []
    fork: Text = ""
    restored: Restored | None = None


class DeviceState(msgspec.Struct, frozen=True, kw_only=True):
    """How a device of a line is: `state` is ok, starting, fault or lost; `latency_ms` of its last
    answer, at `last_ms` (0: none yet); `lost` and `faults` count since the agent's start;
    `warnings` are keys of what will stop it soon (ink_low ...)."""

    kind: Annotated[str, msgspec.Meta(max_length=64)]
    state: Annotated[str, msgspec.Meta(max_length=64)]
    latency_ms: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    last_ms: int = 0
    lost: Count = 0
    faults: Count = 0
    warnings: Annotated[
        list[Annotated[str, msgspec.Meta(max_length=64)]], msgspec.Meta(max_length=32)
    ] = []


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent says of itself, retained; its last will says only that it is not `online`.

    `backlog` rows are not acknowledged, the oldest of them is `oldest_ms` old (0 = none); `acked`
    and `last` are seqs; `clock` is the quality of the agent's clock, `at_ms` its wall time.
    `lines`: state by line. `refused`: documents its own check did not let go. `fork`: not empty =
    it does not send, and why. `key`: what to seal secrets for it with (X25519, hex). `devices`:
    those of its lines, by name.
    """

    v: Version = VERSION
    online: bool
    version: Annotated[str, msgspec.Meta(max_length=64)] = ""
    lines: dict[
        Annotated[str, msgspec.Meta(max_length=64)], Annotated[str, msgspec.Meta(max_length=64)]
    ] = {}
    backlog: Count = 0
    oldest_ms: Count = 0
    acked: Upto = 0
    last: Upto = 0
    epoch: Annotated[str, msgspec.Meta(max_length=64)] = ""
    clock: Annotated[str, msgspec.Meta(max_length=64)] = ""
    at_ms: int = 0
    refused: Count = 0
    fork: Text = ""
    key: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?$(?!\n)")] = ""
    devices: Annotated[
        dict[Annotated[str, msgspec.Meta(max_length=64)], DeviceState],
        msgspec.Meta(max_length=1_000),
    ] = {}


def _nothing() -> msgspec.Raw:
    return msgspec.Raw(b"{}")


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """Something for the agent to do, once: `id` is its identity, however often it arrives.

    A large one comes as chunks `n` of `of`, from 0, each with its part in `body`.
    """

    v: Version = VERSION
    id: Id
    kind: Key
    body: msgspec.Raw = msgspec.field(default_factory=_nothing)
    n: Part = 0
    of: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of command `id`. Not `ok`: nothing of it was applied; `reason` is a key and
    `text` says why and what to do."""

    v: Version = VERSION
    id: Id
    ok: bool
    reason: Annotated[str, msgspec.Meta(max_length=64)] = ""
    text: Text = ""
    body: Any = None


Message = TypeVar("Message", Ack, State, Command, Answer)

_encode = msgspec.json.Encoder().encode
_DECODERS = {kind: msgspec.json.Decoder(kind) for kind in (Ack, State, Command, Answer)}


def write(message: Ack | State | Command | Answer) -> bytes:
    """The bytes of a message."""
    return _encode(message)


def read(kind: type[Message], payload: bytes) -> Message | Refused:
    """The message of that kind in `payload`, or why it is refused. Never raises."""
    if len(payload) > MAX_MESSAGE:
        return Refused(
            "oversized", f"The message has {len(payload)} bytes, at most {MAX_MESSAGE} are taken."
        )
    try:
        payload.decode()
        message: Message = _DECODERS[kind].decode(payload)  # type: ignore[assignment]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return newer(payload) or Refused(
            "malformed", f"This is no {kind.__name__.lower()}: {error}."
        )
    if isinstance(message, Command) and message.n >= message.of:
        return Refused("malformed", f"Chunk {message.n} of {message.of} cannot be.")
    return message


class Topics(NamedTuple):
    """The five topics of an agent."""

    evt: str
    ack: str
    cmd: str
    rsp: str
    state: str


def topics(tenant: str, site: str, agent: str) -> Topics:
    """Where an agent's messages go: `cl/v1/{tenant}/{site}/{agent}/...`."""
    return Topics(*(f"cl/v1/{tenant}/{site}/{agent}/{leaf}" for leaf in Topics._fields))


def agent_of(topic: str) -> str | None:
    """`tenant/site/agent` of one of our topics; None of any other."""
    parts = topic.split("/")
    if len(parts) != 6 or parts[:2] != ["cl", "v1"] or parts[5] not in Topics._fields:
        return None
    return "/".join(parts[2:5])
