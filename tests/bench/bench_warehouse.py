"""How long the verdict of a scan takes in a warehouse with 10,000 containers and 240,000 codes.

`python tests/bench/bench_warehouse.py [--containers N]` prints milliseconds: one bare journal row
made durable, the bare look-up of a code, the verdict of a scan in the service (durable in its own
transaction, no thread between; `decided`: without the commit) and how many times a bare row with
a bare look-up that is; then closing, what a PDA caches, and the questions.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agent.clockwatch import clock
from agent.core import facts as f
from agent.core.goods import Item, Scope
from agent.services.warehouse import Warehouse
from agent.services.warehouse_documents import told_facts
from agent.store import goods
from agent.store.database import Connection, Database
from agent.store.gate import Gate
from agent.store.readers import Readers
from agent.store.record import record
from agent.store.writer import Writer
from tests.services.depot_help import ALL, NOW, SITE

BOTTLES = 24
ON_A_PALLET = 50


def told(containers: int) -> list[f.Told]:
    """Pallets of 50 cases of 24 bottles."""
    rows = []
    for n in range(containers):
        top = f"PALLET-{n // ON_A_PALLET:05d}"
        if n % ON_A_PALLET == 0:
            rows.append(f.Told(top, "pallet", "tonic", "L1", "2030-01-01", 0, "", 0, "proven"))
        case = f"https://q.example.cn/c/{n:07d}"
        rows.append(f.Told(case, "case", "tonic", "L1", "2030-01-01", 0, top, 0, "proven"))
        rows += [
            f.Told(
                f"https://q.example.cn/b/{n * BOTTLES + b:09d}",
                "bottle",
                "",
                "",
                "",
                0,
                case,
                1,
                "",
            )
            for b in range(BOTTLES)
        ]
    return rows


def times(many: int, what: Callable[[int], object]) -> list[float]:
    """Milliseconds of each call, sorted."""
    found = []
    for n in range(many):
        began = time.perf_counter()
        what(n)
        found.append((time.perf_counter() - began) * 1000)
    return sorted(found)


def shown(found: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(found), 3),
        "p99": round(found[int(len(found) * 0.99) - 1], 3),
    }


def measure(where: Path, containers: int, scans: int) -> dict[str, object]:
    db = Database.open(where / "caselink.db", where / "caselink.key")
    writer = Writer(db.conn)
    readers = Readers(where / "caselink.db", where / "caselink.key", size=1)
    warehouse = Warehouse(SITE, readers, writer, Gate(writer, []))
    began = time.perf_counter()
    opened = f.DocumentOpened(
        "D1", "ASN", "receive", "A", "F", "", "", "", (), "", False, "cloud", "", at_ms=NOW
    )
    facts = told_facts(db.conn, "D1", "ASN", told(containers))
    writer.run_inline(lambda conn: record(conn, "", (opened, *facts), clock()))
    said: dict[str, object] = {"asn_s": round(time.perf_counter() - began, 1)}
    scope = Scope("D1", (), ALL, "li", "pda")
    seq = 0
    inside: list[float] = []

    def do(do: str, document: str = "", text: str = "", **more: object) -> str:
        nonlocal seq
        seq += 1
        item = Item(seq, do, document, text, at_ms=NOW, id=str(seq), **more)  # type: ignore[arg-type]
        began = time.perf_counter()

        def job(conn: Connection) -> str:
            done = warehouse.carry_out(conn, scope, [item], NOW)
            inside.append((time.perf_counter() - began) * 1000)
            return done[0].verdict

        return writer.run_inline(job)

    def case(n: int) -> str:
        return f"https://q.example.cn/c/{n:07d}"

    def alarm(n: int) -> None:
        raised = f.AlarmRaised(f"a{n}", 3, "plc_lost")
        writer.run_inline(lambda conn: record(conn, "", [raised], clock()))

    row = times(scans, alarm)
    said["one_row_durable_ms"] = shown(row)
    bare = times(scans, lambda n: goods.by_code(db.conn, case(n * 7 % containers)))
    # Every second case, so that no pallet is whole.
    receive = times(scans, lambda n: do("scan", "ASN", case(2 * n)))
    said["look_up_ms"] = shown(bare)
    said["receive_scan_ms"] = shown(receive)
    said["receive_decided_ms"] = shown(sorted(inside))
    least = statistics.median(row) + statistics.median(bare)
    said["ratio"] = round(statistics.median(receive) / least, 2)
    began = time.perf_counter()
    assert do("close", "ASN", answer="difference") == "posted"
    said["close_ms"] = round((time.perf_counter() - began) * 1000)
    do("open", "S", body={"kind": "ship", "other": "S1"})
    inside.clear()
    said["ship_scan_ms"] = shown(times(scans, lambda n: do("scan", "S", case(2 * n))))
    said["ship_decided_ms"] = shown(sorted(inside))
    again = shown(times(scans, lambda n: do("scan", "S", case(2 * n))))
    said["duplicate_ms"] = again
    began = time.perf_counter()
    page, after, rows = warehouse.goods(scope, "ASN"), 0, 0
    while True:
        rows += len(page["goods"])
        after = page["next"]
        if not after:
            break
        page = warehouse.goods(scope, "ASN", after)
    said["goods_pages"] = {"rows": rows, "s": round(time.perf_counter() - began, 1)}
    said["document_ms"] = shown(times(20, lambda n: warehouse.document(scope, "ASN")))
    said["stock_ms"] = shown(times(20, lambda n: warehouse.stock(scope)))
    said["query_ms"] = shown(times(50, lambda n: warehouse.query(scope, case(n))))
    readers.close()
    db.close()
    return said


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--containers", type=int, default=10_000)
    given.add_argument("--scans", type=int, default=1_000)
    asked = given.parse_args()
    with tempfile.TemporaryDirectory() as where:
        print(json.dumps(measure(Path(where), asked.containers, asked.scans), indent=2))


if __name__ == "__main__":
    main()
