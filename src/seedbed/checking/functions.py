"""Anyone's loss and gradient, called with NumPy's arrays, and its derivative by differences."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seedbed.arrays import Array, one_line
from seedbed.errors import DataError, SettingError

_CONFIRMED = 100
"""Complex steps in a row that differences must come to before the others of a block are believed
without them."""
_COMPLEX_STEP = 1e-30
"""So small that a complex step has no truncation error: it takes no difference of near numbers."""


class Function:
    """f(theta) -> (loss, gradient), whatever kind of arrays it takes: NumPy's, PyTorch's, JAX's.

    names   of the blocks of parameters: a dict's keys, or theta[0], theta[1], … of a sequence
    theta   the blocks as float64 arrays
    eps     the rounding error of the numbers that f computes with

    Raises: SettingError or DataError for a theta, or an answer of f's, that cannot be meant.
    """

    def __init__(self, f: Callable[..., Any], theta: Any) -> None:
        if not callable(f):
            raise SettingError(f"f must be a function of theta, not {one_line(f)}")
        _check_arguments(f)
        self.f, self.given = f, theta
        if isinstance(theta, Mapping):
            self.names, blocks = [str(name) for name in theta], list(theta.values())
        elif isinstance(theta, list | tuple):
            self.names, blocks = [f"theta[{i}]" for i in range(len(theta))], list(theta)
        else:
            self.names, blocks = ["theta"], [theta]
        if not blocks:
            raise DataError("theta is empty: give the arrays that f takes")
        self.blocks = blocks
        self.theta = [_numbers(block, name) for block, name in zip(blocks, self.names, strict=True)]
        self.eps = max(_rounding(np.asarray(_plain(block)).dtype) for block in blocks)
        self.is_numpy = all(isinstance(block, np.ndarray | np.generic) for block in blocks)

    def in_double(self) -> Function:
        """Return the function with its parameters in float64, if they are NumPy's and f takes it.

        A loss in float32 is too coarse for differences.
        """
        if not self.is_numpy or self.eps < 1e-10:
            return self
        made: Any = [block.astype(np.float64) for block in self.blocks]
        if isinstance(self.given, Mapping):
            made = dict(zip(self.given, made, strict=True))
        elif not isinstance(self.given, list | tuple):
            made = made[0]
        finer = Function(self.f, made)
        try:
            answer = finer.answer(finer.theta)
        except Exception:  # whatever f raises when it meets another dtype than its own
            return self
        return finer if np.asarray(answer[0]).dtype.itemsize >= 8 else self

    def answer(self, theta: Sequence[Array]) -> Any:
        """Return what f returns, a pair."""
        made = [_like(block, values) for block, values in zip(self.blocks, theta, strict=True)]
        if isinstance(self.given, Mapping):
            answer = self.f(dict(zip(self.given, made, strict=True)))
        elif isinstance(self.given, list | tuple):
            kind = type(self.given)
            answer = self.f(kind(*made) if hasattr(kind, "_fields") else kind(made))
        else:
            answer = self.f(made[0])
        if not isinstance(answer, list | tuple) or len(answer) != 2:
            raise DataError(f"f must return (loss, gradient), not {one_line(answer)}")
        return answer

    def __call__(self, theta: Sequence[Array]) -> tuple[Any, list[Array]]:
        """Return the loss, a number, and the gradient's blocks, each of the shape f gave it."""
        answer = self.answer(theta)
        return self._loss(answer), self._gradient(answer[1])

    def _loss(self, answer: Any) -> Any:
        try:
            loss = np.asarray(_plain(answer[0]))
        except (TypeError, ValueError):
            loss = np.empty(0)
        if loss.size != 1 or loss.dtype.kind not in "fiuc":
            raise DataError(f"f's loss must be one number, not {one_line(answer[0])}")
        return loss.reshape(()).item()

    def _gradient(self, given: Any) -> list[Array]:
        if isinstance(self.given, Mapping):
            if not isinstance(given, Mapping) or set(given) != set(self.given):
                names = list(given) if isinstance(given, Mapping) else given
                raise DataError(
                    f"f's gradient must be a dict with theta's keys, {one_line(self.names)}, not "
                    f"{one_line(names)}"
                )
            blocks = [given[name] for name in self.given]
        elif isinstance(self.given, list | tuple):
            if not isinstance(given, list | tuple) or len(given) != len(self.names):
                raise DataError(
                    f"f's gradient must be a sequence of {len(self.names)} arrays, like theta, not "
                    f"{one_line(given)}"
                )
            blocks = list(given)
        else:
            blocks = [given]
        return [_block(block, name) for block, name in zip(blocks, self.names, strict=True)]

    def loss(self, theta: Sequence[Array]) -> Any:
        """Return the loss alone."""
        return self._loss(self.answer(theta))


def _check_arguments(f: Callable[..., Any]) -> None:
    """Refuse a function that cannot be called with theta alone.

    Raises: SettingError.
    """
    try:
        signature = inspect.signature(f)
    except (TypeError, ValueError):  # built in: whether it can, the first call shows
        return
    try:
        signature.bind(None)
    except TypeError:
        names = ", ".join(signature.parameters)
        raise SettingError(
            f"f is called with theta alone, and takes ({names}): wrap it, such as "
            "lambda theta: f(theta, X, Y)"
        ) from None


def _rounding(dtype: Any) -> float:
    """Return the rounding error of what is computed with numbers of a dtype."""
    return float(np.finfo(dtype).eps) if dtype.kind == "f" else float(np.finfo(float).eps)


def _plain(value: Any) -> Any:
    """Return the value as something that NumPy takes: without PyTorch's gradient and device."""
    if not hasattr(value, "detach"):
        return value
    value = value.detach().cpu()
    return (value if "bfloat16" not in str(value.dtype) else value.float()).numpy()


def _block(block: Any, name: str) -> Array:
    """Return a block of the gradient as f gave it.

    Raises: DataError if it is no array of numbers.
    """
    if block is None:
        raise DataError(f"f's gradient of {name} is None: f's loss does not reach it")
    try:
        array = np.array(_plain(block))
    except (TypeError, ValueError):
        array = np.empty(0, dtype=object)
    if array.dtype.kind == "c" and np.abs(array.imag).max(initial=0) < 1e-20:
        array = array.real  # a trace of complex steps, in what f keeps from call to call
    if array.dtype.kind not in "fiu" or array.size == 0:
        raise DataError(
            f"f's gradient of {name} must be an array of real numbers, not {one_line(block)}"
        )
    return array


def _numbers(block: Any, name: str) -> Array:
    try:
        array = np.asarray(_plain(block))
    except (TypeError, ValueError):
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "fiu" or array.size == 0:
        hint = "; name each array: a dict with one level" if isinstance(block, Mapping) else ""
        raise DataError(f"{name} must be an array of numbers, not {one_line(block)}{hint}")
    if not np.isfinite(array).all():
        raise DataError(f"{name} holds numbers that are not finite: check at another point")
    return array.astype(np.float64)


def _like(block: Any, values: Array) -> Any:
    """Return the values as an array of the block's kind and dtype; complex ones stay complex."""
    library = type(block).__module__.split(".")[0]
    if library == "torch":
        import torch  # here already, as the block is one of its own

        made = torch.tensor(values, dtype=block.dtype, device=block.device)
        return made.requires_grad_(block.requires_grad)
    if library in ("jax", "jaxlib"):
        import jax.numpy as jnp

        return jnp.asarray(values, dtype=block.dtype)
    array = np.asarray(block)
    real = array.dtype if array.dtype.kind == "f" else np.dtype(np.float64)
    made = values.astype(np.result_type(real, np.complex64) if values.dtype.kind == "c" else real)
    return float(made) if isinstance(block, float | int) else made


def slope(
    function: Function,
    elsewhere: Sequence[Array],
    given: Sequence[Array],
    most: int,
    random: np.random.Generator,
) -> tuple[list[Array], list[Array], str]:
    """Return the loss's derivative by each block, how far off it may be, and how it was found.

    By complex steps where they work (as they do for analytic functions of NumPy's), and by central
    differences elsewhere. A complex step is wrong, and without a sign of it, where f takes a real
    part or an absolute: so differences look at some of a block's parameters too, and at those
    where f's gradient, ``given``, is not what the complex step says. At a kink, such as relu's, the
    derivative may be anything between the slopes of either side. Where a block has more than
    ``most`` parameters, so many of them, drawn at random, are looked at, and the rest are NaN.

    How large the numbers are that f computes with is seen from its loss ``elsewhere`` too: at a
    minimum the loss itself may be next to nothing. Where both losses are numbers of float32, f is
    taken to compute in it (``function.eps``).

    Sources: Squire, Trapp 1998 (complex steps); central differences of h = ε^(1/3) and h/2, whose
    difference says how far they may be off.
    Raises: DataError if the loss is not finite there.
    """
    theta = [block.copy() for block in function.theta]
    centre = float(np.real(function.loss(theta)))
    if not np.isfinite(centre):
        raise DataError(f"f's loss is {centre} at theta: check at a point where it is finite")
    try:
        other = float(np.real(function.loss(elsewhere)))
    except Exception:  # whatever f raises where it is not defined
        other = np.nan
    scale = max(abs(centre), abs(other) if np.isfinite(other) else 0.0)
    if np.isfinite(other) and all(float(np.float32(loss)) == loss for loss in (centre, other)):
        function.eps = max(function.eps, float(np.finfo(np.float32).eps))
    slopes = [np.full(block.shape, np.nan) for block in theta]
    errors = [np.full(block.shape, np.nan) for block in theta]
    analytic = function.is_numpy and function.eps < 1e-10
    for number, (block, claimed) in enumerate(zip(theta, given, strict=True)):
        places = random.permutation(block.size)[:most]
        if claimed.size == block.size:  # the large ones first: what f hides shows on them
            places = places[np.argsort(-np.abs(claimed.ravel()[places]), kind="stable")]
        left, near = _CONFIRMED, 1e-3 * float(np.abs(claimed).max())
        for taken, place in enumerate(places):
            index = np.unravel_index(place, block.shape)
            one = _Parameter(function, theta, number, index, centre, scale)
            exact = one.complex_step() if analytic else None
            analytic = analytic and exact is not None
            claim = claimed.flat[place] if claimed.size == block.size else np.nan
            agrees = exact is not None and abs(claim - exact) <= 1e-6 * abs(exact)
            if exact is not None and (left <= 0 or (agrees and taken >= _CONFIRMED)):
                value, error = exact, one.error_of(exact)
            else:
                value, error = one.settled(exact, near)
                left = left - 1 if value == exact else _CONFIRMED  # one that is not, and all are
                if exact is not None and abs(exact - value) > 0.1 * abs(value):
                    near = 0.0
            slopes[number][index], errors[number][index] = value, error
    return slopes, errors, "complex steps" if analytic else "central differences"


@dataclass(frozen=True)
class _Parameter:
    """One parameter, by which the loss's derivative is looked for.

    theta          of all blocks; it is moved, and put back
    number, index  the parameter's block, and its place there
    centre, scale  the loss at theta, and how large the numbers are that f computes with
    """

    function: Function
    theta: list[Array]
    number: int
    index: Any
    centre: float
    scale: float

    def settled(self, exact: float | None, near: float) -> tuple[float, float]:
        """Return the derivative, and about how far off it is.

        A complex step (``exact``) is taken if differences come to it, or within ``near``: their own
        noise may be large beside a loss next to nothing. Else it is the difference that is the most
        sure of itself, of steps that grow shorter where the first is too long for f.
        """
        first = best = self.difference()
        noisy = False
        for shrink in (1.0, 1e-2, 1e-4):
            if shrink < 1:
                found = self.difference(shrink)
                # what looks like a kink, and the more so the closer one looks, is noise
                noisy = noisy or (not first[2] and not found[2] and found[1] > 10 * first[1])
                # a loss that does not move at all says nothing of a step so short
                if found[0] and found[2] and (not best[2] or found[1] < best[1]):
                    best = found
            value, error, is_smooth = best
            off = np.inf if exact is None else abs(exact - value)
            if exact is not None and (
                (off <= near and (is_smooth or noisy)) or (is_smooth and off <= 10 * error)
            ):
                return exact, self.error_of(exact)
            if exact is None and is_smooth and error <= 1e-3 * abs(value):
                break
        value, error, is_smooth = best
        return (value, error) if is_smooth else first[:2]

    def error_of(self, exact: float) -> float:
        """Return about how far off a complex step is."""
        return 1e-10 * abs(exact) + 1e-14 * self.scale

    def difference(self, shrink: float = 1.0) -> tuple[float, float, bool]:
        """Return the central difference, about how far off it is, and whether f is smooth there."""
        block = self.theta[self.number]
        here, eps = block[self.index], self.function.eps
        width = shrink * eps ** (1 / 3) * max(1.0, abs(here))
        slopes, gaps = [], []
        for h in (width, width / 2):
            ends = []
            for value in (here + h, here - h):
                block[self.index] = value
                ends.append(float(np.real(self.function.loss(self.theta))))
            slopes.append((ends[0] - ends[1]) / (2 * h))
            gaps.append(abs(ends[0] - 2 * self.centre + ends[1]) / h)  # of the slopes of each side
        block[self.index] = here
        wide, narrow = slopes
        rounding = eps * max(self.scale, 1e-300) / width
        if gaps[1] > 0.75 * gaps[0] and gaps[1] > 100 * rounding:  # a smooth one's halves with h
            return narrow, 0.055 * gaps[1], False  # ten times that is from one slope to the other
        return (4 * narrow - wide) / 3, abs(narrow - wide) + 4 * rounding, True

    def complex_step(self) -> float | None:
        """Return the derivative by a complex step; None where f takes no complex numbers."""
        moved = list(self.theta)
        moved[self.number] = moved[self.number].astype(np.complex128)
        moved[self.number][self.index] += 1j * _COMPLEX_STEP
        try:
            with np.errstate(all="ignore"):
                loss = self.function.loss(moved)
        except Exception:  # whatever f raises when it meets complex numbers
            return None
        return loss.imag / _COMPLEX_STEP if isinstance(loss, complex) else None
