"""check_gradient: is this gradient the derivative of that loss, and if not, which mistake is it?"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seedbed.arrays import Array, as_array, checked_count, one_line
from seedbed.checking.functions import Function, slope
from seedbed.checking.naming import FACTORS, Evidence, Fault, as_shaped, by_model, by_numbers, decay
from seedbed.checking.recognising import recognise
from seedbed.checking.remedies import WORDS
from seedbed.engines.objective import value_and_grad
from seedbed.errors import DataError, SettingError, ShapeError
from seedbed.recipe import Recipe

_SAME = 1e-6
"""Losses and gradients of the same theta are the same to within so much, relative."""


@dataclass(frozen=True)
class Block:
    """One block of parameters: whether f's gradient agrees there with the loss's derivative.

    error      the largest difference over the largest number of either; inf for another shape
    index      where it is, and what stands there: ``given`` by f, and ``expected``
    looked_at  how many of its parameters were looked at
    is_told    False where the derivative is known too coarsely to tell; ``agrees`` says then that
               nothing speaks against it
    returned   the shape of f's gradient
    """

    name: str
    shape: tuple[int, ...]
    agrees: bool
    error: float
    index: tuple[int, ...]
    given: float
    expected: float
    looked_at: int
    is_told: bool
    returned: tuple[int, ...]

    def __str__(self) -> str:
        size = int(np.prod(self.shape))
        part = f" in {self.looked_at:,} of {size:,} places" if self.looked_at < size else ""
        if not self.is_told:
            return (
                f"can't be told{part}: the loss is too coarse or has a kink there; check at "
                "another point, or in float64"
            )
        if self.agrees:
            return f"agrees{part}, to {self.error:.1e}"
        long, returned = ([n for n in each if n > 1] for each in (self.shape, self.returned))
        if long != returned:
            return f"has shape {self.returned} and should have {self.shape}"
        place = ", ".join(map(str, self.index))
        if not np.isfinite(self.given):
            return f"is {self.given} at [{place}] and should be {self.expected:.6g}"
        return (
            f"differs{part} by {self.error:.1e}; at [{place}] it is {self.given:.6g} and should "
            f"be {self.expected:.6g}"
        )


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
            lines.append(f"  {block.name:{width}}  {size:>9}  {block}")
        lines += [f"{number}. {mistake}" for number, mistake in enumerate(self.mistakes, 1)]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON's words, numbers, lists and dicts."""
        return {
            "agrees": self.agrees,
            "loss": self.loss,
            "method": self.method,
            "blocks": [
                {
                    key: list(value)
                    if isinstance(value, tuple)
                    else None
                    if isinstance(value, float) and not np.isfinite(value)
                    else value
                    for key, value in vars(block).items()
                }
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
           NumPy, PyTorch or JAX; one array for each weight and bias lets more be named. A Recipe
           takes theta (D,), and draws it from ``seed`` where it is None
    X, Y   (N, I) and (N, O) the data that f uses, if it is a network: with them more mistakes can
           be told apart
    masks  (N, units) each: what f multiplies its hidden activations with, where dropout is on
    most   parameters of a block to look at, at most; of more, so many drawn from ``seed``

    Raises: SettingError, ShapeError or DataError for what cannot be checked.
    >>> import numpy as np, seedbed as sb
    >>> def f(w):
    ...     return float((w ** 2).mean()), 2 * w  # the mean's 1/3 is missing
    >>> print(sb.check_gradient(f, np.array([1.0, 2.0, 3.0])).mistakes[0].kind)
    factor
    """
    checked_count("most", most)
    checked_count("seed", seed, 0)
    if isinstance(f, Recipe):
        f, theta = _of_recipe(f, theta, X, Y, seed)
        X = Y = None
    if theta is None:
        raise SettingError("theta is missing: give the parameters at which to check")
    function = Function(f, theta)
    x, t = _data(X, Y)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
        return _checked(function, x, t, _masks(masks, x), most, seed)


def _checked(
    function: Function, x: Array | None, t: Array | None, masks: list[Array], most: int, seed: int
) -> GradientReport:
    here = function.theta
    random = np.random.default_rng(seed)
    elsewhere = [block + 0.1 * random.standard_normal(block.shape) for block in here]
    try:
        before = function(elsewhere)[1]
    except Exception:  # f may not be defined there: that is no mistake
        before = None
    loss, given = function(here)  # the call before was at another point
    again, second = function(here)
    _, third = function(here)
    if isinstance(loss, complex):
        raise DataError(f"f's loss is complex, {loss:.6g}, at real parameters: return a real one")
    if abs(loss - again) > _SAME * max(abs(loss), abs(again), 1e-300):
        raise DataError(
            f"f gives another loss each time at the same theta, {loss:.6g} and then {again:.6g}: "
            "fix what it draws (its seed, its batch), so that it is a function"
        )
    finer = function.in_double()
    slopes, errors, method = slope(finer, elsewhere, given, most, random)
    largest = max(np.abs(each[np.isfinite(each)]).max(initial=0) for each in slopes)
    evidence = Evidence(
        names=function.names,
        theta=here,
        given=[np.asarray(block, dtype=np.float64) for block in given],
        slopes=slopes,
        errors=errors,
        tolerance=max(1e-6, 30 * max(function.eps, finer.eps) ** (2 / 3)),
        floor=max(1e-12 * max(abs(float(loss)), largest), 1e-300),
    )
    blocks = tuple(_block(evidence, number) for number in range(len(here)))
    wrong = [number for number, block in enumerate(blocks) if not block.agrees]
    everywhere = tuple(range(len(here)))
    lost = tuple(number for number in wrong if not np.isfinite(given[number]).all())
    found = [Fault("not finite", lost)] if lost else []
    found = found or [Fault(kind, everywhere) for kind in _history(given, second, third)]
    alike = all(x.shape == y.shape for x, y in zip(given, here, strict=True))
    same = before is not None and alike and any(map(np.any, given)) and not _apart(before, given)
    if wrong and not found and same:
        found = [Fault("stale", everywhere)]
    if wrong and not found:
        found = _named(evidence, wrong, x, t, masks, float(loss), function.eps)
    return GradientReport(
        loss=float(loss),
        blocks=blocks,
        mistakes=tuple(_mistakes(function.names, found)),
        method=method,
    )


def _masks(given: Any, x: Array | None) -> list[Array]:
    """Return the masks as arrays (N, units).

    Raises: SettingError, ShapeError.
    """
    if not isinstance(given, list | tuple):
        raise SettingError(f"masks must be a list, one (N, units) each, not {one_line(given)}")
    masks = [as_array(mask, "masks", ShapeError) for mask in given]
    for mask in masks:
        if (
            mask.dtype.kind not in "fiub"
            or mask.ndim != 2
            or (x is not None and len(mask) not in (1, len(x)))
        ):
            rows = "N" if x is None else len(x)
            raise ShapeError(f"a mask has shape {mask.shape}: ({rows}, units) is needed")
    return [mask.astype(np.float64) for mask in masks]


def _apart(first: Sequence[Array], second: Sequence[Array]) -> bool:
    return any(
        x.shape != y.shape or np.abs(x - y).max() > _SAME * max(np.abs(x).max(), 1e-300)
        for x, y in zip(first, second, strict=True)
    )


def _history(first: list[Array], second: list[Array], third: list[Array]) -> list[str]:
    """Return what is wrong if the same theta gives other gradients from call to call."""
    if not _apart(second, third):
        return ["stale"] if _apart(first, second) else []
    if any(x.shape != y.shape for x, y in zip(first, third, strict=True)):
        return ["drawn anew"]
    before, after = (
        np.concatenate([(b - a).ravel() for a, b in zip(*pair, strict=True)])
        for pair in ((first, second), (second, third))
    )  # each call adds the same, or, with momentum, a share of what the one before added
    share = float(before @ after) / max(float(before @ before), 1e-300)
    grows = (
        share > 0 and not _apart([share * before], [after]) and (before.size > 1 or share > 0.99)
    )
    return ["accumulated" if grows else "drawn anew"]


def _named(
    evidence: Evidence,
    wrong: list[int],
    x: Array | None,
    t: Array | None,
    masks: list[Array],
    loss: float,
    eps: float,
) -> list[Fault]:
    """Return the fewest mistakes that explain the wrong blocks."""
    rows, outputs = (None, None) if t is None else t.shape
    simple = by_numbers(evidence, wrong, rows, outputs)
    lost = any(fault.kind in ("unknown", "shape") for fault in simple)
    vague = lost or any(fault.kind == "factor" for fault in simple)
    if x is not None and t is not None:
        model = recognise(evidence, x, t, loss, masks, eps)
        known = None if model is None else by_model(evidence, model, wrong)
        factors = known is not None and all(fault.kind in FACTORS for fault in known)
        fewer = known is not None and len(known) <= len(simple)
        if known is not None and (fewer or (vague and not factors) or lost):
            return known
    lacking = decay(evidence, wrong)
    return [lacking] if lacking is not None and (len(simple) > 1 or lost) else simple


def _mistakes(names: Sequence[str], found: Sequence[Fault]) -> Iterator[Mistake]:
    """Yield each kind of mistake once, with all of its places and blocks."""
    for kind in dict.fromkeys(fault.kind for fault in found):
        alike = [fault for fault in found if fault.kind == kind]
        places = [fault.place for fault in alike if fault.place]
        blocks = sorted({block for fault in alike for block in fault.blocks})
        words, _, other = kind.partition(": ") if kind.startswith("another") else (kind, "", "")
        message, remedy = WORDS[words]
        if places:
            message += f", at {' and '.join(places)}"
        if other:
            message += f": it is {other}'s"
        details = [fault.detail for fault in alike if fault.detail]
        if details:
            message += f" ({'; '.join(dict.fromkeys(details))})"
        yield Mistake(kind, tuple(names[block] for block in blocks), message, remedy)


def _block(evidence: Evidence, number: int) -> Block:
    expected, returned = evidence.slopes[number], evidence.given[number].shape
    known = np.isfinite(expected)
    found = as_shaped(evidence.given[number], expected)
    if found is None:
        return Block(
            evidence.names[number], expected.shape, False, np.inf, (), np.nan, np.nan,
            int(known.sum()), True, returned,
        )  # fmt: skip
    apart = np.where(known, np.nan_to_num(np.abs(found - expected), nan=np.inf), -1.0)
    index = tuple(int(i) for i in np.unravel_index(int(apart.argmax()), apart.shape))
    largest = max(np.abs(found[known]).max(), np.abs(expected[known]).max(), 1e-300)
    agrees = evidence.agrees(number)
    return Block(
        evidence.names[number], expected.shape, agrees, float(apart.max() / largest), index,
        float(found[index]), float(expected[index]), int(known.sum()),
        not agrees or evidence.can_tell(number), returned,
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
    if not (np.isfinite(x).all() and np.isfinite(t).all()):
        raise DataError("X or Y holds numbers that are not finite: leave those rows out")
    if x.ndim != 2 or t.ndim != 2 or len(x) != len(t):
        raise ShapeError(f"X has shape {x.shape} and Y {t.shape}: (N, I) and (N, O) are needed")
    if not x.size or not t.size:
        raise DataError(f"X has shape {x.shape} and Y {t.shape}: give at least one row")
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
    if isinstance(theta, Mapping | list | tuple):
        raise SettingError(
            f"a recipe's theta is one array of {network.size} numbers, such as "
            f"population.theta[0], not {one_line(theta)}"
        )
    whole = np.array(as_array(theta, "theta", ShapeError), dtype=np.float64).reshape(1, -1)

    def named(flat: Array) -> dict[str, Array]:
        return {
            f"{name}{number}": view[0]
            for number, layer in enumerate(network.views(flat), 1)
            for name, view in zip("Wb", layer, strict=True)
        }

    def f(given: dict[str, Array]) -> tuple[Any, dict[str, Array]]:
        flat = np.concatenate([block.reshape(-1) for block in given.values()])[None, :]
        value, gradient = value_and_grad(recipe, flat, X, Y)
        return value[0], named(gradient)

    return f, named(whole)
