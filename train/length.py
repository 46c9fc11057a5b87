"""The length of a run whose configuration does not set it: from the number of images."""

from __future__ import annotations

import math

from dmdd_edge.train.config import TrainConfig

#: Passes over the images. At batches of 8, bottle with 188 images is best near 1200 steps (900 and 2400 are
#: slightly worse), screw with 288 gains up to 3000, and papers with 31 have been trained for 240.
PASSES = 64
#: Fewest steps, below which a student hardly imitates its teacher, and most, above which accuracy gains
#: little and a CPU takes more than an hour. With few images, more steps overfit the student to each image,
#: and other good parts then look unusual.
LEAST, MOST = 240, 3000
#: Share of these steps that a continued training takes at least: its student imitates the teacher already.
CONTINUED = 0.25


def automatic_steps(images: int, batch_size: int) -> int:
    """Steps for a number of training images, or of tiles of them, and of pairs per step."""
    return min(max(math.ceil(PASSES * images / batch_size), LEAST), MOST)


def steps_of(config: TrainConfig, images: int) -> int | None:
    """Steps of a run; None where the clock decides.

    Args:
        config: of the run.
        images: count of training images.
    """
    if config.steps is not None:
        return config.steps
    if config.epochs is not None:
        return max(1, math.ceil(config.epochs * images / config.batch_size))
    return automatic_steps(images, config.batch_size) if config.max_minutes is None else None


def continued_steps(full: int, images: int, new: int) -> int:
    """Steps that continue a run: the share of the new images, and a quarter at least.

    Args:
        full: steps of a training from the start on all of these images.
        images: count of training images.
        new: those of them that the run has not seen.
    """
    return max(1, math.ceil(full * max(CONTINUED, new / images)))


def describe(config: TrainConfig, images: int, unit: str = "images") -> list[str]:
    """The line that says which length was chosen and why; nothing where the configuration sets it.

    Args:
        config: of the run.
        images: count of training images, or of tiles of them.
        unit: what they are.
    """
    if any(value is not None for value in (config.steps, config.epochs, config.max_minutes)):
        return []
    steps = automatic_steps(images, config.batch_size)
    wanted = math.ceil(PASSES * images / config.batch_size)
    bound = ""
    if steps != wanted:
        bound = f" ({'at least' if steps > wanted else 'at most'} {steps}; {PASSES} passes would be {wanted})"
    passes = round(steps * config.batch_size / images)
    return [f"length: {steps} steps, {passes} passes over {images} {unit}{bound}; --steps sets another"]
