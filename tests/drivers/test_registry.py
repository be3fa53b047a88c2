"""The table of device types: every entry resolves, and every mistake names its key and remedy."""

import re
import sys
from typing import Any

import pytest

from agent.core.errors import ConfigError
from agent.ports.devices import Device
from agent.ports.printing import Evidence
from drivers.context import DeviceContext
from drivers.printers.zpl import ZplConfig
from drivers.registry import TYPES, Entry, _resolve, build, check, known_types, model_of

LABEL = {"width": 800, "height": 400, "elements": [{"kind": "qr", "x": 1, "y": 1, "field": "c"}]}
SECTIONS: dict[str, dict[str, Any]] = {
    "zpl": {"address": "tcp://h:9100", "labels": {"case": LABEL}},
    "text_coder": {"address": "tcp://h:3000", "profile": "generic-queue"},
    "line_reader": {"address": "serial:///dev/ttyUSB0?baud=115200"},
}


@pytest.mark.parametrize("device_type", sorted(SECTIONS))
def test_a_section_becomes_a_device(device_type: str) -> None:
    section = {"type": device_type} | SECTIONS[device_type]
    device = build("device 1", section, DeviceContext())
    assert isinstance(device, Device)
    assert section["type"] == device_type, "the caller's section is left alone"


@pytest.mark.parametrize("device_type", known_types())
def test_every_type_resolves_and_refuses_unknown_keys(device_type: str) -> None:
    model = model_of(device_type)
    assert model.model_config.get("extra") == "forbid"
    assert model.model_json_schema()["additionalProperties"] is False
    factory = _resolve("test", TYPES[device_type].factory, TYPES[device_type])
    assert issubclass(factory, Device)
    with pytest.raises(ConfigError, match="nonsense"):
        check("device 1", {"type": device_type, "nonsense": 1})


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({}, ["device 1", "'type'", "zpl"]),
        ({"type": 7}, ["device 1", "'type'"]),
        ({"type": "fax"}, ["device 1", "fax", "text_coder"]),
        ({"type": "zpl", "labels": {"case": LABEL}}, ["address", "missing"]),
        (
            {"type": "line_reader", "address": "10.0.0.1:23", "adress": "x"},
            ["unknown key 'adress'", "terminator", "key 'address'", "tcp://HOST:PORT"],
        ),
        (
            {"type": "zpl", "address": "tcp://h:1", "labels": {"case": LABEL | {"colour": 1}}},
            ["labels.case", "colour"],
        ),
        ({"type": "text_coder", "address": "tcp://h:1", "profile": "x", "queue": -1}, ["queue"]),
    ],
)
def test_a_wrong_section_names_the_key_and_the_remedy(
    section: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(ConfigError) as error:
        check("device 1", section)
    for word in words:
        assert word in str(error.value)


def test_what_the_constructor_finds_wrong_is_a_config_error_too() -> None:
    section = {"type": "text_coder", "address": "tcp://h:1", "profile": "nonesuch"}
    with pytest.raises(ConfigError, match="generic-queue"):
        build("device 1", section, DeviceContext())
    section = {"type": "zpl", "address": "tcp://h:1", "labels": {"case": "nonesuch"}}
    with pytest.raises(ConfigError, match="pallet"):
        build("device 1", section, DeviceContext())


def test_a_missing_package_gives_the_install_command() -> None:
    entry = Entry(
        "camera", "no_such_camera_sdk.module:Config", "", "pip install 'caselink[basler]'"
    )
    with pytest.raises(ConfigError, match=r"no_such_camera_sdk.*caselink\[basler\]"):
        _resolve("device 1", entry.model, entry)


@pytest.mark.parametrize(
    ("section", "package", "extra"),
    [
        ({"type": "basler"}, "pypylon", "basler"),
        ({"type": "genicam", "producer": "/opt/x.cti"}, "harvesters", "genicam"),
    ],
)
def test_a_camera_sdk_is_missed_when_a_camera_is_built_and_not_before(
    section: dict[str, Any], package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Python's own way to say that a package is not there.
    monkeypatch.setitem(sys.modules, package, None)
    check("cam", section)
    with pytest.raises(ConfigError, match=rf"cam.*{package}.*not installed.*caselink\[{extra}\]"):
        build("cam", section, DeviceContext())


def test_every_printer_says_what_its_word_is_worth() -> None:
    """For people, by `caselink device list --types`; the accounting asks the driver itself."""
    for name, entry in TYPES.items():
        levels = [int(digit) for digit in re.findall(r"\d", entry.evidence)]
        assert bool(levels) == (entry.kind == "printer"), name
        assert all(level in list(Evidence) for level in levels), name


def test_a_mistake_of_ours_in_the_table_is_loud() -> None:
    with pytest.raises(ModuleNotFoundError):
        _resolve("device 1", "drivers.cameras.no_such:Config", Entry("camera", "", ""))


def test_label_may_be_in_place_or_in_a_file() -> None:
    config = check(
        "labeller",
        {"type": "zpl", "address": "tcp://h:1", "labels": {"case": LABEL, "pallet": "pallet"}},
    )
    assert isinstance(config, ZplConfig)
    assert config.labels["pallet"] == "pallet"
