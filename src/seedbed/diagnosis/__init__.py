"""What is wrong with a trained population, and what mends it."""
