"""diagnose(): what is wrong with a trained population, and the remedy."""
