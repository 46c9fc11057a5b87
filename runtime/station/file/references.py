"""Checks what the tables of a station file say about each other: names, numbers, ports, lines."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from dmdd_edge.errors import OptionError
from dmdd_edge.options.keys import key_of
from dmdd_edge.runtime.page.address import parse_address
from dmdd_edge.runtime.sources.urls import scheme_of
from dmdd_edge.runtime.station.file.tables import NEEDED, TABLES, Reading, tables_in, unknown_name
from dmdd_edge.runtime.station.settings import ModbusSettings, OpcUaSettings

if TYPE_CHECKING:
    from dmdd_edge.runtime.station.file.read import Contents

#: Keys of a camera that have an effect in one mode only.
_MODE_OF = {"queue": "camera", "match_ms": "camera", "settle_ms": "newest", "fps": "free", "every": "free"}


def check_references(reading: Reading, contents: Contents) -> None:
    """Note every problem between the tables of a file, and remark on what has no effect."""
    if not reading.problems:  # one of them may be about a mistyped table
        _check_presence(reading, contents)
    _check_cameras(reading, contents)
    _check_inspections(reading, contents)
    _check_recipes(reading, contents)
    _check_plc(reading, contents)
    if contents.gpio is not None:
        _check_gpio(reading, contents.gpio)
    if contents.top.get("mqtt_recipe") and "mqtt" not in contents.results:
        fix = "Set mqtt in [results], or leave mqtt_recipe out."
        reading.problem(("mqtt_recipe",), "mqtt_recipe has no effect without mqtt.", fix)
    _check_ports(reading, contents)
    _remark_on_triggers(reading, contents)
    _remark_on_thresholds(reading, contents)


def _check_presence(reading: Reading, contents: Contents) -> None:
    if not contents.cameras:
        reading.problem((), "The file has no camera.", 'Add [cameras.NAME] with source = "/dev/video0".')
    if not contents.inspections:
        reading.problem(
            (), "The file has no inspection.", 'Add [inspections.NAME] with category = "CATEGORY".'
        )


def _check_cameras(reading: Reading, contents: Contents) -> None:
    used: dict[str, str] = {}
    for name, camera in contents.cameras.items():
        route = ("cameras", name)
        _check_needed(reading, route, camera, "cameras.NAME")
        mode = camera.get("trigger", "newest")
        for key, needed in _MODE_OF.items():
            if key in camera and mode != needed and not reading.has_problem(*route, "trigger"):
                reading.problem(
                    (*route, key),
                    f"{key} has no effect with trigger = {mode!r}.",
                    f'Leave it out, or set trigger = "{needed}".',
                )
        device = _device(camera.get("source", ""))
        if device and device in used:
            reading.problem(
                (*route, "source"),
                f"cameras {used[device]} and {name} are the same device.",
                "Keep one of them; several inspections can share a camera, each with a region.",
            )
        used.setdefault(device, name)


def _check_inspections(reading: Reading, contents: Contents) -> None:
    cameras = list(contents.cameras)
    for name, inspection in contents.inspections.items():
        route = ("inspections", name)
        camera = inspection.get("camera")
        if camera is not None and camera not in cameras and _given(reading, "cameras", cameras):
            reading.problem((*route, "camera"), *unknown_name("camera", camera, cameras))
        elif camera is None and len(cameras) > 1 and not reading.has_problem(*route, "camera"):
            reading.problem(
                route,
                f"inspections.{name} does not name its camera, and there are several: {', '.join(cameras)}.",
                f'Add camera = "{cameras[0]}".',
            )
        if inspection.get("category") is not None and inspection.get("model") is not None:
            reading.problem(
                (*route, "model"), "category and model are both given.", "Keep one: both name the bundle."
            )
    used = {inspection.get("camera") for inspection in contents.inspections.values()}
    for name in cameras if len(cameras) > 1 else ():
        if name not in used:
            reading.remarks.append(f"{reading.place('cameras', name)}: no inspection uses camera {name}.")


def _given(reading: Reading, kind: str, names: list[str]) -> bool:
    """Whether names are known, or their tables are without a problem that would explain why not."""
    return bool(names) or not reading.has_problem(kind)


def _check_recipes(reading: Reading, contents: Contents) -> None:
    numbers: dict[int, int] = {}
    names: dict[str, int] = {}
    for index, recipe in enumerate(contents.recipes):
        route = ("recipes", index)
        _check_needed(reading, route, recipe, "recipes")
        number, name = recipe.get("number"), recipe.get("name")
        for key, value, seen in (("number", number, numbers), ("name", name, names)):
            if value is None:
                continue
            if value in seen:
                other = reading.place("recipes", seen[value], key)
                reading.problem(
                    (*route, key),
                    f"Two recipes have the {key} {value!r}; the other one is in {other}.",
                    f"Give one of them another {key}.",
                )
            seen.setdefault(value, index)
        _check_members(reading, route, recipe.get("inspections"), list(contents.inspections))
    start = contents.top.get("recipe")
    if start is not None and contents.recipes and start not in numbers:
        listed = ", ".join(map(str, numbers))
        if listed:
            reading.problem(("recipe",), f"recipe {start} is unknown.", f"Choose one of {listed}.")
    elif start not in (None, 1) and not contents.recipes:
        reading.problem(
            ("recipe",), f"recipe {start} is unknown.", "Add [[recipes]] with its number, or leave it out."
        )
    if contents.recipes:
        used = {name for recipe in contents.recipes for name in recipe.get("inspections", ())}
        for name in contents.inspections:
            if name not in used:
                place = reading.place("inspections", name)
                reading.remarks.append(f"{place}: no recipe has inspection {name}.")


def _remark_on_thresholds(reading: Reading, contents: Contents) -> None:
    """Remark on an inspection whose threshold finds nothing."""
    for name, inspection in contents.inspections.items():
        threshold = inspection.get("threshold")
        if isinstance(threshold, (int, float)) and threshold >= 1:
            place = reading.place("inspections", name, "threshold")
            reading.remarks.append(f"{place}: no score exceeds the threshold 1, so no part is anomalous.")


def _check_members(
    reading: Reading, route: tuple[str | int, ...], members: Iterable[str] | None, known: list[str]
) -> None:
    """Check the inspections that a recipe names."""
    if members is None:
        return
    if not members:
        reading.problem(
            (*route, "inspections"), "The recipe has no inspection.", "Name at least one, or remove it."
        )
    seen = set()
    for index, name in enumerate(members):
        item = (*route, "inspections", index)
        if name not in known and _given(reading, "inspections", known):
            reading.problem(item, *unknown_name("inspection", name, known))
        elif name in seen:
            reading.problem(item, f"The recipe names inspection {name!r} twice.", "Name it once.")
        seen.add(name)


def _check_plc(reading: Reading, contents: Contents) -> None:
    plc = contents.plc
    if plc and not {"modbus", "opcua"} & set(plc):
        reading.problem(
            ("plc",),
            "[plc] has no effect without a server.",
            "Add [plc.modbus] or [plc.opcua], or remove it.",
        )
        return
    result = plc.get("result", "hold")
    for key, needed in (("pulse_ms", "pulse"), ("acknowledge_ms", "hold")):
        if key in plc and result != needed:
            reading.problem(
                ("plc", key),
                f"{key} has no effect with result = {result!r}.",
                f'Leave it out, or set result = "{needed}".',
            )


def _check_gpio(reading: Reading, gpio: Mapping[str, Any]) -> None:
    lines = {name: gpio[name] for name in tables_in("gpio") if name in gpio}
    if not lines and not reading.has_problem("gpio"):
        reading.problem(
            ("gpio",), "[gpio] names no line.", "Add a table, such as [gpio.reject] with line = 17."
        )
    if "debounce_ms" in gpio and "trigger" not in lines:
        reading.problem(
            ("gpio", "debounce_ms"),
            "debounce_ms has no effect without [gpio.trigger].",
            "Leave it out, or add [gpio.trigger].",
        )
    used: dict[int | str, str] = {}
    for name, line in lines.items():
        _check_needed(reading, ("gpio", name), line, f"gpio.{name}")
        number = line.get("line")
        if number is not None and number in used:
            reading.problem(
                ("gpio", name, "line"),
                f"gpio.{used[number]} and gpio.{name} are the same line, {number}.",
                "Give one of them another line.",
            )
        elif number is not None:
            used[number] = name


def _check_ports(reading: Reading, contents: Contents) -> None:
    """Refuse two servers on one port."""
    ports: dict[int, str] = {}
    for name, server in (("modbus", ModbusSettings()), ("opcua", OpcUaSettings())):
        if name in contents.plc:
            ports_of = contents.plc[name].get("port", server.port)
            _take_port(reading, ports, ports_of, ("plc", name, "port"))
    serve = contents.results.get("serve")
    if serve is not None:
        try:
            address = parse_address(serve)
        except OptionError as error:
            reading.problem(
                ("results", "serve"),
                error.message.replace("--serve", "serve"),
                'Write serve = 8080 for this machine alone, or an address: serve = "0.0.0.0:8080".',
            )
        else:
            _take_port(reading, ports, address.port, ("results", "serve"))


def _take_port(reading: Reading, ports: dict[int, str], port: int, route: tuple[str, ...]) -> None:
    name = ".".join(route)
    if port in ports:
        reading.problem(
            route, f"{ports[port]} and {name} are the same port, {port}.", "Give one of them another port."
        )
    ports.setdefault(port, name)


def _remark_on_triggers(reading: Reading, contents: Contents) -> None:
    """Remark on a camera that nothing triggers, and on a trigger that no camera waits for."""
    modes = {name: camera.get("trigger", "newest") for name, camera in contents.cameras.items()}
    waiting = [name for name, mode in modes.items() if mode in ("software", "newest")]
    line = contents.gpio is not None and "trigger" in contents.gpio
    outside = line or "modbus" in contents.plc or "opcua" in contents.plc
    led = any(mode in ("free", "camera") for mode in modes.values())
    others = {"serve", "mqtt"} & set(contents.results)
    if waiting and not (outside or led or others):
        reading.remarks.append(
            f"{reading.place('cameras', waiting[0])}: nothing triggers a part. Add [plc.modbus], "
            '[plc.opcua], [gpio.trigger] or serve, or set trigger = "free".'
        )
    if line and not waiting:
        reading.remarks.append(
            f"{reading.place('gpio', 'trigger')}: no camera waits for this trigger; all of them lead parts."
        )


def _check_needed(
    reading: Reading, route: tuple[str | int, ...], values: Mapping[str, Any], heading: str
) -> None:
    """Note each key that a table must have and has not."""
    examples = {key_of(field): field.option.example for field in TABLES[heading]}
    if route in reading.not_tables:
        return
    for key in NEEDED[heading]:
        if key not in values and not (reading.has_problem(*route, key) or reading.is_meant(*route, key)):
            name = heading.replace("NAME", str(route[-1])) if isinstance(route[-1], str) else "recipe"
            reading.problem(route, f"{name} has no {key}.", f"Add {key} = {examples[key]}.")


def _device(source: str) -> str:
    """What two cameras cannot share: a device; empty for files and streams."""
    if source.isdecimal():
        return os.path.realpath(f"/dev/video{int(source)}")
    if source.startswith("/dev/"):
        return os.path.realpath(source)
    return source.partition("?")[0] if scheme_of(source) in ("csi", "genicam") else ""
