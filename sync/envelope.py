"""A batch of the journal on its way to the cloud: its shape, its bytes, and why bytes are refused.

A batch stands for the journal rows `first` to `last` of one agent and one epoch. `docs` are the
EPCIS documents of those rows; a row may have none or several (`n` counts from 0 to `of` - 1). The
bytes are one zstd frame, its content size declared, around one JSON object. The contract is
`config/asyncapi.json`; limits are checked on both sides.
"""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import msgspec
import zstandard

VERSION = 1
"""The version of the shape that this program writes and the newest that it reads."""

ZERO = "0" * 32
"""The chain's hash before the first row of a journal."""

MOST_POOLS = 200
"""Pools that one batch may name."""

MAX_SEQ = (1 << 63) - 1

# (?!\n): in Python `$` also matches before a newline at the end.
Hash = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$(?!\n)")]
"""A hash of the journal's chain: BLAKE2b-128 in lower-case hex."""

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$(?!\n)")]
"""A tenant, a site, an agent, an epoch: what may stand in a topic and in a URI as it is."""

AgentName = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}(/[A-Za-z0-9][A-Za-z0-9._-]{0,63}){2}$(?!\n)"
    ),
]
"""`tenant/site/agent`."""

Seq = Annotated[int, msgspec.Meta(ge=1, le=MAX_SEQ)]
Part = Annotated[int, msgspec.Meta(ge=0, le=100_000)]


LEVEL = 1
"""Of zstd: on batches of cases with random codes 13.3 bytes and 0.2 µs a bottle; level 3 takes 14.7
and 0.3, level 9 13.5 and 2.7, level 19 12.8 and 82 (tests/bench/bench_sync.py)."""


class Limits(NamedTuple):
    """What a payload may cost: bytes as received, bytes unpacked, documents in it."""

    packed: int = 2_500_000
    unpacked: int = 2_000_000
    docs: int = 20_000


LIMITS = Limits()


class Doc(msgspec.Struct, frozen=True, gc=False):
    """One EPCIS document as its own JSON bytes (`msgspec.Raw(bytes)`): it is never encoded twice.

    `seq` is its journal row, `n` its place among the `of` documents of that row, from 0.
    """

    seq: Seq
    n: Part
    of: Annotated[int, msgspec.Meta(ge=1, le=100_000)]
    doc: msgspec.Raw


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Rows `first` to `last` of `agent` in `epoch`. `prev` is the chain's hash at `first` - 1,
    `hash` the one at `last`. `began` is the epoch's first row (0 = not said): the first batch of an
    epoch that a consumer takes must begin there. `used`: how far these rows took codes of pools
    that are printed here, by seal, as the position after the last; None: the sender does not say
    it. After a restore nothing before it may be printed again. `asks`: the agent was restored
    and must be told how far its pools were used (`messages.Ack.restored`)."""

    v: Annotated[int, msgspec.Meta(ge=1, le=VERSION)] = VERSION
    agent: AgentName
    epoch: Name
    first: Seq
    last: Seq
    prev: Hash
    hash: Hash
    docs: list[Doc]
    began: Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQ)] = 0
    used: Annotated[dict[str, int], msgspec.Meta(max_length=MOST_POOLS)] | None = None
    asks: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Why bytes were not taken: `reason` is a stable key, `text` what happened and what to do.

    Keys: oversized, badly_compressed, bomb, malformed, future_version.
    """

    reason: str
    text: str


class _Version(msgspec.Struct):
    v: int = 0


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Batch).decode
_version = msgspec.json.Decoder(_Version).decode


def encode(batch: Batch, level: int = LEVEL) -> bytes:
    """The bytes of a batch. ValueError if it is larger than `LIMITS` allow: cut it before."""
    data = _encode(batch)
    if len(data) > LIMITS.unpacked:
        raise ValueError(f"a batch of {len(data)} bytes: at most {LIMITS.unpacked} may leave")
    return zstandard.ZstdCompressor(level=level, write_checksum=True).compress(data)


def decode(payload: bytes, limits: Limits = LIMITS) -> Batch | Refused:
    """The batch in `payload`, or why it is refused. Never raises, never unpacks past `limits`."""
    data = unpack(payload, limits)
    if isinstance(data, Refused):
        return data
    try:
        data.decode()
        batch = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return newer(data) or Refused("malformed", f"The batch is not what it must be: {error}.")
    return _contradiction(batch, limits) or batch


def unpack(payload: bytes, limits: Limits = LIMITS) -> bytes | Refused:
    """The JSON bytes in a zstd frame, or why they are refused."""
    if len(payload) > limits.packed:
        return Refused(
            "oversized",
            f"The payload has {len(payload)} bytes, at most {limits.packed} are taken: the sender "
            "must cut smaller batches.",
        )
    try:
        size = zstandard.frame_content_size(payload)
        if size > limits.unpacked:
            return Refused(
                "bomb",
                f"{len(payload)} bytes would unpack to {size}, at most {limits.unpacked} are "
                "taken: nothing was unpacked; look for who sends this.",
            )
        if size >= 0:
            unpacker = zstandard.ZstdDecompressor()
            return unpacker.decompress(payload, allow_extra_data=False)
    except zstandard.ZstdError as error:
        return Refused(
            "badly_compressed",
            f"The payload is not one whole zstd frame ({error}): it was damaged, or its sender "
            "does not keep to the contract.",
        )
    return Refused(
        "badly_compressed",
        "The zstd frame does not declare its size: the sender must compress in one piece.",
    )


def newer(data: bytes) -> Refused | None:
    """The refusal of JSON that says of itself to be of a later version; None if it does not."""
    try:
        version = _version(data).v
    except (msgspec.DecodeError, RecursionError):
        return None
    if version <= VERSION:
        return None
    return Refused(
        "future_version",
        f"This is of version {version}, this program reads up to {VERSION}: update it first; the "
        "sender keeps what it sent.",
    )


def _contradiction(batch: Batch, limits: Limits) -> Refused | None:
    """What the types cannot say: a range the right way round, documents of it and in order."""

    def wrong(what: str) -> Refused:
        return Refused("malformed", f"The batch {batch.first} to {batch.last} {what}.")

    if batch.last < batch.first:
        return wrong("ends before it begins")
    if len(batch.docs) > limits.docs:
        return wrong(f"has {len(batch.docs)} documents, at most {limits.docs} are taken")
    before, of = (0, 0), 0
    for doc in batch.docs:
        if not batch.first <= doc.seq <= batch.last:
            return wrong(f"has a document of row {doc.seq}")
        if doc.n >= doc.of or (doc.seq == before[0] and doc.of != of):
            return wrong(f"miscounts the documents of row {doc.seq}")
        if (doc.seq, doc.n) <= before:
            return wrong(f"has documents out of order at row {doc.seq}")
        before, of = (doc.seq, doc.n), doc.of
    return None
