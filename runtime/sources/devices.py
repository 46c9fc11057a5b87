"""The device that an address names: a camera, a stream, or a video that is played like a camera."""

from __future__ import annotations

from pathlib import Path

from dmdd_edge.errors import SourceError
from dmdd_edge.messages.addresses import redacted
from dmdd_edge.runtime.sources import csi, replay, simulated
from dmdd_edge.runtime.sources.camera import Camera
from dmdd_edge.runtime.sources.live_device import Device
from dmdd_edge.runtime.sources.options import SourceOptions
from dmdd_edge.runtime.sources.source_kinds import ALLOWED, check_options
from dmdd_edge.runtime.sources.stream import FfmpegStream
from dmdd_edge.runtime.sources.urls import DRAWN_PREFIX, IMAGES_PREFIX, PLAYED, REPLAY_PREFIX, scheme_of


def make_device(source: str, options: SourceOptions) -> Device | None:
    """The device that an address names, not opened yet; None when it names files.

    A stream over http is asked what it sends.

    Args:
        source: as for ``open_source``.
        options: how it is read.

    Raises:
        SourceError: the scheme is unknown, the address is malformed, or an option does not apply to this kind
            of source.
    """
    scheme = scheme_of(source)
    if scheme == "csi":
        check_options("a CSI camera", options, source)
        return csi.CsiCamera(source, options)
    if scheme == "genicam":
        check_options("a GenICam camera", options, source)
        from dmdd_edge.runtime.sources.genicam.device import GenicamDevice  # its libraries are optional

        return GenicamDevice(source, options)
    if scheme == "rtsp":
        check_options("a stream", options, source)
        return FfmpegStream(source, options.stream_timeout)
    if scheme in ("http", "https"):
        check_options("a stream", options, source)
        from dmdd_edge.runtime.sources.http import http_device  # slow to import, and rarely needed

        return http_device(source, options.stream_timeout, options.fps)
    if source.startswith(REPLAY_PREFIX):
        check_options("a replayed video", options, source)
        return replay.ReplayDevice(replay.Replay.parse(source))
    if source.startswith((IMAGES_PREFIX, DRAWN_PREFIX)):
        check_options("a simulated camera", options, source)
        return simulated.simulated_camera(source)
    if scheme:
        raise SourceError(f"{redacted(source)}: unsupported source scheme {scheme}://.", ALLOWED)
    if is_live(source):
        check_options("a camera", options, source)
        return Camera(f"/dev/video{int(source)}" if source.isdecimal() else source, options)
    return None


def is_live(source: str) -> bool:
    """Whether an address names a device; false when it names files."""
    if scheme_of(source) or source.startswith(PLAYED):
        return True
    return source.isdecimal() or source.startswith("/dev/video") or Path(source).is_char_device()
