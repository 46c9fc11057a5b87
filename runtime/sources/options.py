"""What can be requested of a source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dmdd_edge.runtime.options.archive import ArchivePlace
from dmdd_edge.runtime.options.files import ImageFolders
from dmdd_edge.runtime.options.source import CameraOptions, EveryOption, WatchOptions


@dataclass(frozen=True, kw_only=True)
class SourceOptions(ArchivePlace, ImageFolders, CameraOptions, WatchOptions, EveryOption):
    """What can be requested of a source; the fields are options of the command line, but for ``watch``.

    Images in the folders ``save``, ``save_maps``, ``save_frames`` and ``archive`` are left out, since a run
    wrote them.

    Attributes:
        watch: the source is a folder that other software drops images into.

    Raises:
        DmddError: a value is out of its range.
    """

    watch: bool = False

    @property
    def written(self) -> tuple[Path, ...]:
        """The folders that the run itself writes images into."""
        folders = (self.save, self.save_maps, self.save_frames, self.archive)
        return tuple(folder for folder in folders if folder is not None)
