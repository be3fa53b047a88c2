"""What the warehouse knows and asks: who asks, items of a PDA or the panel, and their answers.

An item is everything that must survive being offline: it is numbered by its device without gaps,
and the answer to a number stays the same however often it is asked.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from agent.core.rules import WORDS, Severity

Do = Literal[
    "open",
    "scan",
    "close",
    "hand_over",
    "unpack",
    "pack",
    "count_done",
    "accept_all",
    "reverse",
    "settle",
    "stopped",
]

DEEDS: dict[str, Severity] = {
    "opened": "ok",
    "posted": "ok",
    "handed_over": "ok",
    "unpacked": "ok",
    "packed": "ok",
    "reversed": "ok",
    "settled": "ok",
    "noted": "ok",
    "counted": "ok",
    "count_again": "ask",
    "difference": "ask",
    "samples_missing": "ask",
    "exists": "again",
    "refused": "stop",
    "no_document": "stop",
    "other_item": "stop",
}
"""Words that items other than scans are answered with (scans: `rules.WORDS`; `no_document`: any):

- `counted`: the stock-take waits for a supervisor; `count_again`: it differs from the record, count
  a second time; `difference`: close again with `answer` "difference" (and a reason) to acknowledge
  it; `samples_missing`: scan args.left more units before the whole ASN can be accepted;
- `noted`: a scan that the device stopped by itself is none that we would stop; nothing was done;
- `exists`: the document is there already, with another content; `refused`: args.reason is a key,
  args.text says in English what to do; `no_document`: there is none of that number here;
- `other_item`: another item has this number of the device: it was not carried out.
"""

ALL_WORDS: dict[str, Severity] = {**WORDS, **DEEDS}

SUPERVISE = "supervise"
"""The operation of those who post a stock-take and reverse a posted document."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Who asks: for a party, at these locations (empty = all of it), with these operations."""

    party: str
    locations: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    user: str = ""
    device: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One item as a client made it. `seq` 0: the server numbers it (panel, command line). `at_ms`
    is the time of the scan by our clock, `device_ms` by the device's. `remove` goes with scan.

    `body` by `do`: open {kind, location, other, to, territory, channel, lines [{product, level,
    quantity, lot}], paper, blind}; scan {product, lot, level, pieces, expires} of a unit that is
    not known; close {end: true = an ASN with missing units is over}; hand_over {device}; unpack
    {all: true = everything that it holds}; pack {children: [codes], level}; settle {device, seq}.
    `stopped` is a scan that the device stopped by its own copy of the rules.
    """

    seq: int
    do: str
    document: str = ""
    text: str = ""
    remove: bool = False
    answer: str = ""
    reason: str = ""
    condition: str = ""
    body: dict[str, Any] = field(default_factory=dict)
    at_ms: int = 0
    device_ms: int = 0
    by: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What an item was answered with; `replayed`: it was carried out before."""

    seq: int
    verdict: str
    severity: Severity
    args: dict[str, Any]
    replayed: bool = False
