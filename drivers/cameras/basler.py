"""Basler cameras through their own SDK (pypylon), GigE, USB3 and the SDK's emulation.

The SDK is 240 MB, so it is an extra: `pip install 'caselink[basler]'`. It is imported when a camera
is built, and not before.
"""

import contextlib
import importlib
import warnings
from typing import Any, Literal

from pydantic import Field

from agent.core.errors import ConfigError, Said, TransientError, in_words, say
from agent.told import told
from drivers.cameras.grabbing import BlockIds, Grabbed, GrabbedCamera, GrabberConfig
from drivers.cameras.nodes import NodeMissing, NodeRefused, apply, said
from drivers.cameras.pfnc import grey
from drivers.cameras.picture import PictureError
from drivers.context import DeviceContext

_GIGE = "BaslerGigE"
_NANOSECONDS = 1_000_000_000
_TICKS = ("GevTimestampTickFrequency", "TimestampTickFrequency")
_NO_BLOCK_ID = 2**64 - 1  # pylon's word for "this transport has none"


class BaslerConfig(GrabberConfig):
    """`serial` is the number on the camera's label, `user_id` the name given to it with pylon's
    tools; none of them: the only camera there is."""

    type: Literal["basler"] = "basler"
    serial: str = Field("", max_length=64)
    user_id: str = Field("", max_length=64)


class BaslerCamera(GrabbedCamera):
    """One Basler camera."""

    def __init__(self, name: str, config: BaslerConfig, context: DeviceContext) -> None:
        # No wire log for the context: the SDK does not show us its wire.
        with warnings.catch_warnings():  # of its binding, which is not ours to mend
            warnings.simplefilter("ignore", DeprecationWarning)
            pylon: Any = importlib.import_module("pypylon.pylon")
            genicam: Any = importlib.import_module("pypylon.genicam")
        which = config.serial or config.user_id
        who = say("plain", words=which) if which else say("camera_only_basler")
        super().__init__(name, config, lambda: _Grabber(name, config, pylon, genicam, who), who)


class _Nodes:
    """nodes.Nodes over pylon's node map."""

    def __init__(self, node_map: Any, genicam: Any) -> None:
        self._map = node_map
        self._genicam = genicam

    def read(self, name: str) -> str | None:
        try:
            node = self._map.GetNode(name)
            return str(node.ToString()) if node and self._genicam.IsReadable(node) else None
        except self._genicam.GenericException:
            return None

    def write(self, name: str, value: str) -> None:
        try:
            node = self._map.GetNode(name)
            if not node or not self._genicam.IsAvailable(node):
                raise NodeMissing(name)
            node.FromString(value)
        except self._genicam.GenericException as error:
            raise NodeRefused(said(error)) from error

    def execute(self, name: str) -> None:
        try:
            node = self._map.GetNode(name)
            if not node or not self._genicam.IsAvailable(node):
                raise NodeMissing(name)
            node.Execute()
        except self._genicam.GenericException as error:
            raise NodeRefused(said(error)) from error


class _Grabber:
    """grabbing.Grabber over pylon."""

    def __init__(
        self, name: str, config: BaslerConfig, pylon: Any, genicam: Any, who: Said
    ) -> None:
        self._name = name
        self._config = config
        self._pylon = pylon
        self._error: Any = genicam.GenericException
        self._genicam = genicam
        self._who = who
        self._camera: Any = None
        self._ids = BlockIds(from_zero=True)
        self._ticks = _NANOSECONDS

    def start(self) -> None:
        factory = self._pylon.TlFactory.GetInstance()
        try:
            found = [
                one
                for one in factory.EnumerateDevices()
                if self._config.serial in ("", one.GetSerialNumber())
                and self._config.user_id in ("", one.GetUserDefinedName())
            ]
            if len(found) > 1:
                raise ConfigError(
                    *told(
                        "camera_several_basler",
                        name=self._name,
                        many=len(found),
                        serials=", ".join(one.GetSerialNumber() for one in found[:8]),
                    )
                )
            if not found:
                raise TransientError(*told("camera_absent", name=self._name, who=self._who))
            camera = self._camera = self._pylon.InstantCamera(factory.CreateDevice(found[0]))
            camera.Open()
        except self._error as error:
            raise TransientError(
                *told("camera_not_opened", name=self._name, who=self._who, why=said(error))
            ) from error
        try:
            nodes = _Nodes(camera.GetNodeMap(), self._genicam)
            model = found[0].GetModelName()
            apply(say("camera_model", name=self._name, model=model), nodes, self._config)
            gige = camera.GetDeviceInfo().GetDeviceClass() == _GIGE
            self._ids = BlockIds(from_zero=not gige)
            ticks = [nodes.read(name) for name in _TICKS]
            self._ticks = next((int(one) for one in ticks if one), _NANOSECONDS) or _NANOSECONDS
            camera.MaxNumBuffer.Value = self._config.buffers
            camera.StartGrabbing(self._pylon.GrabStrategy_OneByOne)
        except self._error as error:
            raise self._lost(error) from error

    def grab(self, timeout: float) -> Grabbed | None:
        try:
            result = self._camera.RetrieveResult(
                round(timeout * 1000), self._pylon.TimeoutHandling_Return
            )
            if not result.IsValid():
                return None
            try:
                return self._grabbed(result)
            finally:
                result.Release()
        except self._error as error:
            raise self._lost(error) from error

    def alive(self) -> None:
        try:
            if not self._camera.IsCameraDeviceRemoved():
                return
        except self._error as error:
            raise self._lost(error) from error
        raise self._lost(None)

    def trigger(self, timeout: float) -> None:
        try:
            ready = self._camera.WaitForFrameTriggerReady(
                round(timeout * 1000), self._pylon.TimeoutHandling_Return
            )
            if ready:
                self._camera.ExecuteSoftwareTrigger()
        except self._error as error:
            raise self._lost(error) from error
        if not ready:
            raise TransientError(*told("camera_not_ready", name=self._name, s=f"{timeout:g}"))

    def stop(self) -> None:
        camera, self._camera = self._camera, None
        if camera is None:
            return
        for end in (camera.StopGrabbing, camera.Close, camera.DestroyDevice):
            with contextlib.suppress(self._error):
                end()

    def _grabbed(self, result: Any) -> Grabbed:
        block_id = int(result.BlockID)
        if block_id == _NO_BLOCK_ID:
            raise ConfigError(*told("camera_unnumbered", name=self._name))
        number = self._ids.number(block_id)
        if not result.GrabSucceeded():
            return Grabbed(number, None, why=str(result.ErrorDescription))
        stamp = int(result.TimeStamp)
        data = result.GetImageMemoryView()
        try:
            rows = data.cast("B")
            image = grey(rows, result.Width, result.Height, result.PaddingX, result.PixelType)
            rows.release()
        except PictureError as error:
            raise ConfigError(
                *told("camera_no_picture", name=self._name, why=in_words(error))
            ) from error
        finally:
            data.release()
        return Grabbed(number, image, stamp / self._ticks if stamp else None)

    def _lost(self, error: Any) -> TransientError:
        why = say("unplugged") if error is None else said(error)
        return TransientError(*told("camera_lost", name=self._name, who=self._who, why=why))
