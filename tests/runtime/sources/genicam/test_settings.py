from __future__ import annotations

import pytest

from dmdd_edge.errors import OptionError, SourceError
from dmdd_edge.runtime.sources.genicam.address import parse_address
from dmdd_edge.runtime.sources.genicam.interface import Feature
from dmdd_edge.runtime.sources.genicam.settings import apply_settings, completed, in_order
from dmdd_edge.runtime.sources.options import SourceOptions
from tests.runtime.sources.genicam.scripted import ScriptedCamera


def trade_camera() -> ScriptedCamera:
    return ScriptedCamera(
        [
            Feature("Width", "integer", 40, minimum=8, maximum=60, increment=4),
            Feature("Height", "integer", 40, minimum=8, maximum=100, increment=1),
            Feature("OffsetX", "integer", 40, minimum=0, maximum=60, increment=2),
            Feature("OffsetY", "integer", 0, minimum=0, maximum=60),
            Feature("ExposureTime", "float", 5000.0, minimum=10, maximum=1e6, unit="us"),
            Feature("ExposureAuto", "enumeration", "Off", entries=("Off", "Once", "Continuous")),
            Feature("GainRaw", "integer", 3, minimum=0, maximum=48),
            Feature("AcquisitionFrameRate", "float", 30.0, minimum=1, maximum=120),
            Feature("AcquisitionFrameRateEnable", "boolean", False),
            Feature("AcquisitionMode", "enumeration", "SingleFrame", entries=("Continuous", "SingleFrame")),
            Feature("TriggerSelector", "enumeration", "LineStart", entries=("FrameStart", "LineStart")),
            Feature("TriggerMode", "enumeration", "Off", entries=("On", "Off")),
            Feature("TriggerSource", "enumeration", "Line1", entries=("Line1", "Software")),
            Feature("LineSelector", "enumeration", "Line1", entries=("Line1", "Line2")),
            Feature("LineInverter", "boolean", False),
            Feature("DeviceUserID", "string", ""),
            Feature("DeviceModelName", "string", "Model", writable=False),
            Feature("UserSetLoad", "command"),
            Feature("ChunkTimestamp", "integer", available=False),
        ]
    )


def test_the_address_is_read_with_its_settings_decoded() -> None:
    address = parse_address("genicam://SN-1%2F2?ExposureTime=2000&DeviceUserID=left%20%26+right%3D1")
    assert address.serial == "SN-1/2"
    assert address.settings == (("ExposureTime", "2000"), ("DeviceUserID", "left &+right=1"))
    assert parse_address("genicam://").serial == ""
    assert parse_address("genicam://?Gain=1").settings == (("Gain", "1"),)
    assert parse_address("genicam://12/?Gain=1").serial == "12"


@pytest.mark.parametrize("host", ["admin:secret@camera", "camera/main", "[::1]", "two words", "admin:secret"])
def test_an_address_of_another_kind_is_refused_without_its_password(host: str) -> None:
    with pytest.raises(SourceError, match="What follows genicam:// is not a serial number") as caught:
        parse_address(f"genicam://{host}?password=secret")
    assert "secret" not in str(caught.value)
    assert "genicam://SERIAL?FEATURE=VALUE" in caught.value.fix


@pytest.mark.parametrize("query", ["ExposureTime", "=3", "ExposureTime=", "Gain=1&&Width=2"])
def test_a_setting_without_a_name_or_a_value_is_refused(query: str) -> None:
    with pytest.raises(SourceError, match="is not FEATURE=VALUE"):
        parse_address(f"genicam://1?{query}")


def test_the_order_is_that_which_cameras_need() -> None:
    written = [
        *(("TriggerMode", "On"), ("OffsetX", "8"), ("Gain", "1"), ("VendorThing", "1"), ("Width", "64")),
        *(("ExposureTime", "100"), ("TriggerSource", "Software"), ("ExposureAuto", "Off")),
        *(("TriggerSelector", "FrameStart"), ("PixelFormat", "Mono8"), ("UserSetLoad", "1")),
    ]
    assert [name for name, _ in in_order(written)] == [
        *("UserSetLoad", "PixelFormat", "Width", "OffsetX", "ExposureAuto", "ExposureTime", "Gain"),
        *("VendorThing", "TriggerSelector", "TriggerSource", "TriggerMode"),
    ]


def test_the_order_of_a_user_who_writes_a_feature_twice_is_kept() -> None:
    written = [
        *(("LineSelector", "Line2"), ("LineInverter", "true")),
        *(("LineSelector", "Line1"), ("LineInverter", "false")),
    ]
    camera = trade_camera()
    settings = completed(camera, written, SourceOptions())
    assert settings == [("AcquisitionMode", "Continuous"), *written]
    phrases = apply_settings(camera, settings, "camera")
    assert camera.done[1:] == [
        *("LineSelector=Line2", "LineInverter=True", "LineSelector=Line1", "LineInverter=False")
    ]
    assert phrases == [
        *("LineSelector Line2", "LineInverter true", "LineSelector Line1", "LineInverter false"),
        "AcquisitionMode Continuous",
    ]


def test_a_trigger_gets_what_it_needs() -> None:
    camera = trade_camera()
    settings = completed(camera, [("TriggerMode", "On")], SourceOptions())
    apply_settings(camera, settings, "camera")
    assert camera.done == ["AcquisitionMode=Continuous", "TriggerSelector=FrameStart", "TriggerMode=On"]

    written = [("TriggerMode", "On"), ("TriggerSelector", "LineStart"), ("AcquisitionMode", "SingleFrame")]
    assert completed(camera, written, SourceOptions()) == [
        *(("AcquisitionMode", "SingleFrame"), ("TriggerSelector", "LineStart"), ("TriggerMode", "On"))
    ]


def test_an_image_that_grows_is_moved_first_and_put_back_as_far_as_it_fits() -> None:
    camera = trade_camera()
    apply_settings(camera, [("Width", "80")], "camera")
    assert camera.done == ["OffsetX=0", "Width=80", "OffsetX=20"]

    camera = trade_camera()
    apply_settings(camera, in_order([("OffsetX", "10"), ("Width", "80")]), "camera")
    assert camera.done == ["OffsetX=0", "Width=80", "OffsetX=10"]


def test_the_options_of_run_are_features_in_the_camera_s_units() -> None:
    camera = trade_camera()
    options = SourceOptions(exposure=2.5, gain=7, camera_fps=25, camera_size=(32, 24))
    phrases = apply_settings(camera, completed(camera, [], options), "camera")
    assert phrases == [
        *("Width 32", "Height 24", "AcquisitionMode Continuous", "ExposureAuto Off"),
        *("AcquisitionFrameRateEnable true", "ExposureTime 2500 us", "AcquisitionFrameRate 25", "GainRaw 7"),
    ]
    with pytest.raises(OptionError, match=r"--exposure and ExposureTime=9 set the same"):
        completed(camera, [("ExposureTime", "9")], options)
    del camera.features["GainRaw"]
    with pytest.raises(OptionError, match=r"does not support --gain; it lacks Gain and GainRaw"):
        completed(camera, [], options)


def test_what_the_camera_took_is_said_when_it_differs() -> None:
    camera = trade_camera()
    camera.step = {"ExposureTime": 14.0}
    wanted = [("ExposureTime", "2000"), ("DeviceUserID", "left"), ("UserSetLoad", "1")]
    assert apply_settings(camera, wanted, "camera") == [
        *("UserSetLoad executed", "ExposureTime 1988 us (requested: 2000)", "DeviceUserID left")
    ]


def test_a_locked_feature_with_the_wanted_value_is_no_error() -> None:
    camera = trade_camera()
    assert apply_settings(camera, [("DeviceModelName", "Model")], "camera") == ["DeviceModelName Model"]
    assert camera.done == []


@pytest.mark.parametrize(
    ("setting", "message", "fix"),
    [
        (("ExposureTim", "1"), "camera has no feature ExposureTim.", "Did you mean 'ExposureTime'?"),
        (("ChunkTimestamp", "1"), "ChunkTimestamp is not available", "Another feature"),
        (("DeviceModelName", "x"), "DeviceModelName is read-only now; its value is Model.", "Leave it out"),
        (("ExposureTime", "5"), "camera does not accept ExposureTime=5.", "from 10 to 1000000 us"),
        (("ExposureTime", "nan"), "camera does not accept ExposureTime=nan.", "from 10 to 1000000 us"),
        (("ExposureTime", "2ms"), "camera does not accept ExposureTime=2ms.", "Write a number from 10"),
        (("Height", "101"), "camera does not accept Height=101.", "from 8 to 100"),
        (("Height", "2.5"), "camera does not accept Height=2.5.", "Write a whole number from 8 to 100"),
        (("Width", "42"), "camera does not accept Width=42.", "in steps of 4; choose 40 or 44"),
        (("TriggerMode", "on"), "camera does not accept TriggerMode=on.", "Did you mean 'On'?"),
        (("LineInverter", "maybe"), "camera does not accept LineInverter=maybe.", "Write true or false."),
    ],
)
def test_a_value_that_the_camera_cannot_take_is_one_clear_message(
    setting: tuple[str, str], message: str, fix: str
) -> None:
    with pytest.raises(OptionError) as caught:
        apply_settings(trade_camera(), [setting], "camera")
    assert message in caught.value.message
    assert fix in caught.value.fix


def test_the_automatic_that_locks_a_value_is_named() -> None:
    camera = trade_camera()
    camera.features["ExposureAuto"] = Feature("ExposureAuto", "enumeration", "Continuous")
    camera.features["ExposureTime"] = Feature("ExposureTime", "float", 50.0, writable=False)
    with pytest.raises(OptionError) as caught:
        apply_settings(camera, [("ExposureTime", "100")], "camera")
    assert caught.value.message == "camera: ExposureTime cannot be set while ExposureAuto is Continuous."
    assert caught.value.fix == "Write ExposureAuto=Off before it."
