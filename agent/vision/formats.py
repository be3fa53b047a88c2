"""The symbologies that can be read: their names in the site file, and the reader's for each."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import zxingcpp

from agent.core.gs1 import check_digit

FORMATS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "QRCode": zxingcpp.BarcodeFormat.QRCodeModel2,
        "MicroQRCode": zxingcpp.BarcodeFormat.MicroQRCode,
        "RMQRCode": zxingcpp.BarcodeFormat.RMQRCode,
        "DataMatrix": zxingcpp.BarcodeFormat.DataMatrix,
        "Code128": zxingcpp.BarcodeFormat.Code128,
        "EAN13": zxingcpp.BarcodeFormat.EAN13,
        "EAN8": zxingcpp.BarcodeFormat.EAN8,
        "ITF14": zxingcpp.BarcodeFormat.ITF14,
        "DataBar": zxingcpp.BarcodeFormat.DataBar,
    }
)
"""The reader's name of each symbology: always exactly one, all formats at once cost 20 to 400x.

`DataBar` is the whole family: omnidirectional, truncated, stacked, limited, expanded and expanded
stacked. `QRCode` is model 2 alone: the reader's "QR Code" would find Micro QR codes in noise, whose
error correction is weak. `EAN13` also reads UPC-A, which is an EAN-13 with a leading zero, as 13
digits. `ITF14` gives Interleaved 2 of 5 of other lengths too, if three attempts agree.
"""

LINEAR: Final = frozenset({"Code128", "EAN13", "EAN8", "ITF14", "DataBar"})
"""Symbologies whose check digit alone does not stop a misread of few pixels per bar."""

GS1_IDENTIFIERS: Final = frozenset({"]C1", "]d2", "]d5", "]Q3", "]Q4", "]e0", "]e1", "]e2"})
"""AIM symbology identifiers of symbols that carry GS1 element strings (ISO/IEC 15424)."""

FORM: Final[Mapping[str, re.Pattern[str]]] = MappingProxyType(
    {
        "ITF14": re.compile(r"(?:[0-9]{2}){3,40}"),
    }
)
"""What a text must look like, where a reader also gives what does not."""


def doubtful(identifier: str, text: str) -> bool:
    """Whether a text of this AIM identifier needs more witnesses than others: Interleaved 2 of 5
    of another length than 14 or with a wrong check digit. The reader takes a part of an ITF-14 for
    a shorter symbol, which has no check digit at all."""
    if not identifier.startswith("]I"):
        return False
    return len(text) != 14 or check_digit(text[:13]) != text[13]
