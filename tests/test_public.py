"""The public face: exactly these names, light to import, there in a lean install, and documented."""

from __future__ import annotations

import inspect
import subprocess
import sys

import dmdd_edge

ERRORS = {
    "BackendError", "BundleError", "DataError", "DeliveryError", "DmddError", "FleetError", "OptionError",
    "SourceError", "StorageError", "TrainingError",
}  # fmt: skip
FUNCTIONS = {
    "collect_images", "evaluate_detector", "export_bundle", "open_source", "run_source", "run_station",
    "train_detector", "write_sample",
}  # fmt: skip
OPTIONS = {
    "BackendOptions", "CollectOptions", "EvaluateOptions", "ExportOptions", "RunOptions", "SourceOptions",
    "TrainOptions",
}  # fmt: skip
OUTCOMES = {
    "Collected", "Evaluated", "Export", "PartSummary", "RunOutcome", "StationSummary", "Summary",
    "TrainedRun",
}  # fmt: skip
RUNTIME = {
    "BrokenFrame", "Bundle", "Cost", "Detector", "Frame", "InspectionResult", "Listener", "Missed",
    "PartResult", "Progress", "Region", "Result", "Sink", "Source", "Timings",
}  # fmt: skip

LEAN = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "timm", "onnx", "onnxscript", "safetensors"):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Refuse())
before = set(sys.modules)
import dmdd_edge
print(sorted({name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)))
for name in dmdd_edge.__all__:
    getattr(dmdd_edge, name)
try:
    dmdd_edge.train_detector(dmdd_edge.TrainOptions(data=sys.argv[1]))
except dmdd_edge.BackendError as error:
    print(error.message, error.fix, sep="; ")
"""


def test_exactly_these_names_are_public() -> None:
    assert set(dmdd_edge.__all__) == ERRORS | FUNCTIONS | OPTIONS | OUTCOMES | RUNTIME | {"__version__"}
    assert set(dmdd_edge.__all__) <= set(dir(dmdd_edge))


def test_a_lean_install_has_all_names_and_the_import_alone_loads_nothing(tmp_path) -> None:
    import cv2
    import numpy as np

    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((64, 64, 3), np.uint8))
    done = subprocess.run(
        [sys.executable, "-c", LEAN, str(tmp_path)],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    loaded, missing = done.stdout.splitlines()
    assert loaded == "['dmdd_edge']"
    assert missing.startswith("The package torch is needed and not installed here.; Install it: ")
    assert missing.endswith("[train]'")
    assert " -m pip install " in missing


def test_every_public_name_is_documented_and_typed() -> None:
    for name in set(dmdd_edge.__all__) - {"__version__"}:
        value = getattr(dmdd_edge, name)
        assert inspect.getdoc(value), name
        if name in FUNCTIONS:
            signature = inspect.signature(value)
            assert signature.return_annotation is not inspect.Signature.empty, name
            assert all(p.annotation is not p.empty for p in signature.parameters.values()), name
            assert "Raises:" in value.__doc__, name


def test_every_error_is_caught_as_one() -> None:
    for name in ERRORS:
        assert issubclass(getattr(dmdd_edge, name), dmdd_edge.DmddError)
    error = dmdd_edge.StorageError("no space", "free some", 28, "full")
    assert isinstance(error, OSError)
    assert error.errno == 28
    assert str(error) == "no space\nfree some"
