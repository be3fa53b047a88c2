"""The examples of docs/pda-api.md, typed as they stand there, work."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.demo.scene import free_ports
from tests.web.scan_site import ScanSite

DOC = Path(__file__).resolve().parents[1] / "docs" / "pda-api.md"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ScanSite]:
    made = ScanSite(tmp_path, free_ports(3))
    yield made
    made.stop()


def test_what_a_reader_types_works(site: ScanSite, tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", DOC.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 5
    script = "set -eo pipefail\nSESSION=\n" + "\necho\n".join(blocks)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "AGENT": str(site.local.base_url), "CODE": site.code()},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    # Two blocks ask and show: items; then documents, and a query in the same line.
    first, told = [line for line in done.stdout.splitlines() if line.startswith("{")]
    uploaded = json.loads(first)
    assert uploaded["upto"] == 2
    assert [each["verdict"] for each in uploaded["results"]] == ["opened", "not_expected"]
    assert '"kind":"receive"' in told
    assert '"known":false' in told


def test_the_configuration_in_it_is_good(tmp_path: Path) -> None:
    from agent.config import load

    (block,) = re.findall(r"```toml\n(.*?)```", DOC.read_text("utf-8"), re.DOTALL)
    path = tmp_path / "site.toml"
    path.write_text('[agent]\nid = "box"\n' + block.replace("\n   ", "\n"), "utf-8")
    lan = load(path).web.lan
    assert lan is not None
    assert (lan.port, lan.setup_port) == (8443, 8081)
