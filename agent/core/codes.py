"""One canonical text per code: every text from a camera, scanner, file or API passes `canonical`.

What is one identity, and how it is held:

- *plain serial*: as it stands, without the reader's prefix and suffix, the AIM identifier and
  spaces at its ends. EAN-13 digits are a plain serial too: they name no item.
- *url*: scheme and host in lower case, everything after them untouched (`http` and `https` are
  two texts: nobody promised that they lead to the same place).
- *gs1*: GTIN (AI 01) and serial (AI 21, or the third-party serial AI 235) are the identity of an
  item, held as `https://id.gs1.org/01/<14 digits>/21/<serial>`. Lot and other data elements are
  data about it and no part of the text: the same bottle may carry them in one symbol and not in
  the next. *product* is the same without a serial: it names a product or a lot, never one item.
- *sscc*: `https://id.gs1.org/00/<18 digits>`, also from 20 digits `00...` and from 18 bare digits
  with the right check digit. One in ten plain serials of 18 digits is therefore held as an SSCC;
  it stays one identity, because every reading passes here.

The AIM identifier never decides between identities (a hand scanner may not send it). It only makes
strict: after `]d2`, `]C1`, `]Q3`, `]e0` ... a text must be element strings (or a URL), otherwise it
is refused; without it, and without FNC1 (0x1D) or brackets, a text that does not parse as element
strings of an item with a right check digit is a plain serial.

Which URLs are GS1 Digital Links: the standard allows any domain and any path before `/01/`, so a
brand's own domain counts, provided that the path names an item: `/01/<13 or 14 digits>/21/<serial>`
(qualifiers 22, 10, 21, 235 in this order, or as AIs in the query) or `/00/<18 digits>`. On any
domain but id.gs1.org:
- `/01/<digits>` without a serial stays a URL, right check digit or not: it may be a private
  number, and as a GTIN it would name no item anyway;
- `/00/<18 digits>` with a wrong check digit stays a URL: it may be a private number;
- `/01/<digits>/21/<serial>` with a wrong check digit is refused: nothing else looks like that, and
  held as a URL it would be a second identity of the same item.
On id.gs1.org a wrong check digit is always refused. Convenience names (`/gtin/.../ser/...`, removed
from the standard in 1.2) are not read.

Sources: GS1 General Specifications 7.8, GS1 Digital Link URI Syntax 4.9 to 4.12, ISO/IEC 15424 (AIM
identifiers). Element strings and check digits are in `gs1`.
"""

import re
from typing import Literal
from urllib.parse import quote, unquote

from agent.core import values
from agent.core.gs1 import (
    BRACKET,
    GS,
    bracketed,
    check_digit,
    elements_of,
    is_digits,
    lookup,
    malformed,
    matches,
)
from agent.core.gs1 import Refused as Refused

Kind = Literal["serial", "url", "gs1", "sscc", "product"]

MAX_LENGTH = 512
"""Longest canonical text, in characters."""
MAX_RAW = 2 * MAX_LENGTH
"""Longest text as a reader sends it (prefix, suffix, AIM identifier), in characters; bytes: x 4."""

DIGITAL_LINK = "https://id.gs1.org"

REASONS = frozenset(
    {
        "code_empty",
        "code_too_long",
        "code_not_utf8",
        "code_control_character",
        "code_url_without_host",
        "code_check_digit",
        "code_gs1_malformed",
        "code_gs1_no_item",
    }
)
"""Every reason that `canonical` refuses with: keys of the message catalogue."""

_AIM = re.compile(r"\][A-Za-z][0-9A-Za-z]")
_AIM_GS1 = frozenset({"]C1", "]d2", "]Q3", "]J1", "]e0", "]e1", "]e2"})
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://([^/?#]*)(.*)", re.DOTALL)
# An element string without FNC1 can only name an item if it begins with an element of predefined
# length (General Specifications 7.8.5): GTIN and SSCC, dates, variant, measures, locations.
_FIXED_HEADS = frozenset(
    "00 01 02 03 11 12 13 15 16 17 20 31 32 33 34 35 36 41".split()  # noqa: SIM905
)
_QUALIFIERS = ("22", "10", "21", "235")
_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


@values.value(frozen=True, slots=True)
class Code:
    """A code in its canonical form. `text` alone is the identity; the other parts are data from
    this reading ("" where the symbol did not carry them). `gtin` has 14 digits, `sscc` 18."""

    text: str
    kind: Kind
    gtin: str = ""
    serial: str = ""
    sscc: str = ""
    lot: str = ""


def masked(pool: int, position: int) -> str:
    """How a secret code is written outside its pool."""
    return f"{pool}/{position}"


def canonical(raw: str | bytes, *, prefix: str = "", suffix: str = "") -> Code:
    """The one form of a code text; Refused with a reason and a remedy if it cannot be a code.

    `prefix` and `suffix` are what the reader is configured to put around each text (they may hold
    control characters); each is cut off once where it is present, since a person may type the
    same code without them. Without them the function is idempotent on `text`.
    """
    text = _decoded(raw) if isinstance(raw, bytes) else raw
    if len(text) > MAX_RAW:
        raise _too_long(len(text))
    if prefix:
        text = text.removeprefix(prefix)
    if suffix:
        text = text.removesuffix(suffix)
    strict = False
    if text[:1] in "] " or text[-1:] == " ":  # "" is in every string: an empty text goes here too
        text, strict = _peeled(text)
    if len(text) > MAX_LENGTH:
        raise _too_long(len(text))
    if not text.isprintable():
        _refuse_invisible(text)  # and if only FNC1 (GS) is: element strings or nothing
        return _item(elements_of(text.strip(GS)))
    if "://" in text and (url := _URL.fullmatch(text)) is not None:
        return _url(*url.groups())
    if text[0] == "(" and (first := BRACKET.match(text)) is not None and lookup(first[1]):
        return _item(bracketed(text))
    if strict:
        return _item(elements_of(text))
    if len(text) > 16 and text[:2] in _FIXED_HEADS and (item := _likely_item(text)) is not None:
        return item
    if len(text) == 18 and is_digits(text) and check_digit(text[:17]) == text[17]:
        return _sscc(text)
    return Code(text, "serial")


def element_string(code: Code) -> str:
    """The GS1 element string of a code of kind gs1, sscc or product, for a symbol that starts with
    FNC1; a 0x1D in it stands for FNC1. ValueError for any other kind."""
    if code.kind == "sscc":
        return f"00{code.sscc}"
    if code.kind == "gs1" and "/235/" in code.text:
        parts = [f"235{code.serial}"]
    elif code.kind == "gs1":
        parts = [f"21{code.serial}"]
    elif code.kind == "product":
        parts = []
    else:
        raise ValueError(f"a code of kind {code.kind} has no GS1 element string")
    if code.lot:
        parts.insert(0, f"10{code.lot}")
    return f"01{code.gtin}" + GS.join(parts)


# ------------------------------------------------------------------------------- what is around it


def _decoded(raw: bytes) -> str:
    if len(raw) > 4 * MAX_RAW:
        raise _too_long(len(raw))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(
            "code_not_utf8",
            f"The code is not UTF-8 (byte {error.start} of {len(raw)}). "
            "Set the reader to send UTF-8, or check its serial settings.",
        ) from None


def _peeled(text: str) -> tuple[str, bool]:
    """Without spaces and AIM identifiers around it, and whether one of them promised GS1 data.
    A text never keeps an AIM identifier (scanner and driver may both have put one), so that
    `canonical` stays idempotent."""
    gs1 = False
    while True:
        text = text.strip(" ")
        aim = _AIM.match(text)
        if aim is None:
            break
        gs1 = gs1 or aim[0] in _AIM_GS1
        text = text[3:]
    if not text:
        raise Refused(
            "code_empty",
            "The code is empty. Read the symbol again; if it stays empty, check the reader's "
            "prefix and suffix settings.",
        )
    return text, gs1


def _refuse_invisible(text: str) -> None:
    """Everything that cannot be seen is refused, except FNC1 (GS), which only element strings
    have. Not only C0: a zero-width space or a lone surrogate would make a second identity."""
    for at, character in enumerate(text):
        if character != GS and not character.isprintable():
            raise Refused(
                "code_control_character",
                f"The code has an invisible character (U+{ord(character):04X}) at position {at}. "
                "Set the reader's terminator, prefix and suffix, or mend the file it came from.",
            )


def _too_long(length: int) -> Refused:
    return Refused(
        "code_too_long",
        f"The code has {length} characters and {MAX_LENGTH} are allowed. Check that the reader's "
        "separator is set: this may be several codes in one.",
    )


# --------------------------------------------------------------------------------------------- URL


def _url(scheme: str, authority: str, tail: str) -> Code:
    scheme = scheme.lower()
    user, at, host = authority.rpartition("@")
    # ASCII only: str.lower() of other scripts may change the length or depend on its neighbours.
    host = host.lower() if host.isascii() else host.translate(_ASCII_LOWER)
    if not host:
        raise Refused(
            "code_url_without_host",
            "The code is a URL without a host. Read it again, or mend the file it came from.",
        )
    if ("/01/" in tail or "/00/" in tail) and scheme in ("https", "http"):
        link = _digital_link(tail, ours=host == "id.gs1.org")
        if link is not None:
            return link
    return Code(f"{scheme}://{user}{at}{host}{tail}", "url")


def _digital_link(tail: str, *, ours: bool) -> Code | None:
    """The item that a path and query name; None where they are no Digital Link (see the head of
    this file). `ours`: the host is id.gs1.org, where a path with a GS1 key can be nothing else."""
    rest, _, query = tail.partition("#")[0].partition("?")
    parts = rest.split("/")
    for at in range(1, len(parts) - 1):
        key, number = parts[at], parts[at + 1]
        if key == "00" and len(number) == 18 and is_digits(number):
            if len(parts) > at + 2:
                break
            if not ours and check_digit(number[:17]) != number[17]:
                return None
            return _sscc(number)
        if key == "01" and len(number) in (13, 14) and is_digits(number):
            elements = _qualified(parts[at + 2 :], query)
            if elements is None:
                break
            if not ours and not elements.keys() & {"21", "235"}:
                return None
            return _item({"01": number.zfill(14), **elements})
    if ours:
        raise malformed("its path is not a GS1 Digital Link")
    return None


def _qualified(path: list[str], query: str) -> dict[str, str] | None:
    """Key qualifiers from the path behind a GTIN, and the same from the query; None if the path
    has anything else, so that it is no Digital Link."""
    if len(path) % 2:
        return None
    elements: dict[str, str] = {}
    after = -1
    for ai, value in zip(path[::2], path[1::2], strict=True):
        if ai not in _QUALIFIERS or _QUALIFIERS.index(ai) <= after:
            return None
        after = _QUALIFIERS.index(ai)
        elements[ai] = unquote(value)
    for pair in query.split("&"):
        ai, _, value = pair.partition("=")
        if ai in _QUALIFIERS and ai not in elements:
            elements[ai] = unquote(value.replace("+", " "))
    for ai, value in elements.items():
        if not matches(ai, value):
            return None
    return elements


def _likely_item(text: str) -> Code | None:
    """The item that a text names if nothing says that it is GS1 data; None if it is a serial that
    only looks like it. A product without a serial is no reason to take a number for GS1 data."""
    try:
        code = _item(elements_of(text))
    except Refused:
        return None
    return None if code.kind == "product" else code


def _item(elements: dict[str, str]) -> Code:
    """The code that elements name: the logistic unit if there is an SSCC, else the trade item."""
    if "00" in elements:
        return _sscc(elements["00"])
    gtin = elements.get("01")
    if gtin is None:
        raise Refused(
            "code_gs1_no_item",
            "The symbol holds GS1 data without a GTIN (01) or an SSCC (00), so it names no item. "
            "Read the symbol that holds one of them.",
        )
    if check_digit(gtin[:13]) != gtin[13]:
        raise _wrong_check_digit("GTIN", gtin)
    lot = elements.get("10", "")
    for ai in ("21", "235"):
        if serial := elements.get(ai):
            return Code(
                f"{DIGITAL_LINK}/01/{gtin}/{ai}/{_quoted(serial)}", "gs1", gtin, serial, "", lot
            )
    text = f"{DIGITAL_LINK}/01/{gtin}" + (f"/10/{_quoted(lot)}" if lot else "")
    return Code(text, "product", gtin, "", "", lot)


def _sscc(digits: str) -> Code:
    if check_digit(digits[:17]) != digits[17]:
        raise _wrong_check_digit("SSCC", digits)
    return Code(f"{DIGITAL_LINK}/00/{digits}", "sscc", sscc=digits)


def _quoted(value: str) -> str:
    return value if value.isalnum() else quote(value, safe="")


def _wrong_check_digit(name: str, digits: str) -> Refused:
    right = check_digit(digits[:-1])
    return Refused(
        "code_check_digit",
        f"The check digit of {name} {digits} is {digits[-1]} and should be {right}. Read or type "
        "it again; if the symbol really says so, it was made from a wrong number.",
    )
