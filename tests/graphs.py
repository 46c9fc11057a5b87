"""What takes many seconds to make is made once for all processes of the tests, such as ONNX files."""

from __future__ import annotations

import copy
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

Tensors = dict[str, NDArray[Any]]


def shared_folder(base: Path, name: str) -> Path:
    """A folder that all processes of this session of tests have in common.

    Args:
        base: pytest's folder of this process.
        name: the folder's.
    """
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Let no other process be in such a block for the same path."""
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def structure(graph: Any, image_size: int) -> str:
    """A name that two graphs share only if they are equal but for the values of their tensors."""
    from torch import nn

    usual = set(vars(nn.Module()))
    digest = hashlib.sha256(f"{image_size}\n{graph!r}".encode())
    for name, module in graph.named_modules():
        settings = {key: value for key, value in vars(module).items() if key not in usual}
        digest.update(f"{name} {type(module).__qualname__} {sorted(settings.items())!r}\n".encode())
    for name, tensor in _tensors(graph).items():
        digest.update(f"{name} {tensor.dtype} {tensor.shape}\n".encode())
    return digest.hexdigest()


def _tensors(graph: Any) -> Tensors:
    """Every parameter and buffer."""
    named = chain(graph.named_parameters(), graph.named_buffers())
    return {name: tensor.detach().cpu().numpy() for name, tensor in named}


def with_tensors(model: Any, old: Tensors, new: Tensors) -> bool:
    """Give an ONNX model the tensors of another graph of its structure.

    Args:
        model: changed in place.
        old: what it was written with.
        new: what it is to have.

    Returns:
        False, and the model is as before, where a tensor that differs is not in it under its name: it may
        have been merged with an equal one, or computed with.
    """
    from onnx import numpy_helper

    inside = {item.name: item for item in model.graph.initializer}
    stored = {name: numpy_helper.to_array(item).tobytes() for name, item in inside.items() if name in old}
    kept = {name: tensor.tobytes() for name, tensor in old.items()}
    there = {name for name in kept if stored.get(name) == kept[name]}
    differ = {name for name in kept if kept[name] != new[name].tobytes()}
    merged = {kept[name] for name in kept if name not in there}
    if not differ <= there or any(kept[name] in merged for name in differ):
        return False
    for name in differ:
        inside[name].CopyFrom(numpy_helper.from_array(new[name], name))
    return True


def replaceable(model: Any, tensors: Tensors) -> set[str]:
    """The tensors that would be in an ONNX model under their names, were no two equal and none zero.

    Args:
        model: as written; what was computed with a tensor is in it instead of the tensor.
        tensors: what it was written with.
    """
    from onnx import numpy_helper

    inside = {item.name: numpy_helper.to_array(item).tobytes() for item in model.graph.initializer}
    own = {name: tensor.tobytes() for name, tensor in tensors.items()}
    written = {own[name] for name in own if inside.get(name) == own[name]}
    return {name for name in own if own[name] in written or not tensors[name].any()}


def with_unequal_tensors(graph: Any, names: set[str]) -> Any:
    """A copy of a graph with drawn tensors of these names."""
    import torch

    changed = copy.deepcopy(graph)
    generator = torch.Generator().manual_seed(0)
    for name, tensor in chain(changed.named_parameters(), changed.named_buffers()):
        if name in names and tensor.is_floating_point():
            tensor.data.copy_(torch.randn(tensor.shape, generator=generator))
    return changed


def written_once(write: Callable[..., Any], folder: Path) -> Callable[..., Any]:
    """``write_onnx`` that uses the file of a graph of the same structure, where ``folder`` has one."""
    import numpy as np
    import onnx

    def keep(graph: Any, file: Path, image_size: int) -> Any:
        model = write(graph, file, image_size)
        np.savez(file.with_suffix(".npz"), **_tensors(graph))
        return model

    def kept(file: Path) -> tuple[Any, Tensors]:
        with np.load(file.with_suffix(".npz")) as stored:
            return onnx.load(file), dict(stored)

    def reused(graph: Any, first: Path, image_size: int) -> Any:
        """The model; None where what was written before does not help."""
        tensors, second = _tensors(graph), first.with_name(f"{first.stem}-unequal.onnx")
        model, old = kept(first)
        if with_tensors(model, old, tensors):
            return model
        names = replaceable(model, old)
        if any(old[name].tobytes() != tensors[name].tobytes() for name in old.keys() - names):
            return None
        if not second.exists():
            keep(with_unequal_tensors(graph, names), second, image_size)
        model, old = kept(second)
        return model if with_tensors(model, old, tensors) else None

    def write_or_reuse(graph: Any, path: Path, image_size: int) -> Any:
        name, values = structure(graph, image_size), hashlib.sha256()
        for tensor in _tensors(graph).values():
            values.update(tensor.tobytes())
        first, own = folder / f"{name}.onnx", folder / f"{name}-{values.hexdigest()}.onnx"
        with alone(first):
            if own.exists():
                model = onnx.load(own)
            elif first.exists():
                model = reused(graph, first, image_size) or write(graph, own, image_size)
            else:
                model = keep(graph, first, image_size)
        path.write_bytes(model.SerializeToString(deterministic=True))
        return model

    return write_or_reuse
