"""What can be seen in a meme: its text, the picture beneath it, a caption."""
