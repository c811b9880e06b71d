"""Arrays as text, for languages that have a base64 decoder."""

from __future__ import annotations

import base64

import numpy as np
import numpy.typing as npt


def base64_of(values: npt.NDArray[np.float32 | np.float64]) -> str:
    """Return an array's numbers, little-endian and in C order, in base64."""
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return base64.b64encode(little.tobytes()).decode()
