"""How good, and for the right reasons."""
