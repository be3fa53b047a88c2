"""Broker, consumer and agent of the demonstration are killed while bottles come: the cloud ends up
with what the record has."""

from pathlib import Path

from tests.e2e.test_demo import demo

KILLS = ("--kills", "3", "--seed", "4")
"""These dice kill consumer and broker too."""


def test_what_the_killed_ones_left_reaches_the_cloud_once(tmp_path: Path) -> None:
    status, result = demo(tmp_path, *KILLS)
    assert status == 0, result
    assert result["bottles"] > 0
    # Each closed container is a document at least.
    documents = len(list((tmp_path / "documents").iterdir()))
    assert documents >= max(1, sum(result["containers"].values()))
    assert [result[f"cloud_{name}"] for name in ("missing", "extra", "wrong")] == [0, 0, 0]
    assert (tmp_path / "broker.log").read_text("utf-8").count("broker listening") == 2
