"""An agent with a warehouse at work: documents, stock, a PDA, an exception, a slip printer."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

from drivers.sim.zpl_printer import ZplPrinter, ZplServer
from tests.sync.brokers import free_port
from tests.web.scan_site import PIN, Pda, ScanSite

SUPERVISOR = "9001"
SITE = """
[agent]
id = "desk"
data = "var"

[web]
port = {panel}

[products.cola]
names = {{ zh = "可乐 500 毫升", en = "Cola 500 ml" }}
gtin = "06901234000016"
units = {{ bottle = 1, case = 24, pallet = 1440 }}

[products.milk]
names = {{ zh = "奶粉 800 克", en = "Milk powder 800 g" }}
units = {{ bottle = 1, case = 6 }}

[parties.F01]
names = {{ zh = "一厂", en = "Factory 1" }}
kind = "factory"

[parties.D07]
names = {{ zh = "华东经销商", en = "Dealer East" }}

[devices.label-printer]
type = "zpl"
address = "tcp://127.0.0.1:{port}"
labels = {{ slip = "slip" }}
reply_timeout = 0.5

[[warehouse]]
party = "F01"
names = {{ zh = "一厂成品库", en = "Factory 1 warehouse" }}
locations = ["DOCK", "A-01", "A-02"]
slip = "label-printer"

[[warehouse]]
party = "D77"
names = {{ zh = "寄存库", en = "Hosted" }}
locations = ["MAIN"]
"""

ASN = (
    "单号,类型,往来单位,码,上级码,产品,批号,单位,数量,有效期\n"
    + "".join(f"ASN-1,入库,D07,CASE-{n},,cola,B41120,箱,,2027-11-01\n" for n in range(1, 9))
    + "ASN-1,入库,D07,CASE-M,,milk,M7,箱,4,2027-05-01\n"
)
ORDER = (
    "单号,类型,往来单位,产品,批号,数量,单位,采购单号,区域\n"
    "CK-1,出库,D07,cola,B41120,4,箱,PO-77,SH\n"
    "CK-1,,,milk,,2,瓶,,\n"
)


class Printer:
    """A label printer of the warehouse, in a thread with a loop of its own."""

    def __init__(self) -> None:
        self.sim = ZplPrinter(print_time=0.05)
        self._server = ZplServer(self.sim, time.monotonic)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.port = self._run(self._server.start())

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def taken(self) -> tuple[str, ...] | None:
        """The texts of the next label that came out."""
        return self.sim.fire(time.monotonic())

    def stop(self) -> None:
        self._run(self._server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


class DeskSite(ScanSite):
    """What a morning leaves: ASN-1 received, CK-1 half picked by a PDA, one refused scan."""

    def __init__(self, folder: Path) -> None:
        self.printer = Printer()
        super().__init__(folder, (self.printer.port, 0, free_port()), SITE)
        self.local.headers["authorization"] = f"Bearer {self.token}"
        self.book("F01", ASN)
        self.book("F01", ORDER)
        self.pda: Pda = self.device("F01", name="1 号叉车")
        for n in range(1, 9):
            self.scan("ASN-1", f"CASE-{n}")
        self.scan("ASN-1", "CASE-M")
        self.done("/documents/ASN-1/close", {"party": "F01"})
        self.scan("CK-1", "CASE-1")
        self.scan("CK-1", "CASE-1000")  # nobody knows it

    def scan(self, document: str, text: str, **more: Any) -> str:
        """A scan of the PDA, uploaded; the word that it is answered with."""
        answer = self.pda.upload(self.pda.item("scan", document, text, **more))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["results"][-1]["verdict"])

    def done(self, path: str, body: dict[str, Any]) -> Any:
        answer = self.local.post(f"/api/v1/warehouse{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def book(self, party: str, text: str) -> None:
        file = self.config.with_name("import.csv")
        file.write_bytes(text.encode("gbk"))
        answer = self.local.post("/api/local/documents", json={"path": str(file), "party": party})
        assert answer.status_code == 201, answer.text

    def pda_of(self, code: str) -> Pda:
        """A PDA that scanned a symbol of the page."""
        made = Pda(self.local)
        made.enrol(code)
        return made

    def stop(self) -> None:
        super().stop()
        self.printer.stop()


__all__ = ["PIN", "SUPERVISOR", "DeskSite"]
