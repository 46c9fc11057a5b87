"""The table of a container's steps in a fresh root."""

from __future__ import annotations

from collections.abc import Callable

from common import markdown_table
from results_files import result

#: Figure -> its name for a reader.
_SIZES = {
    "base_bytes": "the Debian 12 root before",
    "root_bytes": "the root after the steps: the image, not compressed",
    "install_bytes": "of it `/opt/dmdd-edge`",
    "image_gzip_bytes": "the whole root as a tar, `gzip -1`",
    "wheelhouse_bytes": "the wheelhouse",
}


def deploy_root() -> str:
    """Sizes of root, image and wheelhouse; times of the steps."""
    figures = result("deploy_root")["figures"]
    lines = [[name, f"{figures[key] / 1e6:.0f} MB"] for key, name in _SIZES.items()]
    for step in figures["steps"]:
        if "pip install" in step["step"]:
            lines.append(["installation from the wheelhouse, with hashes", f"{step['seconds']} s"])
    whole = sum(step["seconds"] for step in figures["steps"])
    lines.append(["all steps, Debian's packages included", f"{whole} s"])
    lines.append(
        [f"`dmdd-edge run` on {figures['results']} images, its start included", f"{figures['run_seconds']} s"]
    )
    return markdown_table(["measure", "value"], lines, left=1)


DEPLOY: dict[str, Callable[[], str]] = {"deploy-root": deploy_root}
