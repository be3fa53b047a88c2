"""A pallet's whole way with every process real: made by the line, shipped by a PDA, announced by
the cloud, received at a dealer's agent; one case of it turns up at the wrong dealer."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from agent.demo.story import whole_pallet
from tests.e2e.test_demo import FIRST

CASES = [f"case {n}" for n in range(8)]


def row(level: str, code: str, children: list[str | None], **more: Any) -> dict[str, Any]:
    plain = {"integrity": "proven", "state": "packed", "doubtful": False}
    return {"level": level, "code": code, "children": children, **plain, **more}


def full(case: str) -> list[str | None]:
    return [f"{case}/{n}" for n in range(24)]


def test_only_a_pallet_that_is_proven_down_to_the_bottle_is_followed() -> None:
    """A pallet is formed before its last cases are."""
    pallet = row("pallet", "P", list(CASES))
    cases = [row("case", case, full(case)) for case in CASES]
    assert whole_pallet([pallet, *cases]) == ("P", {case: full(case) for case in CASES})
    for change in ({"doubtful": True}, {"integrity": "inferred"}, {"state": "rejected"}):
        assert whole_pallet([pallet, *cases[1:], {**cases[0], **change}]) is None
        assert whole_pallet([{**pallet, **change}, *cases]) is None
    assert whole_pallet([pallet, *cases[1:], row("case", CASES[0], [*full("c")[1:], None])]) is None


def test_every_bottle_of_a_pallet_is_followed_to_the_dealers(tmp_path: Path) -> None:
    command = [*FIRST, sys.executable, "-m", "agent.cli", "demo", "--story", "--bottles", "400"]
    done = subprocess.run(
        [*command, "--json", "--no-web", "--keep", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.stdout, done.stderr
    result = json.loads(done.stdout)
    assert "story" in result, done.stderr
    story = result["story"]
    # (A machine that is too slow rejects good bottles; that is another test's affair.)
    assert story["good"], story
    assert not any(result[f"cloud_{what}"] for what in ("missing", "extra", "wrong"))
    assert (story["bottles"], story["answered"], story["shipment"]) == (192, 192, "closed")
    assert story["diversions"] == [f"open: {story['diverted']}"]
    # The dealer's agent never had a line: what it knows of the bottles came with the advice.
    names = {path.name.split("-0", 1)[0] for path in (tmp_path / "documents").iterdir()}
    assert {"demo.plant-1.dealer-1", "demo.plant-1.hosted-1", "demo.plant-1.bottling-1"} <= names
