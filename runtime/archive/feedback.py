"""What people say of kept images: lines that are only added, to ``feedback.jsonl``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict

from dmdd_edge.failures import storage_errors
from dmdd_edge.fields import Text
from dmdd_edge.outside_files import read_lines
from dmdd_edge.runtime.archive.record import Judged, Record, RecordId
from dmdd_edge.runtime.durable.shared_lines import add_line
from dmdd_edge.runtime.result import utc_time
from dmdd_edge.strict_json import NotStrict, parse_object, validate

#: ``none`` takes an earlier verdict back.
Verdict = Literal["good", "bad", "unsure", "none"]


class Feedback(Judged):
    """One verdict of a person; it holds what it takes to reckon with it when the image is gone.

    Attributes:
        id: of the image.
        verdict: see above.
        who: who gave it; empty when that is not known.
        given: when, ISO 8601 in UTC.
    """

    model_config = ConfigDict(frozen=True)

    id: RecordId
    verdict: Verdict
    who: Text = ""
    given: Text

    @classmethod
    def on(cls, record: Record, verdict: Verdict, who: str = "") -> Feedback:
        """A verdict on an image, now."""
        judged = {name: getattr(record, name) for name in Judged.model_fields}
        return cls(id=record.id, verdict=verdict, who=who, given=utc_time(time.time()), **judged)


class FeedbackFile:
    """The verdicts of an archive. Any number of processes may add to them at once.

    Args:
        path: of the file; made by the first verdict.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, feedback: Feedback) -> None:
        """Add a verdict; when this returns, it is on the disk.

        Raises:
            StorageError: it cannot be written, or another process holds the file; nothing is added.
        """
        add_line(self.path, feedback.model_dump_json().encode())

    def since(self, position: int = 0) -> Iterator[tuple[int, Feedback | None]]:
        """Verdicts from a position of the file on, each with the position after it.

        Args:
            position: 0, or one that was returned before; lines that other processes add come later.

        Yields:
            The position after a line, and its verdict; None for a line that cannot be read.

        Raises:
            StorageError: the file exists and cannot be read.
        """
        if not self.path.exists():
            return
        with storage_errors(self.path, "read"):
            for after, line in read_lines(self.path, position):
                try:
                    yield after, validate(Feedback, parse_object(line))
                except NotStrict:
                    yield after, None

    def history(self) -> Iterator[Feedback]:
        """Every verdict in the order in which they were given; a line that cannot be read is left out.

        Raises:
            StorageError: the file exists and cannot be read.
        """
        return (feedback for _, feedback in self.since() if feedback is not None)

    def latest(self) -> dict[str, Feedback]:
        """The verdict in force on each image, by id; one that was taken back is not in it."""
        found: dict[str, Feedback] = {}
        for feedback in self.history():
            if feedback.verdict == "none":
                found.pop(feedback.id, None)
            else:
                found[feedback.id] = feedback
        return found
