"""The label template language: what stands where on a label, as data; no I/O but its images.

A template is one picture for every printer language: sizes in mm, or in dots where it says so.
`lay_out` turns it into dots for a printer; `label_values` fills in a job's fields, `label_draw`
draws it, `zpl_label` writes it as ZPL. docs/labels.md is the integrator's page.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agent.core.errors import ConfigError, DomainError
from agent.told import told

MAX_VALUE = 1024
"""Characters of one value."""
MAX_DOTS = 14_400
"""Width and height of a label at most: 600 mm at 24 dots/mm."""
MAX_MODULE = 40
"""Dots of a symbol's module at most."""

Length = Annotated[float, Field(ge=0, le=MAX_DOTS)]
Symbol = Literal["qr", "datamatrix", "gs1-datamatrix", "code128", "gs1-128", "sscc"]
Kind = Literal[
    "qr", "datamatrix", "gs1-datamatrix", "code128", "gs1-128", "sscc", "text", "line", "image"
]
LINEAR = frozenset({"code128", "gs1-128", "sscc"})
GS1 = frozenset({"gs1-datamatrix", "gs1-128", "sscc"})
SYMBOLS = frozenset({"qr", "datamatrix", "gs1-datamatrix"}) | LINEAR
FieldName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]

HOLE = re.compile(r"\{([a-z][a-z0-9_-]{0,63})(:yymmdd)?\}")
"""A field's place in a text: `{lot}`, or `{expires:yymmdd}` for a date as GS1 writes it."""


class Element(BaseModel):
    """One thing on the label, its upper left corner at `x`, `y`.

    What it shows is `field` (of the job) or `text`, in which `{lot}` stands for a field. `size` is
    a symbol's module or the height of letters; `height` that of bars or of a line, `width` that of
    a line or an image, or what a text may not be wider than. `level` is the QR error correction,
    `readable` the text below bars, `font` a font of a ZPL printer, `file` an image.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    x: Length
    y: Length
    field: FieldName | None = None
    text: str | None = Field(default=None, max_length=MAX_VALUE)
    size: float | None = Field(default=None, gt=0, le=1500)
    height: float | None = Field(default=None, gt=0, le=MAX_DOTS)
    width: float | None = Field(default=None, gt=0, le=MAX_DOTS)
    level: Literal["L", "M", "Q", "H"] = "M"
    readable: bool = True
    align: Literal["left", "center", "right"] = "left"
    font: str = Field(default="0", pattern=r"^([A-Z0-9]|[A-Z]:[A-Z0-9_]{1,16}\.[A-Z]{3})$")
    file: str | None = Field(default=None, max_length=1024)

    @model_validator(mode="after")
    def _consistent(self) -> "Element":
        if self.kind in ("line", "image"):
            if self.field is not None or self.text is not None:
                raise ValueError(f"a {self.kind} shows no field and no text; remove it")
            if self.width is None or (self.kind == "line" and self.height is None):
                raise ValueError(f"a {self.kind} needs 'width'; a line 'height' too")
            if (self.kind == "image") != (self.file is not None):
                raise ValueError("'file' names the picture of an element of kind image")
        elif (self.field is None) == (self.text is None):
            raise ValueError("an element has either 'field' (of the job) or 'text'")
        elif self.file is not None:
            raise ValueError("'file' is for an element of kind image")
        if self.align != "left" and (self.kind != "text" or self.width is None):
            raise ValueError("'align' is for a text with a 'width'")
        left = HOLE.sub("", (self.text or "").replace("{{", "").replace("}}", ""))
        if "{" in left or "}" in left:
            raise ValueError(
                "a brace in 'text' begins or ends a field such as {lot}; write {{ or }} for one"
            )
        return self

    @property
    def source(self) -> str:
        """Its text with fields' places in it; of a `field` alone, its place."""
        return f"{{{self.field}}}" if self.field is not None else self.text or ""

    @property
    def variable(self) -> bool:
        """It is not the same on every label."""
        return self.field is not None or HOLE.search(self.text or "") is not None


class LabelTemplate(BaseModel):
    """A label of `width` x `height`, in mm or in dots of the printer (`unit`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: Literal["mm", "dots"] = "dots"
    width: Length
    height: Length
    elements: tuple[Element, ...] = Field(min_length=1, max_length=64)

    @model_validator(mode="after")
    def _inside(self) -> "LabelTemplate":
        for number, element in enumerate(self.elements):
            right = element.x + (element.width or 0.0)
            low = element.y + (element.height or 0.0)
            if right > self.width or low > self.height:
                raise ValueError(f"element {number} ({element.kind}) lies outside the label")
        return self

    @property
    def fields(self) -> tuple[str, ...]:
        """The job's fields that it needs, each once."""
        found = (hole[1] for one in self.elements for hole in HOLE.finditer(one.source))
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Placed:
    """An element in dots; `width` 0 = as wide as it becomes."""

    element: Element
    x: int
    y: int
    size: int
    height: int
    width: int

    @property
    def kind(self) -> Kind:
        return self.element.kind


@dataclass(frozen=True, slots=True)
class Layout:
    """A template in dots of one printer; `density` in dots/mm."""

    width: int
    height: int
    density: float
    placed: tuple[Placed, ...]


def lay_out(template: LabelTemplate, density: float, device: str = "the printer") -> Layout:
    """`template` in dots of a printer of `density` dots/mm. ConfigError names the element that it
    cannot have."""
    scale = density if template.unit == "mm" else 1.0
    width, height = round(template.width * scale), round(template.height * scale)
    if not (0 < width <= MAX_DOTS and 0 < height <= MAX_DOTS):
        raise ConfigError(
            *told("label_impossible", device=device, width=width, height=height, most=MAX_DOTS)
        )
    placed = []
    for number, one in enumerate(template.elements):
        wanted = one.size if one.size is not None else _usual_size(one, template.unit)
        tall = one.height if one.height is not None else 15 if template.unit == "mm" else 120
        size = max(1, round(wanted * scale))
        if one.kind in SYMBOLS and size > MAX_MODULE:
            raise ConfigError(
                *told(
                    "label_symbol_large",
                    device=device,
                    number=number,
                    kind=one.kind,
                    size=size,
                    most=MAX_MODULE,
                )
            )
        bars = one.kind in LINEAR or one.kind == "line"
        placed.append(
            Placed(
                one,
                round(one.x * scale),
                round(one.y * scale),
                size,
                max(1, round(tall * scale)) if bars else 0,
                max(1, round(one.width * scale)) if one.width is not None else 0,
            )
        )
    return Layout(width, height, density, tuple(placed))


def _usual_size(element: Element, unit: str) -> float:
    if unit == "dots":
        return 6
    if element.kind == "text":
        return 4.0
    return 0.375 if element.kind in LINEAR else 0.5


def filled(source: str, fields: Mapping[str, str]) -> str:
    """`source` with the job's fields in their places. DomainError names a field that is missing, or
    a date that is none."""

    def value(hole: re.Match[str]) -> str:
        name = hole[1]
        if name not in fields:
            raise DomainError(
                "printer_field_missing",
                f"The label needs the field '{name}' and the job has {sorted(fields)}; "
                f"nothing was sent. Mend the label's elements or the job's fields.",
            )
        text = fields[name]
        if hole[2] is None:
            return text
        date = re.fullmatch(r"\d\d(\d\d)-(\d\d)-(\d\d)", text, re.ASCII)
        if date is None:
            raise refuse("printer_value_forbidden", f"of the field '{name}' is no date YYYY-MM-DD")
        return "".join(date.groups())

    # Doubled braces go first: a hole's own value is never looked at again.
    parts = re.split(r"(\{\{|\}\})", source)
    return "".join(part[0] if part in ("{{", "}}") else HOLE.sub(value, part) for part in parts)


def refuse(reason: str, what: str) -> DomainError:
    """The refusal of a value before anything was sent; `what` follows on "A value ..."."""
    return DomainError(
        reason,
        f"A value for the label {what}; nothing was sent. Change the value, or the element in the "
        f"label's template.",
    )
