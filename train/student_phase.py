"""The student's phase: steps until the schedule or the clock ends it, with checkpoints on the way."""

from __future__ import annotations

import time
from contextlib import closing

from dmdd_edge.free_memory import free_memory_mb
from dmdd_edge.train import costs
from dmdd_edge.train.config import TrainConfig
from dmdd_edge.train.features import TeacherFeatures
from dmdd_edge.train.head_phase import train_head_epoch
from dmdd_edge.train.listener import Stopped
from dmdd_edge.train.memory import denormals_flushed
from dmdd_edge.train.preparation import Prepared
from dmdd_edge.train.schedule import learning_rate
from dmdd_edge.train.state import TrainingState, report_step, save_state
from dmdd_edge.train.steps import student_step

#: Seconds between two checkpoints.
SAVE_SECONDS = 60.0
#: Most MiB for the teacher's features of tiles, where --cache-mb does not set it.
TILES_CACHE_MB = 1536
#: The stream of random numbers that this phase draws its anomalies from.
_STREAM = 0


def cache_features(prepared: Prepared) -> TeacherFeatures:
    """The teacher's features of the normal images, kept if the memory budget allows it."""
    listener, images = prepared.listener, prepared.images.train
    prepared.model.eval()
    listener.preparing(costs.TEACHER, 0, len(images))
    with prepared.watch.part("teacher cache"):
        features = TeacherFeatures(
            prepared.teacher,
            prepared.model.normalize,
            images,
            prepared.device,
            budget_mb=_budget(prepared.config),
            progress=lambda done: listener.preparing(costs.TEACHER, done, len(images)),
        )
    where = "kept in memory" if features.cached is not None else "over the memory budget, computed each time"
    listener.say(f"features of the good images: {features.needed_mb:.0f} MiB, {where}")
    return features


def _budget(config: TrainConfig) -> int | None:
    """MiB for the cache; of a tiled category bounded, as its bank is."""
    if config.cache_mb is not None or config.preprocess.tiling is None:
        return config.cache_mb
    return min(TILES_CACHE_MB, free_memory_mb() // 2)


def train_student(prepared: Prepared, state: TrainingState, features: TeacherFeatures) -> None:
    """Train the student to the end of its schedule; with ``head_phase: epoch`` the head after each epoch.

    Args:
        prepared: its model is trained in place.
        state: advanced, and saved once a minute and at the end.
        features: of the normal images.

    Raises:
        DmddError: training diverged, or the checkpoint cannot be written.
        Stopped: the listener requested it; the checkpoint is written.
    """
    config, progress, listener = prepared.config, state.progress, prepared.listener
    epoch_steps = max(1, -(-len(prepared.images.train) // config.batch_size))
    after_each_epoch = config.head_phase == "epoch" and state.head_optimizer is not None
    feeder = prepared.feeder(_STREAM)
    listener.preparing(costs.STUDENT, progress.step, progress.expected_steps)
    with denormals_flushed(), closing(feeder.batches(progress.step)) as batches:
        prepared.model.train()
        saved = time.monotonic()
        while not progress.done:
            began = time.perf_counter()
            for group in state.optimizer.param_groups:
                group["lr"] = learning_rate(config, progress.fraction)
            losses = student_step(
                prepared.model,
                features,
                next(batches),
                config,
                state.precision,
                state.optimizer,
                prepared.watch,
            )
            last_in_epoch = progress.step % epoch_steps == epoch_steps - 1
            if after_each_epoch and last_in_epoch:
                train_head_epoch(prepared, state, progress.step + 1 - epoch_steps, epoch_steps)
            seconds = time.perf_counter() - began
            progress.advance(seconds)
            report_step(prepared, state, "student", losses, 2 * config.batch_size / seconds)
            if (reserve := listener.reserve()) is not None:
                progress.keep(reserve)
            if listener.stop_asked():
                save_state(prepared, state)
                raise Stopped
            if time.monotonic() - saved > SAVE_SECONDS or progress.step == 1:
                save_state(prepared, state)
                saved = time.monotonic()
    prepared.watch.seconds["waiting for synthesis"] = feeder.wait_seconds
    save_state(prepared, state)
