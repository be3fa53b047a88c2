"""Every refusal that the agent can give has its words in both languages, on the page where it can
come: the panel's, the warehouse's or the PDA's."""

import json
import re
from pathlib import Path

import pytest

from agent.core import codes, poolfile, pools
from sync import kinds

ROOT = Path(__file__).resolve().parents[2] / "agent"
MADE = {"child_child", "child_held", "child_wrong_product", "child_wrong_lot"}
"""Reasons that are put together: see core.rework."""


def reasons() -> set[str]:
    found = set(MADE) | codes.REASONS | poolfile.REASONS | pools.REASONS | kinds.POOL_REASONS
    for path in [*ROOT.rglob("*.py"), *ROOT.with_name("sync").glob("*.py")]:
        source = path.read_text("utf-8")
        found |= set(re.findall(r'DomainError\(\s*"([a-z0-9_]+)"', source))
        found |= set(re.findall(r'_Refusal\(\s*\d+,\s*"([a-z0-9_]+)"', source))
    return found


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_reason_has_its_words(language: str) -> None:
    words: dict[str, str] = {}
    for path in sorted(ROOT.glob(f"web/*/text.{language}.json")):
        words |= json.loads(path.read_text("utf-8"))
    assert len(reasons()) > 60
    assert sorted(r for r in reasons() if not words.get(f"refused.{r}")) == []
