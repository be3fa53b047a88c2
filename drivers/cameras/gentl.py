"""Cameras of any maker through his GenTL producer (a .cti file), by harvesters and genicam.

Both packages are an extra: `pip install 'caselink[genicam]'`; they are imported when a camera is
built. A producer may be loaded once in a process, so the cameras of one file share it, and it is
let go with its last camera.
"""

import contextlib
import importlib
import logging
import threading
import time
import warnings
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from agent.core.errors import ConfigError, Said, TransientError, in_words, say
from agent.told import told
from drivers.cameras.grabbing import BlockIds, Grabbed, GrabbedCamera, GrabberConfig
from drivers.cameras.nodes import NodeMissing, NodeRefused, apply, said
from drivers.cameras.pfnc import grey
from drivers.cameras.picture import PictureError
from drivers.context import DeviceContext

_LIST_MS = 1000
_WAIT_MS = 20
_TOUCH = "Width"  # every camera has it
_IMAGE = (1, 4)  # payload types "image" and "image with chunks" of GenTL
_NANOSECONDS = 1_000_000_000
_READY = 0.001

# The library logs with traces what we raise as errors of ours.
_quiet = logging.getLogger(f"{__name__}.harvesters")
_quiet.setLevel(logging.CRITICAL)


class GenicamConfig(GrabberConfig):
    """`producer` is the path of the maker's .cti file. `serial` is the number on the camera's
    label, `user_id` the name given to it with the maker's tools; none of them: the only camera of
    this producer."""

    type: Literal["genicam"] = "genicam"
    producer: Path
    serial: str = Field("", max_length=64)
    user_id: str = Field("", max_length=64)


class GenicamCamera(GrabbedCamera):
    """One camera of a GenTL producer."""

    def __init__(self, name: str, config: GenicamConfig, context: DeviceContext) -> None:
        # No wire log for the context: the producer does not show us its wire.
        sdk = _Sdk()
        which = config.serial or config.user_id
        who = say("camera_only", producer=config.producer)
        if which:
            who = say("camera_of", which=which, producer=config.producer)
        super().__init__(name, config, lambda: _Grabber(name, config, sdk, who), who)


class _Sdk:
    """What we use of both packages."""

    def __init__(self) -> None:
        with warnings.catch_warnings():  # harvesters changes the filters of the whole process
            warnings.simplefilter("ignore", DeprecationWarning)
            self.core: Any = importlib.import_module("harvesters.core")
            self.genapi: Any = importlib.import_module("genicam.genapi")
            self.gentl: Any = importlib.import_module("genicam.gentl")
        self.errors = (self.genapi.GenericException, self.gentl.GenericException)


class _Producer:
    """One loaded .cti file and the cameras that use it."""

    def __init__(self, harvester: Any) -> None:
        self.harvester = harvester
        self.users = 0


_lock = threading.Lock()
_producers: dict[str, _Producer] = {}


class _Nodes:
    """nodes.Nodes over a GenApi node map."""

    def __init__(self, node_map: Any, sdk: _Sdk) -> None:
        self._map = node_map
        self._sdk = sdk

    def read(self, name: str) -> str | None:
        try:
            if not self._map.has_node(name):
                return None
            return str(self._map.get_node(name).to_string())
        except (*self._sdk.errors, AttributeError):
            return None

    def write(self, name: str, value: str) -> None:
        node = self._node(name)
        try:
            node.from_string(value)
        except self._sdk.errors as error:
            raise NodeRefused(said(error)) from error

    def execute(self, name: str) -> None:
        node = self._node(name)
        try:
            node.execute()
        except self._sdk.errors as error:
            raise NodeRefused(said(error)) from error

    def _node(self, name: str) -> Any:
        access = self._sdk.genapi.EAccessMode
        try:
            if self._map.has_node(name):
                node = self._map.get_node(name)
                if node.get_access_mode() not in (access.NI, access.NA):
                    return node
        except self._sdk.errors as error:
            raise NodeRefused(said(error)) from error
        raise NodeMissing(name)


class _Grabber:
    """grabbing.Grabber over an image acquirer of harvesters."""

    def __init__(self, name: str, config: GenicamConfig, sdk: _Sdk, who: Said) -> None:
        self._name = name
        self._config = config
        self._sdk = sdk
        self._who = who
        self._acquirer: Any = None
        self._map: Any = None
        self._ids = BlockIds(from_zero=True)
        self._damaged = False

    def start(self) -> None:
        try:
            self._acquirer = self._acquire()
        except self._sdk.errors as error:
            raise TransientError(
                *told("camera_not_opened", name=self._name, who=self._who, why=said(error))
            ) from error
        acquirer = self._acquirer
        if len(acquirer.data_streams) != 1:
            raise ConfigError(
                *told(
                    "camera_streams",
                    name=self._name,
                    who=self._who,
                    many=len(acquirer.data_streams),
                )
            )
        try:
            self._map = acquirer.remote_device.node_map
            apply(say("camera", name=self._name), _Nodes(self._map, self._sdk), self._config)
            self._ids = BlockIds(from_zero=acquirer.device.tl_type != "GEV")
            self._hear_damaged(acquirer)
            acquirer.start()
        except self._sdk.errors as error:
            raise self._lost(error) from error

    def grab(self, timeout: float) -> Grabbed | None:
        self._damaged = False
        try:
            buffer = self._acquirer.try_fetch(timeout=timeout, is_raw=True)
            if buffer is None:
                return Grabbed(None, None, why="incomplete") if self._damaged else None
            try:
                return self._grabbed(buffer)
            finally:
                buffer.parent.queue_buffer(buffer)
        except self._sdk.errors as error:
            raise self._lost(error) from error

    def alive(self) -> None:
        try:
            # Without its cache: GenApi would answer from its own memory.
            self._map.get_node(_TOUCH).get_value(False, True)
        except self._sdk.errors as error:
            raise self._lost(error) from error

    def trigger(self, timeout: float) -> None:
        nodes = _Nodes(self._map, self._sdk)
        end = time.monotonic() + timeout
        with contextlib.suppress(NodeMissing, NodeRefused):
            nodes.write("AcquisitionStatusSelector", "FrameTriggerWait")
        # A camera that cannot say whether it is ready is fired anyway.
        while nodes.read("AcquisitionStatus") == "0":
            if time.monotonic() > end:
                raise TransientError(*told("camera_not_ready", name=self._name, s=f"{timeout:g}"))
            time.sleep(_READY)
        try:
            nodes.execute("TriggerSoftware")
        except (NodeMissing, NodeRefused) as why:
            raise TransientError(*told("camera_no_software", name=self._name, why=why)) from why

    def stop(self) -> None:
        acquirer, self._acquirer = self._acquirer, None
        if acquirer is not None:
            self._release(acquirer)

    def _hear_damaged(self, acquirer: Any) -> None:
        """Be told of incomplete buffers: harvesters gives them back and returns None."""

        def emit(callback: object, context: object = None) -> None:
            self._damaged = True

        callback = type("Damaged", (self._sdk.core.Callback,), {"emit": emit})()
        acquirer.add_callback(acquirer.Events.INCOMPLETE_BUFFER, callback)

    def _acquire(self) -> Any:
        """The camera that the config names, opened."""
        path = str(self._config.producer.absolute())
        core = self._sdk.core
        with _lock:
            producer = _producers.get(path)
            if producer is None:
                infos = self._load(path)
                producer = _producers[path]
            else:
                infos = self._listed(producer)
            try:
                keys = core.ParameterKey
                config = core.ParameterSet(
                    {
                        keys.TIMEOUT_PERIOD_ON_UPDATE_EVENT_DATA_CALL: _WAIT_MS,
                        keys.NUM_BUFFERS_FOR_FETCH_CALL: self._config.buffers,
                        keys.ENABLE_AUTO_CHUNK_DATA_UPDATE: False,
                    }
                )
                one = self._choose(infos)
                if one not in producer.harvester.device_info_list:
                    producer.harvester.device_info_list.append(one)
                acquirer = producer.harvester.create(one, config=config)
                producer.users += 1
            finally:
                self._free(path, producer)
        return acquirer

    def _load(self, path: str) -> list[Any]:
        """Load the producer and list its cameras. A producer that cannot be loaded is logged by
        the library, not raised: so it is tried first."""
        if not Path(path).is_file():
            raise ConfigError(*told("camera_no_producer", name=self._name, path=path))
        trial = self._sdk.gentl.GenTLProducer.create_producer()
        try:
            trial.open(path)
        except self._sdk.errors as error:
            raise ConfigError(
                *told("camera_bad_producer", name=self._name, path=path, why=said(error))
            ) from error
        trial.close()
        core = self._sdk.core
        harvester = core.Harvester(config=core.ParameterSet({core.ParameterKey.LOGGER: _quiet}))
        harvester.timeout_for_update = _LIST_MS
        harvester.add_file(path)
        harvester.update()
        _producers[path] = _Producer(harvester)
        return list(harvester.device_info_list)

    def _listed(self, producer: _Producer) -> list[Any]:
        """List the cameras again. `update` would take the running ones away, so each interface is
        asked; one that was plugged in since is seen only when no camera runs."""
        infos = []
        known = producer.harvester.device_info_list
        for parent in {id(info.parent): info.parent for info in known}.values():
            parent.update_device_info_list(_LIST_MS)
            infos += [
                self._sdk.core.DeviceInfo(module=info, parent=parent)
                for info in parent.device_info_list
            ]
        return infos

    def _choose(self, infos: list[Any]) -> Any:
        def has(info: Any, what: str, wanted: str) -> bool:
            try:
                return not wanted or getattr(info, what) == wanted
            except self._sdk.errors:
                return False

        found = [
            info
            for info in infos
            if has(info, "serial_number", self._config.serial)
            and has(info, "user_defined_name", self._config.user_id)
        ]
        if len(found) > 1:
            raise ConfigError(
                *told(
                    "camera_several",
                    name=self._name,
                    many=len(found),
                    producer=self._config.producer,
                    serials=", ".join(str(info.serial_number) for info in found[:8]),
                )
            )
        if not found:
            raise TransientError(*told("camera_absent", name=self._name, who=self._who))
        return found[0]

    def _release(self, acquirer: Any) -> None:
        path = str(self._config.producer.absolute())
        with _lock:
            producer = _producers[path]
            with contextlib.suppress(*self._sdk.errors):
                acquirer.destroy()
            with contextlib.suppress(ValueError):
                producer.harvester.image_acquirers.remove(acquirer)
            producer.users -= 1
            self._free(path, producer)

    def _free(self, path: str, producer: _Producer) -> None:
        if producer.users == 0:
            del _producers[path]
            with contextlib.suppress(*self._sdk.errors):
                producer.harvester.reset()

    def _grabbed(self, buffer: Any) -> Grabbed:
        if buffer.payload_type not in _IMAGE:
            raise ConfigError(*told("camera_payload", name=self._name, kind=buffer.payload_type))
        nodes = self._map
        try:
            image = grey(
                buffer.raw_buffer,
                self._said(buffer, "width") or nodes.Width.value,
                self._said(buffer, "height") or nodes.Height.value,
                self._said(buffer, "padding_x") or 0,
                self._said(buffer, "pixel_format") or nodes.PixelFormat.get_int_value(),
            )
        except PictureError as error:
            raise ConfigError(
                *told("camera_no_picture", name=self._name, why=in_words(error))
            ) from error
        return Grabbed(self._ids.number(int(buffer.frame_id)), image, self._taken(buffer))

    def _taken(self, buffer: Any) -> float | None:
        """The camera's own time of the exposure, where the producer hands it on."""
        stamp = self._said(buffer, "timestamp_ns")
        if stamp:
            return stamp / _NANOSECONDS
        stamp = self._said(buffer, "timestamp")
        ticks = self._said(self._acquirer.device, "timestamp_frequency")
        return stamp / ticks if stamp and ticks else None

    def _said(self, thing: Any, what: str) -> int | None:
        """One number of a buffer; None where the producer does not give it."""
        try:
            return int(getattr(thing, what))
        except self._sdk.errors:
            return None

    def _lost(self, error: BaseException) -> TransientError:
        return TransientError(*told("camera_lost", name=self._name, who=self._who, why=said(error)))
