"""What is wrong with a configuration file or a variable is said; nothing is ignored in silence."""

from __future__ import annotations

import io
import os
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import tomllib
import typer
from typer.main import get_command

from dmdd_edge.cli import configuration
from dmdd_edge.cli.configuration import CONFIG_VARIABLE
from dmdd_edge.cli.main import app
from dmdd_edge.cli.start import usable_width
from dmdd_edge.errors import DmddError

ROOT: Any = get_command(app)
NOT_TOML = "--config a.toml is not TOML: "


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(configuration, "_warned", set())


def read(name: str, *arguments: str) -> Any:
    """The options that a command would run with."""
    with ROOT.make_context("dmdd-edge", [name]) as root:
        command = ROOT.get_command(root, name)
        with command.make_context(name, list(arguments), parent=root) as context:
            return command.callback.read(context, dict(context.params))


def printed(name: str, *arguments: str) -> str:
    """What ``--print-config`` prints."""
    with redirect_stdout(io.StringIO()) as output, ROOT.make_context("dmdd-edge", [name]) as root:
        command = ROOT.get_command(root, name)
        with command.make_context(name, [*arguments, "--print-config"], parent=root) as context:
            command.invoke(context)
    return output.getvalue()


def refused(text: str | bytes, name: str = "run") -> DmddError:
    """The error of a command that reads a file."""
    Path("a.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DmddError) as caught:
        read(name, "--config", "a.toml")
    return caught.value


@pytest.mark.parametrize(
    ("text", "message", "fix"),
    [
        ("a = " + "[" * 5000 + "]" * 5000, NOT_TOML + "its arrays or tables are nested", ""),
        (f"limit = {'9' * 6000}", NOT_TOML + "a number has too many digits.", ""),
        (f"limit = {'9' * 400}", "a.toml, line 1: limit is out of range.", "smaller"),
        ("limit = 1\nlimit = 1\n", NOT_TOML + "the key limit occurs twice, again in line 2.", ""),
        ("limit = 1\nlimit = 2", NOT_TOML + "the key limit occurs twice, again in line 2.", ""),
        ("[run]\n[run]\n", NOT_TOML + "the table [run] occurs twice, again in line 2.", ""),
        ("camera-fps = 5\ncamera_fps = 6\n", "a.toml, line 2: camera-fps and camera_fps are", "camera_fps"),
        ("run = 5\n", "a.toml, line 1: [run] must be a table.", "Write [run]"),
        ("[train]\nnonsense = 1\n", "a.toml, line 2: 'nonsense' is not an option of train.", ""),
        ("[models]\nversions = 1\n", "a.toml, line 2: 'versions' is not an option of models.", "'version'"),
        ('save = ""\n', "a.toml, line 1: save is empty.", "path"),
        ('watch = ""\n', "a.toml, line 1: --watch is empty.", "folder"),
        ("no_save_caption = true\n", "a.toml, line 1: 'no_save_caption' is not", "save_caption = false."),
        ("threshold = 1979-05-27T07:32:00Z\n", "a.toml, line 1: threshold is 1979-05-27 07:32:00+00", ""),
        ("[run]\njsonl = { a = 1 }\n", "a.toml, line 2: jsonl is {a = 1}; it must be a path.", ""),
        ('camera_control = ["gain", 3]\n', "a.toml, line 1: --camera-control is 'gain'.", "NAME=NUMBER"),
        ('camera_control = "gain=3"\n', 'a.toml, line 1: camera_control is "gain=3"; it must', '["focus_abs'),
        ('camera_size = ["640x480"]\n', 'a.toml, line 1: camera_size is ["640x480"]; it must', '"1920x1080"'),
        ("threshold = true\n", "a.toml, line 1: threshold is true; it must be a number.", "such as 0.5"),
        ("save = 3\n", "a.toml, line 1: save is 3; it must be a path.", 'such as "folder/name"'),
        ("camera_size = 640\n", "a.toml, line 1: camera_size is 640; it must be", 'like "1920x1080"'),
    ],
)  # fmt: skip
def test_a_file_is_refused_in_plain_words(text: str, message: str, fix: str) -> None:
    error = refused(text)
    assert error.message.startswith(message)
    assert fix in error.fix


def test_what_is_no_regular_file_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo("pipe")
    for name, kind in {"pipe": "a FIFO", "/dev/zero": "a device", ".": "a folder"}.items():
        with pytest.raises(DmddError) as caught:
            read("run", "--config", name)
        assert caught.value.message == f"--config {name} cannot be read: it is {kind}, not a regular file."
    Path("large.toml").write_text("#" * (2 << 20))
    monkeypatch.setenv(CONFIG_VARIABLE, "large.toml")
    with pytest.raises(DmddError, match=r"^DMDD_CONFIG large\.toml cannot be read: it is larger than"):
        read("run")


def test_a_file_that_notepad_saved_is_read() -> None:
    Path("a.toml").write_bytes(b"\xef\xbb\xbf[run]\r\nlimit = 3\r\nserve = 8080\r\nsource = 0\r\n")
    options = read("run", "--config", "a.toml")
    assert (options.limit, options.serve, options.source) == (3, "8080", "0")


def test_keys_of_other_commands_and_former_names_are_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.toml").write_text('[train]\nsteps = 5\n[run]\nsource = "x"\n[bench]\nlike = "mlperf"\n')
    assert read("run", "--config", "a.toml").source == "x"
    assert read("bench", "--config", "a.toml").preset == "mlperf"
    assert "like is now preset; the old name will be removed." in capsys.readouterr().err
    Path("a.toml").write_text("[run]\nrotate = 90\n")
    with pytest.raises(DmddError, match="run takes the rotation of the image from the bundle"):
        read("run", "--config", "a.toml")


def test_the_sub_commands_of_a_group_share_its_table() -> None:
    Path("a.toml").write_text('[models]\nversion = "2026"\nmodels_dir = "m"\n')
    assert read("models", "--config", "a.toml").models_dir == Path("m")


def test_the_folder_of_sample_may_be_in_the_file_or_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.toml").write_text('[sample]\nfolder = "drawn"\n')
    assert read("sample", "--config", "a.toml").folder == Path("drawn")
    monkeypatch.setenv("DMDD_FOLDER", "other")
    assert read("sample", "--config", "a.toml").folder == Path("other")
    monkeypatch.delenv("DMDD_FOLDER")
    with pytest.raises(DmddError, match="Missing argument 'FOLDER'"):
        read("sample")
    assert refused('[sample]\ndir = "drawn"\n', "sample").fix == "Write folder."


def test_the_configuration_file_is_named_once_and_is_not_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments, message in {
        ("--config", "a", "--config", "b"): "--config is given twice.",
        ("--config", ""): "The value is empty.",
        ("--save", ""): "The value is empty.",
    }.items():
        with pytest.raises((DmddError, typer.BadParameter), match=message):
            read("run", *arguments)
    monkeypatch.setenv(CONFIG_VARIABLE, "nope.toml")
    with pytest.raises(DmddError, match=r"^DMDD_CONFIG nope\.toml: there is no such file"):
        read("run")


def test_a_variable_that_is_mistyped_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DMDD_STEPS", "5")  # of another command
    monkeypatch.setenv("DMDD_TELEMETRY", "0")
    monkeypatch.setenv("DMDD_LIMT", "4")
    for _ in range(2):
        assert read("run", "x").limit is None
    shown = " ".join(capsys.readouterr().err.split())
    assert shown == "DMDD_LIMT has no effect: it is not a variable of run. Did you mean DMDD_LIMIT?"
    monkeypatch.setenv("DMDD_MQTT_PASWORD", "secret")
    read("run", "x")
    assert "Did you mean DMDD_MQTT_PASSWORD?" in " ".join(capsys.readouterr().err.split())
    monkeypatch.setenv("DMDD_NO_SAVE_CAPTION", "1")
    with pytest.raises(DmddError) as caught:
        read("run", "x")
    assert caught.value.fix == "Set DMDD_SAVE_CAPTION=0 instead."


def test_what_is_printed_is_toml(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "a\nlimit = 7\r.toml"
    Path(name).write_text('source = "x"\n')
    text = printed("run", "--config", name, "--camera-size", "640x480", "--save", "caf\udce9")
    assert tomllib.loads(text) == {"run": {"source": "x", "camera_size": [640, 480]}}
    assert '# save = "caf\\udce9"  # TOML cannot hold this value; command line' in text.splitlines()


def test_a_value_out_of_its_choices_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMDD_DEVICE", "typo")
    with pytest.raises(DmddError, match=r"^DMDD_DEVICE: --device 'typo' is unknown"):
        printed("train")


def test_what_contradicts_itself_is_not_printed() -> None:
    with pytest.raises(Exception, match="SOURCE and --source exclude each other"):
        printed("run", "x", "--source", "y")


@pytest.mark.parametrize(
    ("given", "used"), [("0", "80"), ("5", "80"), ("-1", "80"), ("9" * 30, "80"), ("x", "80"), ("40", "40")]
)
def test_a_terminal_without_width_counts_as_80_columns(given: str, used: str) -> None:
    environment = {"COLUMNS": given}
    usable_width(environment)
    assert environment == {"COLUMNS": used}


def test_what_is_printed_has_sizes_as_a_person_writes_them_and_one_source() -> None:
    lines = printed("run", "--source", "x", "--jsonl", "r", "--rotate-size", "100MB", "--keep", "1.5GB")
    assert 'rotate_size = "100MB"' in lines
    assert 'keep = "1500MB"' in lines
    assert 'spool_limit = "64MiB"' in lines
    assert "sources" not in lines
    lines = printed("run", "x", "--jsonl", "r", "--keep", "1023")
    assert 'sources = ["x"]' in lines
    assert "source is not set" not in lines
    assert "keep = 1023" in lines
