"""The options of a run of the challenge set."""

from __future__ import annotations

from dataclasses import dataclass

from dmdd_edge.options.groups import BundleOptions
from dmdd_edge.runtime.options.backend import BackendName, CudaOptions
from dmdd_edge.runtime.options.run import ThresholdOptions


@dataclass(frozen=True, kw_only=True)
class ChallengeOptions(ThresholdOptions, CudaOptions, BackendName, BundleOptions):
    """With which version and thresholds the challenge set is run; see ``run_bundle``."""
