"""Train and export a peer in anomalib's environment, and cache the result."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2

from dmdd_edge.data.datasets import Category
from dmdd_edge.data.images import read_image
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.errors import DmddError
from dmdd_edge.storage import write_atomically
from peers.declared import PEERS, Peer
from peers.files import File, peer_form

_HERE = Path(__file__).resolve().parent
_NOTE, _FILE, _LOG = "made.json", "model.onnx", "worker.log"
#: Folder of files that are the same for every category.
ANY = "any"
#: Command that makes the environment, in the repository's root.
ENVIRONMENT = "python -m venv {0} && {0}/bin/pip install -r benchmarks/peers/requirements.txt"


@dataclass(frozen=True)
class Specification:
    """The worker's input; paths are absolute.

    Attributes:
        name: name of the peer in the results.
        model, options, making, size, batch: as in ``Peer``.
        epochs: training epochs.
        seed: seed of every random number.
        threads: threads of torch.
        images: number of training images.
        data: folder with the prepared images in ``train/good``.
        out: folder for ``model.onnx`` and ``worker.json``.
    """

    name: str
    model: str
    options: dict[str, Any]
    making: str
    size: int
    batch: int
    epochs: int
    seed: int
    threads: int
    images: int
    data: str
    out: str

    def stamp(self) -> dict[str, Any]:
        """Fields that decide the result; a peer is made again when they change."""
        fields = asdict(self)
        for name in ("data", "out", "threads"):
            del fields[name]
        if PEERS[self.name].making == "none":
            del fields["images"]
        decided: dict[str, Any] = json.loads(json.dumps(fields))
        return decided


@dataclass(frozen=True)
class Maker:
    """Makes peers.

    Attributes:
        work: cache folder.
        python: Python of anomalib's environment.
        threads: threads of torch.
        epochs: epochs of the peers that are trained for long; the others take one pass.
        say: called with progress messages.
        again: repeat peers that are already made.
    """

    work: Path
    python: Path
    threads: int
    epochs: int
    say: Callable[[str], None] = field(default=partial(print, flush=True))
    again: bool = False

    def check(self) -> None:
        """Raise DmddError, with the commands that fix it, when the environment does not exist."""
        if not self.python.is_file():
            folder = self.python.parent.parent
            raise DmddError(
                f"No Python at {self.python}; anomalib needs a separate environment.",
                f"Make it: {ENVIRONMENT.format(folder)}; or name another one with --python.",
            )

    def folder(self, name: str, category: str) -> Path:
        """Folder of a peer's file for a category."""
        return made_folder(self.work, name, category)

    def specification(self, name: str, category: str, data: Path, images: int) -> Specification:
        """Make the worker's input."""
        peer = PEERS[name]
        return Specification(
            name=name,
            model=peer.model,
            options=dict(peer.options),
            making=peer.making,
            size=peer.size,
            batch=peer.batch,
            epochs=self.epochs if peer.trained_for_long else 1,
            seed=0,
            threads=self.threads,
            images=images,
            data=str(data.resolve()),
            out=str(self.folder(name, category).resolve()),
        )

    def note(self, name: str, category: str, images: int) -> dict[str, Any] | None:
        """The note of a peer that was made as currently declared; None if it was not."""
        found = read_note(self.folder(name, category))
        wanted = self.specification(name, category, self.work, images).stamp()
        return found if found is not None and found["stamp"] == wanted else None

    def make(self, name: str, category: str, data: Path, images: int) -> None:
        """Make a peer, unless it is already made.

        Args:
            name: one of ``PEERS``.
            category: name of the category.
            data: see ``Specification``.
            images: number of training images.

        Raises:
            DmddError: the environment does not exist, or the worker failed; names its log.
        """
        if not self.again and self.note(name, category, images) is not None:
            self.say(f"{category}, {name}: already made")
            return
        self.check()
        self.say(f"{category}, {name}: training and exporting")
        spec = self.specification(name, category, data, images)
        about = {"threads": self.threads, "load_average_before": round(os.getloadavg()[0], 2)}
        folder = Path(spec.out)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        spec_file = folder / "spec.json"
        spec_file.write_text(json.dumps(asdict(spec), indent=2), encoding="utf-8")
        log = folder / _LOG
        with log.open("w", encoding="utf-8") as stream:
            done = subprocess.run(
                [self.python, _HERE / "worker.py", spec_file],
                stdout=stream,
                stderr=subprocess.STDOUT,
                cwd=folder,  # anomalib writes files into its working folder
                check=False,
            )
        if done.returncode != 0 or not (folder / _FILE).is_file():
            raise DmddError(
                f"{name} could not be made: {last_line(log)} (exit code {done.returncode}, see {log}).",
                f"If a module is missing, run `{ENVIRONMENT.format(self.python.parent.parent)}`.",
            )
        found = json.loads((folder / "worker.json").read_text(encoding="utf-8"))
        write_atomically(folder / _NOTE, json.dumps({"stamp": spec.stamp(), **about, **found}, indent=2))
        self.say(f"{category}, {name}: made in {found['seconds']:.0f} s")


def made_folder(work: Path, name: str, category: str) -> Path:
    """Folder of a peer's file for a category, in the cache folder."""
    return work / "made" / (category if PEERS[name].per_category else ANY) / name


def read_note(folder: Path) -> dict[str, Any] | None:
    """The note of a peer in a folder; None if it was not finished."""
    try:
        found = json.loads((folder / _NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and (folder / _FILE).is_file() else None


def peer_file(folder: Path, peer: Peer) -> File:
    """The file of a peer."""
    return File(folder / _FILE, peer_form(peer.size))


def last_line(log: Path) -> str:
    """The last non-empty line of a log."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "no output")


def prepare_images(category: Category, preprocess: Preprocess, size: int, work: Path) -> tuple[Path, int]:
    """Write the good images as dmdd-edge prepares them, so that every model gets the same pixels.

    Args:
        category: the category.
        preprocess: the bundle's preprocessing.
        size: side of the images, in pixels.
        work: as in ``Maker``.

    Returns:
        a folder with PNG files in ``train/good``, and their number.
    """
    folder = work / "images" / category.name
    stamp = json.dumps(
        {
            "files": [f"{path} {path.stat().st_size}" for path in category.train],
            "preprocess": preprocess.model_dump(mode="json"),
            "size": size,
        }
    )
    kept = folder / "stamp.json"
    good = folder / "train" / "good"
    if not kept.is_file() or kept.read_text(encoding="utf-8") != stamp:
        shutil.rmtree(folder, ignore_errors=True)
        good.mkdir(parents=True)
        for number, path in enumerate(category.train):
            image = preprocess.prepare(read_image(path), size)
            if not cv2.imwrite(str(good / f"{number:04d}.png"), image):
                raise DmddError(f"Cannot write to {good}.", "Check the disk, or set another --work.")
        write_atomically(kept, stamp)
    return folder, len(category.train)
