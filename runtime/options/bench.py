"""The options of a benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from dmdd_edge.errors import OptionError
from dmdd_edge.messages.suggest import choose
from dmdd_edge.options import Option, Options, Rule, needs
from dmdd_edge.options.groups import BundleOptions
from dmdd_edge.runtime.options.backend import BackendName, CudaOptions
from dmdd_edge.runtime.options.source import StripOption

#: Every scenario, in the order in which they run.
SCENARIOS = ("single", "multi", "offline", "stream")
#: The values of ``--preset``.
PRESET_NAMES = ("trtexec10", "trtexec11", "mlperf")

_WHAT, _HOW, _OUTPUT = "What is measured", "How", "Output"


def scenario_names(texts: tuple[str, ...]) -> list[str]:
    """The scenarios that texts name, each possibly several with commas between.

    Raises:
        OptionError: one of them is unknown.
    """
    names = [name.strip() for text in texts for name in text.split(",")]
    for name in names:
        if name not in SCENARIOS:
            raise OptionError(f"--scenario: unknown scenario {name!r}.", choose(name, SCENARIOS))
    return names


def parse_batches(text: str) -> tuple[int, ...]:
    """Parse a list of batch sizes such as ``1,8,16``.

    Raises:
        OptionError: not a list of batch sizes.
    """
    try:
        sizes = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        sizes = ()
    if not sizes or not all(1 <= size <= 1024 for size in sizes):
        raise OptionError(
            f"--batches: {text!r} is not a list of batch sizes.",
            "Give whole numbers from 1 to 1024, for example 1,8,16.",
        )
    return sizes


@dataclass(frozen=True, kw_only=True)
class _Measured(Options):
    scenario: Annotated[
        tuple[str, ...],
        Option(
            "single, multi, offline, stream, with commas between. Default: all.",
            panel=_WHAT,
            check=scenario_names,
            suggested=SCENARIOS,
        ),
    ] = ()
    compare: Annotated[
        tuple[str, str] | None,
        Option(
            "Two bundles (screw, models/screw@cpu), backends or past results (.json), in one run; on a busy "
            "machine it continues for up to 20 times --duration.",
            panel=_WHAT,
            metavar="A B",
        ),
    ] = None
    accuracy: Annotated[
        bool, Option("Accuracy of the same file, on the test images of --data.", panel=_WHAT)
    ] = False
    data: Annotated[Path | None, Option("Data set with the category's test images.", panel=_WHAT)] = None
    source: Annotated[
        str | None,
        Option(
            "Images in rotation: image, folder, glob, video. Default: the test images of --data.",
            panel=_WHAT,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class _Method(Options):
    duration: Annotated[
        float | None, Option("Seconds per scenario. Default: 10, or the preset's.", panel=_HOW, above=0)
    ] = None
    warm_up: Annotated[
        float | None,
        Option("Minimum seconds of warm-up. Default: 1, or the preset's.", panel=_HOW, minimum=0),
    ] = None
    warm_up_count: Annotated[
        int | None,
        Option(
            "Minimum queries of warm-up. Default: 10, or the preset's.",
            panel=_HOW,
            minimum=0,
            range_in_help=False,
        ),
    ] = None
    batches: Annotated[
        tuple[int, ...],
        Option(
            "Batch sizes of the scenario offline.",
            panel=_HOW,
            parse=parse_batches,
            one_text=True,
            example='"1,2,4,8,16"',
            minimum=1,
            maximum=1024,
            show_default="1,2,4,8,16",
        ),
    ] = (1, 2, 4, 8, 16)
    rate: Annotated[
        float | None,
        Option(
            "Frames per second of the scenario stream. Default: searches for the highest that it sustains.",
            panel=_HOW,
            above=0,
        ),
    ] = None
    preset: Annotated[
        str | None,
        Option(
            "Measure as trtexec10, trtexec11 or mlperf does.",
            panel=_HOW,
            choices=PRESET_NAMES,
            earlier=("--like",),
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class BenchFiles(Options):
    """Files with what was measured."""

    history: Annotated[Path | None, Option("Append the figures to this CSV file.", panel=_OUTPUT)] = None
    plot: Annotated[Path | None, Option("Draw the latencies into this SVG file.", panel=_OUTPUT)] = None


@dataclass(frozen=True, kw_only=True)
class BenchOptions(BenchFiles, CudaOptions, _Method, StripOption, _Measured, BackendName, BundleOptions):
    """What is measured of a bundle, and how."""

    RULES: ClassVar[tuple[Rule, ...]] = (needs(("strip",), "source"),)

    def check(self) -> None:
        """Raise an ``OptionError`` where options do not fit together."""
        super().check()
        others = self.accuracy or self.history or self.plot or self.rate is not None
        if self.compare is not None and others:
            raise OptionError(
                "--compare goes with none of --accuracy, --markdown, --history, --plot and --rate.",
                "Leave these out, or measure each side by itself.",
            )
        if self.accuracy and self.data is None:
            raise OptionError(
                "--accuracy needs a data set.", "Add --data DIR with the category's test images."
            )
