"""What differs between text coders, as data: one TOML file per dialogue in config/printers.

Bytes are written as text whose characters U+0000 to U+00FF are the bytes (`"\\u0002"` is STX),
patterns are regular expressions over such bytes. A profile says nothing of a site: address,
role and the order of the fields stand in the device's own section.
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from agent.core.errors import ConfigError
from agent.told import os_said, told
from drivers.shipped import CONFIG

PROFILES = CONFIG / "printers"


def _check_bytes(text: str) -> str:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError("write bytes as characters U+0000 to U+00FF, such as \\u0002") from None
    return text


def _check_pattern(text: str) -> str:
    try:
        pattern = re.compile(_check_bytes(text).encode("latin-1"), re.DOTALL)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    if pattern.fullmatch(b""):
        raise ValueError("the pattern matches nothing at all; it must name at least one byte")
    return text


Bytes = Annotated[str, Field(max_length=256), AfterValidator(_check_bytes)]
Pattern = Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_check_pattern)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Query(_Strict):
    """A command and the shape of its answer; without `reply` the device says nothing to it."""

    send: Bytes = Field(min_length=1)
    reply: Pattern | None = None


class Profile(_Strict):
    """One coder's dialogue. Groups that patterns may name: `ref` (our number), `waiting`
    (records held), `counter`, `ready`, `faults`, `text` (the device reads the record back), `why`.
    """

    title: str
    verified: str = Field(description="against what this profile was tried")
    encoding: Literal["ascii", "utf-8", "gbk", "gb18030", "latin-1"] = "utf-8"

    # The record that we send: prefix, [ref separator,] fields joined by the separator, suffix.
    prefix: Bytes = ""
    suffix: Bytes = Field(min_length=1)
    separator: Bytes = Field(min_length=1)
    ref_first: bool = False
    forbidden: str = ""
    max_record: int = Field(default=1024, ge=1, le=4096)

    # What the device does with it.
    queue: int = Field(ge=0, le=100_000)
    repeat_risk: bool
    fifo: bool = False
    # What the status counter counts ("" = unknown: nothing is concluded from it), and whether it
    # goes on where it was after the device was switched off.
    counts: Literal["", "prints", "triggers"] = ""
    counter_kept: bool = False

    on_request: bool = False  # takes a record only after it has asked for one

    # How its messages are cut: at `end` (and after `start`), or, where it sends none, by shape.
    start: Bytes = ""
    end: Bytes = ""

    ack: Pattern | None = None
    full: Pattern | None = None
    nak: Pattern | None = None
    done: Pattern | None = None
    request: Pattern | None = None
    heartbeat: Pattern | None = None
    silence: float | None = Field(default=None, gt=0, le=3600)
    clear: Query | None = None
    status: tuple[Query, ...] = ()
    ready: tuple[str, ...] = ("1",)
    faults: dict[str, str] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()  # keys among the faults with which it goes on printing
    fault_separator: str = Field(default=",", min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> "Profile":
        if self.start and not self.end:
            raise ValueError("'start' needs 'end': write the byte that ends a message, or neither")
        if (self.full or self.nak) and not self.ack:
            raise ValueError("'full' or 'nak' need 'ack': without it no answer is waited for")
        if self.on_request and not self.request:
            raise ValueError("'on_request' needs 'request': how does the device ask?")
        if self.silence is not None and self.heartbeat is None:
            raise ValueError("'silence' needs 'heartbeat': only a heartbeat can be missed")
        for query in self.status:
            if query.reply is None:
                raise ValueError("every 'status' needs a 'reply'")
        return self


def load_profile(name: str, device: str) -> Profile:
    """The profile `name` of config/printers, or the file `name` where it ends in .toml.

    ConfigError, naming the device, the file and the key, when it is not there or not right.
    """
    path = Path(name) if name.endswith(".toml") else PROFILES / f"{name}.toml"
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        why = os_said(error)
        known = ", ".join(sorted(p.stem for p in PROFILES.glob("*.toml"))) or "-"
        raise ConfigError(
            *told("profile_unreadable", device=device, name=name, why=why, known=known)
        ) from error
    try:
        return Profile.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(
            *told("profile_wrong", path=path, place=place, why=first["msg"])
        ) from error
