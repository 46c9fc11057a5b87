"""Queue of experiments: trains and measures one after the other, and resumes where it was stopped."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import common

from accuracy.declaration import Experiment
from accuracy.folders import Prepared, prepare
from accuracy.heads import with_head
from accuracy.measure import measure
from accuracy.rows import Row, append_row, latest, read_rows
from dmdd_edge.evaluation.metrics import PAPER_FIELDS
from dmdd_edge.storage import write_atomically
from dmdd_edge.train import checkpoint as files
from dmdd_edge.train import session
from dmdd_edge.train.config import TrainConfig, make_config
from dmdd_edge.train.devices import choose_device
from dmdd_edge.train.listener import Listener
from dmdd_edge.train.schedule import Progress

_LIBRARIES = ("torch", "torchvision", "timm", "numpy", "opencv-python")
#: The code that a training depends on, and subfolders that do not affect it.
_CODE, _NOT_CODE = ("dmdd_edge", "train"), ("dmdd_edge/cli", "train/report")
_CODE_FILE = "study.json"
_TALK_SECONDS = 30.0


@dataclass(frozen=True)
class Queue:
    """The queue's folders and settings.

    Attributes:
        root: folder of the data sets.
        work: folder of the runs and of the links to their images.
        results: the results file.
        experiments: every declared experiment by name, for those that come after another.
        device: ``auto``, ``cpu`` or ``cuda``.
        say: called with progress messages.
        again: repeat experiments that already have a row.
    """

    root: Path
    work: Path
    results: Path
    experiments: dict[str, Experiment]
    device: str = "auto"
    say: Callable[[str], None] = field(default=partial(print, flush=True))
    again: bool = False
    #: Digest of the code at the start of this process; later edits do not run in it.
    code: str = field(default_factory=lambda: code_digest())
    commit: str | None = field(default_factory=common.commit)

    def run(self, chosen: Iterable[Experiment]) -> list[str]:
        """Run the experiments that have no row yet, in order; each row is written when it is finished.

        Returns:
            names of the experiments that failed; the others were run.
        """
        failed = []
        machine = common.begin()
        for experiment in chosen:
            if not self.again and experiment.key in latest(read_rows(self.results)):
                self.say(f"{experiment.name}: already has a row")
                continue
            self.say(f"{experiment.name}: {experiment.steps} steps of {experiment.category}")
            try:
                row = self.one(experiment)
            except Exception as error:  # a failure must not stop the queue
                failed.append(experiment.name)
                self.say(f"{experiment.name} FAILED: {type(error).__name__}: {error}")
                continue
            append_row(self.results, {**row, "machine": machine})
            self.say(f"{experiment.name}: {short(row)}")
        return failed

    def one(self, experiment: Experiment) -> Row:
        """Train an experiment if necessary, and measure it."""
        began, cpu = time.perf_counter(), time.process_time()
        if experiment.after is None:
            run, data = self.trained(experiment, fresh=self.again)
        else:
            run, data = self.trained(self.experiments[experiment.after])
            run = with_head(run, experiment.model)
        found = measure(run, data.spare, choose_device(self.device))
        return {
            "key": experiment.key,
            "name": experiment.name,
            "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M"),
            "commit": self.commit,
            "code": self.code,
            "declared": experiment.declared(),
            "config": plain(run.config),
            "images": {"train": len(run.info["train"]), "holdout": len(run.info["holdout"])},
            "steps": run.info["steps"],
            "train_seconds": run.info["train_seconds"],
            "train_split": run.info["seconds"],
            "seconds": round(time.perf_counter() - began, 1),
            # On a shared machine, wall-clock time alone says little.
            "cpu_seconds": round(time.process_time() - cpu, 1),
            "parameters": run.info["parameters"],
            "map_weights": run.info.get("map_weights"),
            "outliers": outliers(run.info, data.defective),
            **found,
            "versions": common.versions(_LIBRARIES),
        }

    def trained(self, experiment: Experiment, *, fresh: bool = False) -> tuple[files.Run, Prepared]:
        """Return the run of an experiment: finished, resumed or new.

        Args:
            experiment: one that trains.
            fresh: always train from scratch.
        """
        folder = self.work / "runs" / experiment.name
        stamp = {"code": self.code, "declared": experiment.declared()}
        same = files.read_json(folder / _CODE_FILE) == json.loads(json.dumps(stamp)) and not fresh
        if not same:
            shutil.rmtree(folder, ignore_errors=True)
        data = prepare(experiment, self.root, self.work / "data")
        if not (folder / files.MODEL).is_file():
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / _CODE_FILE, json.dumps(stamp))
            resume = (folder / files.STATE).is_file()
            config = self.config(experiment, data)
            session.train(config, folder, Talk(self.say), resume=resume, tensorboard=False)
        return files.load_run(folder), data

    def config(self, experiment: Experiment, data: Prepared) -> TrainConfig:
        """Make the configuration of a declaration."""
        synthesis = dict(experiment.synthesis)
        if synthesis.get("textures") is not None:
            synthesis["textures"] = (self.root / synthesis["textures"]).resolve()
        return make_config(
            experiment.recipe,  # type: ignore[arg-type]  # an unknown one is rejected by name
            data=data.data.absolute(),
            category=experiment.category,
            steps=experiment.steps,
            seed=experiment.seed,
            model=dict(experiment.model),
            synthesis=synthesis,
            device=self.device,
            **self.own(experiment),
        )

    def own(self, experiment: Experiment) -> dict[str, Any]:
        """Changes to ``TrainConfig``; a weights file is relative to the root, like data."""
        changes = dict(experiment.run)
        if changes.get("weights") is not None:
            changes["weights"] = (self.root / changes["weights"]).resolve()
        return changes


class Talk(Listener):
    """Reports the progress of a training every 30 seconds."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._reported = say, time.monotonic()

    def say(self, text: str) -> None:
        """Print a line of the training's log."""
        self._say(f"  {text}")

    def step(
        self, phase: str, progress: Progress, losses: dict[str, float], images_per_second: float
    ) -> None:
        """Report a step."""
        if time.monotonic() - self._reported > _TALK_SECONDS:
            self._reported = time.monotonic()
            shown = " ".join(f"{name} {value:.4f}" for name, value in losses.items())
            self._say(f"  {phase} {progress.step}: {shown}, {progress.seconds_left():.0f} s left")


def outliers(info: dict[str, Any], defective: Iterable[Path]) -> dict[str, Any] | None:
    """Score the outlier warning: which images it named, and how many of them are defective."""
    found = info.get("outliers")
    if found is None:
        return None
    bad = {path.name for path in defective}
    named = [Path(item["file"]).name for item in found["images"]]
    return {"named": named, "defective": len(bad), "hits": len(bad.intersection(named))}


def plain(config: TrainConfig) -> dict[str, Any]:
    """Dump a configuration without this machine's folders."""
    shown = config.model_dump(mode="json")
    for part, name in ((shown, "data"), (shown, "weights"), (shown["synthesis"], "textures")):
        if part[name] is not None:
            part[name] = Path(part[name]).name
    return shown


def short(row: Row) -> str:
    """A row in one line: the paper's three figures on validation and test, in percent."""
    parts = []
    for where in ("validation", "test"):
        if row[where] is not None:
            for head, found in row[where].items():
                values = (found[name] for name in PAPER_FIELDS)
                figures = "/".join("-" if value is None else f"{100 * value:.2f}" for value in values)
                parts.append(f"{where} {figures} by {head}")
    return f"{', '.join(parts)}; trained {row['train_seconds'] / 60:.1f} min"


def code_digest() -> str:
    """Digest of the code that a training depends on; a run is resumed with the same code only."""
    digest = hashlib.sha256()
    for name in _CODE:
        for path in sorted((common.ROOT / name).rglob("*.py")):
            relative = path.relative_to(common.ROOT).as_posix()
            if not relative.startswith(_NOT_CODE):
                digest.update(relative.encode() + path.read_bytes())
    return digest.hexdigest()[:12]
