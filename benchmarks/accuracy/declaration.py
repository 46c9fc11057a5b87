"""What an experiment is: a category, changes to a recipe, a length, a seed, and which images it may see."""

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
        name: what it is called, also the name of its run's folder; unique over all sets.
        category: the category's name.
        steps: length; every experiment says it, so that budgets can be compared.
        seed: of every random number.
        data: data set, a folder under the root that is given with --data.
        recipe: recipe that the changes are made to.
        model, synthesis, run: changes to ``ModelConfig``, ``SynthesisConfig`` and ``TrainConfig``. A folder
            of textures is named under the same root.
        after: name of an experiment whose trained networks are used again. Nothing is trained: ``model`` may
            then change the head alone, and the steps are those of that experiment.
        images: use so many of the training images only (few-shot); None for all.
        defective: share of defective images among the training images (contamination); None for a plain
            run. 0.0 is the clean run that the others are compared with: it is measured on the same, smaller
            test set.
        label: what the row is called in a table; the name when empty.
        paper: the paper's image AUROC, pixel AUROC and PRO for this row, in percent, where it has one.
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
        """Name and a digest of what was declared: a changed declaration is another experiment."""
        declared = self.declared()
        digest = hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()
        return f"{self.name}-{digest[:8]}"

    def declared(self) -> dict[str, Any]:
        """What decides the outcome, as it is kept in the row; the label and the paper's figures do not."""
        shown = asdict(self)
        for name in ("label", "paper"):
            del shown[name]
        for name in ("model", "synthesis", "run"):
            shown[name] = dict(shown[name])
        return shown

    def longer(self, steps: int) -> Experiment:
        """The same with another length, and a name that says so."""
        after = None if self.after is None else f"{self.after}-{steps}"
        return replace(self, name=f"{self.name}-{steps}", steps=steps, after=after)


Sets = Mapping[str, Sequence[Experiment]]


def check(sets: Sets) -> None:
    """Hold the declarations to what the queue relies on.

    Raises:
        ValueError: a name is used twice for different experiments, or ``after`` names none.
    """
    known: dict[str, Experiment] = {}
    for experiments in sets.values():
        for experiment in experiments:
            other = known.setdefault(experiment.name, experiment)
            if other.key != experiment.key:
                raise ValueError(f"two different experiments are called {experiment.name!r}")
    for experiment in known.values():
        if experiment.after is not None and experiment.after not in known:
            raise ValueError(f"{experiment.name!r} comes after {experiment.after!r}, which is not declared")
