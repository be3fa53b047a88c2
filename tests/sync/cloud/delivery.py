"""Agents that send what a network makes of it: again, overlapping, ahead, with receipts lost."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sync.cloud.answers import agent_rows, trace
from sync.cloud.database import Connection
from sync.cloud.lists import quarantine
from sync.cloud.relations import relations
from sync.messages import Ack
from tests.sync.cloud.told import NOW, Cloud, Teller, bottles, case, pallet


class Step(NamedTuple):
    """`who` sends `many` rows beginning `back` rows before (or, negative, behind) the next one;
    `lost`: the receipt does not reach it."""

    who: int
    many: int
    back: int
    lost: bool


@dataclass
class Sender:
    """An agent's end: which rows it has, by epoch, and which it believes to be acknowledged."""

    parts: Sequence[tuple[Teller, int, int]]
    part: int = 0
    next: int = 0

    def __post_init__(self) -> None:
        self.next = self.parts[0][1]

    @property
    def done(self) -> bool:
        return self.part == len(self.parts)

    def send(self, cloud: Cloud, many: int, back: int = 0, lost: bool = False) -> Ack | None:
        """Send some rows; what was answered."""
        if self.done:
            return None
        teller, first, last = self.parts[self.part]
        begin = min(max(self.next - back, first), last)
        ack = cloud.take(teller.cut(begin, min(begin + many - 1, last)))
        assert not ack.fork, ack
        if not lost and ack.epoch == teller.epochs[begin]:
            self.heard(ack)
        return ack

    def heard(self, ack: Ack) -> None:
        """A receipt came."""
        teller, first, last = self.parts[self.part]
        assert ack.hash == teller.chains[ack.upto]
        assert ack.upto + 1 >= self.next or ack.rewind
        self.next = max(ack.upto + 1, first)
        if self.next > last:
            self.part += 1
            if not self.done:
                self.next = self.parts[self.part][1]


def senders() -> list[Sender]:
    """A factory with two agents, one of which is restored, and a dealer: everything that can
    concern the same things."""
    one, two = Teller("brand/plant/1"), Teller("brand/plant/2")
    dealer = Teller("brand/dealer/1")
    one.case(case(1), bottles(4, "1"))
    one.row()
    one.bear(bottles(4, "1")[0], ["https://q.example.cn/cap1"])
    one.case(case(2), bottles(3, "2"), **{"x:integrity": "inferred"})
    one.unpack(case(1), bottles(4, "1")[:1])
    one.pallet(pallet(1), [case(1), case(2)])
    back = one.restored(3, "e2")
    back.clock = one.clock
    back.case(case(2), bottles(3, "2"))
    back.unpack(case(2), bottles(3, "2")[:1])
    back.look([case(2)], **{"x:doubtful": True})
    two.clock += 500
    two.case(case(3), [*bottles(2, "3"), bottles(4, "1")[1]])
    two.row(b'{"type":"junk"}')
    say = two.speaker()
    relabel = say.associated("relabel", case(4), [case(3)], {"x:relabel": "case-outer"})
    two.say(say, [relabel])
    two.bear(bottles(2, "3")[0], ["https://q.example.cn/cap1"])
    two.pack(pallet(1), [case(4)])
    two.move(bottles(2, "3")[:1], "sampling", "non_sellable_other")
    papers = {"bizTransactionList": [{"type": "desadv", "bizTransaction": "https://id.x/dn/1"}]}
    party = {"destinationList": [{"type": "possessing_party", "destination": "https://id.x/d"}]}
    two.move([pallet(1)], "shipping", "in_transit", **papers, **party)
    dealer.clock += 1700
    dealer.move([pallet(1)], "receiving", "in_progress", **papers, **party)
    dealer.pallet(pallet(2), [case(1)])
    dealer.unpack(pallet(2), [case(1)])
    dealer.move([case(1)], "shipping", "returned")
    return [
        Sender([(one, 1, 6), (back, 4, 6)]),
        Sender([(two, 1, two.last)]),
        Sender([(dealer, 1, dealer.last)]),
    ]


def codes() -> list[str]:
    """Every code that is told, and one that is not."""
    return [
        *bottles(4, "1"),
        *bottles(3, "2"),
        *bottles(2, "3"),
        *map(case, range(1, 5)),
        pallet(1),
        pallet(2),
        "https://q.example.cn/cap1",
        "https://q.example.cn/nobody",
    ]


def deliver(cloud: Cloud, steps: Sequence[Step]) -> None:
    """These steps, then all that is left, until everything is acknowledged."""
    every = senders()
    for step in steps:
        every[step.who].send(cloud, step.many, step.back, step.lost)
    for sender in every:
        for _ in range(100):
            if sender.done:
                break
            sender.send(cloud, 100)
        assert sender.done


def answers(conn: Connection) -> dict[str, Any]:
    """All that can be asked."""
    found: dict[str, Any] = {code: trace(conn, code, depth=2) for code in codes()}
    rows = {row["bottle"]: row for page in pages(conn) for row in page}
    found["relations"] = sorted(rows.values(), key=lambda row: str(row["bottle"]))
    found["agents"] = agent_rows(conn, 100)
    found["quarantine"] = quarantine(conn, 100, "")
    letters = conn.rows("SELECT seq, n, reason, state FROM dead_letter ORDER BY seq, n")
    found["letters"] = letters
    return found


def pages(conn: Connection, limit: int = 5) -> Iterator[list[dict[str, Any]]]:
    """All pages of relations."""
    cursor, more = "", True
    while more:
        page = relations(conn, cursor, limit)
        yield page.rows
        cursor, more = page.cursor, page.more


def doubled(conn: Connection) -> list[tuple[Any, ...]]:
    """Events that were applied more than once, and rows that two batches claim."""
    return conn.rows(
        "SELECT stream, seq, n, part FROM event GROUP BY stream, seq, n, part HAVING count(*) > 1"
    ) + conn.rows(
        "SELECT a.stream, a.first, a.last, b.last FROM batch a JOIN batch b "
        "ON a.stream = b.stream AND a.last < b.last AND b.first <= a.last"
    )


__all__ = ["NOW", "Step", "answers", "codes", "deliver", "doubled", "pages", "senders"]
