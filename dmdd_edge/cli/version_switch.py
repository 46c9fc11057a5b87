"""What a switch of versions leaves behind: a calibration belongs to the version whose scores it is from."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmdd_edge.errors import DmddError
from dmdd_edge.messages.commands import command


@dataclass(frozen=True)
class LeftBehind:
    """A calibration that the version in use before has, and the new one has not.

    Attributes:
        version: that has it.
        threshold: of the score, 0..1.
        options: the options of ``calibrate`` that it was set with and that a new one needs again.
    """

    version: str
    threshold: float
    options: dict[str, Any]

    def describe(self) -> str:
        """One line for a person."""
        named = command("calibrate", **self.options).removeprefix("dmdd-edge calibrate").strip()
        also = f", {named}" if named else ""
        return (
            f"not carried over from {self.version}: threshold {self.threshold:.4f}{also}; "
            "scores of two versions cannot be compared"
        )


def calibrated_before(models_dir: Path, category: str) -> LeftBehind | None:
    """The calibration of the version that is in use; None without one, or when it cannot be read."""
    from dmdd_edge.bundle.bundle import Bundle
    from dmdd_edge.bundle.calibration import read_calibration
    from dmdd_edge.bundle.gate import Gate
    from dmdd_edge.bundle.versions import list_versions

    with suppress(DmddError):
        for version in list_versions(models_dir, category):
            if not version.in_use or version.manifest is None:
                continue
            bundle = Bundle(version.path, version.manifest)
            precisions = ("", *bundle.manifest.thresholds)
            all_found = [read_calibration(bundle.at(precision)) for precision in precisions]
            found = next((each for each in all_found if each is not None), None)
            if found is None:
                return None
            gate = found.gate or Gate()
            options = {
                "suspect_rate": found.threshold.suspect_rate,
                "min_area": gate.min_area,
                "mm_per_px": gate.mm_per_px,
                "precision": found.precision or None,
            }
            return LeftBehind(version.path.name, found.threshold.image, options)
    return None


def next_after_switch(category: str, models_dir: Path, left: LeftBehind | None) -> str:
    """The next command: a calibration where one was left behind, else a run."""
    named = {"category": category, "models_dir": models_dir}
    if left is None:
        return command("run", **named, source="FOLDER_OR_CAMERA")
    return command("calibrate", **named, source="GOOD_PARTS", **left.options)
