"""Measure the rows of a GPU: every installed backend, every backbone, within a time budget.

A row is what `dmdd-edge bench` measures for one bundle on one backend. Rows that cannot be made are named
with the reason; without an NVIDIA GPU that is all of them, and no result is written.

Bundles are those given by --model. Without --model they are made from the drawn sample images with two
training steps: valid for timing, not for accuracy. Only EfficientNet-Lite0 then has pretrained weights; the
others are marked as untrained.
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

#: Backends of a GPU, the fastest first.
BACKENDS = ("tensorrt", "rtx", "cuda")
#: Minimum remaining seconds to begin a row.
_LEAST = 25.0


@dataclass(frozen=True)
class Subject:
    """A bundle to measure.

    Attributes:
        path: folder of the bundle; None when it could not be made.
        label: name of the row.
        weights: origin of the backbone's weights.
        reason: why it could not be made; else empty.
    """

    path: Path | None
    label: str
    weights: str = "as trained"
    reason: str = ""


@dataclass
class Rows:
    """Rows that were made, and those that were not.

    Attributes:
        made: documents of `dmdd-edge bench`, by row.
        missing: reasons, by row.
    """

    made: dict[str, Any] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


class Budget:
    """The remaining time.

    Args:
        seconds: total.
        now: clock.
    """

    def __init__(self, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._end = now() + seconds

    @property
    def left(self) -> float:
        """Remaining seconds."""
        return self._end - self._now()


#: Runs `dmdd-edge` with arguments and a time limit in seconds; returns standard output and the error.
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
        return "", f"`dmdd-edge {arguments[0]}` did not finish in the remaining {seconds:.0f} s"
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
    """Make every row that this machine can make.

    Args:
        subjects: bundles.
        gpu: compute capability, such as ``sm87``; None without a GPU.
        reason: why no GPU was found.
        seconds: per scenario.
        budget: remaining time.
        program: runs `dmdd-edge`.
    """
    rows = Rows()
    for subject in subjects:
        for backend in BACKENDS:
            name = f"{subject.label}, {backend}"
            why = f"no NVIDIA GPU: {reason}" if gpu is None else subject.reason
            if not why and budget.left < _LEAST:
                why = "out of time"
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
    """Build an engine if needed and measure one row; returns the document or the reason."""
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
        row.pop("samples_ms", None)  # thousands of numbers, not needed here
    return document, ""


def make_bundles(
    folder: Path, backbones: Sequence[str], budget: Budget, program: Program
) -> Iterator[Subject]:
    """Make a bundle per backbone from the drawn sample images with two training steps.

    Args:
        folder: scratch folder.
        backbones: their names.
        budget: remaining time.
        program: runs `dmdd-edge`.
    """
    data = folder / "data"
    counts = ["--train", "16", "--test-good", "4", "--test-bad", "1"]
    _, why = program(["sample", str(data), *counts], budget.left)
    for backbone in backbones:
        why = why or ("out of time" if budget.left < _LEAST else "")
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
    """Write random weights of a backbone within half-precision range; returns the error, or empty."""
    try:
        import torch
        import torchvision
        from untrained import settle
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
        "--model", type=Path, nargs="+", default=[], help="bundles; default: made from drawn images"
    )
    parser.add_argument(
        "--backbone",
        nargs="+",
        default=list(common.BACKBONES),
        help="backbones of the bundles made from drawn images",
    )
    parser.add_argument("--seconds", type=float, default=440.0, help="total time")
    parser.add_argument("--duration", type=float, default=3.0, help="seconds per scenario")
    return parser.parse_args(arguments)


def main() -> None:
    """Make the rows, print them and the reasons for missing ones, and write the result."""
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
        for (
            subject
        ) in subjects:  # one by one, so that a bundle is made only while there is time to measure it
            measured = measure([subject], gpu, probe.reason, options.duration, budget, run_program)
            rows.made |= measured.made
            rows.missing |= measured.missing
    print()
    for index, document in enumerate(rows.made.values()):
        print(markdown_row(document, header=index == 0), end="")
    for why in dict.fromkeys(rows.missing.values()):
        names = [name for name, reason in rows.missing.items() if reason == why]
        print(f"not made: {'; '.join(names)}: {why}")
    if not rows.made:
        print("No row was made; no result is written.")
        return
    settings = {"seconds": options.seconds, "duration": options.duration}
    figures = {"rows": rows.made, "not_made": rows.missing}
    names = ["onnxruntime-gpu", "tensorrt", "tensorrt-rtx-cu13", "cuda-bindings", "pycuda", "numpy"]
    common.write_result(options.out, machine, settings, figures, names)


if __name__ == "__main__":
    main()
