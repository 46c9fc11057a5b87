"""The operands of ``--compare``: a bundle (on a backend, with a precision), a backend, a past result."""

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
from dmdd_edge.runtime.options.backend import PRECISION_NAMES
from dmdd_edge.workspace import find_bundle, list_bundles

_FORMS = (
    "Give a category or a bundle's folder (screw, models/screw), one of these on a backend (screw@cpu) or "
    "with a precision (screw@int8, screw@cpu@int8), "
    f"a backend alone ({', '.join(BACKENDS)}), or a past result (bench --json > before.json)."
)

#: The precisions that an operand may name.
_PRECISIONS = PRECISION_NAMES[1:]


@dataclass(frozen=True)
class LiveOperand:
    """A bundle on a backend, to be measured now.

    Attributes:
        text: as the user gave it.
        path: the bundle.
        backend: ``auto``, or one by name.
        precision: one by name; None for the command's.
    """

    text: str
    path: Path
    backend: str
    precision: str | None = None


@dataclass(frozen=True)
class PastOperand:
    """A stored result.

    Attributes:
        text: as the user gave it.
        document: the file's content.
    """

    text: str
    document: dict[str, Any]

    def samples(self, scenario: str) -> NDArray[np.float64]:
        """Milliseconds of the host call in a scenario.

        Raises:
            OptionError: the scenario was not measured.
        """
        row = self.document["scenarios"].get(scenario)
        values = [] if row is None else row.get("samples_ms", {}).get("call", [])
        if not values:
            measured = ", ".join(self.document["scenarios"]) or "none"
            raise OptionError(
                f"{self.text} has no latencies of the scenario {scenario} (available: {measured}).",
                "Name one of these with --scenario, or measure again: dmdd-edge bench --json > FILE.json.",
            )
        return np.asarray(values, np.float64)

    def unreliable_because(self, scenario: str) -> list[str]:
        """Why its figures of a scenario were unreliable when they were measured."""
        return list(self.document["scenarios"].get(scenario, {}).get("unreliable_because", []))

    @property
    def preset(self) -> str:
        """The preset it was measured with; empty for our own way of measuring."""
        return str(self.document.get("like") or "")

    @property
    def cpu(self) -> str:
        """The processor it was measured on."""
        return str(self.document["circumstances"]["machine"]["cpu"])


Operand = LiveOperand | PastOperand


def parse_operand(
    text: str,
    category: str | None = None,
    model: Path | None = None,
    models_dir: Path = Path("models"),
    backend: str = AUTO,
) -> Operand:
    """Interpret an operand of ``--compare``.

    Args:
        text: see the module.
        category, model, models_dir: the bundle that a backend alone runs.
        backend: the backend that a bundle alone runs on.

    Raises:
        OptionError: it is none of these, or the file is not a result.
    """
    if not text:
        raise OptionError("An operand of --compare is empty.", _FORMS)
    if text.endswith(".json"):
        return PastOperand(text, read_result(Path(text)))
    if text in (AUTO, *BACKENDS) and not _is_bundle(text, models_dir):
        return LiveOperand(text, find_bundle(category, model, models_dir), text)
    bundle, names = text, list[str]()
    while not _is_bundle(bundle, models_dir) and "@" in bundle:
        bundle, _, name = bundle.rpartition("@")
        names.append(name)
    precision = next((name for name in names if name in _PRECISIONS), None)
    backends = [name for name in names if name != precision]
    name = backends[-1] if backends else backend
    if len(backends) > 1 or name not in (AUTO, *BACKENDS):
        raise OptionError(f"--compare {text}: unknown backend {name!r}.", _FORMS)
    if not _is_bundle(bundle, models_dir):
        known = ", ".join(list_bundles(models_dir)) or "no bundle"
        raise OptionError(f"--compare {text}: no bundle {bundle!r} ({models_dir}/ holds: {known}).", _FORMS)
    path = Path(bundle) if Path(bundle).is_dir() else models_dir / bundle
    return LiveOperand(text, path, name, precision)


def read_result(path: Path) -> dict[str, Any]:
    """Read a result that ``bench --json`` printed into a file.

    Raises:
        OptionError: the file cannot be read, or is not such a result.
    """
    fix = "Make one: dmdd-edge bench --scenario single --json > FILE.json."
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise OptionError(f"No result {path}.", fix) from None
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"Cannot read {path}: {error}.", fix) from error
    except json.JSONDecodeError as error:
        raise OptionError(f"{path} is not JSON (line {error.lineno}: {error.msg}).", fix) from error
    needed = ("bundle", "backend", "scenarios", "circumstances")
    if not isinstance(document, dict) or document.get("type") != KIND:
        raise OptionError(f"{path} is not a result of `dmdd-edge bench --json`.", fix)
    if not all(isinstance(document.get(name), dict) for name in needed):
        missing = [name for name in needed if not isinstance(document.get(name), dict)]
        raise OptionError(f"{path} is incomplete: {', '.join(missing)} missing.", fix)
    return document


def _is_bundle(name: str, models_dir: Path) -> bool:
    return Path(name).is_dir() or name in list_bundles(models_dir)
