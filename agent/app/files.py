"""Where an agent keeps its state."""

import os
from pathlib import Path

from agent.sections import Site


class Files:
    """Where an agent keeps its state, below the data directory of its site file."""

    def __init__(self, site: Site, config: Path) -> None:
        data = Path(site.agent.data)
        self.data = data if data.is_absolute() else config.resolve().parent / data
        self.database = self.data / "caselink.db"
        self.own_key = self.data / "caselink.key"
        self.key = _credential("caselink.key") or self.own_key
        self.token = self.data / "caselink.token"
        self.wire = self.data / "wire"
        self.pictures = self.data / "pictures"
        self.looks = self.data / "looks"
        self.box_key = _credential("caselink.box") or self.data / "caselink.box"
        self.pins = self.data / "caselink.pins"
        self.users = self.data / "caselink.users"
        self.badges = self.data / "caselink.badges"
        self.tls = self.data / "tls"
        self.pepper = _credential("caselink.pepper") or self.data / "caselink.pepper"
        self._config = config

    def beside(self, name: str) -> Path:
        """A file that the site file names, relative to it."""
        path = Path(name)
        return path if path.is_absolute() else self._config.resolve().parent / path


def _credential(name: str) -> Path | None:
    """The file that systemd's LoadCredential= gave under this name."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    path = Path(folder) / name
    return path if folder and path.is_file() else None
