"""Ctrl-C and SIGTERM end a training with a checkpoint; full disks end it as late as they can."""

from __future__ import annotations

import errno
import logging
import os
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dmdd_edge.cli.main import app
from dmdd_edge.cli.train_progress import Interrupts, TrainProgress
from dmdd_edge.data.datasets import load_category
from dmdd_edge.errors import DmddError
from dmdd_edge.storage import write_atomically
from dmdd_edge.train import checkpoint
from dmdd_edge.train.listener import Listener, Stopped
from dmdd_edge.train.recording import LogFile
from dmdd_edge.train.schedule import Progress
from dmdd_edge.train.trainer import Trainer


@pytest.mark.slow
def test_a_stopped_run_keeps_its_last_step_and_resumes_to_the_same_bits(
    tiny_config: Callable[..., Any], tmp_path: Path
) -> None:
    config = tiny_config({"head": "sum"}, steps=4)
    category = load_category(config.data, config.category)

    class Stopping(Listener):
        def __init__(self) -> None:
            self.steps = 0

        def step(
            self, phase: str, progress: Progress, losses: dict[str, float], images_per_second: float
        ) -> None:
            self.steps = progress.step

        def stop_asked(self) -> bool:
            return self.steps == 3

    with pytest.raises(Stopped):
        Trainer(config, category, tmp_path / "stopped", Stopping()).run()
    assert checkpoint.read_tensors(tmp_path / "stopped" / checkpoint.STATE)[1]["step"] == 3
    Trainer(config, category, tmp_path / "stopped", resume=True).run()
    Trainer(config, category, tmp_path / "whole").run()
    resumed, whole = ((tmp_path / name / checkpoint.MODEL).read_bytes() for name in ("stopped", "whole"))
    assert resumed == whole


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_ctrl_c_saves_and_names_the_command_to_resume(
    number: int,
    code: int,
    plates: Path,
    tiny_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = TrainProgress.step
    before = signal.getsignal(number)

    def signalled(self: TrainProgress, phase: str, progress: Progress, *rest: Any) -> None:
        told(self, phase, progress, *rest)
        if progress.step == 2:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(TrainProgress, "step", signalled)
    runs = tmp_path / "my runs"
    result = CliRunner().invoke(app, [str(word) for word in [
        "train", "--data", plates, "--category", "plate", "--runs-dir", runs, "--run", "line 1",
        "--backbone", "timm:test_efficientnet", "--weights", tiny_weights, "--image-size", 64,
        "--steps", 9, "--batch-size", 2, "--device", "cpu",
    ]])  # fmt: skip
    assert result.exit_code == code, result.output
    assert checkpoint.read_tensors(runs / "line 1" / checkpoint.STATE)[1]["step"] == 2
    last = result.stderr.strip().splitlines()[-1]
    assert shlex.split(last) == [
        "next:", "dmdd-edge", "train", "--resume", "--category", "plate", "--run", "line 1",
        "--runs-dir", str(runs),
    ]  # fmt: skip
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_ends_at_once_and_so_does_the_first_outside_the_steps() -> None:
    with Interrupts() as interrupts:
        interrupts.patient = True
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupts.number == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    with Interrupts(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_log_that_cannot_be_written_is_said_once() -> None:
    said: list[str] = []
    handler = LogFile(Path("/dev/full"), said.append)
    for _ in range(3):
        handler.emit(logging.LogRecord("train", logging.INFO, "", 0, "a line", None, None))
    handler.close()
    assert said == [os.strerror(errno.ENOSPC)]


@pytest.mark.parametrize("failures", [1, 2])
def test_a_checkpoint_is_tried_twice(failures: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))] * failures
    write = write_atomically

    def full(path: Path, content: bytes) -> None:
        if left:
            raise left.pop()
        write(path, content)

    monkeypatch.setattr(checkpoint, "write_atomically", full)
    monkeypatch.setattr(checkpoint, "RETRY_SECONDS", 0.0)
    said: list[str] = []
    if failures == 1:
        checkpoint.write_state(tmp_path, {}, {"step": 7}, said.append)
        assert checkpoint.read_tensors(tmp_path / checkpoint.STATE)[1] == {"step": 7}
    else:
        with pytest.raises(DmddError, match="No space left") as error:
            checkpoint.write_state(tmp_path, {}, {"step": 7}, said.append)
        assert "--resume" in (error.value.fix or "")
    assert len(said) == 1
    assert "Retrying" in said[0]
