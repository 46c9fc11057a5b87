"""GenICam cameras, the library that opens them, and the network of those with GigE Vision."""

from __future__ import annotations

from typing import Any

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.doctor.context import Context
from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.doctor.gige_network import examine_interfaces, interface_to

_ME = "dmdd_edge.runtime.doctor.genicam"
_PURPOSE = "--source genicam://SERIAL"


def look() -> dict[str, Any]:
    """In a subprocess: load the library, and search for cameras.

    Returns:
        ``driver``: its name and version; ``passed_over``: why another one was not taken; ``cameras``: serial,
        model, vendor, address and transport of each. Or ``missing`` and ``fix``, without a library.
    """
    from dmdd_edge.runtime.sources.genicam import open_driver

    try:
        driver, passed_over = open_driver()
    except DmddError as error:
        return {"missing": error.message, "fix": error.fix}
    cameras = [
        {
            "serial": found.serial,
            "model": found.model,
            "vendor": found.vendor,
            "address": found.address,
            "transport": found.transport,
        }
        for found in driver.find()
    ]
    return {"driver": f"{driver.name} {driver.version}", "passed_over": passed_over, "cameras": cameras}


def examine_genicam(context: Context) -> list[Finding]:
    """The library, one finding per camera, and what spoils GigE Vision on their interfaces."""
    reply = context.call(f"{_ME}:look", limit=30)
    if not reply.ok:
        fix = reply.fix or "Install the library again."
        return [Finding("genicam.driver", "GenICam library", "broken", reply.failure, _PURPOSE, fix)]
    value = reply.value
    if "missing" in value:
        return [
            Finding("genicam.driver", "GenICam library", "missing", value["missing"], _PURPOSE, value["fix"])
        ]
    cameras = value["cameras"]
    reason = f" ({value['passed_over'].rstrip('.')})" if value["passed_over"] else ""
    facts = {"driver": value["driver"], "cameras": len(cameras)}
    detail = f"{value['driver']}{reason}"
    findings = [Finding("genicam.driver", "GenICam library", "ok", detail, _PURPOSE, facts=facts)]
    if not cameras:
        fix = (
            "Connect one; for GigE Vision give this machine an address in the camera's network, "
            "such as: sudo ip address add 169.254.1.1/16 dev eth1"
        )
        return [*findings, Finding("genicam.cameras", "GenICam cameras", "missing", "none", _PURPOSE, fix)]
    interfaces = []
    for camera in cameras:
        interface = interface_to(camera["address"]) if camera["transport"] == "GigE Vision" else ""
        findings.append(_camera(camera, value["driver"], interface))
        if interface and interface != "lo":  # simulated cameras only
            interfaces.append(interface)
    return findings + examine_interfaces(list(dict.fromkeys(interfaces)))


def _camera(camera: dict[str, Any], driver: str, interface: str) -> Finding:
    model = " ".join(filter(None, [camera["vendor"], camera["model"]]))
    place = f"{camera['address']} on {interface}" if interface else camera["address"]
    facts = {"path": f"genicam://{camera['serial']}", "driver": driver, "interface": interface, **camera}
    detail = f"{model}, {camera['transport']}, {place}, by {driver}"
    return Finding(f"genicam.{camera['serial']}", camera["serial"], "ok", detail, _PURPOSE, facts=facts)
