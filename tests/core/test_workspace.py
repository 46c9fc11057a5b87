from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dmdd_edge import DmddError
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.workspace import find_bundle, find_run, list_bundles, list_runs, load_bundle, run_folder

Write = Callable[..., Bundle]


def test_a_name_that_the_locale_cannot_read_is_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("plate", "Geh\udce4use"):  # in Latin-1, as UTF-8 is for a process without it
        (tmp_path / name).mkdir()
        (tmp_path / name / "CURRENT").write_text("x")
    assert list_bundles(tmp_path) == list_bundles(tmp_path) == ["plate"]
    assert [record.getMessage().count("Geh\\udce4use") for record in caplog.records] == [1]
    assert "export LC_ALL=C.UTF-8" in caplog.text


def test_the_only_bundle_needs_no_name(write_bundle: Write, tmp_path: Path) -> None:
    bundle = write_bundle("screw")
    assert find_bundle(models_dir=tmp_path / "models") == tmp_path / "models" / "screw"
    assert load_bundle(models_dir=tmp_path / "models").version == bundle.version


def test_several_bundles_are_listed(write_bundle: Write, tmp_path: Path) -> None:
    write_bundle("screw")
    write_bundle("bottle")
    (tmp_path / "models" / "notes").mkdir()  # no bundle
    models = tmp_path / "models"
    assert list_bundles(models) == ["bottle", "screw"]
    with pytest.raises(DmddError, match=r"several bundles.*bottle, screw") as caught:
        find_bundle(models_dir=models)
    assert "--category bottle" in caught.value.fix
    assert find_bundle("screw", models_dir=models) == models / "screw"


def test_a_category_that_is_not_there(
    write_bundle: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DmddError, match="no bundle in") as caught:
        find_bundle(models_dir=tmp_path / "models")
    assert "dmdd-edge train --data DIR" in caught.value.fix
    (tmp_path / "runs" / "screw").mkdir(parents=True)
    (tmp_path / "runs" / "screw" / "run.json").write_text("{}")
    with pytest.raises(DmddError, match="no bundle in") as caught:
        find_bundle(models_dir=tmp_path / "models")
    assert "dmdd-edge export --models-dir" in caught.value.fix
    write_bundle("screw")
    with pytest.raises(DmddError, match=r"no bundle 'bolt'.*found: screw"):
        find_bundle("bolt", models_dir=tmp_path / "models")


def test_a_model_is_a_folder_of_its_own(write_bundle: Write, tmp_path: Path) -> None:
    bundle = write_bundle("screw")
    assert load_bundle(model=bundle.path, models_dir=tmp_path / "none").version == bundle.version
    assert load_bundle(model=bundle.path.parent).version == bundle.version
    with pytest.raises(DmddError, match="no bundle folder screw") as caught:
        find_bundle(model="screw", models_dir=tmp_path / "models")
    assert "--category screw" in caught.value.fix
    with pytest.raises(DmddError, match="both given"):
        find_bundle("screw", bundle.path)


def test_runs_are_found_by_category_or_name(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    with pytest.raises(DmddError, match="no run in") as caught:
        find_run(runs_dir=runs)
    assert "dmdd-edge train" in caught.value.fix
    for name in ("screw", "screw-long", ".cache", "empty"):
        (runs / name).mkdir(parents=True)
    (runs / "screw" / "config.json").write_text("{}")
    assert find_run(runs_dir=runs) == runs / "screw"
    (runs / "screw-long" / "config.json").write_text("{}")
    assert list_runs(runs) == ["screw", "screw-long"]
    assert find_run("screw", runs_dir=runs) == runs / "screw"
    assert find_run("screw", "screw-long", runs_dir=runs) == runs / "screw-long"
    with pytest.raises(DmddError, match=r"several runs.*screw, screw-long"):
        find_run(runs_dir=runs)


def test_a_new_run_is_named_after_its_category(tmp_path: Path) -> None:
    assert run_folder("screw", runs_dir=tmp_path) == tmp_path / "screw"
    assert run_folder("screw", "long", runs_dir=tmp_path) == tmp_path / "long"
    with pytest.raises(DmddError, match="cannot name a run"):
        run_folder("screw", "../up", runs_dir=tmp_path)
