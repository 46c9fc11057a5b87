"""Where frames come from: one module a kind of source, one protocol for all of them."""

from __future__ import annotations

from dmdd_edge.runtime.sources.base import Source, SourceState
from dmdd_edge.runtime.sources.files import ImageFiles
from dmdd_edge.runtime.sources.opening import open_source
from dmdd_edge.runtime.sources.video import VideoFile

__all__ = ["ImageFiles", "Source", "SourceState", "VideoFile", "open_source"]
