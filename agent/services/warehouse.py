"""What people and PDAs do in a warehouse: items in order, each decided, kept and answered.

Everything is called in threads; each caller brings the scope within which it sees and does things.
Questions are answered by `warehouse_views`, of which `Warehouse` is one.
"""

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from agent.clockwatch import clock
from agent.core import facts as f
from agent.core import inputs as i
from agent.core import posting
from agent.core import warehouse as core
from agent.core.codes import Refused, canonical
from agent.core.errors import DomainError
from agent.core.goods import ALL_WORDS, SUPERVISE, Item, Result, Scope
from agent.core.known import Clock
from agent.core.rules import OPERATIONS
from agent.now import wall_ms
from agent.sections import Site, WarehouseSection
from agent.services.warehouse_documents import drafted, pieces_of, products_of
from agent.services.warehouse_sums import Connects
from agent.services.warehouse_views import Views
from agent.store import documents, goods
from agent.store.database import Connection
from agent.store.documents import Document
from agent.store.follow import day_of
from agent.store.gate import AGENT, Gate
from agent.store.record import record
from agent.store.standing import Standing, is_code, own_text
from agent.store.turns import Turn
from agent.store.writer import Writer

log = logging.getLogger(__name__)

MOST_ITEMS = 200
LONG = frozenset({"close", "accept_all", "count_done", "reverse"})
"""What takes some 0.1 ms for each unit of a document."""
MOST_TEXT = 2_000
"""Characters of a scanned text that are looked at; of one that is no code, 64 are kept."""
PANEL = "panel"
"""The device of those who have none."""
BY_NOBODY = "agent"


class Warehouse(Views):
    """The warehouses of one agent: see `warehouse_views.Views` for what may be asked."""

    def __init__(self, site: Site, readers: Connects, writer: Writer, gate: Gate) -> None:
        super().__init__(site, readers)
        self._writer = writer
        self._gate = gate

    # -------------------------------------------------------------------------------- items

    def items(self, scope: Scope, items: Sequence[Item], now_ms: int) -> list[Result]:
        """Carry out items in order, in one transaction; the stored answer of those that were
        carried out before. DomainError `rewind` (nothing was done): the first number is not the
        next one of this device. TransientError: the store did not answer."""
        if len(items) > MOST_ITEMS:
            raise DomainError("too_many", f"At most {MOST_ITEMS} items at once: split them.")
        return self._writer.wait(
            lambda conn: self.carry_out(conn, scope, items, now_ms), turn=turn_of(items)
        )

    def upto(self, device: str) -> int:
        """The number of the last item of a device that was carried out, 0 before the first."""
        with self._readers.connection() as conn:
            return documents.upto(conn, device)

    def carry_out(
        self, conn: Connection, scope: Scope, items: Sequence[Item], now_ms: int
    ) -> list[Result]:
        """`items`, as a job of the writer."""
        section = self.section(scope)
        device = scope.device or PANEL
        last = documents.upto(conn, device)
        numbered: list[Item] = []
        for item in items:
            at = replace(item, seq=last + 1) if item.seq == 0 else item
            if at.seq < 1 or at.seq > last + 1:
                raise DomainError(
                    "rewind",
                    f"Item {at.seq} of device {device} does not follow item {last}: send again "
                    f"from {last + 1}.",
                )
            last = max(last, at.seq)
            numbered.append(at)
        now = clock()
        return [self._one(conn, section, scope, device, item, now_ms, now) for item in numbered]

    def _one(
        self,
        conn: Connection,
        section: WarehouseSection,
        scope: Scope,
        device: str,
        item: Item,
        now_ms: int,
        now: Clock,
    ) -> Result:
        before = documents.done(conn, device, item.seq)
        if before is not None:
            if before.item != item.id[:64]:
                return Result(item.seq, "other_item", ALL_WORDS["other_item"], {}, replayed=True)
            args = json.loads(before.args) if before.args else {}
            severity = ALL_WORDS.get(before.verdict, "stop")
            return Result(item.seq, before.verdict, severity, args, replayed=True)
        if not item.at_ms:
            item = replace(item, at_ms=now_ms)
        opening = False
        conn.change("SAVEPOINT item")
        try:
            decision = self._decide(conn, section, scope, device, item)
            opening = bool(decision.opens)
            self._open_own(conn, decision, item, now)
            done = self._done(scope, device, item, decision)
            record(conn, "", (*decision.facts, done), now)
        except DomainError as error:
            conn.execute("ROLLBACK TO item")
            conn.forget()
            if opening:
                self._gate.forget()
            told = {"reason": error.reason, "text": str(error)[:MOST_TEXT]}
            word = error.reason if error.reason in ("no_document", "not_allowed") else "refused"
            decision = core.Decision(word, {} if word != "refused" else told)
            done = self._done(scope, device, item, decision)
            record(conn, "", (done,), now)
        except BaseException:
            if opening:
                self._gate.forget()
            raise
        conn.change("RELEASE item")
        return Result(
            item.seq, decision.word, ALL_WORDS[decision.word], json.loads(done.args or "{}")
        )

    def _done(self, scope: Scope, device: str, item: Item, decision: core.Decision) -> f.ItemDone:
        do = "remove" if item.do == "scan" and item.remove else item.do
        code = decision.code
        if decision.word == "not_a_code":
            code = ""
        body = dict(decision.body)
        if item.do == "settle":
            body = {"device": item.body.get("device"), "seq": item.body.get("seq")}
        return f.ItemDone(
            device,
            item.seq,
            scope.party,
            do[:32],
            item.document[:64],
            decision.ref,
            code,
            decision.word,
            (item.by or scope.user)[:64],
            item.at_ms,
            item.device_ms,
            json.dumps(body, ensure_ascii=False) if body else "",
            json.dumps(decision.args, ensure_ascii=False) if decision.args else "",
            item.id[:64],
            item.reason[:200],
            item.condition[:16],
        )

    def _open_own(self, conn: Connection, decision: core.Decision, item: Item, now: Clock) -> None:
        """Units of ours leave what holds them, in the way that lines know of."""
        leaving: dict[str, list[str]] = {}
        for parent, child in decision.opens:
            leaving.setdefault(parent, []).append(child)
        inputs: list[i.Input] = []
        for parent, children in leaving.items():
            texts = [own_text(conn, goods.own_unit(ref) or 0) for ref in (parent, *children)]
            if any(text is None for text in texts):
                raise DomainError(
                    "no_label", "The container around this unit has no code: unpack it at a panel."
                )
            box, *inner = [text for text in texts if text is not None]
            reason, by = item.reason or "moved_alone", item.by or BY_NOBODY
            inputs.append(i.Unpack(text=box, children=tuple(inner), reason=reason, by=by))
        if inputs:
            self._gate.decide(conn, AGENT, [(each, now) for each in inputs])

    # ------------------------------------------------------------------------------ deciding

    def _decide(
        self, conn: Connection, section: WarehouseSection, scope: Scope, device: str, item: Item
    ) -> core.Decision:
        by = item.by or scope.user or BY_NOBODY
        if item.do == "open":
            return self._open(conn, section, scope, device, item, by)
        if item.do == "settle":
            return self._settle(conn, scope, item)
        document = documents.find(conn, scope.party, item.document) if item.document else None
        if document is not None and not self.within(scope, document):
            document = None
        known = self._known(conn, section, scope, document, item)
        match item.do:
            case "scan":
                return core.scan(item, known)
            case "stopped":
                return core.stopped(item, known)
            case "close":
                return posting.close(item, known, by)
            case "accept_all":
                return posting.accept_all(item, known, by)
            case "count_done":
                return posting.count_done(item, known, by)
            case "hand_over":
                return core.handed_over(item, known, by)
            case "unpack":
                return core.unpack(item, known, by)
            case "pack":
                return core.pack(item, known, self._children(conn, section, scope, item), by)
            case "reverse":
                if document is not None:
                    ref = documents.moved_since(conn, document.id)
                    if ref and document.status == "closed":
                        raise DomainError(
                            "moved_since",
                            f"{ref} has moved since document {document.number} posted it: reverse "
                            "the later document first.",
                        )
                return core.reverse(item, known, by)
        raise DomainError("kind_unknown", f"Nobody knows how to {item.do[:32]}: update the app.")

    def _known(
        self,
        conn: Connection,
        section: WarehouseSection,
        scope: Scope,
        document: Document | None,
        item: Item,
    ) -> core.Known:
        standing = self.standing(conn, section, document)
        place = next(iter(scope.locations), section.locations[0])
        known = core.Known(
            scope.party,
            scope.operations,
            item.at_ms,
            day_of(clock().wall_ms, self.site.offset_ms),
            str(item.body.get("location") or place),
            None if document is None else self.known_document(conn, section, document),
            unit=standing.ref,
            children=standing.children,
            samples=section.samples,
        )
        if item.do in ("scan", "stopped", "unpack", "pack"):
            return self._scanned(conn, standing, known, item)
        if document is None or item.do not in ("close", "accept_all", "count_done"):
            return known
        return self.closing(conn, standing, known, document)

    def _scanned(
        self, conn: Connection, standing: Standing, known: core.Known, item: Item
    ) -> core.Known:
        text = is_code(item.text) if len(item.text) <= MOST_TEXT else None
        if text is None:
            return replace(known, code=False)
        unit = standing.text(text)
        if unit is None:
            return replace(known, told=self._says(conn, item))
        seen, inside = standing.seen(unit)
        if unit.good.state == "elsewhere":
            # Another party's: nothing but the text is told, whatever other codes the unit has.
            unit = replace(unit, code=standing.shown(text))
        return replace(known, scanned=unit, seen=seen, inside=inside)

    def _says(self, conn: Connection, item: Item) -> f.Told | None:
        """What an unknown code says of its unit, and the person who scanned it; None where nobody
        names its product."""
        try:
            code = canonical(item.text)
        except Refused:
            return None
        said = item.body
        found = products_of(conn, self.site)
        product = str(said.get("product") or "")
        if not product and code.gtin:
            gtin = code.gtin.lstrip("0")
            product = next((p["sku"] for p in found if p["gtin"].lstrip("0") == gtin), "")
        if not any(each["sku"] == product for each in found):
            return None
        level = str(said.get("level") or "")[:64]
        pieces = said.get("pieces")
        if not isinstance(pieces, int) or not 1 <= pieces <= 1_000_000:
            pieces = pieces_of(conn, self.site, product, level) if level else 1
        lot = str(said.get("lot") or code.lot)[:64]
        expires = str(said.get("expires") or "")[:10]
        return f.Told(code.text, level, product, lot, expires, 0, "", pieces or 1, "")

    def _children(
        self, conn: Connection, section: WarehouseSection, scope: Scope, item: Item
    ) -> tuple[core.KnownGoods | None, ...]:
        """The units that are to be put into another."""
        standing = self.standing(conn, section, None)
        told = item.body.get("children")
        texts = told if isinstance(told, list) else []
        codes = [is_code(text) if isinstance(text, str) else None for text in texts]
        return tuple(None if code is None else standing.text(code) for code in codes)

    def difference(self, scope: Scope, number: str) -> dict[str, list[dict[str, Any]]]:
        """What a stock-take that waits for a supervisor would post: {found, lost}, each {ref,
        product, lot, pieces, location (where the record has it)}. Nothing while it is counted: a
        count is blind. DomainError `document_unknown`."""
        with self._readers.connection() as conn:
            document = self._document(conn, scope, number)
            if document.kind != "count" or document.status != "counted":
                return {"found": [], "lost": []}
            item = Item(0, "count_done", number, at_ms=wall_ms())
            known = self._known(conn, self.section(scope), scope, document, item)
        may = replace(known, operations=(*known.operations, SUPERVISE))
        posted = posting.post_count(replace(item, answer="difference"), may, "").facts[-1]
        assert isinstance(posted, f.CountPosted)
        return {"found": _listed(posted.found), "lost": _listed(posted.lost)}

    # ---------------------------------------------------------------------- documents, exceptions

    def _open(
        self,
        conn: Connection,
        section: WarehouseSection,
        scope: Scope,
        device: str,
        item: Item,
        by: str,
    ) -> core.Decision:
        number = item.document or f"{device}-{item.seq}"
        fact = drafted(conn, self.site, section, scope, number, item, by)
        document = documents.find(conn, scope.party, number)
        known = core.Known(
            scope.party,
            scope.operations,
            item.at_ms,
            "",
            "",
            None if document is None else self.known_document(conn, section, document),
        )
        return core.opened(fact, known)

    def _settle(self, conn: Connection, scope: Scope, item: Item) -> core.Decision:
        device, seq = item.body.get("device"), item.body.get("seq")
        if not isinstance(device, str) or not isinstance(seq, int):
            raise DomainError("item_wrong", "Say which item is settled: its device and number.")
        return core.Decision("settled", {"device": device[:64], "seq": seq})

    def open_document(self, fact: f.DocumentOpened, told: Iterable[f.GoodsTold] = ()) -> None:
        """Write a document that was read from a file, with its content. DomainError
        `document_exists`."""

        def job(conn: Connection) -> None:
            if documents.find(conn, fact.party, fact.number) is not None:
                raise DomainError(
                    "document_exists", f"There is a document {fact.number} already: choose another."
                )
            record(conn, "", (fact, *told), clock())

        self._writer.wait(job)

    def supervise(self, party: str, item: Item) -> dict[str, Any]:
        """Carry out an item of somebody at this machine, who may do everything; `party` "" is the
        only one there is. DomainError: it was refused."""
        scope = self.at_the_machine(party)
        return _told(self.items(scope, [item], wall_ms())[0])

    def supervise_here(self, conn: Connection, party: str, item: Item) -> dict[str, Any]:
        """`supervise`, as a job of the writer."""
        scope = self.at_the_machine(party)
        return _told(self.carry_out(conn, scope, [item], wall_ms())[0])

    # ------------------------------------------------------------------------ nobody scanned it

    def accept_unscanned(self, now_ms: int) -> int:
        """Receipts whose content is told and that waited too long count as received; how many."""
        done = 0
        for section in self.site.warehouse:
            if not section.unscanned_days:
                continue
            before = now_ms - section.unscanned_days * 86_400_000
            with self._readers.connection() as conn:
                numbers = [
                    each.number
                    for each in documents.waiting(conn, before)
                    if each.party == section.party and documents.told(conn, each.id)
                ]
            for number in numbers:
                late = partial(self._late, section=section, number=number, now_ms=now_ms)
                done += self._writer.wait(late)
        return done

    def _late(
        self, conn: Connection, *, section: WarehouseSection, number: str, now_ms: int
    ) -> int:
        document = documents.find(conn, section.party, number)
        if document is None or document.status != "open":
            return 0
        scope = Scope(section.party, (), (*OPERATIONS, SUPERVISE))
        item = Item(0, "accept_all", number, at_ms=now_ms)
        known = self._known(conn, section, scope, document, item)
        try:
            decision = posting.unscanned(known)
        except DomainError as error:
            log.warning(
                "Receipt %s of %s waited too long, but a person must close it: %s",
                number,
                section.party,
                error,
            )
            return 0
        now = clock()
        self._open_own(conn, decision, item, now)
        record(conn, "", decision.facts, now)
        return 1


def turn_of(items: Sequence[Item]) -> Turn:
    """How items take their place: with a line's reports, but for what goes through a document
    unit by unit (thousands of them, it may be)."""
    return Turn.ANY if any(item.do in LONG for item in items) else Turn.SHORT


_WHY = {
    "no_document": "There is no open document of this number: see `caselink document list`.",
    "closed": "The document is closed already: a posted one is only reversed.",
    "not_allowed": "This is not allowed here: ask a supervisor.",
    "unknown_party": "No warehouse of this party is here.",
}


def _told(result: Result) -> dict[str, Any]:
    """A result as JSON. DomainError: it was refused."""
    if result.severity == "stop":
        text = str(result.args.get("text") or _WHY.get(result.verdict) or result.verdict)
        raise DomainError(str(result.args.get("reason") or result.verdict), text)
    return {"verdict": result.verdict, "severity": result.severity, "args": result.args}


def _listed(moved: Iterable[f.Moved]) -> list[dict[str, Any]]:
    return [
        {
            "ref": each.ref,
            "level": each.level,
            "product": one.product,
            "lot": one.lot,
            "pieces": one.pieces,
            "location": each.source,
        }
        for each in moved
        for one in each.content
    ]
