"""What the cloud knows of an agent beyond the backup from which it was restored.

Every batch says how far its rows took codes of each pool (`Batch.used`). From what the earlier
epochs of an agent sent after the row where the new one begins follows how far each pool was used,
so the agent can void that and print the rest.
"""

from sync.cloud.database import Connection
from sync.envelope import Refused, decode
from sync.restored import MOST_POOLS, Restored


def restored(conn: Connection, agent: str, epoch: str, now_ms: int) -> Restored | None:
    """What an agent that began `epoch` must be told; None while nothing of it has arrived, or if it
    is the agent's first."""
    streams = conn.rows(
        "SELECT w.id, w.epoch, w.first, w.event_ms, w.heard_ms FROM watermark w "
        "JOIN agent a ON a.id = w.agent WHERE a.name = ? ORDER BY w.id",
        (agent,),
    )
    begun = next((row for row in streams if row[1] == epoch), None)
    earlier = [] if begun is None else [row for row in streams if row[0] < begun[0]]
    if begun is None or not earlier:
        return None
    after = int(begun[2]) - 1
    used: dict[str, int] = {}
    whole = True
    for stream, *_ in earlier:
        last = after
        while row := conn.one(
            "SELECT last, payload FROM batch WHERE stream = ? AND last > ? ORDER BY last LIMIT 1",
            (stream, last),
        ):
            last = int(row[0])
            batch = decode(bytes(row[1]))
            if isinstance(batch, Refused) or batch.used is None:
                whole = False  # an agent of an older version does not say
                continue
            for pool, upto in batch.used.items():
                used[pool] = max(used.get(pool, 0), upto)
    # A row was written when it says, but not after it arrived.
    known = max(min(row[3] or row[4], row[4]) for row in earlier)
    whole = whole and len(used) <= MOST_POOLS
    return Restored(
        epoch=epoch,
        after=after,
        known_ms=known,
        now_ms=now_ms,
        used=used if whole else {},
        whole=whole,
    )


def waiting(conn: Connection) -> list[tuple[str, str]]:
    """Agents that began a new epoch after an earlier one, each with its newest: they wait to be
    told, or were."""
    rows = conn.rows(
        "SELECT a.name, w.epoch FROM watermark w JOIN agent a ON a.id = w.agent "
        "WHERE w.cut IS NULL AND EXISTS (SELECT 1 FROM watermark o WHERE o.agent = w.agent "
        "AND o.id < w.id) ORDER BY a.name"
    )
    return [(str(name), str(epoch)) for name, epoch in rows]
