"""Probes: is a detector right for the right reasons? One file each takes `Predictions` and returns a record."""
