"""Whose turn it is to be written: lines first, short jobs ride with them, nobody waits for ever."""

from concurrent.futures import Future
from typing import Any

from agent.store.turns import GROUP, PATIENCE, RIDE, WAITING, Turn, Turns

LINE, REPORT, SHORT, ANY = Turn


class Bench:
    """Turns with a clock that the test moves, and jobs that are named by what they return."""

    def __init__(self) -> None:
        self.at = 100.0
        self.turns = Turns(lambda: self.at)

    def put(self, *names: str, turn: Turn) -> None:
        for name in names:
            assert self.turns.put(lambda conn, name=name: name, Future(), turn)  # type: ignore[misc]

    def transaction(self, *, each: float = 0.0) -> list[str]:
        """The jobs of the next transaction, each of which takes `each` seconds; it is durable."""
        nowhere: Any = None
        found, next_one = [], self.turns.first()
        while next_one is not None:
            found.append(next_one.job(nowhere))
            self.at += each
            next_one = self.turns.more()
        self.turns.wrote()
        return found

    def line_writes(self) -> None:
        self.put("line", turn=LINE)
        assert self.transaction() == ["line"]


def test_a_line_goes_before_those_who_came_earlier() -> None:
    bench = Bench()
    bench.put("pool 1", "pool 2", turn=ANY)
    bench.put("verdict", turn=LINE)
    assert bench.transaction() == ["verdict"]
    assert bench.transaction() == ["pool 1", "pool 2"]


def test_a_transaction_of_others_ends_when_a_line_waits() -> None:
    bench = Bench()
    bench.put("pool 1", "pool 2", "pool 3", turn=ANY)
    first = bench.turns.first()
    assert first is not None
    bench.put("verdict", turn=LINE)
    assert bench.turns.more() is None
    assert bench.transaction() == ["verdict"]
    assert bench.transaction() == ["pool 2", "pool 3"]


def test_a_short_job_goes_with_the_line_s_report() -> None:
    bench = Bench()
    bench.put("scan", turn=SHORT)
    bench.put("passed", "stroke", turn=REPORT)
    assert bench.transaction() == ["passed", "stroke", "scan"]


def test_a_verdict_carries_nobody() -> None:
    bench = Bench()
    bench.line_writes()
    bench.put("scan", turn=SHORT)
    bench.put("verdict", turn=LINE)
    assert bench.transaction() == ["verdict"]
    bench.put("passed", turn=REPORT)
    bench.put("verdict", turn=LINE)
    assert bench.transaction() == ["passed", "verdict"]
    bench.put("passed", turn=REPORT)
    assert bench.transaction() == ["passed", "scan"]


def test_short_jobs_go_along_only_for_a_moment() -> None:
    bench = Bench()
    bench.line_writes()
    bench.put("a", "b", "c", "d", turn=SHORT)
    bench.put("passed", turn=REPORT)
    assert bench.transaction(each=0.6 * RIDE) == ["passed", "a", "b"]
    bench.put("passed", turn=REPORT)
    assert bench.transaction(each=5 * RIDE) == ["passed", "c"]


def test_short_jobs_go_by_themselves_while_no_line_waits() -> None:
    bench = Bench()
    bench.line_writes()
    bench.put("scan 1", "scan 2", turn=SHORT)
    assert bench.transaction() == ["scan 1", "scan 2"]


def test_what_others_wrote_does_not_make_a_line_lively() -> None:
    bench = Bench()
    bench.put("pool", turn=ANY)
    assert bench.transaction() == ["pool"]
    assert not bench.turns.lively
    bench.put("scan", turn=SHORT)
    assert bench.transaction() == ["scan"]
    bench.line_writes()
    assert bench.turns.lively


def test_nobody_waits_for_ever_behind_lines() -> None:
    bench = Bench()
    bench.put("pool 1", "pool 2", turn=ANY)
    bench.at += 1.01 * PATIENCE
    bench.put("verdict", turn=LINE)
    assert bench.transaction() == ["pool 1"]  # one, as a line waits


def test_a_transaction_has_an_end() -> None:
    bench = Bench()
    bench.put(*(str(n) for n in range(GROUP + 1)), turn=LINE)
    assert len(bench.transaction()) == GROUP
    assert len(bench.transaction()) == 1


def test_others_who_fill_their_queue_do_not_shut_out_a_line() -> None:
    bench = Bench()
    bench.put(*(str(n) for n in range(WAITING)), turn=ANY)
    assert not bench.turns.put(lambda conn: None, Future(), ANY)
    bench.put("verdict", turn=LINE)
    assert bench.transaction() == ["verdict"]


def test_at_the_end_all_that_waits_is_handed_out() -> None:
    bench = Bench()
    bench.line_writes()
    bench.put("scan", turn=SHORT)
    bench.turns.close()
    assert bench.transaction() == ["scan"]
    assert bench.turns.first() is None
