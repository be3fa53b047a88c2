"""Exceptions that name the remedy. Anything else that is raised is a bug and is loud."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Union


class Said(NamedTuple):
    """A sentence for people without its language: its key in the message catalogue of devices
    (`agent/web/device/text.{zh,en}.json`, under `found.`), and what fills its holes."""

    key: str
    args: Mapping[str, Union[str, "Said"]]


def say(key: str, /, **args: object) -> Said:
    """The sentence `key`, with these things in its holes."""
    return Said(key, {k: v if isinstance(v, Said) else str(v) for k, v in args.items()})


def said_data(said: Said | None) -> dict[str, Any] | None:
    """The same as JSON has it."""
    if said is None:
        return None
    args = {k: said_data(v) if isinstance(v, Said) else v for k, v in said.args.items()}
    return {"key": said.key, "args": args}


def said_of(data: Mapping[str, Any]) -> Said:
    """What `said_data` gave."""
    args = {k: said_of(v) if isinstance(v, Mapping) else v for k, v in data["args"].items()}
    return Said(data["key"], args)


class CaselinkError(Exception):
    """Base of the three kinds below; catch a kind, not this. The message is English; `said` says
    the same for the catalogue, where the catalogue knows it."""

    def __init__(self, message: str = "", said: Said | None = None) -> None:
        super().__init__(message)
        self.said = said


def in_words(error: CaselinkError) -> Said:
    """What an error says, for people of any language."""
    return error.said or say("plain", words=error)


class TransientError(CaselinkError):
    """Try again later: the device, the disk or the network did not answer as it should.

    The supervisor owns the retry; whoever raises it has cleaned up after itself.
    """


class ConfigError(CaselinkError):
    """Mend the file: the message names the file, the place in it and what to write instead."""


class DomainError(CaselinkError):
    """Refused: the request is understood and not allowed.

    `reason` is a stable key of the message catalogue (`text.zh.json`, `text.en.json`); the message
    itself is English and says what happened, to what, and what to do now.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def unknown_code(text: str) -> DomainError:
    """The refusal of a code that no pool knows."""
    return DomainError(
        "unknown_code",
        f"No pool lists or admits {text}: check the reading, or import the pool it is from.",
    )
