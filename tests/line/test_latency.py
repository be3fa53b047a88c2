"""How long verdicts took: percentiles of what was measured, and a bound on what is remembered."""

from hypothesis import given
from hypothesis import strategies as st

from agent.line.latency import KEPT, Latency, VerdictTime


def took(total: float) -> VerdictTime:
    return VerdictTime(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, total)


def test_without_a_verdict_there_is_nothing_to_say() -> None:
    assert Latency().percentiles() == {}
    assert Latency().last() is None


def test_percentiles_are_in_milliseconds_per_part() -> None:
    latency = Latency()
    for n in range(1, 101):
        latency.add(took(n / 1000))
    table = latency.percentiles()
    assert set(table) == {"frame", "decode", "queue", "decide", "commit", "write", "total"}
    assert table["total"] == {"p50": 51.0, "p95": 96.0, "p99": 100.0, "max": 100.0}
    assert latency.percentiles(10)["total"] == {
        "p50": 96.0,
        "p95": 100.0,
        "p99": 100.0,
        "max": 100.0,
    }
    assert latency.percentiles(0) == {}
    assert (latency.last(), latency.count) == (took(0.1), 100)


def test_only_the_last_ones_count() -> None:
    latency = Latency()
    latency.add(took(99.0))
    for _ in range(KEPT):
        latency.add(took(0.001))
    assert latency.percentiles()["total"]["max"] == 1.0


@given(st.lists(st.floats(0, 10), min_size=1, max_size=50))
def test_percentiles_are_ordered_and_were_measured(totals: list[float]) -> None:
    latency = Latency()
    for total in totals:
        latency.add(took(total))
    table = latency.percentiles()["total"]
    assert table["p50"] <= table["p95"] <= table["p99"] <= table["max"]
    assert set(table.values()) <= {round(total * 1000, 3) for total in totals}
