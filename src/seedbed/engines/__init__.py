"""Engines: they carry out training steps and predictions."""
