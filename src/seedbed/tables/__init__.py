"""Table files to arrays and back."""
