"""check_gradient(): compares a gradient with its loss's derivative and names the mistakes."""
