"""The two sides of ``--compare``: a bundle, a bundle on a back end, a back end, or a past result."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.backends.selection import AUTO, BACKENDS
from dmdd_edge.runtime.bench.document import KIND
from dmdd_edge.workspace import find_bundle, list_bundles

_FORMS = (
    "A side is a category or a bundle's folder (screw, models/screw), one of these on a backend "
    f"(screw@cpu), a backend alone ({', '.join(BACKENDS)}), or a past result (bench --json > before.json)."
)


@dataclass(frozen=True)
class LiveSide:
    """A bundle on a back end, to be measured now.

    Attributes:
        text: as it was given.
        path: the bundle.
        backend: ``auto``, or one by name.
    """

    text: str
    path: Path
    backend: str


@dataclass(frozen=True)
class PastSide:
    """A result that was kept.

    Attributes:
        text: as it was given.
        document: what the file holds.
    """

    text: str
    document: dict[str, Any]

    def samples(self, scenario: str) -> NDArray[np.float64]:
        """Milliseconds of the host call in a scenario.

        Raises:
            DmddError: the scenario was not measured.
        """
        row = self.document["scenarios"].get(scenario)
        values = [] if row is None else row.get("samples_ms", {}).get("call", [])
        if not values:
            there = ", ".join(self.document["scenarios"]) or "none"
            raise OptionError(
                f"{self.text} has no latencies of the scenario {scenario} (there: {there}).",
                "Name one of these with --scenario, or measure again: dmdd-edge bench --json > FILE.json",
            )
        return np.asarray(values, np.float64)

    def unreliable_because(self, scenario: str) -> list[str]:
        """Why its figures of a scenario could not be relied on when they were measured."""
        return list(self.document["scenarios"].get(scenario, {}).get("unreliable_because", []))

    @property
    def like(self) -> str:
        """The way in which it was measured, as ``--like`` names it; empty for our own."""
        return str(self.document.get("like") or "")

    @property
    def cpu(self) -> str:
        """The processor that it was measured on."""
        return str(self.document["circumstances"]["machine"]["cpu"])


Side = LiveSide | PastSide


def parse_side(
    text: str,
    category: str | None = None,
    model: Path | None = None,
    models_dir: Path = Path("models"),
    backend: str = AUTO,
) -> Side:
    """What a side of ``--compare`` means.

    Args:
        text: see the module.
        category, model, models_dir: which bundle a back end alone is run with.
        backend: what a bundle alone is run on.

    Raises:
        DmddError: it is none of these, or the file is no result.
    """
    if not text:
        raise OptionError("a side of --compare is empty.", _FORMS)
    if text.endswith(".json"):
        return PastSide(text, read_result(Path(text)))
    if text in (AUTO, *BACKENDS) and not _is_bundle(text, models_dir):
        return LiveSide(text, find_bundle(category, model, models_dir), text)
    place, mark, named = text.rpartition("@")
    if not mark:
        place, named = text, backend
    elif named not in (AUTO, *BACKENDS):
        raise OptionError(f"--compare {text}: there is no backend {named!r}.", _FORMS)
    if not _is_bundle(place, models_dir):
        known = ", ".join(list_bundles(models_dir)) or "none"
        raise OptionError(
            f"--compare {text}: there is no bundle {place!r} ({models_dir}/ holds: {known}).", _FORMS
        )
    path = Path(place) if Path(place).is_dir() else models_dir / place
    return LiveSide(text, path, named)


def read_result(path: Path) -> dict[str, Any]:
    """A result that ``bench --json`` printed into a file.

    Raises:
        DmddError: it cannot be read, or is no such result.
    """
    fix = "Make one: dmdd-edge bench --scenario single --json > FILE.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise OptionError(f"there is no result {path}.", fix) from None
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"{path} cannot be read: {error}.", fix) from error
    except json.JSONDecodeError as error:
        raise OptionError(f"{path} is not JSON (line {error.lineno}: {error.msg}).", fix) from error
    needed = ("bundle", "backend", "scenarios", "circumstances")
    if not isinstance(document, dict) or document.get("type") != KIND:
        raise OptionError(f"{path} is not a result of `dmdd-edge bench --json`.", fix)
    if not all(isinstance(document.get(name), dict) for name in needed):
        missing = [name for name in needed if not isinstance(document.get(name), dict)]
        raise OptionError(f"{path} is not whole: it lacks {', '.join(missing)}.", fix)
    return document


def _is_bundle(place: str, models_dir: Path) -> bool:
    return Path(place).is_dir() or place in list_bundles(models_dir)
