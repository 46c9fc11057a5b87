"""A new station file: what was found is in it, it is valid as written, and nothing is replaced unasked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tomllib
from jsonschema import Draft7Validator

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.station.file import found as looking
from dmdd_edge.runtime.station.file import write
from dmdd_edge.runtime.station.file.found import Found, FoundCamera
from dmdd_edge.runtime.station.file.read import read_station
from dmdd_edge.runtime.station.file.schema import station_schema
from dmdd_edge.runtime.station.file.template import station_text
from dmdd_edge.runtime.station.file.write import write_station
from dmdd_edge.runtime.station.settings import ModbusSettings, RecipeSettings

TOP = FoundCamera("genicam://4711", "ACME X1, GigE Vision at 10.0.0.2", "software")
SIDE = FoundCamera("/dev/video2", "USB Camera", "newest")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A working folder on a machine without cameras and bundles."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(write, "find", lambda models_dir: Found())
    return tmp_path


def has(monkeypatch: pytest.MonkeyPatch, found: Found) -> None:
    monkeypatch.setattr(write, "find", lambda models_dir: found)


def test_one_camera_and_one_bundle(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    has(monkeypatch, Found((TOP,), ("screw",)))
    written = write_station(Path("lines/line1.toml"), Path("models"))
    assert written.lines == (
        "wrote lines/line1.toml: 1 camera, 1 bundle",
        "wrote lines/station.schema.json, for editors",
    )
    read = read_station(Path("lines/line1.toml"))
    assert read.name == "line1"
    assert read.models_dir.resolve() == machine / "models"
    assert [(c.name, c.source, c.trigger) for c in read.cameras.values()] == [
        ("camera1", "genicam://4711", "software")
    ]
    assert [(i.name, i.camera, i.category) for i in read.inspections.values()] == [
        ("screw", "camera1", "screw")
    ]
    assert read.recipes == (RecipeSettings(number=1, name="screw", inspections=("screw",)),)
    assert read.plc.modbus == ModbusSettings(port=5020)
    assert read.results.jsonl == machine / "lines/line1.jsonl"
    assert read.remarks == ()
    text = Path("lines/line1.toml").read_text()
    assert text.startswith("#:schema ./station.schema.json\n")
    assert "# ACME X1, GigE Vision at 10.0.0.2" in text
    schema = json.loads(Path("lines/station.schema.json").read_text())
    assert schema == station_schema()
    assert list(Draft7Validator(schema).iter_errors(tomllib.loads(text))) == []


def test_each_bundle_is_a_recipe_and_each_camera_has_an_inspection_in_it(machine: Path) -> None:
    found = Found((TOP, SIDE), ("plate", "nut 3.5"))
    Path("line1.toml").write_text(station_text(Path("line1.toml"), found, Path("models")))
    read = read_station(Path("line1.toml"))
    assert {i.name: (i.camera, i.category) for i in read.inspections.values()} == {
        "plate_camera1": ("camera1", "plate"),
        "plate_camera2": ("camera2", "plate"),
        "nut 3.5_camera1": ("camera1", "nut 3.5"),
        "nut 3.5_camera2": ("camera2", "nut 3.5"),
    }
    assert [(recipe.number, recipe.name, recipe.inspections) for recipe in read.recipes] == [
        (1, "plate", ("plate_camera1", "plate_camera2")),
        (2, "nut 3.5", ("nut 3.5_camera1", "nut 3.5_camera2")),
    ]
    assert (read.recipe, read.remarks) == (1, ())


def test_with_nothing_found_the_file_says_what_to_fill_in(machine: Path) -> None:
    written = write_station(Path("line1.toml"), Path("models"))
    assert written.lines == (
        "wrote line1.toml: 0 cameras, 0 bundles",
        "wrote station.schema.json, for editors",
        "fill in: no camera was found; line1.toml names /dev/video0",
        "fill in: no bundle was found in models/; line1.toml names CATEGORY",
        "Train on images of good parts, your own or those that the command sample draws: "
        "dmdd-edge train --data DIR",
    )
    text = Path("line1.toml").read_text()
    assert text.count("FILL IN") == 2
    read = read_station(Path("line1.toml"))
    assert read.cameras["camera1"].source == "/dev/video0"
    assert read.inspections["CATEGORY"].category == "CATEGORY"


def test_every_example_in_a_comment_is_right(machine: Path) -> None:
    write_station(Path("line1.toml"), Path("models"))
    lines = []
    for line in Path("line1.toml").read_text().splitlines():
        bare = line.removeprefix("# ")
        example = bare != line and (" = " in bare.split(":")[0] or bare.startswith("["))
        lines.append(bare if example else line)
    assert len([one for one in lines if not one.startswith("#") and one]) > 25
    Path("all.toml").write_text("\n".join(lines))
    read = read_station(Path("all.toml"))
    assert read.deadline_ms == 200
    assert read.inspections["CATEGORY"].region == (0, 0, 640, 480)
    assert read.gpio is not None
    assert read.gpio.reject is not None
    assert read.results.mqtt == "mqtt://broker:1883/line1"
    assert read.results.keep == 2 * 10**9


def test_nothing_is_replaced_unless_it_is_requested(machine: Path) -> None:
    Path("line1.toml").write_text("mine")
    Path("station.schema.json").write_text("mine too")
    with pytest.raises(DmddError) as caught:
        write_station(Path("line1.toml"), Path("models"))
    assert caught.value.message == "line1.toml is there already."
    assert caught.value.fix.endswith(": dmdd-edge station init line1.toml --overwrite")
    assert Path("line1.toml").read_text() == "mine"
    write_station(Path("line2.toml"), Path("models"))
    assert Path("station.schema.json").read_text() == "mine too"
    write_station(Path("line1.toml"), Path("models"), overwrite=True)
    assert read_station(Path("line1.toml")).name == "line1"
    assert json.loads(Path("station.schema.json").read_text()) == station_schema()


@pytest.mark.parametrize(
    ("name", "message", "fix"),
    [
        ("line1", "line1 is not the name of a station file.", "Name it line1.toml."),
        ("made.toml", "made.toml is a folder.", "Name a file in it, such as line1.toml."),
    ],
)
def test_a_name_that_cannot_be_a_station_file(machine: Path, name: str, message: str, fix: str) -> None:
    Path("made.toml").mkdir()
    with pytest.raises(DmddError) as caught:
        write_station(Path(name), Path("models"), overwrite=True)
    assert (caught.value.message, caught.value.fix) == (message, fix)


def test_a_link_to_nothing_is_not_replaced(machine: Path) -> None:
    Path("line1.toml").symlink_to("elsewhere.toml")
    with pytest.raises(DmddError, match="is there already"):
        write_station(Path("line1.toml"), Path("models"))


def test_cameras_and_bundles_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from dmdd_edge.runtime.sources import genicam
    from dmdd_edge.runtime.sources.cameras import CameraInfo
    from dmdd_edge.runtime.sources.genicam.interface import Found as Device

    class Driver:
        def find(self) -> list[Device]:
            return [Device("4711", "X1", "ACME", "10.0.0.2", "GigE Vision")]

    monkeypatch.setattr(genicam, "open_driver", lambda: (Driver(), ""))
    monkeypatch.setattr(looking, "list_cameras", lambda: [CameraInfo("/dev/video2", "USB Camera", "in use")])
    (tmp_path / "models/screw").mkdir(parents=True)
    (tmp_path / "models/screw/CURRENT").write_text("1\n")
    (tmp_path / "models/other").mkdir()
    assert looking.find(tmp_path / "models") == Found(
        (TOP, FoundCamera("/dev/video2", "USB Camera, in use", "newest")), ("screw",)
    )


def test_a_missing_library_is_remarked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from dmdd_edge.runtime.sources import genicam

    def missing() -> None:
        raise DmddError("GenICam cameras need viva-genicam or Aravis.", "Install one.")

    monkeypatch.setattr(genicam, "open_driver", missing)
    monkeypatch.setattr(looking, "list_cameras", list)
    assert looking.find(tmp_path) == Found(
        remarks=(
            "GenICam cameras were not searched: GenICam cameras need viva-genicam or Aravis. Install one.",
        )
    )
