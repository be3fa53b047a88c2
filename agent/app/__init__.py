"""The composition root: the only room that names concrete classes.

`agent` runs everything of one site file, `lines` builds a line with its devices, `services` is what
the web asks for, `site` says where files are and what is wrong with devices.
"""

from agent.app.agent import Agent
from agent.app.site import Files, check_devices

__all__ = ["Agent", "Files", "check_devices"]
