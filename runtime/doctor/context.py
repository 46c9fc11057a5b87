"""The context of an examination: the platform, the user's folders, and how to call into a subprocess."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dmdd_edge.runtime.doctor.install import Platform
from dmdd_edge.runtime.doctor.subprocess_call import Reply

#: Called like ``subprocess_call.call``.
Call = Callable[..., Reply]


@dataclass(frozen=True)
class Context:
    """What every examination needs.

    Attributes:
        call: calls a function in a subprocess.
        platform: this machine's platform, for the commands that install what is missing.
        models_dir: the folder of bundles.
        engine_cache: the folder of engines built here; None for the user's default.
        gpu: whether the machine has an NVIDIA GPU, working or not.
    """

    call: Call
    platform: Platform
    models_dir: Path
    engine_cache: Path | None = None
    gpu: bool = False

    @property
    def with_gpu(self) -> str:
        """The suffix of a purpose that needs a GPU; empty where there is one."""
        return "" if self.gpu else ", once there is an NVIDIA GPU"
