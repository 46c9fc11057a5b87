"""The handshake by hand-worked cases: what a PLC sees after each step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dmdd_edge.runtime.station.model import ErrorCode, StationState
from dmdd_edge.runtime.station.plc.handshake import WAITING
from dmdd_edge.runtime.station.plc.results import verdict, words
from dmdd_edge.runtime.station.plc.signals import VERDICTS
from tests.runtime.station.plc.fakes import READY, Bench, part

BEAT = {"Heartbeat"}


def lit(seen: dict[str, int]) -> set[str]:
    """The bits that are 1, without the heartbeat."""
    words = {
        "ErrorCode", "RecipeCurrent", "AcquisitionID", "PartID", "ScoreX10000", "RegionCount", "LatencyMs",
        "EncoderCount",
    }  # fmt: skip
    return {name for name, value in seen.items() if value and name not in words | BEAT}


def test_a_part_from_trigger_to_acknowledgment() -> None:
    bench = Bench()
    assert lit(bench.outputs()) == {"Online"}
    assert lit(bench.write(TriggerEnable=1, Trigger=0)) == {"Online", "Ready"}
    assert lit(bench.write(Trigger=1, PartID=4711, EncoderCount=70000)) == {
        "Online", "Ready", "TriggerAck", "Busy",
    }  # fmt: skip
    assert lit(bench.write(PartID=4712)) == {"Online", "Ready", "TriggerAck", "Busy"}
    assert lit(bench.write(Trigger=0)) == {"Online", "Ready", "Busy"}
    (trigger,) = bench.desk.triggers
    assert (trigger.origin, trigger.part_id, trigger.encoder) == ("modbus", 4711, 70000)
    seen = bench.part(trigger)
    assert lit(seen) == {"Online", "Ready", "ResultValid", "Pass"}
    expected = {
        "AcquisitionID": 1, "PartID": 4711, "EncoderCount": 70000, "ScoreX10000": 2000, "RegionCount": 0,
        "LatencyMs": 12, "ErrorCode": 0, "RecipeCurrent": 1,
    }  # fmt: skip
    assert {name: seen[name] for name in expected} == expected
    seen = bench.write(ResultAck=1)
    assert lit(seen) == {"Online", "Ready"}
    assert seen["PartID"] == 4711
    assert lit(bench.write(ResultAck=0)) == {"Online", "Ready"}


def test_a_trigger_that_is_held_or_written_again_starts_one_part() -> None:
    bench = Bench()
    bench.enable()
    for _ in range(3):
        bench.write(Trigger=1, TriggerEnable=1)
    assert len(bench.desk.triggers) == 1
    bench.write(Trigger=0)
    bench.write(Trigger=1)
    assert len(bench.desk.triggers) == 2


def test_a_part_without_a_number_gets_that_of_the_acquisition() -> None:
    bench = Bench()
    bench.enable()
    bench.trigger()
    assert bench.part(bench.desk.triggers[0])["PartID"] == 1


@pytest.mark.parametrize(
    ("state", "first"),
    [
        (READY, {"TriggerEnable": 0, "Trigger": 0}),
        # A PLC that was in the middle of a trigger when the station was restarted.
        (READY, {}),
        (replace(READY, online=False), {"TriggerEnable": 1, "Trigger": 0}),
        (replace(READY, ready=False), {"TriggerEnable": 1, "Trigger": 0}),
        (replace(READY, fault=True, code=ErrorCode.CAMERA_LOST), {"TriggerEnable": 1, "Trigger": 0}),
    ],
)
def test_a_trigger_while_not_ready_is_an_error_code_and_no_part(
    state: StationState, first: dict[str, int]
) -> None:
    bench = Bench(state)
    if first:
        bench.write(**first)
    enabled = {} if first else {"TriggerEnable": 1}
    seen = bench.write(Trigger=1, PartID=5, **enabled)
    assert bench.desk.triggers == []
    assert not {"TriggerAck", "Ready"} & lit(seen)
    assert seen["ErrorCode"] == (ErrorCode.CAMERA_LOST if state.fault else ErrorCode.NOT_READY)
    (missed,) = bench.missed
    assert (missed.part_id, missed.code) == (5, ErrorCode.NOT_READY)
    # It does not become one when the station is ready, with Trigger still at 1.
    bench.write(TriggerEnable=1)
    bench.station(online=True, ready=True, fault=False, code=ErrorCode.NONE)
    assert bench.desk.triggers == []


def test_a_trigger_that_the_station_refuses_is_its_error_code() -> None:
    bench = Bench()
    bench.enable()
    bench.desk.answer = ErrorCode.QUEUE_OVERFLOW
    seen = bench.trigger()
    assert seen["ErrorCode"] == ErrorCode.QUEUE_OVERFLOW
    assert lit(seen) == {"Online", "Ready", "QueueOverflow"}
    assert bench.missed == []  # the station knows
    bench.desk.answer = None
    assert lit(bench.trigger()) == {"Online", "Ready", "TriggerAck", "Busy", "QueueOverflow"}
    assert bench.outputs()["ErrorCode"] == 0
    assert "QueueOverflow" not in lit(bench.write(ClearError=1))


def test_results_come_in_order_each_after_the_acknowledgment_of_the_one_before() -> None:
    bench = Bench()
    bench.enable()
    for number in (11, 12, 13):
        bench.trigger(number)
    for trigger, status in zip(bench.desk.triggers, ("good", "anomalous", "unreliable"), strict=True):
        assert bench.part(trigger, status)["PartID"] == 11
    assert "Pass" in lit(bench.outputs())
    assert "ResultValid" not in lit(bench.write(ResultAck=1))
    seen = bench.write(ResultAck=0)
    assert (seen["PartID"], lit(seen) & {*VERDICTS, "ResultValid"}) == (12, {"Fail", "ResultValid"})
    bench.write(ResultAck=1)
    seen = bench.write(ResultAck=0)
    assert (seen["PartID"], lit(seen) & {*VERDICTS, "ResultValid"}) == (13, {"Unreliable", "ResultValid"})


def test_an_acknowledgment_that_stays_does_not_acknowledge_the_next_result() -> None:
    bench = Bench()
    bench.part(1)
    bench.write(ResultAck=1)
    assert "ResultValid" not in lit(bench.part(2))
    assert "Fault" not in lit(bench.wait(1.9))
    seen = bench.wait(0.2)  # 2.1 s with ResultAck at 1
    assert seen["ErrorCode"] == ErrorCode.NOT_ACKNOWLEDGED
    seen = bench.write(ResultAck=0)
    assert (seen["AcquisitionID"], lit(seen) & {*VERDICTS, "Fault"}) == (2, {"Suspect"})


def test_a_plc_that_was_away_ends_the_fault_with_its_acknowledgment() -> None:
    bench = Bench(acknowledge_ms=500)
    bench.enable()
    for _ in range(2):
        bench.trigger()
    bench.part(bench.desk.triggers[0])
    assert bench.wait(0.6)["ErrorCode"] == ErrorCode.NOT_ACKNOWLEDGED
    bench.part(bench.desk.triggers[1])  # good, but it comes during the fault
    seen = bench.write(ResultAck=1)
    assert (seen["ErrorCode"], lit(seen)) == (ErrorCode.NONE, {"Online", "Ready"})
    seen = bench.write(ResultAck=0)
    assert (seen["AcquisitionID"], lit(seen)) == (2, {"Online", "Ready", "ResultValid", "Suspect"})
    bench.write(ResultAck=1)
    bench.write(ResultAck=0)
    bench.trigger()
    assert "Pass" in lit(bench.part(bench.desk.triggers[2]))


def test_a_result_that_is_not_acknowledged_is_a_fault_and_nothing_is_lost() -> None:
    bench = Bench(acknowledge_ms=500)
    bench.enable()
    for _ in range(2):
        bench.trigger()
    for trigger in bench.desk.triggers:
        bench.part(trigger)
    assert "Pass" in lit(bench.wait(0.4))
    seen = bench.wait(0.2)
    assert lit(seen) == {"Online", "ResultValid", "Suspect", "Fault"}
    assert seen["ErrorCode"] == ErrorCode.NOT_ACKNOWLEDGED
    # Cleared, but not acknowledged: the time starts again, and what was withdrawn stays withdrawn.
    assert lit(bench.write(ClearError=1)) == {"Online", "Ready", "ResultValid", "Suspect"}
    bench.write(ClearError=0)
    assert "Fault" in lit(bench.wait(0.6))
    bench.write(ClearError=1)
    bench.write(ResultAck=1)
    seen = bench.write(ResultAck=0)
    assert (seen["AcquisitionID"], lit(seen)) == (2, {"Online", "Ready", "ResultValid", "Suspect"})
    bench.write(ResultAck=1)
    bench.write(ResultAck=0)
    bench.trigger()
    assert "Pass" in lit(bench.part(bench.desk.triggers[2]))


def test_a_pulse_and_the_pause_after_it_have_the_stated_length() -> None:
    bench = Bench(result="pulse", pulse_ms=100)
    bench.part(1)
    bench.part(2, "anomalous")
    times = [(0.0, {1}), (0.09, {1}), (0.02, set()), (0.08, set()), (0.02, {2}), (0.08, {2}), (0.02, set())]
    for pause, expected in times:
        seen = bench.wait(pause)
        assert ({seen["AcquisitionID"]} if seen["ResultValid"] else set()) == expected
        assert ("Pass" in lit(seen)) == (expected == {1})


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (part(1), "Pass"),
        (part(1, late=True), "Suspect"),
        (part(1, "suspect"), "Suspect"),
        (part(1, "suspect", late=True), "Suspect"),
        (part(1, "suspect", code=ErrorCode.NO_FRAME), "Unreliable"),
        (part(1, "anomalous"), "Fail"),
        (part(1, "anomalous", late=True), "Fail"),
        (part(1, "unreliable"), "Unreliable"),
        (part(1, code=ErrorCode.NO_FRAME), "Unreliable"),
        (part(1, inspections=()), "Unreliable"),
        (part(1, inspections=(replace(part(1).inspections[0], result=None),)), "Unreliable"),
        (part(1, inspections=(replace(part(1).inspections[0], code=ErrorCode.GRAPH_FAILED),)), "Unreliable"),
        (
            part(1, inspections=(*part(1).inspections, replace(part(1).inspections[0], error="x"))),
            "Unreliable",
        ),
    ],
)
def test_pass_is_for_parts_that_nothing_speaks_against(made, expected: str) -> None:
    assert verdict(made) == expected


def test_words_stay_within_their_limits() -> None:
    trigger = replace(part(1).trigger, acquisition_id=2**32 + 5, part_id=-1, encoder=2**33 + 1)
    seen = words(replace(part(1), trigger=trigger, latency_ms=float("inf"), inspections=()))
    assert seen == {
        "AcquisitionID": 5, "PartID": 2**32 - 1, "EncoderCount": 1, "ScoreX10000": 10000, "RegionCount": 0,
        "LatencyMs": 65535,
    }  # fmt: skip


@pytest.mark.parametrize("trouble", ["fault", "offline", "stalled", "internal"])
def test_whatever_goes_wrong_takes_pass_away_for_good(trouble: str) -> None:
    bench = Bench()
    bench.part(1)
    bench.part(2)
    assert "Pass" in lit(bench.outputs())
    if trouble == "fault":
        seen = bench.station(fault=True, code=ErrorCode.RESULTS_LOST)
    elif trouble == "offline":
        seen = bench.station(online=False)
    elif trouble == "stalled":
        bench.alive = False
        seen = bench.wait(1.1)
        bench.alive = True
    else:
        bench.handshake.fail()
        seen = bench.outputs()
    assert lit(seen) & {"Ready", *VERDICTS} == {"Suspect"}
    bench.part(3)
    bench.station(fault=False, code=ErrorCode.NONE, online=True)
    bench.write(ClearError=1)
    bench.wait(1.1)
    for number in (1, 2, 3):
        seen = bench.outputs()
        assert (seen["AcquisitionID"], lit(seen) & set(VERDICTS)) == (number, {"Suspect"})
        bench.write(ResultAck=1)
        bench.write(ResultAck=0)


def test_a_short_fault_that_is_over_when_it_is_seen_takes_pass_away_too() -> None:
    bench = Bench()
    bench.part(1)
    bench.handshake.changed(replace(READY, fault=True, code=ErrorCode.CAMERA_LOST))
    assert lit(bench.outputs()) & {*VERDICTS, "Fault"} == {"Suspect"}


def test_everything_is_zero_after_the_end() -> None:
    bench = Bench()
    bench.enable()
    bench.trigger()
    bench.part(1)
    bench.handshake.close()
    assert set(bench.outputs().values()) == {0}
    bench.write(Trigger=1)
    assert len(bench.desk.triggers) == 1
    assert set(bench.wait(2.0).values()) == {0}


def test_the_heartbeat_changes_once_per_second_while_the_station_works() -> None:
    bench = Bench()
    beats = [bench.wait(1.0)["Heartbeat"] for _ in range(6)]
    assert beats == [beats[0], 1 - beats[0]] * 3
    bench.alive = False
    still = {bench.wait(1.0)["Heartbeat"] for _ in range(4)}
    assert len(still) == 1
    assert "Online" not in lit(bench.outputs())
    bench.alive = True
    assert bench.wait(1.0)["Heartbeat"] not in still
    assert "Online" in lit(bench.outputs())


def test_a_silent_plc_gets_no_ready_until_it_shows_trigger_at_zero() -> None:
    bench = Bench(heartbeat_ms=2000)
    seen = bench.enable()
    assert lit(seen) == {"Online"}
    assert seen["ErrorCode"] == ErrorCode.PLC_LOST
    bench.write(Heartbeat=1, TriggerEnable=1, Trigger=0)
    assert lit(bench.wait(1.9)) == {"Online", "Ready"}
    assert bench.wait(0.2)["ErrorCode"] == ErrorCode.PLC_LOST
    # Back with a trigger that was raised while the line was dead.
    seen = bench.write(Heartbeat=0, TriggerEnable=1, Trigger=1)
    assert bench.desk.triggers == []
    assert seen["ErrorCode"] == ErrorCode.NOT_READY
    assert lit(bench.write(Heartbeat=1, Trigger=0)) == {"Online", "Ready"}
    assert "TriggerAck" in lit(bench.write(Trigger=1))


def test_a_recipe_change_from_request_to_ready() -> None:
    bench = Bench()
    bench.enable()
    seen = bench.write(RecipeRequest=2)
    assert bench.desk.recipes == [2]
    assert lit(seen) == {"Online"}
    bench.write(RecipeRequest=2)
    assert bench.desk.recipes == [2]
    assert bench.trigger()["ErrorCode"] == ErrorCode.NOT_READY
    seen = bench.station(recipe=2, changing_to=0, ready=True)
    assert (seen["RecipeCurrent"], "Ready" in lit(seen)) == (2, True)


def test_ready_is_0_although_the_station_has_not_taken_up_the_request() -> None:
    bench = Bench()
    bench.enable()
    bench.desk.deaf = True
    assert lit(bench.write(RecipeRequest=2)) == {"Online"}
    assert bench.trigger()["ErrorCode"] == ErrorCode.NOT_READY
    assert lit(bench.station(changing_to=2, ready=True)) == {"Online"}
    assert lit(bench.station(changing_to=0, recipe=2)) == {"Online", "Ready"}


def test_a_recipe_that_is_refused_leaves_the_old_one() -> None:
    bench = Bench()
    bench.enable()
    bench.write(RecipeRequest=9)
    seen = bench.station(changing_to=0, ready=True, code=ErrorCode.UNKNOWN_RECIPE)
    assert (seen["RecipeCurrent"], seen["ErrorCode"]) == (1, ErrorCode.UNKNOWN_RECIPE)
    assert lit(seen) == {"Online", "Ready"}
    bench.write(RecipeRequest=0)
    bench.write(RecipeRequest=9)
    assert bench.desk.recipes == [9, 9]


def test_a_recipe_that_is_loaded_at_once_is_ready_at_once() -> None:
    bench = Bench()
    bench.enable()
    bench.desk.instant = True
    seen = bench.write(RecipeRequest=2)
    assert (lit(seen), seen["RecipeCurrent"]) == ({"Online", "Ready"}, 2)


def test_clear_error_reaches_the_station_once_per_change() -> None:
    bench = Bench(replace(READY, fault=True, ready=False, code=ErrorCode.LATE))
    assert bench.outputs()["ErrorCode"] == ErrorCode.LATE
    bench.enable()
    assert lit(bench.write(ClearError=1)) == {"Online", "Ready"}
    bench.write(ClearError=1)
    assert bench.desk.cleared == 1


def test_there_is_room_for_every_accepted_trigger_and_more_of_a_camera_are_a_fault() -> None:
    bench = Bench()
    bench.enable()
    for _ in range(WAITING):
        assert "TriggerAck" in lit(bench.trigger())
    assert "Ready" not in lit(bench.outputs())
    seen = bench.part(1000)
    assert lit(seen) == {"Online", "Busy", "QueueOverflow", "Fault"}
    assert seen["ErrorCode"] == ErrorCode.QUEUE_OVERFLOW
    for trigger in bench.desk.triggers:
        bench.part(trigger)
    numbers = []
    while (seen := bench.outputs())["ResultValid"]:
        numbers.append(seen["AcquisitionID"])
        bench.write(ResultAck=1)
        bench.write(ResultAck=0)
    assert numbers == list(range(1, WAITING + 1))


@pytest.mark.parametrize(("pause", "accepted"), [(1.2, True), (1.3, False), (1.9, False)])
def test_a_trigger_that_may_have_waited_while_the_process_stood_still_starts_no_part(
    pause: float, accepted: bool
) -> None:
    bench = Bench()
    bench.enable()
    bench.part(1)
    bench.clock.now += pause  # nothing ticks: the process was stopped, and the PLC's write is in the socket
    seen = bench.write(Trigger=1, PartID=7)
    assert [trigger.part_id for trigger in bench.desk.triggers] == ([7] if accepted else [])
    assert [missed.part_id for missed in bench.missed] == ([] if accepted else [7])
    assert ("Pass" in lit(seen), "TriggerAck" in lit(seen)) == (accepted, accepted)
    bench.write(Trigger=0)
    assert "TriggerAck" in lit(bench.write(Trigger=1, PartID=8)), "the next one counts"
