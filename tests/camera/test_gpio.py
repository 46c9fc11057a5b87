"""Real GPIO lines: ``gpio-sim``, the kernel's simulated chip. ``make test-camera`` runs this where it is.

What only the kernel can show: that lines have safe levels from the first moment, that edges are stamped,
debounced and never lost, who holds a line, and what is left of a line when its program is killed.
"""

from __future__ import annotations

import grp  # noqa: F401 - what the check imports must be there before the user is nobody
import multiprocessing
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from dmdd_edge.runtime.station.gpio import Gpio, check_gpio, trigger
from dmdd_edge.runtime.station.model import StationState
from dmdd_edge.runtime.station.settings import GpioSettings, LineSettings
from tests.runtime.station.gpio.desk import FakeDesk, verdict

#: Seconds for what takes a moment on a real machine; the guest's processor is emulated.
PATIENCE = 120
CONFIG = Path("/sys/kernel/config")
#: A new interpreter takes minutes to start in the guest.
FORK = multiprocessing.get_context("fork")
READY, PASS, REJECT, FAULT, TRIGGER = range(5)
WORKING = StationState(online=True, ready=True)


class Chip:
    """A simulated chip, and what a multimeter and a push button would be."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._bank = folder, folder / "bank0"
        self._bank.mkdir(parents=True)
        (self._bank / "num_lines").write_text("8")
        self.plug(True)

    def plug(self, live: bool) -> None:
        (self._folder / "live").write_text(str(int(live)))

    @property
    def device(self) -> str:
        return f"/dev/{(self._bank / 'chip_name').read_text().strip()}"

    def _attribute(self, line: int, name: str) -> Path:
        platform = Path("/sys/devices/platform") / (self._folder / "dev_name").read_text().strip()
        return platform / Path(self.device).name / f"sim_gpio{line}" / name

    def level(self, line: int) -> int:
        return int(self._attribute(line, "value").read_text())

    def levels(self, *lines: int) -> list[int]:
        return [self.level(line) for line in lines]

    def pull(self, line: int, up: bool) -> None:
        self._attribute(line, "pull").write_text("pull-up" if up else "pull-down")

    def remove(self) -> None:
        self.plug(False)
        self._bank.rmdir()
        self._folder.rmdir()


@pytest.fixture
def chip() -> Iterator[Chip]:
    if os.geteuid() or not CONFIG.is_dir():
        pytest.skip("needs root and configfs; make test-camera boots a guest that has both")
    if not (CONFIG / "gpio-sim").is_dir():
        subprocess.run(["mount", "-t", "configfs", "none", CONFIG], check=False, capture_output=True)
    if not (CONFIG / "gpio-sim").is_dir():
        pytest.skip("the module gpio-sim is not loaded; make test-camera builds it where it can")
    chip = Chip(CONFIG / "gpio-sim" / f"dmdd{os.getpid()}")
    yield chip
    chip.remove()


def lines(chip: Chip, **changes: object) -> GpioSettings:
    values = {
        "ready": LineSettings(line=READY),
        "pass_": LineSettings(line=PASS),
        "reject": LineSettings(line=REJECT),
        "fault": LineSettings(line=FAULT, active="low"),
        "trigger": LineSettings(line=TRIGGER),
    }
    return GpioSettings(**{"chip": chip.device, "debounce_ms": 0.0, **values, **changes})


def until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


@contextmanager
def opened(settings: GpioSettings) -> Iterator[tuple[Gpio, FakeDesk, list[str]]]:
    desk, trouble = FakeDesk(), []
    gpio = Gpio(settings, desk, trouble=trouble.append)
    try:
        yield gpio, desk, trouble
    finally:
        gpio.close()


def test_from_the_first_level_to_the_last(chip: Chip) -> None:
    with opened(lines(chip)) as (gpio, desk, trouble):
        assert chip.levels(READY, PASS, REJECT, FAULT) == [0, 0, 1, 1]
        gpio.changed(WORKING)
        until(lambda: chip.level(READY) == 1)
        before = time.perf_counter()
        chip.pull(TRIGGER, up=True)
        after = time.perf_counter()
        until(lambda: desk.last == 1)
        assert before <= desk.times[0] <= after
        gpio.part(verdict(1))
        until(lambda: chip.levels(PASS, REJECT) == [1, 0])
        chip.pull(TRIGGER, up=False)
        chip.pull(TRIGGER, up=True)
        until(lambda: chip.levels(PASS, REJECT) == [0, 1])
        gpio.part(verdict(2))
        until(lambda: chip.levels(PASS, REJECT) == [1, 0])
        gpio.changed(StationState(online=True, fault=True))
        until(lambda: chip.levels(READY, PASS, REJECT, FAULT) == [0, 0, 1, 0])
        assert trouble == []
    assert check_gpio(lines(chip)) == []  # released


def test_a_bouncing_contact_triggers_once(chip: Chip) -> None:
    with opened(lines(chip, debounce_ms=500.0)) as (_, desk, _):
        for _ in range(5):
            chip.pull(TRIGGER, up=True)
            chip.pull(TRIGGER, up=False)
        chip.pull(TRIGGER, up=True)
        until(lambda: desk.last == 1)
        time.sleep(1.5)
        assert desk.last == 1


def test_edges_wait_in_the_kernel_while_the_program_is_busy(
    chip: Chip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trigger, "STALE", 3600)
    with opened(lines(chip)) as (_, desk, _):
        with desk.busy:
            for _ in range(40):
                chip.pull(TRIGGER, up=True)
                chip.pull(TRIGGER, up=False)
                time.sleep(0.05)  # the kernel itself merges edges that come before its thread has run
            assert len(desk.times) <= 1
        until(lambda: desk.last == 40)
        assert len(set(desk.times)) == 40
        assert desk.times == sorted(desk.times)
        assert desk.times[-1] - desk.times[0] >= 39 * 0.05


def test_a_trigger_that_is_active_at_zero_volts(chip: Chip) -> None:
    chip.pull(TRIGGER, up=True)
    with opened(lines(chip, trigger=LineSettings(line=TRIGGER, active="low"))) as (_, desk, _):
        chip.pull(TRIGGER, up=False)
        until(lambda: desk.last == 1)
        chip.pull(TRIGGER, up=True)
        chip.pull(TRIGGER, up=False)
        until(lambda: desk.last == 2)


def test_pulses_come_in_order_and_are_whole(chip: Chip) -> None:
    pulsed = lines(
        chip,
        pass_=LineSettings(line=PASS, pulse_ms=300, delay_ms=300),
        reject=LineSettings(line=REJECT, pulse_ms=300, delay_ms=300),
    )
    with opened(pulsed) as (gpio, _, _):
        gpio.changed(WORKING)
        part = verdict(1)
        gpio.part(part)
        until(lambda: chip.level(PASS) == 1)
        begun = time.perf_counter()
        assert begun >= part.trigger.since + 0.3
        until(lambda: chip.level(PASS) == 0)
        assert time.perf_counter() - part.trigger.since >= 0.6
        assert chip.level(REJECT) == 0
        gpio.part(verdict(2, good=False))
        until(lambda: chip.level(REJECT) == 1)
        assert chip.level(PASS) == 0


def test_a_second_program_is_told_who_holds_the_lines(chip: Chip) -> None:
    with opened(lines(chip)):
        problems = check_gpio(lines(chip))
        assert len(problems) == 5
        assert f"line 0 of {chip.device} is in use by 'dmdd-edge'." in problems[0].message


def look_as_nobody(device: str, answers: Connection) -> None:
    """Send what somebody without any permission learns."""
    os.setgid(65534)
    os.setuid(65534)
    answers.send([(problem.message, problem.fix) for problem in check_gpio(GpioSettings(chip=device))])


def test_who_may_not_open_the_chip_learns_how(chip: Chip) -> None:
    check_gpio(GpioSettings(chip=chip.device))  # imports what nobody may not read
    ours, theirs = FORK.Pipe()
    process = FORK.Process(target=look_as_nobody, args=(chip.device, theirs))
    process.start()
    assert ours.poll(PATIENCE)
    [(message, fix)] = ours.recv()
    process.join(PATIENCE)
    assert message == f"[gpio] chip: this user may not open {chip.device}."
    assert "/etc/udev/rules.d/60-gpio.rules" in fix


def hold_pass(device: str) -> None:
    """Say pass until the end."""
    gpio = Gpio(GpioSettings(chip=device, pass_=LineSettings(line=PASS)), FakeDesk())
    gpio.changed(WORKING)
    gpio.part(verdict(1))
    time.sleep(3600)


def test_after_a_kill_the_pull_resistor_decides(chip: Chip) -> None:
    chip.pull(PASS, up=False)
    process = FORK.Process(target=hold_pass, args=(chip.device,))
    process.start()
    try:
        until(lambda: chip.level(PASS) == 1)
        process.kill()
        process.join(PATIENCE)
        assert process.exitcode == -signal.SIGKILL
        until(lambda: chip.level(PASS) == 0)
        assert check_gpio(lines(chip)) == []
    finally:
        process.kill()
        process.join()


def test_a_chip_that_is_unplugged_comes_back_with_safe_levels(chip: Chip, tmp_path: Path) -> None:
    link = (
        tmp_path / "chip"
    )  # as udev makes them: the kernel gives it another number while the old one is used
    link.symlink_to(chip.device)
    settings = replace(lines(chip), chip=str(link))
    with opened(settings) as (gpio, desk, trouble):
        gpio.changed(WORKING)
        gpio.part(verdict(1))
        until(lambda: chip.level(PASS) == 1)
        chip.plug(False)
        until(lambda: any("cannot be driven" in text and "cannot be read" in text for text in trouble))
        gpio.changed(StationState(online=True, fault=True))
        chip.plug(True)
        link.unlink()
        link.symlink_to(chip.device)
        until(lambda: trouble[-1] == "")
        until(lambda: chip.levels(READY, PASS, REJECT, FAULT) == [0, 0, 1, 0])
        gpio.changed(WORKING)
        chip.pull(TRIGGER, up=True)
        until(lambda: desk.last == 1)
