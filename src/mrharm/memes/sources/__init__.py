"""One file a family of published datasets."""
