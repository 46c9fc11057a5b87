"""The commands that messages name: built in one place, so that each can be pasted as it is printed."""

from __future__ import annotations

import shlex
from pathlib import Path

#: Folders that need no option, since they are the options' defaults.
_DEFAULTS = {"runs_dir": "runs", "models_dir": "models"}


def spelled(name: str) -> str:
    """An option's name as the command line spells it: ``camera_fps`` is ``--camera-fps``."""
    return "--" + name.replace("_", "-")


def command(*words: str | Path, **options: object) -> str:
    """A ``dmdd-edge`` command, quoted for a shell.

    Args:
        words: the command, its sub-command and its arguments.
        options: by name with ``_`` for ``-``, in this order. None, False and the default folders of runs and
            bundles are left out; True is a flag; a list repeats the option. The folder here of a store's runs
            is named by its address.

    >>> command("export", category="my part", run=None, runs_dir="runs")
    "dmdd-edge export --category 'my part'"
    """
    parts = ["dmdd-edge"]
    arguments = [str(word) for word in words]
    # After -- neither a name that begins with a dash nor anything else is an option.
    dashed = next((at for at, word in enumerate(arguments) if word.startswith("-")), len(arguments))
    last = ["--", *arguments[dashed:]] if dashed < len(arguments) else []
    parts += arguments[:dashed]
    for name, value in options.items():
        option = spelled(name)
        for single in value if isinstance(value, (list, tuple)) else (value,):
            if single is None or single is False or str(single) == _DEFAULTS.get(name):
                continue
            if name in _DEFAULTS and isinstance(single, Path):
                from dmdd_edge.run_store.mirror import address_of

                single = address_of(single) or single
            parts += [option] if single is True else [option, str(single)]
    return shlex.join(parts + last)


def run_options(folder: Path, category: str) -> dict[str, object]:
    """The options that name a training run, for ``command``.

    Args:
        folder: of the run.
        category: that it was trained for.
    """
    return {
        "category": category,
        "run": None if folder.name == category else folder.name,
        "runs_dir": folder.parent,
    }


def bundle_options(category: str, model: Path | None, models_dir: Path) -> dict[str, object]:
    """The options that name a bundle as the user named it, for ``command``."""
    return {"model": model} if model is not None else {"category": category, "models_dir": models_dir}
