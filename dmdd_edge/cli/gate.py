"""``run --fail-on-anomaly``: what must hold before exit code 0 says that all parts are good."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from dmdd_edge.data.images import describe_passed_over
from dmdd_edge.errors import SourceError

if TYPE_CHECKING:
    from dmdd_edge.runtime.sources import SourceState
    from dmdd_edge.runtime.summary import Summary

#: What is passed over and yet shows parts. Other files beside the images, such as .txt, show none.
_PICTURES = re.compile(
    r"unreadable folder|linked folder|further pages|\.(heic|heif|hif|avif|webp|gif|jxl|jp2|j2k|jp[fx]|jxr"
    r"|jfif|jpe|tga|exr|hdr|psd|pcx|dng|cr[23]|nef|arw|raf|orf|rw2|raw|dcm|mp4|avi|mkv|mov|webm|m4v|mpe?g|wmv|ts)"
)


def failures(summary: Summary, before: Counter[str], lossless: bool) -> dict[str, int]:
    """Frames that are not good, by what they are instead.

    Args:
        summary: of the run.
        before: statuses of the frames that an earlier run judged.
        lossless: whether each frame of the source is owed a result; a camera drops frames all the time.
    """
    # A frame that cannot be judged or read is never good, so it must not pass a gate either.
    found = {
        "anomalous": summary.anomalous + before["anomalous"],
        "unreliable": summary.unreliable + before["unreliable"],
        "skipped": summary.skipped + before["error"],
        "lost before they were read": summary.dropped if lossless else 0,
    }
    return {status: count for status, count in found.items() if count}


def check_all_judged(summary: Summary, state: SourceState, endless: bool) -> None:
    """Refuse to pass a run that left something unjudged which the user did not leave out.

    ``--every`` and ``--limit`` choose frames, so those pass; an end by a signal or the clock does not.

    Args:
        summary: of a run without anything but good frames.
        state: of its source at the end.
        endless: whether the source goes on until the user ends the run.

    Raises:
        DmddError: naming what was not judged.
    """
    if endless and state.message:
        raise SourceError(f"{state.name} was lost when the run ended: {state.message}.", "Check the source.")
    if not endless and summary.ended_by == "stop":
        raise SourceError(
            f"the run was ended after {summary.frames} frames, before the end of {state.name}.",
            "Nothing passes that was not judged. Let the run finish, or choose frames with --limit.",
        )
    if state.waiting:
        raise SourceError(
            f"the run was ended while {state.waiting} files waited to be judged.",
            "Nothing passes that was not judged. Run again with --watch-existing.",
        )
    missed = {kind: count for kind, count in summary.passed_over.items() if _PICTURES.fullmatch(kind)}
    if missed:
        raise SourceError(
            f"not everything was judged. Passed over: {describe_passed_over(missed)}.",
            "Convert or move what is passed over, or name what is to be judged: --source 'DIR/**/*.png'.",
        )
