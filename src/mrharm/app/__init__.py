"""The faces: command line, service, review."""
