"""Whatever a command raises: one message, no traceback, no secret, and how to report it."""

from __future__ import annotations

import errno
import re
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge import DmddError
from dmdd_edge.cli import main as program
from dmdd_edge.cli.unexpected import readable, shown_command

CAMERA = "rtsp://admin:pa]s[s@10.0.0.7:8554/x"


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the program with a command that raises; its exit code and what it printed."""

    def run(error: BaseException, *arguments: str) -> tuple[object, str]:
        def app() -> None:
            raise error

        monkeypatch.setattr(program, "build_app", lambda names: app)
        monkeypatch.setattr(sys, "argv", ["dmdd-edge", *arguments])
        with pytest.raises(SystemExit) as end:
            program.main()
        printed = capsys.readouterr()
        assert printed.out == ""
        return end.value.code, printed.err

    return run


def test_an_unexpected_error_is_a_bug_to_report(fails: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DMDD_TRACEBACK", raising=False)
    code, text = fails(ValueError("broken"), "run", "--source", "my parts")
    assert code == 1
    assert text.startswith("error: Unexpected error: ValueError: broken.\nfix:   This is a bug in dmdd-edge")
    assert "dmdd-edge run --source 'my parts'" in text
    assert "Traceback" not in text


def test_an_error_of_the_system_names_its_file_and_is_no_bug(fails: Any) -> None:
    code, text = fails(PermissionError(errno.EACCES, "Permission denied", "/data/good"), "train")
    assert code == 1
    assert text.startswith(
        "error: /data/good cannot be used: permission is denied.\nfix:   Check who owns it"
    )


def test_memory_that_has_run_out_is_no_bug(fails: Any) -> None:
    assert "Out of memory." in fails(MemoryError())[1]
    assert "Out of memory." in fails(RuntimeError("can't start new thread"))[1]


def test_interruption_is_no_error(fails: Any) -> None:
    assert fails(KeyboardInterrupt()) == (130, "")


@pytest.mark.parametrize(
    "text",
    [
        f"cannot open {CAMERA}",
        "'pa]s[s@10.0.0.7' does not appear to be an IPv4 or IPv6 address",
        "Port could not be cast to integer value as 'pa]s'",
        "nothing known about ]s[s",
    ],
)
def test_no_part_of_a_password_is_shown(fails: Any, text: str) -> None:
    shown = fails(ValueError(text), "run", "--source", CAMERA)[1]
    assert "ValueError" in shown
    assert "rtsp://***@10.0.0.7:8554/x" in shown
    assert not re.search(r"pa\]s|s\[s|admin", shown)


def test_a_token_of_the_environment_is_not_shown(fails: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINE_TOKEN", "t0k3nvalue")
    monkeypatch.setenv("DMDD_MQTT_PASSWORD", "hunter2")
    for arguments in (["--serve-token-env", "LINE_TOKEN"], ["--webhook-token-env=LINE_TOKEN"]):
        shown = fails(RuntimeError("header t0k3nvalue, login hunter2"), "run", *arguments)[1]
        assert "t0k3n" not in shown
        assert "hunter2" not in shown
    message = readable(DmddError("login hunter2 refused."), []).message
    assert message == "login *** refused."


def test_the_traceback_goes_to_a_file_only_if_asked(
    fails: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("DMDD_TRACEBACK", raising=False)
    fails(ValueError(CAMERA), "run", "--source", CAMERA)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("DMDD_TRACEBACK", "1")
    shown = fails(ValueError(CAMERA), "run", "--source", CAMERA)[1]
    (file,) = tmp_path.iterdir()
    assert str(file) in shown
    text = file.read_text()
    assert "raise error" in text
    assert "test_unexpected.py" in text
    assert not re.search(r"pa\]s|s\[s|admin", text)
    assert file.stat().st_mode & 0o077 == 0


def test_a_thread_that_ends_in_an_error_says_so_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> None:
        raise ValueError("stumbled on pa]s[s")

    def app() -> None:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    monkeypatch.setattr(program, "build_app", lambda names: app)
    monkeypatch.setattr(sys, "argv", ["dmdd-edge", "run", "--source", CAMERA])
    before = threading.excepthook
    program.main()
    assert threading.excepthook is before
    assert "error: Unexpected error: ValueError: stumbled on ***" in capsys.readouterr().err


def test_the_command_is_shown_as_it_can_be_pasted() -> None:
    arguments = ["run", "--source", "my parts/*.png", "--mqtt", "mqtt://u:pass@h/t"]
    assert shown_command(arguments) == "dmdd-edge run --source 'my parts/*.png' --mqtt 'mqtt://***@h/t'"


@pytest.mark.parametrize(
    "error",
    [
        ImportError("libGL.so.1: cannot open shared object file: No such file or directory"),
        ModuleNotFoundError("No module named 'yaml'", name="yaml"),
        OSError("libtorch_cpu.so: undefined symbol: iJIT_NotifyEvent"),
    ],
)
def test_a_broken_package_is_no_bug_of_this_program(error: Exception) -> None:
    found = readable(error, ["run"])
    assert str(error) in found.message
    assert "dmdd-edge doctor" in found.fix
    assert "bug" not in found.fix


def test_a_module_of_its_own_that_is_missing_is_a_bug() -> None:
    found = readable(ModuleNotFoundError("No module named 'dmdd_edge.x'", name="dmdd_edge.x"), ["run"])
    assert "This is a bug" in found.fix
    assert "This is a bug" in readable(OSError("odd"), ["run"]).fix
