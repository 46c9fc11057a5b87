"""What is measured on held-out good images at the end of a tiled training: levels of both maps, of places."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from dmdd_edge.data.spread import spread
from dmdd_edge.data.tiles import Tiling
from dmdd_edge.evaluation.views import Views
from dmdd_edge.train import costs
from dmdd_edge.train.coarse_gain import measure_gain, measure_score_gain
from dmdd_edge.train.evaluation import torch_predictor
from dmdd_edge.train.place_choice import choose_place
from dmdd_edge.train.preparation import Prepared

#: Held-out images on which the gain of the score is measured again, beside the levels of places.
_AGAIN = 20


def measure_levels(prepared: Prepared) -> dict[str, Any]:
    """The gains of the coarse pass and the levels of places, as facts of the run; {} without tiles.

    Levels of places are written into the run's folder.

    Args:
        prepared: of a training whose model is finished.
    """
    tiling = prepared.config.preprocess.tiling
    if tiling is None:
        return {}
    gains = _gains(prepared) if tiling.coarse else {}
    return {**gains, **_places(prepared, tiling.model_copy(update=gains))}


def _gains(prepared: Prepared) -> dict[str, float]:
    """The gains of a category whose whole images are judged beside their tiles."""
    config, images, listener = prepared.config, prepared.images, prepared.listener
    with prepared.watch.part("coarse gain"):
        gains = measure_gain(
            torch_predictor(prepared.model),
            config.preprocess,
            config.model.image_size,
            images.holdout_paths or images.train_paths,
            partial(listener.preparing, costs.COARSE),
        )
    if gains is None:
        return {}
    gain, score_gain = gains
    listener.note(
        f"odds of the whole image's map are multiplied by {gain:.4g}, of its score by {score_gain:.4g}"
    )
    return {"coarse_gain": round(gain, 6), "coarse_score_gain": round(score_gain, 6)}


def _places(prepared: Prepared, tiling: Tiling) -> dict[str, Any]:
    """What was decided on the comparison with good parts at the same place, and a gain that it changes."""
    config, listener, paths = prepared.config, prepared.listener, prepared.images.holdout_paths
    if config.score == "map":
        return {}
    size, predict = config.model.image_size, torch_predictor(prepared.model)
    preprocess = config.preprocess.model_copy(update={"tiling": tiling})
    with prepared.watch.part("places"):
        choice = choose_place(
            predict,
            preprocess,
            size,
            paths,
            config.score,
            config.seed,
            partial(listener.preparing, costs.PLACES),
            _others(prepared),
        )
        listener.note(f"score: {choice.reason}")
        facts: dict[str, Any] = {"place": choice.facts}
        if choice.levels is None:
            return facts
        choice.levels.write(prepared.folder)
        if tiling.coarse_score_gain is not None:
            placed = tiling.model_copy(update={"levels": choice.levels.levels()})
            own = choice.levels.of_others(paths)
            some = tuple(list(own)[index] for index in spread(len(own), _AGAIN))
            views = Views(some, preprocess.model_copy(update={"tiling": placed}), size, own_levels=own)
            gain = measure_score_gain(predict, views, partial(listener.preparing, costs.COARSE_SCORE))
            listener.note(
                f"odds of the whole image's score are multiplied by {gain:.4g} beside the same place"
            )
            facts["coarse_score_gain"] = round(gain, 6)
    return facts


def _others(prepared: Prepared) -> list[Path]:
    """The other images that a run with levels prepares, so that they need one size."""
    bad = None if prepared.known_bad is None else prepared.known_bad.images
    return [*prepared.images.train_paths, *(bad.paths if isinstance(bad, Views) else ())]
