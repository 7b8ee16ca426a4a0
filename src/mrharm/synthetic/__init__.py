"""The generated benchmark: drawn memes whose harm is in neither modality alone."""
