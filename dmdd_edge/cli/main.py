"""The ``dmdd-edge`` program: gathers the commands and turns errors into messages and exit codes.

Exit codes: 0 done, 1 a user's error, 2 usage, 3 anomalies found under ``--fail-on-anomaly``
or a part of the challenge set not found, 130 after Ctrl-C.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from typer.main import get_command

from dmdd_edge._version import __version__
from dmdd_edge.cli.console import complain
from dmdd_edge.cli.exit_codes import INTERRUPTED
from dmdd_edge.cli.streams import standard_streams
from dmdd_edge.cli.strict import StrictGroup
from dmdd_edge.cli.unexpected import readable

if TYPE_CHECKING:
    app: typer.Typer

#: Every command, in the order of the help; each is declared in the module of its name.
COMMANDS = (
    "sample",
    "collect",
    "train",
    "evaluate",
    "compare",
    "export",
    "models",
    "calibrate",
    "challenge",
    "run",
    "review",
    "station",
    "drift",
    "judge",
    "bench",
    "doctor",
)


class _Program(StrictGroup):
    """The group of all commands."""

    #: Names that a configuration file may have as tables, also when only one of the commands is loaded.
    known = COMMANDS

    def load(self, name: str) -> Any:
        """One of the commands, whether or not it belongs to this group."""
        if name in self.commands:
            return self.commands[name]
        return cast(Any, get_command(build_app([name]))).commands[name]


def build_app(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """Build the program.

    Args:
        names: the commands that it has; loading one alone is faster.
    """
    built = typer.Typer(
        name="dmdd-edge",
        cls=_Program,
        help="Train on images of good parts, export one fused graph, run it on a production line.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    for name in names:
        import_module(f"dmdd_edge.cli.{name}").register(built)
    built.callback()(_root)
    return built


def __getattr__(name: str) -> Any:
    """Build the whole program as ``app`` on first use."""
    if name == "app":
        globals()["app"] = built = build_app()
        return built
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"dmdd-edge {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, metavar="", help="Show the version."
        ),
    ] = False,
) -> None:
    """Declare the options that belong to no command."""


def main() -> None:
    """Run the program and exit with the code that fits what happened."""
    hook = threading.excepthook
    with standard_streams():
        threading.excepthook = _thread_failed
        try:
            # A command that is named first is the only one that must be loaded.
            named = sys.argv[1:2]
            build_app(named if named and named[0] in COMMANDS else COMMANDS)()
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        except Exception as error:  # always one message, without traceback and secrets
            _complain(error)
            sys.exit(1)
        finally:
            threading.excepthook = hook


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    """Report what ended a thread, as for the program itself."""
    if isinstance(failure.exc_value, Exception):
        _complain(failure.exc_value)


def _complain(error: Exception) -> None:
    known = readable(error, sys.argv[1:])
    complain(known.message, known.fix)
