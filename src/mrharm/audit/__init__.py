"""Can this data be trusted? One look at a dataset folder, before anyone trains on it."""
