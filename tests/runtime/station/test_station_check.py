"""``station check`` opens cameras, bundles, ports and folders once, and names what fails with its line."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.cli import configuration
from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.station.check import cameras
from dmdd_edge.runtime.station.check.examine import examine_station
from dmdd_edge.runtime.station.check.report import StationReport
from dmdd_edge.runtime.station.file.read import read_station

Make = Callable[..., Bundle]
Picture = Callable[..., NDArray[np.uint8]]

#: Images are 256 x 128; a region holds a blue patch or not. The graph's score is the largest blue / 255.
TEXT = """\
[cameras.top]
source = "images:parts"
[inspections.left]
camera = "top"
category = "screw"
region = [0, 0, 90, 128]
[inspections.right]
camera = "top"
category = "screw"
region = [90, 0, 166, 128]
threshold = 0.9
[[recipes]]
number = 4
name = "both"
inspections = ["left", "right"]
[plc.modbus]
host = "127.0.0.1"
port = {port}
[results]
jsonl = "out/line1.jsonl"
save = "out/overlays"
"""


@pytest.fixture
def port() -> Iterator[int]:
    """A port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


@pytest.fixture
def place(tmp_path: Path, make_bundle: Make, make_picture: Picture, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a bundle, and with images that stand for a camera: blue is 204 on the right side."""
    make_bundle()
    (tmp_path / "parts").mkdir()
    cv2.imwrite(str(tmp_path / "parts/0.png"), make_picture(patch=204))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def examined(text: str) -> StationReport:
    Path("line1.toml").write_text(text)
    return examine_station(read_station(Path("line1.toml")), seconds=5)


def states(report: StationReport) -> dict[str, str]:
    return {finding.name: finding.state for finding in report.findings}


def details(report: StationReport) -> dict[str, str]:
    return {finding.name: finding.detail for finding in report.findings}


def fault(report: StationReport, name: str) -> tuple[str, str, str]:
    """Line, message and fix of a finding."""
    (finding,) = (each for each in report.findings if each.name == name)
    assert finding.state == "broken"
    return finding.facts["place"].rpartition("line ")[2], finding.detail, finding.fix


def test_a_station_that_can_run(place: Path, free: int) -> None:
    report = examined(TEXT.format(port=free))
    assert report.broken == []
    shown = details(report)
    assert list(shown) == [
        *("cameras.top", "inspections.left", "inspections.right", "recipes.4", "plc.modbus"),
        *("results.state_dir", "results.jsonl", "results.save", "results.drift"),
    ]
    assert shown["cameras.top"] == "256 x 128, trigger newest, simulated, an image per trigger"
    assert shown["recipes.4"] == "both: left, right, at the first start"
    assert shown["plc.modbus"] == f"Modbus TCP on 127.0.0.1:{free}, any unit"
    facts = {finding.name: finding.facts for finding in report.findings}
    # Without the patch, blue is 30 of 255.
    assert facts["inspections.left"]["score"] == pytest.approx(30 / 255)
    assert facts["inspections.left"]["status"] == "good"
    assert facts["inspections.left"]["threshold"] == 0.5
    assert facts["inspections.right"]["score"] == pytest.approx(204 / 255)
    assert facts["inspections.right"]["threshold"] == 0.9
    assert (facts["cameras.top"]["width"], facts["cameras.top"]["height"]) == (256, 128)
    # Nothing is written.
    assert not Path("out").exists()
    assert not Path("line1.state").exists()


@pytest.mark.parametrize(
    ("camera", "shown"),
    [
        ('source = "images:parts"\ntrigger = "free"', "trigger free, simulated, 5 frames/s"),
        ('source = "images:parts"\ntrigger = "camera"', "trigger camera, simulated, an image per trigger"),
        (
            'source = "images:parts"\ntrigger = "software"',
            "trigger software, simulated, an image per",
        ),
    ],
)
def test_each_kind_of_trigger_shows_an_image(place: Path, free: int, camera: str, shown: str) -> None:
    report = examined(TEXT.format(port=free).replace('source = "images:parts"', camera))
    assert report.broken == []
    assert details(report)["cameras.top"].startswith(f"256 x 128, {shown}")


def test_a_camera_whose_own_trigger_nobody_gave_is_not_broken(
    place: Path, free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmdd_edge.runtime.sources.simulated.SimulatedCamera.fire", lambda self: None)
    monkeypatch.setattr(cameras, "OWN_TRIGGER_SECONDS", 0.1)
    text = TEXT.format(port=free).replace("images:parts", 'images:parts"\ntrigger = "camera')
    report = examined(text)
    assert report.broken == []
    assert details(report)["cameras.top"].startswith("opened; it waits for its own trigger")
    facts = {finding.name: finding.facts for finding in report.findings}
    assert facts["inspections.left"]["category"] == "screw"
    assert "score" not in facts["inspections.left"]


def test_a_camera_that_does_not_answer_its_trigger_is_broken(
    place: Path, free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmdd_edge.runtime.sources.simulated.SimulatedCamera.fire", lambda self: None)
    Path("line1.toml").write_text(TEXT.format(port=free))
    report = examine_station(read_station(Path("line1.toml")), seconds=0.3)
    assert [finding.name for finding in report.broken] == ["cameras.top"]
    line, message, fix = fault(report, "cameras.top")
    assert line == "2"
    assert message.startswith(f"images:{place}/parts delivered no image in 0.3 s.")
    assert fix.startswith("Check its cable and power")


def test_a_bundle_that_several_inspections_share_is_loaded_once(
    place: Path, free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []
    load = Bundle.load

    def counted(path: Path, *arguments: Any, **named: Any) -> Bundle:
        loads.append(path)
        return load(path, *arguments, **named)

    monkeypatch.setattr(Bundle, "load", counted)
    assert examined(TEXT.format(port=free)).broken == []
    assert len(loads) == 1


def test_every_problem_is_listed_with_its_line(place: Path, port: int) -> None:
    text = TEXT.format(port=port)
    text = text.replace("[90, 0, 166, 128]", "[90, 0, 167, 128]").replace(
        '"screw"\nregion = [0', '"screv"\nregion = [0'
    )
    text += '[cameras.side]\nsource = "images:gone"\n[inspections.side]\ncamera = "side"\n'
    Path("out").write_text("a file")
    report = examined(text)
    assert [finding.name for finding in report.broken] == [
        *("cameras.side", "inspections.left", "inspections.right", "recipes.4", "plc.modbus"),
        *("results.jsonl", "results.save"),
    ]
    line, message, fix = fault(report, "cameras.side")
    assert (line, message) == ("23", f"{place}/gone does not exist.")
    line, message, fix = fault(report, "inspections.left")
    assert line == "5"
    assert message.startswith("there is no bundle 'screv' in ")
    assert fix == "Did you mean 'screw'?"
    assert fault(report, "inspections.right") == (
        "10",
        "region [90, 0, 167, 128] is outside the image of camera top, which is 256 x 128.",
        "Write a region inside it, such as region = [90, 0, 166, 128].",
    )
    line, message, _ = fault(report, "plc.modbus")
    assert line == "18"
    assert "in use" in message
    assert details(report)["recipes.4"] == "both: inspections left, right do not work"
    assert fault(report, "results.jsonl")[0] == "20"
    # The bundle of an inspection whose camera has no image is loaded all the same.
    (side,) = (finding for finding in report.findings if finding.name == "inspections.side")
    assert side.state == "ok"
    assert side.facts["category"] == "screw"
    assert "score" not in side.facts


@pytest.mark.parametrize(
    ("region", "fitting"),
    [
        ([300, 200, 10, 10], [255, 127, 1, 1]),
        ([0, 0, 256, 129], [0, 0, 256, 128]),
        ([256, 0, 1, 1], [255, 0, 1, 1]),
    ],
)
def test_a_region_outside_the_image_is_answered_with_one_inside(
    place: Path, free: int, region: list[int], fitting: list[int]
) -> None:
    report = examined(TEXT.format(port=free).replace("[0, 0, 90, 128]", str(region)))
    assert fault(report, "inspections.left")[2].endswith(f"region = {fitting}.")


def test_a_damaged_bundle_is_found(place: Path, free: int) -> None:
    (graph,) = place.glob("models/screw/*/*.onnx")
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    report = examined(TEXT.format(port=free))
    assert [finding.name for finding in report.broken] == [
        "inspections.left",
        "inspections.right",
        "recipes.4",
    ]


def test_a_camera_that_is_lost_while_it_is_examined(place: Path, free: int) -> None:
    # It accepts the connection and says nothing.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://user:secret@127.0.0.1:{silent.getsockname()[1]}/stream"
        Path("line1.toml").write_text(
            TEXT.format(port=free).replace('images:parts"', f'{address}"\nstream_timeout = 1')
        )
        report = examine_station(read_station(Path("line1.toml")), seconds=1)
    line, message, fix = fault(report, "cameras.top")
    assert line == "2"
    assert "secret" not in json.dumps(report.to_json())
    assert fix
    assert message


def test_results_that_cannot_work(place: Path, free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    text = TEXT.format(port=free) + (
        'serve = "203.0.113.1:80"\nmqtt = "mqtt://"\nwebhook = "https://example.org/x"\n'
        'webhook_secret_env = "NOT_SET"\n'
    )
    report = examined(text)
    assert [finding.name for finding in report.broken] == ["results.serve", "results.mqtt", "results.webhook"]
    assert fault(report, "results.serve")[1].startswith('serve = "203.0.113.1:80": ')
    assert fault(report, "results.webhook")[1].startswith("webhook_secret_env names the environment variable")


def test_a_recipe_names_the_one_inspection_that_does_not_work(place: Path, free: int) -> None:
    report = examined(TEXT.format(port=free).replace("[90, 0, 166, 128]", "[90, 0, 167, 128]"))
    assert details(report)["recipes.4"] == "both: inspection right does not work"


def test_lines_that_are_taken_are_named_and_none_is_driven(
    place: Path, free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dmdd_edge.errors import OptionError
    from dmdd_edge.runtime.station.gpio import access

    taken = [
        OptionError("[gpio.reject] line: line 3 of /dev/gpiochip0 is in use by 'other'.", "Close it."),
        OptionError("[gpio.ready] line: line 4 of /dev/gpiochip0 is in use by 'other'.", "Close it."),
    ]
    monkeypatch.setattr(access, "check_gpio", lambda settings: taken)
    text = TEXT.format(port=free) + "[gpio]\nreject.line = 3\nready.line = 4\n"
    report = examined(text)
    assert [(each.name, each.facts["place"]) for each in report.broken] == [
        ("gpio.reject", "line1.toml, line 23"),
        ("gpio.ready", "line1.toml, line 24"),
    ]
    monkeypatch.setattr(access, "check_gpio", lambda settings: [])
    assert details(examined(text))["gpio.lines"] == "/dev/gpiochip0: ready 4, reject 3"


@pytest.mark.slow  # asyncua builds its whole address space
def test_opc_ua_is_opened_too(place: Path, free: int) -> None:
    pytest.importorskip("asyncua")
    text = TEXT.format(port=free)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
        report = examined(f'{text}[plc.opcua]\nhost = "127.0.0.1"\nport = {port}\n')
        assert fault(report, "plc.opcua")[0] == "24"
        assert [finding.name for finding in report.broken] == ["plc.opcua"]
    report = examined(f'{text}[plc.opcua]\nhost = "127.0.0.1"\nport = {port}\n')
    assert report.broken == []
    assert str(port) in details(report)["plc.opcua"]


def test_the_command_prints_one_table_and_every_fix(
    place: Path, free: int, command: Callable[..., Any]
) -> None:
    Path("line1.toml").write_text(TEXT.format(port=free))
    done = command("check", "line1.toml")
    assert done.exit_code == 0, done.output
    assert "line1.toml: station line1 can run" in done.stderr
    assert "note: line1.toml" not in done.stderr
    Path("line1.toml").write_text(TEXT.format(port=free).replace('"screw"', '"screv"'))
    done = command("check", "line1.toml")
    assert done.exit_code == 1
    assert "line1.toml: 3 of 9 do not work: inspection left, inspection right, recipe 4" in done.stderr
    assert "line1.toml, line 5: there is no bundle 'screv'" in done.stderr
    assert done.stderr.count("Did you mean 'screw'?") == 1


def test_the_command_answers_a_program(place: Path, free: int, command: Callable[..., Any]) -> None:
    Path("line1.toml").write_text(TEXT.format(port=free))
    done = command("check", "line1.toml", "--json")
    assert done.exit_code == 0
    answer = json.loads(done.stdout)
    assert (answer["path"], answer["healthy"], answer["problems"]) == ("line1.toml", True, [])
    assert {finding["group"] for finding in answer["findings"]} == {
        *("cameras", "inspections", "recipes", "plc", "results")
    }
    Path("line1.toml").write_text("prt = 1\n[cameras]\n")
    done = command("check", "line1.toml", "--json")
    assert done.exit_code == 1
    assert isinstance(done.exception, DmddError)
    answer = json.loads(done.stdout)
    assert answer["healthy"] is False
    (problem,) = answer["problems"]
    assert (problem["place"], problem["key"]) == ("line1.toml, line 1", "prt")
    assert problem["message"] == "'prt' is not a key of a station file."


def test_passwords_of_the_file_are_kept_out_of_later_messages(
    place: Path, free: int, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: set[str] = set()
    monkeypatch.setattr(configuration, "secrets", kept)
    monkeypatch.setenv("KEY", "key-of-the-hook")
    text = TEXT.format(port=free).replace("images:parts", "rtsp://eye:topsecret@127.0.0.1:9/x")
    text += 'webhook = "https://example.org/x"\nwebhook_secret_env = "KEY"\n'
    Path("line1.toml").write_text(text)
    done = command("check", "line1.toml", "--json")
    assert done.exit_code == 1
    assert {"topsecret", "key-of-the-hook"} <= kept
    assert "topsecret" not in done.output
