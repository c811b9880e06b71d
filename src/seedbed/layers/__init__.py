"""Layers: a kind of layer is one file, with its parameters, forward and backward side by side."""

from seedbed.layers.base import Layer
from seedbed.layers.dense import Dense

BY_NAME: dict[str, type[Layer]] = {"Dense": Dense}
"""The kinds of layer, by the name that a model file holds."""
