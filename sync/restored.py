"""What the cloud tells an agent that was restored from a backup: how far its pools were used.

Each batch says how far its rows took codes of each pool (`envelope.Batch.used`); the cloud adds up
what earlier epochs sent of rows after those of the backup.
"""

from typing import Annotated

import msgspec

from sync.envelope import Name

MOST_POOLS = 1_000

Seal = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
"""What names a pool by its content: the seal under which it was imported."""

Whole = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class Restored(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The agent began `epoch` after row `after`; earlier epochs of it went further and took the
    rows of pools before `used` (by seal). The newest of their rows was written `known_ms`, as far
    as the cloud can tell, and it tells this at `now_ms` (both wall clock, ms). Not `whole`: some of
    these rows do not say what they used."""

    epoch: Name
    after: Whole
    known_ms: Whole
    now_ms: Whole
    used: Annotated[dict[Seal, Whole], msgspec.Meta(max_length=MOST_POOLS)] = {}
    whole: bool = True
