"""What stands in one message of a code reader: its codes, its no-read text, its trigger's number.

Every reader can be set to send any text; how it is set is data (`PayloadConfig`, in the device's
section or in a profile of config/readers). Pure: bytes in, reads out.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from agent.ports.reading import Read
from drivers.shipped import CONFIG

PROFILES = CONFIG / "readers"
_AIM = re.compile(r"\][A-Za-z][0-9A-Za-z]")
_NUMBER = re.compile(rb"\d{1,9}")
_GS = "\x1d"


def _check_bytes(text: str) -> str:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError("write bytes as characters U+0000 to U+00FF, such as \\u0002") from None
    return text


Bytes = Annotated[str, Field(max_length=32), AfterValidator(_check_bytes)]
_Literal = Annotated[str, Field(min_length=1, max_length=64)]


@dataclass(frozen=True, slots=True)
class Heard:
    """One reading: no reads means that the reader said "no read". `trigger` is the reader's own
    number of the trigger, None where it sends none."""

    reads: tuple[Read, ...]
    trigger: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the reader said to a command: which one (`key`), 0 or the reader's error number, and
    what it said."""

    key: str
    code: int = 0
    text: str = ""


class PayloadConfig(BaseModel):
    """`no_read` are the texts that mean "nothing read": no code ever equals one. `separator` splits
    several codes of one trigger; a text that stands twice is one code unless `fold` is false.
    `numbered` is what stands behind the trigger's number, with which each message then begins.
    `profile` names a file of config/readers (or the path of a .toml): its values stand where the
    section has none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    profile: str = Field("", max_length=200)
    no_read: tuple[_Literal, ...] = Field(("NOREAD", "ERROR"), max_length=16)
    separator: Bytes = ""
    fold: bool = True
    numbered: Bytes = ""
    encoding: Literal["ascii", "utf-8", "gbk", "gb18030", "latin-1"] = "utf-8"

    @model_validator(mode="before")
    @classmethod
    def _with_profile(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or not isinstance(values.get("profile"), str):
            return values
        return {**load_profile(values["profile"]), **values}

    @model_validator(mode="after")
    def _check_payload(self) -> "PayloadConfig":
        if _GS in self.separator or _GS in self.numbered:
            raise ValueError("GS (0x1D) is part of GS1 codes and can be no terminator or separator")
        for text in self.no_read:
            if self.separator and self.separator in text:
                raise ValueError(f"the no_read text {text!r} holds the separator: change one")
        return self


def load_profile(name: str) -> dict[str, Any]:
    """The values of a profile, without its title and against what it was tried. ValueError when it
    cannot be read; its keys are checked where they are used."""
    if not name:
        return {}
    path = Path(name) if name.endswith(".toml") else PROFILES / f"{name}.toml"
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        known = ", ".join(sorted(each.stem for each in PROFILES.glob("*.toml"))) or "none"
        raise ValueError(
            f"the reader profile {name} cannot be read ({why}); write one of: {known}; or the "
            "path of a .toml file"
        ) from None
    return {key: value for key, value in data.items() if key not in ("title", "verified")}


def heard(payload: bytes, config: PayloadConfig) -> Heard | None:
    """The reading that a payload is; None if its trigger's number is missing. Raises
    UnicodeDecodeError for what is not in the character set."""
    trigger = None
    if config.numbered:
        number, found, payload = payload.partition(config.numbered.encode("latin-1"))
        if not found or not _NUMBER.fullmatch(number):
            return None
        trigger = int(number)
    separator = config.separator.encode("latin-1")
    parts = payload.split(separator) if separator else [payload]
    texts = [part.decode(config.encoding) for part in parts]
    reads = [_read(text) for text in texts if text and text not in config.no_read]
    # Behind an AIM identifier too: what a symbol says may look like "nothing was read".
    reads = [read for read in reads if read.text not in config.no_read]
    if config.fold:
        reads = list(dict.fromkeys(reads))
    return Heard(tuple(reads), trigger)


def _read(text: str) -> Read:
    aim = _AIM.match(text)
    if aim and len(text) > 3:
        return Read(text=text[3:], symbology=aim.group())
    return Read(text=text)
