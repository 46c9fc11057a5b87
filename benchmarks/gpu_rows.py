"""Rows of a GPU: every back end that is installed, every backbone, in the time that is given.

A row is what `dmdd-edge bench` measures of one bundle on one back end. A row that could not be made is named
with its reason; without an NVIDIA GPU that is all of them, and no result is written.

Bundles are those named with --model. Without any they are made on the spot from the drawn sample images, with
two training steps: good for timing, their accuracy means nothing. Only EfficientNet-Lite0 has its pretrained
weights then; the others are marked as untrained.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import common

from dmdd_edge.runtime.bench.document import markdown_row
from dmdd_edge.runtime.cuda.gpu import probe_gpu

#: Back ends of a GPU, the fastest first.
BACKENDS = ("tensorrt", "rtx", "cuda")
#: Seconds that a row must have left to be begun.
_LEAST = 25.0


@dataclass(frozen=True)
class Subject:
    """A bundle to measure.

    Attributes:
        path: its folder; None where there is none.
        label: what a row is called.
        weights: where the backbone's weights are from.
        reason: why there is none; empty otherwise.
    """

    path: Path | None
    label: str
    weights: str = "as trained"
    reason: str = ""


@dataclass
class Rows:
    """What was made, and what was not.

    Attributes:
        made: documents of `dmdd-edge bench`.
        missing: row -> why it was not made.
    """

    made: dict[str, Any] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


class Budget:
    """The time that is left.

    Args:
        seconds: in all.
        now: the clock.
    """

    def __init__(self, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._end = now() + seconds

    @property
    def left(self) -> float:
        """Seconds."""
        return self._end - self._now()


#: Runs `dmdd-edge` with some arguments for so many seconds at most; standard output, and what went wrong.
Program = Callable[[Sequence[str], float], tuple[str, str]]


def run_program(arguments: Sequence[str], seconds: float) -> tuple[str, str]:
    """Run `dmdd-edge`; see ``Program``."""
    try:
        done = subprocess.run(
            [*common.PROGRAM, *arguments],
            capture_output=True,
            text=True,
            timeout=max(seconds, 1.0),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "", f"`dmdd-edge {arguments[0]}` was not done in the {seconds:.0f} s that were left"
    if done.returncode == 0:
        return done.stdout, ""
    errors = [line for line in done.stderr.splitlines() if line.startswith(("error:", "fix:"))]
    last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
    return done.stdout, " ".join(line.split(":", 1)[1].strip() for line in errors) or last[0]


def measure(
    subjects: Sequence[Subject],
    gpu: str | None,
    reason: str,
    seconds: float,
    budget: Budget,
    program: Program,
) -> Rows:
    """Make every row that can be made.

    Args:
        subjects: bundles.
        gpu: compute capability, such as ``sm87``; None without a GPU.
        reason: why there is none.
        seconds: of each scenario.
        budget: what is left of the time.
        program: runs `dmdd-edge`.
    """
    rows = Rows()
    for subject in subjects:
        for backend in BACKENDS:
            name = f"{subject.label}, {backend}"
            why = f"no NVIDIA GPU: {reason}" if gpu is None else subject.reason
            if not why and budget.left < _LEAST:
                why = "no time was left"
            if not why and subject.path is not None and gpu is not None:
                document, why = _row(subject.path, backend, gpu, seconds, budget, program)
                if document is not None:
                    rows.made[name] = {"weights": subject.weights, **document}
            if why:
                rows.missing[name] = why
            if gpu is not None:
                print(f"{name}: {why or 'made'}", flush=True)
    return rows


def _row(
    path: Path, backend: str, gpu: str, seconds: float, budget: Budget, program: Program
) -> tuple[dict[str, Any] | None, str]:
    """One row: an engine where one is needed, then the measurement; or why not."""
    if backend in ("tensorrt", "rtx"):
        build = ["export", "--model", str(path), "--target", backend, "--batch", "1:8"]
        build += ["--gpu", gpu] if backend == "rtx" else []
        _, why = program(build, budget.left)
        if why:
            return None, why
    how = [
        "--scenario",
        "single,multi,offline",
        "--batches",
        "1,2,4,8",
        "--duration",
        f"{seconds:g}",
        "--json",
    ]
    output, why = program(["bench", "--model", str(path), "--backend", backend, *how], budget.left)
    if why:
        return None, why
    document: dict[str, Any] = json.loads(output)
    for row in document["scenarios"].values():
        row.pop("samples_ms", None)  # thousands of numbers that nobody reads here
    return document, ""


def make_bundles(
    folder: Path, backbones: Sequence[str], budget: Budget, program: Program
) -> Iterator[Subject]:
    """Bundles of the drawn sample images after two training steps, one a backbone.

    Args:
        folder: where all of it goes.
        backbones: their names.
        budget: what is left of the time.
        program: runs `dmdd-edge`.
    """
    data = folder / "data"
    counts = ["--train", "16", "--test-good", "4", "--test-bad", "1"]
    _, why = program(["sample", str(data), *counts], budget.left)
    for backbone in backbones:
        why = why or ("no time was left" if budget.left < _LEAST else "")
        if why:
            yield Subject(None, backbone, reason=why)
            continue
        weights = folder / f"{backbone}.pth"
        pretrained = backbone == "efficientnet_lite0"
        failed = "" if pretrained else untrained(backbone, weights)
        where = ["--runs-dir", str(folder / "runs")]
        named = ["--run", backbone, *where]
        train = ["train", "--data", str(data), "--category", "plate", "--backbone", backbone, "--steps", "2"]
        train += named if pretrained else [*named, "--weights", str(weights)]
        export = ["export", *named, "--target", "onnx", "--models-dir", str(folder / "models" / backbone)]
        for command in (train, export):
            if not failed:
                _, failed = program(command, budget.left)
        if failed:
            yield Subject(None, backbone, reason=failed)
        else:
            origin = "pretrained backbone, two training steps" if pretrained else "untrained"
            yield Subject(folder / "models" / backbone / "plate", f"{backbone} ({origin})", origin)


def untrained(backbone: str, path: Path) -> str:
    """Write random weights of a backbone, in a range that half precision holds; why not, or empty."""
    try:
        import torch
        import torchvision
        from graph_cost import settle
    except ImportError as error:
        return f"{error}: pip install '.[export]'"
    torch.manual_seed(0)
    model = torchvision.models.get_model(backbone, weights=None)
    with torch.no_grad():
        settle(model, torch.randn(2, 3, 256, 256))
    torch.save(model.state_dict(), path)
    return ""


def options_from(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = common.parser(__doc__, "gpu")
    parser.add_argument(
        "--model", type=Path, nargs="+", default=[], help="bundles; made on the spot without any"
    )
    parser.add_argument(
        "--backbone", nargs="+", default=list(common.BACKBONES), help="of bundles made on the spot"
    )
    parser.add_argument("--seconds", type=float, default=440.0, help="for everything together")
    parser.add_argument("--duration", type=float, default=3.0, help="seconds of each scenario")
    return parser.parse_args(arguments)


def main() -> None:
    """Make the rows, print them and the reasons for those that are missing, and write the result."""
    options = options_from()
    budget = Budget(options.seconds)
    machine = common.begin()
    probe = probe_gpu()
    gpu = None if probe.facts is None else probe.facts.sm
    print(f"GPU: {probe.facts or f'none ({probe.reason})'}")
    with tempfile.TemporaryDirectory() as folder:
        if options.model:
            subjects: Iterator[Subject] | list[Subject] = [Subject(path, str(path)) for path in options.model]
        elif gpu is None:
            subjects = [Subject(None, backbone) for backbone in options.backbone]
        else:
            subjects = make_bundles(Path(folder), options.backbone, budget, run_program)
        rows = Rows()
        for subject in subjects:  # one by one: a bundle is made while there is time to measure it
            found = measure([subject], gpu, probe.reason, options.duration, budget, run_program)
            rows.made |= found.made
            rows.missing |= found.missing
    print()
    for index, document in enumerate(rows.made.values()):
        print(markdown_row(document, header=index == 0), end="")
    for why in dict.fromkeys(rows.missing.values()):
        names = [name for name, reason in rows.missing.items() if reason == why]
        print(f"not made: {'; '.join(names)}: {why}")
    if not rows.made:
        print("no row was made, so no result is written")
        return
    settings = {"seconds": options.seconds, "duration": options.duration}
    figures = {"rows": rows.made, "not_made": rows.missing}
    names = ["onnxruntime-gpu", "tensorrt", "tensorrt-rtx-cu13", "cuda-bindings", "pycuda", "numpy"]
    common.write_result(options.out, machine, settings, figures, names)


if __name__ == "__main__":
    main()
