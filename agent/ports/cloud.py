"""The way to the cloud and back: the journal to be sent, and commands to be carried out."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from agent.core.facts import CodeKey, DocumentOpened, Fact, HoldPlaced, PoolImported
from agent.core.known import Clock
from agent.core.scheme import WorkOrder


class Entry(NamedTuple):
    """One row of the journal. `line` is "" for a fact of the whole agent."""

    seq: int
    epoch: str
    clock: Clock
    line: str
    kind: str
    fact: Fact
    hash: bytes


class Posted(NamedTuple):
    """How a document of a warehouse was opened, and the row that posted it (None: none yet)."""

    opened: DocumentOpened
    entry: Entry | None


class Look(Protocol):
    """What translating journal rows asks of the store; answers never change."""

    def texts(self, keys: Sequence[CodeKey]) -> list[str]:
        """Canonical texts of codes, in order."""

    def pool(self, pool: int) -> PoolImported:
        """The fact that brought a pool."""

    def order(self, number: str) -> WorkOrder | None:
        """A work order, None if there is none of that number."""

    def hold(self, hold: int) -> HoldPlaced:
        """The fact that placed a hold."""

    def history(self, unit: int, seq: int) -> Iterable[Entry]:
        """The rows up to `seq` that say something of a unit, in order."""

    def document(self, party: str, number: str) -> Posted | None:
        """A document of a party's warehouse."""

    def made_void(self, keys: Sequence[CodeKey], seq: int) -> list[CodeKey]:
        """Those of the codes that row `seq` made void, in order."""

    def wall_ms(self, seq: int, earliest: int, latest: int) -> int | None:
        """The wall time of the newest row up to `seq` whose time is in [earliest, latest)."""

    def order_ends(self, number: str) -> Iterable[int]:
        """The rows that ended a work order or cleared its line."""


class Acked(NamedTuple):
    """Rows up to `seq` are at the cloud; `hash` is the journal chain's there (hex), `at_ms` the
    wall time when that was kept (0 = never)."""

    seq: int = 0
    hash: str = "0" * 32
    at_ms: int = 0


class Epoch(NamedTuple):
    """An epoch of the journal: its first row and its last, None while it is being written."""

    name: str
    first: int
    last: int | None


class Parked(NamedTuple):
    """A document that the cloud does not have: `side` refused it ("agent" before it left, or
    "cloud") for `reason`. `body` is the document where it is at hand."""

    seq: int
    n: int
    side: str
    reason: str
    body: bytes = b""


class Backlog(NamedTuple):
    """Rows that are not acknowledged: how many, how many items began in them, when (wall clock,
    ms) the first was written (None = there is none); `last` is the journal's last row."""

    rows: int
    items: int
    oldest_ms: int | None
    last: int


class JournalView(Look, Protocol):
    """One state of the journal, for one thread."""

    def rows(self, first: int, most: int) -> Sequence[Entry]:
        """Up to `most` rows from `first` on. ConfigError: one cannot be read by this program."""

    def hash_at(self, seq: int) -> str | None:
        """The chain's hash at a row (0: zeros); None if the journal does not have it."""

    def epoch_at(self, seq: int) -> Epoch:
        """The epoch of a row, or that in which it would be written."""

    def asks(self) -> bool:
        """Whether a backup was restored and the cloud must say how far pools were used."""


class Outbox(Protocol):
    """The journal as the queue to the cloud, for threads. What is kept here could be found again:
    without it everything is sent from the first row, and the consumer says how far it is."""

    def view(self) -> AbstractContextManager[JournalView]:
        """Read, for a short time. TransientError when the store is busy."""

    def acked(self) -> Acked:
        """What was kept last."""

    def keep(self, seq: int, chain: str, mark: bytes | None) -> None:
        """Remember durably that rows up to `seq` are acknowledged, `chain` is the hash there, and
        `mark` the translator's state. TransientError: it could not be written."""

    def mark(self, seq: int) -> tuple[int, bytes]:
        """The newest state kept at or before a row, and its row; 0 and b"" if there is none."""

    def park(self, parked: Sequence[Parked]) -> None:
        """Keep refused documents for people to see, once each. TransientError: see `keep`."""

    def parked(self) -> int:
        """How many parked documents nobody has settled."""

    def backlog(self) -> Backlog:
        """What waits now."""


class Announced(NamedTuple):
    """What each part of a command says of the whole: its kind, of how many parts and bytes it is,
    and the SHA-256 (hex) of these bytes."""

    kind: str
    parts: int
    size: int
    sum: str


class Gathered(NamedTuple):
    """A command of which parts are here: those that `have` names, from 0."""

    what: Announced
    have: frozenset[int]


class Done(NamedTuple):
    """What became of command `id`; it is answered so for ever. Not `ok`: nothing of it was applied,
    `reason` is a key, `text` says why and what to do. `body` is JSON or "". `sum` is the SHA-256
    (hex) of what the command held."""

    id: str
    kind: str
    ok: bool
    reason: str = ""
    text: str = ""
    body: str = ""
    sum: str = ""


class CommandDesk(Protocol):
    """Where commands of the cloud are kept until they are whole, and carried out once. All but
    `carry_out` are for threads. TransientError: the store does not answer, ask again."""

    def answer(self, command: str) -> Done | None:
        """What became of a command; None if it was not carried out."""

    def gathered(self, command: str) -> Gathered | None:
        """What is here of it."""

    def gather(self, command: str, what: Announced, n: int, data: bytes) -> Gathered:
        """Keep a part durably; what is here now."""

    def content(self, command: str) -> bytes:
        """What all its parts hold."""

    def tidy(self, command: str = "") -> None:
        """Forget the parts of this command, of those that are done, and of too many."""

    def refuse(self, done: Done) -> Done:
        """Write down that a command is refused; what it is answered with."""

    async def carry_out(self, command: str, kind: str, sum_: str, content: bytes) -> Done:
        """Apply it whole or not at all and write down what became of it. A refusal is an answer
        too. TransientError: nothing is decided, the same may be asked again."""
