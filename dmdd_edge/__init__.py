"""Edge deployment toolkit for visual anomaly detection with DMDD.

Train on images of good parts, export one fused graph as a bundle, and run it on images, videos and cameras::

    from pathlib import Path
    from dmdd_edge import Detector, ExportOptions, TrainOptions, export_bundle, train_detector

    run = train_detector(TrainOptions(data=Path("images/screw")))
    export = export_bundle(ExportOptions(category=run.category))
    with Detector.load(export.bundle.path) as detector:
        for result in detector.stream("/dev/video0"):
            print(result.status, result.score)

The names below are the public interface, and semantic versioning speaks of them: a minor version adds names,
parameters and fields, only a major version removes or changes them. Everything else in the package is
internal, though it may be imported. Each name is loaded on first use, so ``import dmdd_edge`` is quick and
needs no package besides the standard library; training and export need their extras.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmdd_edge._version import __version__
from dmdd_edge.errors import (
    BackendError,
    BundleError,
    DataError,
    DeliveryError,
    DmddError,
    FleetError,
    OptionError,
    SourceError,
    StorageError,
    TrainingError,
)
from dmdd_edge.lazy import lazy_names
from dmdd_edge.privacy import keep_private

keep_private()  # before any library is imported that would call home

if TYPE_CHECKING:
    from dmdd_edge.bundle.bundle import Bundle
    from dmdd_edge.export.evaluate_detector import Evaluated, evaluate_detector
    from dmdd_edge.export.export_bundle import Export, export_bundle
    from dmdd_edge.export.options import EvaluateOptions, ExportOptions
    from dmdd_edge.messages.phases import Cost
    from dmdd_edge.runtime.assembly import RunOutcome, run_source
    from dmdd_edge.runtime.collect.collect import Collected, collect_images
    from dmdd_edge.runtime.detector import Detector
    from dmdd_edge.runtime.frame import BrokenFrame, Frame
    from dmdd_edge.runtime.options.backend import BackendOptions
    from dmdd_edge.runtime.options.collect import CollectOptions
    from dmdd_edge.runtime.options.run import RunOptions
    from dmdd_edge.runtime.result import Region, Result, Timings
    from dmdd_edge.runtime.sinks import Sink
    from dmdd_edge.runtime.sources import Source, open_source
    from dmdd_edge.runtime.sources.options import SourceOptions
    from dmdd_edge.runtime.station.model import InspectionResult, Missed, PartResult
    from dmdd_edge.runtime.station.run_station import run_station
    from dmdd_edge.runtime.station.summary import PartSummary, StationSummary
    from dmdd_edge.runtime.summary import Summary
    from dmdd_edge.sample.write import write_sample
    from dmdd_edge.train.listener import Listener
    from dmdd_edge.train.options import TrainOptions
    from dmdd_edge.train.schedule import Progress
    from dmdd_edge.train.train_detector import TrainedRun, train_detector

#: Where each lazy name is defined.
_PLACES = {
    "BackendOptions": "dmdd_edge.runtime.options.backend",
    "BrokenFrame": "dmdd_edge.runtime.frame",
    "Bundle": "dmdd_edge.bundle",
    "CollectOptions": "dmdd_edge.runtime.options.collect",
    "Collected": "dmdd_edge.runtime.collect.collect",
    "Cost": "dmdd_edge.messages.phases",
    "Detector": "dmdd_edge.runtime.detector",
    "EvaluateOptions": "dmdd_edge.export.options",
    "Evaluated": "dmdd_edge.export.evaluate_detector",
    "Export": "dmdd_edge.export.export_bundle",
    "ExportOptions": "dmdd_edge.export.options",
    "Frame": "dmdd_edge.runtime.frame",
    "InspectionResult": "dmdd_edge.runtime.station.model",
    "Listener": "dmdd_edge.train.listener",
    "Missed": "dmdd_edge.runtime.station.model",
    "PartResult": "dmdd_edge.runtime.station.model",
    "PartSummary": "dmdd_edge.runtime.station.summary",
    "Progress": "dmdd_edge.train.schedule",
    "Region": "dmdd_edge.runtime.result",
    "Result": "dmdd_edge.runtime.result",
    "RunOptions": "dmdd_edge.runtime.options.run",
    "RunOutcome": "dmdd_edge.runtime.assembly",
    "Sink": "dmdd_edge.runtime.sinks",
    "Source": "dmdd_edge.runtime.sources",
    "SourceOptions": "dmdd_edge.runtime.sources.options",
    "StationSummary": "dmdd_edge.runtime.station.summary",
    "Summary": "dmdd_edge.runtime.summary",
    "Timings": "dmdd_edge.runtime.result",
    "TrainOptions": "dmdd_edge.train.options",
    "TrainedRun": "dmdd_edge.train.train_detector",
    "collect_images": "dmdd_edge.runtime.collect.collect",
    "evaluate_detector": "dmdd_edge.export.evaluate_detector",
    "export_bundle": "dmdd_edge.export.export_bundle",
    "open_source": "dmdd_edge.runtime.sources",
    "run_source": "dmdd_edge.runtime.assembly",
    "run_station": "dmdd_edge.runtime.station.run_station",
    "train_detector": "dmdd_edge.train.train_detector",
    "write_sample": "dmdd_edge.sample.write",
}

__all__ = [
    "BackendError",
    "BackendOptions",
    "BrokenFrame",
    "Bundle",
    "BundleError",
    "CollectOptions",
    "Collected",
    "Cost",
    "DataError",
    "DeliveryError",
    "Detector",
    "DmddError",
    "EvaluateOptions",
    "Evaluated",
    "Export",
    "ExportOptions",
    "FleetError",
    "Frame",
    "InspectionResult",
    "Listener",
    "Missed",
    "OptionError",
    "PartResult",
    "PartSummary",
    "Progress",
    "Region",
    "Result",
    "RunOptions",
    "RunOutcome",
    "Sink",
    "Source",
    "SourceError",
    "SourceOptions",
    "StationSummary",
    "StorageError",
    "Summary",
    "Timings",
    "TrainOptions",
    "TrainedRun",
    "TrainingError",
    "__version__",
    "collect_images",
    "evaluate_detector",
    "export_bundle",
    "open_source",
    "run_source",
    "run_station",
    "train_detector",
    "write_sample",
]


__getattr__ = lazy_names(__name__, _PLACES)


def __dir__() -> list[str]:
    """The public names, for completion in an interactive session."""
    return sorted({*globals(), *__all__})
