"""What a run of ``dmdd-edge bench`` measures and how: scenarios, durations, and presets of other tools."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmdd_edge.errors import OptionError
from dmdd_edge.messages.suggest import choose
from dmdd_edge.runtime.bench.timing import Plan
from dmdd_edge.runtime.options.bench import SCENARIOS, scenario_names

#: Default batch sizes of the scenario ``offline``.
SWEEP = (1, 2, 4, 8, 16)

#: Every boundary in the order in which a frame passes it, and what is measured between its two ends.
BOUNDARIES = {
    "decode": "reading and decoding the image file (from the page cache)",
    "prepare": "region of interest, resize, frame statistics",
    "call": "the host call: prepared images in host memory to results in host memory",
    "h2d": "copy to the GPU, by the GPU's clock",
    "compute": "the engine, by the GPU's clock",
    "d2h": "copy from the GPU, by the GPU's clock",
    "device": "copies and engine together, by the GPU's clock",
    "finish": "threshold, regions, result",
    "from_frame": "end to end from a camera frame in memory",
    "from_encoded": "end to end from an image file, decoding included",
    "from_arrival": "stream: from a frame's arrival to its result, waiting included",
}


@dataclass(frozen=True)
class Preset:
    """A way of measuring, so that figures can be compared with those of another tool.

    Attributes:
        name: value of ``--preset``; empty for our own way.
        scenarios: scenarios that run by default.
        headline: the boundary whose figures the tool would print, where it can be measured.
        whole_way: measure each frame end to end, not only the host call.
        seconds, fewest: minimum duration and minimum number of queries.
        warm_up_seconds, warm_up_count: minimum duration and number of queries of the warm-up.
        spin, cuda_graphs: whether to spin while waiting for the GPU, and to launch runs as CUDA graphs.
        note: what to know when comparing.
    """

    name: str = ""
    scenarios: tuple[str, ...] = ("single", "multi", "offline", "stream")
    headline: str = "call"
    whole_way: bool = True
    seconds: float = 10.0
    fewest: int = 1
    warm_up_seconds: float = 1.0
    warm_up_count: int = 10
    spin: bool = False
    cuda_graphs: bool = True
    note: str = ""


_OURS = Preset()
_CPU = "without a GPU, the host call is used instead"

PRESETS = {
    "trtexec10": Preset(
        name="trtexec10",
        scenarios=("single",),
        headline="device",
        whole_way=False,
        seconds=3.0,
        fewest=10,
        warm_up_seconds=0.2,
        warm_up_count=1,
        cuda_graphs=False,
        note=f"as trtexec of TensorRT 10: both copies and the engine, a blocking wait, no CUDA graph; {_CPU}",
    ),
    "trtexec11": Preset(
        name="trtexec11",
        scenarios=("single",),
        headline="compute",
        whole_way=False,
        seconds=3.0,
        fewest=10,
        warm_up_seconds=0.2,
        warm_up_count=1,
        spin=True,
        note=f"as trtexec of TensorRT 11: the engine without copies, a spinning wait, CUDA graphs; {_CPU}",
    ),
    "mlperf": Preset(
        name="mlperf",
        scenarios=("single", "multi", "offline"),
        whole_way=False,
        seconds=600.0,
        fewest=64,
        note="as MLPerf's edge scenarios: prepared images in host memory to results in host memory, 600 s "
        "each; single p90, multi (8) p99, offline throughput; percentiles with a bound at 99 % confidence",
    ),
}


def preset_named(name: str | None) -> Preset:
    """Look up a preset by the value of ``--preset``; None is our own way of measuring.

    Raises:
        OptionError: the preset is unknown.
    """
    if name is None:
        return _OURS
    if name not in PRESETS:
        raise OptionError(f"--preset: unknown preset {name!r}.", choose(name, list(PRESETS)))
    return PRESETS[name]


@dataclass(frozen=True)
class Settings:
    """What a run measures, and how.

    Attributes:
        preset: the way of measuring.
        scenarios: see ``SCENARIOS``.
        plan: duration of each scenario.
        batches: batch sizes of the scenario ``offline``.
        rate: frames per second of the scenario ``stream``; None searches for the highest.
        accuracy: whether to measure accuracy as well.
        data: the data set for it.
    """

    preset: Preset
    scenarios: tuple[str, ...]
    plan: Plan
    batches: tuple[int, ...] = SWEEP
    rate: float | None = None
    accuracy: bool = False
    data: Path | None = None

    @property
    def note(self) -> str:
        """What to know when comparing with another tool's figures; empty for our own way of measuring."""
        note = self.preset.note
        if note and self.plan.seconds < self.preset.seconds:
            return f"{note}; but for {self.plan.seconds:g} s instead of {self.preset.seconds:g} s"
        return note


def make_settings(
    preset: Preset,
    scenarios: Sequence[str] = (),
    duration: float | None = None,
    warm_up: float | None = None,
    warm_up_count: int | None = None,
    **others: Any,
) -> Settings:
    """Combine a user's options with the preset's defaults.

    Args:
        preset: the way of measuring.
        scenarios: names, each possibly several separated by commas; empty for the preset's.
        duration, warm_up: seconds per scenario.
        warm_up_count: minimum number of warm-up queries.
        others: further fields of ``Settings``.

    Raises:
        OptionError: an unknown scenario, a duration or rate out of range, or an option without effect.
    """
    names = scenario_names(tuple(scenarios))
    plan = Plan(
        preset.seconds if duration is None else duration,
        preset.fewest,
        preset.warm_up_seconds if warm_up is None else warm_up,
        preset.warm_up_count if warm_up_count is None else warm_up_count,
    )
    chosen = tuple(name for name in SCENARIOS if name in names) if names else preset.scenarios
    settings = Settings(preset, chosen, plan, **others)
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    """Reject now what would fail, or be ignored, only after minutes."""
    rate = settings.rate
    if rate is not None and not 0 < rate < math.inf:
        raise OptionError(
            f"--rate must be above 0, got {rate:g}.", "Give frames per second, for example --rate 30."
        )
    if rate is not None and "stream" not in settings.scenarios:
        raise OptionError(
            f"--rate applies to the scenario stream only, not to {', '.join(settings.scenarios)}.",
            "Leave it out, or add --scenario stream.",
        )
    if settings.accuracy and settings.data is None:
        raise OptionError("--accuracy needs a data set.", "Add --data DIR with the category's test images.")
