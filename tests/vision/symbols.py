"""Symbols to be rendered, drawn by writers that are not the reader: segno and zint.

A mistake that reader and writer share would not show.
"""

import random
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import segno
import zint
from numpy.typing import NDArray

Modules = NDArray[np.uint8]
"""height x width, 1 printed, 0 blank, without quiet zone."""

_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_ZINT = {
    "DataMatrix": "DATAMATRIX",
    "RMQRCode": "RMQR",
    "Code128": "CODE128",
    "EAN13": "EANX",
    "EAN8": "EANX",
    "ITF14": "ITF14",
}
_DATABAR = ("DBAR_OMN", "DBAR_LTD", "DBAR_EXP", "DBAR_STK", "DBAR_OMNSTK", "DBAR_EXPSTK")


@dataclass(frozen=True, slots=True)
class Drawn:
    """A symbol and what a reader must say of it (plain text, 0x1D for FNC1 inside)."""

    text: str
    modules: Modules


def check_digit(digits: str) -> str:
    """The check digit of GTIN, EAN and SSCC."""
    weighted = sum(int(d) * (3, 1)[n % 2] for n, d in enumerate(reversed(digits)))
    return str(-weighted % 10)


def draw(symbology: str, rng: random.Random) -> Drawn:
    """A symbol with random content of the kind that packaging carries."""
    serial = "".join(rng.choices(_LETTERS, k=13))
    gtin = f"0690{rng.randrange(10**9):09d}"
    gtin += check_digit(gtin)
    gs1 = rng.random() < 0.5
    lot = "".join(rng.choices(_LETTERS, k=rng.randint(3, 6)))
    element = (f"[01]{gtin}[10]{lot}[21]{serial[:6]}", f"01{gtin}10{lot}\x1d21{serial[:6]}")
    match symbology:
        case "QRCode":
            if gs1 and rng.random() < 0.3:
                return Drawn(element[1], _zint("QRCODE", element[0], True))
            url = f"https://q.example.cn/{serial}"
            return Drawn(url, _segno(url, rng.randrange(8), False))
        case "MicroQRCode":
            return Drawn(serial[:10], _segno(serial[:10], rng.randrange(4), True))
        case "RMQRCode":
            return Drawn(serial, _zint("RMQR", serial, False))
        case "DataMatrix":
            if gs1:
                return Drawn(element[1], _zint("DATAMATRIX", element[0], True))
            return Drawn(serial, _zint("DATAMATRIX", serial, False))
        case "Code128":
            sscc = f"3690{rng.randrange(10**13):013d}"
            sscc += check_digit(sscc)
            if gs1:
                return Drawn(f"00{sscc}", _zint("GS1_128", f"[00]{sscc}", True))
            return Drawn(f"CASE{serial[:6]}", _zint("CODE128", f"CASE{serial[:6]}", False))
        case "EAN13":
            return Drawn(gtin[1:], _zint("EANX", gtin[1:13], False))
        case "EAN8":
            short = f"690{rng.randrange(10**4):04d}"
            return Drawn(short + check_digit(short), _zint("EANX", short, False))
        case "ITF14":
            return Drawn(gtin, _zint("ITF14", gtin[:13], False))
        case "DataBar":
            kind = rng.choice(_DATABAR)
            if "EXP" in kind:
                return Drawn(f"01{gtin}10{lot}", _zint(kind, f"[01]{gtin}[10]{lot}", True))
            return Drawn(f"01{gtin}", _zint(kind, gtin[:13], False))
    raise ValueError(f"no symbology {symbology!r}")


def _segno(text: str, mask: int, micro: bool) -> Modules:
    if micro:
        code = segno.make_micro(text, mask=mask)
    else:
        code = segno.make_qr(text, error="m", mask=mask, boost_error=False)
    return np.array([list(row) for row in code.matrix], np.uint8)


@lru_cache(maxsize=256)
def _zint(name: str, text: str, gs1: bool) -> Modules:
    symbol = zint.Symbol()
    symbol.symbology = getattr(zint.Symbology, name)
    if gs1:
        symbol.input_mode = zint.InputMode.GS1
    if name == "DATAMATRIX":
        symbol.option_3 = int(zint.DataMatrixOptions.SQUARE)
    if name == "ITF14":
        symbol.output_options = zint.OutputOptions(0)
    symbol.show_text = False
    symbol.encode(text)
    packed = np.asarray(symbol.encoded_data)[: symbol.rows]
    rows = np.unpackbits(packed, axis=1, bitorder="little")[:, : symbol.width]
    if name.startswith("DBAR") and symbol.rows > 1:
        # The rows of a stacked symbol differ in height: taken from zint's own picture.
        symbol.scale = 0.5
        symbol.buffer()
        drawn: Modules = (np.asarray(symbol.bitmap)[:, :, 0] == 0).astype(np.uint8)
        return drawn
    if len(rows) == 1:
        return np.repeat(rows, max(12, round(symbol.width * 0.22)), axis=0)
    return rows
