"""The trainings of the study, each done once in a scratch folder and taken from there afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dmdd_edge.data.datasets import load_category
from dmdd_edge.storage import make_folder
from dmdd_edge.train.checkpoint import Run, load_run
from dmdd_edge.train.listener import Listener
from dmdd_edge.train.options import TrainOptions
from dmdd_edge.train.plan import plan_training
from dmdd_edge.train.run_folder import open_run, run_lock, state_of
from dmdd_edge.train.schedule import Progress
from dmdd_edge.train.trainer import Trainer
from large.sets import Counts, LargeSet, Plates, Screws


@dataclass(frozen=True)
class Variant:
    """One training.

    Attributes:
        images: its set.
        label: what it is called in the results.
        options: of the training, besides what all have.
        network: the training whose network is taken, by tiles alone; None where it is trained.
    """

    images: LargeSet
    label: str
    options: dict[str, Any] = field(default_factory=dict)
    network: Variant | None = None

    @property
    def name(self) -> str:
        """Name of its run."""
        return f"{self.images.name}-{self.label.replace(' ', '-')}"


def tiled(side: int) -> dict[str, Any]:
    """Options of tiles of this side; the coarse pass is trained too, and left out where tiles are alone.

    The score is decided later, on the images that set the threshold.
    """
    return {"tile": str(side), "coarse": True, "score": "map"}


def variants(screws: Path | None) -> list[Variant]:
    """All trainings, in the order in which they are done.

    Args:
        screws: folder of the category screw at its true size; None leaves the screws out.
    """
    found = [
        Variant(Plates(2048), "stretched"),
        Variant(Plates(2048), "tiles 512", tiled(512)),
        Variant(Plates(2048), "tiles 256", tiled(256)),
        Variant(Plates(4096), "stretched"),
        Variant(Plates(4096), "tiles 512", tiled(512)),
        # A panel has the same detail at every size, so that a tile of it looks like one of the smaller panel.
        Variant(
            Plates(4096), "tiles 512 as of 2048 px", network=Variant(Plates(2048), "tiles 512", tiled(512))
        ),
    ]
    if screws is not None:
        nine, one = Screws(screws, nine=True), Screws(screws, nine=False)
        found += [
            Variant(nine, "stretched"),
            Variant(nine, "tiles 512", tiled(512)),
            Variant(one, "256 px"),
        ]
    return found


@dataclass(frozen=True)
class Length:
    """How long each training is: steps of the student, and image pairs of a step."""

    steps: int = 300
    batch_size: int = 8


class _Lines(Listener):
    """Prints the lines of a training, and every 25th step."""

    def say(self, text: str) -> None:
        print(text, flush=True)

    def step(
        self, phase: str, progress: Progress, losses: dict[str, float], images_per_second: float
    ) -> None:
        if progress.step % 25 == 0:
            print(f"{phase}: step {progress.step}, {images_per_second:.1f} images/s", flush=True)


def trained(variant: Variant, scratch: Path, counts: Counts, length: Length) -> Run:
    """The variant's finished run; trained now, or continued, unless it is there, or that of its network.

    Only the model is trained: what ``train`` measures afterwards is measured here for all variants alike.

    Args:
        variant: what is trained.
        scratch: folder of data and runs.
        counts: number of training images.
        length: of the training.
    """
    variant = variant.network or variant
    folder = scratch / "runs" / variant.name
    state = state_of(folder)
    if state not in ("trained", "finished"):
        variant.images.write_training(scratch / "data", counts)
        options = TrainOptions(
            data=scratch / "data",
            category=variant.images.name,
            runs_dir=scratch / "runs",
            run=variant.name,
            steps=length.steps,
            resume=state == "unfinished",
            overwrite=state == "begun",
            **({"batch_size": length.batch_size} | variant.options),
        )
        plan = plan_training(options)
        with run_lock(folder):
            config = open_run(folder, plan.config, resume=options.resume, overwrite=options.overwrite)
            category = load_category(config.data, config.category)
            make_folder(folder)
            Trainer(config, category, folder, _Lines(), resume=options.resume).run()
    return load_run(folder)
