"""What the review page shows and changes, as fields for JSON; for one thread at a time."""

from __future__ import annotations

import time as clock
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, get_args

from dmdd_edge._version import __version__
from dmdd_edge.messages.text import unfit_character
from dmdd_edge.runtime.archive.feedback import Feedback, Verdict
from dmdd_edge.runtime.archive.folder import ArchiveFolder
from dmdd_edge.runtime.archive.index import Index
from dmdd_edge.runtime.archive.record import Record, is_id
from dmdd_edge.runtime.archive.verdicts import Given
from dmdd_edge.runtime.archive.views import Filter, View

#: Records that one answer lists at most.
PAGE = 50
#: Records that stay known after their files were deleted, so that a verdict on what was just seen counts.
_SEEN = 256
#: The longest name of a person, in characters.
LONGEST_WHO = 60
#: Time that one request spends on reading records, in seconds.
_STEP = 0.15
#: Newer images are counted up to this number.
_MOST_NEWER = 1000
#: What ``verdict`` of a filter may be, beside a verdict.
OPEN, DONE = "open", "done"
VERDICTS: tuple[str, ...] = get_args(Verdict)


class Gone(Exception):  # noqa: N818 - an answer, not a failure
    """The image was deleted, or its record is damaged."""


class Conflict(Exception):  # noqa: N818 - an answer, not a failure
    """Somebody else has given a verdict meanwhile."""

    def __init__(self, given: Given) -> None:
        super().__init__(given.id)
        self.given = given


class Desk:
    """An archive under review.

    Args:
        archive: see ``ArchiveFolder``.
        gentle: leave half of the processor's time to a run in the same process.
    """

    def __init__(self, archive: ArchiveFolder, gentle: bool) -> None:
        self.archive, self._gentle = archive, gentle
        self._index = Index(archive)
        self._seen: OrderedDict[str, Record] = OrderedDict()

    def state(self, filter: Filter, verdict: str, after: int, first: str) -> dict[str, Any]:
        """How far the review is, and what is new.

        Args:
            filter, verdict: of the images that are looked at; see ``listed``.
            after: number of the last verdict that the client has.
            first: the newest image that the client has; empty without one.

        Raises:
            StorageError: the verdicts cannot be read.
        """
        self._index.step(_STEP, self._gentle)
        view = self._index.view(filter)
        news = self._index.verdicts.after(after)
        return {
            "program": __version__,
            "time": clock.time(),
            "archive": self.archive.path.name or str(self.archive.path),
            "number": self._index.verdicts.number,
            "records": len(self._index.entries),
            "unread": self._index.unread,
            "unreadable": len(self._index.unreadable),
            "progress": _progress(view),
            "facets": self._facets(),
            "newer": self._newer(view, verdict, first) if first else 0,
            "all_news": news is not None,
            "news": [given._asdict() for given in news or ()],
        }

    def listed(
        self, filter: Filter, verdict: str, than: str, newer: bool, most: int = PAGE
    ) -> dict[str, Any]:
        """Some images of a filter.

        Args:
            filter: of the images.
            verdict: ``open``, ``done``, a verdict, or empty for all.
            than: the image that they follow; empty for the newest.
            newer: whether they are newer than that, the oldest first; otherwise older, the newest first.
            most: how many at most.
        """
        self._index.step(_STEP, self._gentle)
        view = self._index.view(filter)
        names = view.newer(than) if newer else view.older(than)
        found: list[dict[str, Any]] = []
        for name in self._with(names, verdict):
            if len(found) == most:
                return {"items": found, "more": True}
            entry = self._index.entries[name]
            found.append(
                {"id": name, **entry.facet._asdict(), "time": entry.time, "given": self._given(name)}
            )
        return {"items": found, "more": False}

    def record(self, name: str) -> Record:
        """The record of an image.

        Raises:
            Gone: it was deleted, or is damaged.
        """
        seen = self._seen.get(name)
        if seen is None:
            found = self.archive.record(name) if is_id(name) else None
            if found is None:
                self._index.forget(name)
                raise Gone(name)
            seen = self._seen[name] = found
        self._seen.move_to_end(name)
        while len(self._seen) > _SEEN:
            self._seen.popitem(last=False)
        return seen

    def shown(self, name: str) -> dict[str, Any]:
        """Everything about an image.

        Raises:
            Gone: it was deleted, or is damaged.
        """
        return {**self.record(name).model_dump(mode="json"), "given": self._given(name)}

    def judge(self, name: str, verdict: str, who: str, seen: int) -> dict[str, Any]:
        """Add a verdict; when this returns, it is on the disk.

        Args:
            name: of the image.
            verdict: see ``Verdict``.
            who: gives it.
            seen: number of the last verdict on this image that the person knows; 0 without one.

        Returns:
            The verdict as it was given. The same verdict sent twice is added once.

        Raises:
            Gone: there is no such image.
            Conflict: there is a later verdict of somebody else; nothing is added.
            StorageError: it cannot be written; nothing is added.
        """
        verdicts = self._index.verdicts
        verdicts.follow()
        last = verdicts.of(name)
        if last is not None and last.number > seen:
            if (last.verdict, last.who) == (verdict, who):
                return last._asdict()
            raise Conflict(last)
        self.archive.feedback.add(Feedback.on(self.record(name), verdict, who))  # type: ignore[arg-type]
        verdicts.follow()
        given = verdicts.of(name)
        assert given is not None
        return given._asdict()

    def _with(self, names: Iterator[str], verdict: str) -> Iterator[str]:
        for name in names:
            word = self._index.verdicts.word(name)
            if verdict in ("", word) or verdict == (DONE if word else OPEN):
                yield name

    def _newer(self, view: View, verdict: str, than: str) -> int:
        return sum(1 for _ in islice(self._with(view.newer(than), verdict), _MOST_NEWER))

    def _given(self, name: str) -> dict[str, Any] | None:
        given = self._index.verdicts.of(name)
        return None if given is None else given._asdict()

    def _facets(self) -> dict[str, Any]:
        counted: dict[str, Counter[str]] = {"status": Counter(), "kept": Counter()}
        parts: Counter[tuple[str, str]] = Counter()
        for facet, number in self._index.facets.items():
            counted["status"][facet.status] += number
            counted["kept"][facet.kept] += number
            parts[facet.category, facet.inspection] += number
        listed = [
            {"category": category, "inspection": inspection, "records": number}
            for (category, inspection), number in sorted(parts.items())
        ]
        return {**{name: dict(sorted(counts.items())) for name, counts in counted.items()}, "parts": listed}


def _progress(view: View) -> dict[str, int]:
    verdicts = {name: view.verdicts[name] for name in ("good", "bad", "unsure")}
    return {"records": len(view), "reviewed": sum(verdicts.values()), **verdicts}


def filter_in(query: Mapping[str, str]) -> Filter:
    """The filter of a query; what is malformed takes every image."""
    names = ("status", "kept", "category", "inspection")
    moments = {
        name: float(whole) for name in ("since", "until") if (whole := query.get(name, "")).isdecimal()
    }
    return Filter(**{name: query.get(name, "") for name in names}, **moments)  # type: ignore[arg-type]


def who_in(fields: Mapping[str, Any]) -> str | None:
    """The name of a person in a body; None where it is not fit to be kept."""
    who = fields.get("who", "")
    if not isinstance(who, str) or len(who) > LONGEST_WHO or unfit_character(who) is not None:
        return None
    return who.strip()
