"""What a symbol's codewords should have been: Reed-Solomon decoding, to find which modules err.

The reader corrects errors but does not say which modules were wrong; the reflectance margin and the
count of errors need them. Berlekamp-Massey, Chien search, Forney (any textbook on the code).
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from agent.vision.quality_layout import Block, Bools, Layout

Words = NDArray[np.uint8]


@lru_cache(maxsize=4)
def _field(prime: int) -> tuple[list[int], list[int]]:
    """Powers of 2 (twice around) and logarithms in GF(256)."""
    powers, logs = [0] * 512, [0] * 256
    value = 1
    for n in range(255):
        powers[n] = powers[n + 255] = value
        logs[value] = n
        value <<= 1
        if value & 256:
            value ^= prime
    return powers, logs


def gather(layout: Layout, dark: Bools) -> Words:
    """The codewords that the modules carry, as they stand (unmasked)."""
    carries = layout.codeword >= 0
    value = (dark ^ layout.masked)[carries].astype(np.uint8) << layout.bit[carries].astype(np.uint8)
    words = np.zeros(int(layout.codeword.max()) + 1, np.uint8)
    np.bitwise_or.at(words, layout.codeword[carries], value)
    return words


def scatter(layout: Layout, words: Words) -> Bools:
    """The modules that carry these codewords; the others are False."""
    carries = layout.codeword >= 0
    bits = words[layout.codeword[carries]] >> layout.bit[carries].astype(np.uint8) & 1
    dark: Bools = np.zeros(layout.shape, bool)
    dark[carries] = bits.astype(bool) ^ layout.masked[carries]
    return dark


def correct(layout: Layout, words: Words) -> tuple[Words, tuple[int | None, ...]]:
    """The codewords after correction, and how many of each block were wrong; None for a block that
    cannot be corrected, whose codewords stay as they are."""
    right = words.copy()
    errors: list[int | None] = []
    for block in layout.blocks:
        found = _errors(layout, block, [int(words[n]) for n in block.codewords])
        errors.append(None if found is None else len(found))
        for place, change in (found or {}).items():
            right[block.codewords[place]] ^= change
    return right, tuple(errors)


def _errors(layout: Layout, block: Block, word: list[int]) -> dict[int, int] | None:
    """Place in the block -> what is wrong there; None if there are too many errors."""
    powers, logs = _field(layout.prime)
    root, length = layout.root, len(word)

    def times(a: int, b: int) -> int:
        return powers[logs[a] + logs[b]] if a and b else 0

    def value(polynomial: list[int], log: int) -> int:
        """Of a polynomial, lowest first, at a power of 2."""
        total = 0
        for n, factor in enumerate(polynomial):
            if factor:
                total ^= powers[(logs[factor] + n * log) % 255]
        return total

    backwards = word[::-1]
    syndromes = [value(backwards, root + n) for n in range(block.correcting)]
    if not any(syndromes):
        return {}
    locator, before, shift, last, degree = [1], [1], 1, 1, 0
    for n in range(block.correcting):
        odd = syndromes[n]
        for m in range(1, min(degree, len(locator) - 1) + 1):
            odd ^= times(locator[m], syndromes[n - m])
        if not odd:
            shift += 1
            continue
        factor = times(odd, powers[255 - logs[last]])
        longer = [0] * shift + [times(factor, each) for each in before]
        new = [
            (locator[m] if m < len(locator) else 0) ^ (longer[m] if m < len(longer) else 0)
            for m in range(max(len(locator), len(longer)))
        ]
        if 2 * degree <= n:
            degree, before, last, shift = n + 1 - degree, locator, odd, 1
        else:
            shift += 1
        locator = new
    if degree > block.correcting // 2:
        return None
    places = [n for n in range(length) if value(locator, (255 - n) % 255) == 0]
    if len(places) != degree:
        return None
    product = [0] * block.correcting
    for n, a in enumerate(syndromes):
        for m, b in enumerate(locator):
            if n + m < block.correcting:
                product[n + m] ^= times(a, b)
    slope = [each if n % 2 == 0 else 0 for n, each in enumerate(locator[1:])]
    found: dict[int, int] = {}
    for n in places:
        below = value(slope, (255 - n) % 255)
        if not below:
            return None
        above = times(value(product, (255 - n) % 255), powers[n * (1 - root) % 255])
        found[length - 1 - n] = times(above, powers[255 - logs[below]])
    return found
