"""Preparation of a training: the networks, the images, their foreground, and the textures of anomalies."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from dmdd_edge.data.datasets import Category, grouped
from dmdd_edge.train import checkpoint as files
from dmdd_edge.train import costs, length
from dmdd_edge.train.alignment import Alignment
from dmdd_edge.train.config import Foreground, TrainConfig
from dmdd_edge.train.continuation import held_out
from dmdd_edge.train.data import TrainingImages, load_images
from dmdd_edge.train.devices import choose_device
from dmdd_edge.train.fold import fold_batchnorm
from dmdd_edge.train.image_change import ImageChange
from dmdd_edge.train.image_lists import read_lists, write_lists
from dmdd_edge.train.known_bad import KnownBad, load_known_bad
from dmdd_edge.train.listener import Listener
from dmdd_edge.train.memory import keep_freed_memory
from dmdd_edge.train.model import DMDD
from dmdd_edge.train.parent import load_alignment, load_brightness, start_from_parent
from dmdd_edge.train.steps import Stopwatch
from dmdd_edge.train.synthesis import foreground
from dmdd_edge.train.synthesis.feeder import PairFeeder
from dmdd_edge.train.synthesis.foreground import ForegroundMasks
from dmdd_edge.train.synthesis.textures import (
    FolderTextures,
    MixedTextures,
    OwnTextures,
    ProceduralTextures,
    Textures,
)
from dmdd_edge.train.tile_bank import load_tiles, tiles_to_come
from dmdd_edge.train.tile_choice import inputs_each
from dmdd_edge.train.tile_cost import describe_tiles

#: Why nothing is done to the images where the user wants that.
_OFF = "switched off"
#: What the log says where it is done, and where it is not.
_ALIGNING = (
    "the parts have different orientations: each image is rotated first (--align auto)",
    "images are not rotated",
)
_EQUALIZING = (
    "each image is made as bright as the good images (--brightness auto)",
    "images keep their brightness",
)
#: How the part is found, by method.
_PLACE = {
    "otsu": "where the brightness differs from the background, by Otsu's threshold",
    "grabcut": "by GrabCut",
    "none": "the whole image",
}
#: Why an image that is aligned is rejected whatever the part looks like.
_BESIDE = "something beside the part, where the rotated image does not reach; such images are rejected"
#: Streams of random numbers that one training draws from; a continued one draws from the next ones.
_STREAMS = 2


@dataclass(frozen=True)
class Prepared:
    """Everything that the phases of a training share and do not replace.

    Attributes:
        config: the run's configuration.
        category: its images.
        folder: of the run.
        listener: receives progress.
        device: where the networks are.
        model: with the teacher's weights; student and head are trained in place.
        teacher: the model's teacher with BatchNorm folded, frozen.
        images: training and held-out images, as the networks see them.
        not_aligned: why they are not aligned; None where they are.
        own_brightness: why they keep their brightness; None where it is changed.
        foreground: where the part is in each training image.
        textures: source of foreign textures.
        known_bad: images of known-bad parts; None where the user gave none.
        watch: sums the seconds of each part of the training.
        started: ``time.monotonic()`` when the preparation began.
    """

    config: TrainConfig
    category: Category
    folder: Path
    listener: Listener
    device: torch.device
    model: DMDD
    teacher: nn.Module
    images: TrainingImages
    not_aligned: str | None
    own_brightness: str | None
    foreground: ForegroundMasks
    textures: Textures
    known_bad: KnownBad | None
    watch: Stopwatch
    started: float

    def feeder(self, stream: int) -> PairFeeder:
        """Synthetic pairs, drawn from a stream of random numbers."""
        return PairFeeder(
            self.images.train,
            self.foreground.masks,
            self.textures,
            self.config.synthesis,
            batch_size=self.config.batch_size,
            seed=self.config.seed,
            stream=stream + _STREAMS * self.config.parent.generation if self.config.parent else stream,
            workers=self.config.workers,
        )


def prepare(
    config: TrainConfig, category: Category, folder: Path, listener: Listener, *, resume: bool
) -> Prepared:
    """Open a run's folder, build the networks, read the images and find the part in them.

    Args:
        config: the run's configuration; written into the folder.
        category: its images.
        folder: of the run; made where it is missing.
        listener: receives progress.
        resume: take the teacher from the folder, if it is there.

    Raises:
        DmddError: the device, the weights or the images cannot be used.
    """
    started = time.monotonic()
    device = choose_device(config.device)
    if device.type == "cpu":
        keep_freed_memory()
    watch = Stopwatch(device)
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(folder / files.CONFIG, config.model_dump(mode="json"))
    torch.manual_seed(config.seed)  # initial weights of student and head
    model = _build(config, folder, resume)
    model.to(device).to(memory_format=torch.channels_last)
    teacher = fold_batchnorm(model.teacher).to(memory_format=torch.channels_last)
    if config.preprocess.tiling is not None:
        size = config.model.image_size
        for line in describe_tiles(config.preprocess, category.train, size, model, device):
            listener.say(line)
    images = _read_images(config, category, folder, listener, watch, resume=resume)
    not_aligned = _align(config, folder, model, images, listener, watch)
    own_brightness = _equalize(config, folder, model, images, watch)
    for reason, done, kept in ((not_aligned, *_ALIGNING), (own_brightness, *_EQUALIZING)):
        if reason != _OFF:
            listener.say(done if reason is None else f"{kept}: {reason}")
    known_bad = _read_known_bad(config, category, images, listener)
    return Prepared(
        config=config,
        category=category,
        folder=folder,
        listener=listener,
        device=device,
        model=model,
        teacher=teacher,
        images=images,
        not_aligned=not_aligned,
        own_brightness=own_brightness,
        foreground=_find_foreground(config, images, folder, listener, watch),
        textures=_textures(config, images),
        known_bad=known_bad,
        watch=watch,
        started=started,
    )


def _build(config: TrainConfig, folder: Path, resume: bool) -> DMDD:
    """The model with the teacher's weights: the folder's own when resumed, so that no download is needed."""
    file = folder / files.TEACHER
    if config.parent is not None and not (folder / files.MODEL).is_file():
        return start_from_parent(config, config.parent, folder)
    if not (resume and file.is_file()):
        model = DMDD(config.model, config.weights)
        files.write_tensors(file, model.teacher.state_dict())
        return model
    model = DMDD(config.model, pretrained=False)
    state = files.read_tensors(file)[0]
    model.teacher.load_state_dict(state)
    student = model.student.state_dict()
    shared = {name: value for name, value in state.items() if name in student}
    model.student.load_state_dict({**student, **shared})
    return model


def _read_images(
    config: TrainConfig,
    category: Category,
    folder: Path,
    listener: Listener,
    watch: Stopwatch,
    *,
    resume: bool,
) -> TrainingImages:
    """Read the normal images, report what was left out, and announce the phases to come."""
    size, tiled = config.model.image_size, config.preprocess.tiling is not None
    inputs = inputs_each(config.preprocess, category.train, size)

    def announce(count: int, held: int) -> None:
        steps = length.steps_of(config, count)
        listener.expect(costs.preparation(config, count))
        files = len(category.train) if tiled else None
        listener.expect(costs.training(config, count, held, len(category.test), steps, inputs, files))

    listener.preparing(costs.READING, 0, None)
    # Else reading would be all there is to estimate; the counts follow.
    announce(
        tiles_to_come(config.preprocess, category.train, size, config.holdout)
        if tiled
        else len(category.train),
        1,
    )
    skipped_before = len(category.skipped)
    known: Collection[Path] | None = None
    if config.parent is not None:
        known = held_out(folder, config)
    elif resume and (lists := read_lists(folder, category)) is not None:
        known = lists.holdout
    with watch.part("read"):
        if tiled:
            images = load_tiles(
                category,
                config.preprocess,
                size,
                config.holdout,
                config.seed,
                _foreground_kind(config),
                known,
                partial(listener.preparing, costs.READING),
            )
        else:
            images = load_images(category, config.preprocess, size, config.holdout, config.seed, known)
    if known is None:
        write_lists(folder, category, images)
    trained, held = len(images.train_paths), len(images.holdout_paths)
    listener.say(f"{trained} training images, {held} held out for the threshold")
    for line in grouped(category.skipped[skipped_before:]):
        listener.say(f"not used: {line}")
    count = len(images.train)
    doubts = [f"note: {line}" for line in images.doubts]
    unit = f"tiles of {trained} images" if tiled else "images"
    for line in [*doubts, *length.describe(config, count, unit)]:
        listener.say(line)
    announce(count, held)
    return images


def _align(
    config: TrainConfig,
    folder: Path,
    model: DMDD,
    images: TrainingImages,
    listener: Listener,
    watch: Stopwatch,
) -> str | None:
    """Rotate the images to one orientation of the part, where that can be done; else the model does without.

    A continued run rotates them as the one before.

    Returns:
        why they are not rotated; None where they are.
    """
    if config.model.align == "off":
        return _OFF
    if config.preprocess.tiling is not None or config.preprocess.ignore is not None:
        return "tiles and ignored pixels cannot be rotated with the part"
    with watch.part("alignment"):
        continued = config.parent is not None
        reason = load_alignment(model, folder) if continued else model.fit_alignment(images.train)
        if model.alignment is not None:
            strange = _noticed(model.alignment, images)
            for line in grouped([(path, _BESIDE) for path in strange]):
                listener.say(f"note: {line}")
            _change(images, model.alignment)
    return reason


def _noticed(alignment: Alignment, images: TrainingImages) -> list[Path]:
    """The images that show something beside the part where the aligned image does not reach."""
    both = ((images.train, images.train_paths), (images.holdout, images.holdout_paths))
    return [
        path
        for some, paths in both
        if len(some)
        for path, found in zip(paths, alignment.noticed(some), strict=True)
        if found
    ]


def _equalize(
    config: TrainConfig, folder: Path, model: DMDD, images: TrainingImages, watch: Stopwatch
) -> str | None:
    """Make the images equally bright, where that can be done.

    A continued run makes them as bright as the one before.

    Returns:
        why they keep their brightness; None where it is changed.
    """
    if config.model.brightness == "off":
        return _OFF
    if config.preprocess.tiling is not None:
        return "they are cut into tiles"
    with watch.part("brightness"):
        continued = config.parent is not None
        reason = load_brightness(model, folder) if continued else model.fit_brightness(images.train)
        if model.brightness is not None:
            _change(images, model.brightness)
    return reason


def _change(images: TrainingImages, change: ImageChange) -> None:
    images.train, images.holdout = change.changed(images.train), change.changed(images.holdout)


def _read_known_bad(
    config: TrainConfig, category: Category, images: TrainingImages, listener: Listener
) -> KnownBad | None:
    if config.known_bad is None:
        return None
    known_bad, lines = load_known_bad(
        config.known_bad,
        category.name,
        [*images.train_paths, *images.holdout_paths],
        config.preprocess,
        config.model.image_size,
    )
    listener.say(f"{len(known_bad.names)} known-bad parts, which are not trained on")
    for line in lines:
        listener.say(line)
    return known_bad


def _textures(config: TrainConfig, images: TrainingImages) -> Textures:
    size, share = config.model.image_size, config.synthesis.own_textures
    folder = config.synthesis.textures
    textures: Textures = ProceduralTextures(size) if folder is None else FolderTextures(folder, size)
    return MixedTextures(textures, OwnTextures(images.train), share) if share > 0 else textures


def _foreground_kind(config: TrainConfig) -> Foreground:
    return config.synthesis.foreground if config.synthesis.fas else "none"


def _find_foreground(
    config: TrainConfig, images: TrainingImages, folder: Path, listener: Listener, watch: Stopwatch
) -> ForegroundMasks:
    method = _foreground_kind(config)
    masks = images.foreground
    if masks is None:
        count = len(images.train)
        listener.preparing(costs.FOREGROUND, 0, count)
        with watch.part("foreground"):
            masks = foreground.cached_masks(
                folder / "foreground.npz",
                list(images.train),
                method,
                lambda done: listener.preparing(costs.FOREGROUND, done, count),
            )
    failed = f", {masks.failed} fell back to the full image" if masks.failed else ""
    listener.say(f"place of the part in the images: {_PLACE[masks.method]} (--foreground {method}){failed}")
    return masks
