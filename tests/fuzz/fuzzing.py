"""Runs the fuzzed inputs of a range of seeds and gathers what failed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from addresses import make_address, shows_secret
from checks import check_answer, check_picture, check_tree
from command_lines import make_line, options_of
from pictures import make_picture
from trees import make_tree

from dmdd_edge.errors import DmddError

HERE = Path(__file__).resolve().parent
#: The environments that command lines run in; ASCII is what a service without a locale gets.
LOCALES: dict[str, dict[str, str]] = {
    "utf-8": {"LC_ALL": "C.UTF-8"},
    "ascii": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "latin-1": {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "latin-1"},
}
#: Seconds that a command line may take: more than the minute for which a run waits for
#: a disk, and than an export needs on a busy machine.
LIMIT = 200.0

Failures = list[str]


def fuzz_trees(seeds: range, folder: Path) -> Failures:
    """Load the data sets of these seeds."""
    failures = []
    for seed in seeds:
        tree = make_tree(seed, folder / "tree")
        if wrong := check_tree(tree):
            failures.append(f"tree {seed} ({'; '.join(tree.made_of)}): {wrong}")
    return failures


def fuzz_pictures(seeds: range, folder: Path) -> Failures:
    """Read the picture files of these seeds."""
    failures = []
    for seed in seeds:
        picture = make_picture(seed)
        if wrong := check_picture(picture, folder):
            failures.append(f"picture {seed} {picture.suffix} ({picture.damage or 'whole'}): {wrong}")
    return failures


def fuzz_addresses(seeds: range) -> Failures:
    """Give the addresses of these seeds to whatever takes one."""
    from dmdd_edge.runtime.delivery.address import parse_mqtt, parse_webhook
    from dmdd_edge.runtime.page.address import parse_address
    from dmdd_edge.runtime.sources import open_source
    from dmdd_edge.runtime.sources.options import SourceOptions

    options = SourceOptions(stream_timeout=1.0)
    takers = {
        "--source": lambda text: open_source(text, options).stop(),
        "--mqtt": parse_mqtt,
        "--webhook": parse_webhook,
        "--serve": parse_address,
    }
    failures = []
    for seed in seeds:
        address = make_address(seed)
        for option, take in takers.items():
            if wrong := _refused_or_taken(take, address):
                failures.append(f"address {seed} {option} {address[:120]!r}: {wrong}")
    return failures


def _refused_or_taken(take: Any, address: str) -> str:
    try:
        take(address)
    except DmddError as error:
        return "shows a part of the password" if shows_secret(str(error)) else ""
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


class Program:
    """A forking copy of the program, in a world and a locale of its own."""

    def __init__(self, world: Path, locale: str) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHON"))}
        environment |= LOCALES[locale] | {"OMP_NUM_THREADS": "1", "HOME": os.fspath(world / "home")}
        (world / "home").mkdir(exist_ok=True)
        command = [sys.executable, os.fspath(HERE / "program.py")]
        self._process = subprocess.Popen(
            [*_own_mounts(world), *command] if _may_mount() else command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=world,
            env=environment,
        )

    def run(self, argv: list[str], nobody: bool) -> dict[str, Any]:
        """Run one command line and wait for its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"argv": argv, "limit": LIMIT, "nobody": nobody}
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def _may_mount() -> bool:
    return (
        os.geteuid() == 0
        and shutil.which("unshare") is not None
        and subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0
    )


def _own_mounts(world: Path) -> list[str]:
    """A command prefix: ``readonly`` and ``full`` become file systems that are, for this process alone."""
    for name in ("readonly", "full"):
        (world / name).mkdir(exist_ok=True)
    script = (
        "mount -t tmpfs -o ro,size=64k tmpfs readonly; mount -t tmpfs -o size=64k tmpfs full; "
        'head -c 1000000 /dev/zero > full/taken 2>/dev/null; exec "$@"'
    )
    return ["unshare", "-m", "sh", "-c", script, "sh"]


@contextmanager
def program(world: Path, locale: str) -> Iterator[Program]:
    """A program that ends with the block."""
    made = Program(world, locale)
    try:
        yield made
    finally:
        made.close()


def fuzz_command_lines(seeds: range, world: Path, locale: str, without: tuple[str, ...] = ()) -> Failures:
    """Run the command lines of these seeds, every fifth as a user without rights and home.

    Lines of the commands in ``without`` are left out.
    """
    import typer

    from dmdd_edge.cli.main import app

    root: Any = typer.main.get_command(app)
    options = options_of(root.commands)
    failures = []
    with program(world, locale) as running:
        for seed in seeds:
            argv = make_line(seed, options)
            if argv[0] in without:
                continue
            nobody = seed % 5 == 0 and os.geteuid() == 0
            answer = running.run(argv, nobody)
            if wrong := check_answer(argv, answer):
                tail = (answer["err"] or answer["out"])[-600:]
                failures.append(f"line {seed} {locale}{' nobody' * nobody} {argv!r}: {wrong}\n{tail}")
    return failures
