"""What people do on the warehouse page: documents, stock, exceptions, PDAs.

`WarehouseDesk` is agent.web.warehouse_api.DeskServices, called in threads. What a supervisor must
do is done in the name of the badge that came with the PIN, everything else in that of the page.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anyio import to_thread

from agent.app.files import Files
from agent.clockwatch import clock
from agent.core.documentdraft import PIECE, DocumentsRefused
from agent.core.errors import DomainError
from agent.core.goods import SUPERVISE, Item, Scope
from agent.core.rules import OPERATIONS
from agent.now import wall_ms
from agent.ports.printing import Printer
from agent.sections import Site
from agent.services import document_files
from agent.services.devices import ALLOWED, Wanted
from agent.services.document_slip import SlipPrinter, slip_fields
from agent.services.gatekeeper import Gatekeeper
from agent.services.warehouse import PANEL, Warehouse
from agent.store.readers import Readers
from agent.store.writer import Writer
from agent.web.warehouse_api import (
    CloseBody,
    InviteBody,
    NewDocument,
    ReverseBody,
    RevokeBody,
    SettleBody,
)
from drivers import registry
from drivers.context import DeviceContext

PAGE = "panel"
"""In whose name it is where nobody must sign."""
HEARD_MS = 5 * 60_000
"""A PDA that asked something within this time counts as heard."""
MOST_ROWS = 500
"""Rows of stock that are shown; more are counted."""
DISMISS, ACCEPT = "dismiss", "accept"
"""What may be done with an exception: leave it as it is, or answer what was asked with yes."""
_ANSWERED = ("scan", "close")
"""Items whose question the page can answer."""


class WarehouseDesk:
    """The warehouse page of one agent. `printers` are the slip printers of parties that have
    one."""

    def __init__(
        self,
        site: Site,
        depot: Warehouse,
        gatekeeper: Gatekeeper,
        readers: Readers,
        writer: Writer,
        printers: Mapping[str, SlipPrinter],
    ) -> None:
        self._site = site
        self._depot = depot
        self._gate = gatekeeper
        self._readers = readers
        self._writer = writer
        self._printers = printers

    # ------------------------------------------------------------------------------- questions

    def setup(self) -> Mapping[str, Any]:
        with self._readers.connection() as conn:
            items = document_files.items_of(conn, self._site)
        return {
            "warehouses": [
                {
                    "party": section.party,
                    "names": section.names or self._names(section.party),
                    "locations": list(section.locations),
                    "slips": section.party in self._printers,
                }
                for section in self._site.warehouse
            ],
            "products": [
                {
                    "sku": item.sku,
                    "names": dict(item.names),
                    "levels": [
                        {"level": level, "pieces": size} for level, size in item.units.items()
                    ],
                }
                for item in items.values()
            ],
            "parties": [
                {"id": party["id"], "names": party["names"]}
                for party in self._depot.parties()
                if not party["withdrawn"]
            ],
            "operations": list(ALLOWED),
        }

    def now(self, party: str) -> Mapping[str, Any]:
        devices = [device for device in self.devices(party) if not device["revoked"]]
        since = wall_ms() - HEARD_MS
        return {
            "open": len(self._depot.documents(_scope(party), "active")),
            "exceptions": len(self._waiting(party)),
            "devices": len(devices),
            "heard": sum(device["seen_ms"] > since for device in devices),
        }

    def documents(self, party: str, status: str) -> list[dict[str, Any]]:
        found = self._depot.documents(_scope(party), status)
        for document in found:
            document.pop("doc", None)
        return found

    def document(self, party: str, number: str) -> dict[str, Any]:
        found = self._depot.document(_scope(party), number)
        found.pop("doc", None)
        names = {device["device"]: device["name"] for device in self.devices(party)}
        for device in found["devices"]:
            device["name"] = names.get(device["device"], "")
        found["difference"] = self._depot.difference(_scope(party), number)
        units = [*found["last"], *found["missing"], *found["difference"]["found"]]
        units += found["difference"]["lost"]
        codes = self._depot.codes(_scope(party), [unit["ref"] for unit in units])
        for unit in units:
            unit["code"] = codes.get(unit["ref"], "")
        return found

    def stock(self, party: str, product: str, lot: str, location: str) -> Mapping[str, Any]:
        rows = self._depot.stock(_scope(party), product, lot, location)
        return {
            "at": wall_ms(),
            "rows": rows[:MOST_ROWS],
            "more": max(0, len(rows) - MOST_ROWS),
            "pieces": sum(row["pieces"] for row in rows),
        }

    def ledger(self, party: str, first: str, last: str) -> list[dict[str, Any]]:
        return self._depot.ledger(_scope(party), first, last)

    def query(self, party: str, text: str) -> dict[str, Any]:
        return self._depot.query(_scope(party), text)

    def exceptions(self, party: str) -> list[dict[str, Any]]:
        names = {device["device"]: device["name"] for device in self.devices(party)}
        found = self._waiting(party)
        for one in found:
            one["device_name"] = names.get(one["device"], "")
            one["choices"] = _choices(one)
        return found

    def devices(self, party: str) -> list[dict[str, Any]]:
        return self._gate.every(party)

    # ----------------------------------------------------------------------------------- deeds

    def create(self, body: NewDocument) -> Mapping[str, Any]:
        said = body.model_dump(exclude={"party", "number", "reason", "condition"})
        lines = [
            {**line, "level": "" if line["level"] == PIECE else line["level"]}
            for line in said["lines"]
        ]
        item = Item(
            0,
            "open",
            body.number,
            reason=body.reason,
            condition=body.condition,
            body={**said, "lines": lines},
        )
        return self._do(_scope(body.party), item)

    def close(self, number: str, body: CloseBody) -> Mapping[str, Any]:
        scope = _scope(body.party)
        if body.badge:
            scope = self._signed(body.party, body.badge, body.pin)
        answer = "difference" if body.acknowledged else ""
        item = Item(0, "close", number, answer=answer, reason=body.reason, body={"end": body.end})
        return self._do(scope, item)

    def reverse(self, number: str, body: ReverseBody) -> Mapping[str, Any]:
        scope = self._signed(body.party, body.badge, body.pin)
        return self._do(scope, Item(0, "reverse", number, reason=body.reason))

    def bring(self, party: str, data: bytes, kind: str, book: bool) -> Mapping[str, Any]:
        site = self._site
        if book:
            drafts = self._writer.wait(
                lambda conn: document_files.keep(conn, site, party, data, kind, PAGE, clock())
            )
            return {"documents": document_files.told(drafts), "problems": [], "more": 0}
        try:
            with self._readers.connection() as conn:
                drafts = document_files.look(conn, site, party, data, kind)
        except DocumentsRefused as refused:
            return {"documents": [], **refused.told()}
        return {"documents": document_files.told(drafts), "problems": [], "more": 0}

    def settle(self, body: SettleBody) -> Mapping[str, Any]:
        scope = _scope(body.party)
        found = [
            one
            for one in self._waiting(body.party)
            if (one["device"], one["seq"]) == (body.device, body.seq)
        ]
        if not found or body.choice not in _choices(found[0]):
            raise DomainError(
                "exception_gone", "Somebody has settled this in the meantime: look at the list."
            )
        one = found[0]
        if body.choice == ACCEPT:
            again = Item(
                0,
                one["do"],
                one["document"],
                text=one["text"],
                answer=one["verdict"],
                reason=body.reason,
            )
            done = self._do(scope, again)
            if done["severity"] not in ("ok", "warn"):
                return done
        told = {"device": body.device, "seq": body.seq}
        reason = f"{body.choice}: {body.reason}" if body.reason else body.choice
        return self._do(scope, Item(0, "settle", one["document"], reason=reason, body=told))

    async def print_slip(self, party: str, number: str) -> Mapping[str, Any]:
        printer = self._printers.get(party)
        if printer is None:
            raise DomainError(
                "no_slip_printer",
                f'The warehouse of {party} has no printer for slips: write slip = "DEVICE" in its '
                "[[warehouse]] section and describe the device.",
            )
        document, other = await to_thread.run_sync(lambda: self._slip(party, number))
        printed = time.strftime("%Y-%m-%d %H:%M", time.localtime(wall_ms() / 1000))
        return {"labels": await printer.print(slip_fields(document, other, printed))}

    def invite(self, body: InviteBody) -> Mapping[str, Any]:
        user = self._gate.supervisor(body.badge, body.pin)
        wanted = Wanted(body.name, body.party, body.locations, body.operations, user.badge)
        return self._gate.invite(wanted)

    def revoke(self, device: str, body: RevokeBody) -> Mapping[str, Any]:
        user = self._gate.supervisor(body.badge, body.pin)
        if not any(each["device"] == device for each in self.devices(body.party)):
            raise DomainError("unknown_device", f"There is no device {device!r:.40} here.")
        self._gate.revoke(device, user.badge, body.reason)
        return {"done": True}

    def bring_file(self, party: str, path: str, kind: str) -> Mapping[str, Any]:
        return self.bring(party, document_files.read_file(Path(path)), kind, True)

    # ---------------------------------------------------------------------------------- inside

    def _do(self, scope: Scope, item: Item) -> dict[str, Any]:
        (done,) = self._depot.items(scope, [item], wall_ms())
        return {"verdict": done.verdict, "severity": done.severity, "args": done.args}

    def _waiting(self, party: str) -> list[dict[str, Any]]:
        """Exceptions, without what was done here: who did it has seen the answer."""
        found = self._depot.exceptions(_scope(party))
        return [one for one in found if one["device"] != PANEL]

    def _signed(self, party: str, badge: str, pin: str) -> Scope:
        user = self._gate.supervisor(badge, pin)
        return _scope(party, user.badge, SUPERVISE)

    def _slip(self, party: str, number: str) -> tuple[dict[str, Any], str]:
        document = self._depot.document(_scope(party), number)
        names = self._names(document["other"])
        return document, names.get("zh") or names.get("en") or document["other"]

    def _names(self, party: str) -> dict[str, str]:
        for each in self._depot.parties():
            if each["id"] == party:
                return dict(each["names"])
        return {}


def _scope(party: str, user: str = PAGE, *more: str) -> Scope:
    return Scope(party, (), (*OPERATIONS, "unpack", "query", *more), user)


def _choices(one: Mapping[str, Any]) -> list[str]:
    asked = one["severity"] == "ask" and one["do"] in _ANSWERED and one["document"]
    known = one["do"] != "scan" or one["text"]
    return [ACCEPT, DISMISS] if asked and known else [DISMISS]


def slip_printers(site: Site, files: Files) -> dict[str, SlipPrinter]:
    """The slip printers of the warehouses, by party; warehouses may share one."""
    made: dict[str, SlipPrinter] = {}

    def of(name: str) -> SlipPrinter:
        def build() -> Printer:
            device = registry.build(name, site.devices[name], DeviceContext(files.wire))
            assert isinstance(device, Printer)
            return device

        return made.setdefault(name, SlipPrinter(name, build))

    return {section.party: of(section.slip) for section in site.warehouse if section.slip}
