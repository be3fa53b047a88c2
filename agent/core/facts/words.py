"""The words that facts are made of, and the base of all facts."""

from enum import StrEnum
from typing import ClassVar, NamedTuple

from agent.core.values import value


class CodeKey(NamedTuple):
    """Where a code stands: pool, position (row, from 0) and column (index into the pool's roles).

    Written `pool/position` for people; codes that a rule admits get the next position of their
    pool when they are first seen.
    """

    pool: int
    position: int
    column: int


class PairIntegrity(StrEnum):
    """How well it is known that two codes are on one unit."""

    PROVEN = "proven"
    SUPPLIED = "supplied"
    INFERRED = "inferred"
    UNKNOWN = "unknown"


class LinkEvidence(StrEnum):
    """Why a child is believed to be in its parent."""

    READ = "read"
    SCANNED = "scanned"
    PRESET = "preset"
    ORDER = "order"


class OwnCode(StrEnum):
    """Where a container's own code was read, seen from its content."""

    SAME_FRAME = "same_frame"
    CAPTIVE = "captive"
    SINGLE_FILE = "single_file"
    SCANNED = "scanned"
    UNREAD = "unread"


class Integrity(StrEnum):
    """What a container's record is worth."""

    PROVEN = "proven"
    ANCHORED = "anchored"
    INFERRED = "inferred"
    INCOMPLETE = "incomplete"


class Attachment(NamedTuple):
    """One code on a unit, and how well it is known that it is on the same unit as the primary."""

    role: str
    key: CodeKey
    integrity: PairIntegrity


@value(frozen=True, slots=True)
class Fact:
    """Base of all facts; `durable` facts are journal rows."""

    durable: ClassVar[bool] = True
