from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from gpu_rows import BACKENDS, Budget, Subject, make_bundles, measure, run_program

DOCUMENT = {"type": "dmdd-edge bench", "scenarios": {"single": {"samples_ms": {"call": [1.0]}, "queries": 1}}}


class Program:
    """Stands in for `dmdd-edge`: notes what is run, and fails where it is told to.

    Args:
        failing: the first words of commands that fail, with what goes wrong.
        takes: seconds of each command, on a clock of its own.
    """

    def __init__(self, failing: dict[tuple[str, ...], str] | None = None, takes: float = 0.0) -> None:
        self.commands: list[tuple[str, ...]] = []
        self.failing, self.takes, self.time = failing or {}, takes, 0.0

    def __call__(self, arguments: Sequence[str], seconds: float) -> tuple[str, str]:
        self.time += self.takes
        self.commands.append(tuple(arguments))
        for words, why in self.failing.items():
            if all(word in arguments for word in words):
                return "", why
        return (json.dumps(DOCUMENT), "") if arguments[0] == "bench" else ("", "")

    def budget(self, seconds: float) -> Budget:
        return Budget(seconds, lambda: self.time)


def test_without_a_gpu_nothing_is_run_and_every_row_has_its_reason() -> None:
    program = Program()
    rows = measure([Subject(None, "lite")], None, "no driver", 3.0, program.budget(400), program)
    assert program.commands == []
    assert rows.made == {}
    assert rows.missing == {f"lite, {name}": "no NVIDIA GPU: no driver" for name in BACKENDS}


def test_each_back_end_is_measured_on_its_engine() -> None:
    program = Program()
    subject = Subject(Path("models/screw"), "screw", "as trained")
    rows = measure([subject], "sm86", "", 3.0, program.budget(400), program)
    assert rows.missing == {}
    assert set(rows.made) == {f"screw, {name}" for name in BACKENDS}
    assert "samples_ms" not in rows.made["screw, cuda"]["scenarios"]["single"]
    assert rows.made["screw, cuda"]["weights"] == "as trained"
    assert [command[0] for command in program.commands] == ["export", "bench", "export", "bench", "bench"]
    build = program.commands[2]
    assert build[build.index("--gpu") + 1] == "sm86"
    assert [
        command[command.index("--backend") + 1] for command in program.commands if command[0] == "bench"
    ] == list(BACKENDS)


def test_what_fails_is_told_and_the_others_are_made() -> None:
    program = Program({("export", "tensorrt"): "TensorRT is not installed.", ("bench", "cuda"): "no CUDA."})
    rows = measure([Subject(Path("m"), "m")], "sm86", "", 3.0, program.budget(400), program)
    assert rows.missing == {"m, tensorrt": "TensorRT is not installed.", "m, cuda": "no CUDA."}
    assert set(rows.made) == {"m, rtx"}


def test_it_keeps_to_its_time() -> None:
    program = Program(takes=90.0)
    subjects = [Subject(Path(name), name) for name in ("a", "b")]
    rows = measure(subjects, "sm86", "", 3.0, program.budget(300), program)
    # 300 s: building and measuring on tensorrt takes 180 s, on rtx as long, which leaves nothing.
    assert set(rows.made) == {"a, tensorrt", "a, rtx"}
    assert set(rows.missing.values()) == {"out of time"}
    assert len(rows.missing) == 4


def test_bundles_are_made_from_drawn_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpu_rows.untrained", lambda backbone, path: "")
    program = Program({("train", "resnet18"): "it diverged"})
    found = list(
        make_bundles(
            tmp_path, ["efficientnet_lite0", "resnet18", "wide_resnet50_2"], program.budget(400), program
        )
    )
    assert [subject.label for subject in found] == [
        "efficientnet_lite0 (pretrained backbone, two training steps)",
        "resnet18",
        "wide_resnet50_2 (untrained)",
    ]
    assert found[1].reason == "it diverged"
    assert found[0].path == tmp_path / "models" / "efficientnet_lite0" / "plate"
    trainings = [command for command in program.commands if command[0] == "train"]
    assert ["--weights" in command for command in trainings] == [False, True, True]
    failing = Program({("sample",): "disk full"})
    assert [s.reason for s in make_bundles(tmp_path, ["a", "b"], failing.budget(99), failing)] == [
        "disk full"
    ] * 2


def test_an_error_of_the_program_is_its_message_and_the_fix(tmp_path: Path) -> None:
    output, why = run_program(["bench", "--model", str(tmp_path / "none"), "--duration", "1"], 60.0)
    assert output == ""
    assert why.startswith("there is no bundle folder")
    assert "dmdd-edge models" in why


def test_a_program_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.PROGRAM", [sys.executable, "-c", "import time; time.sleep(60)"])
    _, why = run_program(["bench"], 1.0)
    assert why == "`dmdd-edge bench` did not finish in the remaining 1 s"


def test_no_bundle_is_begun_without_time(tmp_path: Path) -> None:
    program = Program(takes=60.0)
    (found,) = make_bundles(tmp_path, ["efficientnet_lite0"], program.budget(80), program)
    assert found.reason == "out of time"
    assert [command[0] for command in program.commands] == ["sample"]
