"""The site file: one TOML that describes the agent, its products, devices and lines.

`load` checks everything that can be known without the devices themselves; device sections stay
plain here and are checked by `agent.app` with each driver's own model. A problem names the file,
the line and what to write instead.
"""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path as FilePath

from pydantic import ValidationError

from agent.core.errors import ConfigError
from agent.sections import NAME, Site, Where
from agent.site_file import in_effect
from agent.site_rules import problems

MAX_FILE = 1_000_000
"""A site file above this many bytes is refused."""


def load(path: FilePath) -> Site:
    """Read and check a site file, or the one that took its place (`in_effect`). ConfigError lists
    every problem with its line and remedy."""
    return check(in_effect(path))


def check(path: FilePath) -> Site:
    """Read and check this very file. ConfigError: see `load`."""
    text = _read(path)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}. Mend that place and try again.") from None
    try:
        site = Site.model_validate(data)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(path, text, error))) from None
    found = problems(site)
    if found:
        raise ConfigError("\n".join(located(path, found)))
    return site


def _read(path: FilePath) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}). Name the site file: --config FILE, or the "
            "variable CASELINK_CONFIG."
        ) from None
    if len(raw) > MAX_FILE:
        raise ConfigError(f"{path}: {len(raw):,} bytes; a site file has at most {MAX_FILE:,}.")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{path}:{line}: byte {error.start} is not UTF-8. Save the file as UTF-8."
        ) from None


def _explain(path: FilePath, text: str, error: ValidationError) -> list[str]:
    lines = []
    for problem in error.errors():
        where = problem["loc"]
        name = ".".join(str(part) for part in where)
        if problem["type"] == "extra_forbidden":
            what = f"unknown key {name}: remove it or mend its spelling"
        elif problem["type"] == "missing":
            what = f"{name} is missing: add it"
        elif problem["type"] == "string_pattern_mismatch" and problem["ctx"]["pattern"] == NAME:
            what = (
                f"{name}: {problem['input']!r:.80} is not a name: write letters, digits, '.', '_' "
                "and '-', a letter or digit first, at most 64"
            )
        else:
            what = f"{name}: {problem['msg']} (it is {problem['input']!r:.80})"
        lines.append(f"{path}:{line_of(text, where)}: {what}.")
    return lines


_NAME = r"(?:\"[^\"]*\"|'[^']*'|[A-Za-z0-9_-]+)"
_DOTTED = rf"{_NAME}(?:\s*\.\s*{_NAME})*"
_TABLE = re.compile(rf"^\s*(\[\[?)\s*({_DOTTED})\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(rf"^\s*({_DOTTED})\s*=")


def line_of(text: str, where: Where) -> int:
    """The line (from 1) of the place that `where` names, or of the nearest table around it.

    tomllib keeps no positions, so headers and keys are looked for in the text.
    """
    best, best_depth = 1, 0
    table: Where = ()
    seen: dict[Where, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        header = _TABLE.match(line)
        key = _KEY.match(line)
        if header:
            parts: list[str | int] = []
            names = _names(header[2])
            for n, name in enumerate(names):
                parts.append(name)
                last = n == len(names) - 1
                if last and header[1] == "[[":
                    seen[tuple(parts)] = seen.get(tuple(parts), -1) + 1
                    parts.append(seen[tuple(parts)])
                elif tuple(parts) in seen:
                    parts.append(seen[tuple(parts)])
            table = tuple(parts)
            here: Where = table
        elif key:
            here = (*table, *_names(key[1]))
        else:
            continue
        if here == where[: len(here)] and len(here) > best_depth:
            best, best_depth = number, len(here)
    return best


def _names(dotted: str) -> list[str]:
    return [name.strip("\"'") for name in re.findall(_NAME, dotted)]


def located(path: FilePath, problems: Iterable[tuple[Where, str]]) -> list[str]:
    """Problems of a site file as a person reads them: file, line, what is wrong, what to do."""
    text = _read(path)
    return [f"{path}:{line_of(text, where)}: {what}" for where, what in problems]
