"""A run whose files were changed, cut short or exchanged: named, never a traceback, never waited for."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge import DmddError
from dmdd_edge.train.checkpoint import load_run


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def nested(path: Path) -> None:
    path.write_text("[" * 100_000)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def huge_header(path: Path) -> None:
    path.write_bytes((1 << 62).to_bytes(8, "little") + b"{}")


def change(**fields: Any) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))

    edit.__name__ = "_".join(fields)
    return edit


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "spoil", "said"),
    [
        ("config.json", cut, "not valid JSON"),
        ("config.json", nested, "levels deep"),
        ("config.json", change(seed=True), "field `seed`"),
        ("config.json", change(batch_size="8"), "field `batch_size`"),
        ("config.json", change(lr=float("nan")), "field `lr`"),
        ("config.json", change(category="../../x"), "names no category"),
        ("config.json", change(unheard="of"), "field `unheard`"),
        ("run.json", cut, "is damaged"),
        ("run.json", nested, "levels deep"),
        ("run.json", pipe, "not a regular file"),
        ("run.json", change(holdout="all"), "field `holdout`"),
        ("run.json", change(train=[1]), "field `train`"),
        ("run.json", change(created_with=None), "field `created_with`"),
        ("model.safetensors", cut, "cannot be read"),
        ("model.safetensors", huge_header, "cannot be read"),
        ("teacher.safetensors", pipe, "cannot be read"),
        ("teacher.safetensors", Path.unlink, "cannot be read"),
    ],
)
def test_what_is_wrong_is_named(copied: Any, name: str, spoil: Callable[[Path], None], said: str) -> None:
    spoil(copied.folder / name)
    with pytest.raises(DmddError, match=said) as caught:
        load_run(copied.folder)
    assert name in caught.value.message
