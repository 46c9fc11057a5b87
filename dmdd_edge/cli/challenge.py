"""``dmdd-edge challenge``: known-bad parts of a category that every version and threshold must find."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dmdd_edge.cli.exit_codes import PARTS_LOST
from dmdd_edge.cli.expand import add_command, expand
from dmdd_edge.cli.options import JsonOutput, QuietOutput
from dmdd_edge.errors import DmddError, OptionError
from dmdd_edge.options import Option, Options
from dmdd_edge.options.groups import BundleOptions
from dmdd_edge.runtime.options.backend import BackendName
from dmdd_edge.runtime.options.challenge import ChallengeOptions

if TYPE_CHECKING:
    from dmdd_edge.runtime.challenge.edit import Added
    from dmdd_edge.runtime.challenge.parts import ChallengePart
    from dmdd_edge.runtime.challenge.report import ChallengeReport

_HELP = "Keep known-bad parts with a category, and run them: each version and threshold must find them."


def register(app: typer.Typer) -> None:
    """Add the command and its sub-commands to the program."""
    group = typer.Typer(help=_HELP, no_args_is_help=True)
    group.callback()(expand(challenge, Options, with_context=True))
    add_command(group, "add", add, AddOptions)
    add_command(group, "list", list_parts, ListOptions)
    add_command(group, "remove", remove, RemoveOptions)
    add_command(group, "run", run, RunChallengeOptions)
    app.add_typer(group, name="challenge")


def _box(text: str) -> tuple[int, int, int, int]:
    """``x,y,width,height`` as numbers."""
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise OptionError(
            f"--box {text!r} is not a box.", "Give x,y,width,height in pixels of the image: 120,40,30,20."
        ) from None
    return x, y, width, height


@dataclass(frozen=True, kw_only=True)
class AddOptions(JsonOutput, BackendName, BundleOptions):
    """Which parts are added, and to which category."""

    images: Annotated[
        tuple[str, ...],
        Option("Images of known-bad parts, folders and globs.", argument=True, metavar="IMAGE"),
    ] = ()
    note: Annotated[str, Option("What is wrong with them.")] = ""
    name: Annotated[str | None, Option("Name of the part, for one image; default: the file's.")] = None
    box: Annotated[
        str | None, Option("Where the defect is, x,y,width,height in pixels, for one image.", check=_box)
    ] = None
    by: Annotated[str | None, Option("Who adds them; default: the user and the machine.")] = None


@dataclass(frozen=True, kw_only=True)
class ListOptions(JsonOutput, BundleOptions):
    """Which category's parts are listed."""


@dataclass(frozen=True, kw_only=True)
class RemoveOptions(JsonOutput, BundleOptions):
    """Which part is removed."""

    part: Annotated[str | None, Option("Name of the part.", argument=True)] = None
    all: Annotated[
        bool, Option("Remove every part, also of a set that is damaged or gone.", each_time=True)
    ] = False


@dataclass(frozen=True, kw_only=True)
class RunChallengeOptions(JsonOutput, QuietOutput, ChallengeOptions):
    """The options of ``challenge run``."""


def challenge(context: typer.Context, options: Options) -> None:
    """Keep known-bad parts with a category, and run them: each version and threshold must find them."""


def add(options: AddOptions) -> None:
    """Copy images of known-bad parts into the challenge set, and run them with the version in use."""
    from dmdd_edge.cli.console import console, next_step, print_json
    from dmdd_edge.messages.commands import bundle_options, command
    from dmdd_edge.messages.text import visible
    from dmdd_edge.runtime.challenge.edit import add_parts
    from dmdd_edge.runtime.challenge.report import MISSED

    folder, category = _places(options)
    paths = _paths(options.images)
    box = None if options.box is None else _box(options.box)
    added = add_parts(folder, paths, options.note, options.name, box, options.by, category)
    report, problem = _run_added(added, options)
    count, total = len(added.parts), len(added.challenge.parts)
    console.print(f"added {count} part{'s' * (count != 1)}; the challenge set of {category} has {total}")
    for path, name in added.known:
        console.print(f"not added: {visible(str(path))} is the image of {name}")
    if report is not None:
        _print_report(report, new=True)
        if missed := [each.part.name for each in report.outcomes if each.outcome == MISSED]:
            console.print(
                f"not found now: {', '.join(missed)}; a change is refused for a part only once a version "
                "has found it"
            )
    if problem:
        console.print(problem)
    if options.json:
        print_json(
            {
                "category": category,
                "added": [_described(part) for part in added.parts],
                "known": [{"file": str(path), "name": name} for path, name in added.known],
                "total": total,
                "report": None if report is None else report.to_json(),
            }
        )
    next_step(command("challenge", "run", **bundle_options(category, options.model, options.models_dir)))


def list_parts(options: ListOptions) -> None:
    """List the parts of the challenge set."""
    from dmdd_edge.cli.console import console, next_step, print_json
    from dmdd_edge.messages.commands import bundle_options, command
    from dmdd_edge.messages.text import visible
    from dmdd_edge.runtime.challenge.parts import read_set

    folder, category = _places(options)
    found = read_set(folder, category)
    named = bundle_options(category, options.model, options.models_dir)
    problems = {part.name: found.problem(part) for part in found.parts}
    if options.json:
        rows = []
        for part in found.parts:
            problem = problems[part.name]
            rows.append({**_described(part), "problem": None if problem is None else problem.message})
        print_json({"category": category, "parts": rows, "strays": list(found.strays)})
    count = len(found.parts)
    console.print(f"the challenge set of {category} has {count} part{'s' * (count != 1)}, in {found.folder}")
    if found.parts and not options.json:
        console.print(_table(found.parts, {name for name, problem in problems.items() if problem}))
    for problem in problems.values():
        if problem is not None:
            console.print(f"broken: {problem.message} {problem.fix}")
    if found.strays:
        console.print(f"not in the index, and never run: {visible(', '.join(found.strays))}")
    words = ("run",) if found.parts else ("add", "IMAGE")
    next_step(command("challenge", *words, **named))


def remove(options: RemoveOptions) -> None:
    """Remove a part from the challenge set, with its image, or every part."""
    from dmdd_edge.cli.console import console, next_step, print_json
    from dmdd_edge.messages.commands import bundle_options, command
    from dmdd_edge.runtime.challenge.edit import remove_part
    from dmdd_edge.runtime.challenge.run import record_removal

    if options.all == (options.part is not None):
        raise OptionError(
            "Either one part is removed, or all of them.",
            "Name a part, or give --all: challenge list shows the names.",
        )
    folder, category = _places(options)
    if options.part is None:
        _remove_all(folder, category, options)
    else:
        part = remove_part(folder, options.part)
        more = {"confirmed": [options.part]} if part is None else {}
        problem = record_removal(folder, category, part, **more)
        if options.json:
            print_json({"category": category, "removed": options.part})
        gone = ", which lacked its image and its entry" if part is None else ""
        console.print(f"removed {options.part} from the challenge set of {category}{gone}")
        if problem:
            console.print(problem)
    next_step(command("challenge", "list", **bundle_options(category, options.model, options.models_dir)))


def _remove_all(folder: Path, category: str, options: RemoveOptions) -> None:
    from dmdd_edge.cli.console import console, print_json
    from dmdd_edge.messages.text import visible
    from dmdd_edge.runtime.challenge.edit import remove_all
    from dmdd_edge.runtime.challenge.run import record_removal

    removed = remove_all(folder, category)
    problems = [record_removal(folder, category, part) for part in removed.parts]
    if removed.problem:
        problems.append(record_removal(folder, category, None, problem=removed.problem))
    count = len(removed.parts)
    if options.json:
        names = [part.name for part in removed.parts]
        print_json({"category": category, "removed": names, "problem": removed.problem or None})
    console.print(f"removed {count} part{'s' * (count != 1)}; the challenge set of {category} is empty")
    if removed.problem:
        console.print(f"before: {removed.problem}")
    if removed.kept:
        console.print(f"not in the index, and kept: {visible(', '.join(removed.kept))}")
    for problem in dict.fromkeys(filter(None, problems)):
        console.print(problem)


def run(options: RunChallengeOptions) -> None:
    """Run the challenge set with the version in use, on the backend of this machine.

    Exit code 3 when a part is not found: it is passed as good, suspect, unreliable, or its image is broken.
    """
    from dmdd_edge.cli.console import console, next_step, print_json
    from dmdd_edge.cli.progress import Work
    from dmdd_edge.messages.commands import bundle_options, command
    from dmdd_edge.runtime.challenge.run import run_bundle

    with Work(quiet=options.quiet) as work:
        outcome = run_bundle(options, lambda done, total: work.update("running known-bad parts", done, total))
    report = outcome.report
    _print_report(report)
    for remark in outcome.remarks:
        console.print(remark)
    if options.json:
        print_json(report.to_json())
    named = bundle_options(report.bundle.category, options.model, options.models_dir)
    if report.passed:
        next_step(command("run", **named, challenge=True, source="FOLDER_OR_CAMERA"))
    else:
        # What was found before was lost by another threshold, or by another version.
        next_step(command("calibrate", **named, history=True))
    if not report.passed:
        raise typer.Exit(PARTS_LOST)


def _places(options: BundleOptions) -> tuple[Path, str]:
    """The folder of the category, and the category of its bundles."""
    from dmdd_edge.runtime.challenge.run import category_folder
    from dmdd_edge.workspace import find_bundle

    return category_folder(find_bundle(options.category, options.model, options.models_dir))


def _paths(images: tuple[str, ...]) -> list[Path]:
    from dmdd_edge.runtime.sources import open_sources
    from dmdd_edge.runtime.sources.files import ImageFiles

    if not images:
        raise OptionError("No image is named.", "Name images of known-bad parts: challenge add IMAGE.")
    source = open_sources(images)
    if not isinstance(source, ImageFiles):
        raise OptionError(f"{images[0]} is not an image.", "Name image files, folders or globs.")
    return source.paths


def _run_added(added: Added, options: AddOptions) -> tuple[ChallengeReport | None, str]:
    """What the version in use says about the new parts, and what went wrong."""
    from dmdd_edge.runtime.challenge.parts import ChallengeSet, Index
    from dmdd_edge.runtime.challenge.report import run_challenge
    from dmdd_edge.runtime.challenge.run import record_run
    from dmdd_edge.runtime.detector import Detector
    from dmdd_edge.workspace import find_bundle

    if not added.parts:
        return None, ""
    new = Index(category=added.challenge.index.category, parts=added.parts)
    try:
        path = find_bundle(options.category, options.model, options.models_dir)
        with Detector.load(path, options.backend) as detector:
            challenge = ChallengeSet(added.challenge.folder, new)
            report = run_challenge(detector, challenge)
            return report, record_run(report, challenge, "add")
    except DmddError as error:
        return None, f"added, but not run: {error.message}"


def _print_report(report: ChallengeReport, new: bool = False) -> None:
    from rich.table import Table

    from dmdd_edge.cli.console import console

    total = len(report.outcomes)
    line = f"{report.found} of {total} {'new ' * new}known-bad part{'s' * (total != 1)} found"
    console.print(
        f"{report.bundle.category}: {line} by {report.bundle.version} at threshold "
        f"{report.threshold.image:.4f} ({report.threshold.origin_in_words}), on {report.backend}"
    )
    table = Table(box=None, pad_edge=False)
    table.add_column("part", overflow="fold")
    for column in ("outcome", "score", "margin"):
        table.add_column(column, justify="left" if column == "outcome" else "right")
    table.add_column("", overflow="fold")
    for outcome in sorted(report.outcomes, key=lambda each: -1.0 if each.margin is None else each.margin):
        remark = outcome.reason
        if outcome.at_box is not None:
            remark = remark or ("at the defect" if outcome.at_box else "not at the defect")
        table.add_row(
            outcome.part.name,
            outcome.outcome,
            "" if outcome.score is None else f"{outcome.score:.4f}",
            "" if outcome.margin is None else f"{outcome.margin:+.4f}",
            remark,
            style=None if outcome.found else "red",
        )
    console.print(table)


def _table(parts: tuple[ChallengePart, ...], broken: set[str]) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("part", "added", "by", "box", "note", ""):
        table.add_column(column, overflow="fold")
    for part in parts:
        box = "" if part.box is None else ",".join(map(str, part.box))
        table.add_row(part.name, part.added, part.by, box, part.note, "broken" if part.name in broken else "")
    return table


def _described(part: ChallengePart) -> dict[str, Any]:
    return part.model_dump(mode="json")
