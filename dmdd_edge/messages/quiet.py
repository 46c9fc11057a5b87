"""Decodes images without the remarks that libpng and libjpeg print, or captures these remarks.

Both print through C's ``stderr``, past OpenCV's log level and past Python; the caller raises an error with
the file's name instead. While an image is decoded, C's ``stderr`` (not file descriptor 2, which Python and
other threads use) is another stream. Where the C library has no such variable, nothing is changed.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

_others = threading.Condition()
_inside = 0
_before: int | None = None


def imdecode(data: NDArray[np.uint8], flags: int) -> NDArray[Any] | None:
    """``cv2.imdecode`` without a word on the terminal; raises what that raises."""
    with silent():
        return cv2.imdecode(data, flags)


def imdecode_with_remarks(data: NDArray[np.uint8], flags: int) -> tuple[NDArray[Any] | None, str]:
    """``cv2.imdecode``, and what the decoders print about the image; no other image is decoded meanwhile."""
    streams = _streams()
    if streams is None:
        return cv2.imdecode(data, flags), ""
    text, size = ctypes.c_void_p(), ctypes.c_size_t()
    with _others:
        _others.wait_for(lambda: _inside == 0)
        stream = streams.library.open_memstream(ctypes.byref(text), ctypes.byref(size))
        before, streams.variable.value = streams.variable.value, stream
        try:
            image = cv2.imdecode(data, flags)
        finally:
            streams.variable.value = before
            streams.library.fclose(ctypes.c_void_p(stream))
    remarks = ctypes.string_at(text, size.value) if text.value else b""
    streams.library.free(text)
    return image, remarks.decode("ascii", "replace")


@contextmanager
def silent() -> Iterator[None]:
    """No line of a C library on the terminal while the block runs, in any number of threads at once."""
    global _inside, _before
    streams = _streams()
    if streams is None:
        yield
        return
    with _others:
        if _inside == 0:
            _before, streams.variable.value = streams.variable.value, streams.nothing
        _inside += 1
    try:
        yield
    finally:
        with _others:
            _inside -= 1
            if _inside == 0:
                streams.variable.value = _before
                _others.notify_all()


class _Streams(NamedTuple):
    """The C library, its variable ``stderr``, and a stream of it that goes nowhere."""

    library: ctypes.CDLL
    variable: ctypes.c_void_p
    nothing: int


@lru_cache(maxsize=1)
def _streams() -> _Streams | None:
    try:
        library = ctypes.CDLL(None)
        variable = ctypes.c_void_p.in_dll(library, "stderr")
        library.fopen.restype = library.open_memstream.restype = ctypes.c_void_p
        nothing = library.fopen(os.fsencode(os.devnull), b"w")
    except (AttributeError, OSError, TypeError, ValueError):
        return None
    return _Streams(library, variable, nothing) if nothing else None
