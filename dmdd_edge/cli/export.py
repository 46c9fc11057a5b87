"""`dmdd-edge export`: a finished run in, a bundle out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dmdd_edge.cli.console import console, next_step, print_json
from dmdd_edge.cli.options import JsonOption, ModelsDirOption

if TYPE_CHECKING:
    from rich.table import Table

    from dmdd_edge.export.parity import ParityRow


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(export)


def export(
    category: Annotated[str | None, typer.Option("--category", help="Category, which names the run.")] = None,
    run: Annotated[
        str | None, typer.Option("--run", help="Name of the run, when it is not the category's.")
    ] = None,
    runs_dir: Annotated[Path, typer.Option("--runs-dir", help="Folder of the runs.")] = Path("runs"),
    models_dir: ModelsDirOption = Path("models"),
    data: Annotated[
        Path | None, typer.Option("--data", help="Data set, when it is not where training found it.")
    ] = None,
    false_alarm_rate: Annotated[
        float, typer.Option("--false-alarm-rate", help="Share of good parts that may be called anomalous.")
    ] = 0.01,
    json_output: JsonOption = False,
) -> None:
    """Write the fused graph and everything the line needs as a new version of the bundle."""
    from dmdd_edge.cli.stages import need

    with need("export"):
        from dmdd_edge.export.pipeline import export_run
    from dmdd_edge.workspace import find_run

    folder = find_run(category, run, runs_dir)
    found = export_run(
        folder,
        models_dir,
        data=data,
        alpha=false_alarm_rate,
        say=lambda text: console.print(text, markup=False),
    )
    console.print(_parity_table(found.parity))
    console.print(found.threshold.describe(), markup=False)
    console.print(f"wrote {found.bundle.path}", markup=False)
    if json_output:
        print_json(found.bundle.manifest.model_dump(mode="json"))
    where = "" if models_dir == Path("models") else f" --models-dir {models_dir}"
    next_step(f"dmdd-edge run --category {found.bundle.category}{where} --source FOLDER_OR_IMAGE --save out/")


def _parity_table(rows: list[ParityRow]) -> Table:
    from rich.table import Table

    table = Table(title=f"against torch fp32, on {rows[0].images} images", title_justify="left")
    for name in ("", "map max", "map p99", "score max", "flipped", "I-AUROC", "P-AUROC", "PRO"):
        table.add_column(name, justify="right" if name else "left")
    for row in rows:
        table.add_row(
            row.artefact,
            f"{row.map_max:.1e}",
            f"{row.map_p99:.1e}",
            f"{row.score_max:.1e}",
            str(row.flipped),
            *(_points(value) for value in (row.image_auroc, row.pixel_auroc, row.pro)),
        )
    return table


def _points(value: float | None) -> str:
    return "n/a" if value is None else f"{100 * value:+.3f}"
