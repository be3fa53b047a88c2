"""Trigger to verdict written: one line at 120,000 bottles an hour, split into its parts.

A real agent (one processor) against the simulated plant (the other) for a minute, by real sockets.
Own overhead is what is neither decoding, nor the durable commit, nor the network. The bare call is
the decoding alone, so the last column is each part as a multiple of it.
"""

import sys

from agent.demo.run import Demo, DemoOptions

PARTS = ("frame", "decode", "queue", "decide", "commit", "write", "total")


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    speed = int(sys.argv[2]) if len(sys.argv) > 2 else 120_000
    options = DemoOptions(seconds=seconds, speed=speed, web=False, pin=True)
    result = Demo(options, say=lambda text: print(text, file=sys.stderr)).run()
    print(f"{result.bottles} bottles at {speed:,}/h; audit {'good' if result.good else 'NOT GOOD'}")
    for note in result.notes:
        print("note:", note)
    bare = result.latency_ms["decode"]["p50"]
    print(f"{'ms':<10}{'p50':>10}{'p95':>10}{'p99':>10}{'max':>10}{'x decode':>10}")
    for part in PARTS:
        times = result.latency_ms[part]
        row = "".join(f"{times[at]:>10.2f}" for at in ("p50", "p95", "p99", "max"))
        print(f"{part:<10}{row}{times['p50'] / bare:>10.2f}")
    own = result.latency_ms["queue"]["p50"] + result.latency_ms["decide"]["p50"]
    print(f"own overhead (queue + decide), median: {own:.2f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
