"""The systemd unit of a station: what it says, and what systemd itself says to it."""

from __future__ import annotations

import getpass
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.station import install as module
from dmdd_edge.runtime.station.file.read import read_station
from dmdd_edge.runtime.station.install import plan_unit, systemd_version, writable_folders, write_unit
from dmdd_edge.runtime.station.unit import unit_name

STATION = """
[cameras.top]
source = "/dev/video0"
[inspections.lid]
category = "screw"
engine_cache = "engines"
[results]
jsonl = "out/results.jsonl"
save = "out/images"
csv = "/var/lib/line1/rows.csv"
spool = "spool"
webhook = "http://127.0.0.1:9/"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose name needs every rule of escaping, with the program in it."""
    folder = tmp_path / "line 1 %h $HOME"
    (folder / "bin").mkdir(parents=True)
    program = folder / "bin" / "dmdd-edge"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "bin" / "python"))
    return folder


def station(folder: Path, more: str = "") -> Path:
    path = folder / "line1.toml"
    path.write_text(more + STATION if more.startswith("state_dir") else STATION + more)
    return path


def values(text: str, key: str) -> list[str]:
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")]


def test_paths_are_escaped_as_systemd_reads_them(folder: Path) -> None:
    text = plan_unit(read_station(station(folder))).text
    raw = str(folder).replace("%", "%%")
    (start,) = values(text, "ExecStart")
    quoted = raw.replace("$", "$$")
    assert start == f'"{raw}/bin/dmdd-edge" station run "{quoted}/line1.toml"'
    assert values(text, "WorkingDirectory") == [raw]
    (writable,) = values(text, "ReadWritePaths")
    assert writable == f'"{raw}/engines" "{raw}/line1.state" "{raw}/out" "{raw}/spool" /var/lib/line1'


def test_only_outermost_folders_are_writable(folder: Path) -> None:
    settings = read_station(station(folder))
    below = [folder / name for name in ("engines", "line1.state", "out", "spool")]
    assert writable_folders(settings) == (*below, Path("/var/lib/line1"))
    settings = read_station(station(folder, 'state_dir = "/var/lib/line1"\n'))
    assert settings.state_dir in writable_folders(settings)


def test_a_low_port_gets_its_capability_and_nothing_else_does(folder: Path) -> None:
    low = plan_unit(read_station(station(folder, "[plc.modbus]\n"))).text
    assert (
        values(low, "AmbientCapabilities") == values(low, "CapabilityBoundingSet") == ["CAP_NET_BIND_SERVICE"]
    )
    high = plan_unit(read_station(station(folder, "[plc.modbus]\nport = 1502\n"))).text
    assert values(high, "AmbientCapabilities") == []
    assert values(high, "CapabilityBoundingSet") == [""]


def test_groups_are_those_that_exist(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_group_exists", lambda name: name in ("video", "gpio"))
    assert values(plan_unit(read_station(station(folder))).text, "SupplementaryGroups") == ["video gpio"]
    monkeypatch.setattr(module, "_group_exists", lambda name: False)
    assert values(plan_unit(read_station(station(folder))).text, "SupplementaryGroups") == []


@pytest.mark.parametrize(("version", "steps"), [(252, []), (254, ["6"])])
def test_restarts_are_spread_where_systemd_can(
    folder: Path, monkeypatch: pytest.MonkeyPatch, version: int, steps: list[str]
) -> None:
    monkeypatch.setattr(module, "systemd_version", lambda: version)
    text = plan_unit(read_station(station(folder))).text
    assert values(text, "Restart") == ["always"]
    assert values(text, "RestartSteps") == steps


def test_homes_and_temporary_folders_are_hidden_unless_the_station_is_there(folder: Path) -> None:
    text = plan_unit(read_station(station(folder))).text
    assert values(text, "PrivateTmp") == ["no" if folder.is_relative_to("/tmp") else "yes"]
    settings = read_station(station(folder))
    home = plan_unit(type(settings)(**{**vars(settings), "path": Path("/home/anna/line1.toml")})).text
    assert values(home, "ProtectHome") == ["read-only"]


def test_what_is_left_to_do_is_named(folder: Path) -> None:
    plan = plan_unit(read_station(station(folder)), account="nobody-of-here")
    assert plan.before[0] == "sudo useradd --system --no-create-home --shell /usr/sbin/nologin nobody-of-here"
    assert plan.before[1].startswith(f"sudo install -d -m 750 -o nobody-of-here '{folder}/engines' '")
    mine = plan_unit(read_station(station(folder)), account=getpass.getuser())
    assert [command for command in mine.before if "useradd" in command] == []
    assert mine.doubts == ()


def test_a_closed_folder_and_a_writable_station_are_named(folder: Path) -> None:
    folder.parent.chmod(0o755)
    folder.chmod(stat.S_IRWXU)
    text = 'state_dir = "."\n'
    doubts = plan_unit(read_station(station(folder, text)), account="nobody-of-here").doubts
    assert any(f"{folder} is closed to it" in doubt or "is closed to it" in doubt for doubt in doubts)
    assert any(f"may write to {folder}, which also holds the station file" in doubt for doubt in doubts)


def test_a_unit_is_not_replaced_unasked(folder: Path, tmp_path: Path) -> None:
    file = station(folder)
    plan = plan_unit(read_station(file))
    path = write_unit(plan, tmp_path, file, overwrite=False)
    assert (path, path.read_text()) == (tmp_path / "dmdd-edge-line1.service", plan.text)
    assert write_unit(plan, tmp_path, file, overwrite=False) == path
    path.write_text("mine")
    with pytest.raises(OptionError, match="differs"):
        write_unit(plan, tmp_path, file, overwrite=False)
    assert path.read_text() == "mine"
    write_unit(plan, tmp_path, file, overwrite=True)
    assert path.read_text() == plan.text


def test_a_folder_that_cannot_be_written_says_how_root_writes_it(folder: Path) -> None:
    file = station(folder)
    with pytest.raises(OptionError) as raised:
        write_unit(plan_unit(read_station(file)), folder / "missing", file, overwrite=False)
    assert f"sudo tee '{folder}/missing/dmdd-edge-line1.service'" in raised.value.fix
    assert "station install" in raised.value.fix
    assert "--print" in raised.value.fix


@pytest.mark.parametrize("account", ["", "Anna Bell", "%h", "root;x", "a" * 40])
def test_an_account_is_a_name(folder: Path, account: str) -> None:
    with pytest.raises(OptionError, match="is not the name of a user"):
        plan_unit(read_station(station(folder)), account=account)


def test_what_systemd_cannot_express_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / 'a "b"'
    folder.mkdir()
    with pytest.raises(OptionError, match="a quote, a backslash or a control character"):
        plan_unit(read_station(station(folder)))


@pytest.mark.parametrize(
    ("file", "name"),
    [("line1.toml", "dmdd-edge-line1"), ("Line 1.toml", "dmdd-edge-Line-1"), ("%.toml", "dmdd-edge-station")],
)
def test_the_name_of_the_unit(file: str, name: str) -> None:
    assert unit_name(Path(file)) == name


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("more", ["", "[plc.modbus]\n"])
def test_systemd_has_nothing_to_say_against_the_unit(folder: Path, tmp_path: Path, more: str) -> None:
    file = station(folder, more)
    path = write_unit(
        plan_unit(read_station(file), account=getpass.getuser()), tmp_path, file, overwrite=False
    )
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True, check=False
    )
    about = [line for line in (done.stdout + done.stderr).splitlines() if "dmdd-edge" in line]
    assert (done.returncode, about) == (0, [])
    (folder / "bin" / "dmdd-edge").unlink()
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True, check=False
    )
    assert f"Command {folder}/bin/dmdd-edge is not executable" in done.stderr  # so it read the path right


def test_the_version_of_systemd() -> None:
    assert (systemd_version() > 0) == (shutil.which("systemctl") is not None)


def program(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from dmdd_edge.cli.main import main; main()", "station", "install"]
    return subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_command_writes_the_unit_and_says_what_is_left(tmp_path: Path) -> None:
    file, units = station(tmp_path), tmp_path / "units"
    units.mkdir()
    printed = program(file, "--print", "--account", "line")
    assert (printed.returncode, printed.stderr) == (0, "")
    done = program(file, "--into", units, "--account", "line")
    assert done.returncode == 0, done.stderr
    assert (units / "dmdd-edge-line1.service").read_text() == printed.stdout
    lines = done.stderr.splitlines()
    assert lines[0] == f"wrote {units}/dmdd-edge-line1.service"
    assert lines[-1] == "next: sudo systemctl enable --now dmdd-edge-line1"
    assert f"  {plan_unit(read_station(file), 'line').remove}" in lines
    again = program(file, "--into", units)
    assert again.returncode == 1
    assert "is there already, and differs" in again.stderr
