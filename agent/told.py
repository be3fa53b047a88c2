"""Sentences about devices, in both languages: who raises one gives its key and what fills it.

The texts stand with the page that shows them, `found.*` in agent/web/device/text.{zh,en}.json. Keys
of faults and warnings in a sentence (`ribbon_out`) have words of their own there.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

from agent.core.errors import Said, say

Language = Literal["zh", "en"]

_TEXTS = Path(__file__).parent / "web" / "device"
_HOLE = re.compile(r"\{(\w+)\}")
_KEYED = {"faults": "fault", "warning": "warning"}


def told(key: str, /, **args: object) -> tuple[str, Said]:
    """An error's two arguments: the sentence `key` in English for the log, and the same for people
    of any language. KeyError if the catalogue does not know it."""
    said = say(key, **args)
    return spoken("en", said), said


def spoken(language: Language, said: Said) -> str:
    """A sentence about a device; KeyError if the catalogue does not know it."""
    texts = _texts(language)
    holes = {name: _filled(language, name, value) for name, value in said.args.items()}
    return _HOLE.sub(lambda hole: holes.get(hole[1], hole[0]), texts[f"found.{said.key}"])


def _filled(language: Language, name: str, value: str | Said) -> str:
    if isinstance(value, Said):
        return spoken(language, value)
    if name not in _KEYED or language == "en":  # in English the keys are words
        return value
    texts = _texts(language)
    each = (texts.get(f"{_KEYED[name]}.{key}", key) for key in value.split(", "))
    return texts["devices.comma"].join(each)


@cache
def _texts(language: Language) -> Mapping[str, str]:
    found: dict[str, str] = json.loads((_TEXTS / f"text.{language}.json").read_text("utf-8"))
    return found
