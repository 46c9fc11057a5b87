"""``models push``, ``pull`` and ``list --remote`` as a user calls them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from numpy.typing import NDArray
from typer.testing import CliRunner
from typer.testing import Result as Outcome

from dmdd_edge import DmddError
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.bundle.versions import read_current, version_names
from dmdd_edge.cli import models
from dmdd_edge.fleet import fetch
from dmdd_edge.runtime.challenge.edit import add_parts
from tests.core.fleet.conftest import Signer

Make = Callable[..., Bundle]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Call a command of ``models`` in ``tmp_path``; raises what it raised."""
    app = typer.Typer()
    models.register(app)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fetch, "_WAITS", (0.0,))

    def run(*arguments: object, code: int = 0) -> Outcome:
        done = CliRunner().invoke(app, ["models", *map(str, arguments)])
        if isinstance(done.exception, DmddError):
            raise done.exception
        assert done.exit_code == code, done.output
        return done

    return run


def test_all_categories_go_and_come(make_bundle: Make, call: Callable[..., Outcome], tmp_path: Path) -> None:
    screw, bottle = make_bundle("screw"), make_bundle("bottle")
    rows = json.loads(call("push", "store", "--json").stdout)
    assert [(row["category"], row["version"], row["current"], row["error"]) for row in rows] == [
        ("bottle", bottle.version, True, None),
        ("screw", screw.version, True, None),
    ]
    done = call("pull", "store", "--models-dir", "st a")
    assert f"screw: {screw.version} is in use; 1 file fetched" in done.stderr
    assert done.stderr.splitlines()[-1] == "next: dmdd-edge models --models-dir 'st a'"
    listed = json.loads(call("list", "--remote", "store", "--models-dir", "st a", "--json").stdout)
    assert [(row["category"], row["current"], row["in_use_here"]) for row in listed] == [
        ("bottle", True, True),
        ("screw", True, True),
    ]
    done = call("list", "--remote", "store", "--models-dir", "other")
    assert done.stderr.splitlines()[-1] == "next: dmdd-edge models pull store --models-dir other"


def test_one_category_fails_alone(make_bundle: Make, call: Callable[..., Outcome], tmp_path: Path) -> None:
    screw, _ = make_bundle("screw"), make_bundle("bottle")
    call("push", "store")
    (tmp_path / "store" / "screw" / screw.version / "model.fp32.onnx").write_bytes(b"x")
    done = call("pull", "store", "--models-dir", "station", "--json", code=1)
    bad = {row["category"]: row for row in json.loads(done.stdout)}
    assert bad["bottle"]["error"] is None
    assert "ended after 1 of" in bad["screw"]["error"]
    assert "1 of 2 categories failed" in done.stderr
    assert read_current(tmp_path / "station" / "bottle")
    with pytest.raises(DmddError, match="ended after 1 of"):
        call("pull", "store", "--models-dir", "station", "--category", "screw")


def test_current_follows_what_is_in_use_here(
    make_bundle: Make, call: Callable[..., Outcome], tmp_path: Path
) -> None:
    old, new = make_bundle(), make_bundle()
    done = call("push", "store", "--category", "screw", "--version", old.version)
    assert "it is not in use here, so CURRENT stays at no version" in done.stderr
    assert not (tmp_path / "store" / "screw" / "CURRENT").exists()
    call("push", "store", "--no-use")
    assert not (tmp_path / "store" / "screw" / "CURRENT").exists()
    call("push", "store")
    assert read_current(tmp_path / "store" / "screw") == new.version
    named = ("--category", "screw", "--version", old.version, "--no-use")
    call("pull", "store", "--models-dir", "station", *named)
    assert read_current(tmp_path / "station" / "screw") is None
    with pytest.raises(DmddError, match="--version names a version of one category"):
        call("push", "store", "--version", "2026")


def test_the_challenge_set_decides(
    make_bundle: Make,
    call: Callable[..., Outcome],
    make_picture: Callable[..., NDArray[np.uint8]],
    tmp_path: Path,
) -> None:
    good = make_bundle()
    call("push", "store")
    call("pull", "store", "--models-dir", "station")
    cv2.imwrite(str(tmp_path / "part.png"), make_picture(patch=153))  # score 0.6
    add_parts(tmp_path / "station" / "screw", [tmp_path / "part.png"])
    worse = make_bundle(threshold=threshold_from_normals([0.25, 0.7]))
    call("push", "store")
    with pytest.raises(DmddError, match="loses 1 of 1 challenge part") as caught:
        call("pull", "store", "--models-dir", "station")
    assert f"models use screw {worse.version}" in caught.value.fix
    station = tmp_path / "station" / "screw"
    assert read_current(station) == good.version
    assert version_names(station) == [good.version, worse.version]
    done = call("pull", "store", "--models-dir", "station", "--allow-loss")
    assert "lost and allowed: part" in done.stderr
    assert read_current(station) == worse.version
    line = json.loads((station / "challenge" / "journal.jsonl").read_text().splitlines()[-1])
    assert (line["action"], line["lost"], line["allowed"]) == ("pull", ["part"], True)


def test_a_key_in_the_configuration(make_bundle: Make, call: Callable[..., Outcome], tmp_path: Path) -> None:
    bundle, signer = make_bundle(), Signer(3)
    call("push", "store")
    config = tmp_path / "line1.toml"
    config.write_text(f'[models]\nurl = "store"\npublic_key = ["{signer.line}"]\nmodels_dir = "station"\n')
    with pytest.raises(DmddError, match="is not signed"):
        call("pull", "--config", config)
    assert not (tmp_path / "station").exists()
    data = (bundle.path / "manifest.json").read_bytes()
    (bundle.path / "manifest.json.minisig").write_bytes(signer.sign(data))
    call("push", "store")
    done = call("pull", "--config", config)
    assert "signed by 0303030303030303" in done.stderr
    (report,) = json.loads(call("check", "--config", config, "--json").stdout)
    assert report["ok"]
    (tmp_path / "station" / "screw" / bundle.version / "manifest.json.minisig").unlink()
    (report,) = json.loads(call("check", "--config", config, "--json", code=1).stdout)
    assert "is not signed" in report["problems"][0]["message"]


def test_nothing_to_push_or_pull(call: Callable[..., Outcome], tmp_path: Path) -> None:
    with pytest.raises(DmddError, match="there is no bundle"):
        call("push", "store")
    assert not (tmp_path / "store").exists()
    (tmp_path / "store").mkdir()
    with pytest.raises(DmddError, match="no complete version"):
        call("pull", "store")
    assert json.loads(call("list", "--remote", "store", "--json").stdout) == []
    call("pull", code=2)
    shutil.rmtree(tmp_path / "store")
    with pytest.raises(DmddError, match="no folder store"):
        call("list", "--remote", "store")
