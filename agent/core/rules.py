"""What the scan of a unit is answered with: a pure function, twin of `agent/web/pda/rules.js`.

`judge` sees plain data only, so that a PDA without a network gives the same verdict as the agent;
`rulecases` is the table on which both are compared. Order of precedence, first match wins:

1. `not_allowed` (the person or device may not do this), `not_a_code`, `closed` (the document is not
   open);
2. taking back: `removed`, `inside_scanned` (what holds it was scanned: take that back), otherwise
   `not_on_document`;
3. what this document has already: `duplicate`, `inside_scanned`, `around_scanned` (ask: it replaces
   what was scanned of its content, or was a slip of the hand);
4. a text that names nothing known here: taken in by a blind receipt (or shipped without an order)
   where the product is named, otherwise `not_expected` (ask) for what comes in, is returned or is
   found in a count, and `unknown` for everything else; what is in another party's record is
   `not_for_party` where it comes in, otherwise `unknown`;
5. what may never move: `void`, `destroyed`, `sampled`, `rejected`, `empty`, `unfinished` (still
   being packed);
6. `claimed` by another open document (a count passes over it);
7. a count takes whatever is on the shelf;
8. by operation: received or back already (`duplicate`), `shipped_already`, `not_for_party`,
   `not_here`, `broken`, `held`;
9. against the document: `not_expected` (ask) where it is not on the ASN; `wrong_product`,
   `wrong_lot`, `over_quantity` by its lines (too much of what comes in is `not_expected`);
10. `older_first` (block) or `accepted_older` (warn), `accepted_implicit`, `accepted`.

An ask is answered by the same scan again with an `answer` that holds the word of the question
(two words with a space between them where two were asked): that question is passed over. What was
not known at all needs its product named too.
"""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["ok", "warn", "again", "ask", "stop"]
Operation = Literal["receive", "ship", "return_in", "return_out", "transfer", "count"]

OPERATIONS: tuple[Operation, ...] = (
    "receive",
    "ship",
    "return_in",
    "return_out",
    "transfer",
    "count",
)

WORDS: dict[str, Severity] = {
    "accepted": "ok",
    "accepted_implicit": "ok",
    "accepted_older": "warn",
    "removed": "ok",
    "not_on_document": "again",
    "duplicate": "again",
    "inside_scanned": "again",
    "around_scanned": "ask",
    "not_expected": "ask",
    "unknown": "stop",
    "not_a_code": "stop",
    "void": "stop",
    "destroyed": "stop",
    "sampled": "stop",
    "rejected": "stop",
    "empty": "stop",
    "unfinished": "stop",
    "broken": "stop",
    "shipped_already": "stop",
    "not_here": "stop",
    "claimed": "stop",
    "wrong_product": "stop",
    "wrong_lot": "stop",
    "over_quantity": "stop",
    "not_for_party": "stop",
    "older_first": "stop",
    "held": "stop",
    "closed": "stop",
    "not_allowed": "stop",
}
"""Every word of a scan and how it looks: a scan counts if it is `ok` or `warn`."""

FINAL = ("void", "destroyed", "sampled", "rejected", "empty", "unfinished")
"""States of a unit that are words too."""

INWARD = ("receive", "return_in")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the document: pieces wanted and done; `lot` "" = any."""

    product: str
    lot: str
    pieces: int
    done: int = 0


@dataclass(frozen=True, slots=True)
class Doc:
    """What a verdict needs of the document. `free`: nothing says what must be scanned. `asn`: its
    content is told. `party` is whose it is; `territories` are where the goods may be sold by the
    party that they go to, `channel` how ("" and empty = not said); `fifo` is off, warn or block."""

    status: str = "open"
    free: bool = True
    asn: bool = False
    blind: bool = False
    party: str = ""
    other: str = ""
    location: str = ""
    territories: tuple[str, ...] = ()
    channel: str = ""
    fifo: str = "off"
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class Good:
    """What a verdict needs of the unit.

    `state`: expected, made, stock, in_transit, lost, a word of FINAL, or `elsewhere`: it is in
    another party's record, and nothing else is told. `mine`: the record of this party has it (in
    its stock, or it shipped it). `location` is where it is in stock.
    `expected`: it is on this document's ASN. `sent_to` is the party that it was sent to ("" = not
    known), `to` the one that this party shipped it to, `when` then (ms). `claimed` is the other
    open document that has it, `older` a lot of the same product that is older and still here.
    `territory` and `channel` are those it was sent for. `mixed` lists (product, lot, pieces) where
    it holds more than one kind; then `product`, `lot` and `pieces` are of the first and of all.
    """

    level: str = ""
    product: str = ""
    lot: str = ""
    pieces: int = 1
    state: str = "stock"
    mine: bool = True
    location: str = ""
    held: bool = False
    doubtful: bool = False
    broken: bool = False
    integrity: str = ""
    expected: bool = False
    sent_to: str = ""
    to: str = ""
    when: int = 0
    claimed: str = ""
    older: str = ""
    territory: str = ""
    channel: str = ""
    mixed: tuple[tuple[str, str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that a verdict depends on. `code`: the text can be a code. `seen` is what of it is
    on the document: itself (`same`), what holds it (`inside`), what it holds (`around`), or
    nothing. `named`: the code or the person says which product it is. `answer` is given to an ask.
    """

    op: str
    doc: Doc
    good: Good | None
    operations: tuple[str, ...] = OPERATIONS
    remove: bool = False
    code: bool = True
    seen: str = ""
    named: bool = False
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A word of WORDS and what its text needs: document, to, when, location, lot, product, left
    (pieces that the document still wants)."""

    word: str
    severity: Severity
    args: dict[str, str | int]


def judge(case: Case) -> Verdict:
    """The answer to a scan; see the module's docstring for the order of the rules."""
    word, args = _judge(case)
    return Verdict(word, WORDS[word], args)


_Answer = tuple[str, dict[str, str | int]]


def _judge(case: Case) -> _Answer:
    if case.op not in case.operations:
        return "not_allowed", {"op": case.op}
    if not case.code:
        return "not_a_code", {}
    if case.doc.status != "open":
        return "closed", {"status": case.doc.status}
    if case.remove:
        return {"same": "removed", "inside": "inside_scanned"}.get(case.seen, "not_on_document"), {}
    if case.seen == "same":
        return "duplicate", {}
    if case.seen == "inside":
        return "inside_scanned", {}
    if case.seen == "around" and "around_scanned" not in case.answer.split():
        return "around_scanned", {}
    if case.good is None:
        return _nothing_known(case), {}
    if case.good.state == "elsewhere":
        inward = case.op in INWARD or case.op == "count"
        return ("not_for_party" if inward else "unknown"), {}
    if case.good.state in FINAL:
        return case.good.state, {}
    if case.op == "count":
        return "accepted", {}
    if case.good.claimed:
        return "claimed", {"document": case.good.claimed}
    if case.op == "receive":
        return _receive(case, case.good)
    if case.op == "return_in":
        return _return_in(case, case.good)
    return _outward(case, case.good)


def _expected(case: Case) -> bool:
    """A person has said why it comes all the same."""
    return "not_expected" in case.answer.split()


def _nothing_known(case: Case) -> str:
    if case.op == "receive" and case.doc.blind and case.named:
        return "accepted"
    if case.op in INWARD or case.op == "count":
        return "accepted" if case.named and _expected(case) else "not_expected"
    if case.op == "ship" and case.doc.free and case.named:
        return "accepted_implicit"
    return "unknown"


def _receive(case: Case, good: Good) -> _Answer:
    doc = case.doc
    if good.state == "in_transit" and good.mine and not good.expected:
        return "shipped_already", {"to": good.to, "when": good.when}
    if good.state == "stock":
        return "duplicate", {"location": good.location}
    if good.sent_to and good.sent_to != doc.party:
        return "not_for_party", {"to": good.sent_to}
    if doc.asn and not good.expected and not _expected(case):
        return "not_expected", {}
    wrong = None if doc.asn else _against_lines(doc, good)
    if wrong is None or (wrong[0] == "over_quantity" and _expected(case)):
        return "accepted", {}
    return ("not_expected", wrong[1]) if wrong[0] == "over_quantity" else wrong


def _return_in(case: Case, good: Good) -> _Answer:
    if good.state == "stock":
        return "duplicate", {"location": good.location}
    wrong = _against_lines(case.doc, good)
    if wrong is not None:
        return wrong
    known = good.state in ("in_transit", "expected")
    return ("accepted" if known else "accepted_implicit"), {}


def _outward(case: Case, good: Good) -> _Answer:
    doc = case.doc
    if good.state == "in_transit" and good.mine:
        return "shipped_already", {"to": good.to, "when": good.when}
    if good.state == "stock" and doc.location and good.location != doc.location:
        return "not_here", {"location": good.location}
    if good.broken:
        return "broken", {}
    if good.held and case.op == "ship":
        return "held", {}
    if case.op == "ship":
        if good.state != "stock" and good.sent_to and good.sent_to != doc.party:
            return "not_for_party", {"to": good.sent_to}
        if good.territory and doc.territories and good.territory not in doc.territories:
            return "not_for_party", {"territory": good.territory}
        if good.channel and doc.channel and good.channel != doc.channel:
            return "not_for_party", {"channel": good.channel}
    wrong = _against_lines(doc, good)
    if wrong is not None:
        return wrong
    if case.op == "ship" and good.older and doc.fifo == "block":
        return "older_first", {"lot": good.older}
    if case.op == "ship" and good.older and doc.fifo == "warn":
        return "accepted_older", {"lot": good.older}
    return ("accepted" if good.state == "stock" else "accepted_implicit"), {}


def _against_lines(doc: Doc, good: Good) -> _Answer | None:
    """What the lines of the document say against the unit; None: nothing."""
    if not doc.lines:
        return None
    content = good.mixed or ((good.product, good.lot, good.pieces),)
    for product, lot, pieces in content:
        named = [line for line in doc.lines if line.product == product]
        if not named:
            return "wrong_product", {"product": product}
        fitting = [line for line in named if line.lot in ("", lot)]
        if not fitting:
            return "wrong_lot", {"lot": lot, "wanted": named[0].lot}
        left = sum(max(0, line.pieces - line.done) for line in fitting)
        if pieces > left:
            return "over_quantity", {"product": product, "left": left, "pieces": pieces}
    return None
