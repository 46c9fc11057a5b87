"""Accuracy study: a queue of declared experiments that can be stopped and resumed.

    python benchmarks/accuracy --list                  list the experiments and which have a row
    python benchmarks/accuracy --only ablation         run a set, or experiments by name ('few-*')
    python benchmarks/accuracy --table                 print the rows as Markdown
    python benchmarks/accuracy --show full-screw       print a row per kind of damage and defect type

Experiments are declared in experiments.py. Each is trained on good images, then measured on validation
(held-out good images with damage made by generators that training does not use) and on the test images. The
recipe is chosen on validation; test figures are recorded next to it. Each finished row is appended to
benchmarks/results/accuracy.jsonl at once. A stopped queue resumes at its last step when it is run again.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import common

from accuracy import experiments
from accuracy.declaration import Experiment, Sets, check
from accuracy.rows import latest, read_rows
from accuracy.table import parts_table, set_table

RESULTS = common.RESULTS / "accuracy.jsonl"


def options_from(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    lines = (__doc__ or "").splitlines()
    parser = argparse.ArgumentParser(
        prog="benchmarks/accuracy",
        description="\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="list the experiments and which have a row")
    what.add_argument("--table", action="store_true", help="print the rows as Markdown")
    what.add_argument("--show", metavar="NAME", help="print a row in parts as Markdown")
    parser.add_argument(
        "--only", action="append", metavar="SET|NAME", help="sets, or names with * and ?; may be repeated"
    )
    parser.add_argument("--steps", type=int, help="another length for all; appended to their names")
    parser.add_argument("--again", action="store_true", help="repeat experiments that have a row")
    parser.add_argument(
        "--data", type=Path, help="folder of the data sets (default: DMDD_DATA, or ../shared/data)"
    )
    parser.add_argument("--work", type=Path, default=Path("out/accuracy"), help="default: %(default)s")
    parser.add_argument("--results", type=Path, default=RESULTS, help="default: %(default)s")
    parser.add_argument("--experiments", type=Path, help="another file that declares SETS")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    return parser.parse_args(arguments)


def declared(file: Path | None, steps: int | None) -> Sets:
    """The experiments by set, at another length if given."""
    sets: Sets = experiments.SETS
    if file is not None:
        spec = importlib.util.spec_from_file_location("declared_experiments", file)
        if spec is None or spec.loader is None or not file.is_file():
            sys.exit(f"{file} is not a Python file that declares experiments.")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sets = module.SETS
    if steps is not None:
        sets = {name: [experiment.longer(steps) for experiment in group] for name, group in sets.items()}
    check(sets)
    return sets


def choose(sets: Sets, only: Sequence[str] | None) -> dict[str, list[Experiment]]:
    """Select sets and experiments.

    Exits with a message when a word matches nothing.
    """
    if not only:
        return {name: list(group) for name, group in sets.items()}
    names = [experiment.name for group in sets.values() for experiment in group]
    for word in only:
        if word not in sets and not fnmatch.filter(names, word):
            sys.exit(f"--only {word}: unknown set or experiment. Sets: {', '.join(sets)}.\nList all: --list")
    return {
        name: found
        for name, group in sets.items()
        if (found := [e for e in group if any(w == name or fnmatch.fnmatchcase(e.name, w) for w in only)])
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = options_from(arguments)
    sets = declared(options.experiments, options.steps)
    chosen = choose(sets, options.only)
    rows = latest(read_rows(options.results))
    if options.list:
        for name, group in chosen.items():
            print(f"{name}:")
            for experiment in group:
                row = rows.get(experiment.key)
                state = "-" if row is None else f"{row['date']}, {row['commit']}"
                print(
                    f"  {experiment.name:<44} {experiment.category:<12} {experiment.steps:>5} steps  {state}"
                )
    elif options.table:
        print("\n".join(set_table(name, group, rows) for name, group in chosen.items()))
    elif options.show:
        found = [row for row in rows.values() if row["name"] == options.show]
        if not found:
            sys.exit(f"--show {options.show}: no such row in {options.results}.")
        print(parts_table(found[-1]))
    else:
        work_off(options, sets, chosen)


def work_off(options: argparse.Namespace, sets: Sets, chosen: dict[str, list[Experiment]]) -> None:
    """Run the queue."""
    from accuracy.runner import Queue

    root = options.data or Path(os.environ.get("DMDD_DATA", common.ROOT.parent / "shared" / "data"))
    if not root.is_dir():
        sys.exit(f"No data sets at {root}.\nSet their folder with --data.")
    queue = Queue(
        root=root.resolve(),
        work=options.work.resolve(),
        results=options.results,
        experiments={experiment.name: experiment for group in sets.values() for experiment in group},
        device=options.device,
        again=options.again,
    )
    wanted = {experiment.name: experiment for group in chosen.values() for experiment in group}
    failed = queue.run(wanted.values())
    if failed:
        sys.exit(f"{len(failed)} failed: {', '.join(failed)}.")
