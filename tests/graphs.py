"""ONNX files of equal models are written once for all processes of the tests: each takes many seconds."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any


def fingerprint(graph: Any, image_size: int) -> str:
    """A name that two graphs share only if they are equal: modules, their settings, and every weight."""
    from torch import nn

    usual = set(vars(nn.Module()))
    digest = hashlib.sha256(f"{image_size}\n{graph!r}".encode())
    for name, module in graph.named_modules():
        settings = {key: value for key, value in vars(module).items() if key not in usual}
        digest.update(f"{name} {type(module).__qualname__} {sorted(settings.items())!r}\n".encode())
    for name, tensor in chain(graph.named_parameters(), graph.named_buffers()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def written_once(write: Callable[..., Any], folder: Path) -> Callable[..., Any]:
    """``write_onnx`` that copies the file of an equal graph in ``folder``, where there is one."""

    def write_or_copy(graph: Any, path: Path, image_size: int) -> Any:
        import onnx

        kept = folder / f"{fingerprint(graph, image_size)}.onnx"
        with kept.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kept.exists():
                model = write(graph, path, image_size)
                kept.write_bytes(path.read_bytes())
                return model
        path.write_bytes(kept.read_bytes())
        return onnx.load(path)

    return write_or_copy
