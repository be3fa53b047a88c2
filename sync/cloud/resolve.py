"""What a person who scans a code may know: product, lot and dates, whether it is the first scan,
and by the person's role to whom it was sent. Never the code of a secret role, nor its place."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, Literal

from agent.core.errors import DomainError
from sync.cloud import answers, cases, parties, pools
from sync.cloud.answers import iso
from sync.cloud.database import Connection
from sync.cloud.fold import WEAKEST
from sync.cloud.gather import Gatherer
from sync.cloud.keys import key
from sync.uris import BASE

Actor = Literal["shopper", "shop", "guide", "salesman"]

SHOWN: dict[str, frozenset[str]] = {
    "shopper": frozenset(),
    "guide": frozenset({"territory", "channel"}),
    "shop": frozenset({"dealer", "territory", "channel"}),
    "salesman": frozenset({"dealer", "territory", "channel", "diverted", "where"}),
}
"""What each learns beyond product, lot, dates and count."""

_FIRM_PAIRS = frozenset({"proven", "supplied"})


class Limits:
    """So many questions at once and then so many a second, for each of many askers. Bounded: who
    has not asked for longest is forgotten."""

    def __init__(self, burst: int, each_seconds: float, most: int = 100_000) -> None:
        self._burst = burst
        self._each_ms = each_seconds * 1000
        self._most = most
        self._full_ms: OrderedDict[Hashable, float] = OrderedDict()
        self._turn = threading.Lock()

    def take(self, who: Hashable, now_ms: int) -> int:
        """0: go on; else the seconds after which to ask again."""
        with self._turn:
            return self._take(who, now_ms)

    def _take(self, who: Hashable, now_ms: int) -> int:
        # When all that was taken will be there again.
        full = max(self._full_ms.pop(who, 0.0), now_ms)
        # A clock that was set back must not lock anybody out.
        full = min(full, now_ms + self._burst * self._each_ms)
        over = full + self._each_ms - now_ms - self._burst * self._each_ms
        self._full_ms[who] = full if over > 0 else full + self._each_ms
        while len(self._full_ms) > self._most:
            self._full_ms.popitem(last=False)
        return 0 if over <= 0 else max(1, round(over / 1000))


class TooMany(DomainError):
    """Asked too often; `seconds` until it may be asked again."""

    def __init__(self, what: str, seconds: int) -> None:
        super().__init__(
            "too_many_requests", f"{what} was asked too often: ask again in {seconds} seconds."
        )
        self.seconds = seconds


def resolve(
    conn: Connection, code: str, actor: Actor, place: str, now_ms: int, base: str = BASE
) -> dict[str, Any]:
    """The answer for one scan; it is counted where the code is known. DomainError: no code reads
    so."""
    uri = pools.named(conn, code, base)
    told = answers.of_uri(conn, uri, base)
    found: dict[str, Any] = {
        "answer": told["answer"],
        "not_known_yet": told["not_known_yet"],
        "reported": _reported(told["reported"], actor),
        "scan": None,
    }
    if told["answer"] == "not_known_yet":
        return found
    found |= {
        name: told.get(name)
        for name in ("product", "lot", "produced", "expires", "level", "state", "held")
    }
    found["doubtful"] = told["doubtful"]
    found["weakest"] = _weakest(told, uri)
    with conn.reading():
        judged = cases.way_of(Gatherer(conn), key(uri), parties.belonging(conn))
    sent, shown = judged.sent, SHOWN[actor]
    if "dealer" in shown:
        found["dealer"] = sent.party if sent else None
        found["dealer_names"] = parties.names(conn, sent.party) if sent else {}
    for name in ("territory", "channel"):
        if name in shown:
            found[name] = getattr(sent, name) or None if sent else None
    if shown and sent is None:
        found["not_known_yet"] = [*found["not_known_yet"], "dispatch"]
    if "diverted" in shown:
        found["diverted"] = [
            {"why": each.why, "party": each.seen.party or None, "closed_by": each.closed or None}
            for each in judged.findings
        ]
    if "where" in shown:
        found["where"] = told["where"]
    found["scan"] = count(conn, key(uri), actor, place, now_ms)
    return found


def _reported(agents: list[dict[str, Any]], actor: Actor) -> Any:
    """How far the agents concerned have told; who they are only a salesman learns."""
    if actor == "salesman":
        names = ("agent", "upto", "newest_event", "dead_letters")
        return [{name: each[name] for name in names} for each in agents]
    times = [each["newest_event"] for each in agents]
    upto = min(times) if times and None not in times else None
    return {"agents": len(agents), "newest_event": upto}


def _weakest(told: dict[str, Any], uri: str) -> str | None:
    """The weakest of the chain, the link between the scanned code and its unit included."""
    weakest: str | None = told["weakest"]
    pair = next((each["pair"] for each in told["codes"] if each["code"] == uri), "proven")
    if weakest is None or pair in _FIRM_PAIRS:
        return weakest
    return max(weakest, "inferred", key=WEAKEST.index)


def count(conn: Connection, code: bytes, actor: str, place: str, now_ms: int) -> dict[str, Any]:
    """Count a scan durably; which one it is for this kind of person, and when the first was."""
    with conn.writing():
        row = conn.one(
            "INSERT INTO scan VALUES (?, ?, 1, ?, ?, ?) ON CONFLICT (key, actor) DO UPDATE SET "
            "times = scan.times + 1, last_ms = excluded.last_ms, place = excluded.place "
            "RETURNING times, first_ms",
            (code, actor, now_ms, now_ms, place[:200]),
        )
    assert row is not None
    return {"n": int(row[0]), "first": int(row[0]) == 1, "since": iso(int(row[1]))}
