"""Trainings whose runs are in an S3 store: killed at many moments, and continued by machines without a copy.

    pip install s3fs && pip install --target build/moto 'moto[server]'
    OMP_NUM_THREADS=1 python benchmarks/fleet/store.py --moto build/moto

The store is a server of moto on this machine, behind a relay that limits the rate and sees each upload.
Trainings are killed (SIGKILL) at moments spread over their uploads. Then the cache is removed, what the store
has is checked, and the training continues in an empty cache. Another machine fetches the run; its model must
equal that of an undisturbed training in a folder. With --part ray, two Ray nodes with separate caches train
categories, one of the nodes is killed, and nothing but the store is common to them. What the sending costs a
training is measured with --part cost.

Checkpoints are made after every step instead of every minute, and a holder counts as gone after 6 s instead
of 60, so that all of this takes minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import common

from fleet.train_all import draw, weights

_LIBRARIES = ("torch", "timm", "fsspec", "s3fs", "moto", "ray")
_BUCKET = "plant"
_CATEGORY = "plate_01"
#: Bytes per second that the relay passes on towards the store.
_RATE = 400_000
#: Trainings at a time.
_AT_ONCE = 6
#: When a training is killed: after the checkpoint of this number is sent, with these bytes under way.
_MOMENTS: tuple[tuple[str, int, int], ...] = (
    ("before the first upload", 0, 0),
    ("during the first upload", 0, 50_000),
    ("during the first upload", 0, 400_000),
    ("after an upload", 1, 0),
    ("during an upload", 1, 50_000),
    ("during an upload", 1, 400_000),
    ("after an upload", 2, 0),
    ("during an upload", 2, 200_000),
    ("after an upload", 3, 0),
    ("during an upload", 3, 200_000),
    ("during an upload", 8, 300_000),
    ("after an upload", 8, 0),
)


class Relay:
    """Passes connections on to a server at a limited rate, and counts the bytes of the request under way.

    Args:
        port: of the server.
    """

    def __init__(self, port: int) -> None:
        self._port, self.under_way, self.sent, self.rate = port, 0, 0, 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._socket.accept()
            server = socket.create_connection(("127.0.0.1", self._port))
            for source, target, up in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pass, args=(source, target, up), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, up: bool) -> None:
        with suppress(OSError):
            while data := source.recv(16384):
                if up:
                    # An answer ends a request: what is larger than a few headers is an upload.
                    self.under_way += len(data)
                    self.sent += len(data)
                    if self.rate and len(data) > 4096:
                        time.sleep(len(data) / self.rate)
                else:
                    self.under_way = 0
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Store:
    """An S3 server of moto with a bucket, and the relay before it.

    Args:
        moto: the folder with the package.
        folder: for its log.
    """

    def __init__(self, moto: Path, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = port = int(free.getsockname()[1])
        environment = {**os.environ, "PYTHONPATH": str(moto.absolute())}
        words = [sys.executable, "-m", "moto.server", "-p", str(port)]
        log = (folder / "moto.log").open("w")
        self.process = subprocess.Popen(words, env=environment, stdout=log, stderr=log, cwd=folder)
        until = time.monotonic() + 300
        while time.monotonic() < until:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.2)
        self.relay = Relay(port)
        os.environ |= {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.relay.port}",
        }
        in_child(lambda: make_bucket())

    def stop(self) -> None:
        """End the server."""
        self.process.kill()
        self.process.wait()


def make_bucket() -> None:
    """Make the bucket."""
    import s3fs

    s3fs.S3FileSystem(skip_instance_cache=True).mkdir(_BUCKET)


def in_child(work: Callable[[], Any]) -> Any:
    """Do something in a child process, whose threads end with it; returns what it returns, as JSON can."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.write(writer, json.dumps(work()).encode() + b"\n")
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        data = stream.readline()  # other children keep the pipe open, too
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0:
        raise RuntimeError("a child process failed; see above")
    return json.loads(data)


def start(words: list[str], log: Path, cache: Path | None, port: int = 0) -> int:
    """Start `dmdd-edge` in a child that need not load torch again; returns its process."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        os.setsid()
        if port:
            os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
        if cache is not None:
            os.environ["DMDD_STORE_CACHE"] = str(cache)
        from dmdd_edge.cli.main import main as program
        from dmdd_edge.run_store import lease
        from dmdd_edge.train import student_phase

        lease.SILENT, lease.BEAT, lease.LOOK = 6.0, 1.0, 0.5
        student_phase.SAVE_SECONDS = 0.0
        sys.argv = ["dmdd-edge", *words]
        program()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    finally:
        os._exit(code)


def ended(pid: int) -> int | None:
    """The exit code of a child; None while it runs."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def look(runs: str, run: str) -> dict[str, Any]:
    """Whether the store has a whole state: every file of its newest list with the right hash."""
    from dmdd_edge.fleet.fsspec_store import FsspecStore
    from dmdd_edge.fleet.push import hash_in
    from dmdd_edge.run_store.state import stored_name, wholes

    store = FsspecStore(runs)
    states = wholes(store, run)
    found: dict[str, Any] = {"lists": len(states), "whole": None, "name": ""}
    if states:
        files = states[0].files.items()
        found["name"] = states[0].name
        found["whole"] = all(
            hash_in(store, f"{run}/{stored_name(name, part)}", part.size) == part.sha256
            for name, part in files
        )
    return found


def words_of(folder: Path, runs: str, steps: int) -> list[str]:
    """The command of a training that takes seconds."""
    return [
        *("train", "--data", str(folder / "data"), "--category", _CATEGORY, "--runs-dir", runs),
        *("--steps", str(steps), "--image-size", "64", "--batch-size", "2", "--device", "cpu"),
        *("--backbone", "timm:test_efficientnet", "--weights", str(folder / "test_efficientnet.pth")),
        *("--head", "sum", "--seed", "7"),
    ]


def kills(store: Store, folder: Path, steps: int, moments: int) -> dict[str, Any]:
    """Trainings, each killed at a moment of the list and continued by a machine without a copy."""
    plain = folder / "plain"
    pid = start(words_of(folder, str(plain), steps), folder / "plain.log", None)
    rows: list[dict[str, Any]] = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        coming = [
            pool.submit(one_kill, Relay(store.port), folder, steps, f"run{number}", *moment)
            for number, moment in enumerate(_MOMENTS[:moments])
        ]
        os.waitpid(pid, 0)
        for future in coming:
            row, run = future.result()
            row["model_equal"] = same(run, plain / _CATEGORY, "model.safetensors")
            row["figures_equal"] = figures(run) == figures(plain / _CATEGORY)
            rows.append(row)
            print(row, flush=True)
    return {"kills": rows}


def one_kill(
    relay: Relay, folder: Path, steps: int, name: str, what: str, uploads: int, many: int
) -> tuple[dict[str, Any], Path]:
    """One training that is killed; gives what was seen, and the finished run as a third machine gets it."""
    runs, log = f"s3://{_BUCKET}/runs", folder / f"{name}.log"
    caches = [folder / f"{name}-{machine}" for machine in ("first", "second", "third")]
    relay.rate = _RATE
    first = [*words_of(folder, runs, steps), "--run", name]
    pid = start(first, log, caches[0], port=relay.port)
    while (code := ended(pid)) is None:
        if _is_moment(caches[0], relay, name, uploads, many):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            break
        time.sleep(0.005)
    under_way, relay.rate = relay.under_way, 0
    shutil.rmtree(caches[0], ignore_errors=True)
    after = in_child(lambda: look(runs, name))
    resume = ["train", "--run", name, "--runs-dir", runs, "--resume"]
    pid = start(resume if after["lists"] else first, log, caches[1], port=relay.port)
    code_after = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    shutil.rmtree(caches[1], ignore_errors=True)
    in_child(lambda: bring_to(caches[2], runs, name))
    row = {
        "moment": what,
        "uploads_before": uploads,
        "bytes_under_way": under_way,
        "ended_before": code is not None,
        "lists": after["lists"],
        "whole": after["whole"],
        "exit_code_continued": code_after,
    }
    return row, next(caches[2].glob(f"*/runs/{name}"))


def _is_moment(cache: Path, relay: Relay, name: str, uploads: int, many: int) -> bool:
    """Whether the training is to be killed now: these uploads are done, and these bytes under way."""
    if uploads == 0 and many == 0:
        return any(cache.glob(f"*/runs/{name}/state.safetensors"))
    done = 0
    with suppress(OSError, ValueError, StopIteration):
        note = json.loads(next(cache.glob(f"*/runs/.{name}.sent.json")).read_text())["head"]
        done = int(note.split("-")[2]) if note else 0
    # The numbers of lists are those of checkpoints, of which some were replaced before they were sent.
    return done >= uploads and (many == 0 or ((done > 0) == (uploads > 0) and relay.under_way >= many))


def bring_to(cache: Path, runs: str, name: str) -> None:
    """Fetch the run into an empty cache."""
    os.environ["DMDD_STORE_CACHE"] = str(cache)
    from dmdd_edge.workspace import find_run

    find_run(None, name, runs)


def same(one: Path, other: Path, name: str) -> bool:
    """Whether a file of two runs is the same, byte by byte."""
    return (one / name).read_bytes() == (other / name).read_bytes()


def figures(run: Path) -> dict[str, Any]:
    """The figures of a run without its times."""
    return {
        key: value
        for key, value in json.loads((run / "metrics.json").read_text()).items()
        if key != "train_seconds"
    }


def cost(store: Store, folder: Path, steps: int) -> dict[str, Any]:
    """Seconds of a training whose every step is sent, and of one that is in a folder, in turns."""
    found: dict[str, list[float]] = {"folder": [], "store": []}
    for number in range(2):
        for kind in found:
            runs = str(folder / f"cost{number}") if kind == "folder" else f"s3://{_BUCKET}/cost{number}"
            pid = start(words_of(folder, runs, steps), folder / "cost.log", folder / "cost-cache")
            os.waitpid(pid, 0)
            where = Path(runs) if kind == "folder" else next((folder / "cost-cache").glob(f"*/cost{number}"))
            facts = json.loads((where / _CATEGORY / "run.json").read_text())
            found[kind].append(facts["train_seconds"])
            print(kind, found[kind][-1], flush=True)
    return {"train_seconds": found, "bytes_sent": store.relay.sent}


def main() -> None:
    """Train, kill, continue, compare, and write the result file."""
    parser = common.parser(__doc__, "fleet_store")
    parser.add_argument("--steps", type=int, default=40, help="of each training (default: %(default)s)")
    parser.add_argument("--moto", type=Path, required=True, help="folder with the package moto")
    parser.add_argument("--part", choices=("kills", "ray", "cost"), default="kills")
    parser.add_argument(
        "--moments",
        type=int,
        default=len(_MOMENTS),
        help="of the list, the first ones (default: %(default)s)",
    )
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    machine = common.begin()
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    found: dict[str, Any] = {}
    draw(folder / "data", 4)
    shutil.rmtree(folder / "data" / "broken")
    weights(folder)
    store = Store(options.moto, folder)
    try:
        if options.part == "ray":
            from fleet.store_ray import lose_a_node

            found["ray"] = lose_a_node(folder, options.steps, f"s3://{_BUCKET}")
        else:
            # Children need not load it again.
            import aiobotocore.session  # noqa: F401
            import s3fs  # noqa: F401

            import dmdd_edge.cli.main
            import dmdd_edge.cli.train_progress
            import dmdd_edge.run_store.runs
            import dmdd_edge.train.session
            import dmdd_edge.train.train_detector
            import dmdd_edge.train.trainer  # noqa: F401

            found[options.part] = (
                kills(store, folder, options.steps, options.moments)
                if options.part == "kills"
                else cost(store, folder, options.steps)
            )
        print(found[options.part], flush=True)
    finally:
        store.stop()
        shutil.rmtree(folder, ignore_errors=True)
    # Parts that were measured before stay.
    if options.out.is_file():
        found = json.loads(options.out.read_text())["figures"] | found
    common.write_result(
        options.out, machine, {"steps": options.steps, "moments": options.moments}, found, _LIBRARIES
    )


if __name__ == "__main__":
    main()
