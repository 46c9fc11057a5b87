"""Export a trained run as a bundle, with engines: the function behind ``dmdd-edge export``."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dmdd_edge.arguments import check_instance, check_progress
from dmdd_edge.bundle.bundle import ENGINES_FOLDER, Bundle
from dmdd_edge.bundle.threshold import Threshold, check_alpha, check_rates
from dmdd_edge.data_address import is_address
from dmdd_edge.export.engines.build import BuildOptions
from dmdd_edge.export.options import ExportOptions
from dmdd_edge.export.stored_models import send_version, use_by_default
from dmdd_edge.export.targets import (
    Targets,
    build_for_bundle,
    choose_targets,
    rtx_for_new_bundle,
    write_triton,
)
from dmdd_edge.extras import need
from dmdd_edge.messages.phases import Cost
from dmdd_edge.messages.reporter import Progress, Reporter
from dmdd_edge.run_store.mirror import local_folder
from dmdd_edge.run_store.runs import open_place
from dmdd_edge.runtime.engines.engine import BatchProfile
from dmdd_edge.storage import require_writable
from dmdd_edge.workspace import find_run, load_bundle

if TYPE_CHECKING:
    from dmdd_edge.export.engines.artifact import BuiltEngine
    from dmdd_edge.export.parity import ParityRow
    from dmdd_edge.export.pipeline import Exported

#: Seconds that the build of an engine is expected to take; its own progress soon corrects them.
_BUILD_SECONDS = {"rtx": 240.0, "tensorrt": 120.0}


@dataclass
class Export:
    """The result of an export.

    Attributes:
        bundle: the bundle.
        in_use: whether its version was put into use, or was before.
        threshold: from the held-out good images; None for a bundle that existed before.
        parity: deviations of each artifact from torch, a row per artifact; internal.
        engines: the engine files that were built, or that fitted already.
        triton: the Triton model repository; None unless it was a target.
        left_out: the targets that ``auto`` passed over, with the reason.
    """

    bundle: Bundle
    in_use: bool = True
    threshold: Threshold | None = None
    parity: list[ParityRow] = field(default_factory=list, repr=False)
    engines: list[Path] = field(default_factory=list)
    triton: Path | None = None
    left_out: dict[str, str] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        engines = "".join(f", {path.name}" for path in self.engines)
        return f"<Export {self.bundle!r}{engines}>"


class ExportReporter(Reporter):
    """Receives the progress of an export and each artifact as soon as it is finished."""

    def left_out(self, target: str, reason: str) -> None:
        """A target that ``auto`` passes over."""

    def bundle_written(self, exported: Exported) -> None:
        """The bundle was published."""

    def engine_built(self, engine: BuiltEngine) -> None:
        """An engine was built, or fitted already."""

    def engine_compared(self, row: ParityRow) -> None:
        """An engine was compared with torch."""


def export_bundle(options: ExportOptions, progress: Progress | ExportReporter | None = None) -> Export:
    """Export a trained run as a new version of its category's bundle, in use unless ``use`` is not.

        from dmdd_edge import ExportOptions, export_bundle

        export = export_bundle(ExportOptions(category="screw"))
        print(export.bundle.path, export.threshold)

    The fused graph is compared with the trained model before anything is published. With ``model``, engines
    are built for an existing bundle instead, for which neither torch nor onnx is needed.

    Args:
        options: what to export, and for which targets.
        progress: called with a phase, the units done and their total (None where it is unknown).

    Raises:
        OptionError: an option is out of its range or contradicts another one.
        TrainingError: the run is missing, unfinished or in use.
        DataError: the run's images are missing.
        BundleError: the exported graph does not match the trained model; nothing is published then. Or the
            new version loses a part of the challenge set; then it is there, and the one before stays in use.
        BackendError: an engine cannot be built here, or a package is missing.
        StorageError: the bundle cannot be written.
    """
    check_instance("options", options, ExportOptions, "ExportOptions")
    check_progress(progress, ExportReporter)
    reporter = progress if isinstance(progress, ExportReporter) else ExportReporter(progress)
    build = BuildOptions(
        precision=options.precision,
        batch=BatchProfile.parse(options.batch),
        workspace_gib=options.workspace,
        opt_level=options.opt_level,
        hardware_compatible=options.hardware_compatible,
    )
    check_alpha(options.false_alarm_rate)
    if options.suspect_rate is not None:
        check_rates(options.false_alarm_rate, options.suspect_rate)
    targets = choose_targets(options.target)
    if "triton" in targets.chosen:
        require_writable(options.triton_dir, "--triton-dir")
    exported: Exported | None = None
    if options.model is not None:
        result = Export(load_bundle(options.category, options.model, local_folder(options.models_dir)))
        _report_left_out(targets, reporter)
        engines = [name for name in targets.chosen if name in _BUILD_SECONDS]
        reporter.expect(_build_costs(engines))
    else:
        folder = _checked_run(options)
        _report_left_out(targets, reporter)
        exported, built = _export_run(options, folder, targets, build, reporter)
        result = Export(exported.bundle, exported.in_use, exported.threshold, list(exported.parity), built)
        if is_address(options.models_dir):
            send_version(str(options.models_dir), result.bundle, use=exported.in_use, work=reporter)
        engines = [name for name in targets.chosen if name == "tensorrt"]
    result.left_out = dict(targets.left_out)
    for name in engines:
        reporter.update(_phase(name))
        engine = build_for_bundle(
            result.bundle,
            name,
            options=build,
            gpus=options.gpu,
            cache=options.engine_cache,
            progress=partial(_building, reporter, name),
            say=reporter.say,
        )
        reporter.engine_built(engine)
        result.engines.append(engine.path)
        if exported is not None:
            result.parity.append(_compare(exported, engine, options, reporter))
    if "triton" in targets.chosen:
        result.triton = write_triton(result.bundle, options.triton_dir, options=build)
    return result


def _report_left_out(targets: Targets, reporter: ExportReporter) -> None:
    for name, reason in targets.left_out.items():
        reporter.left_out(name, reason)


def _checked_run(options: ExportOptions) -> Path:
    """The folder of the run, after all checks that need no torch, which takes long to load."""
    from dmdd_edge.train.places import find_images
    from dmdd_edge.train.run_folder import check_finished

    folder = find_run(options.category, options.run, options.runs_dir)
    config = check_finished(folder)
    require_writable(open_place(options.models_dir) / config.category, "--models-dir")
    if options.data is not None:
        find_images(options.data, config.category)
    return folder


def _export_run(
    options: ExportOptions, folder: Path, targets: Targets, build: BuildOptions, reporter: ExportReporter
) -> tuple[Exported, list[Path]]:
    """Write the bundle of a run; returns it with the engines inside it."""
    from dmdd_edge.train.run_folder import run_lock

    reporter.update("loading torch")
    with need("export"):
        from dmdd_edge.export.pipeline import export_run

    names: list[str] = []

    def built(engine: BuiltEngine) -> None:
        names.append(engine.path.name)  # its folder is renamed when the bundle is published
        reporter.engine_built(engine)

    building = partial(_building, reporter, "rtx")
    extras = []
    if "rtx" in targets.chosen:
        extras = [rtx_for_new_bundle(build, options.gpu, building, built, reporter.say)]
    use = options.use
    if use is None and is_address(options.models_dir):
        use = use_by_default(str(options.models_dir), folder)
    with run_lock(folder, shared=True):
        exported = export_run(
            folder,
            open_place(options.models_dir),
            data=options.data,
            alpha=options.false_alarm_rate,
            suspect_rate=options.suspect_rate,
            progress=reporter.update,
            expect=lambda costs: reporter.expect([*costs, *_build_costs(targets.chosen)]),
            extras=extras,
            say=reporter.say,
            accept=lambda bundle: _check_challenge(bundle, options, reporter),
            use=use,
            int8=options.allow_accuracy_loss if options.precision == "int8" else None,
        )
    reporter.bundle_written(exported)
    return exported, [exported.bundle.path / ENGINES_FOLDER / name for name in names]


def _check_challenge(bundle: Bundle, options: ExportOptions, reporter: ExportReporter) -> None:
    """Leave the version before in use where the new one loses a part of the challenge set."""
    from dmdd_edge.runtime.challenge.gate import GateOptions, gate_version

    gate_version(bundle, "export", GateOptions(options.allow_loss, say=reporter.say))


def _compare(
    exported: Exported, engine: BuiltEngine, options: ExportOptions, reporter: ExportReporter
) -> ParityRow:
    """Compare an engine that was built here with torch, on this GPU."""
    from dmdd_edge.export.engine_parity import measure_engine

    row = measure_engine(
        exported.run,
        exported.bundle,
        engine,
        data=options.data,
        cache=options.engine_cache,
        progress=reporter.update,
    )
    reporter.engine_compared(row)
    return row


def _phase(engine: str) -> str:
    return f"building the engine for {engine}"


def _building(reporter: Reporter, engine: str, share: float, step: str) -> None:
    reporter.update(_phase(engine), share, 1.0, step)


def _build_costs(targets: Collection[str]) -> list[Cost]:
    return [
        Cost(_phase(name), seconds, "host") for name, seconds in _BUILD_SECONDS.items() if name in targets
    ]
