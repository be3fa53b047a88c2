"""What the model knows of the record: a second account of every code, unit and link, kept from the
facts that became durable and from what physically happened. Invariants hold the tables against it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from agent.core import facts as f
from agent.core.facts import CodeKey, Fact
from tests.core.belt import Thing
from tests.core.sites import VOIDED, Site


@dataclass(eq=False)
class Unit:
    """A unit of the record and the thing it is. `kids` are the units bound to it, `unknown` its
    children that nobody knows."""

    unit: int
    level: str
    order: str
    thing: Thing
    texts: dict[str, str] = field(default_factory=dict)
    rejected: bool = False
    inside: "Unit | None" = None
    kids: list["Unit"] = field(default_factory=list)
    unknown: int = 0
    closed: str = ""
    unpacked: bool = False
    held: bool = False
    gone: str = ""

    @property
    def count(self) -> int:
        return len(self.kids) + self.unknown


class Book:
    """`owner` is the unit that a text is on; `sent` the texts that left for a printer; `codes` the
    state of every listed code that is not issued any more, by pool and column."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.units: dict[int, Unit] = {}
        self.of: dict[Thing, Unit] = {}
        self.owner: dict[str, Unit] = {}
        self.sent: set[str] = set()
        self.admitted: dict[CodeKey, str] = {}
        self.codes: dict[tuple[int, int], dict[int, str]] = defaultdict(dict)
        for pool in site.pools:
            for column in range(len(pool.texts)):
                self.codes[pool.number, column] = dict.fromkeys(range(VOIDED), "void")

    def text(self, key: CodeKey) -> str:
        """The text of a code."""
        pool = next(pool for pool in self.site.pools if pool.number == key.pool)
        return self.admitted[key] if pool.rule else pool.texts[key.column][key.position]

    def begin(self, unit: int, level: str, order: str, thing: Thing) -> Unit:
        """A unit begins. Rule 1: once, and a thing is one unit."""
        assert unit not in self.units, f"unit {unit} was given twice"
        assert thing not in self.of, f"{thing} is unit {self.of[thing].unit} already"
        found = self.units[unit] = self.of[thing] = Unit(unit, level, order, thing)
        return found

    def attach(self, unit: Unit, codes: Iterable[f.Attachment]) -> None:
        """Codes come onto a unit. Rule 1: a code is on one unit."""
        for role, key, _ in codes:
            text = self.text(key)
            assert text not in self.owner, f"rule 1: {text} is on unit {self.owner[text].unit}"
            assert role not in unit.texts, f"unit {unit.unit} has a {role} code already"
            self.owner[text] = unit
            unit.texts[role] = text
            state = self.codes[key.pool, key.column].get(key.position, "issued")
            assert state != "void", f"{text} is void and was attached"
            self.codes[key.pool, key.column][key.position] = "attached"

    def bind(self, parent: Unit, children: Iterable[int | None]) -> None:
        """Children go into a container. Rule 1: a unit has one open parent."""
        for child in children:
            if child is None:
                parent.unknown += 1
                continue
            kid = self.units[child]
            assert kid.inside is None, f"rule 1: unit {child} is in {kid.inside} already"
            assert not kid.rejected, f"unit {child} is rejected and was packed"
            assert not kid.gone, f"unit {child} is {kid.gone} and was packed"
            kid.inside = parent
            kid.unpacked = False
            parent.kids.append(kid)

    def lose(self, keys: Iterable[CodeKey]) -> None:
        """Codes that went off the line on a thing which is no unit: suspect."""
        for key in keys:
            column = self.codes[key.pool, key.column]
            pool = next(pool for pool in self.site.pools if pool.number == key.pool)
            state = column.get(key.position, "issued")
            if state == "issued" and not pool.preprinted:
                continue  # it was never sent: what carries it is not ours
            if state not in ("attached", "void"):
                column[key.position] = "suspect"

    def apply(self, facts: Iterable[Fact]) -> None:
        """Follow the codes (units and links are followed where they are checked)."""
        for fact in facts:
            match fact:
                case f.CodesMoved():
                    for position in range(fact.first, fact.first + fact.count):
                        self._move(fact, position)
                case f.CodeRegistered():
                    self.admitted[fact.key] = fact.text
                case f.ItemRejected():
                    self.lose((*fact.codes, *((fact.expected,) if fact.expected else ())))
                case f.ContainerRefused():
                    self.lose(fact.seen)

    def _move(self, fact: f.CodesMoved, position: int) -> None:
        column = self.codes[fact.pool, fact.column]
        now = column.get(position, "issued")
        assert now not in ("attached", "void"), f"a code that is {now} became {fact.to}"
        column[position] = fact.to
        if fact.to == "sending":
            text = self.text(CodeKey(fact.pool, position, fact.column))
            assert text not in self.sent, f"{text} was sent twice"
            self.sent.add(text)

    def counts(self, pool: int, column: int, issued: int) -> dict[str, int]:
        """Rule 8: where the codes of a column are, in the words of the balance."""
        found: Counter[str] = Counter()
        states = self.codes[pool, column]
        texts = next(p for p in self.site.pools if p.number == pool).texts[column]
        for position, state in states.items():
            if state == "attached":
                on = self.owner[texts[position]]
                found[on.gone or ("rejected" if on.rejected else "good")] += 1
            elif state in ("sending", "accepted", "printed"):
                found["in_process"] += 1
            elif state in ("issued", "allocated"):
                found["left"] += 1
            else:
                found[state] += 1
        found["left"] += issued - len(states)
        gone = ("rejected", "sampled", "destroyed", "void", "suspect")
        words = ("good", *gone, "in_process", "left")
        return {word: found[word] for word in words}
