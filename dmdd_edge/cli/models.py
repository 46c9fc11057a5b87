"""``dmdd-edge models``: list bundles and their versions, show one, choose the one in use, verify, remove."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dmdd_edge.cli import models_fleet
from dmdd_edge.cli.expand import add_command, expand
from dmdd_edge.cli.models_fleet import PublicKeyOption, check_address, list_remote, public_keys
from dmdd_edge.cli.options import JsonOutput
from dmdd_edge.options import Option
from dmdd_edge.options.groups import AllowLossOption, ModelsDirOption

if TYPE_CHECKING:
    from dmdd_edge.fleet.signature import PublicKey

_HELP = (
    "List bundles and their versions; show one, choose the one in use, verify it, remove one; push them to "
    "the store of a fleet, and pull them from there."
)


def register(app: typer.Typer) -> None:
    """Add the command and its sub-commands to the program."""
    group = typer.Typer(help=_HELP)
    group.callback(invoke_without_command=True)(expand(models, ModelsOptions, with_context=True))
    add_command(group, "list", list_models, ListOptions)
    add_command(group, "show", show, ShowOptions)
    add_command(group, "use", use, UseOptions)
    add_command(group, "check", check, CheckOptions)
    add_command(group, "remove", remove, VersionOptions)
    add_command(group, "push", models_fleet.push, models_fleet.PushOptions)
    add_command(group, "pull", models_fleet.pull, models_fleet.PullOptions)
    app.add_typer(group, name="models")


@dataclass(frozen=True, kw_only=True)
class ModelsOptions(JsonOutput, ModelsDirOption):
    """The options of every sub-command."""


@dataclass(frozen=True, kw_only=True)
class ListOptions(ModelsOptions):
    """What is listed."""

    remote: Annotated[
        str | None,
        Option("List the store of a fleet, and what of it is here.", metavar="URL", check=check_address),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ShowOptions(ModelsOptions):
    """Which version is shown."""

    category: Annotated[str | None, Option("Category; not needed when there is only one.", argument=True)] = (
        None
    )
    version: Annotated[
        str | None, Option("Version, or the start of its name; default: the one in use.", argument=True)
    ] = None


@dataclass(frozen=True, kw_only=True)
class VersionOptions(ModelsOptions):
    """Which version is meant."""

    category: Annotated[str, Option("Category.", argument=True)]
    version: Annotated[str, Option("Version, or the start of its name.", argument=True)]


@dataclass(frozen=True, kw_only=True)
class UseOptions(AllowLossOption, VersionOptions):
    """Which version is put to use."""


@dataclass(frozen=True, kw_only=True)
class CheckOptions(PublicKeyOption, ModelsOptions):
    """What is verified."""

    category: Annotated[str | None, Option("Category; default: all.", argument=True)] = None
    model: Annotated[Path | None, Option("Folder of a bundle, instead of a category.")] = None


def models(context: typer.Context, options: ModelsOptions) -> None:
    """List bundles and their versions; show one, choose the one in use, verify it, remove one."""
    if context.invoked_subcommand is None:
        list_models(options.pick(ListOptions))
        return
    # Options before the sub-command are meant for it.
    given = {name: getattr(options, name) for name in options.given()}
    context.default_map = {
        context.invoked_subcommand: {name: str(v) if isinstance(v, Path) else v for name, v in given.items()}
    }


def list_models(options: ListOptions) -> None:
    """List bundles and their versions; with --remote those in the store of a fleet."""
    if options.remote is not None:
        list_remote(options.remote, options.models_dir, options.json)
        return
    from dmdd_edge.bundle.versions import list_versions
    from dmdd_edge.cli.console import console, print_json
    from dmdd_edge.runs import first_bundle
    from dmdd_edge.workspace import list_bundles

    models_dir = options.models_dir
    rows = [
        _describe(version, category)
        for category in list_bundles(models_dir)
        for version in list_versions(models_dir, category)
    ]
    if options.json:
        print_json(rows)
    elif not rows:
        console.print(
            f"There is no bundle in {models_dir}/. {first_bundle(models_dir)}",
            markup=False,
        )
    else:
        console.print(_table(rows))
        problems = {row["category"]: row["challenge"]["problem"] for row in rows}
        for category, problem in problems.items():
            if problem is not None:
                console.print(f"{category}: {problem}", markup=False)


def show(options: ShowOptions) -> None:
    """Show what a bundle says about itself."""
    from dmdd_edge.bundle.bundle import Bundle
    from dmdd_edge.bundle.versions import list_versions, match_version
    from dmdd_edge.cli.calibration_history import calibrations
    from dmdd_edge.cli.console import console, print_json
    from dmdd_edge.errors import DmddError
    from dmdd_edge.workspace import find_bundle

    category, version, models_dir = options.category, options.version, options.models_dir
    folder = find_bundle(category, None, models_dir)
    chosen = Bundle.open_unverified(folder if version is None else folder / match_version(folder, version))
    (entry,) = (item for item in list_versions(models_dir, folder.name) if item.name == chosen.path.name)
    row = _describe(entry, folder.name)
    try:
        row["calibrations"] = calibrations(chosen)
    except DmddError as error:
        row |= {"calibrations": [], "error": row["error"] or error.message}
    if options.json:
        print_json({**chosen.manifest.model_dump(mode="json"), **row})
    else:
        console.print(_facts(row, chosen.manifest))


def remove(options: VersionOptions) -> None:
    """Remove a version that is not in use, with its calibration."""
    from dmdd_edge.bundle.versions import remove_version
    from dmdd_edge.cli.console import console, print_json
    from dmdd_edge.workspace import find_bundle

    category, version, models_dir = options.category, options.version, options.models_dir
    removed = remove_version(find_bundle(category, None, models_dir), version)
    if options.json:
        print_json({"category": category, "removed": removed})
    console.print(f"removed {category} {removed}")


def use(options: UseOptions) -> None:
    """Verify a version and put it into use.

    A version that loses a part of the challenge set is refused, unless --allow-loss is given.
    """
    from dmdd_edge.bundle.bundle import use_version
    from dmdd_edge.bundle.calibration import calibration_path
    from dmdd_edge.cli.console import console, next_step, print_json
    from dmdd_edge.cli.version_switch import calibrated_before, next_after_switch
    from dmdd_edge.errors import DmddError
    from dmdd_edge.runtime.challenge.gate import GateOptions, gate_version
    from dmdd_edge.workspace import find_bundle

    category, version, models_dir = options.category, options.version, options.models_dir
    find_bundle(category, None, models_dir)  # which suggests similar names
    left = calibrated_before(models_dir, category)
    lines: list[str] = []  # printed below the answer
    gate = GateOptions(options.allow_loss, say=lines.append)
    try:
        bundle = use_version(models_dir, category, version, lambda chosen: gate_version(chosen, "use", gate))
    except DmddError:
        for line in lines:
            console.print(line, markup=False)
        raise
    if options.json:
        print_json({"category": category, "version": bundle.version})
    if calibration_path(bundle).exists():
        left = None  # its own is in use
    if left is not None:
        lines.append(left.describe())
    console.print("\n".join([f"{category}: {bundle.version} is in use", *lines]), markup=False)
    next_step(next_after_switch(category, models_dir, left))


def check(options: CheckOptions) -> None:
    """Verify every file of the version in use against the manifest; exit code 1 when one is wrong.

    With --public-key the manifest's signature is verified too.
    """
    from dmdd_edge import workspace
    from dmdd_edge.cli.console import console, print_json

    category, model, models_dir = options.category, options.model, options.models_dir
    if category is None and model is None and len(workspace.list_bundles(models_dir)) > 1:
        paths = [models_dir / name for name in workspace.list_bundles(models_dir)]
    else:
        paths = [workspace.find_bundle(category, model, models_dir)]
    keys = public_keys(options)
    reports = [_check_one(path, keys) for path in paths]
    if options.json:
        print_json(reports)
    for report in reports:
        if report["ok"]:
            console.print(f"{report['path']}: complete and unchanged", markup=False)
        for problem in report["problems"]:
            console.print(f"{report['path']}: {problem['message']}\n  fix: {problem['fix']}", markup=False)
    if not all(report["ok"] for report in reports):
        raise typer.Exit(1)


def _check_one(path: Path, keys: list[PublicKey]) -> dict[str, Any]:
    from dmdd_edge.bundle.bundle import Bundle, check
    from dmdd_edge.bundle.calibration import read_calibration
    from dmdd_edge.errors import DmddError
    from dmdd_edge.fleet.local import check_signature
    from dmdd_edge.runtime.challenge.health import challenge_health
    from dmdd_edge.runtime.challenge.run import category_folder

    problems = check(path)
    problems += challenge_health(*category_folder(path)).problems
    bundle = None
    try:
        bundle = Bundle.open_unverified(path)
        if keys:
            check_signature(bundle, keys)
        read_calibration(bundle)
    except DmddError as error:
        if bundle is not None:
            problems.append(error)
    return {
        "path": str(path),
        "category": bundle.category if bundle else None,
        "version": bundle.version if bundle else None,
        "ok": not problems,
        "problems": [{"message": problem.message, "fix": problem.fix} for problem in problems],
    }


def _describe(version: Any, category: str) -> dict[str, Any]:
    """One version as the fields of ``models --json``."""
    from dmdd_edge.bundle.bundle import Bundle
    from dmdd_edge.bundle.calibration import effective_threshold, read_calibration
    from dmdd_edge.errors import DmddError
    from dmdd_edge.runtime.challenge.health import challenge_health

    of = "" if version.manifest is None else version.manifest.category
    challenge = challenge_health(version.path.parent, of, images=False)
    row: dict[str, Any] = {
        "category": category,
        "version": version.name,
        "in_use": version.in_use,
        "path": str(version.path),
        "error": version.error,
        "challenge": {
            "parts": challenge.parts,
            "problem": next((problem.message for problem in challenge.problems), None),
        },
    }
    if version.manifest is None:
        return row
    manifest, bundle = version.manifest, Bundle(version.path, version.manifest)
    row |= {
        "backbone": manifest.backbone,
        "image_size": manifest.image_size,
        **manifest.preprocess.model_dump(mode="json", include={"tiling"}),
        "threshold_exported": manifest.threshold.image,
        "metrics": manifest.metrics,
    }
    try:
        effective, calibration = effective_threshold(bundle), read_calibration(bundle)
    except DmddError as error:
        row["error"] = error.message
        return row
    row |= {"threshold": effective.image, "threshold_origin": effective.origin}
    if manifest.thresholds:
        row["thresholds"] = {
            name: {"threshold": own.image, "origin": own.origin, "exported": exported.image}
            for name, exported in manifest.thresholds.items()
            for own in [effective_threshold(bundle.at(name))]
        }
    if effective.suspect is not None:
        row["suspect_threshold"] = effective.suspect
    if effective.gate:
        row["min_area"] = effective.gate.min_area
    if effective.gate.mm_per_px is not None:
        row["mm_per_px"] = effective.gate.mm_per_px
    row["calibration"] = calibration and calibration.model_dump(
        mode="json", include={"created", "source", "unreliable", "skipped", "strip"}
    )
    return row


def _facts(row: dict[str, Any], manifest: Any) -> Any:
    """One version as a table of names and values."""
    from rich.table import Column, Table

    from dmdd_edge.bundle.rule import ORIGINS
    from dmdd_edge.evaluation.metrics import PAPER_FIGURES

    threshold, tiling = manifest.threshold, manifest.preprocess.tiling
    metrics = ", ".join(
        f"{name} {100 * manifest.metrics[key]:.2f}"
        for name, key in PAPER_FIGURES
        if isinstance(manifest.metrics.get(key), float)
    )
    shown = {
        "category": row["category"],
        "version": row["version"] + (" (in use)" if row["in_use"] else ""),
        "path": row["path"],
        "backbone": manifest.backbone,
        "image size": f"{manifest.image_size} x {manifest.image_size}",
        "tiles": tiling.describe() if tiling else "",
        "threshold": row["error"] or f"{row['threshold']:.4f} ({ORIGINS[row['threshold_origin']]})",
        "suspect above": f"{row['suspect_threshold']:.4f}" if "suspect_threshold" in row else "",
        "smallest region": row.get("min_area", ""),
        "calibrations": "\n".join(map(_calibration, row["calibrations"])),
        "challenge parts": row["challenge"]["problem"] or row["challenge"]["parts"] or "",
        "exported threshold": f"{threshold.image:.4f}, false-alarm rate {100 * threshold.alpha:g} %, "
        f"from {threshold.normals} good image{'s' * (threshold.normals != 1)}",
        **{f"{name} threshold": _own_threshold(row, manifest, name) for name in manifest.thresholds},
        "test images, %": metrics,
        "written by": ", ".join(f"{name} {value}" for name, value in manifest.created_with.items()),
        "files": "\n".join(
            f"{name} ({manifest.sizes[name] / 2**20:.1f} MiB)" if name in manifest.sizes else name
            for name in sorted(manifest.files)
        ),
    }
    columns = Column(no_wrap=True), Column(overflow="fold")
    table = Table(*columns, box=None, pad_edge=False, show_header=False)
    for name in filter(shown.get, shown):
        table.add_row(name, str(shown[name]))
    return table


def _own_threshold(row: dict[str, Any], manifest: Any, precision: str) -> str:
    """The threshold of a precision that has its own, and what the gate measured when it was exported."""
    now = row["thresholds"][precision]
    origin = "" if now["origin"] == "manifest" else f" (calibrated; exported {now['exported']:.4f})"
    gate = manifest.parity.get(f"onnxruntime {precision}", {}).get("gate", {})
    lines = [f"{now['threshold']:.4f}{origin}"]
    if isinstance(gate.get("share"), float):
        lines.append(f"{100 * gate['share']:.0f} % of the multiply-adds in {precision}")
    if gate.get("allowed_loss"):
        lines.append(f"exported with {gate['allowed_loss']:g} points of loss allowed")
    return "\n".join(lines)


def _calibration(row: dict[str, Any]) -> str:
    when = f"calibrated on {row['created']} from {row['source']}" if row["created"] else "set at export"
    return f"{row['threshold']:.4f}, {when}{' (in use)' * row['in_use']}"


def _table(rows: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in (
        "category",
        "version",
        "in use",
        "backbone",
        "size",
        "threshold",
        "challenge",
        "calibrated",
    ):
        # A version's name is typed into `models use`, so it is never truncated.
        least = max(len(row["version"]) for row in rows) if column == "version" else None
        table.add_column(column, min_width=least)
    for row in rows:
        calibration = row.get("calibration")
        table.add_row(
            row["category"],
            row["version"],
            "yes" if row["in_use"] else "",
            row.get("backbone", ""),
            str(row.get("image_size", "")),
            row["error"] or f"{row['threshold']:.4f}",
            "damaged" if row["challenge"]["problem"] else str(row["challenge"]["parts"] or ""),
            f"{calibration['created']} (exported {row['threshold_exported']:.4f})" if calibration else "",
        )
    return table
