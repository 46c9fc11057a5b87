"""The categories of `dmdd-edge train --all`, each with its options: from the data set, or from a TOML list.

A list has the options of all categories at its top, and a table for each category::

    data = "mvtec"
    image_size = 256

    [screw]
    steps = 4000

    [housing]
    data = "images/housing"
    false_alarm_rate = 0.02

What the command line says wins over the list; a table wins over the top.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dmdd_edge.cli.console import console
from dmdd_edge.cli.train import OF_ONE
from dmdd_edge.data_address import DataPlace, is_address
from dmdd_edge.errors import DmddError, OptionError
from dmdd_edge.messages.text import visible
from dmdd_edge.options import Options
from dmdd_edge.options.keys import checked_key, key_of, renamed, similar
from dmdd_edge.options.model import OptionField, option_fields
from dmdd_edge.options.toml_file import TomlFile, read_file
from dmdd_edge.runs import list_runs
from dmdd_edge.train.options import TrainOptions
from dmdd_edge.workspace import run_folder

#: Options that the command has for all categories together.
_OF_ALL = ("resume", "overwrite", "runs_dir")
#: Options of the export that a list may set.
_EXPORT = ("false_alarm_rate", "suspect_rate", "target", "precision")


@dataclass(frozen=True)
class Entry:
    """A category.

    Attributes:
        training: its options.
        export: options of its export by field; the others have their defaults.
    """

    training: TrainOptions
    export: dict[str, Any] = field(default_factory=dict)

    @property
    def category(self) -> str:
        """Its name."""
        assert self.training.category is not None
        return self.training.category


def read_entries(options: Options, path: Path | None) -> list[Entry]:
    """The categories to train.

    Args:
        options: of the command, with those of a training.
        path: the list; None takes every category of ``data``.

    Raises:
        OptionError: there is no data set, the list has an unknown key or a wrong value, or it is not TOML.
        DataError: the data set cannot be read, holds no category, is itself one, or lacks one of the list.
    """
    from dmdd_edge.data.datasets import list_categories

    command = {name: value for name, value in options.values().items() if name in options.given()}
    top: dict[str, Any] = {}
    tables: dict[str, dict[str, Any]] = {}
    file: TomlFile | None = None
    if path is not None:
        file = read_file(path, "--categories")
        top = _read(file, (), {key: value for key, value in file.values.items() if not _is_table(value)})
        tables = {
            name: _read(file, (name,), value) for name, value in file.values.items() if _is_table(value)
        }
    if not tables:
        data = command.get("data", top.get("data"))
        if data is None:
            raise OptionError(
                "The data set is missing.", "Give --data DIR, or --categories FILE with a list of categories."
            )
        names = list_categories(data, several=True)
        if options.values()["resume"]:
            names += _begun(data, names, options.values()["runs_dir"])
        tables = {name: {} for name in names}
        if not tables:
            raise OptionError(
                f"{data} holds no category: --all needs a folder with a subfolder for each.",
                "Give the folder above, or train the one category without --all.",
            )
    entries = []
    for name, own in tables.items():
        try:
            entry = _entry(name, options, {**top, **own, **command})
            # With --resume, what is finished needs neither its images nor its files any more.
            if not options.values()["resume"]:
                _check(entry.training)
            entries.append(entry)
        except DmddError as error:
            if file is not None:
                error.message = f"{file.place(name)}: [{name}]: {error.message}"
            raise
    return entries


def _begun(data: DataPlace, names: Sequence[str], runs_dir: Path | str) -> list[str]:
    """Categories that have a run and a folder, but are not found as categories any more.

    Beside a category in a data set's layout, folders of plain images are none: one that gets such a layout
    hides all others.
    """
    if is_address(data):
        return []
    return [name for name in list_runs(runs_dir) if name not in names and (Path(data) / name).is_dir()]


def _entry(name: str, options: Options, given: Mapping[str, Any]) -> Entry:
    fields = {field.name for field in option_fields(TrainOptions)}
    values = {key: value for key, value in given.items() if key in fields} | {"category": name}
    if "data" not in values:
        raise OptionError("it has no data set.", "Give --data DIR, or set data in the list.")
    values["runs_dir"] = options.values()["runs_dir"]
    run_folder(name, None, values["runs_dir"])
    export = {key: given[key] for key in _EXPORT if key in given}
    return Entry(TrainOptions.build(values, frozenset(values)), export)


def _check(training: TrainOptions) -> None:
    """Raise for what no training could start with; a category's images are looked at when its turn comes."""
    from dmdd_edge.data.datasets import require_category
    from dmdd_edge.train.plan import check_values

    check_values(training)
    if isinstance(training.data, Path) and training.category is not None:
        require_category(training.data, training.category)


def _read(file: TomlFile, route: tuple[str, ...], values: Mapping[str, Any]) -> dict[str, Any]:
    """The checked options of the top or of a table."""
    known = _keys()
    found: dict[str, Any] = {}
    for written, value in values.items():
        place = file.place(*route, written)
        option = known.get(written.replace("-", "_")) or renamed(
            known.values(), written, value, console.print
        )
        if option is None:
            raise OptionError(
                f"{place}: {visible(written)!r} is not an option of a category.",
                similar(written, set(known)) or f"Options of a category: {', '.join(sorted(known))}.",
            )
        found[option.name] = checked_key(option, value, place)
    return found


def _keys() -> dict[str, OptionField]:
    from dmdd_edge.export.options import ExportOptions

    training = [item for item in option_fields(TrainOptions) if item.name not in (*OF_ONE, *_OF_ALL)]
    export = [item for item in option_fields(ExportOptions) if item.name in _EXPORT]
    return {key_of(item): item for item in (*training, *export)}


def _is_table(value: object) -> bool:
    return isinstance(value, dict)
