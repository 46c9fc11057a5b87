"""Compose, Prometheus, Grafana and Kubernetes: the files parse, and use what the product has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from targets import DEPLOY, ROOT
from typer.main import get_command

from dmdd_edge.cli.main import app

COMPOSE = DEPLOY / "compose"
DASHBOARD = COMPOSE / "grafana" / "dashboards" / "dmdd-edge.json"
PAGES = ("runtime/page/metrics.py", "runtime/station/page/metrics.py")
#: What Prometheus' text format appends, by the call that makes the metric.
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}

#: The command line.
COMMANDS: Any = get_command(app)


def documents(path: Path) -> list[Any]:
    return list(yaml.safe_load_all(path.read_text()))


def exported() -> set[str]:
    """The series of /metrics, read in the code that writes them."""
    found = set()
    for page in PAGES:
        text = (ROOT / page).read_text()
        calls = re.findall(r"(\w+?)(?:MetricFamily)?\(\s*(?:full\()?\"(\w+)\"", text)
        for call, name in calls:
            for suffix in SUFFIXES.get(call.lower(), ("",)):
                found.add(f"dmdd_edge_{name}{suffix}")
    return found


def queries(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (
            value for key, value in node.items() if key in ("expr", "query") and isinstance(value, str)
        )
        for value in node.values():
            yield from queries(value)
    elif isinstance(node, list):
        for value in node:
            yield from queries(value)


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.yaml")), ids=lambda path: path.name)
def test_a_file_is_yaml(path: Path) -> None:
    assert all(isinstance(document, dict) for document in documents(path))


def test_the_names_that_are_exported_are_found() -> None:
    assert {
        "dmdd_edge_frames_total",
        "dmdd_edge_latency_seconds_bucket",
        "dmdd_edge_stage_seconds_sum",
        "dmdd_edge_score",
        "dmdd_edge_parts_total",
        "dmdd_edge_drift",
    } <= exported()
    assert "dmdd_edge_frames" not in exported()


def test_every_metric_of_the_dashboard_exists() -> None:
    asked = " ".join(queries(json.loads(DASHBOARD.read_text())))
    used = set(re.findall(r"\bdmdd_edge_\w+", asked))
    assert len(used) > 20
    assert used - exported() == set()


def test_the_dashboard_is_provisioned() -> None:
    (source,) = documents(COMPOSE / "grafana/provisioning/datasources/prometheus.yaml")[0]["datasources"]
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asking = [panel for panel in panels if panel["type"] != "row"]
    assert {panel["datasource"]["uid"] for panel in asking} == {source["uid"]}
    assert len({panel["id"] for panel in panels}) == len(panels)
    (provider,) = documents(COMPOSE / "grafana/provisioning/dashboards/dmdd-edge.yaml")[0]["providers"]
    mounts = documents(COMPOSE / "compose.yaml")[0]["services"]["grafana"]["volumes"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in mounts


def test_compose_names_files_that_exist_and_fixed_versions() -> None:
    services = documents(COMPOSE / "compose.yaml")[0]["services"]
    for service in services.values():
        assert re.search(r":[\w.]+$", service["image"])
        assert not service["image"].endswith(":latest")
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            # line1/ is made by the user.
            assert not source.startswith("./") or source == "./line1" or (COMPOSE / source).exists()
    build = services["run"]["build"]
    assert (COMPOSE / build["context"] / build["dockerfile"]).exists()
    (job,) = documents(COMPOSE / "prometheus.yaml")[0]["scrape_configs"]
    assert job["static_configs"][0]["targets"] == ["run:8080"]


def test_the_run_of_compose_is_read_by_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    words = documents(COMPOSE / "compose.yaml")[0]["services"]["run"]["command"]
    words = [str(COMPOSE / "line1.toml") if word.startswith("/etc/") else word for word in words]
    get_command(app).main([*words, "--print-config"], prog_name="dmdd-edge", standalone_mode=False)
    assert "mqtt://broker/line1" in capsys.readouterr().out


def test_a_training_job_has_an_index_a_category() -> None:
    names, job = documents(DEPLOY / "kubernetes" / "train.yaml")
    categories = names["data"]["categories"].split()
    assert job["spec"]["completionMode"] == "Indexed"
    assert job["spec"]["completions"] == len(categories)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in job["spec"]["template"]["spec"]["volumes"]}
    lines = re.findall(r"dmdd-edge (\w+) (.*)", container["command"][-1])
    assert [command for command, _ in lines] == ["train", "export"]
    for command, rest in lines:
        words = rest.replace('"$category"', "screw").replace("$again", "--resume").split()
        known = COMMANDS.commands[command]
        options = {option for parameter in known.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options


def test_a_station_runs_on_each_labeled_node_without_root() -> None:
    (daemon,) = documents(DEPLOY / "kubernetes" / "station.yaml")
    pod = daemon["spec"]["template"]["spec"]
    assert daemon["kind"] == "DaemonSet"
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["nodeSelector"] == {"dmdd-edge/station": "true"}
    (container,) = pod["containers"]
    assert container["command"][:3] == ["dmdd-edge", "station", "run"]
    assert "run" in COMMANDS.commands["station"].commands
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
