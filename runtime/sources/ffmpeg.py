"""FFmpeg's settings that OpenCV reads from the environment only: log level, transport and proxy."""

from __future__ import annotations

import os

from dmdd_edge.proxy import proxy_address

_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"


def set_up_ffmpeg() -> None:
    """Set the environment that OpenCV's FFmpeg reads, before the first video or stream is opened.

    The user's values stay; missing options are added. The environment is the same for every video and stream,
    and never restored: changing it repeatedly while other threads read it is not safe over months.

    Raises:
        DmddError: ``DMDD_PROXY`` does not hold an address.
    """
    # FFmpeg's log contains the address with its password, and repeats our errors for damaged files.
    # Read once, on FFmpeg's first use.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    # To estimate the rate of a stream, FFmpeg would delay its first 20 frames: 1 s at 30 frames per second,
    # and up to 5 s from a slow camera, on every connection.
    options = os.environ.setdefault(_OPTIONS, "rtsp_transport;tcp|fpsprobesize;0")
    # FFmpeg reads http_proxy. A value that is not an http:// address means no proxy; an empty one cannot be
    # written here.
    if not any(option.startswith("http_proxy;") for option in options.split("|")):
        os.environ[_OPTIONS] = f"{options}|http_proxy;{proxy_address() or 'none'}"
