"""Unexpected errors as a user sees them: one message without secrets, and how to report it."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shlex
import tempfile
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

from dmdd_edge._version import __version__
from dmdd_edge.cli import configuration
from dmdd_edge.errors import DmddError
from dmdd_edge.failures import storage_error
from dmdd_edge.messages.addresses import redacted, secret_parts

#: Set this variable to write the traceback of an unexpected error to a file.
TRACEBACK_VARIABLE = "DMDD_TRACEBACK"
#: Characters that a word may share with a secret before it is hidden.
_SHARED = 4
#: Characters of an exception's text that are shown: some quote a whole document.
_LONGEST = 500
_PASSWORD_VARIABLES = ("DMDD_MQTT_PASSWORD", "DMDD_SIGN_PASSWORD")


def readable(error: Exception, arguments: Sequence[str]) -> DmddError:
    """Any exception as a message and a fix, without passwords and tokens; writes the traceback if requested.

    Args:
        error: what was raised.
        arguments: the command line, without the program's name.
    """
    if isinstance(error, DmddError):
        return DmddError(_known(error.message, arguments), _known(error.fix, arguments))
    if isinstance(error, OSError) and error.errno is not None:
        known = storage_error(error)
        return DmddError(_hide(known.message, arguments), _hide(known.fix, arguments) or _report(arguments))
    no_thread = isinstance(error, RuntimeError) and "can't start new thread" in str(error)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or no_thread:
        return DmddError(
            "Out of memory.",
            "Close other programs, or use less: smaller images, a smaller batch, fewer workers.",
        )
    text = _hide(str(error), arguments)[:_LONGEST].strip()
    if _is_broken_package(error):
        return DmddError(
            f"A package of this environment cannot be loaded: {text or type(error).__name__}.",
            "Install what the message names, or reinstall the package. See what works, and how "
            "to get the rest: dmdd-edge doctor",
        )
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    named = getattr(error, "filename", None)
    where = f" ({_hide(str(named), arguments)})" if isinstance(named, (str, Path)) else ""
    return DmddError(f"Unexpected error: {what}{where}.", _report(arguments, _traceback(error, arguments)))


def _is_broken_package(error: Exception) -> bool:
    """Whether a package or a system library is missing or incompatible: the environment, not a bug."""
    if isinstance(error, ImportError):
        return not (error.name or "").startswith("dmdd_edge")
    # The loader reports shared libraries without an error number.
    return isinstance(error, OSError) and any(
        words in str(error) for words in ("cannot open shared object file", "undefined symbol")
    )


def shown_command(arguments: Sequence[str]) -> str:
    """The command line, ready to be pasted, without secrets."""
    return shlex.join(["dmdd-edge", *(redacted(argument) for argument in arguments)])


def without_secrets(text: str, arguments: Sequence[str]) -> str:
    """A message that may quote the command line, without its secrets."""
    return _known(redacted(text), arguments)


def _report(arguments: Sequence[str], traceback_file: Path | None = None) -> str:
    kept = (
        f"the traceback in {traceback_file}"
        if traceback_file
        else f"the traceback ({TRACEBACK_VARIABLE}=1 writes it to a file)"
    )
    return (
        f"This is a bug in dmdd-edge {__version__}. Report it with {kept} "
        f"and the command: {shown_command(arguments)}"
    )


def _traceback(error: Exception, arguments: Sequence[str]) -> Path | None:
    """Write the traceback, without secrets, to a temporary file if the user requests it."""
    if not os.environ.get(TRACEBACK_VARIABLE) and "--verbose" not in arguments:
        return None
    lines: list[str] = []
    for part in traceback.format_exception(error):
        # A place comes from the source code alone; any other line may quote a value.
        lines += [
            line if line.startswith("  File ") else _hide(line, arguments) for line in part.splitlines()
        ]
    content = "\n".join([f"dmdd-edge {__version__}: {shown_command(arguments)}", *lines, ""])
    with contextlib.suppress(OSError):
        handle, name = tempfile.mkstemp(prefix="dmdd-edge-traceback-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(content)
        return Path(name)
    return None


def _secrets(arguments: Sequence[str]) -> set[str]:
    """Every secret in the command line, the environment or the configuration file."""
    secrets: set[str] = set()
    for argument in arguments:
        secrets |= secret_parts(argument)
    named = [
        following
        for option, following in itertools.pairwise(arguments)
        if option.startswith("--") and option.endswith("-env")
    ]
    named += [value for option, _, value in (a.partition("=") for a in arguments) if option.endswith("-env")]
    secrets |= {os.environ.get(name, "") for name in (*named, *_PASSWORD_VARIABLES)}
    return (secrets | configuration.secrets) - {""}


def _known(text: str, arguments: Sequence[str]) -> str:
    """Hide secrets where they appear whole; short ones would hide common words."""
    for secret in sorted(_secrets(arguments), key=len, reverse=True):
        if len(secret) > _SHARED:
            text = text.replace(secret, "***")
    return text


def _hide(text: str, arguments: Sequence[str]) -> str:
    """Hide what may be a secret or a part of one: libraries quote parts of an address."""
    text, secrets = redacted(text), _secrets(arguments)
    runs = set(_runs(secrets))
    short = {secret for secret in secrets if len(secret) < _SHARED}

    def word(match: re.Match[str]) -> str:
        whole = match[0]
        hidden = any(run in runs for run in _runs([whole])) or whole.strip("'\"(),;") in short
        return "***" if hidden else whole

    return re.sub(r"\S+", word, text)


def _runs(texts: Iterable[str]) -> Iterable[str]:
    for text in texts:
        for start in range(len(text) - _SHARED + 1):
            yield text[start : start + _SHARED]
