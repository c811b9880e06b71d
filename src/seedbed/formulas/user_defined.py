"""Checks of user-defined formulas when they are made: slopes, shapes, and steps that share nothing.

A slope is compared with central differences of fourth order, which take any function of arrays and
are right to about 1e-11. (A complex step is exact for analytic formulas alone: it gives a wrong
slope for z |z|, and none for a formula that orders or casts its argument.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from seedbed.arrays import Array, one_line
from seedbed.errors import FormulaError

POINTS = np.array([
    -21.731, -9.1371, -5.2137, -3.5843, -2.2719, -1.3671, -0.5813, -0.0937,
    0.1093, 0.4817, 1.2673, 2.3911, 3.4157, 5.3193, 8.8391, 22.317,
]).reshape(-1, 2)  # fmt: skip
"""Where formulas are checked: far from the round numbers where they have kinks."""

_STEP = 1e-3


def is_user_defined(*formulas: Any) -> bool:
    """Return whether any of the functions or classes is not Seedbed's own."""
    return not all(
        (getattr(formula, "__module__", None) or "").startswith("seedbed.") for formula in formulas
    )


def called(what: str, signature: str, f: Callable[..., Any], *arrays: Array) -> Array:
    """Return f of arrays of one shape, as an array of that shape.

    ``what`` is the formula in messages, and ``signature`` the call.

    Raises: FormulaError if f raises, returns another shape, changes its arguments, or returns other
    values for the same arguments.
    """
    shape, given = arrays[0].shape, [array.copy() for array in arrays]
    try:
        with np.errstate(all="ignore"):
            value = np.array(f(*given))
            changed = not all(map(_equal, given, arrays))
            again = value if changed else np.asarray(f(*given))
    except Exception as error:
        reason = " ".join(str(error).split())
        raise FormulaError(
            f"{what}: {signature} raised {type(error).__name__}: {reason}; it must take arrays and "
            "work element by element, as np.exp does"
        ) from error
    if value.shape != shape or value.dtype.kind not in "fiub":
        raise FormulaError(
            f"{what}: {signature} returned {value.dtype} values of shape {value.shape} for shape "
            f"{shape}; it must work element by element and keep the shape"
        )
    if changed:
        raise FormulaError(
            f"{what}: {signature} changes its arguments in place; it must return a new array"
        )
    if not _equal(value, again):
        raise FormulaError(
            f"{what}: {signature} returns other values for the same arguments; it must not draw "
            "random numbers or remember earlier calls"
        )
    return value


def _equal(a: Array, b: Array) -> bool:
    return np.array_equal(a, b, equal_nan=True)


def check_slope(
    what: str,
    signature: str,
    f: Callable[[Array], Array],
    df: Array,
    x: Array,
    place: Callable[[tuple[int, ...]], str],
) -> None:
    """Refuse ``df`` unless it is f's derivative at x, where f is smooth; all of one shape.

    place  describes an index in messages

    Raises: FormulaError that names a place and both numbers.
    """
    middle, h = f(x), _STEP
    (up, down), (far_up, far_down) = ((f(x + k * h), f(x - k * h)) for k in (1, 2))
    near, far = (up - down) / (2 * h), (far_up - far_down) / (4 * h)
    slope = near + (near - far) / 3
    size, kink = np.maximum(np.abs(slope), 1), np.abs(up - 2 * middle + down) / h
    noise = np.abs(near - far) / size
    smooth = np.isfinite(slope) & (kink <= 0.05 * size) & (noise <= 0.01)
    is_single = bool((middle[smooth] == middle[smooth].astype(np.float32)).all())
    tolerance = (1e-3 if is_single else 1e-6) + 10 * noise
    wrong = smooth & ~(np.abs(df - slope) <= tolerance * size)  # or df is a NaN
    if not wrong.any():
        return
    at = tuple(np.argwhere(wrong)[0].tolist())
    raise FormulaError(
        f"{what}: {signature} is {df[at]:.6g} at {place(at)}, but the slope of f there is "
        f"{slope[at]:.6g}: correct df, or give surrogate=True if it is meant to differ"
    )


def check_equal(
    what: str,
    names: tuple[str, str],
    value: Array,
    other: Array,
    place: Callable[[tuple[int, ...]], str],
) -> None:
    """Refuse two results, called ``names``, that differ by more than single precision.

    Raises: FormulaError.
    """
    wrong = ~(np.abs(value - other) <= 1e-4 * np.maximum(np.abs(other), 1))
    if wrong.any():
        at = tuple(np.argwhere(wrong)[0].tolist())
        raise FormulaError(
            f"{what}: {names[0]} is {value[at]:.6g} at {place(at)}, and {names[1]} is "
            f"{other[at]:.6g}: they must be equal"
        )


def check_factor(what: str, factor: Callable[[float], float]) -> None:
    """Refuse a schedule's factor unless it returns finite numbers of at least 0.

    Raises: FormulaError.
    """
    for t in (0.0, 0.25, 0.5, 0.75, 0.999):
        try:
            value = float(factor(t))
        except Exception as error:
            raise FormulaError(
                f"{what}: factor({t:g}) raised {type(error).__name__}: {error}; it must take the "
                "share of training done, 0 <= t < 1, and return a number"
            ) from error
        if not 0 <= value < np.inf:
            raise FormulaError(
                f"{what}: factor({t:g}) is {value:g}; it must be a finite number of at least 0"
            )


def check_rule(
    what: str, rule: Callable[..., Any], arguments: Sequence[Any], state: Sequence[Array]
) -> None:
    """Refuse an optimizer's rule that breaks what ``formulas.optimizers`` says of rules.

    Shapes: arguments w and g (P, D), k, lr and, for steps by residuals, r (P, M) and J (P, M, D),
    then the state, (P, D) each, then the hyperparameters (1, 1).

    Raises: FormulaError.
    """
    members, before = len(arguments[0]), [np.copy(each) for each in arguments]

    def step(part: slice) -> tuple[Array, ...]:
        given = [each[part] if np.shape(each)[:1] == (members,) else each for each in arguments]
        try:
            with np.errstate(all="ignore"):
                found = rule(*given)
        except Exception as error:
            reason = " ".join(str(error).split())
            raise FormulaError(
                f"{what}: its rule raised {type(error).__name__}: {reason}; it is called as "
                "rule(w, g, k, lr, *state, *hyperparameters)"
            ) from error
        if not isinstance(found, tuple) or len(found) != 1 + len(state):
            kind = f"{len(found)} values" if isinstance(found, tuple) else one_line(type(found))
            raise FormulaError(
                f"{what}: its rule returned {kind}; it must return a tuple of the new w and "
                f"{len(state)} state arrays, as many as init makes"
            )
        return found

    together = step(slice(None))
    shapes = {np.shape(each) for each in together}
    if shapes != {arguments[0].shape}:
        raise FormulaError(
            f"{what}: its rule returned shapes {sorted(shapes)} for w of shape "
            f"{arguments[0].shape}; w and its state must keep that shape"
        )
    if not all(map(np.array_equal, arguments, before)):
        raise FormulaError(
            f"{what}: its rule changes its arguments in place; it must return new arrays"
        )
    alone = step(slice(1, 2))
    if not all(
        np.array_equal(a[1:], b, equal_nan=True) for a, b in zip(together, alone, strict=True)
    ):
        raise FormulaError(
            f"{what}: its rule gives a member other numbers alone than beside another; it must not "
            "reduce over the first axis, which is members"
        )
