"""Sentences about devices, in both languages: who raises one gives its key and what fills it.

The texts stand with the page that shows them, `found.*` in agent/web/device/text.{zh,en}.json. Keys
of faults and warnings in a sentence (`ribbon_out`) have words of their own there.
"""

import errno
import json
import os
import re
import socket
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from agent.core.errors import CaselinkError, DomainError, Said, say

Language = Literal["zh", "en"]

_PAGES = Path(__file__).parent / "web"
HOLE = re.compile(r"\{(\w+)\}")
"""What fills a text stands in it by its name."""
_OS = {
    errno.EACCES: "os_denied",
    errno.EADDRINUSE: "os_in_use",
    errno.EADDRNOTAVAIL: "os_no_address",
    errno.EBUSY: "os_busy",
    errno.ECONNREFUSED: "os_refused",
    errno.ECONNRESET: "os_reset",
    errno.EHOSTUNREACH: "os_no_route",
    errno.EIO: "os_io",
    errno.EISDIR: "os_folder",
    errno.ENETUNREACH: "os_no_network",
    errno.ENODEV: "os_no_device",
    errno.ENOENT: "os_no_file",
    errno.ENOSPC: "os_full",
    errno.ENOTDIR: "os_no_folder",
    errno.EPERM: "os_not_permitted",
    errno.EPIPE: "os_pipe",
    errno.ETIMEDOUT: "os_timeout",
    socket.EAI_NONAME: "os_no_name",
    socket.EAI_AGAIN: "os_no_name_now",
}
_KEYED = {"faults": "fault", "warning": "warning"}


def told(key: str, /, **args: object) -> tuple[str, Said]:
    """An error's two arguments: the sentence `key` in English for the log, and the same for people
    of any language. KeyError if the catalogue does not know it."""
    said = say(key, **args)
    return spoken("en", said), said


def os_said(error: Exception) -> Said:
    """What the operating system says, without its number and without what it was asked about: the
    sentence around it names that. Any other error in its own words."""
    if not isinstance(error, OSError):
        return say("plain", words=error)
    number = error.errno or 0
    if number in _OS:
        return say(_OS[number])
    # asyncio has words of its own for numbers of the system; a name not found, numbers of its own.
    return say("plain", words=os.strerror(number) if number > 0 else error.strerror or error)


def spoken(language: Language, said: Said) -> str:
    """A sentence about a device; KeyError if the catalogue does not know it."""
    texts = _texts(language)
    holes = {name: _filled(language, name, value) for name, value in said.args.items()}
    return HOLE.sub(lambda hole: holes.get(hole[1], hole[0]), texts[f"found.{said.key}"])


def refusal(language: Language, error: CaselinkError) -> str:
    """What an error says of a device; in English where the catalogue does not know it."""
    if error.said is not None:
        return spoken(language, error.said)
    reason = error.reason if isinstance(error, DomainError) else ""
    return str(error) if language == "en" else _texts(language).get(f"refused.{reason}", str(error))


def _filled(language: Language, name: str, value: str | Said) -> str:
    if isinstance(value, Said):
        return spoken(language, value)
    if name not in _KEYED or language == "en":  # in English the keys are words
        return value
    texts = _texts(language)
    each = (texts.get(f"{_KEYED[name]}.{key}", key) for key in value.split(", "))
    return texts["devices.comma"].join(each)


def _texts(language: Language) -> Mapping[str, str]:
    return texts_of("device", language)


@cache
def texts_of(page: str, language: Language) -> Mapping[str, Any]:
    """Every text of a page by its key; an entry is a text, or `one` and `other` of them."""
    file = _PAGES / page / f"text.{language}.json"
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return found
