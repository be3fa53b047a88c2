"""Rendered scenes for the vision tests, the same for the same number."""

import random

from drivers.sim.render import Picture, render, suggest_size
from drivers.sim.world import Scene, Symbol

URL = "https://q.example.cn/ABCDEFGHJKLMN"
MATRIX = ("QRCode", "DataMatrix")
KINDS = (*MATRIX, "Code128", "EAN13")


def text(kind: str, number: int) -> str:
    """The text of the n-th symbol of a kind; EAN-13 with its check digit."""
    if kind == "EAN13":
        digits = f"690{number:09d}"
        odd, even = sum(map(int, digits[::2])), sum(map(int, digits[1::2]))
        return f"{digits}{-(odd + 3 * even) % 10}"
    return f"{URL}{number:03d}" if kind in MATRIX else f"CASE{number:06d}"


def nominal(kind: str, number: int) -> tuple[str, Picture]:
    """As an installer should set it up: pitch as asked, sharp, any angle for matrix symbols."""
    rng = random.Random(f"nominal {kind} {number}")
    value = text(kind, number)
    angle = rng.uniform(0, 360) if kind in MATRIX else rng.uniform(-10, 10)
    symbol = Symbol(value, kind, 320, 240, suggest_size(value, kind) * 1.05, angle)
    return value, render(
        Scene(640, 480, (symbol,), 0.7, 4.0, rng.uniform(0.7, 1.1), rng.uniform(-3, 3), number)
    )


def hard(kind: str, number: int) -> tuple[str, Picture]:
    """Out of focus, noisy, dark; and for QR too few pixels per module."""
    rng = random.Random(f"hard {kind} {number}")
    value = text(kind, number)
    share, grain = ((0.6, 1.0), (4, 14)) if kind == "QRCode" else ((0.7, 1.3), (10, 35))
    size = suggest_size(value, kind) * rng.uniform(*share)
    symbol = Symbol(value, kind, 160, 160, size, rng.uniform(0, 360), rng.choice((0, 0, 0.02)))
    blur, noise, light = rng.uniform(0.8, 1.8), rng.uniform(*grain), rng.uniform(0.3, 1.1)
    return value, render(Scene(320, 320, (symbol,), blur, noise, light, seed=number))
