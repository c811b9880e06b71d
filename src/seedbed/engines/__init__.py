"""What carries out the steps. ``work`` says what an engine is given and what it changes."""
