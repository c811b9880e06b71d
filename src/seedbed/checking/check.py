"""check_gradient(): compares a gradient with its loss's derivative and names the mistakes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seedbed import html
from seedbed.arrays import Array, as_array, checked_count, one_line
from seedbed.checking.block_faults import by_block, decay
from seedbed.checking.evidence import FACTOR_KINDS, Evidence, Fault, reshaped
from seedbed.checking.functions import Function, derivative
from seedbed.checking.infer_network import infer_network
from seedbed.checking.messages import MESSAGES
from seedbed.checking.network_faults import by_network
from seedbed.engines.objective import value_and_grad
from seedbed.errors import DataError, SettingError, ShapeError
from seedbed.recipe import Recipe

_REPEAT_TOLERANCE = 1e-6
"""Losses and gradients at the same theta may differ by this much, relative."""


@dataclass(frozen=True)
class Block:
    """One block of parameters, and whether f's gradient agrees there with the loss's derivative.

    error       the largest difference over the largest number of either; inf for a wrong shape
    index       the place of the largest difference, ``given`` and ``expected`` the numbers there
    checked     the number of its parameters that were checked
    conclusive  False if the derivative is too imprecise to judge by; ``agrees`` is then True
    returned    the shape of f's gradient
    """

    name: str
    shape: tuple[int, ...]
    agrees: bool
    error: float
    index: tuple[int, ...]
    given: float
    expected: float
    checked: int
    conclusive: bool
    returned: tuple[int, ...]

    def __str__(self) -> str:
        size = int(np.prod(self.shape))
        part = f" in {self.checked:,} of {size:,} places" if self.checked < size else ""
        if not self.conclusive:
            return (
                f"inconclusive{part}: the loss is too coarse or has a kink there; check at "
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
    """One mistake: its short name, its blocks, what is wrong and how to mend it."""

    kind: str
    blocks: tuple[str, ...]
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{', '.join(self.blocks)}: {self.message}; {self.remedy}"


@dataclass(frozen=True, repr=False)
class GradientReport:
    """The result of ``check_gradient``.

    loss      at theta
    blocks    of parameters, each with its verdict
    mistakes  that explain the blocks that do not agree
    method    of computing the derivative: "complex steps" or "central differences"
    """

    loss: float
    blocks: tuple[Block, ...]
    mistakes: tuple[Mistake, ...]
    method: str

    @property
    def agrees(self) -> bool:
        """Whether the gradient is right."""
        return all(block.agrees for block in self.blocks) and not self.mistakes

    def __repr__(self) -> str:
        return f"<GradientReport: {self._verdict()}; {len(self.blocks)} blocks>"

    def _repr_html_(self) -> str:
        rows = [[block.name, "×".join(map(str, block.shape)) or "1", str(block)]
                for block in self.blocks]  # fmt: skip
        return html.block(
            html.heading(f"Gradient: {self._verdict()}", good=self.agrees),
            html.paragraph(f"loss {self.loss:.6g}; the derivative by {self.method}", note=True),
            html.items(map(str, self.mistakes), ordered=True),
            html.table(["block", "shape", ""], rows, texts=(0, 1, 2)),
        )

    def _verdict(self) -> str:
        if self.agrees:
            return "agrees with the loss"
        count = len(self.mistakes)
        named = f"{count} mistake{'' if count == 1 else 's'}" if count else "mistake not recognised"
        wrong = sum(not block.agrees for block in self.blocks)
        return f"{named}, {wrong} of {len(self.blocks)} blocks differ"

    def __str__(self) -> str:
        lines = [f"loss {self.loss:.6g}; the derivative by {self.method}"]
        width = max(len(block.name) for block in self.blocks)
        for block in self.blocks:
            size = "×".join(map(str, block.shape)) or "1"
            lines.append(f"  {block.name:{width}}  {size:>9}  {block}")
        lines += [f"{number}. {mistake}" for number, mistake in enumerate(self.mistakes, 1)]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-compatible types."""
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
    max_parameters: int = 2000,
    seed: int = 0,
) -> GradientReport:
    """Compare a gradient with the derivative of its loss, and name the mistakes.

    f      a function of theta that returns (loss, gradient), or a Recipe, which is checked on X, Y
    theta  an array, or a dict or sequence of arrays, of NumPy, PyTorch or JAX; f's gradient has the
           same structure. One array for each weight and bias allows more mistakes to be named. A
           Recipe takes theta (D,), or draws it from ``seed`` if it is None
    X, Y   (N, I) and (N, O) the data that f uses, if it is a network: they allow more mistakes to
           be named
    masks  (N, units) each: dropout's factors of f's hidden activations
    max_parameters  larger blocks are checked on a random sample of this size, drawn from ``seed``

    Raises: SettingError, ShapeError or DataError for an invalid argument or result of f.
    >>> import numpy as np, seedbed as sb
    >>> def f(w):
    ...     return float((w ** 2).mean()), 2 * w  # the mean's 1/3 is missing
    >>> print(sb.check_gradient(f, np.array([1.0, 2.0, 3.0])).mistakes[0].kind)
    factor
    """
    checked_count("max_parameters", max_parameters)
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
        return _report(function, x, t, _masks(masks, x), max_parameters, seed)


def _report(
    function: Function, x: Array | None, t: Array | None, masks: list[Array],
    max_parameters: int, seed: int,
) -> GradientReport:  # fmt: skip
    theta = function.theta
    random = np.random.default_rng(seed)
    other_theta = [block + 0.1 * random.standard_normal(block.shape) for block in theta]
    try:
        before = function(other_theta)[1]
    except Exception:  # f may be undefined there, which is no mistake
        before = None
    loss, given = function(theta)  # after a call at another point
    again, second = function(theta)
    _, third = function(theta)
    if isinstance(loss, complex):
        raise DataError(f"f's loss is complex, {loss:.6g}, at real parameters: return a real one")
    if abs(loss - again) > _REPEAT_TOLERANCE * max(abs(loss), abs(again), 1e-300):
        raise DataError(
            f"f's loss at the same theta is {loss:.6g} and then {again:.6g}: fix what it draws "
            "(its seed, its batch)"
        )
    finer = function.in_float64()
    slopes, errors, method = derivative(finer, other_theta, given, max_parameters, random)
    largest = max(np.abs(each[np.isfinite(each)]).max(initial=0) for each in slopes)
    evidence = Evidence(
        names=function.names,
        theta=theta,
        given=[np.asarray(block, dtype=np.float64) for block in given],
        slopes=slopes,
        errors=errors,
        tolerance=max(1e-6, 30 * max(function.eps, finer.eps) ** (2 / 3)),
        floor=max(1e-12 * max(abs(float(loss)), largest), 1e-300),
    )
    blocks = tuple(_block(evidence, number) for number in range(len(theta)))
    wrong = [number for number, block in enumerate(blocks) if not block.agrees]
    everywhere = tuple(range(len(theta)))
    not_finite = tuple(number for number in wrong if not np.isfinite(given[number]).all())
    faults = [Fault("not finite", not_finite)] if not_finite else []
    faults = faults or [Fault(kind, everywhere) for kind in _repeat_faults(given, second, third)]
    if wrong and not faults and before is not None:
        fits = all(x.shape == y.shape for x, y in zip(given, theta, strict=True))
        if fits and any(map(np.any, given)) and not _differ(before, given):
            faults = [Fault("stale", everywhere)]
    if wrong and not faults:
        faults = _fewest_faults(evidence, wrong, x, t, masks, float(loss), function.eps)
    return GradientReport(
        loss=float(loss),
        blocks=blocks,
        mistakes=tuple(_mistakes(function.names, faults)),
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
            raise ShapeError(f"a mask has shape {mask.shape}: it must be ({rows}, units)")
    return [mask.astype(np.float64) for mask in masks]


def _differ(first: Sequence[Array], second: Sequence[Array]) -> bool:
    return any(
        x.shape != y.shape or np.abs(x - y).max() > _REPEAT_TOLERANCE * max(np.abs(x).max(), 1e-300)
        for x, y in zip(first, second, strict=True)
    )


def _repeat_faults(first: list[Array], second: list[Array], third: list[Array]) -> list[str]:
    """Return the kind of mistake if three calls at the same theta give different gradients."""
    if not _differ(second, third):
        return ["stale"] if _differ(first, second) else []
    if any(x.shape != y.shape for x, y in zip(first, third, strict=True)):
        return ["not deterministic"]
    before, after = (
        np.concatenate([(b - a).ravel() for a, b in zip(*pair, strict=True)])
        for pair in ((first, second), (second, third))
    )  # each call adds the same, or with momentum a share of what the previous one added
    share = float(before @ after) / max(float(before @ before), 1e-300)
    grows = (
        share > 0 and not _differ([share * before], [after]) and (before.size > 1 or share > 0.99)
    )
    return ["accumulated" if grows else "not deterministic"]


def _fewest_faults(
    evidence: Evidence,
    wrong: list[int],
    x: Array | None,
    t: Array | None,
    masks: list[Array],
    loss: float,
    eps: float,
) -> list[Fault]:
    """Return the fewest faults that explain the wrong blocks."""
    rows, outputs = (None, None) if t is None else t.shape
    simple = by_block(evidence, wrong, rows, outputs)
    unexplained = any(fault.kind in ("unknown", "shape") for fault in simple)
    vague = unexplained or any(fault.kind == "factor" for fault in simple)
    if x is not None and t is not None:
        model = infer_network(evidence, x, t, loss, masks, eps)
        faults = None if model is None else by_network(evidence, model, wrong)
        if faults is not None:
            only_factors = all(fault.kind in FACTOR_KINDS for fault in faults)
            if len(faults) <= len(simple) or (vague and not only_factors) or unexplained:
                return faults
    penalty = decay(evidence, wrong)
    return [penalty] if penalty is not None and (len(simple) > 1 or unexplained) else simple


def _mistakes(names: Sequence[str], faults: Sequence[Fault]) -> Iterator[Mistake]:
    """Yield each kind of mistake once, with all its places and blocks."""
    for kind in dict.fromkeys(fault.kind for fault in faults):
        same = [fault for fault in faults if fault.kind == kind]
        places = [fault.place for fault in same if fault.place]
        blocks = sorted({block for fault in same for block in fault.blocks})
        general, _, other = kind.partition(": ") if kind.startswith("another") else (kind, "", "")
        message, remedy = MESSAGES[general]
        if places:
            message += f", at {' and '.join(places)}"
        if other:
            message += f": it is {other}'s"
        details = [fault.detail for fault in same if fault.detail]
        if details:
            message += f" ({'; '.join(dict.fromkeys(details))})"
        yield Mistake(kind, tuple(names[block] for block in blocks), message, remedy)


def _block(evidence: Evidence, number: int) -> Block:
    expected, returned = evidence.slopes[number], evidence.given[number].shape
    known = np.isfinite(expected)
    given = reshaped(evidence.given[number], expected)
    if given is None:
        return Block(
            evidence.names[number], expected.shape, False, np.inf, (), np.nan, np.nan,
            int(known.sum()), True, returned,
        )  # fmt: skip
    error = np.where(known, np.nan_to_num(np.abs(given - expected), nan=np.inf), -1.0)
    index = tuple(int(i) for i in np.unravel_index(int(error.argmax()), error.shape))
    largest = max(np.abs(given[known]).max(), np.abs(expected[known]).max(), 1e-300)
    agrees = evidence.agrees(number)
    return Block(
        evidence.names[number], expected.shape, agrees, float(error.max() / largest), index,
        float(given[index]), float(expected[index]), int(known.sum()),
        not agrees or evidence.is_conclusive(number), returned,
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
        raise ShapeError(f"X has shape {x.shape} and Y {t.shape}: they must be (N, I) and (N, O)")
    if not x.size or not t.size:
        raise DataError(f"X has shape {x.shape} and Y {t.shape}: give at least one row")
    return x, t


def _of_recipe(
    recipe: Recipe, theta: Any, X: Any, Y: Any, seed: int
) -> tuple[Callable[..., Any], dict[str, Array]]:
    """Return the recipe's objective as a function of its layers' blocks, and the blocks."""
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
    flat_theta = np.array(as_array(theta, "theta", ShapeError), dtype=np.float64).reshape(1, -1)

    def named(flat: Array) -> dict[str, Array]:
        blocks = network.blocks
        return {each.symbol: flat[0, each.where].reshape(each.shape) for each in blocks}

    def f(given: dict[str, Array]) -> tuple[Any, dict[str, Array]]:
        flat = np.concatenate([block.reshape(-1) for block in given.values()])[None, :]
        value, gradient = value_and_grad(recipe, flat, X, Y)
        return value[0], named(gradient)

    return f, named(flat_theta)
