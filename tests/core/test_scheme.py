"""Packing schemes are data: any number of levels with any names, and what cannot be one."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.scheme import LevelSpec, PackingScheme
from tests.core.lines import order

LIQUOR = PackingScheme(
    "liquor",
    (
        LevelSpec("bottle", "body", ("body", "cap-inner"), secret=("cap-inner",)),
        LevelSpec("box", "box", ("box",), children=1),
        LevelSpec("case", "case-outer", ("case-inner", "case-outer"), children=6, unknown=1),
        LevelSpec("pallet", "pallet", ("pallet",), children=4),
    ),
)


def test_a_liquor_scheme_has_four_levels() -> None:
    assert LIQUOR.level("case").children == 6
    assert LIQUOR.below("case") == LIQUOR.level("box")
    assert LIQUOR.below("bottle") is None
    with pytest.raises(KeyError):
        LIQUOR.level("crate")


@pytest.mark.parametrize(
    ("level", "said"),
    [
        ({"primary": "neck"}, "primary role neck is not one of its roles"),
        ({"optional": ("neck",)}, "are not roles of this level"),
        ({"secret": ("neck",)}, "are not roles of this level"),
        ({"optional": ("body",)}, "primary role cannot be optional"),
        ({"unknown": 1}, "unknown must lie between 0 and 0"),
        ({"children": 6, "unknown": 7}, "unknown must lie between 0 and 6"),
        ({"children": 6, "unknown": -1}, "unknown must lie between 0 and 6"),
    ],
)
def test_a_level_that_contradicts_itself_is_refused(level: dict[str, Any], said: str) -> None:
    plain: dict[str, Any] = {"name": "bottle", "primary": "body", "roles": ("body", "cap")}
    with pytest.raises(ValueError, match=said):
        LevelSpec(**plain | level)


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        ((), "there must be one"),
        (
            (LevelSpec("a", "r", ("r",)), LevelSpec("a", "r", ("r",), children=2)),
            "names must differ",
        ),
        ((LevelSpec("a", "r", ("r",), children=2),), "level a must hold no children"),
        ((LevelSpec("a", "r", ("r",)), LevelSpec("b", "r", ("r",))), "level b must hold one child"),
    ],
)
def test_a_scheme_that_cannot_be_packed_is_refused(levels: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PackingScheme("s", levels)


@given(st.lists(st.integers(1, 1000), max_size=6))
def test_any_hierarchy_can_be_described(counts: list[int]) -> None:
    levels = [LevelSpec("l0", "r", ("r",))]
    levels += [LevelSpec(f"l{n}", "r", ("r",), children=c) for n, c in enumerate(counts, start=1)]
    scheme = PackingScheme("any", tuple(levels))
    for below, level in pairwise(levels):
        assert scheme.below(level.name) is below


def test_a_role_without_a_pool_accepts_any_pool_of_the_product() -> None:
    made = order(pools={"bottle/body": 7})
    assert (made.pool("bottle", "body"), made.pool("bottle", "cap")) == (7, None)
