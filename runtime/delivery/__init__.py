"""Delivery of results to an MQTT broker or an HTTP receiver: at least once, in order, from a disk spool."""

from __future__ import annotations

from dmdd_edge.runtime.delivery.delivery import Delivery, DeliveryState
from dmdd_edge.runtime.delivery.factory import open_delivery
from dmdd_edge.runtime.delivery.options import DeliveryOptions

__all__ = ["Delivery", "DeliveryOptions", "DeliveryState", "open_delivery"]
