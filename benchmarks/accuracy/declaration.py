"""An experiment: a category, changes to a recipe, a length, a seed, and the images it may use."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Experiment:
    """One row of the study.

    Attributes:
        name: unique over all sets; also the name of the run's folder.
        category: the category's name.
        steps: length; always stated, so that budgets can be compared.
        seed: seed of every random number.
        data: data set, a folder under the root given by --data.
        recipe: recipe to change.
        model, synthesis, run: changes to ``ModelConfig``, ``SynthesisConfig`` and ``TrainConfig``. A folder
            of textures is relative to the same root.
        after: name of an experiment whose trained networks are reused. Nothing is trained: ``model`` may
            then change the head only, and the steps are those of that experiment.
        images: number of training images to use (few-shot); None for all.
        defective: share of defective images among the training images (contamination); None for a plain
            run. 0.0 is the clean run that the others are compared with: it is measured on the same, smaller
            test set.
        label: name of the row in a table; the name when empty.
        paper: the paper's image AUROC, pixel AUROC and PRO of this row in percent, or None.
    """

    name: str
    category: str
    steps: int
    seed: int = 0
    data: str = "mvtec"
    recipe: str = "edge"
    model: Mapping[str, Any] = field(default_factory=dict)
    synthesis: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    after: str | None = None
    images: int | None = None
    defective: float | None = None
    label: str = ""
    paper: tuple[float, float, float] | None = None

    @property
    def key(self) -> str:
        """Name and a digest of the declaration: a changed declaration is another experiment."""
        declared = self.declared()
        digest = hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()
        return f"{self.name}-{digest[:8]}"

    def declared(self) -> dict[str, Any]:
        """Fields that decide the outcome, as stored in the row; without the label and the paper's figures."""
        shown = asdict(self)
        for name in ("label", "paper"):
            del shown[name]
        for name in ("model", "synthesis", "run"):
            shown[name] = dict(shown[name])
        return shown

    def longer(self, steps: int) -> Experiment:
        """The same experiment with another length, which its name states."""
        after = None if self.after is None else f"{self.after}-{steps}"
        return replace(self, name=f"{self.name}-{steps}", steps=steps, after=after)


Sets = Mapping[str, Sequence[Experiment]]


def check(sets: Sets) -> None:
    """Check what the queue relies on.

    Raises:
        ValueError: a name is used for different experiments, or ``after`` names an unknown one.
    """
    known: dict[str, Experiment] = {}
    for experiments in sets.values():
        for experiment in experiments:
            other = known.setdefault(experiment.name, experiment)
            if other.key != experiment.key:
                raise ValueError(f"Two different experiments have the name {experiment.name!r}.")
    for experiment in known.values():
        if experiment.after is not None and experiment.after not in known:
            raise ValueError(f"{experiment.name!r} comes after {experiment.after!r}, which is not declared.")
