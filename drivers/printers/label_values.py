"""What an element of a label carries for one job: text, symbol data and GS1 element strings.

The same for every printer language: what a symbol cannot carry is refused here, before anything
is sent. GS1 rules: General Specifications 7.8 and 7.9 (agent.core.gs1).
"""

from collections.abc import Mapping

from agent.core.codes import canonical, element_string
from agent.core.errors import DomainError
from agent.core.gs1 import BRACKET, GS, bracketed, check_digit, is_digits, lookup, matches
from drivers.printers.label_template import GS1, HOLE, MAX_VALUE, Element, filled, refuse

DM_ESCAPE = "|"
"""Escape character of Data Matrix in ZPL. Doubling it in data is understood by some printers only,
so it is one that codes do not use (GS1 does not allow it), and data with it are refused."""


def carried(element: Element, fields: Mapping[str, str]) -> str:
    """What a scanner or a person shall read from the element, GS for an inner FNC1.

    DomainError: a field is missing, or the element cannot carry the value.
    """
    if element.kind in GS1 and element.text is not None:
        return _checked(element, _composed(element.text, fields))
    value = filled(element.source, fields)
    if len(value) > MAX_VALUE:
        raise refuse("printer_value_too_long", f"has more than {MAX_VALUE} characters")
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise refuse("printer_value_encoding", "holds half a character")
    if element.kind == "text":
        return value
    if not value:
        raise refuse("printer_value_forbidden", "is empty, and a symbol needs a text")
    if element.kind == "sscc":
        return "00" + _sscc(value)
    return _checked(element, _elements(value) if element.kind in GS1 else value)


def _checked(element: Element, value: str) -> str:
    if element.kind in ("datamatrix", "gs1-datamatrix"):
        if DM_ESCAPE in value or not value.isascii():
            raise refuse(
                "printer_value_forbidden", "holds a character that Data Matrix has not here"
            )
    elif element.kind in ("code128", "gs1-128"):
        allowed = GS if element.kind == "gs1-128" else ""
        if not all(" " <= char <= "~" or char in allowed for char in value):
            raise refuse("printer_value_forbidden", "holds a character that Code 128 has not here")
    return value


def _sscc(value: str) -> str:
    digits = value.removeprefix("https://id.gs1.org/00/").removeprefix("(00)")
    if len(digits) == 20:
        digits = digits.removeprefix("00")
    if len(digits) != 18 or not is_digits(digits) or check_digit(digits[:17]) != digits[17]:
        raise refuse("printer_value_forbidden", "is no SSCC with its right check digit")
    return digits


def _elements(value: str) -> str:
    """The GS1 element string of any spelling of an item, GS between variable elements."""
    if not value.startswith("("):
        try:
            return element_string(canonical(value))
        except (ValueError, DomainError):
            raise refuse("printer_value_forbidden", "is no GS1 item") from None
    try:
        found = bracketed(value)
    except DomainError:
        raise refuse("printer_value_forbidden", "is no GS1 item") from None
    return _joined(found)


def _composed(source: str, fields: Mapping[str, str]) -> str:
    """A GS1 element string of a text such as `(01){gtin}(10){lot}`: brackets in a field's value
    never begin an element."""
    parts = BRACKET.split(source.replace(" ", ""))
    if parts[0] or len(parts) < 3:
        only = HOLE.fullmatch(source.strip())
        if only is None:
            raise refuse("printer_value_forbidden", "does not begin with an element such as (01)")
        return _elements(filled(source.strip(), fields))
    found = {}
    for ai, part in zip(parts[1::2], parts[2::2], strict=True):
        value = filled(part, fields)
        if ai in ("01", "02") and len(value) in (8, 12, 13) and is_digits(value):
            value = value.zfill(14)
        if not matches(ai, value):
            raise refuse("printer_value_forbidden", f"does not fit the GS1 element ({ai})")
        found[ai] = value
    return _joined(found)


def _joined(found: Mapping[str, str]) -> str:
    parts = []
    for ai, text in found.items():
        if ai in ("00", "01", "02") and check_digit(text[:-1]) != text[-1]:
            raise refuse("printer_value_forbidden", f"has a wrong check digit in ({ai})")
        known = lookup(ai)
        open_end = known is None or known[2]
        parts.append(ai + text + (GS if open_end else ""))
    return "".join(parts).removesuffix(GS)
