"""Feeds codecs with what no device should send: `python -m tests.drivers.fuzz CODEC|all`.

One input is one piece of bytes given to a codec that lives on: true messages, cut, glued, turned
over, repeated, between random bytes. A codec may not raise, may not think long, may not grow; every
so often a stream is fed whole and byte by byte and must give the same messages. `TARGETS` has a
line for each codec.
"""

import argparse
import random
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from drivers.printers.codenet_codec import CodenetCodec
from drivers.printers.coder_codec import CoderCodec
from drivers.printers.escpos_status import EscposCodec
from drivers.printers.linx_codec import LinxCodec
from drivers.printers.ngpcl_codec import NgpclCodec
from drivers.printers.profile import load_profile
from drivers.printers.tspl_status import TsplCodec
from drivers.printers.wsi_codec import WsiCodec
from drivers.printers.zipher_codec import ZipherCodec
from drivers.printers.zpl_status import StatusCodec
from drivers.readers.dmcc import DmccCodec, DmccConfig
from drivers.readers.hid_scanner import HidScannerConfig
from drivers.readers.keyence import KeyenceCodec, KeyenceConfig
from drivers.readers.keys import KeyCodec
from drivers.readers.line_reader import LineCodec, LineReaderConfig
from drivers.sim.keyboard import Keyboard
from drivers.transport import CHUNK

SLOW = 1.0
"""Seconds of the processor that `COMPARE` inputs may take, however long they are (asking for the
time costs more than most inputs do)."""
HELD = 256 * 1024
"""Bytes that a codec may keep."""
GROWTH_KB = 64 * 1024
RENEW = 5_000
COMPARE = 50


@dataclass(frozen=True, slots=True)
class Target:
    """A codec: how to make one, true bytes of its dialogue, and, where it is told what it should
    expect, the kinds of which some are expected at a time."""

    make: Callable[[], Any]
    seeds: Sequence[bytes]
    kinds: Sequence[str] = ()


KINDS = ("ack", "full", "nak", "cleared", "status0", "status1")

CODENET = (b"\x06", b"\x06000", b"\x15", b"\x15024", b"2", b"P", b"\x1bT10000000012\x04")

LINX = tuple(
    bytes.fromhex(text)
    for text in ("1B0600001405 1B03DE", "1B15004E1D 1B037D", "1B0600001D1B1B1B03A4")
)


def _profile(name: str, *seeds: bytes) -> Target:
    profile = load_profile(name, "fuzz")
    return Target(lambda: CoderCodec(profile), seeds, KINDS)


TARGETS: dict[str, Target] = {
    "text_coder/generic-queue": _profile(
        "generic-queue", b"\x02A;12;1\x03", b"\x02D;12;501\x03", b"\x02S;0;3;501;ink_out\x03"
    ),
    "text_coder/uv-string": _profile("uv-string", b"\x02DATA;OK\x03", b"\x02RSFP;12;A\x03"),
    "text_coder/laser-string": _profile("laser-string", b"GET\r\n", b"OK\r\n", b"DONE\r\n"),
    "text_coder/tij-string": _profile("tij-string", b"OK\r\n", b"PRINTED\r\n", b"ERR 12\r\n"),
    "text_coder/leibinger-like": _profile(
        "leibinger-like", b"^0=ETX9\r", b"^0=RS2\t6\t0\t1\t250\r", b"^0=CC000123\r"
    ),
    "zpl": Target(
        StatusCodec,
        (
            b"\x02030,0,0,1245,000,0,0,0,000,0,0,0\x03\r\n"
            b"\x02000,0,0,0,1,2,6,0,00000000,1,000\x03\r\n\x021234,0\x03\r\n",
            b"\x02\r\n  PRINTER STATUS\r\n   ERRORS:         1 00000000 00000005\r\n"
            b"   WARNINGS:       1 00000000 00000002\r\n\x03",
            b'"8560 LABELS"',
            b'"?"',
        ),
    ),
    "escpos": Target(
        EscposCodec,
        (b"\x12\x12\x12\x12", b"\x1a\x32\x12\x72", b"\x37\x220001\x00", b"\x37\x25\x00", b"\x00"),
    ),
    "tspl": Target(TsplCodec, (b"\x02@@@@\x03\r\n", b"\x02P@@@\x03\r\n", b"\x02EHC\x66\x03\r\n")),
    "codenet/variable": Target(lambda: CodenetCodec("2"), CODENET),
    "codenet/fixed": Target(lambda: CodenetCodec("P", "fixed"), CODENET),
    "codenet/bare": Target(lambda: CodenetCodec("P", nak="bare"), CODENET),
    "linx_rci_experimental/no_esc": Target(lambda: LinxCodec("no_esc"), LINX),
    "linx_rci_experimental/all": Target(lambda: LinxCodec("all"), LINX),
    "ngpcl": Target(
        NgpclCodec,
        (
            b"{~JN0|BOTTLE.job|}\r\n",
            b"{~DS0|0|1|0|0|0|2|0|000000000|06|1|}",
            b"{~FC0|CODE|A1|}\r",
            b"{~NK1|}",
        ),
    ),
    "wsi": Target(
        WsiCodec,
        (b"$93", b"!94", b"\x02BOTTLE\x03", b"\x0200000 01\x03", b"\x0200000012\x03"),
        ("ok", "bad", "name", "faults", "count"),
    ),
    "zipher": Target(
        ZipherCodec,
        (
            b"ACK\r",
            b"ERR\r\n",
            b"STS|3|\r",
            b"STS|3|0|bottle|12|3456|\r",
            b"PRC\r",
            b"JOB|bottle|1|\r",
            b"JDL|2|CODE=A|LOT=|\r",
            b"FLT|1|12|1|Ribbon Broken|\r",
            b"SLR|7|\r",
        ),
        ("ACK", "ERR", "STS", "JOB", "SLR"),
    ),
}
TARGETS |= {
    f"line_reader/{profile}": Target(
        partial(
            LineCodec,
            LineReaderConfig(
                address="tcp://h:1", profile=profile, heartbeat="HB", numbered=numbered
            ),
        ),
        (
            b"\x02]d2010690123456789221A\x1d7\r\n",
            b"\x02CODE-1;CODE-2,CODE-3\r\n",
            b"\x02\x18\r\n",
            b"NOREAD\r\n",
            b"HB\r\n",
            b"17:CODE-1\r\n",
        ),
    )
    for profile, numbered in (("generic", ":"), ("datalogic", ""), ("hand-scanner", ""))
}
TARGETS["dmcc"] = Target(
    lambda: DmccCodec(DmccConfig(address="tcp://h:1", separator=",")),
    (
        b"||0:123[0]DM370\r\n",
        b"||0:0[1]Q09ERS0xLENPREUtMg==\r\n",
        b"||:::2[0]\r\n",
        b"||1:5[103]\x2f\r\n",
        b"\xff\xfd\x18CODE-1\r\n",
    ),
)
TARGETS["keyence_sr"] = Target(
    lambda: KeyenceCodec(KeyenceConfig(address="tcp://h:1", separator=",")),
    (b"OK,KEYENCE,SR-2000,1.73\r", b"ER,LON,23\r\n", b"CODE-1,CODE-2\r", b"ERROR\r", b"OK,LON\r"),
)
TARGETS["hid_scanner"] = Target(
    partial(KeyCodec, HidScannerConfig(path="/dev/input/by-id/x")),
    (
        Keyboard().typed("CODE-1"),
        Keyboard().typed("]d2a\x1dB~"),
        Keyboard().typed("CODE", end=""),
        Keyboard().by_number("\x1d"),
        Keyboard().tap("CAPSLOCK"),
    ),
)


def piece(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """One input."""
    kind = rng.randrange(8)
    if kind == 0:
        return rng.randbytes(rng.randrange(1, 40))
    data = b"".join(rng.choice(seeds) for _ in range(rng.randrange(1, 4)))
    if kind == 1:
        return data
    if kind == 2:
        return data[: rng.randrange(len(data) + 1)]
    if kind == 3:
        return data[rng.randrange(len(data)) :]
    if kind == 4:
        at = rng.randrange(len(data))
        return data[:at] + rng.randbytes(rng.randrange(1, 4)) + data[at + 1 :]
    if kind == 5:
        at = rng.randrange(len(data))
        return data[:at] + data[at : at + 1] * rng.randrange(1, 200) + data[at:]
    if kind == 6:
        return bytes(rng.sample(data[:200], min(len(data), 200)))
    if rng.randrange(2000) == 0:
        return rng.choice(data[-3:]).to_bytes() * CHUNK
    return data * rng.randrange(1, 20)


def held(codec: Any) -> int:
    """Bytes and messages that a codec keeps."""
    slots = [name for kind in type(codec).__mro__ for name in getattr(kind, "__slots__", ())]
    values = [*getattr(codec, "__dict__", {}).values(), *(getattr(codec, s, None) for s in slots)]
    return sum(len(v) for v in values if isinstance(v, bytes | bytearray | list | str))


def fuzz(target: Target, inputs: int, seed: int, slow: float = SLOW) -> str:
    """What went wrong, "" if nothing did."""
    rng = random.Random(seed)
    codec = target.make()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.thread_time()
    for n in range(inputs):
        if n % RENEW == RENEW - 1:
            codec = target.make()
        expected = tuple(k for k in target.kinds if rng.random() < 0.5) if target.kinds else ()
        if target.kinds:
            codec.expected = expected
        data = piece(rng, target.seeds)
        try:
            codec.feed(data)
        except Exception as crash:  # noqa: BLE001
            return f"input {n}: {crash!r} at {data[:80]!r}"
        if (n % 8 == 0 or len(data) > 10_000) and held(codec) > HELD:
            return f"after input {n} it keeps {held(codec)} bytes: {data[:80]!r}"
        if n % COMPARE == COMPARE - 1:
            took = time.thread_time() - began
            if took > slow:
                return f"the {COMPARE} inputs to {n} took {took:.1f} s; the last: {data[:80]!r}"
            if wrong := compare(target, expected, rng):
                return f"input {n}: {wrong}"
            began = time.thread_time()
    growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return f"the process grew by {growth} kB" if growth > GROWTH_KB else ""


def compare(target: Target, expected: Sequence[str], rng: random.Random) -> str:
    """A stream whole, byte by byte and split anywhere must be the same messages."""
    stream = b"".join(piece(rng, target.seeds)[:200] for _ in range(3))
    said = []
    for cut in (len(stream) or 1, 1, 7):
        codec = target.make()
        if target.kinds:
            codec.expected = expected
        said.append(
            [m for at in range(0, len(stream), cut) for m in codec.feed(stream[at : at + cut])]
        )
    return "" if said[0] == said[1] == said[2] else f"split, {stream!r} gives other messages"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("codec", choices=["all", *TARGETS])
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    bad = 0
    for name in TARGETS if options.codec == "all" else [options.codec]:
        began = time.monotonic()
        wrong = fuzz(TARGETS[name], options.inputs, options.seed)
        bad += bool(wrong)
        seconds = time.monotonic() - began
        print(f"{name}: {options.inputs} inputs, {seconds:.0f} s: {wrong or 'ok'}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
