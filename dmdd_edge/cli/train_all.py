"""`dmdd-edge train --all`: trains, evaluates and exports every category of a data set or of a list."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dmdd_edge.cli.console import console, next_step, print_json
from dmdd_edge.cli.train_all_progress import AllProgress, number_of
from dmdd_edge.cli.train_list import Entry, read_entries
from dmdd_edge.cli.train_progress import Interrupts
from dmdd_edge.cli.train_stage import left_of, outcome_of
from dmdd_edge.cores import core_groups, usable_cores
from dmdd_edge.data_address import is_address
from dmdd_edge.errors import DmddError, TrainingError
from dmdd_edge.fleet.address import open_to_write
from dmdd_edge.free_memory import free_memory_mb
from dmdd_edge.jobs.process import JobProcess, Post
from dmdd_edge.jobs.schedule import Schedule
from dmdd_edge.jobs.shares import Share, share_out
from dmdd_edge.jobs.standing import Standing, counts
from dmdd_edge.locking import locked
from dmdd_edge.messages.commands import command
from dmdd_edge.options.keys import unspelled
from dmdd_edge.options.model import option_fields
from dmdd_edge.run_store.mirror import shown
from dmdd_edge.run_store.runs import open_place, outline_of, remove_run
from dmdd_edge.storage import make_folder, require_writable
from dmdd_edge.train.run_folder import discard_run
from dmdd_edge.workspace import run_folder

if TYPE_CHECKING:
    from dmdd_edge.cli.train import TrainCommand

#: Estimated need of a job in MiB until one has been measured: of torch, and of each pixel of a batch.
_BASE_MIB, _MIB_A_PIXEL = 900.0, 1.5e-3
WORKER = "dmdd_edge.cli.train_worker"
#: Prints how many GPUs torch finds; a separate process keeps torch out of this one.
_COUNT_GPUS = "import torch; print(torch.cuda.device_count())"
#: Options that the command which continues does not repeat.
_NOT_AGAIN = ("overwrite", "resume", "json", "quiet")
_SHOWN = 5


def train_all(options: TrainCommand) -> None:
    """Train all categories, print their table, write the report.

    Raises:
        DmddError: nothing can be trained; or, at the end, some categories failed.
        typer.Exit: it was stopped.
    """
    entries = read_entries(options, options.categories)
    for entry in entries:
        run_folder(entry.category, None, options.runs_dir)
    if is_address(options.models_dir):
        open_to_write(str(options.models_dir))  # a missing package shows before anything starts
    else:
        require_writable(Path(options.models_dir), "--models-dir")
    runs = open_place(options.runs_dir)
    make_folder(runs, "Name another folder: --runs-dir DIR.")

    def busy(holder: str) -> DmddError:
        return TrainingError(
            f"{options.runs_dir}/ is in use by another train --all, {holder}.",
            "Wait until it ends, or stop it.",
        )

    with locked(runs, busy, path=runs / ".train-all.lock"):
        standings = _standings(entries, options)
        interrupts = _run(entries, standings, options)
    _report(standings, options, interrupts)


def _standings(entries: Sequence[Entry], options: TrainCommand) -> list[Standing]:
    """What is left to do of each category; with ``--overwrite`` all of it.

    Runs that are replaced go at once: after a stop, --resume must not take an old one for a new one.
    """
    standings, present = [], []
    for entry in entries:
        standing = Standing(entry.category)
        standings.append(standing)
        folder = open_place(options.runs_dir) / entry.category
        try:
            if options.overwrite:
                remove_run(folder)
                discard_run(folder)
            with outline_of(folder) as drawn:
                left = left_of(drawn, options.models_dir)
                outcome = outcome_of(drawn) | {"run": shown(folder)}
        except DmddError as error:
            standing.state, standing.reason, standing.fix = "failed", error.message, error.fix
            continue
        if left == "nothing" and options.resume:
            standing.state, standing.result = "skipped", outcome
        elif left != "new" and not options.resume:
            present.append(entry.category)
    if present:
        raise TrainingError(
            f"{len(present)} of {number_of(len(entries))} have a run already: {_listed(present)}.",
            "Continue with --resume: it skips what is finished. Or replace all of them with --overwrite.",
        )
    return standings


def _run(entries: Sequence[Entry], standings: Sequence[Standing], options: TrainCommand) -> Interrupts:
    """Run what is left; returns the signals that were received meanwhile."""
    if options.ray is not None:
        from dmdd_edge.cli.train_all_cluster import run_on_cluster

        return run_on_cluster(entries, standings, options)
    gpus = _gpus(options.device)
    shares = share_out(options.jobs, core_groups(), usable_cores(), gpus)
    by_name = {entry.category: entry for entry in entries}
    cache = free_memory_mb() // 2 // len(shares)
    need = max(estimate(entry) for entry in entries)

    def start(name: str, share: Share, post: Post) -> JobProcess:
        work = work_of(by_name[name], share, options, cache if len(shares) > 1 else None)
        return JobProcess((sys.executable, "-m", WORKER), work, share.environment(), post)

    with (
        Interrupts() as interrupts,
        AllProgress(standings, quiet=options.quiet) as progress,
        suppress(KeyboardInterrupt),
    ):
        interrupts.patient = True
        progress.say(_plan_line(len(entries), shares, options.jobs, len(gpus)))
        schedule = Schedule(standings, shares, start, needed=need, free=free_memory_mb, report=progress)
        schedule.run(partial(received, interrupts))
    return interrupts


def received(interrupts: Interrupts) -> bool:
    """Whether a signal was received."""
    return interrupts.number is not None


def _plan_line(categories: int, shares: Sequence[Share], jobs: int, gpus: int) -> str:
    cores = f"{shares[-1].threads} core{'s' * (shares[-1].threads != 1)}"
    each = f"{cores} and a GPU each" if gpus else f"{cores} each"
    line = f"{number_of(categories)}, {len(shares)} at a time, {each}"
    if len(shares) < jobs:
        has = f"{gpus} GPU{'s' * (gpus != 1)}" if gpus and gpus == len(shares) else f"{len(shares)} cores"
        line += f" (not {jobs}: there {'is' if len(shares) == 1 else 'are'} {has} for them)"
    return line


def work_of(
    entry: Entry, share: Share, options: TrainCommand, cache: int | None, *, resume: bool | None = None
) -> dict[str, Any]:
    """What a worker reads; a path is a text in it.

    Args:
        entry: the category.
        share: of the machine.
        options: of the command.
        cache: MiB for features, where no option says it; None leaves it to the training.
        resume: whether it continues what is there; None for what the command says.
    """
    training = entry.training
    values = {name: getattr(training, name) for name in training.given()}
    values |= {"resume": options.resume if resume is None else resume, "overwrite": False}
    if cache is not None:
        values.setdefault("cache_mb", cache)
        values.setdefault("workers", max(1, min(2, share.threads)))
    if share.gpu is not None:
        values["device"] = "cuda"  # the only one that it sees
    return {
        "training": {name: _plain(value) for name, value in values.items()},
        "export": entry.export,
        "models_dir": str(options.models_dir),
        "cores": list(share.cores),
        "threads": share.threads,
    }


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def estimate(entry: Entry) -> float:
    """MiB that a category is expected to take."""
    size, batch = entry.training.image_size or 256, entry.training.batch_size or 8
    return _BASE_MIB + _MIB_A_PIXEL * size * size * batch


def _gpus(device: str) -> list[str]:
    """The GPUs to share out, as CUDA_VISIBLE_DEVICES names them."""
    if device == "cpu" or not any(Path("/dev").glob("nv*")):
        return []
    found = subprocess.run([sys.executable, "-c", _COUNT_GPUS], capture_output=True, text=True, check=False)
    count = int(found.stdout) if found.returncode == 0 and found.stdout.strip().isdecimal() else 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [str(number) for number in range(count)] if visible is None else visible.split(",")[:count]
    if ":" in device:
        return names[int(device.partition(":")[2]) :][:1]
    return names


def _report(standings: Sequence[Standing], options: TrainCommand, interrupts: Interrupts) -> None:
    from dmdd_edge.cli.evaluate_all import overview_table
    from dmdd_edge.train.report.overview import Overview

    failed = [standing for standing in standings if standing.state == "failed"]
    ready = [standing for standing in standings if standing.state in ("done", "skipped")]
    overview = Overview({s.name: s.result["metrics"] for s in ready if s.result.get("metrics")})
    if overview.rows:
        console.print(overview_table(overview))
    for standing in failed:
        console.print(f"{standing.name}: failed: {standing.reason}", markup=False, style="yellow")
        if standing.fix:
            console.print(f"  fix: {standing.fix}", markup=False)
    if options.json:
        categories = {standing.name: standing.as_dict() for standing in standings}
        print_json({"counts": counts(standings), "categories": categories, "mean": overview.mean()})
    again_command = command("train", **again(options))
    if interrupts.number is not None:
        states = ", ".join(f"{number} {state}" for state, number in counts(standings).items())
        console.print(f"Stopped; of {number_of(len(standings))}: {states}. Checkpoints are kept.")
        next_step(again_command)
        raise typer.Exit(interrupts.exit_code)
    if failed:
        raise TrainingError(
            f"{len(failed)} of {number_of(len(standings))} failed: {_listed([s.name for s in failed])}. "
            f"{len(ready)} are done.",
            f"Fix what is named above, then: {again_command}",
        )
    bundle = next((s for s in ready if s.result.get("version")), None)
    if bundle is not None and is_address(options.models_dir):
        next_step(command("models", "pull", str(options.models_dir)))
    elif bundle is not None:
        next_step(
            command("run", category=bundle.name, models_dir=options.models_dir, source="FOLDER_OR_IMAGE")
        )


def again(options: TrainCommand) -> dict[str, object]:
    """The options of the command that continues."""
    found: dict[str, object] = {}
    for field in option_fields(type(options)):
        value = getattr(options, field.name)
        if field.name not in options.given() or field.name in _NOT_AGAIN:
            continue
        negative = value is False and "/" in field.option.name
        spelling = field.option.name.partition("/")[2] if negative else field.spelling
        found[unspelled(spelling)] = True if negative else value
    return {"all": True, **found, "resume": True}


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
