"""Calls a user's loss and gradient with NumPy arrays."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from seedbed.arrays import Array, one_line
from seedbed.errors import DataError, SettingError


class Function:
    """f(theta) -> (loss, gradient), for arrays of NumPy, PyTorch or JAX.

    names   of the blocks of parameters: a dict's keys, or theta[0], theta[1], … of a sequence
    theta   the blocks as float64 arrays
    eps     the rounding error of f's arithmetic
    updated  the numbers of the blocks that f has changed during a call

    Raises: SettingError or DataError for an invalid theta or result.
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
        self.updated: set[int] = set()
        self.theta = [
            _parameters(block, name) for block, name in zip(blocks, self.names, strict=True)
        ]
        self.eps = max(_eps_of(np.asarray(_to_numpy(block)).dtype) for block in blocks)
        self.is_numpy = all(isinstance(block, np.ndarray | np.generic) for block in blocks)

    def in_float64(self) -> Function:
        """Return the function with NumPy parameters in float64, if f accepts them.

        A loss in float32 is too coarse for differences.
        """
        if not self.is_numpy or self.eps < 1e-10:
            return self
        finer = Function(self.f, self._like_theta([b.astype(np.float64) for b in self.blocks]))
        try:
            result = finer.result(finer.theta)
        except Exception:  # f may raise anything on another dtype than its own
            return self
        return finer if np.asarray(result[0]).dtype.itemsize >= 8 else self

    def result(self, theta: Sequence[Array], watch: bool = False) -> Any:
        """Return f's result, a pair; note the blocks that it changes if ``watch``."""
        blocks = [_convert(array, block) for array, block in zip(theta, self.blocks, strict=True)]
        argument = self._like_theta(blocks)
        before = [_numeric(block) for block in blocks] if watch else []
        result = self.f(argument)
        self._note_updates(argument, before)
        if not isinstance(result, list | tuple) or len(result) != 2:
            raise DataError(f"f must return (loss, gradient), not {one_line(result)}")
        return result

    def _note_updates(self, argument: Any, before: Sequence[Array]) -> None:
        """Note the blocks of f's argument that are not what they were before the call."""
        if isinstance(argument, Mapping):
            after = [argument.get(name) for name in self.given]
        else:
            after = list(argument) if isinstance(self.given, list | tuple) else [argument]
        for number, (block, old) in enumerate(zip(after, before, strict=False)):
            if block is not None and not np.array_equal(_numeric(block), old):
                self.updated.add(number)

    def _like_theta(self, blocks: Sequence[Any]) -> Any:
        """Return the blocks as a dict, a sequence or one array, as theta was given."""
        if isinstance(self.given, Mapping):
            return dict(zip(self.given, blocks, strict=True))
        if isinstance(self.given, list | tuple):
            kind = type(self.given)
            return kind(*blocks) if hasattr(kind, "_fields") else kind(blocks)
        return blocks[0]

    def __call__(self, theta: Sequence[Array]) -> tuple[Any, list[Array]]:
        """Return the loss, a number, and the gradient's blocks in the shapes that f returned."""
        result = self.result(theta, watch=True)
        return self._loss(result), self._gradient(result[1])

    def _loss(self, result: Any) -> Any:
        loss = _numeric(result[0])
        if loss.size != 1 or loss.dtype.kind not in "fiuc":
            raise DataError(f"f's loss must be one number, not {one_line(result[0])}")
        return loss.reshape(()).item()

    def _gradient(self, gradient: Any) -> list[Array]:
        if isinstance(self.given, Mapping):
            if not isinstance(gradient, Mapping) or set(gradient) != set(self.given):
                names = list(gradient) if isinstance(gradient, Mapping) else gradient
                raise DataError(
                    f"f's gradient must be a dict with theta's keys, {one_line(self.names)}, not "
                    f"{one_line(names)}"
                )
            blocks = [gradient[name] for name in self.given]
        elif isinstance(self.given, list | tuple):
            if not isinstance(gradient, list | tuple) or len(gradient) != len(self.names):
                raise DataError(
                    f"f's gradient must be a sequence of {len(self.names)} arrays, like theta, not "
                    f"{one_line(gradient)}"
                )
            blocks = list(gradient)
        else:
            blocks = [gradient]
        return [
            _gradient_block(block, name) for block, name in zip(blocks, self.names, strict=True)
        ]

    def loss(self, theta: Sequence[Array]) -> Any:
        """Return the loss alone."""
        return self._loss(self.result(theta))


def _check_arguments(f: Callable[..., Any]) -> None:
    """Refuse a function that cannot be called with theta alone.

    Raises: SettingError.
    """
    try:
        signature = inspect.signature(f)
    except (TypeError, ValueError):  # a builtin: the first call shows whether it can
        return
    try:
        signature.bind(None)
    except TypeError:
        names = ", ".join(signature.parameters)
        raise SettingError(
            f"f is called with theta alone, and takes ({names}): wrap it, such as "
            "lambda theta: f(theta, X, Y)"
        ) from None


def _eps_of(dtype: Any) -> float:
    """Return the rounding error of arithmetic on numbers of a dtype."""
    return float(np.finfo(dtype).eps) if dtype.kind == "f" else float(np.finfo(float).eps)


def _to_numpy(value: Any) -> Any:
    """Return the value without PyTorch's gradient and device, as something that NumPy accepts."""
    if not hasattr(value, "detach"):
        return value
    value = value.detach().cpu()
    return (value if "bfloat16" not in str(value.dtype) else value.float()).numpy()


def _numeric(block: Any) -> Array:
    """Return the block as an array, an empty one if it is not numbers."""
    try:
        return np.array(_to_numpy(block))
    except (TypeError, ValueError):
        return np.empty(0)


def _gradient_block(block: Any, name: str) -> Array:
    """Return a block of f's gradient.

    Raises: DataError if it is not an array of numbers.
    """
    if block is None:
        raise DataError(f"f's gradient of {name} is None: f's loss does not depend on it")
    array = _numeric(block)
    if array.dtype.kind == "c" and np.abs(array.imag).max(initial=0) < 1e-20:
        array = array.real  # f may keep a complex step's trace from call to call
    if array.dtype.kind not in "fiu" or array.size == 0:
        raise DataError(
            f"f's gradient of {name} must be an array of real numbers, not {one_line(block)}"
        )
    return array


def _parameters(block: Any, name: str) -> Array:
    array = _numeric(block)
    if array.dtype.kind not in "fiu" or array.size == 0:
        hint = "; name each array: a dict with one level" if isinstance(block, Mapping) else ""
        raise DataError(f"{name} must be an array of numbers, not {one_line(block)}{hint}")
    if not np.isfinite(array).all():
        raise DataError(f"{name} holds numbers that are not finite: check at another point")
    return array.astype(np.float64)


def _convert(array: Array, block: Any) -> Any:
    """Return the array with the block's library and dtype; complex numbers stay complex."""
    library = type(block).__module__.split(".")[0]
    if library == "torch":
        import torch  # already imported by the caller

        tensor = torch.tensor(array, dtype=block.dtype, device=block.device)
        return tensor.requires_grad_(block.requires_grad)
    if library in ("jax", "jaxlib"):
        import jax.numpy as jnp

        return jnp.asarray(array, dtype=block.dtype)
    dtype = np.asarray(block).dtype
    real = dtype if dtype.kind == "f" else np.dtype(np.float64)
    made = array.astype(np.result_type(real, np.complex64) if array.dtype.kind == "c" else real)
    return float(made) if isinstance(block, float | int) else made
