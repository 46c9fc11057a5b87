"""Compare the training throughput of dmdd-edge with a straightforward loop over the same model.

Both sides train the same model on the same pairs of images with the same losses and optimizer. The
straightforward loop is a first version: the teacher runs on normal and anomalous images in every step,
anomalies are synthesized between the steps, memory layout and allocator are the defaults. The trainer caches
the teacher's features of the normal images, folds the teacher's BatchNorm, synthesizes in threads, uses
channels_last, flushes denormal numbers, and makes the C library keep freed memory.

The allocator's setting applies to the whole process, so each measurement is a subprocess; the two sides are
interleaved. Images per second count normal and anomalous images, like the trainer's progress. Preparation
(reading, foreground, feature cache) is excluded on both sides and reported separately.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import common

_LIBRARIES = ["torch", "torchvision", "timm", "numpy", "opencv-python"]


@dataclass
class Clock:
    """Collects the time at the end of each step and the first step's losses."""

    began: float = field(default_factory=time.perf_counter)
    ends: list[float] = field(default_factory=list)
    losses: dict[str, float] = field(default_factory=dict)

    def step(self, losses: dict[str, float]) -> None:
        """Record the end of a step."""
        self.ends.append(time.perf_counter())
        self.losses = self.losses or losses

    def report(self, warm_up: int, batch_size: int) -> dict[str, Any]:
        """Rate over the steps after the warm-up."""
        steps = len(self.ends) - warm_up
        seconds = self.ends[-1] - self.ends[warm_up - 1]
        return {
            "images_per_second": 2 * batch_size * steps / seconds,
            "until_first_step": self.ends[0] - self.began,
            "first_losses": self.losses,
        }


def make_config(options: Namespace) -> Any:
    """The training configuration of both sides."""
    from dmdd_edge.train.config import make_config as make

    return make(
        "edge",
        data=options.data,
        category=options.category,
        weights=options.weights,
        model={"backbone": options.backbone, "image_size": options.image_size},
        synthesis={"own_textures": 0.0},
        steps=options.warm_up + options.steps,
        batch_size=options.batch_size,
        head_steps=0,
        device=options.device,
        amp="off",
    )


def run_trainer(config: Any) -> tuple[Any, Any, Clock]:
    """Train like `dmdd-edge train`; returns what was prepared, the facts, and the time of each step."""
    from dmdd_edge.data.datasets import load_category
    from dmdd_edge.train.listener import Listener
    from dmdd_edge.train.schedule import Progress
    from dmdd_edge.train.trainer import Trainer

    clock = Clock()

    class Timed(Listener):
        def step(
            self, phase: str, progress: Progress, losses: dict[str, float], images_per_second: float
        ) -> None:
            clock.step(losses)

    with tempfile.TemporaryDirectory() as folder:
        category = load_category(config.data, config.category)
        trainer = Trainer(config, category, Path(folder) / "run", Timed())
        prepared = trainer.prepare()
        facts = trainer.train(prepared).info
    return prepared, facts, clock


def ours(options: Namespace) -> dict[str, Any]:
    """Measure the trainer."""
    return run_trainer(make_config(options))[2].report(options.warm_up, options.batch_size)


def straightforward(options: Namespace) -> dict[str, Any]:
    """Measure the same training as a plain loop."""
    import torch

    from dmdd_edge.data.datasets import load_category
    from dmdd_edge.train.data import load_images
    from dmdd_edge.train.devices import choose_device
    from dmdd_edge.train.distance import aim_loss, ngm_loss, stage_masks
    from dmdd_edge.train.model import DMDD
    from dmdd_edge.train.synthesis import foreground
    from dmdd_edge.train.synthesis.feeder import PairFeeder
    from dmdd_edge.train.synthesis.textures import ProceduralTextures

    clock = Clock()
    config = make_config(options)
    device = choose_device(config.device)
    torch.manual_seed(config.seed)
    model = DMDD(config.model, config.weights).to(device)
    size = config.model.image_size
    category = load_category(config.data, config.category)
    images = load_images(category, config.preprocess, size, config.holdout, config.seed).train
    masks = foreground.masks(list(images), config.synthesis.foreground)[1]
    pairs = PairFeeder(
        images,
        masks,
        ProceduralTextures(size),
        config.synthesis,
        batch_size=config.batch_size,
        seed=config.seed,
        workers=0,
    )
    optimizer = torch.optim.Adam(model.student.parameters(), config.lr, betas=config.betas)

    def as_input(array: Any) -> torch.Tensor:
        return torch.from_numpy(array).permute(0, 3, 1, 2).contiguous().to(device)

    model.train()
    for step in range(options.warm_up + options.steps):
        batch = pairs.batch_at(step)
        count = len(batch.index)
        x = model.normalize(torch.cat([as_input(images[batch.index]), as_input(batch.anomalous)]))
        with torch.no_grad():
            teacher = model.teacher(x)
        found = model.student(x)
        own = found["normality"]
        ngm = ngm_loss([t[:count] for t in teacher], [f[:count] for f in own], [f[count:] for f in own])
        own = found["abnormality"]
        truth = stage_masks(torch.from_numpy(batch.masks).to(device).float(), own, config.mask_threshold)
        of_normal = aim_loss([t[:count] for t in teacher], [f[:count] for f in own], [None] * len(own))
        of_anomalous = aim_loss(
            [t[count:] for t in teacher], [f[count:] for f in own], list(truth), balanced=config.balanced_aim
        )
        aim = 0.5 * (of_normal + of_anomalous)
        optimizer.zero_grad()
        torch.autograd.backward(ngm + aim)
        optimizer.step()
        clock.step({"ngm": ngm.item(), "aim": aim.item()})
    return clock.report(options.warm_up, options.batch_size)


SIDES = {"ours": ours, "straightforward": straightforward}


def measure(side: str, arguments: list[str]) -> dict[str, Any]:
    """Measure one side in a subprocess."""
    return common.measure_apart(__file__, ["--side", side, *arguments], f"the {side} side")


def same_training(first: dict[str, float], second: dict[str, float]) -> bool:
    """Whether the first step's losses agree; features kept in half precision differ by rounding."""
    return all(abs(first[name] - second[name]) <= 0.02 * abs(second[name]) + 1e-4 for name in second)


def options_from(arguments: list[str] | None = None) -> Namespace:
    """Read the command line."""
    parser = common.parser(__doc__, "train_throughput")
    parser.add_argument("--data", type=Path, help="data set; default: a drawn category")
    parser.add_argument("--category", help="category of the data set")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--weights", type=Path, help="file with the backbone's weights")
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=8, help="pairs per step")
    parser.add_argument("--warm-up", type=int, default=5, help="untimed steps")
    parser.add_argument("--steps", type=int, default=25, help="timed steps per measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements per side, interleaved")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--side", choices=SIDES, help="measure one side in this process")
    return parser.parse_args(arguments)


def main() -> None:
    """Measure both sides, interleaved, and compare them."""
    options = options_from()
    if options.side:
        common.report_apart(SIDES[options.side](options))
        return
    machine = common.begin()
    with tempfile.TemporaryDirectory() as folder:
        if options.data is None:
            from dmdd_edge.sample import write_sample

            write_sample(folder, "plate", size=options.image_size)
            drawn = ["--data", folder, "--category", "plate"]
        else:
            drawn = []
        found: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
        for number in range(options.rounds):
            for side in SIDES:
                result = measure(side, [*sys.argv[1:], *drawn])
                found[side].append(result)
                print(f"round {number + 1}, {side}: {result['images_per_second']:.2f} images/s")
    first = {side: results[0]["first_losses"] for side, results in found.items()}
    if not same_training(first["ours"], first["straightforward"]):
        sys.exit(f"The two sides train differently; losses of the first step: {first}.")
    report(options, machine, found)


def report(options: Namespace, machine: dict[str, Any], found: dict[str, list[dict[str, Any]]]) -> None:
    """Print the comparison and write it."""
    rates = {side: [result["images_per_second"] for result in results] for side, results in found.items()}
    ratios = [a / b for a, b in zip(rates["ours"], rates["straightforward"], strict=True)]
    figures: dict[str, Any] = {
        "images_per_second": {side: common.spread(values) for side, values in rates.items()},
        "ratio": common.spread(ratios),
        "seconds_until_first_step": {
            side: round(statistics.median(result["until_first_step"] for result in results), 2)
            for side, results in found.items()
        },
        "losses_of_first_step": {side: results[0]["first_losses"] for side, results in found.items()},
    }
    for side, spread in figures["images_per_second"].items():
        print(f"{side:>16}: {spread['median']:.2f} images/s ({spread['low']:.2f} to {spread['high']:.2f})")
    ratio = figures["ratio"]
    print(f"{'ratio':>16}: {ratio['median']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})")
    settings = {
        "data": "drawn category" if options.data is None else f"{options.data.name}/{options.category}",
        **{
            name: getattr(options, name)
            for name in ("backbone", "image_size", "batch_size", "warm_up", "steps", "rounds", "device")
        },
        "amp": "off on both sides",
    }
    common.write_result(options.out, machine, settings, figures, _LIBRARIES)


if __name__ == "__main__":
    main()
