"""What can be requested of a source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.options.archive import ArchivePlace
from dmdd_edge.runtime.options.files import ImageFolders
from dmdd_edge.runtime.options.source import CameraOptions, EveryOption, StripOption, WatchOptions


@dataclass(frozen=True, kw_only=True)
class SourceOptions(ArchivePlace, ImageFolders, CameraOptions, WatchOptions, StripOption, EveryOption):
    """What can be requested of a source; the fields are options of the command line, but for ``watch``.

    Images in the folders ``save``, ``save_maps``, ``save_frames`` and ``archive`` are left out, since a run
    wrote them.

    Attributes:
        watch: the source is a folder that other software drops images into.

    Raises:
        DmddError: a value is out of its range.
    """

    watch: bool = False

    def check(self) -> None:
        """Raise an ``OptionError`` where two options do not fit together."""
        super().check()
        if self.strip is not None and (self.every > 1 or self.fps is not None):
            option = "--every" if self.every > 1 else "--fps"
            raise OptionError(
                f"{option} leaves strips out, and --strip needs each one.", f"Leave {option} or --strip out."
            )

    @property
    def written(self) -> tuple[Path, ...]:
        """The folders that the run itself writes images into."""
        folders = (self.save, self.save_maps, self.save_frames, self.archive)
        return tuple(folder for folder in folders if folder is not None)
