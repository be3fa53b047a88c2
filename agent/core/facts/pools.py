"""Facts of the agent, of code pools and of what printers were given."""

from agent.core.facts.words import CodeKey, Fact
from agent.core.values import value


@value(frozen=True, slots=True)
class AgentStarted(Fact):
    version: str


@value(frozen=True, slots=True)
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


@value(frozen=True, slots=True)
class CodeRegistered(Fact):
    """A code that a rule admits was seen for the first time (never of a secret role)."""

    key: CodeKey
    text: str


@value(frozen=True, slots=True)
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


@value(frozen=True, slots=True)
class PrinterSessionBegan(Fact):
    """A new connection to a printer; `cleared`: the device acknowledged that its queue is empty.
    `session` counts per station, so that no two connections have the same number. `counter` is
    where the device's counter of prints stood then, -1 where it has none to rely on."""

    station: str
    device: str
    session: int
    cleared: bool
    counter: int = -1


@value(frozen=True, slots=True)
class PrinterCounted(Fact):
    """A printer's counter was compared with what it reported since it was compared last: `missing`
    prints were not reported (< 0: so many reports of no print); 0: they agree, and `counter` is
    what the next delta counts from."""

    station: str
    device: str
    session: int
    counter: int
    missing: int = 0


@value(frozen=True, slots=True)
class Restored(Fact):
    """A backup that ends with row `upto` of `epoch` was put in place; this is the first row of a
    new epoch.

    `pools` are in question: codes that the backup holds unused may have been printed since it was
    made, so none of theirs is printed until the pool is settled. `made_ms` is when the backup was
    made, `stopped_ms` when a person says that the lines stood for good (0 = not said), both wall
    clock. `lost` rows of the journal that was replaced are not in the backup (-1 = it could not be
    read), and `forced` is why it was replaced all the same.
    """

    epoch: str
    upto: int
    made_ms: int
    pools: tuple[int, ...]
    stopped_ms: int = 0
    lost: int = 0
    forced: str = ""
    by: str = ""


@value(frozen=True, slots=True)
class PoolSettled(Fact):
    """A pool is no longer in question: what may have been printed, every row before `reach`, is
    used or void by now. `how` is "cloud" (it told what it has seen) or "person". Pool 0 stands for
    those that were imported after the backup was made."""

    pool: int
    reach: int
    how: str
    why: str = ""
    by: str = ""


@value(frozen=True, slots=True)
class PoolsUsed(Fact):
    """Pools by seal (PoolImported.sha256) that were printed from before a restore, each with the
    row before which its codes may have been: they are not imported again as they were."""

    used: tuple[tuple[str, int], ...]
