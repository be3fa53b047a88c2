"""Changes keys of one camera in a site file and nothing else: comments, order and spacing stay.

A reader stands as an inline table (`readers = [{ device = "cam", ... }]`) or as a table of its own
(`[[lines.stations.readers]]`); a device as `[devices.cam]`. What was written is parsed again and
held against what was meant before a byte of the file is replaced.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from agent.core.errors import ConfigError
from agent.secret_file import sync_directory
from agent.site_file import in_effect

Value = bool | int | float | str | tuple[Any, ...] | list[Any]


def set_reader(text: str, device: str, keys: Mapping[str, Value]) -> str:
    """The text of a site file with these keys of the reader of camera `device`."""
    wanted = tomllib.loads(text)
    readers = [reader for reader in _readers(wanted) if reader.get("device") == device]
    if len(readers) != 1:
        raise ConfigError(f"camera {device} is not at exactly one station: edit the file by hand.")
    readers[0].update({key: _plain(value) for key, value in keys.items()})
    for start, end in _inline_tables(text):
        table = _parsed(text[start:end])
        if table is not None and table.get("device") == device and "roles" in table:
            edited = text[:start] + _in_line(text[start:end], keys) + text[end:]
            return _checked(edited, wanted, device)
    edited = _in_block(text, "[[lines.stations.readers]]", device, keys)
    return _checked(edited, wanted, device)


def set_device(text: str, device: str, keys: Mapping[str, Value]) -> str:
    """The text of a site file with these keys in `[devices.<device>]`."""
    wanted = tomllib.loads(text)
    section = wanted.get("devices", {}).get(device)
    if section is None:
        raise ConfigError(f"there is no [devices.{device}]: edit the file by hand.")
    section.update({key: _plain(value) for key, value in keys.items()})
    return _checked(_in_block(text, f"[devices.{device}]", None, keys), wanted, device)


def save(path: Path, text: str) -> None:
    """Replace the site file by `text`, whole or not at all; its mode stays.

    ConfigError where another file is in effect in its place, or it cannot be written."""
    if in_effect(path) != path:
        raise ConfigError(
            f"{path} is not in effect: the cloud sent {in_effect(path)} in its place. Change the "
            "site file there, so that the next one that is sent has it too."
        )
    draft = path.with_name(path.name + ".draft")
    try:
        mode = path.stat().st_mode & 0o777
        draft.unlink(missing_ok=True)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
        sync_directory(path.parent)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ConfigError(
            f"{path} cannot be written ({error.strerror}): run this as the user who may, or write "
            "the keys by hand."
        ) from error


def shown(keys: Mapping[str, Value]) -> list[str]:
    """The keys as lines of TOML."""
    return [f"{key} = {_toml(value)}" for key, value in keys.items()]


def _readers(data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for line in data.get("lines", ()):
        for station in line.get("stations", ()):
            yield from station.get("readers", ())


def _checked(text: str, wanted: Mapping[str, Any], device: str) -> str:
    """The text, when it says what was wanted and nothing else."""
    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        said = None
    if said != wanted:
        raise ConfigError(
            f"the site file writes camera {device} in a way that cannot be changed safely: write "
            "the keys by hand."
        )
    return text


def _inline_tables(text: str) -> Iterator[tuple[int, int]]:
    """Begin and end of each {...} of the text, outside of strings and comments."""
    opened: list[int] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char == "#":
            at = _line_end(text, at)
            continue
        if char in "\"'":
            at = _string_end(text, at)
            continue
        if char == "{":
            opened.append(at)
        elif char == "}" and opened:
            yield opened.pop(), at + 1
        at += 1


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _string_end(text: str, at: int) -> int:
    """The place after a string that begins here, of one line or of several."""
    quote = text[at]
    long = text.startswith(quote * 3, at)
    mark = quote * 3 if long else quote
    at += len(mark)
    while at < len(text):
        if quote == '"' and text[at] == "\\":
            at += 2
            continue
        if text.startswith(mark, at):
            return at + len(mark)
        at += 1
    return at


def _parsed(table: str) -> dict[str, Any] | None:
    try:
        found = tomllib.loads(f"x = {table}")["x"]
    except tomllib.TOMLDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _in_line(table: str, keys: Mapping[str, Value]) -> str:
    """An inline table with these keys: replaced where they stand, else added at its end."""
    for key, value in keys.items():
        for start, end in _entries(table):
            entry = table[start:end]
            name, equals, _ = entry.partition("=")
            if equals and name.strip().strip("\"'") == key:
                lead = entry[: len(entry) - len(entry.lstrip())]
                tail = entry[len(entry.rstrip()) :]
                table = f"{table[:start]}{lead}{key} = {_toml(value)}{tail}{table[end:]}"
                break
        else:
            inner = table[1:-1].rstrip()
            comma = "" if not inner.strip() or inner.endswith(",") else ","
            table = f"{{{inner}{comma} {key} = {_toml(value)} }}"
    return table


def _entries(table: str) -> list[tuple[int, int]]:
    """Begin and end of what stands between the commas of an inline table."""
    marks, depth, at = [0], 0, 0
    while at < len(table):
        char = table[at]
        if char in "\"'":
            at = _string_end(table, at)
            continue
        depth += (char in "{[") - (char in "}]")
        if char == "," and depth == 1:
            marks.append(at)
        at += 1
    marks.append(len(table) - 1)
    return [(start + 1, end) for start, end in pairwise(marks)]


def _in_block(text: str, header: str, device: str | None, keys: Mapping[str, Value]) -> str:
    """The text with these keys in the table under `header` (the one of `device`)."""
    lines = text.splitlines(keepends=True)
    for start, end in _blocks(lines, header):
        block = "".join(lines[start + 1 : end])
        try:
            table = tomllib.loads(block)
        except tomllib.TOMLDecodeError:
            continue
        if device is not None and table.get("device") != device:
            continue
        body = lines[start + 1 : end]
        for key, value in keys.items():
            said = f"{key} = {_toml(value)}\n"
            place = next((n for n, each in enumerate(body) if _key_of(each) == key), None)
            if place is None:
                # Comments at its end may belong to the next table.
                last = max((n for n, each in enumerate(body) if _says(each)), default=-1)
                body.insert(last + 1, said)
            else:
                body[place] = _with_comment(body[place], said)
        return "".join([*lines[: start + 1], *body, *lines[end:]])
    raise ConfigError(f"there is no {header} of {device or 'it'} in the file: edit it by hand.")


def _blocks(lines: list[str], header: str) -> Iterator[tuple[int, int]]:
    """Each table under this header: its line, and the line after its last."""
    heads = [n for n, line in enumerate(lines) if line.lstrip().startswith("[")]
    heads.append(len(lines))
    for n, after in pairwise(heads):
        said = lines[n].split("#")[0].replace(" ", "").strip()
        if said == header:
            yield n, after


def _says(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _key_of(line: str) -> str:
    name, equals, _ = line.partition("=")
    return name.strip().strip("\"'") if equals else ""


def _with_comment(old: str, new: str) -> str:
    """The new line with the comment of the old one."""
    at = 0
    while at < len(old):
        if old[at] in "\"'":
            at = _string_end(old, at)
            continue
        if old[at] == "#":
            return new.rstrip("\n") + "  " + old[at:]
        at += 1
    return new


def _plain(value: Value) -> Any:
    """As tomllib gives it: lists, not tuples."""
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def _toml(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            return f'"{escaped}"'
        case list() | tuple():
            return f"[{', '.join(_toml(each) for each in value)}]"
        case _:
            return repr(value)
