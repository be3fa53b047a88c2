"""Check the types of the pages' scripts, which stand in their JSDoc, by TypeScript's own compiler.

    python -m tests.web.script_types

Needs node and npm; TypeScript is fetched once into var/npm. Takes some 20 s, and is
therefore no test of the suite. Ends with 1 where something does not fit, with 2 where it cannot be
fetched.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.npm import packed

WEB = Path(__file__).resolve().parents[2] / "agent" / "web"
TYPESCRIPT = "typescript@5.8.3"
PATHS = {
    "/panel/*": [f"{WEB}/panel/*"],
    "/devices/*": [f"{WEB}/device/*"],
    "/static/*": [f"{WEB}/static/*"],
}
STRICT = {
    "checkJs": True,
    "allowJs": True,
    "noEmit": True,
    "strict": True,
    "target": "es2022",
    "module": "es2022",
    "moduleResolution": "bundler",
    "lib": ["es2022", "dom", "dom.iterable"],
    "types": [],
    "paths": PATHS,
}
# A sheet of the panel gets its fields when it is built, which TypeScript cannot know in JavaScript;
# without null checks it takes `() => null` for an implicit any.
BUILT_LATER = {**STRICT, "strictNullChecks": False, "noImplicitAny": False}
PAGES = {
    "pda": (STRICT, ["pda"]),
    "panel": (BUILT_LATER, ["panel", "warehouse", "camera", "device", "setup"]),
}
LEFT_OUT = {"sw.js"}  # a worker has other globals, and two lines in front when it is served


def compiler() -> Path:
    """TypeScript's compiler, fetched if it is not here yet. FileNotFoundError: npm or node is
    missing; CalledProcessError: npm cannot fetch it."""
    return packed(TYPESCRIPT) / "lib" / "tsc.js"


def complaints(tsc: Path, options: dict[str, object], folders: list[str]) -> list[str]:
    """What TypeScript says of the scripts in these folders."""
    files = [
        str(path)
        for folder in folders
        for path in sorted((WEB / folder).glob("*.js"))
        if path.name not in LEFT_OUT
    ]
    with tempfile.TemporaryDirectory() as where:
        project = Path(where) / "tsconfig.json"
        project.write_text(json.dumps({"compilerOptions": options, "files": files}))
        done = subprocess.run(
            ["node", str(tsc), "-p", str(project), "--pretty", "false"],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    said = [line for line in done.stdout.splitlines() if line]
    return said or ([done.stderr] if done.returncode else [])


def main() -> int:
    try:
        tsc = compiler()
    except (OSError, subprocess.SubprocessError) as error:
        print(f"nothing was checked, TypeScript cannot be fetched: {error}")
        return 2
    found = 0
    for name, (options, folders) in PAGES.items():
        said = complaints(tsc, options, folders)
        print(f"{name}: {len(said)} complaints")
        print("\n".join(said), end="\n" if said else "")
        found += len(said)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
