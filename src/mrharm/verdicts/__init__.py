"""What we say of a meme: the only inference path."""
