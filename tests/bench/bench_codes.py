"""How long canonical() takes for each kind of text, beside str.strip() and biip.parse().

Run: python tests/bench/bench_codes.py [--rows N]. Every function is warmed; the rounds of all cases
are shuffled, so that a busy moment of the machine hits all alike; a figure is the median of them.
"""

import argparse
import random
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parents[2]))

import biip

from agent.core.codes import canonical
from agent.core.gs1 import check_digit
from agent.core.poolfile import Declared
from agent.core.poolread import read_pool

ROUNDS = 31
EACH = 200  # texts of a kind in one round
GTIN = "06901234567892"


def token(rng: random.Random) -> str:
    return "".join(rng.choices("0123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz", k=14))


def sscc(rng: random.Random) -> str:
    body = f"06901234{rng.randrange(10**9):09}"
    return body + check_digit(body)


KINDS: dict[str, Callable[[random.Random], str]] = {
    "plain serial": token,
    "plain number": lambda rng: f"{rng.randrange(10**19, 10**20)}",
    "url": lambda rng: f"https://q.example.cn/{token(rng)}",
    "url, upper case": lambda rng: f"HTTPS://Q.EXAMPLE.CN/{token(rng)}",
    "url after ]Q1": lambda rng: f"]Q1https://q.example.cn/{token(rng)}",
    "element string": lambda rng: f"01{GTIN}21{token(rng)}",
    "]d2, lot, FNC1": lambda rng: f"]d201{GTIN}21{token(rng)}\x1d10L1",
    "brackets": lambda rng: f"(01){GTIN}(21){token(rng)}",
    "digital link": lambda rng: f"https://brand.example.cn/01/{GTIN}/21/{token(rng)}",
    "sscc, 20 digits": lambda rng: f"00{sscc(rng)}",
}


def micros(function: Callable[[str], object], texts: list[str]) -> float:
    begin = perf_counter()
    for text in texts:
        function(text)
    return (perf_counter() - begin) / len(texts) * 1e6


def measure(rng: random.Random) -> dict[tuple[str, str], float]:
    functions: dict[str, Callable[[str], object]] = {
        "canonical": canonical,
        "strip": str.strip,
        "biip": biip.parse,
    }
    texts = {kind: [make(rng) for _ in range(EACH)] for kind, make in KINDS.items()}
    cases = [(kind, name) for kind in KINDS for name in functions]
    times: dict[tuple[str, str], list[float]] = {case: [] for case in cases}
    for at in range(ROUNDS + 2):
        rng.shuffle(cases)
        for kind, name in cases:
            taken = micros(functions[name], texts[kind])
            if at >= 2:
                times[kind, name].append(taken)
    return {case: statistics.median(taken) for case, taken in times.items()}


def measure_import(rng: random.Random, kind: str, rows: int) -> float:
    make = KINDS[kind]
    text = "body\n" + "".join(f"{make(rng)}{at}\n" for at in range(rows))
    data = text.encode()
    begin = perf_counter()
    pool = read_pool(data, Declared("bench", "bottle", ("body",)))
    taken = (perf_counter() - begin) / rows * 1e6
    assert pool.count == rows
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000, help="rows of an imported pool")
    rows: int = parser.parse_args().rows
    rng = random.Random(1)
    median = measure(rng)
    print(f"{'kind':18} {'canonical':>10} {'strip':>8} {'biip':>8}  {'x strip':>8} {'biip x':>7}")
    for kind in KINDS:
        ours, strip, theirs = (median[kind, name] for name in ("canonical", "strip", "biip"))
        print(
            f"{kind:18} {ours:7.2f} us {strip:5.2f} us {theirs:5.0f} us"
            f"  {ours / strip:8.0f} {theirs / ours:7.1f}"
        )
    for kind in ("plain serial", "url", "element string"):
        print(f"import, {kind:14} {measure_import(rng, kind, rows):7.2f} us per row of {rows}")


if __name__ == "__main__":
    main()
