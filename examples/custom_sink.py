"""Write results in a format of your own: ``python custom_sink.py models/screw parts/ defects.csv``.

A sink receives each frame with its result, in order, from one thread. Here: one row per defect region.
"""

import csv
import sys
from pathlib import Path

from dmdd_edge import BrokenFrame, Frame, Result, RunOptions, Summary, run_source


class DefectTable:
    """A CSV file with a row per region above the pixel threshold."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", newline="", encoding="utf-8")
        self._rows = csv.writer(self._file)
        self._rows.writerow(["image", "x", "y", "width", "height", "area", "peak"])

    def result(self, frame: Frame, result: Result) -> None:
        """Write the regions of a frame."""
        for region in result.regions:
            box = (region.x, region.y, region.width, region.height)
            self._rows.writerow([frame.name, *box, region.area, f"{region.peak:.3f}"])

    def broken(self, frame: BrokenFrame) -> None:
        """Report a frame that cannot be read."""
        print(frame.error.message, file=sys.stderr)

    def summary(self, summary: Summary) -> None:
        """Print the counts at the end."""
        print(f"{summary.frames} frames, {summary.anomalous} anomalous")

    def close(self) -> None:
        """Close the file, also after an error."""
        self._file.close()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python custom_sink.py BUNDLE SOURCE TABLE.csv")
    run_source(
        RunOptions(model=Path(sys.argv[1]), source=sys.argv[2]), sinks=[DefectTable(Path(sys.argv[3]))]
    )
