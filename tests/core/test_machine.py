"""Rules 1-5 and 8 hold on three lines whatever goes wrong: a short run of the state machine.

The long one: `python -m tests.core.machine --steps 1000000`.
"""

import pytest

from tests.core.machine import run
from tests.core.sites import SITES


@pytest.mark.parametrize("site", SITES)
def test_no_rule_is_broken(site: str) -> None:
    run(site, examples=12, steps=25, number=2026)
