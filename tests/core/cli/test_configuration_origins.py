"""An option means the same on the command line, as a variable and as a key of a file."""

from __future__ import annotations

from dataclasses import MISSING
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from dmdd_edge.cli.configuration import resolve, variable_of
from dmdd_edge.cli.main import app
from dmdd_edge.errors import OptionError
from dmdd_edge.options.model import OptionField, checked, option_fields
from dmdd_edge.options.toml_text import toml
from dmdd_edge.options.values import any_length, literals, members

ROOT: Any = get_command(app)
#: A documented value of what reads texts itself or accepts only some.
VALUES = {
    "camera_size": "640x480",
    "camera_controls": "focus_absolute=30",
    "batches": "1,8",
    "rotate_size": "100MB",
    "keep": "2GB",
    "min_area": "40px",
    "spool_limit": "64MiB",
    "scenario": "single,multi",
    "device": "cuda:1",
    "target": "onnx,triton",
    "batch": "1:8",
    "gpu": "sm86",
    "serve": "8080",
    "ray": "10.0.0.4:6379",
    "source": "0",
    "backbone": "resnet18",
    "roi": "1,2,64,64",
    "image_size": "128",
    "rotate": "90",
    "bits": "12",
    "opt_level": "4",
    "save_size": "128",
    "size": "128",
    "video": "v.webm",
    "stop_early": "1.5",
    "tile": "512",
    "smallest_defect": "12px",
    "defect_sizes": "6,12",
}
COMMANDS = {
    **{name: command for name, command in ROOT.commands.items() if name != "models"},
    **{f"models {name}": command for name, command in ROOT.commands["models"].commands.items()},
}


def sample(field: OptionField) -> str:
    """A value of an option, as a person writes it on the command line."""
    allowed = field.option.choices or literals(field.type)
    parts = members(field.type)
    if allowed:
        return str(allowed[-1])
    if field.name in VALUES and not (field.name == "target" and int in parts):  # collect's is a number
        return VALUES[field.name]
    if float in parts:
        return "0.25"
    return str(max(7, int(field.option.minimum or 0))) if int in parts else "name"


def as_key(field: OptionField, text: str) -> str:
    """The value as TOML, as its user would write it."""
    parts = members(field.type)
    if field.option.parse is None and not field.option.number and (int in parts or float in parts):
        return text
    if field.option.number and text.isdigit():
        return text
    listed = any(map(any_length, parts)) and not field.option.one_text
    return toml([text]) if listed else toml(text)


def on_command_line(command: Any, field: OptionField, arguments: list[str]) -> Any:
    """What a command's option has after the command line and the checks of the model."""
    with command.make_context("dmdd-edge", arguments, resilient_parsing=False) as context:
        value = context.params[field.name]
    return checked(field, tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_option_means_the_same_from_each_origin(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = COMMANDS[name]
    model = command.callback.model
    table = name.split()[0]
    fields = [field for field in option_fields(model) if not field.option.argument]
    needed = [field.name for field in option_fields(model) if field.default is MISSING]
    given = dict.fromkeys(needed, "x")
    for field in fields:
        variable, key = variable_of(field), variable_of(field).removeprefix("DMDD_").lower()
        key = "data" if variable == "DMDD_DATA_DIR" else key
        text, file = sample(field), tmp_path / "a.toml"
        if bool in members(field.type):
            arguments, variable_text, key_text = [field.spelling], "1", "true"
        elif tuple[str, str] in members(field.type):
            arguments, variable_text, key_text = [field.spelling, "a b", "c"], "'a b' c", '["a b", "c"]'
        else:
            arguments, variable_text, key_text = [field.spelling, text], text, as_key(field, text)
        expected = on_command_line(command, field, [*arguments, *needed])
        file.write_text(f"[{table}]\n{key} = {key_text}\n")
        if field.option.each_time:  # a person decides it each time, so that no file and no variable can
            refused = f" sets {field.spelling}, which only the command line can set"
            with pytest.raises(OptionError, match=refused):
                resolve(model, table, {table: list}, given, file)
            monkeypatch.setenv(variable, variable_text)
            with pytest.raises(OptionError, match=refused):
                resolve(model, table, {table: list}, given, None)
            monkeypatch.delenv(variable)
            continue
        assert resolve(model, table, {table: list}, given, file)[field.name].value == expected, (key, text)
        monkeypatch.setenv(variable, variable_text)
        assert resolve(model, table, {table: list}, given, None)[field.name].value == expected, variable
        monkeypatch.delenv(variable)
