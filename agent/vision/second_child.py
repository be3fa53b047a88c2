"""The process that asks ZBar. It knows nothing of the agent and may crash or hang as it likes.

Started as a file by `agent.vision.second` with the number of a shared memory file and its size,
and the number of bytes it may use. Requests come on stdin, 20 bytes each: number, width, height,
symbology, 0; the pixels lie in the shared memory. Each is answered on stdout by its number, a
length and that many bytes of JSON: a list of [text as hex, corners]. "R" says that it is ready;
exit status 3 that pyzbar or libzbar0 is not installed, 4 that its memory may not be capped here.
"""

import json
import mmap
import resource
import signal
import struct
import sys

ABSENT, UNCAPPED = 3, 4
REQUEST = struct.Struct("<5I")
ANSWER = struct.Struct("<2I")
SECONDS = 10
SYMBOLS = ("QRCODE", "CODE128", "EAN13", "EAN8", "I25", "DATABAR", "DATABAR_EXP")
"""ZBar's name of each symbology; bit n of a request asks for the n-th."""


def main(file: int, size: int, memory: int) -> int:
    try:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError):
        return UNCAPPED
    # Endless loops are known of this library: the process ends itself, also when the agent is gone.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    try:
        from pyzbar import pyzbar
    except ImportError:
        return ABSENT
    shared = mmap.mmap(file, size, prot=mmap.PROT_READ)
    sys.stdout.buffer.write(b"R")
    sys.stdout.buffer.flush()
    while True:
        request = sys.stdin.buffer.read(REQUEST.size)
        if len(request) < REQUEST.size:
            return 0
        number, width, height, wanted, _ = REQUEST.unpack(request)
        symbols = [
            getattr(pyzbar.ZBarSymbol, name) for n, name in enumerate(SYMBOLS) if wanted >> n & 1
        ]
        signal.alarm(SECONDS)
        found = pyzbar.decode((shared[: width * height], width, height), symbols)
        signal.alarm(0)
        said = json.dumps(
            [[each.data.hex(), [[p.x, p.y] for p in each.polygon]] for each in found[:8]]
        ).encode()
        sys.stdout.buffer.write(ANSWER.pack(number, len(said)) + said)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:4])))
