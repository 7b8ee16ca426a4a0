"""Why a meme has its label, says a teacher."""
