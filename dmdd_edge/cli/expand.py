"""Expands a model of options into the parameters of a command, so that each option is declared once.

How a command uses it::

    from dmdd_edge.cli.expand import add_command
    from dmdd_edge.sample.options import SampleOptions      # quick: imports neither numpy nor torch

    def register(app: typer.Typer) -> None:
        add_command(app, "sample", sample, SampleOptions)

    def sample(options: SampleOptions) -> None:
        \"\"\"Draw procedural metal plates ...\"\"\"           # the help text
        from dmdd_edge.sample.drawing import write_sample   # what is heavy is imported here

Every command also gets ``--config`` and ``--print-config``; see ``dmdd_edge.cli.configuration``.

The function receives one checked object. ``options.given()`` names the fields that came from the command
line, the environment or the configuration file. What only the command line needs, such as ``--json``, belongs
in a model of the command in ``dmdd_edge.cli`` that derives from the public one. Fields are listed from the
last base class to the first::

    @dataclass(frozen=True, kw_only=True)
    class _SampleCommand(JsonOutput, SampleOptions): ...

All checks that need no heavy import belong in the model (``Option(check=...)``, ``RULES``, ``check()``): they
run before the function, so a mistyped value answers at once.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import typer

from dmdd_edge.cli.completion import completion
from dmdd_edge.cli.configuration import Commands, Setting, print_settings, resolve
from dmdd_edge.cli.console import console
from dmdd_edge.options import Options, UsageError
from dmdd_edge.options.model import OptionField, option_fields
from dmdd_edge.options.values import any_length, literals, members

Model = TypeVar("Model", bound=Options)
_CONFIG, _PRINT = "config_file", "print_config"
#: typer's own usage error, without the words "Invalid value" before the message.
_UsageError: Any = typer.BadParameter.__bases__[0]


def add_command(app: typer.Typer, name: str, function: Callable[[Model], None], model: type[Model]) -> None:
    """Add a command to the program.

    Args:
        app: the program or a group of commands.
        name: of the command.
        function: does the work; its docstring is the help text.
        model: declares the options; the function receives an object of it.
    """
    app.command(name, help=_help(function))(expand(function, model))


def _help(function: Callable[..., None]) -> str:
    """A docstring with one line per paragraph, which the width of the terminal breaks."""
    paragraphs = (inspect.getdoc(function) or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def expand(
    function: Callable[..., None], model: type[Model], with_context: bool = False
) -> Callable[..., None]:
    """``function`` with a parameter for each option of ``model``, as typer reads them.

    Two options are added: ``--config`` and ``--print-config``; see ``configuration``.

    Args:
        function: receives an object of ``model``.
        model: declares the options.
        with_context: whether the function receives typer's context first.
    """
    fields = option_fields(model)
    # Parameters for the earlier spellings of an option, which the help does not show.
    earlier = {
        f"earlier_{field.name}_{number}": (field, spelling)
        for field in fields
        for number, spelling in enumerate(field.option.earlier)
    }

    def settings_of(context: typer.Context, values: dict[str, Any]) -> dict[str, Setting]:
        # An argument of any number counts as given also when it has no items.
        given = {
            key for key, value in values.items() if value not in (None, [], ()) and _is_given(context, key)
        }
        for key, (field, spelling) in earlier.items():
            _take_earlier(values, given, key, field, spelling)
        typed = {field.name: _value(values[field.name]) for field in fields if field.name in given}
        files = values[_CONFIG] or []
        if len(files) > 1:
            raise UsageError("--config is given twice.", "Give one file.")
        return resolve(model, _table(context), _commands(context), typed, next(iter(files), None))

    def read(context: typer.Context, values: dict[str, Any]) -> Model:
        settings = settings_of(context, values)
        for field in fields:
            if settings[field.name].value is dataclasses.MISSING:
                raise UsageError(f"Missing argument '{field.spelling}'.", f"Give {field.spelling}.")
        given = frozenset(name for name, setting in settings.items() if setting.rank)
        return model.build({name: setting.value for name, setting in settings.items()}, given)

    def command(context: typer.Context, **values: Any) -> None:
        try:
            if values[_PRINT]:
                print_settings(_table(context), model, settings_of(context, values))
                return
            options = read(context, values)
        except UsageError as error:
            raise _UsageError(str(error), ctx=context) from None
        if with_context:
            function(context, options)
        else:
            function(options)

    # A file or a variable may give a single argument; of several, each position must be certain.
    single = sum(field.option.argument for field in fields) == 1
    parameters = [
        inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context),
        *(_parameter(field.name, field, _shown(field, fields), optional=single) for field in fields),
        *(
            _parameter(key, field, typer.Option(spelling, hidden=True))
            for key, (field, spelling) in earlier.items()
        ),
        *_configuration(),
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    command.model = model  # type: ignore[attr-defined]
    command.read = read  # type: ignore[attr-defined]  # what the command line means, without doing it
    command.__name__ = function.__name__
    command.__doc__ = function.__doc__
    return command


def _commands(context: typer.Context) -> Commands:
    """What loads the models of each command."""
    root: Any = context.find_root().command
    loaded = getattr(root, "commands", {})
    load: Callable[[str], Any] = getattr(root, "load", loaded.get)

    def models(name: str) -> list[type[Options]]:
        command = load(name)
        parts = (command, *getattr(command, "commands", {}).values())
        return [part.callback.model for part in parts if hasattr(part.callback, "model")]

    return {name: partial(models, name) for name in getattr(root, "known", loaded)}


def _is_given(context: typer.Context, key: str) -> bool:
    """Whether the command line sets a value; of ``models`` also what is before the sub-command."""
    source = context.get_parameter_source(key)
    return source is not None and source.name != "DEFAULT"


def _table(context: typer.Context) -> str:
    """The name of the command in a configuration file: of a sub-command, that of its group."""
    words = context.command_path.split()
    return words[1] if len(words) > 1 else words[0]


def _configuration() -> list[inspect.Parameter]:
    """The options that every command has for its configuration."""
    panel = "Configuration"
    config = typer.Option(
        "--config",
        help="TOML file with options: NAME = VALUE at the top or under [COMMAND]. The command line wins over "
        "DMDD_NAME variables, and those over the file. Paths are relative to the working directory.",
        metavar="FILE",
        rich_help_panel=panel,
    )
    show = typer.Option(
        "--print-config",
        help="Print the resulting options as TOML, each with its origin, and exit.",
        metavar="",
        rich_help_panel=panel,
    )
    kind = inspect.Parameter.KEYWORD_ONLY
    return [
        inspect.Parameter(_CONFIG, kind, default=None, annotation=Annotated[list[Path] | None, config]),
        inspect.Parameter(_PRINT, kind, default=False, annotation=Annotated[bool, show]),
    ]


def _parameter(name: str, field: OptionField, info: Any, optional: bool = False) -> inspect.Parameter:
    default = field.default
    if default is dataclasses.MISSING and optional and field.option.argument:
        default = None
    if name != field.name:
        default = None
    elif default is dataclasses.MISSING:
        default = inspect.Parameter.empty
    elif isinstance(field.option.show_default, str):
        default = field.option.show_default  # the same value as a person writes it
    elif isinstance(default, tuple) or (field.option.parse is not None and not isinstance(default, str)):
        default = None
    hint = _hint(field)
    if default is None and type(None) not in get_args(hint):
        hint = hint | None
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[hint, info]
    )


def _hint(field: OptionField) -> Any:
    """The type as typer reads it: a text for what is parsed here, a list for a tuple of any length."""
    parts = members(field.type)
    if field.option.one_text:
        return str
    if any(any_length(part) for part in parts):
        inner = next(get_args(part)[0] for part in parts if any_length(part))
        return list[str] if field.option.parse is not None else list[inner]  # type: ignore[valid-type]
    if field.option.parse is not None:
        return str
    return field.type


def _shown(field: OptionField, fields: Sequence[OptionField]) -> Any:
    option = field.option
    in_help = option.range_in_help and field.option.parse is None and members(field.type) == (int,)
    common: dict[str, Any] = {
        "help": option.help,
        "hidden": option.hidden,
        "metavar": _metavar(field),
        "rich_help_panel": option.panel or None,
        "show_default": bool(option.show_default),
        # Other ranges are the model's alone, whose message names the value.
        "min": option.minimum if in_help else None,
        "max": option.maximum if in_help else None,
    }
    if complete := completion(field, fields):
        common["autocompletion"] = complete
    if option.argument:
        return typer.Argument(**common)
    # A spelling is always given: without one typer would add a --no- form to each switch.
    return typer.Option(option.name or field.spelling, *([option.short] if option.short else []), **common)


def _metavar(field: OptionField) -> str | None:
    """What stands for the value in the help; empty for a switch."""
    option, parts = field.option, members(field.type)
    if option.metavar or bool in parts:
        return option.metavar
    if option.argument:
        return field.name.upper()
    if values := literals(field.type):
        return "|".join(map(str, values))
    if Path in parts:
        return "PATH"
    return "NUMBER" if option.parse is None and {int, float} & set(parts) else "TEXT"


def _take_earlier(
    values: dict[str, Any], given: set[str], key: str, field: OptionField, spelling: str
) -> None:
    """Move the value of an earlier spelling to the option's own, with one warning."""
    value = values.pop(key)
    if key not in given:
        return
    given.discard(key)
    if field.name in given:
        raise UsageError(
            f"{spelling} and {field.spelling} are the same option.", f"Give {field.spelling} only."
        )
    if field.option.check_earlier is not None:
        field.option.check_earlier(value)
    console.print(f"{spelling} is now {field.spelling}; the old name will be removed.")
    values[field.name] = value
    given.add(field.name)


def _value(value: Any) -> Any:
    """What typer read, as the model accepts it."""
    return tuple(value) if isinstance(value, list) else value
