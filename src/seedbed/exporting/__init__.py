"""Trained models as source code of other languages, with the same bits."""
