"""A document's slip: what stands on its labels, and their way to a label printer.

The label `slip` of the printer's section says where (config/labels/slip.toml); the driver escapes
every value into the printer's language.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent.core.errors import ConfigError, DomainError, TransientError
from agent.ports.printing import Printer, PrintEventKind, PrintJob

TEMPLATE = "slip"
LINES = 10
"""Lines on one label."""
MOST_LABELS = 20
PRINT_SECONDS = 20.0
"""A label that has not come out by then is not waited for."""
_WIDE = 44
"""Characters of a line that a label of 100 mm holds."""

_KINDS = {
    "receive": "入库 Receive",
    "ship": "出库 Ship",
    "return_in": "退货入库 Return in",
    "return_out": "退货出库 Return out",
    "transfer": "调拨 Transfer",
    "count": "盘点 Count",
}


def slip_fields(document: Mapping[str, Any], party: str, printed: str) -> list[dict[str, str]]:
    """The fields of each label of a document's slip (Depot.document), at most MOST_LABELS.

    `party` is the other party's name, `printed` the time in words. A product stands by its number,
    which every printer's own font has.
    """
    lines = [_line(line) for line in document["lines"]] or ["-"]
    pages = [lines[at : at + LINES] for at in range(0, len(lines), LINES)][:MOST_LABELS]
    pieces = sum(line["pieces"] for line in document["lines"])
    way = " > ".join(filter(None, (document["location"], document["to"])))
    return [
        {
            "code": document["number"],
            "number": _cut(document["number"]),
            "kind": _KINDS.get(document["kind"], document["kind"]),
            "party": _cut(party or way),
            "paper": _cut(document["paper"]),
            "printed": printed,
            **{f"line{n + 1}": page[n] if n < len(page) else "" for n in range(LINES)},
            "total": f"{len(lines)} / {pieces}" if pieces else "",
            "page": f"{at} / {len(pages)}",
        }
        for at, page in enumerate(pages, 1)
    ]


def _line(line: Mapping[str, Any]) -> str:
    level = line["level"] or "piece"
    lot = f"  {line['lot']}" if line["lot"] else ""
    return _cut(f"{line['quantity']} {level}  {line['product']}{lot}")


def _cut(text: str) -> str:
    return text if len(text) <= _WIDE else text[: _WIDE - 1] + "…"


class SlipPrinter:
    """One label printer for slips. `build` makes its driver, a new session for each slip, so that
    it may be switched off meanwhile."""

    def __init__(self, name: str, build: Callable[[], Printer]) -> None:
        self.name = name
        self._build = build
        self._lock = asyncio.Lock()

    async def print(self, labels: Sequence[Mapping[str, str]]) -> int:
        """Print the labels in order; how many. DomainError `slip_printer_not_ready` (it says what
        to do), or of the driver for a value that it cannot print."""
        async with self._lock:
            try:
                printer = self._build()
            except ConfigError as error:
                raise _not_ready(self.name, str(error)) from None
            try:
                async with asyncio.timeout(PRINT_SECONDS * len(labels)):
                    await printer.open()
                    for ref, fields in enumerate(labels, 1):
                        await self._one(printer, PrintJob(ref, fields, TEMPLATE))
            except TransientError as error:
                raise _not_ready(self.name, str(error)) from None
            except TimeoutError:
                raise _not_ready(self.name, "it took too long") from None
            finally:
                await printer.close()
            return len(labels)

    async def _one(self, printer: Printer, job: PrintJob) -> None:
        if not await printer.send(job):
            status = await printer.status()
            raise _not_ready(self.name, ", ".join(status.faults) or "it is busy")
        while True:
            event = await printer.next_event(PRINT_SECONDS)
            if event is None:
                raise _not_ready(self.name, "it took the label and did not print it")
            if event.kind is PrintEventKind.PRINTED:
                return


def _not_ready(name: str, why: str) -> DomainError:
    return DomainError(
        "slip_printer_not_ready",
        f"Printer {name} did not print the whole slip ({why}): look at paper, ribbon and lid, then "
        "print it again.",
    )
