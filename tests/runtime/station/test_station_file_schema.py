"""The schema for editors accepts and refuses what the reader does, and names every key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tomllib
from jsonschema import Draft7Validator

from dmdd_edge.runtime.station.file.problems import StationFileError
from dmdd_edge.runtime.station.file.schema import station_schema
from dmdd_edge.runtime.station.file.tables import TABLES
from tests.runtime.station.files import SMALL, settings_of
from tests.runtime.station.test_station_file import WHOLE

SCHEMA = station_schema()


def errors(text: str) -> list[str]:
    """What the schema refuses, by its place: ``plc/modbus/port``."""
    found = Draft7Validator(SCHEMA).iter_errors(tomllib.loads(text))
    return sorted("/".join(map(str, error.absolute_path)) for error in found)


def test_it_is_a_schema_and_json() -> None:
    Draft7Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA, allow_nan=False)) == SCHEMA


def test_files_that_are_read_are_accepted() -> None:
    # A key may be spelled with - for _, as on the command line, but an editor offers one spelling.
    assert errors(SMALL) == []
    assert errors(WHOLE.replace("camera-size", "camera_size").replace("cuda-driver", "cuda_driver")) == []


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("unit = 300\n", "plc/modbus/unit"),
        ("port = '5'\n", "plc/modbus/port"),
        ("ports = 5\n", "plc/modbus"),
        ("[plc]\nresult = 'held'\n", "plc/result"),
        ("[plc]\nheartbeat_ms = 0\n", "plc/heartbeat_ms"),
        ("[modbus]\n", ""),
        ("[cameras.b]\n", "cameras/b"),
        ("[cameras.b]\nsource = -1\n", "cameras/b/source"),
        ("[cameras.b]\nsource = 'x'\ntrigger = 'hardware'\n", "cameras/b/trigger"),
        ("[cameras.b]\nsource = 'x'\ncamera_control = 'a=1'\n", "cameras/b/camera_control"),
        ("[inspections.b]\nregion = [0, 0, 1]\n", "inspections/b/region"),
        ("[inspections.b]\nregion = [0, 0, 1, -1]\n", "inspections/b/region/3"),
        ("[inspections.b]\nthreshold = 1.5\n", "inspections/b/threshold"),
        ("[inspections.b]\nbackend = 'gpu'\n", "inspections/b/backend"),
        ("[[recipes]]\nnumber = 0\ninspections = []\n", "recipes/0/number"),
        ("[[recipes]]\nnumber = 1\n", "recipes/0"),
        ("[gpio]\nfault = 7\n", "gpio/fault"),
        ("[gpio.trigger]\nline = 1\npulse_ms = 1\n", "gpio/trigger"),
        ("[results]\nkeep = 1.5\n", "results/keep"),
        ("[results]\nresume = true\n", "results"),
        ("[results]\nnotify = 'bad'\n", "results/notify"),
    ],
)
def test_what_the_reader_refuses_is_refused(tmp_path: Path, text: str, place: str) -> None:
    text = SMALL.replace("port = 5020\n", "") + text
    assert errors(text) == [place]
    with pytest.raises(StationFileError):
        settings_of(tmp_path, text)


def properties(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return dict(schema["properties"])


def test_every_key_has_its_help_and_its_range() -> None:
    camera = SCHEMA["properties"]["cameras"]["additionalProperties"]
    assert set(properties(camera)) == {
        *("source", "trigger", "queue", "timeout_ms", "settle_ms", "match_ms", "fps", "camera_size"),
        *("camera_fps", "exposure", "gain", "white_balance", "camera_control", "stream_timeout"),
        *("genicam_driver", "every"),
    }
    assert camera["properties"]["fps"] == {
        "description": "Process at most this many frames per second.",
        "type": "number",
        "exclusiveMinimum": 0,
    }
    results = properties(SCHEMA["properties"]["results"])
    assert results["rotate_size"]["anyOf"] == [
        {"type": "integer", "minimum": 1},
        {"type": "string", "examples": ["100MB"]},
    ]
    assert results["spool_limit"]["default"] == "64MiB"
    assert results["notify"]["enum"] == ["anomalous", "all"]
    assert {"jsonl", "csv", "save", "video", "mqtt", "webhook", "serve", "fsync"} <= set(results)
    helps = [field.option.help for fields in TABLES.values() for field in fields]
    assert all(help.endswith((".", "?")) for help in helps)
