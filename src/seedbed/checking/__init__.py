"""Is this gradient right, and if not, which mistake is it?"""
