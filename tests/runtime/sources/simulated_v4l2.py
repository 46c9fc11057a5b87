"""A V4L2 camera behind ``ioctl``, after the structures of linux/videodev2.h, and OpenCV's view of it."""

from __future__ import annotations

import ctypes
import errno
import os
from ctypes import c_char, c_int32, c_int64, c_uint8, c_uint32
from dataclasses import dataclass, field
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray


class Capability(ctypes.Structure):
    _fields_ = (
        ("driver", c_char * 16),
        ("card", c_char * 32),
        ("bus_info", c_char * 32),
        ("version", c_uint32),
        ("capabilities", c_uint32),
        ("device_caps", c_uint32),
        ("reserved", c_uint32 * 3),
    )


class FmtDesc(ctypes.Structure):
    _fields_ = (
        ("index", c_uint32),
        ("type", c_uint32),
        ("flags", c_uint32),
        ("description", c_char * 32),
        ("pixelformat", c_uint32),
        ("mbus_code", c_uint32),
        ("reserved", c_uint32 * 3),
    )


class FrmSizeEnum(ctypes.Structure):
    _fields_ = (
        ("index", c_uint32),
        ("pixel_format", c_uint32),
        ("type", c_uint32),
        ("union", c_uint32 * 6),
        ("reserved", c_uint32 * 2),
    )


class FrmIvalEnum(ctypes.Structure):
    _fields_ = (
        ("index", c_uint32),
        ("pixel_format", c_uint32),
        ("width", c_uint32),
        ("height", c_uint32),
        ("type", c_uint32),
        ("union", c_uint32 * 6),
        ("reserved", c_uint32 * 2),
    )


class RequestBuffers(ctypes.Structure):
    _fields_ = (
        ("count", c_uint32),
        ("type", c_uint32),
        ("memory", c_uint32),
        ("capabilities", c_uint32),
        ("flags", c_uint8),
        ("reserved", c_uint8 * 3),
    )


class ControlValue(ctypes.Structure):
    _fields_ = (("id", c_uint32), ("value", c_int32))


class QueryCtrl(ctypes.Structure):
    _fields_ = (
        ("id", c_uint32),
        ("type", c_uint32),
        ("name", c_char * 32),
        ("minimum", c_int32),
        ("maximum", c_int32),
        ("step", c_int32),
        ("default_value", c_int32),
        ("flags", c_uint32),
        ("reserved", c_uint32 * 2),
    )


class QueryMenu(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("id", c_uint32), ("index", c_uint32), ("name", c_char * 32), ("reserved", c_uint32))


#: The calls, as the kernel's headers give them on a 64-bit machine, and their structures.
CALLS: dict[str, tuple[int, type[ctypes.Structure]]] = {
    "VIDIOC_QUERYCAP": (0x80685600, Capability),
    "VIDIOC_ENUM_FMT": (0xC0405602, FmtDesc),
    "VIDIOC_REQBUFS": (0xC0145608, RequestBuffers),
    "VIDIOC_G_CTRL": (0xC008561B, ControlValue),
    "VIDIOC_S_CTRL": (0xC008561C, ControlValue),
    "VIDIOC_QUERYCTRL": (0xC0445624, QueryCtrl),
    "VIDIOC_QUERYMENU": (0xC02C5625, QueryMenu),
    "VIDIOC_ENUM_FRAMESIZES": (0xC02C564A, FrmSizeEnum),
    "VIDIOC_ENUM_FRAMEINTERVALS": (0xC034564B, FrmIvalEnum),
}
_NEXT = 0x80000000


@dataclass
class SimulatedControl:
    """One control: number, kind (1 number, 2 switch, 3 menu, 6 class), limits, value."""

    id: int
    name: str
    kind: int
    low: int
    high: int
    step: int
    value: int
    menu: dict[int, str | int] = field(default_factory=dict)
    locked_by: tuple[int, int] | None = None  # a control, and the value at which it lets this one be set
    sticks: bool = False  # takes any value without an error, and keeps its own


@dataclass
class SimulatedCamera:
    """What one device of the kernel does."""

    card: str = "Line camera"
    captures: bool = True
    busy: bool = False
    modes: dict[str, dict[tuple[int, int], list[tuple[int, int]]]] = field(default_factory=dict)
    stepwise: tuple[int, int, int, int, int, int] | None = None
    controls: list[SimulatedControl] = field(default_factory=list)

    def call(self, name: str, data: ctypes.Structure) -> None:
        getattr(self, name.removeprefix("VIDIOC_").lower())(data)

    def by_id(self, number: int) -> SimulatedControl:
        for control in self.controls:
            if control.id == number:
                return control
        raise OSError(errno.EINVAL, "no such control")

    def querycap(self, data: Capability) -> None:
        data.driver, data.card = b"simulated", self.card.encode()
        # The device as a whole captures; this node of it may give metadata only.
        data.capabilities = 0x80000000 | 0x01 | 0x00800000
        data.device_caps = 0x01 if self.captures else 0x00800000

    def reqbufs(self, data: RequestBuffers) -> None:
        assert (data.count, data.type, data.memory) == (0, 1, 1)
        if self.busy:
            raise OSError(errno.EBUSY, "busy")

    def enum_fmt(self, data: FmtDesc) -> None:
        assert data.type == 1
        data.pixelformat = _code(list(self.modes)[_within(data.index, self.modes)])

    def enum_framesizes(self, data: FrmSizeEnum) -> None:
        if self.stepwise is not None:
            _within(data.index, [1])
            data.type, data.union[:] = 3, self.stepwise
            return
        sizes = self.modes[_name(data.pixel_format)]
        data.type = 1
        data.union[0], data.union[1] = list(sizes)[_within(data.index, sizes)]

    def enum_frameintervals(self, data: FrmIvalEnum) -> None:
        rates = self.modes[_name(data.pixel_format)].get((data.width, data.height), [])
        if self.stepwise is not None:
            _within(data.index, [1])
            data.type, data.union[:] = 3, (1, 60, 1, 1, 1, 1)
            return
        data.type = 1
        data.union[0], data.union[1] = rates[_within(data.index, rates)]

    def queryctrl(self, data: QueryCtrl) -> None:
        assert data.id & _NEXT
        later = [control for control in self.controls if control.id > data.id & ~_NEXT]
        if not later:
            raise OSError(errno.EINVAL, "no more")
        control = min(later, key=lambda one: one.id)
        data.id, data.type, data.name = control.id, control.kind, control.name.encode()
        data.minimum, data.maximum, data.step = control.low, control.high, control.step
        data.default_value = control.low

    def querymenu(self, data: QueryMenu) -> None:
        entry = self.by_id(data.id).menu.get(data.index)
        if entry is None:
            raise OSError(errno.EINVAL, "a gap")
        raw = entry.encode() if isinstance(entry, str) else bytes(c_int64(entry))
        ctypes.memmove(ctypes.addressof(data) + QueryMenu.name.offset, raw, len(raw))

    def g_ctrl(self, data: ControlValue) -> None:
        data.value = self.by_id(data.id).value

    def s_ctrl(self, data: ControlValue) -> None:
        control = self.by_id(data.id)
        if control.locked_by is not None and self.by_id(control.locked_by[0]).value != control.locked_by[1]:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        if control.sticks:
            return
        steps = round((data.value - control.low) / control.step)
        control.value = min(control.low + steps * control.step, control.high)


class SimulatedCapture:
    """What OpenCV's capture does with such a camera; class attributes tell it which one.

    Attributes:
        order: the properties that were set, in order.
        live: captures that are open.
        stamp_ms: the driver's time of each frame, in milliseconds.
    """

    camera: SimulatedCamera
    opens = True
    frames = 1000
    stamp_ms = 0.0
    order: ClassVar[list[tuple[int, float]]] = []
    live: ClassVar[list[SimulatedCapture]] = []

    def __init__(self, path: str, backend: int) -> None:
        assert backend == cv2.CAP_V4L2
        self.fourcc, self.size, self.rate = "YUYV", (640, 480), 30.0
        self.order.clear()
        if self.opens:
            self.live.append(self)

    def isOpened(self) -> bool:  # noqa: N802
        return self.opens

    def set(self, number: int, value: float) -> bool:
        self.order.append((number, value))
        width, height = self.size
        if number == cv2.CAP_PROP_FOURCC:
            self.fourcc = _name(int(value))
        elif number == cv2.CAP_PROP_FRAME_WIDTH:
            self.size = (int(value), height)
        elif number == cv2.CAP_PROP_FRAME_HEIGHT:
            sizes = self.camera.modes[self.fourcc]
            wanted = (width, int(value))
            self.size = wanted if wanted in sizes else next(iter(sizes))
        elif number == cv2.CAP_PROP_FPS:
            rates = [below / above for above, below in self.camera.modes[self.fourcc][self.size]]
            self.rate = min(rates, key=lambda rate: abs(rate - value))
        return True

    def get(self, number: int) -> float:
        return {
            cv2.CAP_PROP_FOURCC: float(_code(self.fourcc)),
            cv2.CAP_PROP_FRAME_WIDTH: float(self.size[0]),
            cv2.CAP_PROP_FRAME_HEIGHT: float(self.size[1]),
            cv2.CAP_PROP_FPS: self.rate,
            cv2.CAP_PROP_POS_MSEC: self.stamp_ms,
        }[number]

    def grab(self) -> bool:
        type(self).frames -= 1
        return self.frames >= 0

    def retrieve(self) -> tuple[bool, NDArray[np.uint8] | None]:
        return True, np.zeros((self.size[1], self.size[0], 3), np.uint8)

    def release(self) -> None:
        self.live.remove(self)


def _within(index: int, things: object) -> int:
    if index >= len(things):  # type: ignore[arg-type]
        raise OSError(errno.EINVAL, "no more")
    return index


def _code(name: str) -> int:
    return int(cv2.VideoWriter.fourcc(*name))


def _name(code: int) -> str:
    return code.to_bytes(4, "little").decode()
