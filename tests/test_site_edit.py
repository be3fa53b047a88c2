"""A camera's keys are changed in a site file, and not one other character."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.errors import ConfigError
from agent.site_edit import save, set_device, set_reader, shown

SITE = """# Our line. { device = "cam", roles = [] } in a comment is nothing.
[agent]
id = "test"   # its name

[devices.cam]
type = "genicam"
exposure_us = 800  # measured by Li

[devices."odd"]
type = "folder"

[[lines]]
id = "L1"

[[lines.stations]]
id = "verify" # { here
text = '''
{ device = "cam", roles = ["no"] }
'''
readers = [{ device = "cam", roles = ["body"], region = [1, 2, 3, 4], symbology = "QRCode" }]

[[lines.stations]]
id = "pack"
readers = [
  # the upper one
  { device = "top", roles = ["body"], evidence = { days = 3 } },  # and its comment
  { device = 'low}', roles = ["a,b"] },
]

[[lines.stations]]
id = "label"

[[lines.stations.readers]]
device = "side"  # on the left
roles = ["x"]
symbology = "Code128"

# the end
"""


def changed(old: str, new: str) -> list[str]:
    """The lines of the new text that the old one does not have."""
    before = old.splitlines()
    return [line for line in new.splitlines() if line not in before]


def test_keys_of_an_inline_reader_are_replaced_and_added() -> None:
    text = set_reader(SITE, "cam", {"region": (10, 20, 30, 40), "track": 0.15})
    assert changed(SITE, text) == [
        'readers = [{ device = "cam", roles = ["body"], region = [10, 20, 30, 40], '
        'symbology = "QRCode", track = 0.15 }]'
    ]
    assert len(text.splitlines()) == len(SITE.splitlines())


def test_the_second_of_several_readers_and_its_neighbours_comments() -> None:
    text = set_reader(
        SITE, "top", {"cells": ((0.0, 0.25, 0.5, 0.5),), "attempts": ("fast", "half")}
    )
    (line,) = changed(SITE, text)
    assert line == (
        '  { device = "top", roles = ["body"], evidence = { days = 3 }, '
        'cells = [[0.0, 0.25, 0.5, 0.5]], attempts = ["fast", "half"] },  # and its comment'
    )
    assert 'low}\', roles = ["a,b"], track = 0.1 }' in set_reader(SITE, "low}", {"track": 0.1})


def test_a_reader_that_is_a_table_of_its_own() -> None:
    text = set_reader(SITE, "side", {"symbology": "EAN13", "region": (1, 1, 9, 9)})
    assert changed(SITE, text) == ['symbology = "EAN13"', "region = [1, 1, 9, 9]"]
    assert 'device = "side"  # on the left' in text
    assert text.endswith("\n# the end\n")


def test_a_device_keeps_its_comment() -> None:
    text = set_device(SITE, "cam", {"exposure_us": 1200.0, "gain_db": 3.5})
    assert changed(SITE, text) == ["exposure_us = 1200.0  # measured by Li", "gain_db = 3.5"]


@pytest.mark.parametrize("device", ["none", "odd"])
def test_what_is_not_there_is_not_made_up(device: str) -> None:
    with pytest.raises(ConfigError, match="by hand"):
        set_reader(SITE, device, {"track": 0.1})


def test_a_way_of_writing_that_we_do_not_know_is_left_alone() -> None:
    dotted = SITE.replace('[devices.cam]\ntype = "genicam"\n', '[devices]\ncam.type = "genicam"\n')
    dotted = dotted.replace("exposure_us = 800 ", "cam.exposure_us = 800 ")
    assert tomllib.loads(dotted)["devices"]["cam"]["exposure_us"] == 800
    with pytest.raises(ConfigError, match="by hand"):
        set_device(dotted, "cam", {"exposure_us": 5.0})


words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=12)
values = st.one_of(
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False, allow_infinity=False),
    words,
    st.lists(st.lists(st.floats(0, 1), max_size=4), max_size=3),
    st.lists(words, max_size=3),
)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["cam", "top", "low}", "side"]),
    st.dictionaries(st.sampled_from(["region", "track", "cells", "symbology", "x"]), values),
)
def test_the_file_says_what_was_meant_and_nothing_else(
    device: str, keys: dict[str, object]
) -> None:
    text = set_reader(SITE, device, keys)  # type: ignore[arg-type]
    wanted = tomllib.loads(SITE)
    for station in wanted["lines"][0]["stations"]:
        for reader in station["readers"]:
            if reader["device"] == device:
                reader.update(keys)
    assert tomllib.loads(text) == wanted
    for comment in ("# Our line. { device", "# its name", "# measured by Li", "# { here"):
        assert comment in text
    for comment in ("# the upper one", "# and its comment", "# on the left", "\n# the end\n"):
        assert comment in text
    assert set_reader(text, device, keys) == text  # type: ignore[arg-type]


def test_the_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(SITE, "utf-8")
    path.chmod(0o640)
    save(path, set_reader(SITE, "cam", {"track": 0.2}))
    assert "track = 0.2" in path.read_text("utf-8")
    assert path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["site.toml"]
    with pytest.raises(ConfigError, match="cannot be written"):
        save(tmp_path / "none" / "site.toml", SITE)


def test_keys_are_shown_as_toml() -> None:
    assert shown({"a": 'say "x"\\', "b": True}) == ['a = "say \\"x\\"\\\\"', "b = true"]
