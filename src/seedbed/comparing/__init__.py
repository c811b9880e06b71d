"""Comparisons of methods trained from the same seeds, and searches for better settings."""
