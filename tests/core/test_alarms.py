"""Every alarm that the code can raise is known, and has a cause and a remedy in both languages."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.outcome import CONDITION_ALARMS, EVENT_ALARMS
from agent.core.stopping import STOPS
from agent.line.wishes import FLAG_ALARMS
from agent.told import Language
from agent.web import words

AGENT = Path(words.__file__).parents[1]
ROOMS = ("core", "line", "app", "services")
KNOWN = EVENT_ALARMS | CONDITION_ALARMS
LANGUAGES: tuple[Language, ...] = ("zh", "en")


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for room in ROOMS:
        for path in sorted((AGENT / room).rglob("*.py")):
            yield path, ast.parse(path.read_text("utf-8"))


def raised() -> dict[str, str]:
    """Key -> where `out.alarm` or ConditionChanged names it as a plain text."""
    found = {}
    for path, tree in sources():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            place = {"alarm": 0, "ConditionChanged": 3}.get(name)
            if place is None or len(node.args) <= place:
                continue
            key = node.args[place]
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                found[key.value] = f"{path.relative_to(AGENT)}:{node.lineno}"
    return found


def texts() -> set[str]:
    """Every text that stands in the code, but for the lists of alarms themselves."""
    return {
        node.value
        for path, tree in sources()
        if path.name != "outcome.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_every_alarm_that_is_raised_is_an_event_or_a_condition() -> None:
    found = raised()
    assert len(found) > 8
    unknown = {key: at for key, at in found.items() if key not in KNOWN}
    assert not unknown, f"name them in core/outcome.py: {unknown}"
    assert not EVENT_ALARMS & CONDITION_ALARMS
    assert KNOWN >= STOPS
    assert set(FLAG_ALARMS) <= CONDITION_ALARMS


def test_no_alarm_is_known_that_nothing_raises() -> None:
    assert KNOWN - texts() == frozenset()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_alarm_has_title_cause_and_remedy_and_no_other_has(language: Language) -> None:
    catalogue = words.catalogue(language)
    for key in KNOWN:
        for part in ("title", "cause", "do"):
            assert catalogue.get(f"alarm.{key}.{part}"), f"alarm.{key}.{part} ({language})"
    written = {match[1] for name in catalogue if (match := re.match(r"alarm\.(\w+)\.", name))}
    assert written - KNOWN == {"other"}


def test_an_alarm_in_words() -> None:
    args = {"station": "verify", "item": "7", "verdict": "count", "error": "x"}
    title, concerns, cause, remedy = words.alarm_words("zh", "container_refused", args)
    assert (title, concerns) == ("整箱被剔除", "工位 verify · 第 7 件 · 数量不符")
    assert cause != remedy
    _, concerns, *_ = words.alarm_words("en", "device_lost", {"station": "ink", "device": "ink"})
    assert concerns == "ink"  # and not "station ink"
    title, concerns, *_ = words.alarm_words("en", "never_heard_of", {"station": ""})
    assert "never_heard_of" in title
    assert concerns == ""
