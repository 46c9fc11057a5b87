"""What a run says about its parts as a whole: whether all of them were processed, and all are good."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dmdd_edge.data.images import describe_passed_over
from dmdd_edge.errors import SourceError

if TYPE_CHECKING:
    from dmdd_edge.runtime.sources import SourceState
    from dmdd_edge.runtime.summary import Summary

#: What is passed over although it shows parts. Other files beside the images, such as .txt, show none.
_IMAGES = re.compile(
    r"unreadable folder|linked folder|further pages|\.(heic|heif|hif|avif|webp|gif|jxl|jp2|j2k|jp[fx]|jxr"
    r"|jfif|jpe|tga|exr|hdr|psd|pcx|dng|cr[23]|nef|arw|raf|orf|rw2|raw|dcm|mp4|avi|mkv|mov|webm|m4v|mpe?g|wmv|ts)"
)


@dataclass(frozen=True)
class Verdict:
    """A run as a whole.

    Attributes:
        failed: frames that are not good, by what they are instead: anomalous, suspect, unreliable, skipped,
            and of files those that were lost before they were read. An earlier run that was resumed counts.
        nothing: why no frame has a result although there were some; None when at least one has.
        no_frame: why no frame came at all; None when one did.
        unprocessed: why not everything was processed that the user did not leave out; None when it was.
    """

    failed: dict[str, int] = field(default_factory=dict)
    nothing: SourceError | None = None
    no_frame: SourceError | None = None
    unprocessed: SourceError | None = None

    @property
    def passed(self) -> bool:
        """Whether every frame was processed and is good."""
        return not (self.failed or self.nothing or self.no_frame or self.unprocessed)


def reach_verdict(summary: Summary, state: SourceState, endless: bool, before: Counter[str]) -> Verdict:
    """The verdict on a run that has ended.

    Args:
        summary: of the run.
        state: of its source at the end.
        endless: whether the source continues until the user ends the run.
        before: statuses of the frames that an earlier run processed, when this one resumed it.
    """
    nothing = no_frame = None
    if summary.frames == 0 and not before:
        if summary.skipped:
            nothing = SourceError(
                f"None of the {summary.skipped} frames could be judged.",
                "Fix what the lines above name, one per frame.",
            )
        else:
            reason = f": {state.message}" if state.message else ""
            no_frame = SourceError(
                f"No frame came from {state.name} in {summary.seconds:.0f} s{reason}.",
                "Nothing was judged, so nothing passes. Check the source.",
            )
    failed = failures(summary, before, lossless=not state.live)
    return Verdict(failed, nothing, no_frame, unprocessed(summary, state, endless))


def failures(summary: Summary, before: Counter[str], lossless: bool) -> dict[str, int]:
    """Frames that are not good, by what they are instead.

    Args:
        summary: of the run.
        before: statuses of the frames that an earlier run processed.
        lossless: whether each frame of the source is owed a result; a camera drops frames all the time.
    """
    # A frame that cannot be judged or read is never good, so it must not pass a gate either.
    counts = {
        "anomalous": summary.anomalous + before["anomalous"],
        "suspect": (summary.suspect or 0) + before["suspect"],
        "unreliable": summary.unreliable + before["unreliable"],
        "skipped": summary.skipped + before["error"],
        "lost before they were read": summary.dropped if lossless else 0,
    }
    return {status: count for status, count in counts.items() if count}


def unprocessed(summary: Summary, state: SourceState, endless: bool) -> SourceError | None:
    """Why a run left something unprocessed which the user did not leave out; None when it did not.

    ``--every`` and ``--limit`` choose frames, so those pass; an end by a signal or the clock does not.

    Args:
        summary: of the run.
        state: of its source at the end.
        endless: whether the source continues until the user ends the run.
    """
    if endless and state.message:
        return SourceError(f"{state.name} was lost when the run ended: {state.message}.", "Check the source.")
    if not endless and summary.ended_by == "stop":
        return SourceError(
            f"The run was ended after {summary.frames} frames, before the end of {state.name}.",
            "Nothing passes that was not judged. Let the run finish, or choose frames with --limit.",
        )
    if state.waiting:
        return SourceError(
            f"The run was ended while {state.waiting} files waited to be judged.",
            "Nothing passes that was not judged. Run again with --watch-existing.",
        )
    missed = {kind: count for kind, count in summary.passed_over.items() if _IMAGES.fullmatch(kind)}
    if missed:
        return SourceError(
            f"Not everything was judged. Passed over: {describe_passed_over(missed)}.",
            "Convert or move what is passed over, or name what is to be judged: --source 'DIR/**/*.png'.",
        )
    return None
