"""The state of one line: what `decide` may look at and only `evolve` changes.

The state is owned by the one writer; `evolve` changes it in place and returns it (a copy per fact
would cost more than the decision; a state whose commit failed is thrown away and read again). It is
made of plain values, so that the shell can keep a snapshot of it. Only `evolve` writes to it, and
replay only evolves, so an upgrade of `decide` never changes history.
"""

from dataclasses import dataclass, field

from agent.core.facts import CodeKey
from agent.core.scheme import WorkOrder


@dataclass(slots=True)
class Item:
    """A unit on the belt, from its zone's first station until it leaves the zone's last gate.

    `reads` maps role -> (code, station, reader); `waiting` are the readers of the present station
    that have not reported; `fault` is a verdict that waits for the next gate; `verdict` is what was
    decided at the present gate ("" = nothing yet). `before` are the roles that were read before its
    path was disturbed: it may be another item than the one that is read after it.
    `at_ms` is when (wall clock) it triggered there. `coasting`: it was on the line when a bypass
    ended, so that its reject says nothing of the line. `test`: it came in test mode.
    `shown` are codes with which it was rejected and that may be its own, `beside` those of items
    that the gate took after this one had triggered: they may have stood in its picture. `mixed` is
    why it may have changed places with others that stand before the same gate ("" = it has not).
    """

    number: int
    order: str
    at: str
    lane: int = 0
    reads: dict[str, tuple[CodeKey, str, str]] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    fault: str = ""
    verdict: str = ""
    unit: int | None = None
    expected: CodeKey | None = None
    at_ms: int = 0
    coasting: bool = False
    before: list[str] = field(default_factory=list)
    test: bool = False
    shown: list[CodeKey] = field(default_factory=list)
    beside: list[CodeKey] = field(default_factory=list)
    mixed: str = ""

    def codes(self) -> set[CodeKey]:
        """What was read on it and may be its own."""
        return {*self.shown, *(key for key, _, _ in self.reads.values())}


@dataclass(slots=True)
class Container:
    """A container from its first stroke until it leaves its zone's last gate.

    `moved` counts children that strokes moved and no picture has shown yet; `evidence` the kinds
    of its links; `at` the station that it triggered last, `judged` whether a verdict was given
    there. `label` is the code that was printed for it, `codes` what was read on it, by role, and
    `own` where; `closed` that nothing more goes in.
    `excused` of its unknown children passed in bypass; of those that strokes moved since the last
    picture, `blank` are no unit and `took` are those that are, by what was in the lanes.
    `coasting`, `mixed`: see Item. `layer` is the index of the stroke that stands before the camera.
    `shown` are codes of its level that were read where it was judged last.
    """

    number: int
    level: str
    station: str
    order: str
    expected: int
    unit: int | None = None
    count: int = 0
    unknown: int = 0
    evidence: list[str] = field(default_factory=list)
    moved: int = 0
    last: bool = False
    full: bool = False
    fault: str = ""
    label: CodeKey | None = None
    own: str = ""
    codes: dict[str, CodeKey] = field(default_factory=dict)
    partial: str = ""
    partial_by: str = ""
    doubtful: bool = False
    at: str = ""
    judged: bool = False
    closed: bool = False
    excused: int = 0
    blank: int = 0
    coasting: bool = False
    took: list[int] = field(default_factory=list)
    layer: int = 0
    mixed: str = ""
    shown: list[CodeKey] = field(default_factory=list)


@dataclass(slots=True)
class Kept:
    """A container packed by order, as it is remembered until it is anchored: its children by place,
    the strokes that moved them (how many of each lane), whether something unexplained happened to
    them (`disturbed`), why their order was doubtful at the stroke, where its own code was read, and
    what its record was worth at closing ("" = open). `fresh`: nothing in it lay in the lanes at the
    last disturbance. `starts` are, for each stroke, the places in the lanes' orders from which it
    took. `seen` are children that were read in it later; `whole`: all of them; `fit`: as predicted.
    `changed`: a person put in or took out something since. `astray`: it was missed, or something
    else showed its code, and it was not seen since. `counted` are its children as they were counted
    in, where a slip was found and it is not known where it began; `child`: one of them was in doubt
    itself when it was packed."""

    unit: int
    children: list[int | None] = field(default_factory=list)
    strokes: list[list[int]] = field(default_factory=list)
    disturbed: bool = False
    doubt: str = ""
    fresh: bool = True
    own: str = ""
    worth: str = ""
    starts: list[list[int]] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    whole: bool = False
    fit: bool = False
    changed: bool = False
    astray: bool = False
    counted: list[int | None] = field(default_factory=list)
    child: bool = False


@dataclass(slots=True)
class Suspect:
    """Something at the infeed that may have shifted the order of a lane from there on. An item that
    was `missed` (`unit` where it is known) may lie in a lane at one of `places` (lane, place in its
    order), or be the stranger at `stranger`. A stranger, not missed, may be nothing: then its place
    is void."""

    missed: bool
    unit: int | None
    places: list[tuple[int, int]] = field(default_factory=list)
    stranger: tuple[int, int] | None = None


@dataclass(slots=True)
class Gap:
    """Containers among which a slip began, that a reading of `found` has shown: those that followed
    the last full reading before it. `behind` is what stood in each lane then, by count, `suspects`
    what was noticed."""

    found: int
    containers: list[int]
    behind: dict[int, list[int | None]] = field(default_factory=dict)
    suspects: list[Suspect] = field(default_factory=list)


@dataclass(slots=True)
class Packing:
    """How certain the order of the children is at a station that packs by order.

    `doubt` is why it is not ("" = it is); `deep`: the lanes may hold older children than those we
    know of; `event`: something unexplained happened that no container has been marked for. `taken`
    counts by lane what strokes took; what stood in a lane before `marks[lane]`, and the numbers
    `pending` on the path, were there at the last disturbance. `kept` are the last containers, the
    oldest first; `suspects` what may have shifted their order, of which `open` are waiting for the
    next item at the infeed; `last` is the place of the last one, `stranger`: nobody knows it.
    `forgotten` are containers of before `kept`, of which none was read in full.
    `gaps` are the last slips of which it is not known where they began.
    """

    doubt: str = ""
    deep: bool = False
    event: bool = False
    taken: dict[int, int] = field(default_factory=dict)
    marks: dict[int, int] = field(default_factory=dict)
    pending: list[int] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    suspects: list[Suspect] = field(default_factory=list)
    open: list[int | None] = field(default_factory=list)
    last: tuple[int, int] | None = None
    stranger: bool = False
    forgotten: list[int] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)


@dataclass(slots=True)
class Counts:
    """Per station: triggers = passed + rejected + failed + foreign + in flight (rule 4).
    `earlier` of those that arrived were on the path already when the counting began, `added` came
    onto it on the way. `unasked` are those of rejected and failed that had not triggered here."""

    triggers: int = 0
    passed: int = 0
    rejected: int = 0
    failed: int = 0
    foreign: int = 0
    entered: int = 0
    earlier: int = 0
    added: int = 0
    unasked: int = 0


@dataclass(slots=True)
class Window:
    """The codes a coder may have in hand: position -> CodeState value, in the order of sending.

    `counter` is where the device's counter stood when it was compared last (-1 = not known), and
    `proven` how many prints are proven since, by the device or by a reader. Codes that became
    suspect since and that it may print all the same: `before` those in hand now, or `behind` them.
    `seen` counts codes that were read; `doubted` are suspect codes, with what `seen` was then.
    """

    pool: int = -1
    column: int = 0
    session: int = 0
    codes: dict[int, str] = field(default_factory=dict)
    counter: int = -1
    proven: int = 0
    before: int = 0
    behind: int = 0
    seen: int = 0
    doubted: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class Tally:
    """Numbers for people, of the present order."""

    good: int = 0
    rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    closed: dict[str, int] = field(default_factory=dict)
    rejects_in_a_row: int = 0
    unseen: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Bypass:
    """Who lets the line run without coding, why, and for how many seconds from the monotonic time
    `mono_ms` on; `unseen` counts by station what passed meanwhile."""

    by: str
    reason: str
    seconds: int
    mono_ms: int
    unseen: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Trial:
    """Test mode: the work order whose scheme and pools it uses, who began it, and how many items
    were judged by verdict."""

    order: str
    by: str
    seen: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Series:
    """Rejects in a row at one station, and the number of the first."""

    count: int
    first: int


@dataclass(slots=True)
class OpenAlarm:
    priority: int
    key: str
    station: str
    item: int | None
    args: dict[str, str]
    since_ms: int
    acknowledged: bool = False


@dataclass(slots=True)
class LineState:
    """Everything the core knows of one line. `status` is idle, running or paused; `orders` are the
    line's work orders that are not long finished, for items that carry an older one.

    `items[zone][number]`, `containers[zone][number]`; `on_path[station]` are the numbers that left
    that station and have not been seen at the next; `lanes[pack station][lane]` are units (None =
    unknown) in the order in which they entered; `packing[pack station]` how certain that order is;
    `suspected[unit]` is the code that an item should have shown which showed one of this unit;
    `missed` are units that did not arrive at the end of a path, in this run of the PLC's numbers,
    and `strayed[zone]` the numbers (with the unit that each is) that a gate may still take;
    `series` are rejects in a row; `unseen[pack station]` counts what passed in bypass and is still
    on its way there, `bypass` is set while it lasts, and so is `trial` (test mode).
    `started_by` started the work order or resumed it last; `paused_by` paused it
    (core.stopping.AGENT: we did) and `paused_why` says why.
    `loose[station]` are the units whose last word was a PASS there, oldest first: whether they are
    still on the line, nobody knows after a restart.
    `settling["gate" or "path"]` are the stations at whose gate (at the end of whose path) what was
    on its way when the counting began may still arrive.

    `uncleared` are finished orders of which nobody has cleared the line.
    `tails[pack station]` is the order whose last container the agent has closed partial by itself.
    """

    line: str
    run: int = -1
    status: str = "idle"
    order: WorkOrder | None = None
    orders: dict[str, WorkOrder] = field(default_factory=dict)
    finished: list[str] = field(default_factory=list)
    uncleared: list[str] = field(default_factory=list)
    items: dict[str, dict[int, Item]] = field(default_factory=dict)
    containers: dict[str, dict[int, Container]] = field(default_factory=dict)
    on_path: dict[str, dict[int, int | None]] = field(default_factory=dict)
    lanes: dict[str, dict[int, list[int | None]]] = field(default_factory=dict)
    counts: dict[str, Counts] = field(default_factory=dict)
    windows: dict[str, Window] = field(default_factory=dict)
    unprinted: dict[str, list[int]] = field(default_factory=dict)
    unpaired: dict[str, list[CodeKey]] = field(default_factory=dict)
    partial: dict[str, tuple[str, str]] = field(default_factory=dict)
    tails: dict[str, str] = field(default_factory=dict)
    packing: dict[str, Packing] = field(default_factory=dict)
    suspected: dict[int, CodeKey] = field(default_factory=dict)
    missed: list[int] = field(default_factory=list)
    alarms: dict[str, OpenAlarm] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    series: dict[str, Series] = field(default_factory=dict)
    paused_by: str = ""
    paused_why: str = ""
    loose: dict[str, dict[int, None]] = field(default_factory=dict)
    settling: dict[str, list[str]] = field(default_factory=dict)
    bypass: Bypass | None = None
    unseen: dict[str, int] = field(default_factory=dict)
    trial: Trial | None = None
    strayed: dict[str, dict[int, int | None]] = field(default_factory=dict)
    started_by: str = ""

    @property
    def coding_for(self) -> WorkOrder | None:
        """The work order whose codes are printed: the line's, or the one that a test uses."""
        return self.order if self.trial is None else self.orders.get(self.trial.order)

    def item(self, zone: str, number: int) -> Item | None:
        return self.items.get(zone, {}).get(number)

    def container(self, zone: str, number: int) -> Container | None:
        return self.containers.get(zone, {}).get(number)

    def container_of(self, unit: int) -> Container | None:
        """The container on the line that has this unit id."""
        for zone in self.containers.values():
            for container in zone.values():
                if container.unit == unit:
                    return container
        return None

    def count(self, station: str) -> Counts:
        return self.counts.setdefault(station, Counts())

    def window(self, station: str) -> Window:
        return self.windows.setdefault(station, Window())
