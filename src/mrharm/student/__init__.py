"""The small model that learns to explain, then to judge."""
