"""What was posted: importers, one file a family, and the dataset folder they all write."""
