"""Sentences about devices: every error that a driver raises for a person has both languages."""

import ast
import errno
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from agent.core.errors import say
from agent.told import os_said, spoken, told

ROOT = Path(__file__).parents[1]
TEXTS = ROOT / "agent" / "web" / "device"
ERRORS = frozenset({"TransientError", "ConfigError", "PictureError", "Refused"})
HEARD = ("drivers/**/*.py", "agent/line/*.py", "agent/supervisor.py", "agent/app/checking.py")
"""Whose errors stand on the page of devices and in `caselink device` and `caselink camera`."""
SAYING = re.compile(r"from agent\.(told|core\.errors) import (\([^)]*|[^(\n]*)\b(told|say)\b")
SAYS = {"told": "", "say": "", "_good": "plc_", "_bad": "plc_", "_said": ""}
"""Functions that take a sentence's key first, and what they put before it."""


@cache
def texts(language: str) -> dict[str, str]:
    known = json.loads((TEXTS / f"text.{language}.json").read_text("utf-8"))
    return {k.removeprefix("found."): v for k, v in known.items() if k.startswith("found.")}


def sources(*patterns: str) -> Iterator[tuple[str, ast.Module]]:
    for pattern in patterns:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith("drivers/sim/"):  # the simulated plant raises to nobody
                yield name, ast.parse(path.read_text("utf-8"))


@cache
def speakers() -> list[tuple[str, ast.Module]]:
    """Every module that says sentences."""
    found = []
    for path in sorted([*ROOT.glob("agent/**/*.py"), *ROOT.glob("drivers/**/*.py")]):
        source = path.read_text("utf-8")
        if SAYING.search(source):
            found.append((path.relative_to(ROOT).as_posix(), ast.parse(source)))
    return found


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            yield getattr(called, "id", getattr(called, "attr", "")), node


def holes(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def in_english_only(tree: ast.Module) -> Iterator[int]:
    """Lines that make an error of words which no catalogue has: `told` gives both arguments, and
    whoever hands on another's error hands on what that says, too."""
    for name, call in calls(tree):
        if name in ERRORS and len(call.args) + len(call.keywords) < 2:
            given = call.args[0] if call.args else None
            if not isinstance(given, ast.Starred):
                yield call.lineno


def test_no_driver_raises_what_only_english_has() -> None:
    heard = list(sources(*HEARD))
    assert [f"{name}:{at}" for name, tree in heard for at in in_english_only(tree)] == []
    assert sum(called in ERRORS for _, tree in heard for called, _ in calls(tree)) > 100


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("raise TransientError(f'{name} is gone')", [1]),
        ("raise errors.ConfigError('no')", [1]),
        ("raise TransientError(*told('lost', name=name))", []),
        ("raise TransientError(str(error), error.said)", []),
        ("raise ValueError('a config model says this')", []),
    ],
)
def test_the_search_finds_such_an_error(source: str, lines: list[int]) -> None:
    assert list(in_english_only(ast.parse(source))) == lines


def test_every_sentence_that_is_said_is_known_and_filled() -> None:
    said = 0
    for name, tree in speakers():
        for called, call in calls(tree):
            if called not in SAYS or not call.args or (called == "_said" and "readers" not in name):
                continue
            if called in ("_good", "_bad") and name != "drivers/plc/walk.py":
                continue
            key = call.args[0]
            if not (isinstance(key, ast.Constant) and isinstance(key.value, str)):
                continue
            word = SAYS[called] + key.value
            assert word in texts("en"), f"{name}:{call.lineno}: nobody knows {word}"
            given = {each.arg for each in call.keywords}
            if None not in given and called != "_said":  # else some come from elsewhere
                assert given == holes(texts("en")[word]), f"{name}:{call.lineno}: {word}"
            said += 1
    assert said > 250


def test_nobody_keeps_a_sentence_that_is_never_said() -> None:
    there: set[str] = set()
    begun: set[str] = set()
    for _, tree in speakers():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                there |= {node.value, f"plc_{node.value}"}
            elif isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                begun.add(str(node.values[0].value))
    begun = {each for each in begun if re.fullmatch(r"[a-z_]+_", each)}
    unsaid = [key for key in texts("en") if key not in there and not key.startswith(tuple(begun))]
    assert unsaid == []
    assert {"state_", "stranger_", "advice_"} <= begun
    assert len(begun) < 12, begun


def test_an_error_says_the_same_to_the_log_and_to_people() -> None:
    words, said = told("camera_lost", name="c1", who=say("camera_only_basler"), why="E1")
    assert words == "camera c1: the only Basler camera is lost: E1; check its cable and its power"
    assert spoken("en", said) == words
    assert spoken("zh", said) == "相机 c1：唯一的 Basler 相机 已断开：E1；请检查线缆和电源"
    with pytest.raises(KeyError):
        told("nobody_says_this")


def test_faults_and_warnings_in_a_sentence_have_words_too() -> None:
    said = say("cannot_print", faults="ribbon_out, some_own_word")
    assert "碳带用尽、some_own_word" in spoken("zh", said)
    assert "ribbon_out" in spoken("en", said)
    assert "墨水" in spoken("zh", say("warning", warning="ink_low"))


def test_what_the_system_refuses_has_words_too() -> None:
    with pytest.raises(OSError, match="nothere") as gone:
        (ROOT / "nothere").stat()
    assert spoken("zh", os_said(gone.value)) == "不存在"
    assert spoken("en", os_said(gone.value)) == "No such file or directory"
    # asyncio words it anew, and names the address once more.
    bound = OSError(errno.EADDRINUSE, "error while attempting to bind on address ('', 80): in use")
    assert spoken("en", os_said(bound)) == "Address already in use"
    assert spoken("zh", os_said(OSError(errno.ENOTEMPTY, "x"))) == "Directory not empty"
    assert spoken("zh", os_said(OSError("port is closed"))) == "port is closed"
