"""Options of a command, declared once: a frozen model that Python callers build and the command line expands.

A model is a frozen, keyword-only dataclass derived from ``Options``. Each field is one option; ``Option`` in
its annotation adds what the type and the default cannot say::

    @dataclass(frozen=True, kw_only=True)
    class SampleOptions(Options):
        category: Annotated[str, Option("Name of the category.")] = "plate"
        fps: Annotated[float | None, Option("Frames per second.", above=0, panel="Cameras")] = None

        RULES: ClassVar[tuple[Rule, ...]] = (needs(("fps",), "category"),)

Groups that several commands share are such models themselves, and a command's model derives from all of its
groups. ``SampleOptions(fps=30)`` checks every value, whoever builds it. ``dmdd_edge.cli.expand`` makes the
command line of it. Nothing here needs numpy, OpenCV, torch or typer.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar, get_args, get_origin

from dmdd_edge.errors import OptionError
from dmdd_edge.messages.commands import spelled
from dmdd_edge.messages.suggest import choose
from dmdd_edge.options.toml_text import toml
from dmdd_edge.options.values import any_length, convert, members, text_problem

T = TypeVar("T")


class UsageError(OptionError):
    """Options that contradict each other; the command line ends with exit code 2."""


@dataclass(frozen=True)
class Option:
    """What an option's type and default do not say.

    Attributes:
        help: one sentence or two for a person.
        panel: the heading below which the help lists it; empty for the first, unnamed one.
        name: its spelling where that is not ``--`` and the field's name, such as ``--pu/--no-pu``.
        short: one letter for it, such as ``-q``.
        metavar: what stands for its value in the help.
        argument: whether it is given by its position instead of by its name.
        minimum: the smallest value.
        maximum: the largest value.
        above: a bound that the value must exceed.
        range_in_help: whether the help shows the range of a whole number, and the command line checks it.
        choices: the values that a text may have.
        suggested: values that the shell offers where others are allowed too.
        folders_of: the fields of folders whose sub-folders' names the shell offers.
        parse: reads a text as the field's type; of a tuple, as one item of it.
        written: a value as ``parse`` reads it, for ``--print-config``; without it as it is.
        one_text: whether ``parse`` reads one text as the whole tuple.
        check: raises an ``OptionError`` for a value that is refused; None is not checked.
        hidden: whether the help leaves it out.
        number: whether a whole number is accepted as its text, such as a camera's.
        example: a value as TOML, for messages, where the default is not one.
        show_default: whether the help shows the default; or the default as a person writes it, for ``parse``.
        each_time: whether only the command line may set it, since a person decides it each time.
        earlier: spellings that it had before; they keep working, with one warning.
        check_earlier: raises an ``OptionError`` for a text that an earlier spelling is not meant to have.
    """

    help: str = ""
    panel: str = ""
    name: str = ""
    short: str = ""
    metavar: str = ""
    argument: bool = False
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    range_in_help: bool = True
    choices: tuple[str, ...] = ()
    suggested: tuple[str, ...] = ()
    folders_of: tuple[str, ...] = ()
    parse: Callable[[str], Any] | None = None
    written: Callable[[Any], Any] | None = None
    one_text: bool = False
    check: Callable[[Any], object] | None = None
    hidden: bool = False
    number: bool = False
    example: str = ""
    each_time: bool = False
    show_default: bool | str = True
    earlier: tuple[str, ...] = ()
    check_earlier: Callable[[str], None] | None = None


@dataclass(frozen=True)
class OptionField:
    """One option of a model.

    Attributes:
        name: the field's.
        type: the field's, without ``Annotated``.
        default: the field's; ``dataclasses.MISSING`` when it must be given.
        option: what else is known of it.
    """

    name: str
    type: Any
    default: Any
    option: Option

    @property
    def spelling(self) -> str:
        """How the command line spells it, such as ``--camera-fps``; an argument has its name in capitals."""
        if self.option.argument:
            return self.option.metavar or self.name.upper()
        return self.option.name.split("/")[0] or spelled(self.name)


@dataclass(frozen=True)
class Rule:
    """What options need to have an effect; without it they are refused, so that none is ignored.

    Attributes:
        options: fields' names.
        holds: whether the values of the model give them an effect.
        why: follows the option's name in the message.
        fix: follows "Leave it out, or ".
    """

    options: tuple[str, ...]
    holds: Callable[[Mapping[str, Any]], bool]
    why: str
    fix: str


def needs(options: tuple[str, ...], *others: str) -> Rule:
    """A rule: ``options`` need one of ``others``."""
    listed = [spelled(other) for other in others]
    named = listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} or {listed[-1]}"
    return Rule(
        options,
        lambda values: any(values[other] for other in others),
        f"has no effect without {named}",
        f"add {named}",
    )


@dataclass(frozen=True, kw_only=True)
class Options:
    """The base of every model of options.

    Attributes:
        RULES: what options need to have an effect; those of all groups count.
        EXCLUSIVE: groups of fields of which one at most may be given.
        ALTERNATIVES: groups of fields of which the command line's replaces a variable's, and that the file's;
            the command itself refuses two of them from the same origin.

    Raises:
        OptionError: a value has a wrong type or is out of its range, or an option has no effect.
    """

    RULES: ClassVar[tuple[Rule, ...]] = ()
    EXCLUSIVE: ClassVar[tuple[tuple[str, ...], ...]] = ()
    ALTERNATIVES: ClassVar[tuple[tuple[str, ...], ...]] = ()

    def __post_init__(self) -> None:
        for field in option_fields(type(self)):
            object.__setattr__(self, field.name, checked(field, getattr(self, field.name)))
        values = self.values()
        check_rules(type(self), values, self.given())
        self.check()

    def check(self) -> None:
        """Raise an ``OptionError`` where options do not fit together; for what no rule can say."""

    def values(self) -> dict[str, Any]:
        """The values by field."""
        return {field.name: getattr(self, field.name) for field in option_fields(type(self))}

    def given(self) -> frozenset[str]:
        """The fields that the caller set; without a record of that, those that differ from their defaults."""
        recorded: frozenset[str] | None = self.__dict__.get("_given")
        if recorded is not None:
            return recorded
        return frozenset(
            field.name
            for field in option_fields(type(self))
            if field.default is dataclasses.MISSING or getattr(self, field.name) != field.default
        )

    @classmethod
    def spelling(cls, name: str) -> str:
        """How the command line spells a field: ``camera_fps`` is ``--camera-fps``."""
        fields = {field.name: field for field in option_fields(cls)}
        return fields[name].spelling

    @classmethod
    def build(cls: type[T], values: Mapping[str, Any], given: frozenset[str]) -> T:
        """A model that records which fields were given, also those given with their default.

        Args:
            values: by field; those that are missing have their defaults.
            given: the fields that the caller set.
        """
        made = object.__new__(cls)
        object.__setattr__(made, "_given", given)
        made.__init__(**values)  # type: ignore[misc]
        return made

    def pick(self, group: type[T], **others: Any) -> T:
        """An object of a class with some of the same fields.

        Args:
            group: a dataclass; of its fields, those that this model has too take the values from here.
            others: further fields, which also win over those of the same name.
        """
        names = {field.name for field in dataclasses.fields(group) if field.init}  # type: ignore[arg-type]
        return group(**{**{name: value for name, value in self.values().items() if name in names}, **others})


def option_fields(model: type[Any]) -> tuple[OptionField, ...]:
    """The options of a model, in the order in which they are declared."""
    # mypy does not accept a frozen dataclass as the key of a cache.
    read: Callable[[Any], tuple[OptionField, ...]] = _option_fields
    return read(model)


@cache
def _option_fields(model: type[Any]) -> tuple[OptionField, ...]:
    hints: dict[str, Any] = {}
    for base in reversed(model.__mro__):
        hints |= _own_hints(base)
    found = []
    for field in dataclasses.fields(model):
        hint, option = hints[field.name], Option()
        if get_origin(hint) is Annotated:
            hint, *extras = get_args(hint)
            option = next((extra for extra in extras if isinstance(extra, Option)), option)
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        found.append(OptionField(field.name, hint, default, option))
    return tuple(found)


@cache
def _own_hints(model: Any) -> dict[str, Any]:
    """The types that one class declares; read once, although many models derive from it."""
    if "__dataclass_fields__" not in vars(model):
        return {}
    names = vars(sys.modules[model.__module__])
    declared = vars(model).get("__annotations__", {})
    return {
        name: eval(hint, names) if isinstance(hint, str) else hint  # as typing.get_type_hints does
        for name, hint in declared.items()
        if name in model.__dataclass_fields__
    }


def checked(field: OptionField, value: Any, name: str = "") -> Any:
    """A value as its field's type, after all checks of the field.

    Args:
        field: the option.
        value: to check.
        name: of the option in messages; the command line's spelling when it is left out.

    Raises:
        OptionError: it cannot be one.
    """
    option, spelling = field.option, name or field.spelling
    parts = members(field.type)
    if Path in parts and value == "":
        raise OptionError(f"{spelling} is empty.", "Give a path, or leave it out.")
    given = value if option.parse is not None and option.example else None
    if option.number and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    # One item alone is not parsed where a list is needed, so that the message shows what was given.
    if option.parse is not None and (
        option.one_text or not (any(map(any_length, parts)) and isinstance(value, str))
    ):
        value = _parsed(option.parse, value)
    value = convert(value, field.type, spelling, _example(field), given)
    for item in _items(value):
        if isinstance(item, (str, Path)) and (problem := text_problem(str(item), isinstance(item, Path))):
            raise OptionError(f"{spelling} {problem}.", f"Give another {spelling}.")
        if isinstance(item, float) and not math.isfinite(item):
            raise OptionError(
                f"{spelling} is {item}; it must be a finite number.", f"Give another {spelling}."
            )
        if isinstance(item, (int, float)) and not isinstance(item, bool):
            _check_range(option, spelling, item)
        if option.choices and isinstance(item, str) and item not in option.choices:
            raise OptionError(f"{spelling} {item!r} is unknown.", choose(item, option.choices))
    if option.check is not None and value is not None:
        option.check(value)
    return value


def check_rules(model: type[Options], values: Mapping[str, Any], given: frozenset[str]) -> None:
    """Refuse options that contradict each other or have no effect.

    Args:
        model: declares the rules.
        values: by field.
        given: the fields that the caller set.

    Raises:
        UsageError: two options exclude each other.
        OptionError: an option has no effect beside the others.
    """
    for _, error in broken_rules(model, values, given):
        raise error


def broken_rules(
    model: type[Options], values: Mapping[str, Any], given: frozenset[str]
) -> Iterator[tuple[str, OptionError]]:
    """Each broken rule as ``check_rules`` raises it, with a field that breaks it; the same arguments."""
    spellings = {field.name: field.spelling for field in option_fields(model)}
    for names in declared(model, "EXCLUSIVE"):
        both = [name for name in names if name in given and values[name]]
        if len(both) > 1:
            named = " and ".join(spellings[name] for name in both)
            yield both[-1], UsageError(f"{named} exclude each other.", "Give one of them.")
    for rule in declared(model, "RULES"):
        for name in rule.options:
            if name in given and not rule.holds(values):
                error = OptionError(f"{spellings[name]} {rule.why}.", f"Leave it out, or {rule.fix}.")
                yield name, error


def declared(model: type[Any], attribute: str) -> Iterator[Any]:
    """What a model and its groups declare under a name, such as ``RULES``, each once."""
    for base in reversed(model.__mro__):
        yield from vars(base).get(attribute, ())


def _parsed(parse: Callable[[str], Any], value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(parse(item) if isinstance(item, str) else item for item in value)
    return parse(value) if isinstance(value, str) else value


def _example(field: OptionField) -> str:
    """A value as TOML, for messages."""
    option, default = field.option, field.default
    if option.example or isinstance(option.show_default, str):
        return option.example or toml(option.show_default)
    if default not in (None, (), dataclasses.MISSING):
        return toml(default)
    for kind, example in ((int, max(10, int(option.minimum or 0))), (float, 0.5), (Path, "folder/name")):
        if kind in members(field.type):
            return toml(example)
    return '["a", "b"]' if get_origin(members(field.type)[0]) is tuple else '"name"'


def _items(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _check_range(option: Option, spelling: str, number: float) -> None:
    bound = ""
    if option.minimum is not None and number < option.minimum:
        bound = f"at least {option.minimum:g}"
    elif option.maximum is not None and number > option.maximum:
        bound = f"at most {option.maximum:g}"
    elif option.above is not None and number <= option.above:
        bound = f"more than {option.above:g}"
    if bound:
        raise OptionError(f"{spelling} is {number:g}; it must be {bound}.", f"Give {bound}.")
