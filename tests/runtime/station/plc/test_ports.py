"""Handshake, thread and server together, on real sockets, with the small PLC."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from dmdd_edge.errors import DeliveryError, OptionError
from dmdd_edge.runtime.station.model import ErrorCode
from dmdd_edge.runtime.station.plc.client import PlcClient
from dmdd_edge.runtime.station.plc.ports import open_plc
from dmdd_edge.runtime.station.plc.signals import off
from dmdd_edge.runtime.station.settings import ModbusSettings, PlcSettings
from tests.runtime.station.plc.fakes import READY, FakeDesk, part
from tests.runtime.station.plc.station import Station, until, verdict_of


@pytest.mark.parametrize("mode", ["hold", "pulse"])
def test_every_part_gets_one_verdict_in_order(mode: str) -> None:
    settings = {"result": mode, "heartbeat_ms": 5000, **({"pulse_ms": 60.0} if mode == "pulse" else {})}
    count = 200 if mode == "hold" else 20
    with Station(**settings) as station, PlcClient("127.0.0.1", station.port) as plc:
        verdicts = list(plc.run(range(1, count + 1), 0.0))
    assert [each.part_id for each in verdicts] == list(range(1, count + 1))
    assert [each.acquisition_id for each in verdicts] == list(range(1, count + 1))
    expected = {"good": "Pass", "anomalous": "Fail"}
    assert [each.verdict for each in verdicts] == [expected[verdict_of(each.part_id)] for each in verdicts]
    assert all(each.seconds is not None and 0 < each.seconds < 20 for each in verdicts)
    assert (plc.tally.triggered, plc.tally.unanswered, dict(plc.tally.refused)) == (count, 0, {})


def test_triggers_faster_than_the_station_are_answered_or_refused_and_both_sides_count_alike() -> None:
    with Station() as station, PlcClient("127.0.0.1", station.port) as plc:
        assert plc.wait_for(lambda status: bool(status["Ready"]), 20)
        station.desk.held.clear()
        threading.Timer(0.5, station.desk.held.set).start()
        verdicts = list(plc.run(range(1, 101), 0.0, wait_ready=False))
        accepted = [trigger.part_id for trigger in station.desk.triggers]
    assert [each.part_id for each in verdicts] == accepted
    assert plc.tally.refused[ErrorCode.NOT_READY] == 100 - len(accepted) > 0


def test_a_plc_that_is_gone_with_trigger_held_does_not_trigger_when_it_is_back() -> None:
    with Station() as station:
        first = PlcClient("127.0.0.1", station.port)
        assert first.wait_for(lambda status: bool(status["Ready"]), 20)
        assert first.exchange(Trigger=1, PartID=8)["TriggerAck"]
        first.close()
        assert until(lambda: station.ports.image().status["ResultValid"])
        with PlcClient("127.0.0.1", station.port) as back:
            seen = back.exchange(Trigger=1, PartID=9)
            # The whole state is there at once: the result that waits for it.
            assert (seen["ResultValid"], seen["Pass"], seen["PartID"]) == (1, 1, 8)
            back.exchange(Trigger=0, ResultAck=1)
            back.exchange(ResultAck=0)
            assert len(station.desk.triggers) == 1
            assert back.exchange(Trigger=1, PartID=10)["TriggerAck"]
        assert [trigger.part_id for trigger in station.desk.triggers] == [8, 10]


def test_several_clients_see_the_same() -> None:
    with Station() as station:
        clients = [PlcClient("127.0.0.1", station.port) for _ in range(3)]
        assert clients[0].wait_for(lambda status: bool(status["Ready"]), 20)
        clients[0].exchange(Trigger=1, PartID=5)
        assert until(lambda: station.ports.image().status["ResultValid"])
        seen = [client.exchange(PartID=5) for client in clients]
        assert all((each["ResultValid"], each["PartID"]) == (1, 5) for each in seen)


def test_a_state_of_the_station_is_seen_without_a_request() -> None:
    with Station() as station, PlcClient("127.0.0.1", station.port) as plc:
        assert plc.wait_for(lambda status: bool(status["Ready"]), 20)
        station.desk.current = replace(READY, fault=True, code=ErrorCode.CAMERA_LOST, ready=False)
        station.ports.changed(station.desk.current)
        assert plc.wait_for(lambda status: status["ErrorCode"] == ErrorCode.CAMERA_LOST, 20)
        assert not plc.status["Ready"]


def _watch(plc: PlcClient, seen: list[dict[str, int]]) -> None:
    while True:
        seen.append(plc.exchange())


def test_nothing_passes_after_the_end_and_a_second_close_is_harmless() -> None:
    with Station() as station:
        plc = PlcClient("127.0.0.1", station.port)
        assert plc.wait_for(lambda status: bool(status["Ready"]), 20)
        plc.exchange(Trigger=1)
        assert until(lambda: station.ports.image().status["Pass"])
        closing = threading.Thread(target=station.ports.close)
        closing.start()
        seen = [plc.status]
        with pytest.raises(DeliveryError, match="does not answer"):
            _watch(plc, seen)
        closing.join(20)
        assert seen[-1] == off("status")
        assert station.ports.image().status == off("status")
        station.ports.close()
        # Nothing passes anymore, not even what comes late.
        station.ports.part(part(7))
        assert station.ports.image().status == off("status")


def test_an_error_in_the_station_is_a_fault_and_service_continues(caplog: pytest.LogCaptureFixture) -> None:
    with Station() as station, PlcClient("127.0.0.1", station.port) as plc:
        assert plc.wait_for(lambda status: bool(status["Ready"]), 20)
        station.desk.cleared = None  # an error in the station: nothing can be added to it
        seen = plc.exchange(ClearError=1)
        assert (seen["Fault"], seen["ErrorCode"], seen["Ready"]) == (1, ErrorCode.INTERNAL, 0)
        assert "please report it" in caplog.text
        station.desk.cleared = 0
        plc.exchange(ClearError=0)
        assert plc.exchange(ClearError=1)["Ready"]
        assert [each.verdict for each in plc.run([1], 0.0)] == ["Pass"]


def test_a_station_that_hangs_in_a_call_loses_ready_and_pass_but_not_its_caller() -> None:
    """The observer returns at once, whatever the thread of the ports is doing."""
    hang = threading.Event()
    desk = FakeDesk()
    ports = open_plc(
        PlcSettings(modbus=ModbusSettings(host="127.0.0.1", port=0)), desk, lambda: hang.wait(60) or True
    )
    begun = time.monotonic()
    for number in range(10_000):
        ports.part(part(number + 1))
    assert time.monotonic() - begun < 20
    assert ports.image().status == off("status")
    hang.set()
    assert until(lambda: ports.image().status["Fault"])
    assert not ports.image().status["Pass"]
    ports.close()


def test_one_server_that_cannot_be_opened_closes_the_others() -> None:
    taken = Station()
    settings = PlcSettings(modbus=ModbusSettings(host="127.0.0.1", port=taken.port))
    with taken, pytest.raises(OptionError, match="in use"):
        open_plc(settings, FakeDesk(), lambda: True)


def test_without_servers_there_is_nothing_to_reach() -> None:
    ports = open_plc(PlcSettings(), FakeDesk(), lambda: True)
    assert (ports.addresses, ports.warnings) == ((), ())
    ports.close()
