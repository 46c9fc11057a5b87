"""What a source may be, and which options apply to which kind."""

from __future__ import annotations

from dmdd_edge.data.images import IMAGE_SUFFIXES
from dmdd_edge.errors import SourceError
from dmdd_edge.messages.addresses import redacted
from dmdd_edge.runtime.sources.options import SourceOptions
from dmdd_edge.runtime.sources.video import VIDEO_SUFFIXES

#: What a source may be, for a message.
ALLOWED = (
    "A source is an image or a video file, a folder, a glob in quotes, - for paths on standard input, "
    "a camera (0, /dev/video0, csi://0, genicam://SERIAL), rtsp://, http:// or https://, replay:VIDEO, or "
    "a simulated camera (images:FOLDER, drawn:plate). "
    f"Images: {', '.join(IMAGE_SUFFIXES)}; videos: {', '.join(VIDEO_SUFFIXES)}."
)
# Which options apply to which kind of source; --every, --strip and the output folders apply to all.
_ALL = {"every", "strip", "save", "save_maps", "save_frames", "archive"}
_CSI = {"fps", "camera_size", "camera_fps", "exposure", "gain"}
_APPLICABLE = {
    "files": set[str](),
    "a watched folder": {"watch", "watch_existing", "watch_settle"},
    "a camera": _CSI | {"white_balance", "camera_controls"},
    "a CSI camera": _CSI,
    "a GenICam camera": _CSI | {"genicam_driver", "stream_timeout"},
    "a stream": {"fps", "stream_timeout"},
    "a replayed video": {"fps"},
    "a simulated camera": {"fps"},
}


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
