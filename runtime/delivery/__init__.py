"""Delivery of results to a broker or a receiver: at least once, in order, through a spool on the disk."""
