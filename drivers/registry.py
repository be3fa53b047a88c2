"""The table of device types: type -> config model and class, resolved when it is used.

The table holds dotted names, so that a camera SDK that is not installed is missed only by the
line that needs it. Every model refuses unknown keys; every class is called as
`Class(name, config, context)`. Installed packages add types of their own by an entry point of the
group `caselink.devices` that names an `Entry` (docs/write-a-driver.md).
"""

import contextlib
import importlib
import importlib.metadata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from agent.core.errors import ConfigError, Said, in_words, say
from agent.ports.devices import Device
from agent.told import spoken, told
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


class Mistakes(ConfigError):
    """A section that is wrong in one place or more: `each` of them."""

    def __init__(self, each: Sequence[Said]) -> None:
        super().__init__("\n".join(spoken("en", one) for one in each))
        self.each = each


def entry_of(device_type: str) -> Entry:
    """The entry of a type, ours or one that an installed package adds; ConfigError for an unknown
    type or a package whose entry point leads nowhere."""
    if device_type in TYPES:
        return TYPES[device_type]
    point = _added().get(device_type)
    if point is None:
        raise ConfigError(*told("type_unknown", type=device_type, known=_known()))
    try:
        found = point.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            *told("type_not_loaded", type=device_type, package=point.value, why=error)
        ) from error
    if not isinstance(found, Entry):
        raise ConfigError(*told("type_no_entry", type=device_type, package=point.value))
    return found


def _added() -> dict[str, importlib.metadata.EntryPoint]:
    return {point.name: point for point in importlib.metadata.entry_points(group=GROUP)}


def model_of(device_type: str) -> type[BaseModel]:
    """The config model of a type; ConfigError for an unknown type or a missing package."""
    return _model(say("of_type", type=device_type), device_type)


def check(name: str, section: Mapping[str, Any]) -> BaseModel:
    """The section of device `name` as its type's model. ConfigError names the device, the key
    and what to write instead; nothing is connected."""
    place = say("device", name=name)
    device_type = section.get("type")
    if not isinstance(device_type, str):
        raise ConfigError(*told("type_missing", place=place, known=_known()))
    model = _model(place, device_type)
    values = dict(section)
    if "type" not in model.model_fields:
        del values["type"]
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise Mistakes(_explain(place, model, error)) from error


def build(name: str, section: Mapping[str, Any], context: DeviceContext) -> Device:
    """The device `name` of a checked section, not yet opened; ConfigError as `check`."""
    config = check(name, section)
    entry = entry_of(section["type"])
    factory: Callable[[str, BaseModel, DeviceContext], Device] = _resolve(
        say("device", name=name), entry.factory, entry
    )
    with _needs(say("device", name=name), entry):
        return factory(name, config, context)


def _model(place: Said, device_type: str) -> type[BaseModel]:
    try:
        entry = entry_of(device_type)
    except ConfigError as error:
        raise ConfigError(*told("section_wrong", place=place, why=in_words(error))) from None
    model: type[BaseModel] = _resolve(place, entry.model, entry)
    return model


def _known() -> str:
    return ", ".join(known_types())


def _resolve(place: Said, dotted: str, entry: Entry) -> Any:
    module, _, attribute = dotted.partition(":")
    with _needs(place, entry):
        return getattr(importlib.import_module(module), attribute)


@contextlib.contextmanager
def _needs(place: Said, entry: Entry) -> Iterator[None]:
    """What is imported within is installed by `entry.install`: ConfigError when it is not there,
    or does not load. A driver of a heavy SDK imports it only when a device is built."""
    try:
        yield
    except ImportError as error:
        missing = error.name or ""
        if missing.split(".")[0] in ("drivers", "agent"):
            raise
        about = {"place": place, "package": missing, "command": entry.install}
        if isinstance(error, ModuleNotFoundError):
            raise ConfigError(*told("package_missing", **about)) from error
        raise ConfigError(*told("package_broken", why=error, **about)) from error


def _explain(place: Said, model: type[BaseModel], error: ValidationError) -> list[Said]:
    """One sentence for each mistake."""
    found = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden" and len(item["loc"]) == 1:
            known = ", ".join(sorted(model.model_fields))
            found.append(say("key_unknown_of", place=place, key=key, known=known))
        elif item["type"] == "extra_forbidden":
            found.append(say("key_unknown", place=place, key=key))
        elif item["type"] == "missing":
            found.append(say("key_missing", place=place, key=key))
        elif not key:  # keys that do not go together
            found.append(say("keys_wrong", place=place, why=message))
        else:
            held = f"{item['input']!r:.80}"
            found.append(say("key_wrong", place=place, key=key, why=message, held=held))
    return found
