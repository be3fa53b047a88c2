"""The site file: the examples load, and what is wrong is told with its line and its remedy."""

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.app import check_devices
from agent.config import MAX_FILE, line_of, load
from agent.core.errors import ConfigError
from agent.sections import Site

EXAMPLES = sorted(Path("config").glob("*.toml"))
GOOD = Path("config/bottling.toml").read_text("utf-8")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_good(path: Path) -> None:
    site = load(path)
    assert check_devices(site, path) == []
    for line in site.lines:
        assert line.plan().problems() == []
    for name in site.schemes:
        assert site.scheme(name).levels
    for sku in site.products:
        assert set(site.product(sku).names) == {"zh", "en"}


def test_there_is_an_agent_without_a_line(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text('[agent]\nid = "hosted"\n')
    assert load(path).lines == ()


# ------------------------------------------------------------------------------- what is wrong


def told(tmp_path: Path, text: str | bytes) -> str:
    """What a person is told of this file, with its path taken out."""
    path = tmp_path / "site.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    try:
        lines = check_devices(load(path), path)
    except ConfigError as error:
        lines = str(error).splitlines()
    assert lines, "nothing is wrong with it"
    assert all(line.startswith(f"{path}:") for line in lines), lines
    return "\n".join(line.removeprefix(f"{path}:") for line in lines)


def line_with(text: str, start: str, nth: int = 0) -> int:
    """The number of the nth line that starts so."""
    return [n for n, line in enumerate(text.splitlines(), 1) if line.startswith(start)][nth]


BUS = """
[devices.a]
type = "modbus"
address = "serial:///dev/bus?baud=19200"
[devices.b]
type = "modbus"
address = "serial:///dev/bus?baud=9600"
"""


def swap(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text, f"the example no longer has {old!r}"
        return text.replace(old, new, 1)

    return change


@pytest.mark.parametrize(
    ("change", "at", "nth", "words"),
    [
        (swap("port = 8080", "prot = 8080"), "prot", 0, ("unknown key", "prot", "spelling")),
        (swap('id = "bottling-1"\n', ""), "[agent]", 0, ("agent.id is missing", "add it")),
        (swap("port = 8080", 'port = "many"'), "port", 0, ("web.port", "valid integer", "many")),
        (swap("port = 8080", 'host = "0.0.0.0"'), "host", 0, ("web.host", "127.0.0.1")),
        (swap("window = 12", "window = 0"), "window", 0, ("stations.0.window", "greater")),
        (
            swap("reject_pct = 0.5", "rejects_in_a_row = -1"),
            "limits",
            0,
            ("limits.rejects_in_a_row", "greater"),
        ),
        (swap("reject_pct = 0.5", "bypass_minutes = 900"), "limits", 0, ("bypass_minutes", "480")),
        (swap('kind = "verify"', 'kind = "look"'), "kind", 1, ("stations.1.kind", "verify")),
        (swap("children = 24", "children = 0"), "[schemes.", 0, ("level case", "one child")),
        (swap('id = "verify"', 'id = "coder"'), "[[lines]]", 0, ("same id", "each its own")),
        (swap("index = 1", "index = 0"), "[[lines]]", 0, ("same index",)),
        (
            swap('printer = "coder"', 'printer = "ink"'),
            "[[lines.stations]]",
            0,
            ("device ink", "[devices.ink]"),
        ),
        (
            lambda text: text + BUS,
            'address = "serial:///dev/bus?baud=9600"',
            0,
            ("device b is on the same serial port as a", "unit = N"),
        ),
        (
            swap('printer = "pallet-printer"', 'printer = "case-printer"'),
            "[[lines.stations]]",
            5,
            ("case-printer", "used twice"),
        ),
        (
            swap('device = "verify", roles = ["body"]', 'device = "verify", roles = ["boddy"]'),
            "[[lines.stations]]",
            1,
            ("station verify", "no packing scheme has a role boddy", "body"),
        ),
        (
            swap(
                'device = "case-label", roles = ["case-outer"]',
                'device = "case-label", roles = ["x"]',
            ),
            "[[lines.stations]]",
            3,
            ("station case-label", "no packing scheme has a role x", "body, case-outer"),
        ),
        (
            swap('level = "bottle"\nrole', 'level = "botle"\nrole'),
            "[[lines.stations]]",
            0,
            ("station coder", "no packing scheme has a level botle"),
        ),
        (
            swap(
                'from = "coder"\nto = "verify"\nkind = "single_file"',
                'from = "coder"\nto = "verify"\nkind = "mixed"',
            ),
            "[[lines]]",
            0,
            ("coder", "verify", "by item number", "mixed", "single_file"),
        ),
        (
            swap('[[lines.paths]]\nfrom = "coder"\nto = "verify"\nkind = "single_file"\n', ""),
            "[[lines]]",
            0,
            ("coder", "verify", "no path joins them", "captive"),
        ),
        (swap('type = "zpl"', ""), "[devices.case-printer]", 0, ('add type = "..."',)),
        (
            swap('type = "zpl"', 'type = "zebra"'),
            "[devices.case-printer]",
            0,
            ("case-printer", "zebra", "zpl"),
        ),
        (
            swap('address = "tcp://127.0.0.1:9102"', 'adress = "tcp://127.0.0.1:9102"'),
            "adress",
            0,
            ("case-printer", "unknown key 'adress'", "address"),
        ),
        (
            swap('address = "tcp://127.0.0.1:9102"', 'address = "127.0.0.1"'),
            "address",
            2,
            ("case-printer", "'address'", "127.0.0.1"),
        ),
        (
            swap('symbology = "QRCode" }', 'symbology = "QuickCode" }'),
            "readers",
            0,
            ("station verify", "QuickCode", "QRCode"),
        ),
    ],
)
def test_what_is_wrong_is_told_with_line_and_remedy(
    tmp_path: Path, change: Callable[[str], str], at: str, nth: int, words: tuple[str, ...]
) -> None:
    text = change(GOOD)
    said = told(tmp_path, text)
    wanted = f"{line_with(text, at, nth)}: "
    here = [line for line in said.splitlines() if line.startswith(wanted)]
    assert any(all(word in line for word in words) for line in here), said


def test_sequence_packing_over_a_mixed_path_is_refused(tmp_path: Path) -> None:
    text = GOOD.replace(
        'from = "verify"\nto = "packer"\nkind = "single_file"',
        'from = "verify"\nto = "packer"\nkind = "mixed"',
    )
    path = tmp_path / "site.toml"
    path.write_text(text)
    load(path)  # multi-read does not count on the order
    packer = text.index('id = "packer"')
    readers = text.index("readers", packer)
    text = text[:readers] + text[text.index("\n", readers) :]
    said = told(tmp_path, text.replace('mode = "multi_read"', 'mode = "sequence"', 1))
    assert said.startswith(f"{line_with(text, '[[lines]]')}: line L1: station packer")
    assert "use multi_read" in said


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    text = swap("port = 8080", "prot = 8080")(swap("window = 12", 'window = "x"')(GOOD))
    assert len(told(tmp_path, text).splitlines()) == 2


def test_bad_toml_names_its_line(tmp_path: Path) -> None:
    said = told(tmp_path, GOOD.replace("port = 8080", "port = "))
    assert "not TOML" in said
    assert f"line {line_with(GOOD, 'port')}" in said


def test_a_file_that_is_not_utf_8_names_its_line(tmp_path: Path) -> None:
    raw = GOOD.encode().replace("可乐".encode(), "可乐".encode("gbk"))
    assert told(tmp_path, raw).startswith(f"{line_with(GOOD, 'names')}: byte ")


def test_a_file_that_is_too_large_is_not_read_on(tmp_path: Path) -> None:
    assert "1,000,001 bytes" in told(tmp_path, "#" * (MAX_FILE + 1))


def test_a_file_that_is_not_there_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read .* --config"):
        load(tmp_path / "nothing.toml")


def test_two_lines_with_one_id_are_refused(tmp_path: Path) -> None:
    again = GOOD[GOOD.index("[[lines]]") :]
    said = told(tmp_path, GOOD + again)
    assert "line id L1 is used twice" in said
    assert "device plc is used twice" in said


@pytest.mark.parametrize(
    "text", ["", "[agent]", 'agent = "x"', "lines = 3", "[[lines]]", "[[agent]]"]
)
def test_nonsense_is_refused_in_words(tmp_path: Path, text: str) -> None:
    assert told(tmp_path, text)


# -------------------------------------------------------------------------------------- line_of

KEYS = st.from_regex(r"[a-z][a-z0-9_.-]{0,6}", fullmatch=True)
VALUES = st.integers(0, 99) | st.text("ab=[]#. ", max_size=6) | st.lists(st.integers(), max_size=2)
TREES = st.recursive(
    st.dictionaries(KEYS, VALUES, max_size=3),
    lambda table: st.dictionaries(
        KEYS, VALUES | table | st.lists(table, min_size=1, max_size=3), max_size=4
    ),
    max_leaves=8,
)
Where = tuple[str | int, ...]


def written(tree: dict[str, Any], above: Where = ()) -> Iterator[tuple[str, Where]]:
    """The lines of a TOML document, each with the place that it is."""
    names = ".".join(
        f'"{name}"' if "." in name else name for name in above if isinstance(name, str)
    )
    dot = "." if above else ""
    tables: list[tuple[str, Any]] = []
    for key, value in tree.items():
        quoted = f'"{key}"' if "." in key else key
        if isinstance(value, dict) or (
            isinstance(value, list) and value and isinstance(value[0], dict)
        ):
            tables.append((key, value))
        else:
            yield f"{quoted} = {json.dumps(value)}", (*above, key)
    for key, value in tables:
        quoted = f'"{key}"' if "." in key else key
        if isinstance(value, dict):
            yield f"[{names}{dot}{quoted}]  # a table", (*above, key)
            yield from written(value, (*above, key))
        else:
            for n, each in enumerate(value):
                yield f"[[ {names}{dot}{quoted} ]]", (*above, key, n)
                yield from written(each, (*above, key, n))


@settings(max_examples=60, deadline=None)
@given(TREES)
def test_line_of_finds_every_place_of_any_document(tree: dict[str, Any]) -> None:
    lines = list(written(tree))
    text = "\n".join(line for line, _ in lines)
    assert tomllib.loads(text) == tree
    for number, (_, where) in enumerate(lines, start=1):
        assert line_of(text, where) == number


def test_line_of_tells_equal_keys_of_different_tables_apart() -> None:
    text = '[[a]]\nx = 1\n[[a.b]]\nx = 2\n[[a.b]]\nx = 3\n[[a]]\nx = 4\n[c."d.e"]\nx = 5\n'
    assert line_of(text, ("a", 0, "x")) == 2
    assert line_of(text, ("a", 0, "b", 1, "x")) == 6
    assert line_of(text, ("a", 1, "x")) == 8
    assert line_of(text, ("a", 1, "b", 0, "x")) == 7, "the nearest table that is there"
    assert line_of(text, ("c", "d.e", "x")) == 10
    assert line_of(text, ("nowhere",)) == 1


# --------------------------------------------------------------------------------------- schema


def test_the_schema_is_a_schema_that_the_examples_keep() -> None:
    schema = Site.model_json_schema(by_alias=True)
    assert json.loads(json.dumps(schema)) == schema
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["agent"]
    used = set(re.findall(r'"#/\$defs/(\w+)"', json.dumps(schema)))
    assert used == set(schema["$defs"])
    path = schema["$defs"]["PathSection"]["properties"]
    assert set(path) == {"from", "to", "kind"}, "as a person writes them"


def test_a_device_where_another_kind_is_needed_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    swapped = GOOD.replace('plc = "plc"', 'plc = "verify"')
    swapped = swapped.replace('{ device = "verify"', '{ device = "coder"')
    swapped = swapped.replace('printer = "coder"', 'printer = "plc"')
    file.write_text(swapped, "utf-8")
    problems = check_devices(load(file), file)
    at = next(n for n, line in enumerate(swapped.splitlines(), 1) if line.startswith("plc = "))
    assert f"{file}:{at}: device verify is a camera; name a plc here." in problems
    assert any("device plc is a plc; name a printer here." in each for each in problems)
    assert any("device coder is a printer; name a camera or a reader" in each for each in problems)
