"""Layers: one file for each kind, with its parameters, forward and backward pass."""

from seedbed.layers.base import Layer
from seedbed.layers.dense import Dense
from seedbed.layers.embedding import Embedding
from seedbed.layers.periodic import Periodic

BY_NAME: dict[str, type[Layer]] = {kind.__name__: kind for kind in (Dense, Embedding, Periodic)}
"""The kinds of layer, by their names in model files."""
