"""A station: several cameras, inspections and recipes in one process, driven by a PLC."""
