"""What a training step costs, backbone by backbone: seconds and memory, and the minutes of a training.

Each backbone trains a few steps of the default recipe in a process of its own, on a drawn category. Weights
that would have to be fetched are random: time and memory do not depend on them. Memory is the process's
highest resident size, the teacher's features of the drawn images included; on a GPU the highest that torch
held there, where the features are not.
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

#: Length of the default training on 150 images, which the estimate is for.
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
    """A file of random weights; None for the backbone whose own come with the install."""
    import torch
    import torchvision

    if backbone == "efficientnet_lite0":
        return None
    torch.manual_seed(0)
    file = folder / "random.pth"
    torch.save(torchvision.models.get_model(backbone, weights=None).state_dict(), file)
    return file


def apart(backbone: str, arguments: Iterable[str]) -> dict[str, Any]:
    """Measure a backbone in a process of its own; exits when that fails."""
    return common.measure_apart(__file__, [*arguments, "--one", backbone], f"{backbone}: the measurement")


def options_from(arguments: Iterable[str] | None = None) -> Namespace:
    """Read the command line."""
    parser = common.parser(__doc__, "training_cost")
    parser.add_argument("--backbone", nargs="+", default=list(common.BACKBONES), choices=common.BACKBONES)
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=8, help="pairs a step")
    parser.add_argument("--warm-up", type=int, default=2, help="steps that are not timed")
    parser.add_argument("--steps", type=int, default=6, help="timed steps")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--one", choices=common.BACKBONES, help="measure this backbone in this process")
    return parser.parse_args(None if arguments is None else list(arguments))


def main() -> None:
    """Measure each backbone, print and write."""
    options = options_from()
    if options.one:
        common.hand_back(measure(options.one, options))
        return
    machine = common.begin()
    figures = {}
    for backbone in options.backbone:
        found = figures[backbone] = apart(backbone, sys.argv[1:])
        print(
            f"{backbone} on {found['device']}: {found['seconds_per_step']['median']:.2f} s a step, "
            f"{found['peak_mib']} MiB; {_DEFAULT_STEPS} steps are "
            f"{found['minutes_of_default_training']:.0f} min",
            flush=True,
        )
    settings = {
        name: value for name, value in vars(options).items() if name not in ("out", "backbone", "one")
    }
    common.write_result(options.out, machine, settings, figures, ["torch", "torchvision", "timm", "numpy"])


if __name__ == "__main__":
    main()
