"""The head's phase: after the student's, or in turns with it as in the paper."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dmdd_edge.evaluation.views import Views
from dmdd_edge.train import costs
from dmdd_edge.train.features import TeacherFeatures, to_input
from dmdd_edge.train.head import ScaledHead
from dmdd_edge.train.known_bad_choice import ENOUGH, choose_by_known_bad, describe
from dmdd_edge.train.model import DMDD
from dmdd_edge.train.place_features import PlaceFeatures
from dmdd_edge.train.preparation import Prepared
from dmdd_edge.train.scales import STATISTICS, MapChoice, Progress, describe_choice, fit_head
from dmdd_edge.train.state import TrainingState, report_step
from dmdd_edge.train.steps import Features, distance_maps, features_of, head_step
from dmdd_edge.train.synthesis.feeder import PairFeeder
from dmdd_edge.train.synthesis.foreground import Mask, Method

#: The stream of random numbers that this phase draws its anomalies from.
_STREAM = 1
#: Images at once whose features give the lengths.
_BATCH = 8


def train_head(prepared: Prepared, state: TrainingState, features: TeacherFeatures) -> MapChoice | None:
    """Train or fit the head once the student is done.

    Args:
        prepared: its model's head is changed.
        state: of the finished student.
        features: of the normal images.

    Returns:
        the weights chosen for a scaled head's map; None for other heads, and where all are configured.

    Raises:
        DmddError: training diverged.
    """
    config, optimizer = prepared.config, state.head_optimizer
    prepared.model.eval()
    if isinstance(prepared.model.head, ScaledHead):
        return _fit_scaled(prepared, state, features, prepared.model.head)
    if optimizer is not None and config.head_phase == "end" and config.head_steps > 0:
        _train_at_the_end(prepared, state, optimizer)
    return None


def train_head_epoch(prepared: Prepared, state: TrainingState, first: int, count: int) -> None:
    """The paper's second phase of an epoch: the head takes as many steps as the student took.

    Args:
        prepared, state: of the training, inside the student's phase.
        first: step whose pairs come first.
        count: of steps, at least 1.
    """
    assert state.head_optimizer is not None
    prepared.model.eval()
    with prepared.watch.part("head"):
        feeder = prepared.feeder(_STREAM)
        for step in range(first, first + count):
            images, masks = _pairs(prepared, feeder, step)
            maps = distance_maps(prepared.model, prepared.teacher, images, state.precision)
            losses = head_step(prepared.model, maps, masks, state.head_optimizer)
    report_step(prepared, state, "head", losses, 0.0)
    prepared.model.train()


def _train_at_the_end(prepared: Prepared, state: TrainingState, optimizer: torch.optim.Optimizer) -> None:
    """Train on distance maps that are computed once, since the student no longer changes."""
    config, listener = prepared.config, prepared.listener
    with prepared.watch.part("head"):
        feeder = prepared.feeder(_STREAM)
        count = costs.head_batches(config, len(prepared.images.train))
        batches: list[tuple[list[Tensor], Tensor]] = []
        for step in range(count):
            images, masks = _pairs(prepared, feeder, step)
            maps = distance_maps(prepared.model, prepared.teacher, images, state.precision)
            batches.append((maps, masks))
            listener.preparing(costs.HEAD_MAPS, step + 1, count)
        for step in range(config.head_steps):
            losses = head_step(prepared.model, *batches[step % count], optimizer)
            listener.preparing(costs.HEAD, step + 1, config.head_steps)
            report_step(prepared, state, "head", losses, 0.0)


def _pairs(prepared: Prepared, feeder: PairFeeder, step: int) -> tuple[Tensor, Tensor]:
    """Normal and anomalous images of a step, uint8 2N x 3 x S x S, with masks float 2N x S x S."""
    batch = feeder.batch_at(step)
    both = np.concatenate([batch.normal, batch.anomalous])
    masks = np.concatenate([np.zeros_like(batch.masks), batch.masks])
    return to_input(both, prepared.device), torch.from_numpy(masks).to(prepared.device).float()


def _fit_scaled(
    prepared: Prepared, state: TrainingState, features: TeacherFeatures, head: ScaledHead
) -> MapChoice | None:
    """Fit all that a scaled head needs."""
    model, images = prepared.model, prepared.images
    known_bad = None if prepared.known_bad is None else prepared.known_bad.images
    if isinstance(known_bad, Views):
        # Held-out good images are here as tiles, and a part is judged by all of its tiles.
        prepared.listener.say(
            "known-bad parts do not choose weights of a tiled category; the finished run says which it finds"
        )
        known_bad = None
    if known_bad is not None:
        known_bad = model.as_seen(known_bad)

    def of(part: NDArray[np.uint8]) -> Features:
        return features_of(model, prepared.teacher, to_input(part, prepared.device), state.precision)

    with prepared.watch.part("head"):
        choice = fit_scaled(
            model,
            head,
            features.batches,
            of,
            images.train,
            images.holdout,
            prepared.foreground.method,
            prepared.listener.preparing,
            known_bad,
            _parts_of_tiles(prepared),
        )
    if choice is not None:
        prepared.listener.say(describe_choice(choice.facts()))
        for what, said in choice.known_bad.items():
            prepared.listener.say(describe(what, said))
    return choice


def _parts_of_tiles(prepared: Prepared) -> Sequence[Mask | None] | None:
    """Where the part is in the tiles that choose the weights; None without tiles."""
    images = prepared.images
    if images.holdout_parts is None:
        return None
    return images.holdout_parts if len(images.holdout) else prepared.foreground.masks


def _batches(
    features: Callable[[NDArray[np.uint8]], Features], images: NDArray[np.uint8], progress: Progress
) -> Iterator[Features]:
    for start in range(0, len(images), _BATCH):
        yield features(images[start : start + _BATCH])
        progress(STATISTICS, min(start + _BATCH, len(images)), len(images))


def fit_scaled(
    model: DMDD,
    head: ScaledHead,
    teacher: Callable[[], Iterable[list[Tensor]]],
    features: Callable[[NDArray[np.uint8]], Features],
    trained_on: NDArray[np.uint8],
    held_out: NDArray[np.uint8],
    method: Method,
    progress: Progress = lambda what, done, total: None,
    known_bad: NDArray[np.uint8] | None = None,
    parts: Sequence[Mask | None] | None = None,
) -> MapChoice | None:
    """Fit all that a scaled head needs, and leave out of the model the maps that are not chosen.

    Args:
        model: its student is trained; lengths, density, prototypes and head are changed.
        head: of the model.
        teacher: the teacher's features of the training images, from the first on in each call.
        features: of the teacher and the student, of uint8 n x S x S x 3 BGR.
        trained_on, held_out, method, progress, parts: as for ``fit_head``.
        known_bad: images of known-bad parts, uint8 m x S x S x 3 BGR; None without them.
    """
    count = len(trained_on)
    progress(STATISTICS, 0, count)
    model.fit_density(teacher())
    model.fit_prototypes(teacher(), count)
    by_place = isinstance(model.prototypes, PlaceFeatures)
    if model.lengths is not None:
        model.lengths.fit(_batches(features, trained_on, progress))
    choice = fit_head(
        head,
        lambda part: model.distances(*features(part)),
        trained_on,
        held_out,
        method,
        progress,
        parts,
        by_place=by_place,
    )
    if choice is not None and known_bad is not None and min(len(known_bad), len(held_out)) >= ENOUGH:

        def stacked(images: NDArray[np.uint8]) -> list[Tensor]:
            starts = range(0, len(images), _BATCH)
            return [
                head.stack(model.distances(*features(images[start : start + _BATCH]))) for start in starts
            ]

        with torch.no_grad():
            choice = choose_by_known_bad(head, stacked(known_bad), stacked(held_out), choice)
    if not (choice and choice.lengths):
        model.drop_lengths()
    if not (choice and choice.density):
        model.drop_density()
    if not (choice and (choice.prototypes or choice.place)):
        model.drop_prototypes()
    return choice
