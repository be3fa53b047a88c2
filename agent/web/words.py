"""The message catalogue for programs other than the panel: the same texts, the same holes."""

from collections.abc import Mapping
from typing import Any

from agent.told import HOLE, Language, texts_of


def catalogue(language: Language) -> Mapping[str, Any]:
    """Every text of a language by its key; an entry is a text, or `one` and `other` of them."""
    return texts_of("panel", language)


def refusal(language: Language, reason: str, otherwise: str) -> str:
    """What a person is told of a refusal: the words of who scans before those of the panel."""
    key = f"refused.{reason}"
    found = texts_of("scan", language).get(key) or catalogue(language).get(key)
    return found if isinstance(found, str) and not HOLE.search(found) else otherwise


def wanted_language(accepted: str) -> Language:
    """The first of our languages in an Accept-Language header; English without one."""
    for part in accepted[:200].split(","):
        tag = part.split(";")[0].strip().lower()
        if tag.startswith("zh"):
            return "zh"
        if tag.startswith("en"):
            return "en"
    return "en"


def text(language: Language, key: str, /, **holes: object) -> str:
    """The text of a key with its holes filled; KeyError if there is none."""
    entry = catalogue(language)[key]
    if isinstance(entry, dict):
        entry = entry["one"] if str(holes.get("n")) == "1" and "one" in entry else entry["other"]
    return HOLE.sub(lambda hole: str(holes.get(hole[1], hole[0])), str(entry))


def alarm_words(language: Language, key: str, args: Mapping[str, str]) -> tuple[str, str, str, str]:
    """What an alarm is called, what it concerns, its cause, and what to do. `args` are those of the
    live feed, `station` and `item` among them."""
    words = catalogue(language)
    known = f"alarm.{key}.title" in words
    title, cause, remedy = (
        text(language, f"alarm.{key if known else 'other'}.{part}", **{"key": key, **args})
        for part in ("title", "cause", "do")
    )
    concerned = []
    for name, value in args.items():
        if value == "" or f"arg.{name}" not in words:
            continue
        if name == "station" and value == args.get("device"):
            continue  # it is the device that is meant
        word = f"why.{value}"
        if name == "verdict" and word in words:
            value = text(language, word)
        concerned.append(text(language, f"arg.{name}", value=value))
    return title, " · ".join(concerned), cause, remedy
