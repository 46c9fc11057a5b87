"""Whether the challenge set of a category is whole, for commands that list, verify and examine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.challenge.parts import read_set


@dataclass(frozen=True)
class ChallengeHealth:
    """The state of a challenge set.

    Attributes:
        parts: number of parts in its index; None when the set cannot be read.
        problems: what is damaged; empty for a whole set, and without any.
    """

    parts: int | None
    problems: tuple[DmddError, ...] = ()


def challenge_health(category_folder: Path, category: str = "", *, images: bool = True) -> ChallengeHealth:
    """Look at the challenge set of a category; never raises.

    Args:
        category_folder: of the category, which holds its versions.
        category: that the bundles are of; empty where that is not known.
        images: whether each image is read and compared, too.
    """
    try:
        found = read_set(category_folder, category)
    except DmddError as error:
        return ChallengeHealth(None, (error,))
    problems = (found.problem(part) for part in found.parts) if images else ()
    return ChallengeHealth(len(found.parts), tuple(problem for problem in problems if problem))
