"""Delivery of results to a broker or a receiver: at least once, in order, through a spool on the disk."""

from __future__ import annotations

from dmdd_edge.runtime.delivery.delivery import Delivery, DeliveryState
from dmdd_edge.runtime.delivery.factory import open_delivery
from dmdd_edge.runtime.delivery.options import DeliveryOptions

__all__ = ["Delivery", "DeliveryOptions", "DeliveryState", "open_delivery"]
