"""The part of Video4Linux that the runtime needs: a camera's modes and controls.

OpenCV reads the frames; it neither lists a camera's modes nor reports why a value was rejected. The calls are
the kernel's own (linux/videodev2.h), through ``ioctl``; nothing has to be installed, not even OpenCV.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

_CAPTURE = 1  # V4L2_BUF_TYPE_VIDEO_CAPTURE
_MMAP = 1  # V4L2_MEMORY_MMAP
_CAN_CAPTURE = 0x00000001
_HAS_DEVICE_CAPS = 0x80000000
_DISCRETE = 1
_NEXT_CONTROL = 0x80000000
_DISABLED, _READ_ONLY = 0x0001, 0x0004
_NUMBERS = 9  # V4L2_CTRL_TYPE_INTEGER_MENU
_KINDS = {1: "number", 2: "switch", 3: "menu", _NUMBERS: "menu"}


def _code(direction: int, number: int, size: int) -> int:
    """The kernel's code of a call: direction (1 write, 2 read, 3 both), structure size, number."""
    return direction << 30 | size << 16 | ord("V") << 8 | number


_CAPABILITY = struct.Struct("=16s32s32sIII12x")
_FORMAT = struct.Struct("=III32sII12x")
_SIZE = struct.Struct("=III6I8x")
_RATE = struct.Struct("=IIIII6I8x")
_BUFFERS = struct.Struct("=IIIIB3x")
_CONTROL = struct.Struct("=Ii")
_QUERY = struct.Struct("=II32siiiiI8x")
_MENU = struct.Struct("=II32s4x")

QUERYCAP = _code(2, 0, _CAPABILITY.size)
ENUM_FMT = _code(3, 2, _FORMAT.size)
REQBUFS = _code(3, 8, _BUFFERS.size)
G_CTRL = _code(3, 27, _CONTROL.size)
S_CTRL = _code(3, 28, _CONTROL.size)
QUERYCTRL = _code(3, 36, _QUERY.size)
QUERYMENU = _code(3, 37, _MENU.size)
ENUM_FRAMESIZES = _code(3, 74, _SIZE.size)
ENUM_FRAMEINTERVALS = _code(3, 75, _RATE.size)


@dataclass(frozen=True)
class Control:
    """One control of a camera.

    Attributes:
        id: the kernel's number.
        name: as in ``v4l2-ctl --list-ctrls``, such as ``white_balance_temperature``.
        kind: number, switch or menu.
        minimum: the smallest value.
        maximum: the largest value.
        step: distance of two values, counted from the smallest.
        default: the value after power-on.
        choices: of a menu, the values and their meaning.
    """

    id: int
    name: str
    kind: str
    minimum: int
    maximum: int
    step: int
    default: int
    choices: tuple[tuple[int, str], ...] = ()

    def offers(self) -> str:
        """The supported values, for a person."""
        if self.choices:
            return ", ".join(f"{value} ({meaning})" for value, meaning in self.choices)
        steps = f" in steps of {self.step}" if self.step > 1 else ""
        return f"{self.minimum} to {self.maximum}{steps}"

    def supports(self, value: int) -> bool:
        """Whether a value is in range; a driver rounds to its steps."""
        if self.choices:
            return value in dict(self.choices)
        return self.minimum <= value <= self.maximum


@dataclass(frozen=True)
class Mode:
    """A format and size that a camera offers.

    Attributes:
        fourcc: the format, such as MJPG.
        width: in pixels.
        height: in pixels.
        rates: frames per second, the highest first; empty if the driver does not report them.
    """

    fourcc: str
    width: int
    height: int
    rates: tuple[float, ...]


class V4l2Device:
    """An open device, without capturing from it; for a ``with`` block.

    Args:
        path: such as /dev/video0.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> V4l2Device:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def card(self) -> str | None:
        """The camera's name, or None if this device does not capture video.

        Raises:
            OSError: it is not a video device.
        """
        _, card, _, _, all_of_it, this_node = self._call(QUERYCAP, _CAPABILITY)
        can = this_node if all_of_it & _HAS_DEVICE_CAPS else all_of_it
        return _text(card) if can & _CAN_CAPTURE else None

    def busy(self) -> bool:
        """Whether another program captures from it, since buffers are exclusive."""
        try:
            self._call(REQBUFS, _BUFFERS, 0, _CAPTURE, _MMAP, 0, 0)
        except OSError as error:
            return error.errno == errno.EBUSY
        return False

    def modes(self) -> list[Mode]:
        """Formats and sizes; of a camera that scales in steps, the smallest and the largest."""
        modes = []
        for fields in self._listed(ENUM_FMT, _FORMAT, _CAPTURE, 0, b"", 0, 0):
            pixels = fields[4]
            for width, height in self._sizes(pixels):
                rates = sorted(self._rates(pixels, width, height), reverse=True)
                modes.append(Mode(_fourcc(pixels), width, height, tuple(rates)))
        return modes

    def controls(self) -> dict[str, Control]:
        """The settable controls, by name."""
        controls: dict[str, Control] = {}
        number = 0
        while True:
            try:
                fields = self._call(QUERYCTRL, _QUERY, number | _NEXT_CONTROL, 0, b"", 0, 0, 0, 0, 0)
            except OSError:
                return controls
            number, kind, name, low, high, step, default, flags = fields
            if kind in _KINDS and not flags & (_DISABLED | _READ_ONLY):
                plain = re.sub(r"[^a-z0-9]+", "_", _text(name).lower()).strip("_")
                choices = tuple(self._choices(number, low, high, kind)) if _KINDS[kind] == "menu" else ()
                controls[plain] = Control(number, plain, _KINDS[kind], low, high, step, default, choices)

    def get(self, control: Control) -> int:
        """The value of a control.

        Raises:
            OSError: it cannot be read.
        """
        return int(self._call(G_CTRL, _CONTROL, control.id, 0)[1])

    def set(self, control: Control, value: int) -> None:
        """Set a control.

        Raises:
            OSError: the driver rejects the value.
        """
        self._call(S_CTRL, _CONTROL, control.id, value)

    def _sizes(self, pixels: int) -> Iterator[tuple[int, int]]:
        for fields in self._listed(ENUM_FRAMESIZES, _SIZE, pixels, 0, *[0] * 6):
            kind, union = fields[2], fields[3:]
            if kind == _DISCRETE:
                yield union[0], union[1]
            else:
                # One entry for all: smallest, largest and step of the width, then of the height.
                yield union[0], union[3]
                yield union[1], union[4]
                return

    def _rates(self, pixels: int, width: int, height: int) -> Iterator[float]:
        for fields in self._listed(ENUM_FRAMEINTERVALS, _RATE, pixels, width, height, 0, *[0] * 6):
            # Seconds per frame, as a fraction; in steps, the shortest and the longest.
            union = fields[5:]
            pairs = [union[:2]] if fields[4] == _DISCRETE else [union[:2], union[2:4]]
            yield from (below / above for above, below in pairs if above)
            if fields[4] != _DISCRETE:
                return

    def _choices(self, number: int, low: int, high: int, kind: int) -> Iterator[tuple[int, str]]:
        for index in range(low, high + 1):
            try:
                name = self._call(QUERYMENU, _MENU, number, index, b"")[2]
            except OSError:
                continue  # a menu may have gaps
            is_number = kind == _NUMBERS
            yield index, str(int.from_bytes(name[:8], "little", signed=True)) if is_number else _text(name)

    def _listed(self, code: int, layout: struct.Struct, *values: int | bytes) -> Iterator[tuple[Any, ...]]:
        """The results of a call for index 0, 1, ... until it reports the end."""
        index = 0
        while True:
            try:
                yield self._call(code, layout, index, *values)
            except OSError:
                return
            index += 1

    def _call(self, code: int, layout: struct.Struct, *values: int | bytes) -> tuple[Any, ...]:
        buffer = bytearray(layout.size)
        if values:
            layout.pack_into(buffer, 0, *values)
        fcntl.ioctl(self._file, code, buffer)
        return layout.unpack(buffer)


def _text(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode("utf-8", "replace")


def _fourcc(pixels: int) -> str:
    return (pixels & 0x7FFFFFFF).to_bytes(4, "little").decode("latin-1").strip()
