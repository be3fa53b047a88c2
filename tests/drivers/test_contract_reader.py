"""Every scene of the readers' contract with every reader: tests/drivers/contract_reader.py."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.drivers.contract_printer import WRONG
from tests.drivers.contract_reader import CASES, SCENES, answers, fits, something_else_answers

PLAYS = [
    pytest.param(name, scene, id=f"{name}-{scene.__name__}")
    for name in CASES
    for scene in SCENES
    if fits(name, scene)
]
TCP = [name for name, case in CASES.items() if case.kind == "tcp"]
STRANGERS = [(name, what) for name in TCP for what in WRONG if what != "silent" or answers(name)]


@pytest.mark.parametrize(("name", "scene"), PLAYS)
def test_scene(name: str, scene: Callable[[str], Awaitable[None]]) -> None:
    asyncio.run(scene(name))  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "what"), STRANGERS)
def test_wrong_port(name: str, what: str) -> None:
    asyncio.run(something_else_answers(name, what))
