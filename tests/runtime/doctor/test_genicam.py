from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.runtime.doctor import genicam
from dmdd_edge.runtime.doctor.context import Context
from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.doctor.genicam import examine_genicam
from dmdd_edge.runtime.doctor.gige_network import examine_interfaces, interface_to
from dmdd_edge.runtime.doctor.subprocess_call import Reply, call
from tests.runtime.sources.genicam.cameras import VIVA_SERIAL, needs_viva, viva_camera

Make = Callable[..., Context]
GIGE = {
    "serial": "40012345",
    "model": "M1",
    "vendor": "Maker",
    "address": "10.0.0.7",
    "transport": "GigE Vision",
}
USB = {**GIGE, "serial": "U9", "address": "usb2-4", "transport": "USB3 Vision"}


def _reply(*cameras: dict[str, str], passed_over: str = "") -> dict[str, Any]:
    return {"look": {"driver": "viva 0.10.0", "passed_over": passed_over, "cameras": list(cameras)}}


def test_cameras_are_listed_with_library_serial_model_and_address(
    make_context: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(genicam, "interface_to", lambda address: {"10.0.0.7": "eth1"}[address])
    asked: list[list[str]] = []
    monkeypatch.setattr(genicam, "examine_interfaces", lambda names: asked.append(names) or [])
    findings = examine_genicam(make_context(_reply(GIGE, {**GIGE, "serial": "40012346"}, USB)))
    assert [finding.name for finding in findings] == [
        *("genicam.driver", "genicam.40012345", "genicam.40012346", "genicam.U9")
    ]
    assert {finding.state for finding in findings} == {"ok"}
    assert findings[0].detail == "viva 0.10.0"
    assert findings[1].detail == "Maker M1, GigE Vision, 10.0.0.7 on eth1, by viva 0.10.0"
    assert findings[1].facts["path"] == "genicam://40012345"
    assert findings[3].detail == "Maker M1, USB3 Vision, usb2-4, by viva 0.10.0"
    assert asked == [["eth1"]]


def test_without_a_library_or_a_camera_something_is_missing_and_nothing_broken(make_context: Make) -> None:
    (missing,) = examine_genicam(make_context({"look": {"missing": "No library.", "fix": "Install it."}}))
    assert (missing.state, missing.detail, missing.fix) == ("missing", "No library.", "Install it.")
    driver, none = examine_genicam(make_context(_reply(passed_over="viva-genicam is not installed.")))
    assert driver.detail == "viva 0.10.0 (viva-genicam is not installed)"
    assert (none.state, none.detail) == ("missing", "none")
    (broken,) = examine_genicam(make_context({"look": Reply(failure="it crashed", kind="crash")}))
    assert (broken.state, broken.detail) == ("broken", "it crashed")


def _machine(root: Path, mtu: str, all_filter: str, own_filter: str, buffer: str) -> Path:
    for path, text in (
        ("sys/class/net/eth1/mtu", mtu),
        ("proc/sys/net/ipv4/conf/all/rp_filter", all_filter),
        ("proc/sys/net/ipv4/conf/eth1/rp_filter", own_filter),
        ("proc/sys/net/core/rmem_max", buffer),
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(f"{text}\n")
    return root


def _by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_what_spoils_gige_vision_is_named_with_the_command_that_mends_it(tmp_path: Path) -> None:
    found = _by_name(examine_interfaces(["eth1"], _machine(tmp_path, "1500", "0", "1", "212992")))
    assert {finding.state for finding in found.values()} == {"missing"}
    assert found["genicam.mtu-eth1"].detail == "1500 bytes, less than 9000"
    assert found["genicam.mtu-eth1"].fix.startswith("sudo ip link set dev eth1 mtu 9000 ")
    assert found["genicam.rp_filter-eth1"].fix == (
        "echo 'net.ipv4.conf.eth1.rp_filter=2' | sudo tee -a /etc/sysctl.d/90-genicam.conf"
        " && sudo sysctl -p /etc/sysctl.d/90-genicam.conf"
    )
    assert found["genicam.rmem_max"].detail == "net.core.rmem_max is 212992 bytes, less than 16777216"
    assert found["genicam.rmem_max"].fix.startswith("echo 'net.core.rmem_max=16777216' | sudo tee -a ")


@pytest.mark.parametrize(("all_filter", "own_filter"), [("0", "0"), ("1", "2"), ("2", "1")])
def test_a_network_that_suits_is_ok(all_filter: str, own_filter: str, tmp_path: Path) -> None:
    found = examine_interfaces(["eth1"], _machine(tmp_path, "9000", all_filter, own_filter, "33554432"))
    assert [(finding.state, finding.fix) for finding in found] == [("ok", "")] * 3


def test_the_common_filter_counts_where_it_is_stricter(tmp_path: Path) -> None:
    found = _by_name(examine_interfaces(["eth1"], _machine(tmp_path, "9000", "1", "0", "33554432")))
    assert found["genicam.rp_filter-eth1"].state == "missing"


def test_what_cannot_be_read_is_unknown_rather_than_wrong(tmp_path: Path) -> None:
    assert [finding.detail for finding in examine_interfaces(["eth1"], tmp_path)] == ["unknown"] * 3
    assert examine_interfaces([], tmp_path) == []


def test_the_interface_to_an_address() -> None:
    assert interface_to("127.0.0.1") == next(name for _, name in socket.if_nameindex() if name == "lo")
    assert interface_to("not an address") == ""


@needs_viva
def test_a_simulated_camera_is_found_in_the_subprocess(make_context: Make) -> None:
    with viva_camera():
        context = make_context({})
        findings = examine_genicam(Context(call, context.platform, context.models_dir))
    found = _by_name(findings)
    assert found[f"genicam.{VIVA_SERIAL}"].detail.startswith(
        "viva-genicam FakeGigE, GigE Vision, 127.0.0.1 on lo, by viva 0."
    )
