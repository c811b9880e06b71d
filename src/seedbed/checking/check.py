"""check_gradient: is this gradient the derivative of that loss, and if not, which mistake is it?"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seedbed.arrays import Array, as_array, checked_count
from seedbed.checking.functions import Function, slope
from seedbed.checking.naming import Evidence, by_model, by_numbers, decay
from seedbed.checking.remedies import WORDS
from seedbed.checking.suspects import recognise
from seedbed.errors import DataError, SettingError, ShapeError
from seedbed.recipe import Recipe

_SAME = 1e-6
"""Losses and gradients of the same theta are the same to within so much, relative."""


@dataclass(frozen=True)
class Block:
    """One block of parameters: whether f's gradient agrees there with the loss's derivative.

    error     the largest difference over the largest number of either
    index     where it is, and what stands there: ``given`` by f, and ``expected``
    """

    name: str
    shape: tuple[int, ...]
    agrees: bool
    error: float
    index: tuple[int, ...]
    given: float
    expected: float


@dataclass(frozen=True)
class Mistake:
    """What is wrong, in which blocks, and how to mend it; ``kind`` is its short name."""

    kind: str
    blocks: tuple[str, ...]
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{', '.join(self.blocks)}: {self.message}; {self.remedy}"


@dataclass(frozen=True)
class GradientReport:
    """What ``check_gradient`` found.

    loss      at theta
    blocks    of parameters, each with its verdict
    mistakes  that explain the blocks that do not agree
    method    how the derivative was found: "complex steps" or "central differences"
    """

    loss: float
    blocks: tuple[Block, ...]
    mistakes: tuple[Mistake, ...]
    method: str

    @property
    def agrees(self) -> bool:
        """Whether all is well."""
        return all(block.agrees for block in self.blocks) and not self.mistakes

    def __str__(self) -> str:
        lines = [f"loss {self.loss:.6g}; the derivative by {self.method}"]
        width = max(len(block.name) for block in self.blocks)
        for block in self.blocks:
            size = "×".join(map(str, block.shape)) or "1"
            line = f"  {block.name:{width}}  {size:>9}  "
            if block.agrees:
                lines.append(f"{line}agrees, to {block.error:.1e}")
            else:
                place = ", ".join(map(str, block.index))
                lines.append(
                    f"{line}differs by {block.error:.1e}; at [{place}] it is {block.given:.6g} "
                    f"and should be {block.expected:.6g}"
                )
        lines += [f"{number}. {mistake}" for number, mistake in enumerate(self.mistakes, 1)]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON's words, numbers, lists and dicts."""
        return {
            "agrees": self.agrees,
            "loss": self.loss,
            "method": self.method,
            "blocks": [
                {**vars(block), "shape": list(block.shape), "index": list(block.index)}
                for block in self.blocks
            ],
            "mistakes": [{**vars(each), "blocks": list(each.blocks)} for each in self.mistakes],
        }


def check_gradient(
    f: Callable[..., Any] | Recipe,
    theta: Any = None,
    X: Any = None,
    Y: Any = None,
    *,
    masks: Sequence[Any] = (),
    most: int = 2000,
    seed: int = 0,
) -> GradientReport:
    """Compare a gradient with the derivative of its loss, and name the mistake if they differ.

    f      a function of theta that returns (loss, gradient); or a Recipe, whose own network is
           then checked on X, Y
    theta  where: an array, or a dict or a sequence of arrays, which f's gradient is then too, of
           NumPy, PyTorch or JAX. A Recipe draws it from ``seed`` where it is None
    X, Y   (N, I) and (N, O) the data that f uses, if it is a network: with them more mistakes can
           be told apart
    masks  (N, units) each: what f multiplies its hidden activations with, where dropout is on
    most   parameters of a block to look at, at most

    Raises: SettingError, ShapeError or DataError for what cannot be checked.
    >>> import numpy as np, seedbed as sb
    >>> def f(w):
    ...     return float((w ** 2).mean()), 2 * w  # the mean's 1/3 is missing
    >>> print(sb.check_gradient(f, np.array([1.0, 2.0, 3.0])).mistakes[0].kind)
    factor
    """
    checked_count("most", most)
    if isinstance(f, Recipe):
        f, theta = _of_recipe(f, theta, X, Y, seed)
        X = Y = None
    if theta is None:
        raise SettingError("theta is missing: give the parameters at which to check")
    function = Function(f, theta)
    x, t = _data(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
        return _checked(function, x, t, [np.asarray(mask, float) for mask in masks], most, seed)


def _checked(
    function: Function, x: Array | None, t: Array | None, masks: list[Array], most: int, seed: int
) -> GradientReport:
    here = function.theta
    random = np.random.default_rng(seed)
    elsewhere = [block + 0.1 * random.standard_normal(block.shape) for block in here]
    function.loss(elsewhere)
    loss, given = function(here)  # the call before was at another point
    again, second = function(here)
    _, third = function(here)
    if abs(loss - again) > _SAME * max(abs(loss), abs(again), 1e-12):
        raise DataError(
            f"f gives another loss each time at the same theta, {loss:.6g} and then {again:.6g}: "
            "fix what it draws (its seed, its batch), so that it is a function"
        )
    kinds = _history(given, second, third)
    slopes, errors, method = slope(function, most)
    evidence = Evidence(
        names=function.names,
        theta=here,
        given=[np.asarray(block, dtype=np.float64) for block in given],
        slopes=slopes,
        errors=errors,
        tolerance=max(1e-6, 30 * function.eps ** (2 / 3)),
    )
    blocks = tuple(_block(evidence, number) for number in range(len(here)))
    wrong = [number for number, block in enumerate(blocks) if not block.agrees]
    found = [(kind, "", tuple(range(len(here)))) for kind in kinds]
    if wrong and not kinds:
        found = _named(evidence, wrong, x, t, masks, float(loss), function.eps)
    return GradientReport(
        loss=float(loss),
        blocks=blocks,
        mistakes=tuple(_mistakes(function.names, found)),
        method=method,
    )


def _history(first: list[Array], second: list[Array], third: list[Array]) -> list[str]:
    """Return what is wrong if the same theta gives other gradients from call to call."""

    def apart(a: list[Array], b: list[Array]) -> bool:
        return any(
            x.shape != y.shape or np.abs(x - y).max() > _SAME * max(np.abs(x).max(), 1e-300)
            for x, y in zip(a, b, strict=True)
        )

    if not apart(first, second):
        return []
    return ["accumulated"] if apart(second, third) else ["stale"]


def _named(
    evidence: Evidence,
    wrong: list[int],
    x: Array | None,
    t: Array | None,
    masks: list[Array],
    loss: float,
    eps: float,
) -> list[tuple[str, str, tuple[int, ...]]]:
    """Return the fewest mistakes that explain the wrong blocks: kind, place and blocks of each."""
    rows, outputs = (None, None) if t is None else t.shape
    alone: dict[str, list[int]] = {}
    for block in wrong:
        alone.setdefault(by_numbers(evidence, block, rows, outputs) or "unknown", []).append(block)
    simple = [(kind, "", tuple(blocks)) for kind, blocks in alone.items()]
    lacking = decay(evidence, wrong)
    if lacking is not None and (len(simple) > 1 or "unknown" in alone):
        return [(lacking, "", tuple(wrong))]
    if x is None or t is None:
        return simple
    model = recognise(evidence.theta, x, t, loss, masks, eps)
    known = None if model is None else by_model(evidence, model, wrong)
    if known is None or ("unknown" not in alone and len(simple) < len(known)):
        return simple
    return known


def _mistakes(
    names: Sequence[str], found: Sequence[tuple[str, str, tuple[int, ...]]]
) -> Iterator[Mistake]:
    """Yield each kind of mistake once, with all of its places and blocks."""
    for kind in dict.fromkeys(kind for kind, _, _ in found):
        alike = [(place, blocks) for each, place, blocks in found if each == kind]
        places = [place for place, _ in alike if place]
        blocks = sorted({block for _, blocks in alike for block in blocks})
        words, _, detail = kind.partition(": ") if kind.startswith("another") else (kind, "", "")
        message, remedy = WORDS[words]
        if places:
            message += f", at {' and '.join(places)}"
        if detail:
            message += f": it is {detail}'s"
        yield Mistake(kind, tuple(names[block] for block in blocks), message, remedy)


def _block(evidence: Evidence, number: int) -> Block:
    given, expected = evidence.given[number], evidence.slopes[number]
    agrees = evidence.agrees(number)
    if given.size != expected.size:
        place = (0,) * expected.ndim
        return Block(
            evidence.names[number], expected.shape, False, float("inf"), place,
            float(given.flat[0]) if given.size else float("nan"), float(expected[place]),
        )  # fmt: skip
    given = given.reshape(expected.shape)
    known = np.isfinite(expected)
    apart = np.where(known, np.abs(given - expected), -1.0)
    index = tuple(int(i) for i in np.unravel_index(int(apart.argmax()), apart.shape))
    largest = max(np.abs(given[known]).max(), np.abs(expected[known]).max(), 1e-300)
    return Block(
        evidence.names[number], expected.shape, agrees, float(apart.max() / largest), index,
        float(given[index]), float(expected[index]),
    )  # fmt: skip


def _data(X: Any, Y: Any) -> tuple[Array | None, Array | None]:
    if (X is None) != (Y is None):
        raise SettingError("give X and Y both, or neither")
    if X is None:
        return None, None
    x, t = (as_array(each, name, DataError) for each, name in ((X, "X"), (Y, "Y")))
    if x.dtype.kind not in "fiub" or t.dtype.kind not in "fiub":
        raise DataError("X and Y must be arrays of numbers; give classes as rows of 0 and 1")
    x, t = x.astype(np.float64), t.astype(np.float64)
    t = t[:, None] if t.ndim == 1 else t
    if x.ndim != 2 or t.ndim != 2 or len(x) != len(t):
        raise ShapeError(f"X has shape {x.shape} and Y {t.shape}: (N, I) and (N, O) are needed")
    return x, t


def _of_recipe(
    recipe: Recipe, theta: Any, X: Any, Y: Any, seed: int
) -> tuple[Callable[..., Any], dict[str, Array]]:
    """Return the recipe's objective as a function of its layers' blocks, and where to check it."""
    if X is None or Y is None:
        raise SettingError("a recipe is checked on data: give X and Y")
    network = recipe.network
    if theta is None:
        theta = network.init(seed, np.float64)
    whole = np.array(as_array(theta, "theta", ShapeError), dtype=np.float64).reshape(1, -1)

    def named(flat: Array) -> dict[str, Array]:
        return {
            f"{name}{number}": view[0]
            for number, layer in enumerate(network.views(flat), 1)
            for name, view in zip("Wb", layer, strict=True)
        }

    def f(given: dict[str, Array]) -> tuple[Any, dict[str, Array]]:
        flat = np.concatenate([block.reshape(-1) for block in given.values()])[None, :]
        value, gradient = recipe.value_and_grad(flat, X, Y)
        return value[0], named(gradient)

    return f, named(whole)
