"""Measure the cost of a training step per backbone: seconds, memory, and the minutes of a training.

Each backbone trains a few steps of the default recipe in a subprocess, on a drawn category. Weights that
would have to be downloaded are random: time and memory do not depend on them. Memory is the process's peak
resident size, including the teacher's features of the drawn images; on a GPU it is torch's peak allocation,
without the features.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import common
from train_throughput import run_trainer

from dmdd_edge.train.length import automatic_steps

#: Length of the default training on 150 images, for which the estimate is made.
_DEFAULT_STEPS = automatic_steps(150, 8)


def measure(backbone: str, options: Namespace) -> dict[str, Any]:
    """Train a backbone's student in this process."""
    import torch

    from dmdd_edge.sample import write_sample
    from dmdd_edge.train.config import make_config

    with tempfile.TemporaryDirectory() as folder:
        write_sample(folder, "plate", size=options.image_size)
        config = make_config(
            "edge",
            data=Path(folder),
            category="plate",
            weights=random_weights(backbone, Path(folder)),
            model={"backbone": backbone, "image_size": options.image_size},
            steps=options.warm_up + options.steps,
            batch_size=options.batch_size,
            device=options.device,
        )
        prepared, facts, clock = run_trainer(config)
    times = [later - earlier for earlier, later in itertools.pairwise(clock.ends)][options.warm_up - 1 :]
    seconds = statistics.median(times)
    on_gpu = prepared.device.type == "cuda"
    return {
        "seconds_per_step": common.spread(times),
        "peak_mib": round(
            torch.cuda.max_memory_allocated() / 2**20 if on_gpu else common.resident_mib(name="VmHWM")
        ),
        "features_mib_per_100_images": round(100 * features_mib(prepared)),
        "minutes_of_default_training": round(_DEFAULT_STEPS * seconds / 60, 1),
        "amp": facts["amp"],
        "device": facts["device"],
    }


def features_mib(prepared: Any) -> float:
    """Memory of the teacher's features of one image."""
    from dmdd_edge.train.features import TeacherFeatures

    image = prepared.images.train[:1]
    return TeacherFeatures(prepared.teacher, prepared.model.normalize, image, prepared.device).needed_mb


def random_weights(backbone: str, folder: Path) -> Path | None:
    """Write a file of random weights; None for the backbone whose weights come with the install."""
    import torch
    import torchvision

    if backbone == "efficientnet_lite0":
        return None
    torch.manual_seed(0)
    file = folder / "random.pth"
    torch.save(torchvision.models.get_model(backbone, weights=None).state_dict(), file)
    return file


def apart(backbone: str, arguments: Iterable[str]) -> dict[str, Any]:
    """Measure a backbone in a subprocess; exits when that fails."""
    return common.measure_apart(__file__, [*arguments, "--one", backbone], f"{backbone}: the measurement")


def options_from(arguments: Iterable[str] | None = None) -> Namespace:
    """Read the command line."""
    parser = common.parser(__doc__, "training_cost")
    parser.add_argument("--backbone", nargs="+", default=list(common.BACKBONES), choices=common.BACKBONES)
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=8, help="pairs per step")
    parser.add_argument("--warm-up", type=int, default=2, help="untimed steps")
    parser.add_argument("--steps", type=int, default=6, help="timed steps")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--one", choices=common.BACKBONES, help="measure this backbone in this process")
    return parser.parse_args(None if arguments is None else list(arguments))


def main() -> None:
    """Measure each backbone, print and write."""
    options = options_from()
    if options.one:
        common.report_apart(measure(options.one, options))
        return
    machine = common.begin()
    figures = {}
    for backbone in options.backbone:
        row = figures[backbone] = apart(backbone, sys.argv[1:])
        print(
            f"{backbone} on {row['device']}: {row['seconds_per_step']['median']:.2f} s per step, "
            f"{row['peak_mib']} MiB; {_DEFAULT_STEPS} steps take "
            f"{row['minutes_of_default_training']:.0f} min",
            flush=True,
        )
    settings = {
        name: value for name, value in vars(options).items() if name not in ("out", "backbone", "one")
    }
    common.write_result(options.out, machine, settings, figures, ["torch", "torchvision", "timm", "numpy"])


if __name__ == "__main__":
    main()
