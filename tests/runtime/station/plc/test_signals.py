"""The list of signals: no address twice, and registers as worked out by hand."""

from __future__ import annotations

import pytest

from dmdd_edge.runtime.station.plc.signals import (
    COMMANDS,
    NAMED,
    SIGNALS,
    STATUS,
    WIDTH,
    pack,
    touched,
    unpack,
)


@pytest.mark.parametrize("signals", [COMMANDS, STATUS])
def test_no_two_signals_share_a_place(signals) -> None:
    places = [
        (register, signal.bit)
        for signal in signals
        for register in range(signal.register, signal.register + signal.registers)
    ]
    assert len(set(places)) == len(places)
    bits = {register for register, bit in places if bit is not None}
    assert bits == {0}
    assert not bits & {register for register, bit in places if bit is None}


def test_every_signal_of_the_issue_exists() -> None:
    commands = {
        "TriggerEnable", "Trigger", "ResultAck", "ClearError", "RecipeRequest", "PartID", "Heartbeat",
    }  # fmt: skip
    status = {
        "Online", "Ready", "TriggerAck", "Busy", "ResultValid", "Pass", "Fail", "Suspect", "Unreliable",
        "QueueOverflow", "Fault", "ErrorCode", "RecipeCurrent", "AcquisitionID", "PartID", "ScoreX10000",
        "RegionCount", "LatencyMs", "Heartbeat",
    }  # fmt: skip
    assert commands <= set(NAMED["command"])
    assert status <= set(NAMED["status"])
    assert len({signal.node for signal in SIGNALS}) == len(SIGNALS)


def test_registers_are_those_worked_out_by_hand() -> None:
    assert pack("command", {"Trigger": 1, "Heartbeat": 1, "RecipeRequest": 7, "PartID": 0x12345678}) == (
        0b10010, 7, 0x1234, 0x5678, 0, 0,
    )  # fmt: skip
    status = {
        "Online": 1, "ResultValid": 1, "Pass": 1, "Heartbeat": 1, "ErrorCode": 99, "RecipeCurrent": 65535,
        "AcquisitionID": 65536, "PartID": 2, "ScoreX10000": 10000, "RegionCount": 3, "LatencyMs": 12,
        "EncoderCount": 0xFFFFFFFF,
    }  # fmt: skip
    expected = (0b1000_0011_0001, 99, 65535, 1, 0, 0, 2, 10000, 3, 12, 0xFFFF, 0xFFFF)
    assert pack("status", status) == expected
    back = unpack("status", expected)
    assert {name: value for name, value in back.items() if value} == status


def test_unused_bits_are_ignored_and_wrong_values_refused() -> None:
    assert sum(unpack("command", [0xFFE0, 0, 0, 0, 0, 0]).values()) == 0
    for name, value in (("Trigger", 2), ("RecipeRequest", 65536), ("PartID", -1)):
        with pytest.raises(ValueError, match=f"{name} must be 0.."):
            pack("command", {name: value})


def test_half_a_double_word_is_that_signal() -> None:
    assert list(touched("command", 3, 1)) == ["PartID"]
    assert list(touched("command", 1, 2)) == ["RecipeRequest", "PartID"]
    assert set(touched("command", 0, 1)) == {signal.name for signal in COMMANDS if signal.bit is not None}


def test_the_bit_of_the_band_is_the_twelfth_and_moves_no_other() -> None:
    assert pack("status", {"InBand": 1, "Suspect": 1})[0] == 1 << 12 | 1 << 7
    assert WIDTH["status"] == 12
