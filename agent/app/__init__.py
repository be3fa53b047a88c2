"""The composition root: the only room that names concrete classes.

`agent` runs everything of one site file, `lines` builds a line with its devices, `services` is what
the web asks for, `files` says where they are and `site` what is wrong with devices. A command that
only reads the record loads none but `files`: drivers and web server take a second to load.
"""

from typing import TYPE_CHECKING, Any

from agent.app.files import Files

if TYPE_CHECKING:
    from agent.app.agent import Agent
    from agent.app.site import check_devices

__all__ = ["Agent", "Files", "check_devices"]


def __getattr__(name: str) -> Any:
    if name == "Agent":
        from agent.app.agent import Agent

        return Agent
    if name == "check_devices":
        from agent.app.site import check_devices

        return check_devices
    raise AttributeError(name)
