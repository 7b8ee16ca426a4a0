"""Plots with their intervals, as self-contained SVG: one kind a file. Only here is matplotlib imported."""
