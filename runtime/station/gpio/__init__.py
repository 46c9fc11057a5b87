"""24 V lines: ready, pass, reject and fault as outputs, the trigger as an input."""

from dmdd_edge.runtime.station.gpio.access import check_gpio
from dmdd_edge.runtime.station.gpio.gpio import Gpio

__all__ = ["Gpio", "check_gpio"]
