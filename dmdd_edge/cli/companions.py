"""Options that mean nothing without another one: given alone they are refused, so that none is ignored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dmdd_edge.errors import OptionError

_Values = Mapping[str, Any]


@dataclass(frozen=True)
class _Rule:
    """What options of a command need.

    Attributes:
        options: parameters' names.
        holds: whether the values of the command's parameters give them a meaning.
        why: follows the option's name in the message.
        fix: follows "Leave it out, or ".
    """

    options: tuple[str, ...]
    holds: Callable[[_Values], bool]
    why: str
    fix: str


def _needs(options: tuple[str, ...], *others: str) -> _Rule:
    listed = [f"--{other.replace('_', '-')}" for other in others]
    named = listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} or {listed[-1]}"
    return _Rule(
        options,
        lambda values: any(values[other] for other in others),
        f"has no effect without {named}",
        f"add {named}",
    )


_PICTURES = ("save", "save_maps", "save_frames")
_RULES: dict[str, tuple[_Rule, ...]] = {
    "run": (
        _needs(("save_format", "save_size", "save_caption"), "save"),
        _needs(("video_fps",), "video"),
        _needs(("rotate_size",), "jsonl", "csv", "video"),
        _needs(("keep",), "jsonl", "csv", "video", *_PICTURES),
        _needs(("fsync",), "jsonl", "csv", "video", *_PICTURES, "mqtt", "webhook"),
        _needs(("notify", "spool", "spool_limit"), "mqtt", "webhook"),
        _needs(("webhook_secret_env", "webhook_token_env"), "webhook"),
        _needs(("serve_token_env",), "serve"),
    ),
    "calibrate": (
        _Rule(
            ("limit", "false_alarm_rate", "backend", "engine_cache", "cuda_driver", "io_memory"),
            lambda values: not values["reset"],
            "has no effect with --reset, which goes back to the exported threshold",
            "give --source instead of --reset",
        ),
    ),
}


def check_companions(command: str, values: _Values, given: Mapping[str, str]) -> None:
    """Refuse what the user gave and nothing would heed.

    Args:
        command: its name.
        values: its parameters' values.
        given: the parameters that stand on the command line, with their spelling there.

    Raises:
        DmddError: an option has no effect beside the others.
    """
    for rule in _RULES.get(command, ()):
        for option in rule.options:
            if option in given and not rule.holds(values):
                raise OptionError(f"{given[option]} {rule.why}.", f"Leave it out, or {rule.fix}.")
