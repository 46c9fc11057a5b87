"""Parts of an archive that somebody looks at: what a filter takes, in the order of time."""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple


class Facet(NamedTuple):
    """What records have in common; one object serves them all."""

    status: str
    kept: str
    category: str
    inspection: str


class Entry(NamedTuple):
    """A record in the index: little enough that 100,000 of them fit into the memory of a small machine.

    Attributes:
        facet: see above.
        time: when the image was grabbed, in seconds since 1970.
    """

    facet: Facet
    time: float


@dataclass(frozen=True)
class Filter:
    """Which records are looked at; an empty text takes every one.

    Attributes:
        status, kept, category, inspection: as in the record.
        since, until: seconds since 1970; both included.
    """

    status: str = ""
    kept: str = ""
    category: str = ""
    inspection: str = ""
    since: float = -math.inf
    until: float = math.inf

    def takes(self, entry: Entry) -> bool:
        """Whether a record is one of them."""
        wanted = (self.status, self.kept, self.category, self.inspection)
        return self.since <= entry.time <= self.until and all(
            not want or want == has for want, has in zip(wanted, entry.facet, strict=True)
        )


class View:
    """The ids that a filter takes, kept up to date by the index.

    Args:
        filter: see above.
        entries: by id.
        verdict: of an id; empty without one.

    Attributes:
        filter: see above.
        verdicts: number of ids by verdict, an empty text for those without one.
    """

    def __init__(
        self, filter: Filter, entries: Iterable[tuple[str, Entry]], verdict: Callable[[str], str]
    ) -> None:
        self.filter = filter
        self._ids = sorted(name for name, entry in entries if filter.takes(entry))
        self.verdicts = Counter(map(verdict, self._ids))

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, name: str) -> bool:
        place = bisect.bisect_left(self._ids, name)
        return place < len(self._ids) and self._ids[place] == name

    def add(self, name: str, entry: Entry, verdict: str) -> None:
        """A record was kept."""
        if self.filter.takes(entry):
            bisect.insort(self._ids, name)
            self.verdicts[verdict] += 1

    def remove(self, name: str, verdict: str) -> None:
        """A record was deleted."""
        if name in self:
            del self._ids[bisect.bisect_left(self._ids, name)]
            self.verdicts[verdict] -= 1

    def change(self, name: str, before: str, after: str) -> None:
        """A record has another verdict."""
        if name in self:
            self.verdicts[before] -= 1
            self.verdicts[after] += 1

    def older(self, than: str = "") -> Iterator[str]:
        """The ids before one, the newest first; all of them without one."""
        place = bisect.bisect_left(self._ids, than) if than else len(self._ids)
        return (self._ids[at] for at in range(place - 1, -1, -1))

    def newer(self, than: str) -> Iterator[str]:
        """The ids after one, the oldest first."""
        return (self._ids[at] for at in range(bisect.bisect_right(self._ids, than), len(self._ids)))
