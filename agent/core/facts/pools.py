"""Facts of the agent, of code pools and of what printers were given."""

from dataclasses import dataclass

from agent.core.facts.words import CodeKey, Fact


@dataclass(frozen=True, slots=True)
class AgentStarted(Fact):
    version: str


@dataclass(frozen=True, slots=True)
class PoolImported(Fact):
    """Codes were issued to us. Texts stay in the pool's own table; `sha256` (hex) seals them.

    `membership` is "list" (count rows are stored) or "rule" (`rule` is a prefix; count is 0).
    `parent_column` is the index of the column that names the parent's code, -1 without one.
    `rolls` are (name, first position, count) of rolls or cartons.
    """

    pool: int
    name: str
    level: str
    roles: tuple[str, ...]
    secret: tuple[str, ...]
    product: str  # "" = any product
    scope: str  # "agent" | "plant" | "brand"
    membership: str
    rule: str
    count: int
    sha256: str
    campaign: str = ""
    lot: str = ""
    preprinted: bool = False
    parent_column: int = -1
    rolls: tuple[tuple[str, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class CodeRegistered(Fact):
    """A code that a rule admits was seen for the first time (never of a secret role)."""

    key: CodeKey
    text: str


@dataclass(frozen=True, slots=True)
class CodesMoved(Fact):
    """`count` codes from position `first` of one pool column changed state (CodeState value).

    `device` and `session` name the printer connection; `evidence` is ports.Evidence where the
    device reported; `why` is a catalogue key for suspect, a key or a person's words for void; `by`
    is the person, where one asked for it.
    """

    pool: int
    column: int
    first: int
    count: int
    to: str
    device: str = ""
    session: int = 0
    evidence: int = 0
    why: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class PrinterSessionBegan(Fact):
    """A new connection to a printer; `cleared`: the device acknowledged that its queue is empty.
    `session` counts per station, so that no two connections have the same number."""

    station: str
    device: str
    session: int
    cleared: bool
