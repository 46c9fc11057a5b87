"""The device that an address names: a camera, a stream, or a video that is played like a camera."""

from __future__ import annotations

from pathlib import Path

from dmdd_edge.data.images import IMAGE_SUFFIXES
from dmdd_edge.errors import SourceError
from dmdd_edge.messages.addresses import redacted
from dmdd_edge.runtime.sources import csi, replay
from dmdd_edge.runtime.sources.camera import Camera
from dmdd_edge.runtime.sources.live_device import Device
from dmdd_edge.runtime.sources.options import SourceOptions
from dmdd_edge.runtime.sources.stream import FfmpegStream
from dmdd_edge.runtime.sources.urls import scheme_of
from dmdd_edge.runtime.sources.video import VIDEO_SUFFIXES

#: What a source may be, for a message.
ALLOWED = (
    "A source is an image or a video file, a folder, a glob in quotes, - for paths on standard input, "
    "a camera (0, /dev/video0, csi://0, genicam://SERIAL), rtsp://, http:// or https://, or replay:VIDEO. "
    f"Images: {', '.join(IMAGE_SUFFIXES)}; videos: {', '.join(VIDEO_SUFFIXES)}."
)
# Which options apply to which kind of source; --every and the output folders apply to all.
_ALL = {"every", "save", "save_maps", "save_frames"}
_CSI = {"fps", "camera_size", "camera_fps", "exposure", "gain"}
_APPLICABLE = {
    "files": set[str](),
    "a watched folder": {"watch", "watch_existing", "watch_settle"},
    "a camera": _CSI | {"white_balance", "camera_controls"},
    "a CSI camera": _CSI,
    "a GenICam camera": _CSI | {"genicam_driver", "stream_timeout"},
    "a stream": {"fps", "stream_timeout"},
    "a replayed video": {"fps"},
}


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
    if source.startswith(replay.PREFIX):
        check_options("a replayed video", options, source)
        return replay.ReplayDevice(replay.Replay.parse(source))
    if scheme:
        raise SourceError(f"{redacted(source)}: unsupported source scheme {scheme}://.", ALLOWED)
    if source.isdecimal() or source.startswith("/dev/video") or Path(source).is_char_device():
        check_options("a camera", options, source)
        return Camera(f"/dev/video{int(source)}" if source.isdecimal() else source, options)
    return None


def check_options(kind: str, options: SourceOptions, source: str) -> None:
    """Reject an option that does not apply to this kind of source.

    Raises:
        SourceError: there is one.
    """
    for name in sorted(options.given()):
        if name not in _ALL and name not in _APPLICABLE[kind]:
            suits = [other for other, names in _APPLICABLE.items() if name in names]
            option, kinds = options.spelling(name), " and ".join(suits)
            raise SourceError(
                f"{option} applies to {kinds} only, not to {redacted(source)}.",
                "Leave it out." if name != "fps" else "Leave it out, or thin the frames with --every.",
            )
