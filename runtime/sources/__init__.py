"""Where frames come from: one module a kind of source, one protocol for all of them."""

from __future__ import annotations

from dmdd_edge.runtime.sources.base import Source, SourceState
from dmdd_edge.runtime.sources.cameras import CameraInfo, list_cameras
from dmdd_edge.runtime.sources.files import ImageFiles
from dmdd_edge.runtime.sources.opening import open_source, open_sources
from dmdd_edge.runtime.sources.options import SourceOptions
from dmdd_edge.runtime.sources.video import VideoFile

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
