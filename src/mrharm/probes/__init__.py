"""Right for the right reasons? One probe a file; each takes a `Judged` and returns a record for the report."""
