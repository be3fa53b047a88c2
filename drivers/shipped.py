"""The files that come with the program (config/): labels, profiles, examples."""

import sysconfig
from pathlib import Path

_SOURCE = Path(__file__).resolve().parents[1] / "config"
_INSTALLED = Path(sysconfig.get_path("data")) / "share" / "caselink" / "config"

CONFIG = _SOURCE if _SOURCE.is_dir() else _INSTALLED
"""The folder config of the source tree, or its copy where the program was installed by pip."""
