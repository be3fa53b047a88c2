"""What became of the codes a printer had in hand, when its session ended or its counter disagrees.

The device's counter is held against what is proven printed since it was compared last. What it
counted beyond that came out, first in, first out; the rest is void if the device acknowledged an
empty queue and its counter stands still, else suspect. A code that was being handed over is never
void: its bytes may still be on their way. Where anything contradicts, all is suspect: the reader
behind the printer settles it.
"""

from collections.abc import Collection

from agent.core import facts as f
from agent.core import inputs as i
from agent.core.life import CodeState
from agent.core.outcome import Outcome
from agent.core.plan import Station
from agent.core.pools import IN_DOUBT, runs
from agent.core.state import Window

COUNTER = 3
"""ports.Evidence of a print that only the device's counter tells of."""


def move(
    out: Outcome,
    station: Station,
    window: Window,
    positions: Collection[int],
    to: CodeState,
    evidence: int = 0,
    why: str = "",
) -> None:
    """Say that these codes of the window changed state."""
    of = window.pool, window.column
    by = station.device, window.session
    out.facts += [
        f.CodesMoved(*of, first, count, to, *by, evidence, why) for first, count in runs(positions)
    ]


def recover(out: Outcome, station: Station, window: Window, what: i.PrinterConnected) -> None:
    """A new session: what the last one had in hand is printed, void or suspect."""
    in_hand = [p for p, state in window.codes.items() if state in IN_DOUBT]
    came_out = _came_out(window, what, in_hand)
    printed = in_hand[:came_out] if came_out is not None else []
    move(out, station, window, printed, CodeState.PRINTED, COUNTER, "inferred")
    rest = in_hand[len(printed) :]
    removed = [
        p
        for p in rest
        if window.codes[p] == CodeState.ACCEPTED
        and came_out is not None
        and what.cleared
        and what.steady
    ]
    move(out, station, window, removed, CodeState.VOID, why="cleared")
    doubtful = [p for p in rest if p not in removed]
    if doubtful:
        out.alarm("print_unconfirmed", 3, station.id, count=str(len(doubtful)))
    move(out, station, window, doubtful, CodeState.SUSPECT, why="printer_session")


def _came_out(window: Window, what: i.PrinterConnected, in_hand: list[int]) -> int | None:
    """How many of the codes in hand were printed; None: nobody can say."""
    many = len(in_hand)
    told = in_hand.index(what.last) + 1 if what.last in in_hand else None
    if what.counter < 0 or window.counter < 0:
        return told
    expected = window.counter + window.proven
    moved = what.counter - expected
    # One that was switched off counts from 0 again. It has not printed more than it had in hand,
    # so that it would have gone back, if it had counted more than that before.
    may_be_new = not what.kept and expected <= many + window.before + window.behind
    if moved < 0 or moved > many + window.before + window.behind or may_be_new:
        return None
    if window.before:  # which of them it was, those or the ones in hand, the count does not say
        return 0 if moved == 0 and told is None else None
    moved = min(moved, many)
    return moved if told is None or told == moved else None


def counted(out: Outcome, station: Station, window: Window, what: i.PrinterCounted) -> None:
    """The counter was compared. If it disagrees, every code since the last time that nobody has
    read is suspect: one of them was printed unreported, or reported and not printed."""
    if what.missing:
        since = [p for p, state in window.codes.items() if state != CodeState.ALLOCATED]
        out.alarm("print_count", 2, station.id, count=str(len(since)), missing=str(what.missing))
        move(out, station, window, since, CodeState.SUSPECT, why="counter_differs")
    out.facts.append(
        f.PrinterCounted(station.id, station.device, window.session, what.counter, what.missing)
    )


def due(station: Station, window: Window) -> list[int]:
    """Suspect codes that cannot arrive any more: so many later ones were read."""
    enough = window.seen - station.unseen_after
    return [p for p, seen in window.doubted.items() if seen <= enough]


def settle(out: Outcome, station: Station, window: Window) -> None:
    """Suspect codes that nobody has seen and that cannot arrive any more are void."""
    late = due(station, window)
    if not late:
        return
    still = {
        position
        for run in out.known.runs
        if run.column == window.column and run.state is CodeState.SUSPECT
        for position in range(run.first, run.first + run.many)
    }
    move(out, station, window, [p for p in late if p in still], CodeState.VOID, why="not_seen")
