"""Optional packages: the command that installs an extra here, and the error when a stage needs one."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlparse

from dmdd_edge.errors import BackendError

#: Stands for the clone where it is unknown. The bare name would be looked up in a package index, where
#: anybody may publish a package of that name.
UNKNOWN_CLONE = "/path/to/dmdd-edge"


def install_command(extra: str) -> str:
    """The command that installs an extra into this environment, from where dmdd-edge was installed."""
    source, editable = own_source()
    editable_flag = ["-e"] if editable else []
    return shlex.join([interpreter(), "-m", "pip", "install", *editable_flag, f"{source}[{extra}]"])


def interpreter() -> str:
    """``python`` where that is this interpreter, else its whole path."""
    for name in ("python", "python3"):
        # Not the link's target: a virtual environment is identified by the path of the link.
        if shutil.which(name) == sys.executable:
            return name
    return sys.executable or "python3"


def own_source() -> tuple[str, bool]:
    """Where pip installed dmdd-edge from (a clone or a wheel's file), and whether in development mode."""
    try:
        text = metadata.distribution("dmdd-edge").read_text("direct_url.json")
        record = json.loads(text) if text else {}
        url = urlparse(record.get("url", ""))
    except (metadata.PackageNotFoundError, ValueError, OSError):
        return UNKNOWN_CLONE, False
    path = Path(unquote(url.path))
    if url.scheme == "file" and (path.is_file() or (path / "pyproject.toml").is_file()):
        return str(path), bool(record.get("dir_info", {}).get("editable"))
    return UNKNOWN_CLONE, False


@contextmanager
def need(extra: str) -> Iterator[None]:
    """Wrap the imports of a stage.

    Args:
        extra: the extra that installs what the stage needs.

    Raises:
        BackendError: a package is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("dmdd_edge"):
            raise
        raise BackendError(
            f"The package {error.name} is needed and not installed here.",
            f"Install it: {install_command(extra)}",
        ) from None
