"""A station file as settings: every key arrives, defaults and relative paths are right, remarks are made."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.options.backend import BackendOptions
from dmdd_edge.runtime.sources.options import SourceOptions
from dmdd_edge.runtime.station.file.read import read_station
from dmdd_edge.runtime.station.settings import (
    CameraSettings,
    GpioSettings,
    InspectionSettings,
    LineSettings,
    ModbusSettings,
    OpcUaSettings,
    PlcSettings,
    RecipeSettings,
    ResultOptions,
    StationSettings,
)
from tests.runtime.station.files import SMALL, settings_of

WHOLE = """\
name = "line 1"
recipe = 2
queue = 16
deadline_ms = 150
keep_warm = 2
state_dir = "state"
models_dir = "/opt/models"
[cameras.top]
source = 0
trigger = "newest"
timeout_ms = 500
camera-size = "1920x1080"
camera_control = ["focus_absolute=30"]
exposure = 2
[cameras.side]
source = "images:parts"
trigger = "free"
fps = 5
every = 2
[cameras.back]
source = "genicam://1234?Gain=2"
trigger = "camera"
queue = 3
match_ms = 20
[cameras.stream]
source = "replay:line.mp4?fps=30"
settle_ms = 80
[inspections.lid]
camera = "top"
category = "screw"
region = [10, 20, 640, 480]
threshold = 0.6
pixel_threshold = 0.7
backend = "cpu"
cuda-driver = "pycuda"
engine_cache = "engines"
[inspections.side]
camera = "side"
model = "m/x"
[[recipes]]
number = 1
name = "A"
inspections = ["lid", "side"]
[[recipes]]
number = 2
inspections = ["lid"]
[plc]
result = "pulse"
pulse_ms = 50
heartbeat_ms = 3000
[plc.modbus]
host = "127.0.0.1"
port = 5020
unit = 7
[plc.opcua]
[gpio]
chip = "/dev/gpiochip1"
debounce_ms = 2
reject = {line = 5, pulse_ms = 30, delay_ms = 200, active = "low"}
trigger = {line = "IN1"}
pass.line = 4
[results]
jsonl = "out/x.jsonl"
serve = 8080
rotate_size = "100MB"
"""


def test_every_key_arrives(tmp_path: Path) -> None:
    read = settings_of(tmp_path, WHOLE)
    assert read == StationSettings(
        path=tmp_path / "line1.toml",
        name="line 1",
        recipe=2,
        queue=16,
        deadline_ms=150.0,
        keep_warm=2,
        state_dir=tmp_path / "state",
        models_dir=Path("/opt/models"),
        cameras={
            "top": CameraSettings(
                name="top",
                source="0",
                trigger="newest",
                timeout_ms=500.0,
                options=SourceOptions(
                    camera_size=(1920, 1080), camera_controls=(("focus_absolute", 30),), exposure=2.0
                ),
            ),
            "side": CameraSettings(
                name="side",
                source=f"images:{tmp_path}/parts",
                trigger="free",
                options=SourceOptions(fps=5.0, every=2),
            ),
            "back": CameraSettings(
                name="back", source="genicam://1234?Gain=2", trigger="camera", queue=3, match_ms=20.0
            ),
            "stream": CameraSettings(
                name="stream", source=f"replay:{tmp_path}/line.mp4?fps=30", settle_ms=80.0
            ),
        },
        inspections={
            "lid": InspectionSettings(
                name="lid",
                camera="top",
                category="screw",
                region=(10, 20, 640, 480),
                threshold=0.6,
                pixel_threshold=0.7,
                backend="cpu",
                options=BackendOptions(cuda_driver="pycuda", engine_cache=tmp_path / "engines"),
            ),
            "side": InspectionSettings(name="side", camera="side", model=tmp_path / "m/x"),
        },
        recipes=(
            RecipeSettings(number=1, name="A", inspections=("lid", "side")),
            RecipeSettings(number=2, name="recipe 2", inspections=("lid",)),
        ),
        plc=PlcSettings(
            result="pulse",
            pulse_ms=50.0,
            heartbeat_ms=3000.0,
            modbus=ModbusSettings(host="127.0.0.1", port=5020, unit=7),
            opcua=OpcUaSettings(),
        ),
        gpio=GpioSettings(
            chip="/dev/gpiochip1",
            debounce_ms=2.0,
            reject=LineSettings(line=5, active="low", pulse_ms=30.0, delay_ms=200.0),
            trigger=LineSettings(line="IN1"),
            pass_=LineSettings(line=4),
        ),
        results=ResultOptions(jsonl=tmp_path / "out/x.jsonl", serve="8080", rotate_size=100_000_000),
        remarks=read.remarks,
    )
    # What was given is known, also to the checks of a source.
    assert read.cameras["top"].options.given() == {"camera_size", "camera_controls", "exposure"}
    assert read.place("inspections", "lid", "threshold") == f"{tmp_path}/line1.toml, line 32"
    assert read.place("inspections", "lid", "cuda_driver") == f"{tmp_path}/line1.toml, line 35"
    assert read.place("recipes", 1, "inspections", 0) == f"{tmp_path}/line1.toml, line 46"


def test_the_smallest_file_has_defaults(tmp_path: Path) -> None:
    read = settings_of(tmp_path, SMALL)
    assert (read.name, read.recipe, read.plc.result, read.gpio) == ("line1", 1, "hold", None)
    assert read.models_dir == tmp_path / "models"
    assert read.state_dir == tmp_path / "line1.state"
    assert read.inspections["lid"].camera == "top"
    assert read.recipes == (RecipeSettings(number=1, name="line1", inspections=("lid",)),)
    assert read.remarks == (f"{tmp_path}/line1.toml has no [[recipes]]: recipe 1 has every inspection.",)


def test_paths_start_from_the_folder_of_the_file_however_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines/line1.toml").write_text(SMALL)
    monkeypatch.chdir(tmp_path)
    read = read_station(Path("lines/line1.toml"))
    assert read.path == tmp_path / "lines/line1.toml"
    assert read.models_dir == tmp_path / "lines/models"
    assert read.place("cameras", "top") == "lines/line1.toml, line 1"


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_file_that_notepad_saved_is_read_with_right_lines(tmp_path: Path, newline: str) -> None:
    data = b"\xef\xbb\xbf" + SMALL.replace("\n", newline).encode()
    (tmp_path / "line1.toml").write_bytes(data)
    read = read_station(tmp_path / "line1.toml")
    assert read.place("plc", "modbus", "port").endswith("line 6")


def test_what_has_no_effect_is_remarked(tmp_path: Path) -> None:
    text = """\
[cameras.a]
source = "images:a"
[cameras.b]
source = "drawn:"
[inspections.x]
camera = "a"
[inspections.y]
camera = "a"
[[recipes]]
number = 7
name = "seven"
inspections = ["x"]
[[recipes]]
number = 3
inspections = ["x"]
"""
    read = settings_of(tmp_path, text)
    assert read.recipe == 7
    assert [remark.removeprefix(f"{tmp_path}/line1.toml") for remark in read.remarks] == [
        ", line 3: no inspection uses camera b.",
        ", line 7: no recipe has inspection y.",
        ", line 1: nothing triggers a part. Add [plc.modbus], [plc.opcua], [gpio.trigger] or serve, or set "
        'trigger = "free".',
        " does not set recipe: the first start has recipe 7 (seven).",
    ]


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ('"images:a/b?fps=5"', "images:{}/a/b?fps=5"),
        ('"images:/a"', "images:/a"),
        ('"parts/*.png"', "{}/parts/*.png"),
        ('"replay:a.mp4?loop=1"', "replay:{}/a.mp4?loop=1"),
        ('"drawn:plate?bad=0.5"', "drawn:plate?bad=0.5"),
        ('"rtsp://10.0.0.7/main"', "rtsp://10.0.0.7/main"),
        ('"csi://1"', "csi://1"),
        ("3", "3"),
    ],
)
def test_only_sources_that_are_paths_start_from_the_folder(tmp_path: Path, source: str, read: str) -> None:
    text = SMALL.replace('"/dev/video0"', source)
    assert settings_of(tmp_path, text).cameras["top"].source == read.format(tmp_path)


def test_a_trigger_that_no_camera_waits_for_is_remarked(tmp_path: Path) -> None:
    text = SMALL.replace('video0"', 'video0"\ntrigger = "free"') + "[gpio.trigger]\nline = 3\n"
    assert any("no camera waits for this trigger" in remark for remark in settings_of(tmp_path, text).remarks)
    text = text.replace('"free"', '"newest"')
    assert not any("waits for" in remark for remark in settings_of(tmp_path, text).remarks)


@pytest.mark.parametrize(
    ("data", "message", "fix"),
    [
        (None, "line1.toml: there is no such file.", "Write one: dmdd-edge station init line1.toml"),
        (b"", "line1.toml is empty.", "Write another: dmdd-edge station init line1.toml"),
        (b"\n# nothing\n", "line1.toml is empty.", "Write another"),
        (b"\xff\xfe[\x00", "line1.toml, line 1, is not a text in UTF-8.", "Save it as UTF-8."),
        (b'a = "\n\nb = \xe9"', "line1.toml, line 3, is not a text in UTF-8.", "Save it as UTF-8."),
        (b"[cameras.top\n", "line1.toml is not TOML: ", "Write NAME = VALUE"),
        (b"name = line1\n", "line1.toml is not TOML: Invalid value (at line 1, column 8).", ""),
        (b"[cameras.a]\n[cameras.a]\n", "line1.toml is not TOML: the table [cameras.a] occurs twice", ""),
        (b"[a]\nx = 1\nx = 2\n", "line1.toml is not TOML: the key x occurs twice, again in line 3.", ""),
    ],
)
def test_what_is_no_station_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes | None, message: str, fix: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if data is not None:
        Path("line1.toml").write_bytes(data)
    with pytest.raises(DmddError) as caught:
        read_station(Path("line1.toml"))
    assert caught.value.message.startswith(message)
    assert fix in caught.value.fix


def test_a_folder_and_a_mistyped_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("line1.toml").write_text(SMALL)
    with pytest.raises(DmddError, match="it is a folder, not a regular file"):
        read_station(tmp_path)
    with pytest.raises(DmddError) as caught:
        read_station(Path("lin1.toml"))
    assert caught.value.fix == "Did you mean 'line1.toml'?"
