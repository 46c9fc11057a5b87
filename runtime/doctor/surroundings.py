"""What every examination is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dmdd_edge.runtime.doctor.install import Platform
from dmdd_edge.runtime.doctor.isolate import Answer

#: Called like ``isolate.ask``.
Ask = Callable[..., Answer]


@dataclass(frozen=True)
class Surroundings:
    """What every examination is given.

    Attributes:
        ask: asks a question in a process of its own.
        here: the platform, for the commands that get what is missing.
        models_dir: where bundles are looked for.
        engine_cache: where engines built here lie; None for the user's own folder.
        gpu: whether an NVIDIA GPU is there, working or not.
    """

    ask: Ask
    here: Platform
    models_dir: Path
    engine_cache: Path | None = None
    gpu: bool = False

    @property
    def with_gpu(self) -> str:
        """What to add to a purpose that needs a GPU, where there is none."""
        return "" if self.gpu else ", once there is an NVIDIA GPU"
