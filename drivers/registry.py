"""The table of device types: type -> config model and class, resolved when it is used.

The table holds dotted names, so that a camera SDK that is not installed is missed only by the
line that needs it. Every model refuses unknown keys; every class is called as
`Class(name, config, context)`. Installed packages add types of their own by an entry point of the
group `caselink.devices` that names an `Entry` (docs/write-a-driver.md).
"""

import contextlib
import importlib
import importlib.metadata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from agent.core.errors import ConfigError
from agent.ports.devices import Device
from drivers.context import DeviceContext

Kind = Literal["printer", "camera", "reader", "plc"]


@dataclass(frozen=True, slots=True)
class Entry:
    """What kind of device a type is, where its config model and class are, and how to install what
    they import. `evidence` says in words how strongly it can tell that a code was printed (levels
    of agent.ports.printing.Evidence), `ports` on which TCP ports such devices listen as a rule."""

    kind: Kind
    model: str
    factory: str
    install: str = "pip install caselink"
    evidence: str = ""
    ports: tuple[int, ...] = ()


TYPES: Mapping[str, Entry] = {
    # printers
    "zpl": Entry(
        "printer",
        "drivers.printers.zpl:ZplConfig",
        "drivers.printers.zpl:ZplPrinter",
        evidence="3 with an odometer, else 2",
        ports=(9100, 6101),
    ),
    "escpos": Entry(
        "printer",
        "drivers.printers.escpos:EscposConfig",
        "drivers.printers.escpos:EscposPrinter",
        evidence="5 where the process ID is answered, else 2",
        ports=(9100,),
    ),
    "tspl": Entry(
        "printer",
        "drivers.printers.tspl:TsplConfig",
        "drivers.printers.tspl:TsplPrinter",
        evidence="2",
        ports=(9100,),
    ),
    "text_coder": Entry(
        "printer",
        "drivers.printers.text_coder:TextCoderConfig",
        "drivers.printers.text_coder:TextCoder",
        evidence="1 to 5, as the profile says",
    ),
    "codenet": Entry(
        "printer",
        "drivers.printers.codenet:CodenetConfig",
        "drivers.printers.codenet:Codenet",
        evidence="4",
    ),
    "linx_rci_experimental": Entry(
        "printer",
        "drivers.printers.linx:LinxConfig",
        "drivers.printers.linx:Linx",
        evidence="2",
    ),
    "ngpcl": Entry(
        "printer",
        "drivers.printers.ngpcl:NgpclConfig",
        "drivers.printers.ngpcl:Ngpcl",
        evidence="2",
    ),
    "wsi": Entry(
        "printer",
        "drivers.printers.wsi:WsiConfig",
        "drivers.printers.wsi:Wsi",
        evidence="3",
    ),
    "zipher": Entry(
        "printer",
        "drivers.printers.zipher:ZipherConfig",
        "drivers.printers.zipher:Zipher",
        evidence="5",
        ports=(3001, 3002, 3003, 3010),
    ),
    # readers
    "line_reader": Entry(
        "reader",
        "drivers.readers.line_reader:LineReaderConfig",
        "drivers.readers.line_reader:LineReader",
    ),
    "dmcc": Entry(
        "reader", "drivers.readers.dmcc:DmccConfig", "drivers.readers.dmcc:DmccReader", ports=(23,)
    ),
    "keyence_sr": Entry(
        "reader",
        "drivers.readers.keyence:KeyenceConfig",
        "drivers.readers.keyence:KeyenceReader",
        ports=(9004,),
    ),
    "hid_scanner": Entry(
        "reader",
        "drivers.readers.hid_scanner:HidScannerConfig",
        "drivers.readers.hid_scanner:HidScanner",
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
    "genicam": Entry(
        "camera",
        "drivers.cameras.gentl:GenicamConfig",
        "drivers.cameras.gentl:GenicamCamera",
        "pip install 'caselink[genicam]'",
    ),
    "basler": Entry(
        "camera",
        "drivers.cameras.basler:BaslerConfig",
        "drivers.cameras.basler:BaslerCamera",
        "pip install 'caselink[basler]'",
    ),
    # plc
    "modbus": Entry(
        "plc",
        "drivers.plc.modbus:ModbusConfig",
        "drivers.plc.modbus:ModbusPlc",
        "pip install 'pymodbus>=3.16,<3.17'",
        ports=(502,),
    ),
}


GROUP = "caselink.devices"


def kind_of(section: Mapping[str, Any]) -> Kind | None:
    """What kind of device a section describes; None for an unknown type."""
    try:
        return entry_of(str(section.get("type"))).kind
    except ConfigError:
        return None


def known_types() -> tuple[str, ...]:
    """The types a device section may name."""
    return tuple(sorted({*TYPES, *_added()}))


def entry_of(device_type: str) -> Entry:
    """The entry of a type, ours or one that an installed package adds; ConfigError for an unknown
    type or a package whose entry point leads nowhere."""
    if device_type in TYPES:
        return TYPES[device_type]
    point = _added().get(device_type)
    if point is None:
        raise ConfigError(f"type '{device_type}' is unknown. Write one of: {_known()}.")
    try:
        found = point.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"type '{device_type}' is added by {point.value}, which cannot be loaded ({error}). "
            "Install that package again, or ask who wrote it."
        ) from error
    if not isinstance(found, Entry):
        raise ConfigError(
            f"type '{device_type}' is added by {point.value}, which is not a "
            "drivers.registry.Entry: ask who wrote it (docs/write-a-driver.md)."
        )
    return found


def _added() -> dict[str, importlib.metadata.EntryPoint]:
    return {point.name: point for point in importlib.metadata.entry_points(group=GROUP)}


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
    entry = entry_of(section["type"])
    factory: Callable[[str, BaseModel, DeviceContext], Device] = _resolve(
        f"device {name}", entry.factory, entry
    )
    with _needs(f"device {name}", entry):
        return factory(name, config, context)


def _model(place: str, device_type: str) -> type[BaseModel]:
    try:
        entry = entry_of(device_type)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None
    model: type[BaseModel] = _resolve(place, entry.model, entry)
    return model


def _known() -> str:
    return ", ".join(known_types())


def _resolve(place: str, dotted: str, entry: Entry) -> Any:
    module, _, attribute = dotted.partition(":")
    with _needs(place, entry):
        return getattr(importlib.import_module(module), attribute)


@contextlib.contextmanager
def _needs(place: str, entry: Entry) -> Iterator[None]:
    """What is imported within is installed by `entry.install`: ConfigError when it is not there,
    or does not load. A driver of a heavy SDK imports it only when a device is built."""
    try:
        yield
    except ImportError as error:
        missing = error.name or ""
        if missing.split(".")[0] in ("drivers", "agent"):
            raise
        what = "is not installed"
        if not isinstance(error, ModuleNotFoundError):
            what = f"does not load ({error})"
        raise ConfigError(
            f"{place}: the Python package '{missing}' that this type needs {what}. "
            f"Run: {entry.install}"
        ) from error


def _explain(place: str, model: type[BaseModel], error: ValidationError) -> list[str]:
    """One line for each mistake."""
    lines = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            known = ", ".join(sorted(model.model_fields))
            remedy = "Remove it" + (f", or write one of: {known}" if len(item["loc"]) == 1 else "")
            lines.append(f"{place}: unknown key '{key}'. {remedy}.")
        elif item["type"] == "missing":
            lines.append(f"{place}: key '{key}' is missing. Add it.")
        else:
            message = item["msg"].removeprefix("Value error, ")
            if not key:  # keys that do not go together
                lines.append(f"{place}: {message}.")
                continue
            lines.append(f"{place}: key '{key}': {message} (it is {item['input']!r:.80}).")
    return lines
