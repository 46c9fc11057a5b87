"""`dmdd-edge export`: a finished run in, a bundle out; and engines for a bundle that is there already."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dmdd_edge.cli.console import console, next_step, print_json
from dmdd_edge.cli.options import JsonOption, ModelsDirOption, QuietOption
from dmdd_edge.cli.progress import Work
from dmdd_edge.messages.phases import Cost

if TYPE_CHECKING:
    from rich.table import Table

    from dmdd_edge.bundle.bundle import Bundle
    from dmdd_edge.export.engines.artifact import BuiltEngine
    from dmdd_edge.export.engines.build import BuildOptions
    from dmdd_edge.export.parity import ParityRow
    from dmdd_edge.export.pipeline import Exported
    from dmdd_edge.export.targets import Targets

_RUN, _ENGINES = "What is exported", "Targets and engines"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(export)


def export(
    category: Annotated[
        str | None, typer.Option("--category", help="Category, which names the run.", rich_help_panel=_RUN)
    ] = None,
    run: Annotated[
        str | None,
        typer.Option("--run", help="Name of the run, when it is not the category's.", rich_help_panel=_RUN),
    ] = None,
    runs_dir: Annotated[
        Path, typer.Option("--runs-dir", help="Folder of the runs.", rich_help_panel=_RUN)
    ] = Path("runs"),
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            help="A bundle that is there: builds engines for it, without torch.",
            rich_help_panel=_RUN,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="Data set, when it is not where training found it.", rich_help_panel=_RUN
        ),
    ] = None,
    false_alarm_rate: Annotated[
        float,
        typer.Option(
            "--false-alarm-rate",
            help="Share of good parts that may be called anomalous.",
            rich_help_panel=_RUN,
        ),
    ] = 0.01,
    models_dir: ModelsDirOption = Path("models"),
    target: Annotated[
        str,
        typer.Option(
            "--target",
            help="onnx, tensorrt, rtx, triton, with commas between; auto: what this machine can build.",
            rich_help_panel=_ENGINES,
        ),
    ] = "auto",
    precision: Annotated[
        Literal["fp16", "fp32"],
        typer.Option("--precision", help="Precision of the engines.", rich_help_panel=_ENGINES),
    ] = "fp16",
    batch: Annotated[
        str,
        typer.Option(
            "--batch", help="Batch sizes of the engines, such as 1 or 1:8.", rich_help_panel=_ENGINES
        ),
    ] = "1",
    workspace: Annotated[
        float | None,
        typer.Option("--workspace", help="Scratch memory of a layer, in GiB.", rich_help_panel=_ENGINES),
    ] = None,
    opt_level: Annotated[
        int,
        typer.Option("--opt-level", help="0 builds fast, 5 runs fast.", rich_help_panel=_ENGINES),
    ] = 3,
    hardware_compatible: Annotated[
        bool,
        typer.Option(
            "--hardware-compatible", help="One engine for every GPU from sm80 on.", rich_help_panel=_ENGINES
        ),
    ] = False,
    gpu: Annotated[
        str,
        typer.Option("--gpu", help="GPUs of the TensorRT-RTX engine.", rich_help_panel=_ENGINES),
    ] = "sm86,sm89,sm120",
    engine_cache: Annotated[
        Path | None,
        typer.Option("--engine-cache", help="Folder of engines built here.", rich_help_panel=_ENGINES),
    ] = None,
    triton_dir: Annotated[
        Path,
        typer.Option("--triton-dir", help="Folder of the Triton model repository.", rich_help_panel=_ENGINES),
    ] = Path("triton"),
    quiet: QuietOption = False,
    json_output: JsonOption = False,
) -> None:
    """Write the fused graph and everything the line needs as a new version of the bundle."""
    from dmdd_edge.bundle.threshold import check_alpha
    from dmdd_edge.export.engines.build import BuildOptions
    from dmdd_edge.export.targets import choose_targets
    from dmdd_edge.messages.commands import bundle_options, command
    from dmdd_edge.runtime.engines.engine import BatchProfile
    from dmdd_edge.storage import require_writable

    options = BuildOptions(
        precision=precision,
        batch=BatchProfile.parse(batch),
        workspace_gib=workspace,
        opt_level=opt_level,
        hardware_compatible=hardware_compatible,
    )
    check_alpha(false_alarm_rate)
    targets = choose_targets(target)
    if "triton" in targets.chosen:
        require_writable(triton_dir, "--triton-dir")
    for name, reason in () if quiet else targets.left_out.items():
        console.print(f"not written: {name}: {reason}", markup=False)
    with Work(quiet=quiet) as work:
        if model is not None:
            from dmdd_edge.workspace import load_bundle

            exported, bundle = None, load_bundle(category, model, models_dir)
            engines = [name for name in targets.chosen if name in ("tensorrt", "rtx")]
            work.expect(_build_costs(engines))
        else:
            exported = _export(
                category, run, runs_dir, models_dir, data, false_alarm_rate, targets, options, gpu, work
            )
            bundle = exported.bundle
            engines = [name for name in targets.chosen if name == "tensorrt"]
        for name in engines:
            engine = _build(bundle, name, options, gpu, engine_cache, work)
            if exported is not None:
                _measure(exported, engine, data, engine_cache, work)
    if "triton" in targets.chosen:
        from dmdd_edge.export.targets import write_triton

        console.print(f"wrote {write_triton(bundle, triton_dir, options=options)}", markup=False)
    if json_output:
        print_json(bundle.manifest.model_dump(mode="json"))
    chosen = bundle_options(bundle.category, model, models_dir)
    next_step(command("run", **chosen, engine_cache=engine_cache, source="FOLDER_OR_IMAGE", save="out/"))


def _export(
    category: str | None,
    run: str | None,
    runs_dir: Path,
    models_dir: Path,
    data: Path | None,
    alpha: float,
    targets: Targets,
    options: BuildOptions,
    gpu: str,
    work: Work,
) -> Exported:
    """Write the bundle of a run, with an RTX engine inside when that is a target."""
    from dmdd_edge.extras import need
    from dmdd_edge.storage import require_writable
    from dmdd_edge.train.run_folder import read_config, run_lock
    from dmdd_edge.workspace import find_run

    # What a user can mistype first, then what takes seconds to load.
    folder = find_run(category, run, runs_dir)
    require_writable(models_dir / read_config(folder).category, "--models-dir")
    work.update("loading torch")
    with need("export"):
        from dmdd_edge.export.pipeline import export_run
    from dmdd_edge.export.targets import rtx_for_new_bundle

    building = partial(_building, work, "rtx")
    extras = [rtx_for_new_bundle(options, gpu, building, _report)] if "rtx" in targets.chosen else []

    def expect(costs: list[Cost]) -> None:
        work.expect([*costs, *_build_costs(targets.chosen)])

    with run_lock(folder, shared=True):
        found = export_run(
            folder,
            models_dir,
            data=data,
            alpha=alpha,
            progress=work.update,
            expect=expect,
            extras=extras,
            say=work.say,
        )
    console.print(f"wrote {found.bundle.path}")
    console.print(found.threshold.describe())
    console.print(_parity_table(found.parity))
    return found


def _measure(
    exported: Exported, engine: BuiltEngine, data: Path | None, cache: Path | None, work: Work
) -> None:
    """Hold an engine that was built here against torch, on this GPU."""
    from dmdd_edge.export.engine_parity import measure_engine

    row = measure_engine(exported.run, exported.bundle, engine, data=data, cache=cache, progress=work.update)
    console.print(_parity_table([row]))


def _build(
    bundle: Bundle, name: str, options: BuildOptions, gpu: str, cache: Path | None, work: Work
) -> BuiltEngine:
    """Build one engine for a bundle into the engine cache."""
    from dmdd_edge.export.targets import build_for_bundle

    work.update(_phase(name))
    engine = build_for_bundle(
        bundle, name, options=options, gpus=gpu, cache=cache, progress=partial(_building, work, name)
    )
    _report(engine)
    return engine


def _phase(engine: str) -> str:
    return f"building the engine for {engine}"


def _building(work: Work, engine: str, share: float, step: str) -> None:
    work.update(_phase(engine), share, 1.0, step)


def _build_costs(engines: Sequence[str]) -> list[Cost]:
    """What engines are expected to take: minutes, which their own progress soon corrects."""
    return [
        Cost(_phase(name), seconds, "host")
        for name, seconds in (("rtx", 240.0), ("tensorrt", 120.0))
        if name in engines
    ]


def _report(engine: BuiltEngine) -> None:
    side = engine.sidecar
    done = "there already" if engine.reused else "built"
    console.print(
        f"{done}: {engine.path.name} for {', '.join(side.sms)}, {side.precision}, "
        f"{100 * side.half_share:.0f} % of the convolutions half",
        markup=False,
    )
    for warning in engine.warnings:
        console.print(f"warning from the builder: {warning}", markup=False)


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
