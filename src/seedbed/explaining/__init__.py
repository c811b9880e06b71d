"""Every number of one training step: forward pass, backward pass, update."""

from seedbed.explaining.explanation import Explanation, Number
from seedbed.explaining.step import explain

__all__ = ["Explanation", "Number", "explain"]
