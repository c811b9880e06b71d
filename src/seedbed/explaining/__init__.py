"""Every number of one pass forward, one back and one step, as the engine computes them."""

from seedbed.explaining.explanation import Explanation, Number
from seedbed.explaining.step import explain

__all__ = ["Explanation", "Number", "explain"]
