"""The process of one category of `dmdd-edge train --all`: trains, evaluates and exports it.

It does what `dmdd-edge train` and `dmdd-edge export` do, by the same functions. It reads its work as a line
of JSON, writes events as lines of JSON, and ends with a checkpoint when its standard input is closed.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from dmdd_edge.cli.console import hear_copies
from dmdd_edge.cli.progress import Work
from dmdd_edge.cli.train_progress import Interrupts, TrainProgress
from dmdd_edge.cli.train_stage import left_of, note_bundle, outcome_of
from dmdd_edge.cli.unexpected import readable
from dmdd_edge.data_address import is_address
from dmdd_edge.errors import TrainingError
from dmdd_edge.run_store.mirror import models_place
from dmdd_edge.train.options import TrainOptions

#: Seconds between two events of a phase.
_EVERY = 0.5
#: Share of a category's work that its training is.
_TRAINING = 0.85
#: Seconds to wait for the process of an interrupted command, which still saves its checkpoint.
_WAIT = 120.0

#: Follows the first word of a line about what is copied or fetched.
_COPIED = " what the store has"

Send = Callable[[dict[str, Any]], None]


class Piped(Work):
    """Passes progress on as events.

    Args:
        send: writes an event.
        first: share of the category's work that is done before.
        part: share that this is.
    """

    def __init__(self, send: Send, first: float, part: float) -> None:
        super().__init__(quiet=True)
        self._send, self._first, self._part = send, first, part
        self._sent_at, self._sent = 0.0, ""

    def update(self, phase: str, done: float = 0.0, total: float | None = None, note: str = "") -> None:
        """Report the progress of a phase."""
        super().update(phase, done, total, note)
        now = time.monotonic()
        if phase != self._sent or now - self._sent_at >= _EVERY:
            self._sent, self._sent_at = phase, now
            share = self._first + self._part * (self.phases.standing().share or 0.0)
            self._send({"event": "progress", "phase": phase, "share": share, **_memory()})


def main() -> None:
    """Do the work that standard input names."""
    # Events have a separate descriptor: what a library prints goes to standard error.
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    lock = threading.Lock()

    def send(event: dict[str, Any]) -> None:
        with lock, suppress(OSError):  # without a reader the work still ends in order
            events.write(json.dumps(event) + "\n")
            events.flush()

    work = json.loads(_first_line())
    if work["cores"] and hasattr(os, "sched_setaffinity"):
        with suppress(OSError):
            os.sched_setaffinity(0, work["cores"])
    with Interrupts() as interrupts:
        threading.Thread(target=_follow_parent, daemon=True).start()
        try:
            result = work_on(work, send, interrupts)
            send({"event": "done", "result": result, **_memory()})
        except KeyboardInterrupt:
            send({"event": "stopped", **_memory()})
        except Exception as error:  # whatever it is, the table names it
            known = readable(error, [])
            send({"event": "failed", "reason": known.message, "fix": known.fix, **_memory()})


def work_on(work: Mapping[str, Any], send: Send, interrupts: Interrupts) -> dict[str, Any]:
    """Train and export a category, or do what is left of it.

    Args:
        work: ``training`` and ``export``: options by field; ``models_dir``; ``threads``.
        send: receives the progress.
        interrupts: says when to stop.

    Returns:
        its run, its bundle's version, and its figures.

    Raises:
        DmddError: it cannot be trained or exported.
        KeyboardInterrupt: it was stopped.
    """
    import cv2

    from dmdd_edge.run_store.runs import kept
    from dmdd_edge.train.plan import plan_training
    from dmdd_edge.train.run_folder import run_lock
    from dmdd_edge.train.train_detector import run_plan
    from dmdd_edge.workspace import run_folder

    cv2.setNumThreads(work["threads"])
    values, models_dir = dict(work["training"]), models_place(work["models_dir"])
    category = str(values["category"])
    folder = run_folder(category, None, values["runs_dir"])
    progress = Piped(send, 0.0, _TRAINING)
    progress.update("starting")
    hear_copies(lambda line: progress.update(line.partition(" ")[0] + _COPIED))
    sent = False
    if values.get("resume") or is_address(values["runs_dir"]):
        sent = _wait_for(folder, progress)
    left = left_of(folder, models_dir) if values.get("resume") or sent else "new"
    if left in ("new", "training"):
        values["resume"] = left == "training"
        options = TrainOptions.build(values, frozenset(name for name in values if name != "resume"))
        run_plan(plan_training(options), options, TrainProgress(progress, interrupts))
    if left != "nothing":
        exporting = Piped(send, _TRAINING, 1.0 - _TRAINING)
        version = _export(category, folder, work, exporting)
        lock = run_lock(folder) if is_address(values["runs_dir"]) else nullcontext()
        with lock, kept(folder, "continue", exporting.say):
            note_bundle(folder, category, version)
    return outcome_of(folder)


def _export(category: str, folder: Path, work: Mapping[str, Any], progress: Piped) -> str | None:
    """The version of the bundle; None for a run without a threshold, which cannot have one."""
    from dmdd_edge.cli.export_progress import ExportProgress
    from dmdd_edge.export.export_bundle import export_bundle
    from dmdd_edge.export.options import ExportOptions
    from dmdd_edge.train.run_folder import FACTS, read_json

    if not read_json(folder / FACTS).get("holdout"):
        return None
    progress.update("export")
    options = ExportOptions(
        category=category, runs_dir=folder.parent, models_dir=work["models_dir"], **work["export"]
    )
    return export_bundle(options, ExportProgress(progress, quiet=True)).bundle.version


def _wait_for(folder: Path, progress: Piped) -> bool:
    """Wait until the process of a command that was killed has saved its checkpoint.

    Returns:
        Whether a run of a store was sent, which that process could not send.
    """
    from dmdd_edge.run_store.runs import settle
    from dmdd_edge.train.run_folder import run_lock

    until = time.monotonic() + _WAIT
    while True:
        try:
            if folder.is_dir():
                with run_lock(folder):
                    pass
            return settle(folder)
        except TrainingError:
            if time.monotonic() > until:
                raise
        progress.update("waiting for the process before")
        time.sleep(_EVERY)


def _follow_parent() -> None:
    """Stop when the process that started this one is gone."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _first_line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(0, 1)
        if not part:
            sys.exit(1)
        line += part
    return line


def _memory() -> dict[str, float]:
    """MiB that this process holds now, and held at most."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return {"memory": peak, "peak": peak}
    return {"memory": pages * os.sysconf("SC_PAGE_SIZE") / 2**20, "peak": peak}


if __name__ == "__main__":
    main()
