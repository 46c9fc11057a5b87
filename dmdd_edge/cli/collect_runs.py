"""Which training runs have learned from a set, so that nobody takes a grown set for what a run knows."""

from __future__ import annotations

import os
from pathlib import Path

from dmdd_edge.errors import DmddError
from dmdd_edge.outside_files import read_bounded
from dmdd_edge.runs import RUNS_DIR, list_runs
from dmdd_edge.strict_json import NotStrict, parse_object

#: What is read of a run: its facts, which name the folder of its images.
_FACTS, _LARGEST, _MOST_VALUES = "run.json", 256 << 20, 5_000_000


def runs_of(folder: Path, runs_dir: Path = RUNS_DIR) -> list[tuple[str, int]]:
    """The runs that were trained on a folder's images, each with the number of them; sorted by name."""
    found = []
    real = os.path.realpath(folder)
    try:
        names = list_runs(runs_dir)
    except DmddError:
        return []
    for name in names:
        try:
            facts = parse_object(read_bounded(runs_dir / name / _FACTS, _LARGEST), most_values=_MOST_VALUES)
        except (OSError, NotStrict):
            continue  # unfinished, or damaged: the commands that use it say so
        root, images = facts.get("root"), [*_listed(facts, "train"), *_listed(facts, "holdout")]
        if isinstance(root, str) and os.path.realpath(root) == real:
            found.append((name, len(images)))
    return found


def _listed(facts: dict[str, object], name: str) -> list[object]:
    value = facts.get(name)
    return value if isinstance(value, list) else []
