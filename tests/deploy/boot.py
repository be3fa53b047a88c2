"""docs/install.md, typed line by line into a bare Debian 12 that boots its own systemd.

    python -m tests.deploy.boot FOLDER

makes that Debian in FOLDER (400 MB, kept as FOLDER/base for the next time), boots it as a container
of systemd-nspawn, types every code block of the guide into it in its order, and looks at what the
guide promises: sealed keys, what the hardening lets in and shuts out, the watchdog, TLS to the
broker, the consumer, backup and restore, a reboot. Needs root, the network for Debian's packages
and PyPI, and some five minutes; the committed state of this checkout is what is installed.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.deploy import nspawn

HERE = Path(__file__).resolve().parents[2]
SOURCE = "/opt/caselink/src"
SANDBOX = re.compile(
    r"^((?:User|Group|SupplementaryGroups|WorkingDirectory|UMask|CapabilityBoundingSet|Ambient\w+"
    r"|NoNew\w+|Protect\w+|ProcSubset|Private\w+|Device\w+|Restrict\w+|RemoveIPC|Lock\w+|Memory\w+"
    r"|SystemCall\w+|Limit\w+|LoadCred\w+|StateDirectory)=.*)$",
    re.MULTILINE,
)
SYNC = """
[sync]
url = "mqtts://broker.example.cn:8883"
tenant = "brand"
site = "plant-1"
ca = "/etc/caselink/ca.crt"
cert = "/etc/caselink/edge-1.crt"
key = "/etc/caselink/edge-1.key"
base = "https://id.example.cn"
namespace = "https://ns.example.cn/caselink/v1/"
offset = "+08:00"
"""


class Wrong(Exception):
    """The guide does not do what it says."""


def blocks() -> Iterator[str]:
    """The code blocks of the guide, in its order."""
    guide = (HERE / "docs" / "install.md").read_text("utf-8")
    for found in re.finditer(r"^```\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL):
        text = found[1].replace("<where you have caselink from>", "/srv/caselink.git")
        yield text.replace("apt install", "apt install -y")


class Guide:
    """Types into the container, and looks at it."""

    def __init__(self, box: nspawn.Container) -> None:
        self._box = box
        self._left = blocks()

    def type(self, holds: str, folder: str = SOURCE) -> None:
        """Type the next block in `folder`; all of it must succeed."""
        self.do(f"mkdir -p {folder} && cd {folder}\n{self.next(holds)}", network=True)

    def next(self, holds: str) -> str:
        """The guide's next block, which holds this text."""
        block = next(self._left)
        if holds not in block:
            raise Wrong(f"the guide's next block is not the one with {holds!r}:\n{block}")
        return block

    def do(self, script: str, network: bool = False) -> str:
        status, said = self._box.run(f"set -e\n{script}", network)
        if status:
            raise Wrong(f"status {status}:\n{script}\n{said}")
        return said

    def until(self, what: str, script: str, seconds: int) -> None:
        """Look once a second until the script succeeds."""
        wait = f"for i in $(seq {seconds}); do if {script}; then exit 0; fi; sleep 1; done; exit 1"
        status, said = self._box.run(wait)
        if status:
            log = self._box.run("journalctl -u 'caselink-*' -n 40 --no-pager")[1]
            raise Wrong(f"not within {seconds} s: {what}\n{said}\n{log}")
        say(what)

    def reboot(self) -> None:
        self._box.end()
        self._box.boot()


def say(what: str) -> None:
    print(f"good: {what}", flush=True)


def state(name: str, value: str, unit: str = "caselink-agent") -> str:
    return f'[ "$(systemctl show -P {name} {unit})" = "{value}" ]'


def install(guide: Guide) -> None:
    guide.do("update-ca-certificates")
    guide.type("requirements.lock", "/root")
    guide.type("systemd-sysusers")
    guide.do(
        f"""sed 's/^data = .*/data = "\\/var\\/lib\\/caselink"/; s/"bottling-1"/"edge-1"/' \\
        {SOURCE}/config/bottling.toml > /etc/caselink/site.toml
        caselink config check /etc/caselink/site.toml"""
    )
    guide.type("systemd-creds encrypt")
    guide.type("enable --now caselink-agent")
    guide.until("the agent runs and feeds the watchdog", state("StatusText", "running"), 20)
    guide.do("test ! -e /var/lib/caselink/caselink.key")
    log = guide.do("journalctl -u caselink-agent -p warning --no-pager")
    if "printer coder is lost" not in log:
        raise Wrong(f"the journal shows no warning of the agent:\n{log}")
    say("the journal knows the agent's warnings")
    for node in ("test-usb c 188 0", "test-ram b 1 0"):
        guide.do(f"mknod -m 666 /dev/{node}")
    properties = SANDBOX.findall((HERE / "systemd" / "caselink-agent.service").read_text("utf-8"))
    given = " ".join(f"-p '{each}'" for each in (*properties, f"WorkingDirectory={SOURCE}"))
    probe = "/opt/caselink/bin/python -m tests.deploy.probe"
    for what, good in json.loads(guide.do(f"systemd-run -qP --wait {given} {probe}")).items():
        if not good:
            raise Wrong(f"in the hardened unit it is not so that {what}")
        say(f"in the hardened unit, {what}")


def die(guide: Guide) -> None:
    main = "$(systemctl show -P MainPID caselink-agent)"
    running = f"{state('StatusText', 'running')} && {state('SubState', 'running')}"
    guide.do(f"kill -9 {main}")
    guide.until("killed, it is back", f"{state('NRestarts', '1')} && {running}", 20)
    guide.do(f"kill -STOP {main}")
    guide.until("hung, it is back", f"{state('NRestarts', '2')} && {running}", 60)
    guide.do("journalctl -u caselink-agent --no-pager | grep 'Watchdog timeout'")
    guide.do("timeout 20 systemctl stop caselink-agent")
    guide.until("it ends when it is told to", state("Result", "success"), 1)
    guide.do("systemctl start caselink-agent")


def cloud(guide: Guide) -> None:
    guide.type("apt install -y mosquitto")
    guide.type("openssl req -x509", "/root/ca")
    guide.type("systemctl restart mosquitto", "/root/ca")
    lines = guide.next("CASELINK_BROKER=")
    guide.do(f"umask 077; cat > /etc/caselink/cloud.env <<'END'\n{lines}END")
    guide.type("enable --now caselink-cloud")
    guide.do(f"cat >> /etc/caselink/site.toml <<'END'\n{SYNC}END\nsystemctl restart caselink-agent")
    token = "caselink cloud token add shop --db sqlite:////var/lib/caselink-cloud/cloud.db"
    guide.do(f"runuser -u caselink-cloud -- {token} > /root/token")
    acknowledged(guide)


def acknowledged(guide: Guide) -> None:
    """All rows of the agent are at the consumer, as both say."""
    ask = """python3 -c "import json, urllib.request as u
there = u.Request('http://127.0.0.1:8090/agents')
there.add_header('Authorization', 'Bearer ' + open('/root/token').read().strip())
print(json.load(u.urlopen(there))['agents'][0]['upto'])" """
    both = f'N=$({ask}) && [ "$N" -gt 0 ] && caselink-here sync status | grep -F "row $N of $N"'
    guide.until("agent and consumer agree on the last row", both, 40)


def keep(guide: Guide) -> None:
    guide.type("apt install -y postgresql", "/")
    guide.do(
        """cp /etc/caselink/cloud.env /root/; db=postgresql://caselink-cloud@/caselink
        sed -i "s#^CASELINK_DB=.*#CASELINK_DB=$db#" /etc/caselink/cloud.env
        systemctl restart caselink-cloud"""
    )
    guide.until(
        "the consumer runs on PostgreSQL", state("StatusText", "running", "caselink-cloud"), 20
    )
    guide.do("cp /root/cloud.env /etc/caselink/; systemctl restart caselink-cloud")
    guide.do(r"printf '739164\n739164\n' | caselink-here pin set Wang; caselink-here pin list")
    guide.do("test ! -e /var/lib/caselink/caselink.pepper")
    say("a PIN is mixed with the sealed pepper")
    guide.type("caselink-here backup")
    guide.do(
        """systemctl stop caselink-agent
        caselink-here restore /mnt/backup/caselink/*.bak --by NAME --force 'to try it'
        systemctl start caselink-agent; caselink-here db verify"""
    )
    say("a backup is written, and restored")
    acknowledged(guide)
    guide.reboot()
    for unit in ("mosquitto", "caselink-agent", "caselink-cloud"):
        guide.until(f"after a reboot, {unit} runs", state("SubState", "running", unit), 30)
    acknowledged(guide)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.resolve()
    missing = nspawn.why_not()
    if missing:
        print(f"This cannot run here: {missing}.", file=sys.stderr)
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    root = folder / "root"
    nspawn.unpack(folder / "base", root, "edge-1")
    clone = ["git", "clone", "--quiet", "--bare", HERE, root / "srv" / "caselink.git"]
    subprocess.run(clone, check=True, timeout=120)
    box = nspawn.Container(root, folder / "console.log")
    try:
        box.boot()
        guide = Guide(box)
        for part in (install, die, cloud, keep):
            part(guide)
    except Wrong as wrong:
        print(f"WRONG: {wrong}", file=sys.stderr)
        return 1
    finally:
        box.end()
        shutil.rmtree(root)
    return 0


if __name__ == "__main__":
    sys.exit(main())
