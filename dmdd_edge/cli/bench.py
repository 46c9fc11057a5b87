"""``dmdd-edge bench``: what a bundle does on this machine, in figures."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dmdd_edge.cli.exit_codes import INTERRUPTED
from dmdd_edge.cli.options import (
    BackendOption,
    CategoryOption,
    CudaDriverOption,
    EngineCacheOption,
    IoMemoryOption,
    JsonOption,
    ModelOption,
    ModelsDirOption,
)
from dmdd_edge.errors import OptionError

if TYPE_CHECKING:
    from dmdd_edge.runtime.backends.options import BackendOptions
    from dmdd_edge.runtime.bench.session import Settings
    from dmdd_edge.runtime.bench.sides import Side
    from dmdd_edge.runtime.bench.timing import Bench, Series

_WHAT, _HOW, _OUTPUT = "What is measured", "How", "Output"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("bench")(bench)


def bench(
    category: CategoryOption = None,
    model: ModelOption = None,
    models_dir: ModelsDirOption = Path("models"),
    backend: BackendOption = "auto",
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            "--scenario",
            help="single, multi, offline, stream, with commas between. Default: all.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--compare",
            metavar="A B",
            help="Two bundles (screw, models/screw@cpu), backends or past results (.json), in one run; on a "
            "busy machine it goes on for up to 20 times --duration.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    accuracy: Annotated[
        bool,
        typer.Option(
            "--accuracy",
            help="Accuracy of the same file, on the test images of --data.",
            rich_help_panel=_WHAT,
        ),
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Data set with the category's test images.", rich_help_panel=_WHAT),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            help="Images in rotation: image, folder, glob, video. Default: the test images of --data.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    duration: Annotated[
        float | None,
        typer.Option(
            "--duration", help="Seconds of each scenario. Default: 10, or as --like.", rich_help_panel=_HOW
        ),
    ] = None,
    warm_up: Annotated[
        float | None,
        typer.Option("--warm-up", help="Seconds of warm-up at least. Default: 1.", rich_help_panel=_HOW),
    ] = None,
    warm_up_count: Annotated[
        int | None,
        typer.Option(
            "--warm-up-count", help="Queries of warm-up at least. Default: 10.", rich_help_panel=_HOW
        ),
    ] = None,
    batches: Annotated[
        str,
        typer.Option("--batches", help="Batch sizes of the scenario offline.", rich_help_panel=_HOW),
    ] = "1,2,4,8,16",
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate",
            help="Frames a second of the scenario stream. Default: the highest that is held is searched.",
            rich_help_panel=_HOW,
        ),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option("--like", help="Measure as trtexec10, trtexec11 or mlperf does.", rich_help_panel=_HOW),
    ] = None,
    engine_cache: EngineCacheOption = None,
    cuda_driver: CudaDriverOption = "auto",
    io_memory: IoMemoryOption = "auto",
    json: JsonOption = False,
    markdown: Annotated[
        bool,
        typer.Option(
            "--markdown", help="A row of a Markdown table on standard output.", rich_help_panel=_OUTPUT
        ),
    ] = False,
    history: Annotated[
        Path | None,
        typer.Option("--history", help="Append the figures to this CSV file.", rich_help_panel=_OUTPUT),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", help="Draw the latencies into this SVG file.", rich_help_panel=_OUTPUT),
    ] = None,
) -> None:
    """Measure latency, throughput and accuracy of a bundle on this machine.

    --compare gives the ratio of B's median latency to A's, with its confidence interval.
    """
    from dmdd_edge.runtime.backends.options import BackendOptions
    from dmdd_edge.runtime.bench.likes import like_named
    from dmdd_edge.runtime.bench.machine import circumstances
    from dmdd_edge.runtime.bench.nvml import open_gpu_watch
    from dmdd_edge.runtime.bench.offline import parse_batches
    from dmdd_edge.runtime.bench.session import make_settings
    from dmdd_edge.runtime.bench.targets import check_targets
    from dmdd_edge.runtime.bench.timing import Bench
    from dmdd_edge.runtime.bench.watch import Watch
    from dmdd_edge.runtime.signals import StopRequest

    if json and markdown:
        raise OptionError("--json and --markdown both want standard output.", "Give one of them.")
    if compare is not None and (accuracy or markdown or history or plot or rate is not None):
        raise OptionError(
            "--compare goes with none of --accuracy, --markdown, --history, --plot and --rate.",
            "Leave these out, or measure each side by itself.",
        )
    settings = make_settings(
        like_named(like),
        scenario or (),
        duration,
        warm_up,
        warm_up_count,
        batches=parse_batches(batches),
        rate=rate,
        accuracy=accuracy,
        data=data,
    )
    check_targets(history, plot, settings.scenarios)
    options = BackendOptions(engine_cache=engine_cache, cuda_driver=cuda_driver, io_memory=io_memory)
    if settings.note:
        from dmdd_edge.cli.console import console

        console.print(settings.note, markup=False)
    with StopRequest() as stop:
        gpu = open_gpu_watch()
        around = circumstances(gpu)
        tools = Bench(watch=Watch(gpu), stop=lambda: bool(stop))
        if compare is not None:
            from dmdd_edge.runtime.bench.sides import parse_side

            first, second = (parse_side(text, category, model, models_dir, backend) for text in compare)
            _compare((first, second), options, settings, bool(scenario), source, tools, around, json)
        else:
            from dmdd_edge.workspace import find_bundle

            path = find_bundle(category, model, models_dir)
            document, series = _measure(path, backend, options, settings, source, tools, around)
            _write(document, series, json, markdown, history, plot)
            _suggest(model, models_dir, engine_cache, document)
    if stop.received is signal.SIGINT:
        raise typer.Exit(INTERRUPTED)


def _measure(
    path: Path,
    backend: str,
    options: BackendOptions,
    settings: Settings,
    source: str | None,
    tools: Bench,
    around: dict[str, Any],
) -> tuple[dict[str, Any], dict[str, Series]]:
    """Run the scenarios; the document, and the latencies to draw."""
    from dmdd_edge.bundle.bundle import Bundle
    from dmdd_edge.cli.bench_report import print_images, print_report
    from dmdd_edge.cli.progress import Work
    from dmdd_edge.data.datasets import load_category
    from dmdd_edge.runtime.bench.document import make_document, shown_trial
    from dmdd_edge.runtime.bench.pictures import choose_pictures
    from dmdd_edge.runtime.bench.session import run_bench

    manifest = Bundle.open_unverified(path).manifest
    # The images first: a wrong path should not wait for a graph to load.
    pictures = choose_pictures(manifest, source, settings.data)
    if settings.accuracy and settings.data is not None:
        load_category(settings.data, manifest.category, for_training=False).require_test()
    print_images(pictures)
    with Work() as work:
        work.update("measuring")
        outcome = run_bench(
            path,
            backend,
            options,
            settings,
            pictures,
            tools,
            say=work.say,
            progress=lambda done, total: work.update("test images", done, total),
        )
    document = make_document(outcome, settings, pictures, around, tools.stop())
    print_report(document)
    drawn = dict(outcome.latency)
    if outcome.stream is not None:
        drawn["stream"] = shown_trial(outcome.stream).series
    return document, drawn


def _write(
    document: dict[str, Any],
    series: dict[str, Series],
    json: bool,
    markdown: bool,
    history: Path | None,
    plot: Path | None,
) -> None:
    """Give the document out in every form that was asked for."""
    from dmdd_edge.cli.console import console, print_json
    from dmdd_edge.cli.streams import write_output
    from dmdd_edge.runtime.bench.history import append_history
    from dmdd_edge.runtime.bench.markdown import markdown_row
    from dmdd_edge.runtime.bench.plot import write_plot

    if history is not None:
        console.print(f"{append_history(history, document)} rows appended to {history}", markup=False)
    if plot is not None and not series:
        console.print(f"nothing to draw into {plot}: it ended before a latency was measured", markup=False)
    elif plot is not None:
        bundle, backend = document["bundle"], document["backend"]
        title = f"{bundle['category']} {bundle['version']}, {backend['name']} ({backend['precision']})"
        write_plot(plot, title, series)
        console.print(f"wrote {plot}", markup=False)
    # Last, so that an output that cannot be written does not cost the files too.
    if json:
        print_json(document)
    if markdown:
        write_output(markdown_row(document))


def _compare(
    sides: tuple[Side, Side],
    options: BackendOptions,
    settings: Settings,
    asked: bool,
    source: str | None,
    tools: Bench,
    around: dict[str, Any],
    json: bool,
) -> None:
    from dmdd_edge.cli.bench_report import print_comparison
    from dmdd_edge.cli.console import console, print_json
    from dmdd_edge.runtime.bench.compare import compare, scenario_of
    from dmdd_edge.runtime.bench.pictures import Pictures, choose_pictures
    from dmdd_edge.runtime.bench.subject import Subject

    def choose(subject: Subject) -> Pictures:
        return choose_pictures(subject.bundle.manifest, source, settings.data)

    found = compare(
        sides,
        options,
        settings,
        scenario_of(settings, asked),
        choose,
        tools,
        say=lambda text: console.print(text, markup=False),
    )
    document = {**found.as_dict(), "like": settings.like.name or None, "circumstances": around}
    print_comparison(document, (sides[0].text, sides[1].text))
    if json:
        print_json(document)


def _suggest(
    model: Path | None, models_dir: Path, engine_cache: Path | None, document: dict[str, Any]
) -> None:
    """Name the next command."""
    from dmdd_edge.cli.console import next_step
    from dmdd_edge.messages.commands import bundle_options, command

    chosen = bundle_options(document["bundle"]["category"], model, models_dir)
    if document["accuracy"].get("reason", "").startswith("not asked"):
        next_step(command("bench", **chosen, engine_cache=engine_cache, accuracy=True, data="DIR"))
    else:
        next_step(command("run", **chosen, engine_cache=engine_cache, source="IMAGES"))
