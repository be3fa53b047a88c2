"""Commands in parts: how what a command holds is cut, and how it is put together again.

A small command holds its content as it is, one JSON object in `body`. A large one, and one that is
sealed, comes as parts: each says of how many bytes the whole is and what its SHA-256 is, so parts
may come in any order, twice, and over any number of connections. Pure.
"""

from collections.abc import Collection
from hashlib import sha256
from typing import Annotated, NamedTuple

import msgspec

from agent.ports.cloud import Announced
from sync.envelope import Refused
from sync.messages import Command

PART = 65_536
"""Bytes of content in a part: so many are written in one go."""
MOST_PARTS = 2_048
MOST_BYTES = PART * MOST_PARTS
"""Bytes of content of one command."""
MOST_RANGES = 200
"""Ranges of missing parts that one answer names."""
SEALED = frozenset({"pool"})
"""Kinds whose content is not JSON: sealed to the agent's key."""


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a part: `size` and `sum` (SHA-256, hex) are of the whole content, `data` is this
    part's share of it (base64)."""

    size: Annotated[int, msgspec.Meta(ge=1, le=MOST_BYTES)]
    sum: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
    data: Annotated[bytes, msgspec.Meta(min_length=1, max_length=PART)]


class Piece(NamedTuple):
    """Part `n` of what was announced."""

    what: Announced
    n: int
    data: bytes


_decode = msgspec.json.Decoder(Part).decode


def digest(content: bytes) -> str:
    """The SHA-256 of a content, hex."""
    return sha256(content).hexdigest()


def cut(content: bytes) -> list[bytes]:
    """The shares of a content, in order: one where it may travel as it is."""
    return [content[at : at + PART] for at in range(0, len(content), PART)] or [b""]


def command(id_: str, what: Announced, n: int, data: bytes) -> Command:
    """The message with part `n` of a content."""
    body = data
    if what.parts > 1 or what.kind in SEALED:
        body = msgspec.json.encode(Part(what.size, what.sum, data))
    return Command(id=id_, kind=what.kind, body=msgspec.Raw(body), n=n, of=what.parts)


def piece(given: Command) -> Piece | Refused:
    """What a message brings, or why it is none of ours."""
    if given.of > MOST_PARTS:
        return Refused(
            "oversized",
            f"A command of {given.of} parts, at most {MOST_PARTS} are taken: send less at once.",
        )
    body = bytes(given.body)
    if given.of == 1 and given.kind not in SEALED:
        if len(body) > PART:
            return Refused(
                "oversized",
                f"The command has {len(body)} bytes in one message, at most {PART} are taken: "
                "send it in parts.",
            )
        return Piece(Announced(given.kind, 1, len(body), digest(body)), 0, body)
    try:
        part = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Refused("malformed", f"This is no part of a command: {error}. Send it again.")
    if not given.of <= part.size <= given.of * PART:
        return Refused(
            "malformed", f"{part.size} bytes do not come in {given.of} parts: send it again."
        )
    return Piece(Announced(given.kind, given.of, part.size, part.sum), given.n, part.data)


def missing(parts: int, have: Collection[int]) -> list[tuple[int, int]]:
    """The parts that are not here, as ranges (first, last), at most MOST_RANGES of them."""
    found: list[tuple[int, int]] = []
    for n in range(parts):
        if n in have:
            continue
        if found and found[-1][1] == n - 1:
            found[-1] = (found[-1][0], n)
        elif len(found) == MOST_RANGES:
            break
        else:
            found.append((n, n))
    return found


def wrong(what: Announced, content: bytes) -> Refused | None:
    """Why a content is not what was announced; None if it is."""
    if len(content) == what.size and digest(content) == what.sum:
        return None
    return Refused(
        "checksum_wrong",
        f"What arrived ({len(content)} bytes) is not what was announced ({what.size} bytes): a "
        "part was changed. Nothing was applied; send it again as a new command.",
    )
