"""The table of device types: type -> config model and class, resolved when it is used.

The table holds dotted names, so that a camera SDK that is not installed is missed only by the
line that needs it. Every model refuses unknown keys; every class is called as
`Class(name, config, context)`.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from agent.core.errors import ConfigError
from agent.ports import Device
from drivers.context import DeviceContext

Kind = Literal["printer", "camera", "reader", "plc"]


@dataclass(frozen=True, slots=True)
class Entry:
    """What kind of device a type is, where its config model and class are, and how to install what
    they import."""

    kind: Kind
    model: str
    factory: str
    install: str = "pip install caselink"


TYPES: Mapping[str, Entry] = {
    # printers
    "zpl": Entry("printer", "drivers.printers.zpl:ZplConfig", "drivers.printers.zpl:ZplPrinter"),
    "text_coder": Entry(
        "printer",
        "drivers.printers.text_coder:TextCoderConfig",
        "drivers.printers.text_coder:TextCoder",
    ),
    # readers
    "line_reader": Entry(
        "reader",
        "drivers.readers.line_reader:LineReaderConfig",
        "drivers.readers.line_reader:LineReader",
    ),
    # cameras
    "http_push": Entry(
        "camera",
        "drivers.cameras.http_push:HttpPushConfig",
        "drivers.cameras.http_push:HttpPushCamera",
    ),
    "folder": Entry(
        "camera", "drivers.cameras.folder:FolderConfig", "drivers.cameras.folder:FolderCamera"
    ),
    "opencv": Entry(
        "camera",
        "drivers.cameras.opencv:OpencvConfig",
        "drivers.cameras.opencv:OpencvCamera",
        "pip install opencv-python-headless",
    ),
    # plc
    "modbus": Entry(
        "plc",
        "drivers.plc.modbus:ModbusConfig",
        "drivers.plc.modbus:ModbusPlc",
        "pip install 'pymodbus>=3.16,<3.17'",
    ),
}


def kind_of(section: Mapping[str, Any]) -> Kind | None:
    """What kind of device a section describes; None for an unknown type."""
    entry = TYPES.get(str(section.get("type")))
    return None if entry is None else entry.kind


def known_types() -> tuple[str, ...]:
    """The types a device section may name."""
    return tuple(sorted(TYPES))


def model_of(device_type: str) -> type[BaseModel]:
    """The config model of a type; ConfigError for an unknown type or a missing package."""
    return _model(f"type {device_type}", device_type)


def check(name: str, section: Mapping[str, Any]) -> BaseModel:
    """The section of device `name` as its type's model. ConfigError names the device, the key
    and what to write instead; nothing is connected."""
    place = f"device {name}"
    device_type = section.get("type")
    if not isinstance(device_type, str):
        raise ConfigError(f"{place}: 'type' is missing. Write type = one of: {_known()}.")
    model = _model(place, device_type)
    values = dict(section)
    if "type" not in model.model_fields:
        del values["type"]
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(place, model, error))) from error


def build(name: str, section: Mapping[str, Any], context: DeviceContext) -> Device:
    """The device `name` of a checked section, not yet opened; ConfigError as `check`."""
    config = check(name, section)
    device_type = section["type"]
    factory: Callable[[str, BaseModel, DeviceContext], Device] = _resolve(
        f"device {name}", TYPES[device_type].factory, TYPES[device_type]
    )
    return factory(name, config, context)


def _model(place: str, device_type: str) -> type[BaseModel]:
    entry = TYPES.get(device_type)
    if entry is None:
        raise ConfigError(f"{place}: type '{device_type}' is unknown. Write one of: {_known()}.")
    model: type[BaseModel] = _resolve(place, entry.model, entry)
    return model


def _known() -> str:
    return ", ".join(known_types())


def _resolve(place: str, dotted: str, entry: Entry) -> Any:
    module, _, attribute = dotted.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing.split(".")[0] in ("drivers", "agent"):
            raise
        raise ConfigError(
            f"{place}: the Python package '{missing}' that this type needs is not installed. "
            f"Run: {entry.install}"
        ) from error


def _explain(place: str, model: type[BaseModel], error: ValidationError) -> list[str]:
    """One line for each mistake."""
    lines = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"]) or "the section"
        if item["type"] == "extra_forbidden":
            known = ", ".join(sorted(model.model_fields))
            remedy = "Remove it" + (f", or write one of: {known}" if len(item["loc"]) == 1 else "")
            lines.append(f"{place}: unknown key '{key}'. {remedy}.")
        elif item["type"] == "missing":
            lines.append(f"{place}: key '{key}' is missing. Add it.")
        else:
            message = item["msg"].removeprefix("Value error, ")
            lines.append(f"{place}: key '{key}': {message} (it is {item['input']!r:.80}).")
    return lines
