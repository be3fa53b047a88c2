"""Small numbers for the words of the tables, and code keys as one integer.

A released number never changes its meaning: append only.
"""

from agent.core.facts import CodeKey, Integrity, LinkEvidence, OwnCode, PairIntegrity
from agent.core.life import CodeState, UnitState

CODE_STATES = (
    CodeState.ISSUED,
    CodeState.ALLOCATED,
    CodeState.SENDING,
    CodeState.ACCEPTED,
    CodeState.PRINTED,
    CodeState.SUSPECT,
    CodeState.ATTACHED,
    CodeState.VOID,
)
UNIT_STATES = (
    UnitState.COMMISSIONED,
    UnitState.VERIFIED,
    UnitState.PACKED,
    UnitState.UNPACKED,
    UnitState.SHIPPED,
    UnitState.RECEIVED,
    UnitState.REJECTED,
    UnitState.SAMPLED,
    UnitState.DESTROYED,
)
PAIRS = (
    PairIntegrity.PROVEN,
    PairIntegrity.SUPPLIED,
    PairIntegrity.INFERRED,
    PairIntegrity.UNKNOWN,
)
EVIDENCE = (LinkEvidence.READ, LinkEvidence.SCANNED, LinkEvidence.PRESET, LinkEvidence.ORDER)
OWN = (
    OwnCode.SAME_FRAME,
    OwnCode.CAPTIVE,
    OwnCode.SINGLE_FILE,
    OwnCode.SCANNED,
    OwnCode.UNREAD,
)
INTEGRITY = (  # strongest first: the weakest of a chain is the greatest number
    Integrity.PROVEN,
    Integrity.ANCHORED,
    Integrity.INFERRED,
    Integrity.INCOMPLETE,
)

CODE_NUMBER = {word: number for number, word in enumerate(CODE_STATES)}
UNIT_NUMBER = {word: number for number, word in enumerate(UNIT_STATES)}
PAIR_NUMBER = {word: number for number, word in enumerate(PAIRS)}
OWN_NUMBER = {word: number for number, word in enumerate(OWN)}
INTEGRITY_NUMBER = {word: number for number, word in enumerate(INTEGRITY)}

DOUBTFUL = 1
HELD = 2
BROKEN = 4
"""A child of this container was seen elsewhere; it is doubtful with it."""

MAX_COLUMNS = 32
MAX_POSITION = 1 << 36
MAX_POOL = 1 << 22
STEP = MAX_COLUMNS
"""Distance of two neighbouring positions of one column, as ids."""


POOL_SHIFT = 41
"""A code's id, shifted so far, is its pool."""


def code_id(key: CodeKey) -> int:
    """A code key as one integer that sorts by pool, position, column."""
    return key.pool << 41 | key.position << 5 | key.column


def code_key(number: int) -> CodeKey:
    return CodeKey(number >> 41, (number >> 5) & (MAX_POSITION - 1), number & (MAX_COLUMNS - 1))


def pool_range(pool: int) -> tuple[int, int]:
    """First and last id of a pool."""
    return pool << 41, (pool + 1 << 41) - 1
