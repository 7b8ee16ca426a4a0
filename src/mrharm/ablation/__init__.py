"""What each part of the method is worth: the same student without it, over seeds."""
