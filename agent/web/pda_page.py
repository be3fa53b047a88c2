"""The PDA's web app under /pda/: its files, and a service worker that knows them by their hashes.

There is no build step. What would come out of one is made once at the start:

- `gs1.json`, the application identifiers for codes.js, from the table that agent.core.gs1 reads;
- the head of `sw.js`: the list of all files with a version made from their hashes. A browser sees
  that there is something new because the bytes of sw.js changed, and never mixes two versions.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from agent.core.gs1 import IDENTIFIERS
from agent.web.files import ServedFile, build_of, read_files

PDA = Path(__file__).parent / "pda"
PREFIX = "/pda"

SHARED = {"/panel": ("dom.js", "text.js"), "/static": ("icon.svg",)}
"""What the app takes from the panel's folder: small modules that would be the same here."""


def pda_files(folders: Mapping[str, Mapping[str, ServedFile]]) -> dict[str, ServedFile]:
    """Every file of the app by its name below /pda/. `folders` are the files served elsewhere, by
    prefix: those of SHARED are part of the version and of what the app keeps for offline."""
    files = read_files(PDA)
    files["gs1.json"] = ServedFile.of(gs1_table(), "application/json")
    worker = files.pop("sw.js")
    names = [f"{PREFIX}/{name}" for name in sorted(files) if name not in ("", "index.html")]
    shared = {
        f"{prefix}/{name}": folders[prefix][name]
        for prefix, wanted in SHARED.items()
        for name in wanted
    }
    version = build_of({**files, **shared, "sw.js": worker})
    kept = json.dumps([*names, *shared])
    head = f"const VERSION = {json.dumps(version)};\nconst FILES = {kept};\n".encode()
    files["sw.js"] = ServedFile.of(head + worker.content, worker.media_type)
    return files


def gs1_table() -> bytes:
    """All application identifiers by form: `[[pattern of the value, needs a separator, "AIs"]]`."""
    groups: dict[tuple[str, bool], list[str]] = defaultdict(list)
    for ai, (whole, separated) in IDENTIFIERS.items():
        pattern = whole.removeprefix(f"^{ai}").removesuffix("$")
        groups[pattern, separated].append(ai)
    rows = [[pattern, int(mark), " ".join(ais)] for (pattern, mark), ais in groups.items()]
    return json.dumps(rows, separators=(",", ":")).encode()
