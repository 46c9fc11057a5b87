"""Archives as a run leaves them, without images: what counts are the records, the counts and the verdicts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dmdd_edge.runtime.archive.counts import Counts
from dmdd_edge.runtime.archive.feedback import Feedback
from dmdd_edge.runtime.archive.folder import ArchiveFolder
from dmdd_edge.runtime.archive.record import Record

TIME = "2026-11-20T08:00:00.000Z"


class Archive:
    """An archive that is written part by part.

    Args:
        path: of its folder.
        category, version: that judged the parts.
        threshold: that was in force.
        rate: of the random sample.
    """

    def __init__(
        self, path: Path, category: str, version: str, threshold: float = 0.5, rate: float = 0.1
    ) -> None:
        self.folder = ArchiveFolder.make(path)
        self.path = path
        self.judged: dict[str, Any] = {
            "category": category,
            "version": version,
            "threshold": threshold,
            "sample_rate": rate,
        }
        (path / "kept" / "2026-11-20").mkdir(parents=True, exist_ok=True)
        self._made = 0

    def keep(self, score: float | None, verdict: str = "", deleted: bool = False, **fields: Any) -> Record:
        """Keep a part: sampled if it is good, an alarm if its score is above the threshold."""
        self._made += 1
        above = score is None or score > self.judged["threshold"]
        known = {
            "id": f"20261120T080000-{self._made:08d}",
            "time": TIME,
            "status": "anomalous" if above else "good",
            "kept": "anomalous" if above else "sample",
            "sampled": not above,
            "score": score,
            "pixel_threshold": 0.5,
            "image": "kept/2026-11-20/none.png",
            **self.judged,
        }
        record = Record(**{**known, **fields})
        if not deleted:
            (self.path / "kept" / "2026-11-20" / f"{record.id}.json").write_text(record.model_dump_json())
        if verdict:
            self.folder.feedback.add(Feedback.on(record, verdict, "tester"))  # type: ignore[arg-type]
        return record

    def keep_all(self, scores: Iterable[float], verdict: str = "", **fields: Any) -> None:
        """Keep several parts."""
        for score in scores:
            self.keep(score, verdict, **fields)

    def count(self, good: int, anomalous: int, **fields: Any) -> None:
        """Add a line of counts."""
        known = {name: value for name, value in self.judged.items() if name in Counts.model_fields}
        line = Counts(since=TIME, until=TIME, **{**known, "good": good, "anomalous": anomalous, **fields})
        with (self.path / "counts.jsonl").open("a") as lines:
            lines.write(line.model_dump_json() + "\n")
