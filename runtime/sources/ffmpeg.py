"""What OpenCV passes on to FFmpeg through the environment alone: its log level, transport and proxy."""

from __future__ import annotations

import os

from dmdd_edge.runtime.sources.proxy import proxy_address

_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"


def set_up_ffmpeg() -> None:
    """Set the environment that OpenCV's FFmpeg reads, before the first video or stream is opened.

    What the user has set stays; options that it lacks are added. It is the same for every video and stream,
    and never put back: changing the environment again and again, beside threads that read it, is not safe for
    months.

    Raises:
        DmddError: ``DMDD_PROXY`` does not hold an address.
    """
    # FFmpeg's own lines name the address with the password in it, and repeat our errors for damaged files.
    # Read once, when FFmpeg is used for the first time.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    # To guess the rate of a stream, FFmpeg would hold its first 20 frames back: 1 s at 30 frames a second,
    # and up to 5 s from a slow camera, each time that it connects.
    options = os.environ.setdefault(_OPTIONS, "rtsp_transport;tcp|fpsprobesize;0")
    # FFmpeg follows http_proxy by itself. What is not an http:// address means no proxy, whatever that says;
    # an empty value cannot be written here.
    if not any(option.startswith("http_proxy;") for option in options.split("|")):
        os.environ[_OPTIONS] = f"{options}|http_proxy;{proxy_address() or 'none'}"
