"""Read the words on a picture: where text is, what it says, in which order it is read."""
