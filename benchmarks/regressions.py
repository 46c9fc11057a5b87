"""Compare new results with the kept ones, ratio by ratio; exit code 1 on a regression.

Only ratios are compared, never times: a time depends on the machine as much as on the code. Kept results are
in ``benchmarks/results``, each with the command that made it.

    python benchmarks/regressions.py                        compare changed results with the last commit
    python benchmarks/regressions.py NEW.json [NEW.json]    compare files with the kept ones of the same name
    python benchmarks/regressions.py --rerun graph_cost     run the kept command again, and compare
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import common


@dataclass(frozen=True)
class Watched:
    """A ratio that is checked for regressions.

    Attributes:
        path: its path in a result, dotted; ``*`` matches every name.
        better: which direction is better.
        tolerance: tolerated change for the worse, as a share of the kept ratio.
    """

    path: str
    better: Literal["lower", "higher"]
    tolerance: float


#: Name of a result without ``.json`` -> its ratios. Tolerances are twice the variation of the same code on a
#: shared machine.
WATCHED: dict[str, tuple[Watched, ...]] = {
    "graph_cost": (Watched("figures.*.ratio", "lower", 0.03),),
    "first_form": (Watched("figures.*.ratio", "lower", 0.03),),
    "train_throughput": (Watched("figures.ratio.median", "higher", 0.10),),
    "roofline": (Watched("figures.backbones.*.share_of_product.value", "higher", 0.05),),
    "session_options": (Watched("figures.*.chosen.ratio", "lower", 0.03),),
    "peers": (Watched("figures.*.peers.*.ratio", "higher", 0.10),),
}


@dataclass(frozen=True)
class Verdict:
    """A ratio, kept and new.

    Attributes:
        result: name of the result.
        figure: its path in the result.
        kept, new: its values; None when absent.
        state: ``better``, ``same``, ``worse``, ``missing`` or ``new``.
    """

    result: str
    figure: str
    kept: float | None
    new: float | None
    state: str

    @property
    def failed(self) -> bool:
        """Whether this is a regression."""
        return self.state in ("worse", "missing")


def figures(document: Any, path: str) -> Iterator[tuple[str, float]]:
    """The numbers at a path, with the names that matched ``*``.

    Args:
        document: a result.
        path: as in ``Watched``.
    """
    name, _, rest = path.partition(".")
    if not isinstance(document, dict):
        return
    for key in sorted(document) if name == "*" else [name]:
        value = document.get(key)
        if rest:
            for inner, number in figures(value, rest):
                yield f"{key}.{inner}", number
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield key, float(value)


def compare(result: str, kept: Any, new: Any, watched: Sequence[Watched]) -> list[Verdict]:
    """Compare two results.

    Args:
        result: name of the result.
        kept: kept result.
        new: new result.
        watched: its ratios.
    """
    verdicts = []
    for item in watched:
        before, after = dict(figures(kept, item.path)), dict(figures(new, item.path))
        for figure in dict.fromkeys([*before, *after]):
            old, now = before.get(figure), after.get(figure)
            verdicts.append(Verdict(result, figure, old, now, _state(item, old, now)))
    return verdicts


def _state(item: Watched, kept: float | None, new: float | None) -> str:
    if new is None:
        return "missing"
    if kept is None:
        return "new"
    # Above 1 when it is worse, whichever direction is better.
    worse = new / kept if item.better == "lower" else kept / new
    if worse > 1 + item.tolerance:
        return "worse"
    return "better" if worse < 1 / (1 + item.tolerance) else "same"


def read(path: Path) -> Any:
    """Read a result; exits with a message when it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sys.exit(f"{path} cannot be read as a result: {error}.")


def committed(path: Path, reference: str = "HEAD") -> Any | None:
    """A result as of a commit; None when the commit does not contain it."""
    name = path.resolve().relative_to(common.ROOT).as_posix()
    done = subprocess.run(
        ["git", "show", f"{reference}:{name}"], cwd=common.ROOT, capture_output=True, text=True, check=False
    )
    return json.loads(done.stdout) if done.returncode == 0 else None


def rerun(kept: Any, name: str, folder: Path) -> Any:
    """Run a result's command again; returns the new result."""
    out = folder / f"{name}.json"
    program, *arguments = shlex.split(str(kept["command"]))
    if program != "python":
        sys.exit(f"The command of {name}.json does not begin with python: {kept['command']}")
    done = subprocess.run([sys.executable, *arguments, "--out", str(out)], cwd=common.ROOT, check=False)
    if done.returncode != 0 or not out.is_file():
        sys.exit(f"The command of {name} ended with exit code {done.returncode}: {kept['command']}")
    return read(out)


def remarks(name: str, kept: Any, new: Any) -> Iterator[str]:
    """Remarks on how reliable a comparison is."""
    for which, document in (("kept", kept), ("new", new)):
        machine = document.get("machine", {})
        load, cores = machine.get("load_average_before", 0), machine.get("logical_cores", 1)
        if load > 0.3 * cores:
            yield f"{name}: the {which} result was made at a load average of {load:g} on {cores} cores"
    before, after = (document.get("machine", {}).get("cpu") for document in (kept, new))
    if before != after:
        yield f"{name}: made on {before}, now on {after}: a ratio may depend on the machine"


def show(verdicts: Sequence[Verdict]) -> None:
    """Print the table."""
    width = max([len(f"{v.result} {v.figure}") for v in verdicts], default=0)
    for verdict in verdicts:
        kept, new = ("n/a" if v is None else f"{v:.4f}" for v in (verdict.kept, verdict.new))
        change = ""
        if verdict.kept and verdict.new is not None:
            change = f"{100 * (verdict.new / verdict.kept - 1):+.1f} %"
        label = f"{verdict.result} {verdict.figure}"
        print(f"{verdict.state:<8}{label:<{width}}{kept:>12}{new:>12}{change:>10}")


def pairs(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Any, Any]]:
    """Name, kept and new result of each comparison."""
    if options.rerun is not None:
        for name in options.rerun or [n for n in WATCHED if (options.kept / f"{n}.json").is_file()]:
            kept = read(options.kept / f"{name}.json")
            yield name, kept, rerun(kept, name, folder)
    elif options.files:
        for path in options.files:
            yield path.stem, read(options.kept / path.name), read(path)
    else:
        for path in sorted(options.kept.glob("*.json")):
            kept = committed(path)
            if kept is not None and path.stem in WATCHED:
                yield path.stem, kept, read(path)


def options_from(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, help="new results")
    parser.add_argument("--kept", type=Path, default=common.RESULTS, help="folder of the kept results")
    parser.add_argument(
        "--rerun", nargs="*", metavar="NAME", help="run kept commands again; without a name: all"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and print; returns the exit code."""
    options = options_from(arguments)
    verdicts: list[Verdict] = []
    notes: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, kept, new in pairs(options, Path(folder)):
            if name not in WATCHED:
                sys.exit(f"{name} has no checked ratio; results with checked ratios: {', '.join(WATCHED)}.")
            verdicts += compare(name, kept, new, WATCHED[name])
            notes += remarks(name, kept, new)
    show(verdicts)
    for note in notes:
        print(f"note: {note}")
    failed = [verdict for verdict in verdicts if verdict.failed]
    if not verdicts:
        print("Nothing to compare.")
    elif failed:
        print(f"{len(failed)} of {len(verdicts)} ratios are worse or missing")
    else:
        print(f"{len(verdicts)} ratios, none worse")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
