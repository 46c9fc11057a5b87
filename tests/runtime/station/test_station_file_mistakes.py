"""Mistakes in a station file: each has its line, its key and its fix, and all are reported at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.station.file.problems import StationFileError
from dmdd_edge.runtime.station.file.read import read_station
from tests.runtime.station.files import SMALL, problems_of, said

#: A wrong text, put behind a small file, whose own text ends in line 6; and what is said of it.
BEHIND = [
    ("ports = 1\n", "7: 'ports' is not a key of [plc.modbus]. Did you mean 'port'?"),
    ("unit = 300\n", "7: unit is 300; it must be at most 247. Give at most 247."),
    ("host = 5\n", '7: host is 5; it must be a text. Give a text, such as "0.0.0.0".'),
    ("[plc]\npulse_ms = 3\n", "8: pulse_ms has no effect with result = 'hold'. Leave it out, or set result"),
    ("[plc]\nresult = 'held'\n", "8: result 'held' is unknown. Did you mean 'hold'? Choose one of hold, pul"),
    ("[plc]\nheartbeat_ms = 0\n", "8: heartbeat_ms is 0; it must be more than 0. Give more than 0."),
    ("[plc]\njsonl = 'x'\n", "8: 'jsonl' is not a key of [plc]. Move it into [results]."),
    ("[plc.opc]\nport = 3\n", "7: [plc.opc] is unknown. Did you mean 'opcua'?"),
    ("[plc.opcua]\nport = 5020\n", "8: plc.modbus.port and plc.opcua.port are the same port, 5020. Give one"),
    ("[modbus]\nport = 5\n", "7: [modbus] is unknown. Write [plc.modbus]."),
    ("[run]\nsource = 0\n", "7: [run] is unknown. Move its options into [cameras.NAME], [inspections.NAME]"),
    ("[camera.a]\n", "7: [camera] is unknown. Did you mean 'cameras'?"),
    ("[serial]\n", "7: [serial] is unknown. Remove it. Tables here: cameras, inspections, recipes, plc, gpi"),
    ("[cameras]\nb = 3\n", "8: cameras.b is 3; it must be a table. Write [cameras.NAME], and its keys below"),
    ('[cameras."a/b"]\nsource = "x"\n', "7: 'a/b' cannot be a name of cameras. Use letters, digits, - and _"),
    ("[cameras.b]\nsource = 0\n", "8: cameras top and b are the same device. Keep one of them; several"),
    ("[cameras.b]\n", "7: cameras.b has no source. Add source = \"/dev/video0\"."),
    ("[cameras.b]\nsource = ''\n", "8: source is '', which is not a camera. Name a camera or"),
    ("[cameras.b]\nsource = '-'\n", "8: source is '-', which is not a camera. Name a camera or"),
    ("[cameras.b]\nsource = 'a'\nname = 'b'\n", "9: 'name' is not a key of [cameras.b]. Remove it: the name"),
    ("[cameras.b]\nsource = 'a'\ntriger = 'free'\n", "9: 'triger' is not a key of [cameras.b]. Did you mean"),
    ("[cameras.b]\nsource = 'a'\nfps = 3\n", "9: fps has no effect with trigger = 'newest'. Leave it out, o"),
    ("[cameras.b]\nsource = 'a'\nqueue = 3\n", "9: queue has no effect with trigger = 'newest'. Leave it ou"),
    ("[cameras.b]\nsource = 'a'\ncamera_size = 'big'\n", "9: camera_size is 'big'. Write WIDTHxHEIGHT in"),
    ("[cameras.b]\nsource = 'a'\nexposure = -1\n", "9: exposure is -1; it must be more than 0. Give more th"),
    ("[inspections.b]\ncamera = 'topp'\n", "8: camera 'topp' is unknown (cameras: top). Did you mean 'top'?"),
    ("[inspections.b]\ncamera = 'x'\n", "8: camera 'x' is unknown (cameras: top). Add [cameras.x], or name"),
    ("[inspections.b]\nroi = '1,2,3,4'\n", "8: 'roi' is not a key of [inspections.b]. Write region."),
    ("[inspections.b]\nbundle = 'm'\n", "8: 'bundle' is not a key of [inspections.b]. Write model."),
    ("[inspections.b]\nstrip = 64\n", "8: 'strip' is not a key of [inspections.b]. Remove it: a station dec"),
    ("[inspections.b]\nsource = 'm'\n", "8: 'source' is not a key of [inspections.b]. Move it into [cameras"),
    ("[inspections.b]\nregion = [0, 0, 9]\n", "8: region is [0, 0, 9]; it must be a list of 4. Give a list"),
    ("[inspections.b]\nregion = [0, 0, 9, 0]\n", "8: region is [0, 0, 9, 0]; its width and height must be"),
    ("[inspections.b]\nregion = [-1, 0, 9, 9]\n", "8: region is -1; it must be at least 0. Give at least 0."),
    ("[inspections.b]\nthreshold = 1.5\n", "8: threshold is 1.5; it must be at most 1. Give at most 1."),
    ("[inspections.b]\nthreshold = nan\n", "8: threshold is nan; it must be a finite number. Give another"),
    ("[inspections.b]\nbackend = 'gpu'\n", "8: backend 'gpu' is unknown. Did you mean 'cpu'? Choose one of"),
    ("[inspections.b]\nmodel = 'm'\ncategory = 'c'\n", "8: category and model are both given. Keep one: bot"),
    ("[inspections.b]\nmodel = 'http://x/y'\n", "8: model must be a path on this machine, not an address. G"),
    ("[inspections.b]\ncuda-driver = 'a'\n", "8: cuda_driver 'a' is unknown. Choose one of auto, cuda-bindi"),
    ("[inspections.b]\nio-memory = 'copy'\nio_memory = 'copy'\n", "9: io-memory and io_memory are the same"),
    ("[recipes]\nnumber = 1\n", "7: recipes is {number = 1}; it must be a list of tables. Write [[recipes]]"),
    ("[[recipes]]\nnumber = 1\n", "7: recipe has no inspections. Add inspections = [\"lid\", \"thread\"]."),
    ("[[recipes]]\ninspections = ['lid']\n", "7: recipe has no number. Add number = 1."),
    ("[[recipes]]\nnumber = 0\ninspections = ['lid']\n", "8: number is 0; it must be at least 1. Give at le"),
    ("[[recipes]]\nnumber = 1\ninspections = []\n", "9: The recipe has no inspection. Name at least one, or"),
    ("[[recipes]]\nnumber = 1\ninspections = 'lid'\n", "9: inspections is \"lid\"; it must be a list. Give"),
    ("[[recipes]]\nnumber = 1\ninspections = [\n'lid',\n'lit']\n", "11: inspection 'lit' is unknown (inspec"),
    ("[[recipes]]\nnumber = 1\ninspections = ['lid', 'lid']\n", "9: The recipe names inspection 'lid' twice"),
    ("[gpio]\n", "7: [gpio] names no line. Add a table, such as [gpio.reject] with line = 17."),
    ("[gpio]\nfault = 7\n", "8: gpio.fault is 7; it must be a table. Write [gpio.fault], and its keys below"),
    ("[gpio.ready]\n", "7: gpio.ready has no line. Add line = 17."),
    ("[gpio.ready]\nline = 1.5\n", "8: line is 1.5; it must be a whole number or a text. Give a whole numbe"),
    ("[gpio]\npass.line = 3\nreject.line = 3\n", "9: gpio.pass and gpio.reject are the same line, 3. Give o"),
    ("[gpio]\nready.line = 3\ndebounce_ms = 3\n", "9: debounce_ms has no effect without [gpio.trigger]. Lea"),
    ("[gpio.trigger]\nline = 3\npulse_ms = 3\n", "9: 'pulse_ms' is not a key of [gpio.trigger]. Move it int"),
    ("[results]\nserve = 5020\n", "8: plc.modbus.port and results.serve are the same port, 5020. Give one o"),
    ("[results]\nserve = 'here'\n", "8: serve here: the port must be a number from 0 to 65535. Write serve"),
    ("[results]\nspool = 'x'\n", "8: spool has no effect without mqtt or webhook. Leave it out, or add mqtt"),
    ("[results]\njsonl = 'a'\ncsv = 'a'\n", "8: jsonl and csv both name "),
    ("[results]\nkeep = '1X'\njsonl = 'a'\n", "8: keep '1X' is not a size. A size is a number with B, KB, M"),
    ("[results]\nresume = true\n", "8: 'resume' is not a key of [results]. Remove it: a station always"),
    ("[results]\nshow = true\n", "8: 'show' is not a key of [results]. Remove it, and watch the station in"),
    ("[results]\nno_save_caption = true\n", "8: 'no_save_caption' is not a key of [results]. Write save_cap"),
    ("[results]\nrotate = 90\n", "8: --rotate 90: run takes the rotation of the image from the bundle. Set"),
]  # fmt: skip
#: The same for a text before it.
BEFORE = [
    ("nam = 'x'\n", "1: 'nam' is not a key of a station file. Did you mean 'name'?"),
    ("deadline_ms = '1 s'\n", '1: deadline_ms is "1 s"; it must be a number. Give a number, such as 200.'),
    ("queue = 0\n", "1: queue is 0; it must be at least 1. Give at least 1."),
    ("recipe = 2\n", "1: recipe 2 is unknown. Add [[recipes]] with its number, or leave it out."),
    ("port = 502\n", "1: 'port' is not a key of a station file. Move it into [plc.modbus]."),
    ("models_dir = ''\n", "1: models_dir is empty. Give a path, or leave it out."),
]


@pytest.mark.parametrize(("text", "expected"), BEHIND)
def test_a_mistake_in_a_table(tmp_path: Path, text: str, expected: str) -> None:
    (problem,) = problems_of(tmp_path, SMALL + text)
    assert said(problem).startswith(expected)
    assert problem.place.startswith(f"{tmp_path}/line1.toml, line ")


@pytest.mark.parametrize(("text", "expected"), BEFORE)
def test_a_mistake_at_the_top(tmp_path: Path, text: str, expected: str) -> None:
    (problem,) = problems_of(tmp_path, text + SMALL)
    assert said(problem) == expected


def test_two_recipes_with_one_number_or_one_name(tmp_path: Path) -> None:
    recipe = "[[recipes]]\nnumber = 1\nname = 'A'\ninspections = ['lid']\n"
    assert [said(problem) for problem in problems_of(tmp_path, SMALL + recipe + recipe)] == [
        f"12: Two recipes have the number 1; the other one is in {tmp_path}/line1.toml, line 8. "
        "Give one of them another number.",
        f"13: Two recipes have the name 'A'; the other one is in {tmp_path}/line1.toml, line 9. "
        "Give one of them another name.",
    ]


def test_an_unknown_recipe_at_the_start_names_those_that_there_are(tmp_path: Path) -> None:
    text = "recipe = 9\n" + SMALL
    for number in (4, 7):
        text += f"[[recipes]]\nnumber = {number}\ninspections = ['lid']\n"
    assert [said(problem) for problem in problems_of(tmp_path, text)] == [
        "1: recipe 9 is unknown. Choose one of 4, 7."
    ]


def test_an_inspection_without_a_camera_needs_one_where_there_are_several(tmp_path: Path) -> None:
    text = SMALL.replace('camera = "top", ', "") + "[cameras.side]\nsource = 'x'\n"
    (problem,) = problems_of(tmp_path, text)
    assert said(problem) == (
        '4: inspections.lid does not name its camera, and there are several: top, side. Add camera = "top".'
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name = 'x'\n", [": The file has no camera.", ": The file has no inspection."]),
        ("cameras = 1\n", ["1: cameras has no names."]),
        ("[[cameras]]\nsource = 'x'\n", ["1: cameras has no names."]),
        (
            "[inspections.a]\ncamera = 'x'\n",
            [": The file has no camera.", "2: camera 'x' is unknown (there is"],
        ),
        ("plc = 3\n" + SMALL.partition("[plc")[0], ["1: plc is 3; it must be a table."]),
        ("plc.result = 'hold'\n" + SMALL.partition("[plc")[0], ["1: [plc] has no effect without a server."]),
        ("results = 3\n" + SMALL, ["1: results is 3; it must be a table."]),
    ],
)
def test_a_file_that_lacks_what_it_needs(tmp_path: Path, text: str, expected: list[str]) -> None:
    problems = [said(problem) for problem in problems_of(tmp_path, text)]
    assert [one.startswith(two) for one, two in zip(problems, expected, strict=True)] == [True] * len(
        expected
    )


@pytest.mark.parametrize(
    ("camera", "expected"),
    [
        ('source = "ftp://x"', "2: ftp://x: unsupported source scheme ftp://. A source is an image or"),
        (
            'source = "replay:a?b=1"',
            "2: replay:{}/a?b=1: unknown parameter 'b'. Write replay:FILE?fps=30&loop",
        ),
        (
            'trigger = "software"\nsource = 0',
            "2: Camera top: /dev/video0 cannot be triggered by software, so",
        ),
        (
            'trigger = "camera"\nsource = "csi://0"',
            '2: Camera top: csi://0 has no trigger input, so trigger = "',
        ),
        ('source = "drawn:"\nexposure = 2', "3: exposure applies to a camera and a CSI camera and a GenICam"),
        ('source = "rtsp://u:pw@h/x"\ncamera-size = "9x9"', "3: camera_size applies to a camera and a CSI"),
    ],
)
def test_a_camera_that_cannot_be_what_the_file_says(tmp_path: Path, camera: str, expected: str) -> None:
    (problem,) = problems_of(tmp_path, SMALL.replace('source = "/dev/video0"', camera))
    assert said(problem).startswith(expected.format(tmp_path, tmp_path))
    assert "pw" not in said(problem)


def test_recipes_that_disagree_about_the_camera_that_begins(tmp_path: Path) -> None:
    text = ""
    for name in ("a", "b"):
        text += f'[cameras.{name}]\nsource = "genicam://{name}"\ntrigger = "camera"\n'
        text += f'[inspections.{name}]\ncamera = "{name}"\n'
    for number, order in ((1, ["a", "b"]), (2, ["b", "a"])):
        text += f"[[recipes]]\nnumber = {number}\ninspections = {order}\n"
    (problem,) = problems_of(tmp_path, text)
    assert said(problem) == (
        "11: Camera a begins the parts of recipe 1, and follows another camera in recipe 2 of line1.toml. "
        "Let the same camera come first in the inspections of all recipes that use both."
    )


def test_all_mistakes_are_in_one_message_in_the_order_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my line.toml").write_text("[results]\nspool = 'x'\n" + SMALL + "prt = 1\n[cameras.b]\nsorce = 1\n")
    with pytest.raises(StationFileError) as caught:
        read_station(Path("my line.toml"))
    error = caught.value
    assert error.message == (
        "my line.toml has 3 problems.\n"
        "  my line.toml, line 2: spool has no effect without mqtt or webhook.\n"
        "    Leave it out, or add mqtt or webhook.\n"
        "  my line.toml, line 9: 'prt' is not a key of [plc.modbus].\n"
        "    Did you mean 'port'?\n"
        "  my line.toml, line 11: 'sorce' is not a key of [cameras.b].\n"
        "    Did you mean 'source'?"
    )
    assert error.fix == "Correct them, then run: dmdd-edge station check 'my line.toml'"
    assert [problem.key for problem in error.problems] == [
        "results.spool", "plc.modbus.prt", "cameras.b.sorce"
    ]  # fmt: skip


def test_one_mistake_is_a_message_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("line1.toml").write_text("que = 1\n" + SMALL)
    with pytest.raises(StationFileError) as caught:
        read_station(Path("line1.toml"))
    assert caught.value.message == "line1.toml, line 1: 'que' is not a key of a station file."
    assert caught.value.fix == "Did you mean 'queue'?"


def test_a_password_in_an_address_is_not_shown(tmp_path: Path) -> None:
    text = SMALL.replace("/dev/video0", "rtsp://user:secret@10.0.0.7/a").replace('source = "', 'queue = "')
    assert all("secret" not in said(problem) for problem in problems_of(tmp_path, text))


def test_a_recipe_over_mqtt_needs_a_broker(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, f"mqtt_recipe = true\n{SMALL}")
    assert said(problem) == (
        "1: mqtt_recipe has no effect without mqtt. Set mqtt in [results], or leave mqtt_recipe out."
    )


def test_a_key_with_many_dots_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "line1.toml"
    path.write_text(SMALL + ".".join(["a"] * 3000) + " = 1\n")
    with pytest.raises(OptionError) as caught:
        read_station(path)
    assert caught.value.message == f"{path}, line 7: a key has more than 20 names with dots between them."
    assert caught.value.fix == "Write at most 20 names in a key."


BAD_NAMES = {
    '""': "''",
    r'"\u001b[31m"': r"'\x1b[31m'",
    r'"a\nb"': r"'a\nb'",
    r'"a\u0007"': r"'a\x07'",
    '"a/b"': "'a/b'",
    f'"{"a" * 201}"': repr("a" * 201),
}


@pytest.mark.parametrize(("written", "shown"), BAD_NAMES.items())
def test_one_rule_for_all_names(tmp_path: Path, written: str, shown: str) -> None:
    text = f"name = {written}\n{SMALL}[cameras.{written}]\nsource = 'a'\n[inspections.{written}]\n"
    assert [said(problem) for problem in problems_of(tmp_path, text)] == [
        f"{line}: {shown} cannot be a name of {of}. Use letters, digits, - and _, at most 200 bytes."
        for line, of in ((1, "a station"), (8, "cameras"), (10, "inspections"))
    ]


def test_the_name_of_the_file_must_be_one_too_where_it_is_the_station_s(tmp_path: Path) -> None:
    path = tmp_path / "a\x1bb.toml"
    path.write_text(SMALL)
    with pytest.raises(StationFileError, match="cannot be a name of a station"):
        read_station(path)
    path.write_text(f"name = 'line 1'\n{SMALL}")
    assert read_station(path).name == "line 1"
