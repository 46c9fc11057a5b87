"""`dmdd-edge export`: a finished run in, a bundle out; and engines for an existing bundle."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from dmdd_edge.cli.expand import add_command
from dmdd_edge.cli.options import JsonOutput, QuietOutput
from dmdd_edge.errors import DmddError
from dmdd_edge.export.options import ExportOptions

if TYPE_CHECKING:
    from dmdd_edge.bundle.bundle import Bundle


@dataclass(frozen=True, kw_only=True)
class ExportCommand(JsonOutput, QuietOutput, ExportOptions):
    """The options of the command."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, "export", export, ExportCommand)


def export(options: ExportCommand) -> None:
    """Write the fused graph and everything the line needs as a new version of the bundle."""
    from dmdd_edge.cli.console import console, hear_copies, next_step, print_json
    from dmdd_edge.cli.export_progress import ExportProgress
    from dmdd_edge.cli.progress import Work
    from dmdd_edge.export.export_bundle import export_bundle
    from dmdd_edge.messages.commands import bundle_options, command
    from dmdd_edge.run_store.mirror import local_folder

    hear_copies(None if options.quiet else console.print)
    with Work(quiet=options.quiet) as work:
        result = export_bundle(options, ExportProgress(work, options.quiet))
    if result.triton is not None:
        console.print(f"wrote {result.triton}", markup=False)
    if options.json:
        print_json(result.bundle.manifest.model_dump(mode="json"))
    if isinstance(options.models_dir, str) and options.model is None:
        console.print(f"sent to {options.models_dir}/{result.bundle.category}", markup=False)
        next_step(command("models", "pull", options.models_dir, category=result.bundle.category))
        return
    named = bundle_options(result.bundle.category, options.model, local_folder(options.models_dir))
    if not result.in_use:
        _compare_first(result.bundle, options)
        return
    next_step(
        command("run", **named, engine_cache=options.engine_cache, source="FOLDER_OR_IMAGE", save="out/")
    )


def _compare_first(bundle: Bundle, options: ExportCommand) -> None:
    """Say how a version that was not put into use gets there: after a comparison with the one in use."""
    from dmdd_edge.bundle.versions import read_current
    from dmdd_edge.cli.console import console, next_step
    from dmdd_edge.messages.commands import command
    from dmdd_edge.runtime.challenge.parts import read_set

    category, models_dir = bundle.category, options.models_dir
    use = command("models", "use", category, bundle.version, models_dir=models_dir)
    if read_current(bundle.path.parent) is None:
        console.print(f"{bundle.version} is not in use, and no other version is.", markup=False)
        next_step(use)
        return
    console.print(
        f"{bundle.version} is not in use; the version before stays. Compare both, then switch: {use}",
        markup=False,
    )
    new = f"{category}@{bundle.version}"
    bad: dict[str, object] = {"known_bad": "DIR"}
    with suppress(DmddError):
        if read_set(bundle.path.resolve().parent, category).parts:
            bad = {"challenge": True}
    next_step(command("compare", category, new, good="DIR", **bad, models_dir=models_dir))
