"""Former name of ``timed_detector``."""

from dmdd_edge.runtime.bench.timed_detector import TimedDetector as Subject

__all__ = ["Subject"]
