"""What may be done and asked in the warehouses of an agent, as PDAs and pages see it."""

from collections.abc import Sequence
from typing import Any, Protocol

from agent.core.goods import Item, Result, Scope


class Depot(Protocol):
    """The warehouses of one agent. Answers are JSON values; times are ms since 1970 (UTC)."""

    def items(self, scope: Scope, items: Sequence[Item], now_ms: int) -> list[Result]:
        """Carry out items in order, in one transaction; the stored answer of those that were
        carried out before. DomainError `rewind` (nothing was done): the first number is not the
        next one of this device."""

    def upto(self, device: str) -> int:
        """The number of the last item of a device that was carried out, 0 before the first."""

    def documents(self, scope: Scope, status: str = "open") -> list[dict[str, Any]]:
        """Documents of a party, newest first, each as `document` without `last` and `missing`;
        `status` is open, counted, closed, reversed or all."""

    def document(self, scope: Scope, number: str) -> dict[str, Any]:
        """A document: {number, kind, status, party, other, location, to, territory, channel,
        paper, blind, source, reason, condition, by, device, opened_ms, closed_ms, round, scanned
        (units), pieces, expected (units on the ASN), lines [{product, level, quantity, lot, pieces,
        done}], doc (what `rules.judge` needs), devices [{device, units, last_ms}], last [{ref,
        level, product, lot, pieces, by, device, at_ms}], missing [{ref, level, product, lot,
        pieces}] (at most 200)}. DomainError `document_unknown`."""

    def goods(self, scope: Scope, number: str, after: int = 0, most: int = 5000) -> dict[str, Any]:
        """What a PDA needs to judge the scans of a document offline: {goods: [{n, ref, codes,
        parent, claimed (on this document), level, ... as rules.Good}], next (0 = that was all)}.
        `after` is the `next` of the page before."""

    def query(self, scope: Scope, text: str) -> dict[str, Any]:
        """What is known of a code: {known, ref, level, product, lot, expires, pieces, state,
        location, held, parents [{ref, level}], children (number), documents [{number, kind, status,
        at_ms}], verdict words as {word, severity, args} under `verdict` where it may not move}."""

    def stock(
        self, scope: Scope, product: str = "", lot: str = "", location: str = ""
    ) -> list[dict[str, Any]]:
        """Rows {product, lot, location, pieces, units, oldest_ms, expires}; "" = any."""

    def ledger(self, scope: Scope, first_day: str, last_day: str) -> list[dict[str, Any]]:
        """By product, lot and day (ISO, by the site's offset from UTC): {day, product, lot,
        received, shipped, returned_in, returned_out, moved, difference, stock} in pieces; `stock`
        is that at the end of the day. stock = stock of the day before + received - shipped +
        returned_in - returned_out + moved + difference."""

    def exceptions(self, scope: Scope) -> list[dict[str, Any]]:
        """Items that were refused or asked about and that nobody has settled: {device, seq, do,
        document, text, verdict, severity, args, by, at_ms}, oldest first."""

    def locations(self, scope: Scope) -> list[str]:
        """The locations of the party's warehouse that the scope reaches, in the file's order."""

    def products(self) -> list[dict[str, Any]]:
        """{sku, names, gtin, withdrawn} of the site file and the cloud."""

    def parties(self) -> list[dict[str, Any]]:
        """{id, kind, names, territories, channels, withdrawn} of the site file and the cloud."""
