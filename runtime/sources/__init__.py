"""Sources of frames: one module per kind of source, one protocol for all of them.

Names are loaded on first use: a camera can be found by ``v4l2`` alone, without OpenCV.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmdd_edge.lazy import lazy_names

if TYPE_CHECKING:
    from dmdd_edge.runtime.sources.base import Source, SourceState
    from dmdd_edge.runtime.sources.cameras import CameraInfo, list_cameras
    from dmdd_edge.runtime.sources.factory import open_source, open_sources
    from dmdd_edge.runtime.sources.files import ImageFiles
    from dmdd_edge.runtime.sources.options import SourceOptions
    from dmdd_edge.runtime.sources.video import VideoFile

_PLACES = {
    "CameraInfo": "cameras",
    "ImageFiles": "files",
    "Source": "base",
    "SourceOptions": "options",
    "SourceState": "base",
    "VideoFile": "video",
    "list_cameras": "cameras",
    "open_source": "factory",
    "open_sources": "factory",
}

__all__ = [
    "CameraInfo",
    "ImageFiles",
    "Source",
    "SourceOptions",
    "SourceState",
    "VideoFile",
    "list_cameras",
    "open_source",
    "open_sources",
]


__getattr__ = lazy_names(__name__, {name: f"{__name__}.{module}" for name, module in _PLACES.items()})
