"""The training run: preparation, the student's and the head's phases, checkpoints, resume."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dmdd_edge.datasets import Category, grouped
from dmdd_edge.errors import DmddError
from dmdd_edge.train import checkpoint as files
from dmdd_edge.train import costs, length
from dmdd_edge.train.config import TrainConfig
from dmdd_edge.train.data import TrainingImages, load_images
from dmdd_edge.train.devices import choose_device
from dmdd_edge.train.features import TeacherFeatures, to_input
from dmdd_edge.train.fold import fold_batchnorm
from dmdd_edge.train.head import ScaledHead
from dmdd_edge.train.listener import Listener, Stopped
from dmdd_edge.train.memory import denormals_flushed, keep_freed_memory
from dmdd_edge.train.model import DMDD
from dmdd_edge.train.run_folder import COMPLETE
from dmdd_edge.train.scales import MapChoice, describe_choice, fit_head
from dmdd_edge.train.schedule import Progress, learning_rate
from dmdd_edge.train.steps import (
    Precision,
    Stopwatch,
    describe_split,
    distance_maps,
    head_step,
    student_step,
)
from dmdd_edge.train.synthesis import foreground
from dmdd_edge.train.synthesis.feeder import PairFeeder
from dmdd_edge.train.synthesis.textures import (
    FolderTextures,
    MixedTextures,
    OwnTextures,
    ProceduralTextures,
    Textures,
)

_SAVE_SECONDS = 60.0
#: The streams of random numbers that the phases draw their anomalies from.
_STUDENT_STREAM, _HEAD_STREAM = 0, 1
#: Share of a --max-minutes budget kept for the head and the test images while nothing is measured; its
#: smallest and largest seconds.
_RESERVE = (0.08, 15.0, 120.0)


@dataclass
class Trainer:
    """Trains one category into a run's folder.

    Args:
        config: the run's configuration.
        category: its images.
        folder: where the run is written; must exist and hold the configuration when resumed.
        listener: told of progress.
        resume: go on from the folder's last checkpoint.
        began: ``time.monotonic()`` from which a time limit counts; by default when ``run`` is called.
    """

    config: TrainConfig
    category: Category
    folder: Path
    listener: Listener = field(default_factory=Listener)
    resume: bool = False
    began: float | None = None

    def run(self) -> files.Run:
        """Train to the end and write the run.

        Returns:
            the finished run, as ``load_run`` gives it.

        Raises:
            DmddError: for whatever a user can mend: images, weights, device, a full disk.
            Stopped: the listener asked for it; the checkpoint is written.
        """
        self.started = time.monotonic()
        self.choice: MapChoice | None = None
        config = self.config
        self.device = choose_device(config.device)
        if self.device.type == "cpu":
            keep_freed_memory()
        self.watch = Stopwatch(self.device)
        self.folder.mkdir(parents=True, exist_ok=True)
        files.write_json(self.folder / files.CONFIG, config.model_dump(mode="json"))
        torch.manual_seed(config.seed)  # initial weights of student and head
        self.model = self._build()
        self.images = self._load_images()
        self._prepare_synthesis()
        if self.resume and (self.folder / files.MODEL).is_file():
            return self._trained_before()
        self._cache_features()
        self._start_state()
        self._train_student()
        self._train_head()
        return self._finish()

    def _trained_before(self) -> files.Run:
        """A run that ended after its model was written: only what follows the training is left to do."""
        files.load_trainable(self.model, files.read_tensors(self.folder / files.MODEL)[0])
        (self.folder / files.STATE).unlink(missing_ok=True)
        return files.Run(self.folder, self.config, files.read_facts(self.folder), self.model.eval())

    def _build(self) -> DMDD:
        teacher = self.folder / files.TEACHER
        if self.resume and teacher.is_file():
            model = DMDD(self.config.model, pretrained=False)
            state = files.read_tensors(teacher)[0]
            model.teacher.load_state_dict(state)
            own = model.student.state_dict()
            model.student.load_state_dict(
                {**own, **{name: value for name, value in state.items() if name in own}}
            )
        else:
            model = DMDD(self.config.model, self.config.weights)
            files.write_tensors(teacher, model.teacher.state_dict())
        model.to(self.device).to(memory_format=torch.channels_last)
        self.teacher = fold_batchnorm(model.teacher).to(memory_format=torch.channels_last)
        return model

    def _load_images(self) -> TrainingImages:
        config = self.config
        self.listener.preparing(costs.READING, 0, None)
        known = len(self.category.skipped)
        with self.watch.part("read"):
            images = load_images(
                self.category, config.preprocess, config.model.image_size, config.holdout, config.seed
            )
        say = self.listener.say
        say(f"{len(images.train)} images to learn from, {len(images.holdout)} held out for the threshold")
        for line in grouped(self.category.skipped[known:]):
            say(f"not used: {line}")
        doubts = [f"note: {line}" for line in images.doubts]
        for line in [*doubts, *length.describe(config, len(images.train))]:
            say(line)
        counts = len(images.train), len(images.holdout), len(self.category.test)
        self.listener.expect(costs.preparation(config, counts[0]))
        self.listener.expect(costs.training(config, *counts, length.steps_of(config, counts[0])))
        return images

    def _prepare_synthesis(self) -> None:
        config, images = self.config, self.images
        size = config.model.image_size
        self.textures: Textures = (
            ProceduralTextures(size)
            if config.synthesis.textures is None
            else FolderTextures(config.synthesis.textures, size)
        )
        share = config.synthesis.own_textures
        if share > 0:
            self.textures = MixedTextures(self.textures, OwnTextures(images.train), share)
        kind = config.synthesis.foreground if config.synthesis.fas else "none"
        self.listener.preparing(costs.FOREGROUND, 0, len(images.train))
        with self.watch.part("foreground"):
            self.foreground = foreground.cached_masks(
                self.folder / "foreground.npz",
                list(images.train),
                kind,
                lambda done: self.listener.preparing(costs.FOREGROUND, done, len(images.train)),
            )
        found = self.foreground
        failed = f", {found.failed} fell back to the full image" if found.failed else ""
        self.listener.say(f"foreground: {found.method} (asked for {kind}){failed}")

    def _cache_features(self) -> None:
        images = self.images.train
        self.model.eval()
        self.listener.preparing(costs.TEACHER, 0, len(images))
        with self.watch.part("teacher cache"):
            self.features = TeacherFeatures(
                self.teacher,
                self.model.normalise,
                images,
                self.device,
                budget_mb=self.config.cache_mb,
                progress=lambda done: self.listener.preparing(costs.TEACHER, done, len(images)),
            )
        kept = (
            "kept in memory"
            if self.features.cached is not None
            else "over the memory budget, computed each time"
        )
        self.listener.say(f"teacher features of the normals: {self.features.needed_mb:.0f} MiB, {kept}")

    def _start_state(self) -> None:
        config = self.config
        self.optimiser = torch.optim.Adam(self.model.student.parameters(), config.lr, betas=config.betas)
        head = list(self.model.head.parameters())
        self.head_optimiser = torch.optim.Adam(head, config.head_lr, betas=config.betas) if head else None
        self.precision = Precision(config.amp, self.device)
        budget = 60.0 * (config.max_minutes or 0.0)
        reserve = min(max(_RESERVE[0] * budget, _RESERVE[1]), _RESERVE[2])
        began = self.started if self.began is None else self.began
        self.progress = Progress.plan(config, len(self.images.train), began, reserve)
        state = self.folder / files.STATE
        self.spent = 0.0
        if not (self.resume and state.is_file()):
            return
        tensors, facts = files.read_tensors(state)
        model = {
            name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")
        }
        files.load_trainable(self.model, model)
        files.load_optimiser("student", self.optimiser, tensors)
        if self.head_optimiser is not None:
            files.load_optimiser("head", self.head_optimiser, tensors)
        self.precision.scaler.load_state_dict(facts["scaler"])
        self.progress.step, self.progress.fraction = facts["step"], facts["fraction"]
        self.progress.seconds_per_step = facts["seconds_per_step"]
        self.spent = facts["spent"]
        self.progress.started -= self.spent
        self.progress.keep(reserve)
        self.listener.say(f"resuming after step {self.progress.step}")

    def _save_state(self) -> None:
        tensors = {f"model.{name}": value for name, value in files.trainable_state(self.model).items()}
        tensors |= files.optimiser_tensors("student", self.optimiser)
        if self.head_optimiser is not None:
            tensors |= files.optimiser_tensors("head", self.head_optimiser)
        facts = {
            "step": self.progress.step,
            "fraction": self.progress.fraction,
            "seconds_per_step": self.progress.seconds_per_step,
            "spent": self.spent + time.monotonic() - self.started,
            "scaler": self.precision.scaler.state_dict(),
        }
        files.write_state(self.folder, tensors, facts, self.listener.say)

    def _feeder(self, stream: int) -> PairFeeder:
        return PairFeeder(
            self.images.train,
            self.foreground.masks,
            self.textures,
            self.config.synthesis,
            batch_size=self.config.batch_size,
            seed=self.config.seed,
            stream=stream,
            workers=self.config.workers,
        )

    def _train_student(self) -> None:
        config, progress = self.config, self.progress
        epoch_steps = max(1, -(-len(self.images.train) // config.batch_size))
        after_each_epoch = config.head_phase == "epoch" and self.head_optimiser is not None
        feeder = self._feeder(_STUDENT_STREAM)
        self.listener.preparing(costs.STUDENT, progress.step, progress.expected_steps)
        with denormals_flushed(), closing(feeder.batches(progress.step)) as batches:
            self.model.train()
            saved = time.monotonic()
            while not progress.done:
                began = time.perf_counter()
                for group in self.optimiser.param_groups:
                    group["lr"] = learning_rate(config, progress.fraction)
                batch = next(batches)
                losses = student_step(
                    self.model, self.features, batch, config, self.precision, self.optimiser, self.watch
                )
                last_in_epoch = progress.step % epoch_steps == epoch_steps - 1
                if after_each_epoch and last_in_epoch:
                    self._head_epoch(progress.step + 1 - epoch_steps, epoch_steps)
                seconds = time.perf_counter() - began
                progress.advance(seconds)
                self._report("student", losses, 2 * config.batch_size / seconds)
                if (reserve := self.listener.reserve()) is not None:
                    progress.keep(reserve)
                if self.listener.stop_asked():
                    self._save_state()
                    raise Stopped
                if time.monotonic() - saved > _SAVE_SECONDS or progress.step == 1:
                    self._save_state()
                    saved = time.monotonic()
        self.watch.seconds["waiting for synthesis"] = feeder.wait_seconds
        self._save_state()

    def _report(self, phase: str, losses: dict[str, torch.Tensor], rate: float) -> None:
        values = {name: float(value) for name, value in losses.items()}
        if not all(np.isfinite(list(values.values()))):
            raise DmddError(
                f"training diverged at step {self.progress.step}: {values}",
                fix=f"lower --lr (now {self.config.lr}) or choose --amp off, then train with --overwrite",
            )
        self.listener.step(phase, self.progress, values, rate)

    def _head_epoch(self, first: int, count: int) -> None:
        """The paper's second phase of an epoch: the head takes as many steps as the student took."""
        assert self.head_optimiser is not None
        self.model.eval()
        with self.watch.part("head"):
            feeder = self._feeder(_HEAD_STREAM)
            for step in range(first, first + count):
                images, masks = self._pairs(feeder, step)
                maps = distance_maps(self.model, self.teacher, images, self.precision)
                losses = head_step(self.model, maps, masks, self.head_optimiser)
        self._report("head", losses, 0.0)
        self.model.train()

    def _pairs(self, feeder: PairFeeder, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Normal and anomalous images of a step, uint8 2N x 3 x S x S, with masks float 2N x S x S."""
        batch = feeder.batch_at(step)
        both = np.concatenate([self.images.train[batch.index], batch.anomalous])
        masks = np.concatenate([np.zeros_like(batch.masks), batch.masks])
        return to_input(both, self.device), torch.from_numpy(masks).to(self.device).float()

    def _train_head(self) -> None:
        """The head learns once the student is done, from distance maps computed once."""
        config, optimiser = self.config, self.head_optimiser
        if isinstance(self.model.head, ScaledHead):
            self._fit_scales(self.model.head)
        if optimiser is None or config.head_phase != "end" or config.head_steps == 0:
            return
        self.model.eval()
        with self.watch.part("head"):
            feeder = self._feeder(_HEAD_STREAM)
            count = costs.head_batches(config, len(self.images.train))
            stored: list[tuple[list[torch.Tensor], torch.Tensor]] = []
            for step in range(count):
                images, masks = self._pairs(feeder, step)
                stored.append((distance_maps(self.model, self.teacher, images, self.precision), masks))
                self.listener.preparing(costs.HEAD_MAPS, step + 1, count)
            for step in range(config.head_steps):
                maps, masks = stored[step % count]
                losses = head_step(self.model, maps, masks, optimiser)
                self.listener.preparing(costs.HEAD, step + 1, config.head_steps)
                self._report("head", losses, 0.0)

    def _fit_scales(self, head: ScaledHead) -> None:
        """What the scaled head takes from the images, now that the student is done."""
        images = self.images
        self.model.eval()

        def distances(part: NDArray[np.uint8]) -> list[torch.Tensor]:
            return distance_maps(self.model, self.teacher, to_input(part, self.device), self.precision)

        with self.watch.part("head"):
            self.model.fit_density(self.features.batches())
            self.choice = fit_head(
                head,
                distances,
                images.train,
                images.holdout,
                self.foreground.method,
                self.listener.preparing,
            )
        if not (self.choice and self.choice.density):
            self.model.drop_density()
        if self.choice is not None:
            self.listener.say(describe_choice(self.choice.facts()))

    def _finish(self) -> files.Run:
        self.model.eval()
        seconds = self.spent + time.monotonic() - self.started
        facts: dict[str, Any] = {
            "layout": self.category.layout,
            "root": str(self.category.root.absolute()),
            "data_set": {**self.category.summary(), "doubts": self.images.doubts},
            "train": [str(path.absolute()) for path in self.images.train_paths],
            "holdout": [str(path.absolute()) for path in self.images.holdout_paths],
            "skipped": [[str(path.absolute()), reason] for path, reason in self.category.skipped],
            "foreground": {"method": self.foreground.method, "failed": self.foreground.failed},
            "steps": self.progress.step,
            "train_seconds": round(seconds, 1),
            "seconds": {name: round(value, 2) for name, value in self.watch.seconds.items()},
            "device": str(self.device),
            "amp": self.precision.name,
            "parameters": files.count_parameters(self.model.student)
            + files.count_parameters(self.model.head),
            "map_weights": None if self.choice is None else self.choice.facts(),
            "created_with": versions(),
            COMPLETE: False,
        }
        files.write_facts(self.folder, facts)
        files.write_tensors(self.folder / files.MODEL, files.trainable_state(self.model))
        (self.folder / files.STATE).unlink(missing_ok=True)
        self.listener.note(describe_split(facts["seconds"], seconds))
        return files.Run(self.folder, self.config, facts, self.model)


def versions() -> dict[str, str]:
    """Versions of what shapes a run's result."""
    import timm
    import torchvision

    from dmdd_edge._version import __version__

    return {
        "dmdd_edge": __version__,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "timm": timm.__version__,
    }
