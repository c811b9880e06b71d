"""A better method, or a luckier seed? What may honestly be said of runs from the same seeds."""
