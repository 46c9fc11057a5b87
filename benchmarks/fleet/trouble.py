"""Pushes and pulls that are killed, altered, unsigned, out of space and many at once: what is left each time.

    python benchmarks/fleet/trouble.py

Each push and pull is a process, and each kill is SIGKILL. After each trouble the version in use must load
with every hash, and the next push or pull must complete.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import common

from dmdd_edge.bundle.bundle import Bundle, BundleWriter
from dmdd_edge.bundle.manifest import graph_specs
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.bundle.versions import read_current, version_names
from dmdd_edge.errors import DmddError
from dmdd_edge.fleet.folder_store import FolderStore
from dmdd_edge.fleet.fsspec_store import FsspecStore
from dmdd_edge.fleet.local import local_offer
from dmdd_edge.fleet.pull import pull
from dmdd_edge.fleet.push import push
from dmdd_edge.fleet.signature import PublicKey
from dmdd_edge.storage import fsync_path

_LIBRARIES = ("fsspec", "cryptography")
CATEGORY = "plate"
FORK = multiprocessing.get_context("fork")


def write_version(models: Path, size: int, seed: int) -> Bundle:
    """A version with two files: random bytes of a size, and a small one."""
    graph_input, outputs = graph_specs(64)
    with BundleWriter(models, CATEGORY) as writer:
        (writer.path / "model.fp32.onnx").write_bytes(np.random.default_rng(seed).bytes(size))
        (writer.path / "engines").mkdir()
        (writer.path / "engines" / "small.engine").write_bytes(bytes(1000))
        return writer.commit(
            backbone="none",
            image_size=64,
            input=graph_input,
            outputs=outputs,
            threshold=threshold_from_normals([0.25, 0.5]),
            licences={"code": "Apache-2.0", "weights": "none", "data": "none"},
        )


class Plant:
    """A lab with an old and a new version, a store that has the old one, and a station that uses it.

    Args:
        folder: where all of it is.
        size: bytes of a version.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self.lab, self.store, self.station = folder / "lab", folder / "store", folder / "station"
        self.old = write_version(self.lab, size, 1)
        self.push(self.store)
        self.pull(self.station)
        self.new = write_version(self.lab, size, 2)

    def push(self, target: Path | FsspecStore) -> None:
        """Push the version in use of the lab."""
        push(target, self.lab, local_offer(self.lab, CATEGORY)[0])

    def push_by_fsspec(self) -> None:
        """Push through fsspec's local file system, which is not an object store."""
        self.push(FsspecStore(f"file://{self.store}"))

    def pull(self, station: Path, keys: Sequence[PublicKey] = ()) -> int:
        """Pull to a station; returns the bytes that were fetched."""
        return pull(FolderStore(self.store), CATEGORY, station, keys=keys).fetched

    def in_use(self) -> str:
        """The version in use at the station, verified."""
        return Bundle.load(self.station / CATEGORY).version

    def forget(self, root: Path) -> None:
        """Take the new version out of the store or the station."""
        (root / CATEGORY / "CURRENT").write_text(self.old.version + "\n")
        shutil.rmtree(root / CATEGORY / self.new.version, ignore_errors=True)
        for path in (root / CATEGORY).glob(".fetching-*"):
            shutil.rmtree(path)


def kills(plant: Plant, work: Callable[[], object], root: Path, count: int) -> dict[str, Any]:
    """Kill a push or a pull at random moments; those that ended before are not counted."""
    rng, seen = np.random.default_rng(4), Counter({"killed": 0, "ended_before": 0})
    work()
    plant.forget(root)
    start = time.perf_counter()
    work()
    length = time.perf_counter() - start
    while seen["killed"] < count and seen["ended_before"] < 4 * count:
        plant.forget(root)
        process = FORK.Process(target=work)
        process.start()
        time.sleep(length * rng.random())
        process.kill()
        process.join()
        if process.exitcode != -9:
            seen["ended_before"] += 1
            continue
        seen["killed"] += 1
        plant.in_use()  # raises where the version in use is not whole
        if root == plant.store:
            plant.pull(plant.station)  # takes what CURRENT of the store names, whole
        seen["old_in_use" if plant.in_use() == plant.old.version else "new_in_use"] += 1
        if plant.new.version in version_names(root / CATEGORY):
            Bundle.load(root / CATEGORY / plant.new.version)  # raises where a visible version is not whole
            seen["new_visible"] += 1
        work()
        Bundle.load(root / CATEGORY / plant.new.version)
        seen["completed_afterwards"] += read_current(root / CATEGORY) == plant.new.version
        plant.forget(plant.station)
    return {"seconds": round(length, 3), **seen}


def refusal(work: Callable[[], object]) -> str:
    """The message of what must be refused; empty when it is not."""
    try:
        work()
    except DmddError as error:
        return error.message
    return ""


def altered(plant: Plant, count: int) -> dict[str, Any]:
    """Change one byte of the store's new version, in the manifest in every second case."""
    rng, refused, messages = np.random.default_rng(3), 0, []
    folder = plant.store / CATEGORY / plant.new.version
    for number in range(count):
        path = folder / ("manifest.json" if number % 2 else "model.fp32.onnx")
        data = path.read_bytes()
        changed = bytearray(data)
        changed[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        message = refusal(lambda: plant.pull(plant.station))
        refused += bool(message) and plant.in_use() == plant.old.version
        messages.append(message.replace(str(plant.store), "STORE").replace(str(plant.station), "STATION"))
        path.write_bytes(data)
        plant.forget(plant.station)
    return {"bytes_changed": count, "refused_and_old_in_use": refused, "messages": sorted(set(messages))}


def signatures(plant: Plant) -> dict[str, Any]:
    """Pull with a key: unsigned, signed by another key, altered after signing, and signed."""
    from tests.core.fleet.conftest import Signer

    own, other = Signer(1), Signer(2)
    public = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32).public_key().public_bytes_raw()
    keys = [PublicKey(own.number, public)]
    manifest = plant.store / CATEGORY / plant.new.version / "manifest.json"
    signature, data = manifest.with_name("manifest.json.minisig"), manifest.read_bytes()
    figures = {}
    for name, content in (
        ("unsigned", None),
        ("another key", other.sign(data)),
        ("other data", own.sign(data + b" ")),
        ("right", own.sign(data)),
    ):
        if content is not None:
            signature.write_bytes(content)
        message = refusal(lambda: plant.pull(plant.station, keys))
        figures[name] = {
            "refused": bool(message),
            "old_in_use": plant.in_use() == plant.old.version,
            "message": message.replace(str(plant.store), "STORE"),
        }
    signature.unlink()
    plant.forget(plant.station)
    return figures


def _blind_pull(plant: Plant, station: Path) -> None:
    """Pull as if the disk became full only afterwards."""
    usage = shutil.disk_usage(station)
    shutil.disk_usage = lambda path: usage._replace(free=1 << 50)
    try:
        plant.pull(station)
    except DmddError as error:
        os._exit(7 if "no space is left" in error.message else 8)


def full_disk(plant: Plant, size: int, count: int) -> dict[str, Any] | None:
    """Pull onto a small file system with less and less room; None where none can be mounted."""
    seen: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        options = f"size={2 * size + (32 << 20)}"
        if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", name], check=False).returncode:
            return None
        try:
            station, filler = Path(name), Path(name) / "filler"
            shutil.copytree(plant.station, station, dirs_exist_ok=True)
            for number in range(count):
                free = shutil.disk_usage(station).free
                filler.write_bytes(bytes(free - int(size * number / count)))
                seen["refused_before"] += "still to come" in refusal(lambda: plant.pull(station))
                process = FORK.Process(target=_blind_pull, args=(plant, station))
                process.start()
                process.join()
                seen["refused_midway"] += process.exitcode == 7
                seen["old_in_use"] += Bundle.load(station / CATEGORY).version == plant.old.version
                seen["nothing_left"] += not list((station / CATEGORY).glob(".fetching-*/*"))
                filler.unlink()
            plant.pull(station)
            seen["completed_afterwards"] = int(Bundle.load(station / CATEGORY).version == plant.new.version)
        finally:
            subprocess.run(["umount", name], check=False)
    return {"sizes": count, **seen}


def at_once(works: Sequence[Callable[[], object]]) -> dict[str, Any]:
    """Run processes at once; how many ended well, and the seconds until the last one did."""
    processes = [FORK.Process(target=work) for work in works]
    start = time.perf_counter()
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return {
        "processes": len(works),
        "succeeded": sum(process.exitcode == 0 for process in processes),
        "seconds": round(time.perf_counter() - start, 2),
    }


def many(plant: Plant, folder: Path, count: int) -> dict[str, Any]:
    """Stations that pull at once, pulls into one folder, and pushes to one store."""
    stations = [folder / f"station{number}" for number in range(count)]
    apart = at_once([partial(plant.pull, station) for station in stations])
    apart["whole"] = sum(Bundle.load(station / CATEGORY).version == plant.new.version for station in stations)
    shared = folder / "shared"
    together = at_once([partial(plant.pull, shared)] * count)
    together["versions"] = len(version_names(shared / CATEGORY))
    together["whole"] = int(Bundle.load(shared / CATEGORY).version == plant.new.version)
    target = folder / "target"
    pushes = at_once([partial(plant.push, target)] * count)
    pushes["whole"] = int(Bundle.load(target / CATEGORY).version == plant.new.version)
    left = [path for root in (*stations, shared, target) for path in (root / CATEGORY).glob(".fetching-*")]
    return {"stations": apart, "one_folder": together, "pushes": pushes, "unfinished_left": len(left)}


def cost(plant: Plant, folder: Path, size: int, repeats: int) -> dict[str, Any]:
    """A pull against a copy of the same files onto the disk, in turn; and a pull without anything new."""
    copies, pulls, idle = [], [], []
    for number in range(repeats):
        start = time.perf_counter()
        shutil.copytree(plant.store / CATEGORY / plant.new.version, folder / f"copy{number}")
        for path in (folder / f"copy{number}").rglob("*"):
            fsync_path(path)
        copies.append(time.perf_counter() - start)
        start = time.perf_counter()
        plant.pull(folder / f"pulled{number}")
        pulls.append(time.perf_counter() - start)
        start = time.perf_counter()
        plant.pull(folder / f"pulled{number}")
        idle.append(time.perf_counter() - start)
    ratio = float(np.median(np.asarray(pulls) / np.asarray(copies)))
    return {
        "mib": round(size / 2**20, 1),
        "copy_seconds": common.spread(copies),
        "pull_seconds": common.spread(pulls),
        "pull_by_copy": round(ratio, 2),
        "nothing_new_seconds": common.spread(idle),
    }


def main() -> None:
    """Make the trouble and write the result file."""
    parser = common.parser(__doc__, "fleet_trouble")
    parser.add_argument("--mib", type=float, default=48, help="size of a version (default: %(default)s)")
    parser.add_argument("--count", type=int, default=20, help="of each trouble (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    machine = common.begin()
    size = int(options.mib * 2**20)
    figures: dict[str, Any] = {}
    sys.path.append(str(common.ROOT))
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        plant = Plant(folder, size)
        for kind, work, root in (
            ("push, folder", partial(plant.push, plant.store), plant.store),
            ("push, fsspec", plant.push_by_fsspec, plant.store),
            ("pull", partial(plant.pull, plant.station), plant.station),
        ):
            figures.setdefault("kills", {})[kind] = kills(plant, work, root, options.count)
            print(kind, figures["kills"][kind])
        figures["altered"] = altered(plant, options.count)
        figures["signatures"] = signatures(plant)
        figures["full_disk"] = full_disk(plant, size, options.count)
        figures["many"] = many(plant, folder, options.count)
        figures["cost"] = cost(plant, folder, size, 5)
        print(*(f"{name}: {figures.get(name)}" for name in list(figures)[1:]), sep="\n")
    common.write_result(options.out, machine, {"mib": options.mib}, figures, _LIBRARIES)


if __name__ == "__main__":
    main()
