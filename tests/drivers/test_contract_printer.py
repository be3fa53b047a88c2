"""Every scene of the printers' contract with every printer of the table."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from drivers.sim.proving import BENCHES
from tests.drivers.contract_printer import (
    CASES,
    SCENES,
    WRONG,
    another_device_answers,
    something_else_answers,
)


def play(scene: Coroutine[Any, Any, None]) -> None:
    """Run a scene; no task may outlive it."""

    async def guarded() -> None:
        await scene
        me = asyncio.current_task()
        left = [task for task in asyncio.all_tasks() if task is not me]
        if left:
            await asyncio.wait(left, timeout=1)
        assert not [task for task in left if not task.done()]

    asyncio.run(guarded())


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
@pytest.mark.parametrize("name", CASES)
def test_the_contract_of_printers(name: str, scene: Any) -> None:
    play(scene(name))


@pytest.mark.parametrize("name", CASES)
def test_something_else_answers_at_its_address(name: str) -> None:
    async def all_at_once() -> None:
        async with asyncio.TaskGroup() as group:
            for kind, said in WRONG.items():
                group.create_task(something_else_answers(name, said), name=kind)

    play(all_at_once())


@pytest.mark.parametrize("name", CASES)
def test_another_makers_device_answers_at_its_address(name: str) -> None:
    play(another_device_answers(name, "codenet" if name.startswith("zipher") else "zipher"))


def test_every_printer_that_is_proven_keeps_the_contract() -> None:
    assert {name.partition("/")[0] for name in BENCHES} <= set(CASES)
