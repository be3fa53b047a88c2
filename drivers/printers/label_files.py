"""Label templates in files: config/labels/<name>.toml."""

import tomllib
from pathlib import Path

from pydantic import ValidationError

from agent.core.errors import ConfigError
from agent.told import os_said, told
from drivers.printers.label_template import LabelTemplate
from drivers.shipped import CONFIG

LABELS = CONFIG / "labels"


def load_label(name: str, device: str) -> LabelTemplate:
    """The label `name` of config/labels, or the file `name` where it ends in .toml.
    Pictures are looked for beside it.

    ConfigError, naming the device, the file and the key, when it is not there or not right.
    """
    path = Path(name) if name.endswith(".toml") else LABELS / f"{name}.toml"
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        why = os_said(error)
        known = ", ".join(sorted(p.stem for p in LABELS.glob("*.toml"))) or "-"
        raise ConfigError(
            *told("label_unreadable", device=device, name=name, why=why, known=known)
        ) from error
    for element in data.get("elements", ()):
        # A picture stands beside the label that shows it.
        if isinstance(element, dict) and isinstance(element.get("file"), str):
            element["file"] = str(path.resolve().parent / element["file"])
    try:
        return LabelTemplate.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(*told("label_wrong", path=path, place=place, why=first["msg"])) from error
