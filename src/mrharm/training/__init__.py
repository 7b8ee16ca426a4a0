"""Two stages: reasoning distillation, then harmfulness inference."""
