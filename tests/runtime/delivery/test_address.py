"""Addresses: what they mean, and that no message shows their secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.delivery.address import (
    MqttAddress,
    WebhookAddress,
    folder_name,
    parse_mqtt,
    parse_webhook,
)


@pytest.fixture(autouse=True)
def no_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DMDD_MQTT_USER", raising=False)
    monkeypatch.delenv("DMDD_MQTT_PASSWORD", raising=False)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://broker/line", MqttAddress("broker", 1883, "line")),
        ("mqtts://broker/line", MqttAddress("broker", 8883, "line", tls=True)),
        (
            "mqtt://u:p@10.0.0.7:1999/plant/line%203",
            MqttAddress("10.0.0.7", 1999, "plant/line 3", user="u", password="p"),
        ),
        ("mqtt://u%40x:p%2F%3A@h/t", MqttAddress("h", 1883, "t", user="u@x", password="p/:")),
        ("mqtt://[::1]/t", MqttAddress("::1", 1883, "t")),
        (
            "mqtt://h/t?client_id=press%203&keepalive=15",
            MqttAddress("h", 1883, "t", client_id="press 3", keepalive=15),
        ),
    ],
)
def test_a_broker_and_a_topic(url: str, address: MqttAddress) -> None:
    assert parse_mqtt(url) == address


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://h", WebhookAddress("h", 80, "/", False)),
        ("https://h/a/b?c=d", WebhookAddress("h", 443, "/a/b?c=d", True)),
        ("https://u:p%20q@h:8443/a", WebhookAddress("h", 8443, "/a", True, "u", "p q")),
    ],
)
def test_a_receiver(url: str, address: WebhookAddress) -> None:
    assert parse_webhook(url) == address


def test_the_environment_holds_user_and_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMDD_MQTT_USER", "line")
    monkeypatch.setenv("DMDD_MQTT_PASSWORD", "hidden")
    assert parse_mqtt("mqtt://h/t") == MqttAddress("h", 1883, "t", user="line", password="hidden")
    # One who is named in the address comes with his own password, or none.
    assert parse_mqtt("mqtt://other@h/t") == MqttAddress("h", 1883, "t", user="other")


def test_certificates_are_files_that_are_there(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("")
    assert parse_mqtt(f"mqtts://h/t?ca={ca}").ca == ca
    with pytest.raises(DmddError, match=r"the file .*key\.pem does not exist"):
        parse_mqtt(f"mqtts://h/t?ca={ca}&key={tmp_path / 'key.pem'}")
    with pytest.raises(DmddError, match="certificates require mqtts"):
        parse_mqtt(f"mqtt://h/t?ca={ca}")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("broker/line", "not an address of the form mqtt:// or mqtts://"),
        ("tcp://broker/line", "not an address of the form"),
        ("mqtt:///line", "not an address of the form"),
        ("mqtt://h:port/line", "not an address of the form"),
        ("mqtt://h:99999/line", "not an address of the form"),
        ("mqtt://h", "the topic is missing or contains"),
        ("mqtt://h/", "the topic is missing or contains"),
        ("mqtt://h/a/#", "the topic is missing or contains"),
        ("mqtt://h/a/+/b", "the topic is missing or contains"),
        ("mqtt://h/t?qos=2", "unknown setting 'qos'"),
        ("mqtt://h/t?keepalive=0", "keepalive must be 5 to 65535 seconds, not '0'"),
    ],
)
def test_what_is_not_a_broker(url: str, message: str) -> None:
    with pytest.raises(DmddError, match=message):
        parse_mqtt(url)


@pytest.mark.parametrize(
    "url", ["h/a", "ftp://h/a", "https:///a", "http://h:x/a", "http://h/a b", "http://h/ä"]
)
def test_what_is_not_a_receiver(url: str) -> None:
    with pytest.raises(DmddError, match=r"^--webhook"):
        parse_webhook(url)


@pytest.mark.parametrize(
    "url",
    [
        "mqtt://user:hunter2@h/+",
        "mqtt://user:hunter2@h:port/t",
        "mqtt://user:hun/ter2@h/t",
        "mqtt://user:hun@ter2@h/#",
        "mqtt:user:hunter2@h",
        "user:hunter2@h/t",
        "mqtt://h/t?password=hunter2",
    ],
)
def test_an_error_shows_no_password(url: str) -> None:
    with pytest.raises(DmddError) as caught:
        parse_mqtt(url)
    assert "hunter2" not in str(caught.value)
    assert "ter2" not in str(caught.value).replace("after", "")


def test_names_show_no_secret() -> None:
    assert parse_mqtt("mqtts://user:hunter2@h/a/b?client_id=x").name == "mqtts://h:8883/a/b"
    slack = parse_webhook("https://hooks.example.com/services/T024BE7LD/aB3dE5gH7jK9mN1pQ3?key=hunter2")
    assert slack.name == "https://hooks.example.com:443/services/T024BE7LD/***?***"
    assert "hunter2" not in repr(slack)
    assert "aB3dE5gH7jK9mN1pQ3" not in repr(slack) + folder_name(slack)
    assert "hunter2" not in repr(parse_mqtt("mqtt://user:hunter2@h/a"))


def test_each_destination_has_a_folder_of_its_own_whoever_connects() -> None:
    urls = ["mqtt://h/a", "mqtt://h/b", "mqtts://h/a", "mqtt://h:1884/a", "mqtt://h/a/b", "mqtt://h/a-b"]
    names = {folder_name(parse_mqtt(url)) for url in urls}
    assert len(names) == len(urls)
    assert folder_name(parse_mqtt("mqtt://u:p@h/a?keepalive=9")) == folder_name(parse_mqtt("mqtt://h:1883/a"))
    hooks = {folder_name(parse_webhook(f"http://h/a?line={n}")) for n in range(3)}
    assert len(hooks) == 3
    for name in names | hooks:
        assert name.replace("-", "").replace(".", "").isalnum()
        assert not name.startswith((".", "-"))
