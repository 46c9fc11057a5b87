"""The live page of a station: cameras, inspections, recipes, counts and the PLC's signals.

``/`` is the page, ``/metrics`` is for Prometheus, ``/healthz`` for the monitoring of the machine,
``/api/state`` has the same as JSON.
"""

from __future__ import annotations

from dmdd_edge.runtime.station.page.page import StationPage, open_station_page
from dmdd_edge.runtime.station.page.view import StationView

__all__ = ["StationPage", "StationView", "open_station_page"]
