"""The register map and the PLC's section as data: refused with words that say what to mend."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agent.core.errors import ConfigError
from drivers.context import DeviceContext
from drivers.plc.modbus import ModbusConfig, ModbusPlc
from drivers.plc.register_map import RegisterMap, load_register_map
from drivers.sim.plc_memory import PlcLayout

ROOT = Path(__file__).parents[2]
STANDARD = ROOT / "config/plc/standard.toml"


def test_the_standard_file_is_the_default_on_both_sides() -> None:
    assert load_register_map(STANDARD) == RegisterMap()
    assert PlcLayout.load(STANDARD) == PlcLayout()


def test_every_register_of_the_standard_map_is_in_the_document() -> None:
    document = (ROOT / "docs/plc.md").read_text(encoding="utf-8")
    standard = RegisterMap()
    for block in (standard.input, standard.output):
        for name, (address, width) in block.widths().items():
            last = address + width - 1
            cell = f"| {address} |" if width == 1 else f"| {address}–{last} |"
            assert f"{cell} `{name}` |" in document


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ({"input": {"head": 6}}, "overlap"),
        ({"input": {"table": "holding"}}, "overlap"),
        ({"input": {"ring": 7}}, "overlap"),
        ({"output": {"lamps": 20}}, "overlap"),
        ({"input": {"base": 65100}}, "65535"),
        ({"output": {"slots": 65500}}, "65535"),
        ({"input": {"head": 800}}, "closer together"),
        ({"output": {"stations": 0}}, "greater than or equal to 1"),
        ({"word_order": "middle"}, "high_first"),
        ({"input": {"rnig": 20}}, "rnig"),
    ],
)
def test_a_map_that_cannot_work_is_refused(broken: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        RegisterMap.model_validate(broken)


def test_both_tables_in_one_work_when_they_stand_apart() -> None:
    moved = RegisterMap.model_validate({"input": {"table": "holding", "base": 1000}})
    assert moved.input.header() == (1000, 8)


def test_a_map_file_names_itself_and_the_place(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text("[input]\nhead = 6\n")
    with pytest.raises(ConfigError, match=r"map\.toml.*overlap"):
        load_register_map(path)
    path.write_text("[input\n")
    with pytest.raises(ConfigError, match=r"map\.toml is not TOML"):
        load_register_map(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"map\.toml cannot be read"):
        load_register_map(path)
    config = ModbusConfig(type="modbus", address="tcp://plc:502", map=tmp_path / "none.toml")
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read"):
        ModbusPlc("plc1", config, DeviceContext())


def test_a_section_takes_a_path_or_a_table() -> None:
    config = ModbusConfig.model_validate(
        {"type": "modbus", "address": "tcp://plc:502", "map": str(STANDARD)}
    )
    ModbusPlc("plc1", config, DeviceContext())
    config = ModbusConfig.model_validate(
        {"type": "modbus", "address": "tcp://plc:502", "map": {"input": {"base": 100}}}
    )
    assert isinstance(config.map, RegisterMap)
    assert config.map.input.base == 100


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ({"address": "plc:502"}, "tcp://HOST:PORT"),
        ({"address": "serial:///dev/ttyS0?bits=7"}, "8 data bits"),
        ({"address": "serial:///dev/ttyS0", "connections": 2}, "one connection"),
        ({"address": "serial:///dev/ttyS0", "unit": 250}, "1 to 247"),
        ({"address": "tcp://plc:502", "unit": 0}, "greater than or equal to 1"),
        ({"address": "tcp://plc:502", "retries": 3}, "Extra inputs"),
        ({"address": "tcp://plc:502", "map": {"input": {"head": 6}}}, "overlap"),
    ],
)
def test_a_wrong_section_is_refused(broken: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        ModbusConfig.model_validate({"type": "modbus"} | broken)
