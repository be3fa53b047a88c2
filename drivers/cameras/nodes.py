"""Settings of a GenICam camera as one config model, written node by node (SFNC names).

Both SDKs (GenTL producers, Basler's pylon) show a camera as a tree of named nodes. What a model
lacks, or refuses, is an error that names the node, the key of ours that wants it and the remedy.
"""

import re
from typing import Annotated, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agent.core.errors import ConfigError, Said
from agent.told import told

NodeValue = bool | int | float | str
_Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
_Text = Annotated[str, Field(max_length=100)]
_PLACE = re.compile(r" : \w+Exception thrown.*", re.DOTALL)
_Line = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{0,40}$")]


class NodeMissing(Exception):
    """The camera has no node of this name, or not in the state that it is in."""


class NodeRefused(Exception):
    """The camera does not take this value, or lets nobody write the node now; says why."""


class Nodes(Protocol):
    """The node tree of one open camera. Values go as text, as GenApi's FromString takes them."""

    def read(self, name: str) -> str | None:
        """The node's value, None if it has no such node or it cannot be read."""

    def write(self, name: str, value: str) -> None:
        """Set it; NodeMissing or NodeRefused."""

    def execute(self, name: str) -> None:
        """Run a command node; NodeMissing or NodeRefused."""


class NodeConfig(BaseModel):
    """What is set in the camera at every session; None and "" leave the camera as it is.

    `trigger`: `hardware` (an edge on `trigger_line`), `software` (we fire it), `free` (it runs by
    itself at `frame_rate` per second; for commissioning, for frames then belong to no trigger).
    `exposure_us` and `trigger_delay_us` in microseconds, `gain_db` in dB, `roi` = x, y, width,
    height in pixels, `strobe_line` the output that lights while the sensor is exposed. `user_set`
    is loaded first. `nodes` are further [name, value] pairs, written in order before the others (a
    command is run by the value 1); nodes named in `optional` may be missing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    trigger: Literal["hardware", "software", "free"] = "hardware"
    trigger_line: _Line = "Line1"
    trigger_edge: Literal["RisingEdge", "FallingEdge"] = "RisingEdge"
    trigger_delay_us: float | None = Field(None, ge=0, le=1_000_000)
    exposure_us: float | None = Field(None, gt=0, le=10_000_000)
    gain_db: float | None = Field(None, ge=-20, le=100)
    roi: tuple[int, int, int, int] | None = None
    pixel_format: _Text = "Mono8"
    frame_rate: float | None = Field(None, gt=0, le=100_000)
    strobe_line: _Line = ""
    strobe_source: _Line = "ExposureActive"
    strobe_inverted: bool | None = None
    user_set: _Text = ""
    nodes: tuple[tuple[_Name, NodeValue], ...] = Field((), max_length=200)
    optional: tuple[_Name, ...] = Field((), max_length=200)

    @model_validator(mode="after")
    def _check_settings(self) -> "NodeConfig":
        if self.roi is not None and (min(self.roi[:2]) < 0 or min(self.roi[2:]) < 1):
            raise ValueError("roi is [x, y, width, height] in pixels, such as [320, 200, 640, 480]")
        if self.trigger == "hardware" and not self.trigger_line:
            raise ValueError('trigger = "hardware" needs trigger_line, such as "Line1"')
        return self


def apply(where: Said, nodes: Nodes, config: NodeConfig) -> None:
    """Write the settings into the open camera `where`. ConfigError names the node and the key."""
    writer = _Writer(where, nodes, config.optional)
    if config.user_set:
        writer.set("user_set", "UserSetSelector", config.user_set)
        writer.execute("user_set", "UserSetLoad")
    writer.set("pixel_format", "PixelFormat", config.pixel_format)
    for name, value in config.nodes:
        writer.set("nodes", name, value)
    if config.roi is not None:
        x, y, width, height = config.roi
        # A region that is moved before it is smaller would stand over the sensor's edge.
        for name, number in (("OffsetX", 0), ("OffsetY", 0), ("Width", width), ("Height", height)):
            if number or nodes.read(name) is not None:
                writer.set("roi", name, number)
        for name, number in (("OffsetX", x), ("OffsetY", y)):
            if number:
                writer.set("roi", name, number)
    if config.exposure_us is not None:
        writer.set_if_there("ExposureAuto", "Off")
        writer.set_if_there("ExposureMode", "Timed")
        writer.first_of("exposure_us", ("ExposureTime", "ExposureTimeAbs"), config.exposure_us)
    if config.gain_db is not None:
        writer.set_if_there("GainAuto", "Off")
        writer.set("gain_db", "Gain", config.gain_db)
    if config.frame_rate is not None:
        writer.set_if_there("AcquisitionFrameRateEnable", True)
        # Where both are there, Basler's emulation takes the newer name and ignores it.
        names = ("AcquisitionFrameRateAbs", "AcquisitionFrameRate")
        writer.first_of("frame_rate", names, config.frame_rate)
    if config.strobe_line:
        writer.set("strobe_line", "LineSelector", config.strobe_line)
        writer.set("strobe_line", "LineMode", "Output")
        writer.set("strobe_source", "LineSource", config.strobe_source)
        if config.strobe_inverted is not None:
            writer.set("strobe_inverted", "LineInverter", config.strobe_inverted)
    _trigger(writer, config)


def _trigger(writer: "_Writer", config: NodeConfig) -> None:
    """Frame start by an edge, by us, or by nobody; every other trigger off, where it has others."""
    writer.set_if_there("AcquisitionMode", "Continuous")
    for selector in ("AcquisitionStart", "FrameBurstStart"):
        if writer.set_if_there("TriggerSelector", selector):
            writer.set_if_there("TriggerMode", "Off")
    writer.set_if_there("TriggerSelector", "FrameStart")
    if config.trigger == "free":
        writer.set_if_there("TriggerMode", "Off")
        return
    source = "Software" if config.trigger == "software" else config.trigger_line
    key = "trigger" if config.trigger == "software" else "trigger_line"
    writer.set("trigger", "TriggerMode", "On")
    writer.set(key, "TriggerSource", source)
    if config.trigger == "hardware":
        writer.set("trigger_edge", "TriggerActivation", config.trigger_edge)
    if config.trigger_delay_us is not None:
        names = ("TriggerDelay", "TriggerDelayAbs")
        writer.first_of("trigger_delay_us", names, config.trigger_delay_us)


class _Writer:
    """Writes nodes and words what goes wrong."""

    def __init__(self, where: Said, nodes: Nodes, optional: tuple[str, ...]) -> None:
        self._where = where
        self._nodes = nodes
        self._optional = frozenset(optional)

    def set(self, key: str, name: str, value: NodeValue) -> None:
        """Set a node that must be there."""
        text = _text(value)
        if not text or self._nodes.read(name) == text:
            return  # a fixed node that stands right may well be read-only
        try:
            self._nodes.write(name, text)
        except NodeMissing:
            if name not in self._optional:
                raise self._missing(key, name) from None
        except NodeRefused as why:
            raise ConfigError(
                *told(
                    "camera_refuses_value",
                    where=self._where,
                    node=name,
                    value=text,
                    key=key,
                    why=why,
                )
            ) from None

    def first_of(self, key: str, names: tuple[str, ...], value: NodeValue) -> None:
        """Set the first of these that the model has."""
        there = [name for name in names if self._nodes.read(name) is not None]
        self.set(key, there[0] if there else names[0], value)

    def set_if_there(self, name: str, value: NodeValue) -> bool:
        """Set a node that not every model has; False if it was not taken."""
        text = _text(value)
        if self._nodes.read(name) == text:
            return True
        try:
            self._nodes.write(name, text)
        except (NodeMissing, NodeRefused):
            return False
        return True

    def execute(self, key: str, name: str) -> None:
        """Run a command that must be there."""
        try:
            self._nodes.execute(name)
        except NodeMissing:
            raise self._missing(key, name) from None
        except NodeRefused as why:
            raise ConfigError(
                *told("camera_refuses", where=self._where, node=name, key=key, why=why)
            ) from None

    def _missing(self, key: str, name: str) -> ConfigError:
        if key == "trigger":
            return ConfigError(*told("camera_no_trigger", where=self._where, node=name))
        return ConfigError(*told("camera_no_node", where=self._where, node=name, key=key))


def said(error: BaseException) -> str:
    """What an SDK says, without the place in its own source at which it says so."""
    text = _PLACE.sub("", str(error)).removeprefix("GenTL exception: ")
    return text.strip().rstrip(".")


def _text(value: NodeValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
