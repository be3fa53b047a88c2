"""What the agent needs of the world: small capabilities, each one to four methods.

A driver implements one of these; the line shell and the services see nothing else of it. Drivers
never retry and never reconnect: they raise `TransientError` and the supervisor opens a new session.
`open` is called once per session, `close` always after it. Every wait takes its deadline in
seconds; a wait that runs out returns None (nothing came) or raises TransientError (an answer was
owed).
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import field
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar, runtime_checkable

from agent.core.effects import Effect
from agent.core.errors import Said
from agent.core.facts import CodeKey, DocumentOpened, Fact, HoldPlaced, PoolImported
from agent.core.inputs import Input
from agent.core.known import Clock
from agent.core.scheme import WorkOrder
from agent.core.state import LineState
from agent.core.values import value

T = TypeVar("T")
Stamped = tuple[Input, Clock]

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Image = NDArray[np.uint8]
else:
    Image = Any  # who deals with no picture need not load numpy
"""A picture: height x width, 8-bit grey."""


@runtime_checkable
class Device(Protocol):
    """A session with a thing."""

    async def open(self) -> None:
        """Connect within the device's configured deadline; TransientError if it is not there."""

    async def close(self) -> None:
        """End the session and release every resource; never raises for a peer that is gone."""


class DeviceCheck(NamedTuple):
    """One thing that was looked at on a device: whether it is as it should be, and what was found
    and what to do (`errors.say`; a driver without words of its own says `say("plain", words=...)`).
    """

    good: bool
    said: Said


@runtime_checkable
class Checked(Protocol):
    """What a device can add to a check of it besides its status."""

    async def check(self) -> Sequence[DeviceCheck]:
        """Look at the open device without changing anything on it; within 10 s. It may be in use
        at the same time. TransientError when it does not answer."""


@runtime_checkable
class Tested(Protocol):
    """A device that can do something harmless for a person to see."""

    async def test(self) -> Said:
        """Do it, within 20 s, and say what should have been seen. Only while nothing else is asked
        of the device. TransientError when it does not answer, DomainError when it cannot."""


@runtime_checkable
class Fired(Protocol):
    """A camera or reader that can be told to take one picture or reading, in place of its eye."""

    async def fire(self) -> bool:
        """Do it; False where it is set up to be fired by its eye alone. TransientError when it does
        not."""


# --------------------------------------------------------------------------------------- cameras


@value(frozen=True, slots=True)
class Frame:
    """One hardware-triggered picture.

    `counter` is the camera's own number of the exposure (+1 each; a gap is a lost frame),
    `camera_time` the camera's clock at the exposure in seconds (within 1 ms, running on by itself;
    pairs are proven by it) or None, `received` is time.monotonic() when the last byte had arrived.
    `repeated`: its pixels are those of the frame before (the line's shell looks, no driver need).
    """

    image: Image
    counter: int
    camera_time: float | None
    received: float
    repeated: bool = False


@runtime_checkable
class FrameSource(Device, Protocol):
    async def next_frame(self, timeout: float) -> Frame | None:
        """The next picture in the order of exposure, None when none came within `timeout` s."""


# --------------------------------------------------------------------------------------- readers


@value(frozen=True, slots=True)
class Read:
    """One symbol that was read: its text as carried, its AIM identifier ("]Q1"; "" if unknown),
    its four corners in pixels of the full frame (x, y; empty for a line reader), and the attempt
    of the cascade that read it. `data` are the bytes that the symbol carries (b"" if unknown)."""

    text: str
    symbology: str = ""
    corners: tuple[tuple[int, int], ...] = ()
    attempt: str = ""
    data: bytes = b""


@value(frozen=True, slots=True)
class Reading:
    """What a code reader said once: no reads means that it said "no read".

    `trigger` is the reader's own trigger number where its protocol carries one.
    """

    reads: tuple[Read, ...]
    received: float
    trigger: int | None = None


@runtime_checkable
class CodeReader(Device, Protocol):
    async def next_reading(self, timeout: float) -> Reading | None:
        """The next reading in order of arrival, None when none came within `timeout` s."""


@value(frozen=True, slots=True)
class Decoded:
    """What the decoder made of one frame. `seconds` is the time spent decoding; `late` says that
    the deadline ended it before every attempt had been tried. `places` (content pictures only) are
    the grid places of the reads, `repeated` counts symbols whose text stood twice. `tried` are the
    attempts in the order they were made, each with its seconds. `verdicts` (content pictures only)
    say of every cell what is in it (agent.vision.look.Verdict), `boxes` where it was looked for
    (x, y, width, height in px)."""

    reads: tuple[Read, ...]
    seconds: float
    late: bool = False
    places: tuple[int, ...] = ()
    repeated: int = 0
    tried: tuple[tuple[str, float], ...] = ()
    verdicts: tuple[str, ...] = ()
    boxes: tuple[tuple[int, int, int, int], ...] = ()


class FrameDecoder(Protocol):
    async def decode(self, image: Image, deadline: float) -> Decoded:
        """Read the symbols of a picture. `deadline` is a time.monotonic() value; the result is
        empty and `late` when it passes. Never raises for any picture."""


class PictureSink(Protocol):
    """Keeps pictures as evidence of how they were read."""

    def offer(
        self, image: Image, decoded: Decoded, number: int, wall_ms: int, *, failed: bool
    ) -> None:
        """A picture of item or container `number`, taken at `wall_ms`, and what was read on it.
        Never waits, never raises; whether it is kept is the sink's affair."""


class QualityFollower(Protocol):
    """Follows how well the symbols of one camera are printed."""

    def offer(self, image: Image, decoded: Decoded) -> None:
        """A picture and what was read on it. Never waits, never raises; whether it is measured is
        the follower's affair."""

    def facts(self) -> Mapping[str, Any] | None:
        """The index and its trend for the live feed; None while nothing is known."""


# -------------------------------------------------------------------------------------- printers


class Evidence(IntEnum):
    """How strongly a device can say that a code was printed (docs/devices.md)."""

    NONE = 0
    SENT = 1  # bytes handed to the network
    ACCEPTED = 2  # the device said accepted or queued
    COUNTER = 3  # a counter of the device moved
    EVENT = 4  # one message per print, without an id
    INDEXED = 5  # the device says which record it printed


@value(frozen=True, slots=True)
class PrinterCapability:
    """What the print accounting needs to know of a device.

    `queue` is how many variable-data records it holds ahead (0 = the last value stays and
    repeats); `repeat_risk` that a trigger without fresh data prints the old code again;
    `clears` that queued records can be removed and that the device acknowledges it.
    `counts` says what its counter counts: "prints", "triggers" (photo-eye hits, whether ink came
    out or not), or "" where it has none to rely on. `counter_kept`: the counter survives that the
    device is switched off.
    """

    evidence: Evidence
    queue: int
    repeat_risk: bool
    clears: bool
    counts: str = ""
    counter_kept: bool = False


@value(frozen=True, slots=True)
class PrintJob:
    """One print: `ref` is ours and comes back in the event, `fields` are the variable texts of
    the device's template, already canonical; the driver escapes them into its own language."""

    ref: int
    fields: Mapping[str, str]
    template: str = ""


class PrintEventKind(StrEnum):
    PRINTED = "printed"
    REQUEST = "request"  # the device asks for the next record


@value(frozen=True, slots=True)
class PrintEvent:
    """Something the device said by itself. `ref` is known only where the device names the record
    or where it prints strictly first in, first out; `counter` is its print counter after this
    print, where it says so."""

    kind: PrintEventKind
    ref: int | None
    received: float
    counter: int | None = None


@value(frozen=True, slots=True)
class PrinterStatus:
    """`faults` are stable keys (paper_out, ribbon_out, head_open, paused, buffer_full, ...);
    `waiting` is how many records the device holds unprinted, `counter` its print counter, `last`
    the number (PrintJob.ref) of the record that it printed last; None where it cannot say.
    `warnings` are stable keys of what does not stop it yet (ink_low, ribbon_low, paper_low,
    makeup_low, service_due, ...)."""

    ready: bool
    faults: tuple[str, ...] = ()
    waiting: int | None = None
    counter: int | None = None
    last: int | None = None
    warnings: tuple[str, ...] = ()


@runtime_checkable
class Printer(Device, Protocol):
    @property
    def capability(self) -> PrinterCapability: ...

    async def send(self, job: PrintJob) -> bool:
        """Hand over one record. True: accepted; False: the device is full, nothing was taken, try
        after the next event. TransientError: not known whether it was taken (the code is suspect).
        DomainError: the value cannot be printed by this device; nothing was sent."""

    async def next_event(self, timeout: float) -> PrintEvent | None:
        """The next unsolicited event; None when none came within `timeout` s."""

    async def status(self) -> PrinterStatus:
        """Ask the device. TransientError when it does not answer."""

    async def clear(self) -> bool:
        """Remove queued records; True only if the device acknowledged that its queue is empty."""


class PrintGate(Protocol):
    """The PLC's switch in the way of a printer's photo-eye signal."""

    async def allow(self, number: int) -> None:
        """Let the next signal through and no other; the same number again changes nothing, 0 lets
        none through. TransientError: not known whether the PLC heard it; ConfigError: it has no
        such switch."""


@runtime_checkable
class Inhibit(Protocol):
    """What a printer can do besides that can be told not to print."""

    async def inhibit(self) -> bool:
        """Print nothing more, whatever triggers it; True only if the device acknowledged it.
        TransientError when it does not answer."""

    async def release(self) -> None:
        """Print again. TransientError when the device does not acknowledge it."""


# ------------------------------------------------------------------------------------------- PLC


class PlcEventKind(IntEnum):
    """Kinds in the PLC's event ring; the numbers are the wire values (docs/plc.md)."""

    TRIGGER = 1  # an item is at a station; camera and strobe fired
    PASSED = 2  # an item left the gate on the belt, inside its window
    REJECTED = 3  # chute sensor fired inside the window and the place is empty after the gate
    REJECT_FAILED = 4  # chute silent, or the place not empty; lane 1: no sensor saw anything
    STROKE = 5  # the packer moved `data` children (4 bits per lane, lane 0 lowest) into a container
    LABEL_APPLIED = 6  # the applicator put a label on the container
    FOREIGN_REJECT = 7  # a rejector that is not ours took the item
    ENTERED = 8  # the photo-eye at the end of a path saw the item; no camera fires
    CLEARED = 9  # a person emptied the packer's lanes and confirmed it: the PLC counts from 0


@value(frozen=True, slots=True)
class PlcEvent:
    """One ring entry. `number` is item_no or container_no (16 bits as the PLC counts them),
    `encoder` pulses (32 bits), `data` the kind's own 32 bits."""

    seq: int
    kind: PlcEventKind
    station: int
    lane: int
    number: int
    encoder: int
    data: int = 0


@value(frozen=True, slots=True)
class PlcReport:
    """One poll: the events since the last one, in order, and the state of the line.

    `lost` counts ring entries that were overwritten before they were read; `run` changes when the
    PLC restarts and its numbers start anew; `flags` are stable keys (running, estop, guard_open,
    jam, reject_full, low_air, agent_lost). `untold`: at this time the PLC knew of none of these
    events yet, as far as the port can tell (one that waits for them can); monotonic seconds.
    """

    run: int
    heartbeat: int
    events: tuple[PlcEvent, ...]
    lost: int
    flags: frozenset[str]
    encoder: int
    speed: int
    received: float
    untold: float = -math.inf


class SlotVerdict(IntEnum):
    """The 4 bits of a verdict slot; anything but PASS is a reject at the gate."""

    NONE = 0
    PASS = 1
    REJECT = 2


@value(frozen=True, slots=True)
class Slot:
    """The answer for one item or container at one station's gate."""

    station: int
    number: int
    verdict: SlotVerdict


@value(frozen=True, slots=True)
class PlcOutputs:
    """What the agent tells the PLC besides verdicts: written together, idempotent. `prints` are
    the numbers of the prints that may pass, by index of the print station (PrintGate)."""

    heartbeat: int
    run_permission: bool = False
    stop_request: bool = False
    lamps: frozenset[str] = field(default_factory=frozenset)  # red, amber, green, horn
    prints: Mapping[int, int] = field(default_factory=dict)


@runtime_checkable
class LinePlc(Device, Protocol):
    async def poll(self) -> PlcReport:
        """Read header and new events. TransientError when the PLC does not answer in time."""

    async def write_slots(self, slots: Sequence[Slot]) -> None:
        """Write verdicts; a repeated write changes nothing. TransientError: not known if they
        were written."""

    async def write_outputs(self, outputs: PlcOutputs) -> None:
        """Write heartbeat, permission and lamps."""


# ------------------------------------------------------------------------------------- inside


@value(frozen=True, slots=True)
class Committed:
    """What became durable of a group of inputs, and what it cost.

    `facts` are all facts of the group, transient ones too; `effects` are to be carried out now, in
    order; `texts` are the code texts that the printing effects among them need, by code. Times in
    seconds: `decide` is look-up, decision and append, `commit` the durable transaction.
    """

    facts: tuple[Fact, ...]
    effects: tuple[Effect, ...]
    texts: Mapping[CodeKey, str]
    decide: float = 0.0
    commit: float = 0.0


class Entry(NamedTuple):
    """One row of the journal. `line` is "" for a fact of the whole agent."""

    seq: int
    epoch: str
    clock: Clock
    line: str
    kind: str
    fact: Fact
    hash: bytes


class CommitGate(Protocol):
    """The only way from what happened to what is done: decide, append, commit, and only then
    hand out effects."""

    async def submit(self, line: str, inputs: Sequence[Stamped]) -> Committed:
        """Decide these inputs in order and make their facts durable together. DomainError: one of
        them was refused, nothing of this group was kept. TransientError: the store could not keep
        it; nothing of this group happened."""

    async def view(self, line: str, read: Callable[[LineState], T]) -> T:
        """Call `read` with the line's present state. It must not keep or change it."""


class LineControl(Protocol):
    """How services reach a running line."""

    async def command(self, line: str, what: Input) -> None:
        """Carry out what a person asked for (start, pause, finish ...); returns when it is durable.
        DomainError when the core refuses it, TransientError when the store cannot keep it."""

    def snapshot(self, line: str) -> Mapping[str, Any]:
        """The line as the panel shows it (docs/live-feed.md)."""


# ------------------------------------------------------------------------------- to the cloud


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
