"""When to flag, when to let pass, when to ask a person."""
