"""Captioners, a file each: what the dataset recorded, a local model, a hosted one."""
