"""The options of a comparison of two versions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from dmdd_edge.errors import OptionError
from dmdd_edge.options import Option, Options
from dmdd_edge.options.groups import ModelsDirOption
from dmdd_edge.runtime.options.backend import BackendName, CudaOptions

_IMAGES = "Images"


@dataclass(frozen=True, kw_only=True)
class _Versions(Options):
    old: Annotated[
        str,
        Option("The version that is compared with: CATEGORY, CATEGORY@VERSION or a folder.", argument=True),
    ]
    new: Annotated[str, Option("The version that may replace it, likewise.", argument=True)]


@dataclass(frozen=True, kw_only=True)
class _Judged(Options):
    good: Annotated[
        Path | None,
        Option(
            "Images of good parts, with subfolders; best some that neither was trained on.", panel=_IMAGES
        ),
    ] = None
    known_bad: Annotated[
        Path | None,
        Option("Images of defective parts; a subfolder is a defect type.", panel=_IMAGES),
    ] = None
    challenge: Annotated[
        bool, Option("The parts of the category's challenge set, as defective ones.", panel=_IMAGES)
    ] = False
    report: Annotated[
        Path | None,
        Option("Write a page that shows what they decide differently, with both maps: an HTML file."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class CompareOptions(CudaOptions, BackendName, ModelsDirOption, _Judged, _Versions):
    """Which versions are compared, and on which images."""

    def check(self) -> None:
        """Raise an ``OptionError`` where there is nothing to compare on."""
        super().check()
        if self.good is None and self.known_bad is None and not self.challenge:
            raise OptionError(
                "compare needs images.", "Give --good DIR, --known-bad DIR, --challenge or several of them."
            )
