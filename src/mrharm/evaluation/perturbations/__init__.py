"""Changes to pictures and texts that leave a meme's meaning alone: pure functions, seeded, each at three strengths."""
