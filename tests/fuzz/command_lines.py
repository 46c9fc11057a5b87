"""Command lines as people and scripts give them: a sensible one, with options changed, added or left out."""

from __future__ import annotations

import random
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from addresses import make_address


@dataclass(frozen=True)
class Option:
    """An option of a command.

    Attributes:
        name: of the first form.
        forms: how it may be written.
        kinds: the types of its value; none for a flag.
        choices: the words that it takes, where these are listed.
    """

    name: str
    forms: tuple[str, ...]
    kinds: tuple[type, ...]
    choices: tuple[str, ...]


def options_of(commands: dict[str, Any]) -> dict[str, list[Option]]:
    """The options of each command of a typer program, those of its subcommands included."""
    return {
        name: [
            option
            for item in (command, *getattr(command, "commands", {}).values())
            for option in _options(item)
        ]
        for name, command in commands.items()
    }


def _options(command: Any) -> Iterator[Option]:
    hints = {} if command.callback is None else typing.get_type_hints(command.callback)
    for item in command.params:
        if item.param_type_name == "option" and item.name in hints:
            parts = [hints[item.name], *typing.get_args(hints[item.name])]
            words = tuple(word for part in parts for word in typing.get_args(part) if isinstance(word, str))
            kinds = () if item.is_flag else tuple(part for part in parts if part in (int, float, str, Path))
            flag = item.is_flag
            yield Option(item.opts[0], (*item.opts, *item.secondary_opts), kinds, () if flag else words)


#: Commands that work in the world, and how often each is the beginning of a line.
_BASES: tuple[tuple[int, str, tuple[str, ...]], ...] = (
    (20, "run", ("--source", "part.png")),
    (8, "run", ("--source", "lot [1] größe", "--category", "plate")),
    (4, "run", ("--source", "film.avi", "--limit", "2")),
    (6, "run", ("--watch", "empty", "--duration", "0.5")),
    (8, "models", ()),
    (3, "models use", ("plate", "2")),
    (3, "models check", ("plate",)),
    (2, "models show", ("plate",)),
    (2, "models remove", ("plate", "2")),
    (1, "models list", ()),
    (8, "calibrate", ("--source", "data/plate/train/good", "--limit", "3", "--yes")),
    (2, "calibrate", ("--reset",)),
    (10, "evaluate", ("--category", "plate")),
    (4, "evaluate", ("--good", "data/plate/train/good", "--bad", "data/plate/test/dent")),
    (2, "evaluate", ("--all", "--report", "out/pages")),
    (4, "export", ("--category", "plate", "--target", "onnx")),
    (4, "bench", ("--duration", "0.1")),
    (8, "train", ("--data", "data", "--category", "plate", "--steps", "1", "--image-size", "64")),
    (4, "sample", ("drawn", "--train", "2", "--test-good", "1", "--test-bad", "1", "--size", "64")),
    (1, "train", ("--category", "plate", "--resume")),
    (2, "doctor", ()),
)
#: Given to every line of these commands whose options do not end it by themselves.
_BOUNDS = {"run": ("--duration", "3"), "train": ("--max-minutes", "0.1")}
_NUMBERS = (
    "0",
    "1",
    "2",
    "3",
    "-1",
    "0.5",
    "1.5",
    "nan",
    "inf",
    "-inf",
    "1e9",
    "1e-9",
    "99999999999999999999",
    "",
    " ",
    "x",
    "1,5",
    "0x10",
    "٣",
    "--",
    "1 000",
    "1e400",
)
_PATHS = (
    "part.png",
    "lot [1] größe",
    "lot*",
    "empty",
    "only_text",
    "text.txt",
    "broken.png",
    "gone.png",
    "pipe",
    "nowhere",
    "nowhere/at/all",
    "film.avi",
    "data",
    "data/plate",
    "data/plate/test",
    "data/plate/test/dent",
    "data/plate/train/good",
    "runs",
    "runs/plate",
    "models",
    "models/plate",
    "damaged",
    "damaged/plate",
    "half_run",
    "mask.png",
    "data/plate/ground_truth",
    "data/plate/ground_truth/dent",
    "rtsp://admin:Zq7Xw9Kv@127.0.0.1:1/x",
    "http:/admin:Zq7Xw9Kv@127.0.0.1/x",
    "runs/plate/report.html",
    "runs/plate/run.json",
    "models/plate/CURRENT",
    "readonly",
    "readonly/new",
    "full",
    "full/new",
    "/dev/null",
    "/dev/full",
    "/dev/stdin",
    "/proc/1",
    "-",
    "",
    " ",
    ".",
    "..",
    "/",
    "~",
    "~nobody",
    "a" * 300,
    "a/" * 2000,
    "\udcff.png",
    "new\nline",
    "\x1b[2J",
    "out",
    "out/results.jsonl",
    "out.csv",
    "out.mp4",
    "out.html",
    "config.toml",
    "list.txt",
    "part.png/x",
)
_NAMES = (
    "plate",
    "Plate",
    "plaet",
    "my part",
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "-x",
    "\x1b[31m",
    "ü",
    "a" * 300,
    "*",
    "-",
    "my 'part'",
    'a"b$(c)',
    "new\nline",
    "\u202eetalp",
    "\udcff",
    "ü" * 127,
    "CON",
    "plate@1",
    "rtsp://admin:Zq7Xw9Kv@127.0.0.1:1/x",
)
_WORDS = (
    "auto",
    "cpu",
    "cuda",
    "tensorrt",
    "onnx",
    "fp16",
    "8080x",
    "1:8",
    "0:0",
    "640x480",
    "0x0",
    "-1x5",
    "1,2,3,4",
    "0,0,0,0",
    "a,b,c,d",
    "100MB",
    "-5KB",
    "1e99GB",
    "x",
    "",
    "HOME",
    "second",
    "never",
    "sm86",
    "0",
    "brightness=1",
    "=",
    "127.0.0.1:0",
    "127.0.0.1:99999",
    "all",
    "on",
    "90",
    "45",
    "onnx,onnx",
    "onnx,",
    "tensrt",
    "CPU",
    "cpu,cuda",
    "single,mutli",
    "png",
    "JPG",
    "8:1",
    "1:99999",
    "trtexec10",
    "plate,plate",
    "timm:nothing",
    "resnet18 ",
)


def make_line(seed: int, commands: dict[str, list[Option]]) -> list[str]:
    """The arguments of a seed.

    Args:
        seed: which.
        commands: each command's options.
    """
    draw = random.Random(seed)
    _, command, base = draw.choices(_BASES, [weight for weight, _, _ in _BASES])[0]
    name = command.split()[0]
    given = list(base)
    if given and draw.random() < 0.25:
        at = draw.randrange(len(given))
        given[at : at + 1] = draw.choice(([], [draw.choice(_PATHS)], [given[at], given[at]]))
    options = [option for option in commands[name] if option.name not in _NEVER]
    for option in draw.sample(options, min(draw.choice((0, 1, 1, 2, 3)), len(options))):
        given.append(draw.choice(option.forms))
        if option.kinds or option.choices:
            given.append(_value(draw, option))
    if draw.random() < 0.15:  # what scripts give to every command
        given += [form for form in ("--quiet", "--json") if any(form in item.forms for item in options)]
    if draw.random() < 0.03:
        given.append(draw.choice(("--nonsense", "--sorce", "-x", "extra", "--help", "--")))
    return [*command.split(), *given, *_BOUNDS.get(name, ())]


#: Would open a window or a port for others, or take minutes: none of them is about what is typed.
_NEVER = ("--show", "--steps", "--epochs", "--head-steps", "--max-minutes", "--serve", "--build-engine")


def _value(draw: random.Random, option: Option) -> str:
    if draw.random() < 0.1:
        return draw.choice((*_NUMBERS, *_PATHS, *_NAMES, *_WORDS))
    if option.name in ("--source", "--mqtt", "--webhook") and draw.random() < 0.5:
        return make_address(draw.randrange(1 << 30))
    if option.choices:
        return draw.choice((*option.choices, *option.choices, "x", ""))
    if int in option.kinds or float in option.kinds:
        return draw.choice(_NUMBERS)
    if Path in option.kinds or option.name in ("--source", "--data"):
        return draw.choice(_PATHS)
    if option.name in ("--category", "--run"):
        return draw.choice(_NAMES)
    return draw.choice(_WORDS)
