"""check_gradient(): compares a gradient with its loss's derivative and names the mistakes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from seedbed.arrays import Array, as_array, checked_count, one_line
from seedbed.checking.block_faults import by_block, by_shape, decay, in_another_order
from seedbed.checking.calls import REPEAT_TOLERANCE, Restored, cancellation, differ, repeat_fault
from seedbed.checking.data import Data, readings
from seedbed.checking.derivative import derivative
from seedbed.checking.evidence import FACTOR_KINDS, Evidence, Fault, reshaped, update_shape
from seedbed.checking.functions import Function
from seedbed.checking.infer_network import infer_network
from seedbed.checking.localise import localised
from seedbed.checking.messages import MESSAGES, words
from seedbed.checking.network_faults import by_network
from seedbed.checking.network_objects import NetworkObject, is_network
from seedbed.checking.report import Block, GradientReport, Mistake, Verdict
from seedbed.engines.objective import value_and_grad
from seedbed.errors import DataError, SettingError, ShapeError
from seedbed.recipe import Recipe
from seedbed.tables.model import is_model, resolved

_VAGUE = ("unknown", "factor", "broken chain")
"""Kinds of mistake that say little about their cause."""
MODEL_ROWS = 64
"""Rows of a table on which a table model is checked."""
_GIVE_DATA = "with X and Y, the data that f uses, more mistakes can be named"


def check_gradient(
    f: Callable[..., Any] | Recipe | object,
    theta: Any = None,
    X: Any = None,
    Y: Any = None,
    *,
    masks: Sequence[Any] = (),
    max_parameters: int = 800,
    seed: int = 0,
) -> GradientReport:
    """Compare a gradient with the derivative of its loss, and name the mistakes.

    f      a function of theta that returns (loss, gradient); a Recipe; a network object with
           parameters, forward and backward, as ``check_gradient(net, X, Y)``; or a Population, a
           fitted estimator or a model file's path, whose first fitted member is checked on up to 64
           rows: ``check_gradient(estimator, X, Y)`` with the raw table
    theta  an array, or a dict or sequence of arrays, of NumPy, PyTorch or JAX; f's gradient has the
           same structure. One array for each weight and bias allows more mistakes to be named. A
           Recipe takes theta (D,), or draws it from ``seed`` if it is None
    X, Y   (N, I) and (N, O) the data that f uses, if it is a network; (I, N) and (O, N) if examples
           are columns. They allow more mistakes to be named
    masks  (N, units) each, or (units, N): dropout's factors of f's hidden activations
    max_parameters  are checked one by one: if there are more, a random sample of the larger blocks,
           drawn from ``seed``. The others are checked together, along random directions

    Raises: SettingError, ShapeError or DataError for an invalid argument or result of f.
    >>> import numpy as np, seedbed as sb
    >>> def f(w):
    ...     return float((w ** 2).mean()), 2 * w  # the mean's 1/3 is missing
    >>> print(sb.check_gradient(f, np.array([1.0, 2.0, 3.0])).mistakes[0].kind)
    factor
    """
    checked_count("max_parameters", max_parameters)
    checked_count("seed", seed, 0)
    hint = (_GIVE_DATA,) if X is None and Y is None else ()
    if is_model(f):
        if theta is not None:  # check_gradient(model, X, Y)
            X, Y = theta, X
        f, theta, X, Y = _of_model(f, X, Y)
    elif is_network(f):
        if theta is not None:  # check_gradient(net, X, Y)
            theta, X, Y = None, theta, X
        f = NetworkObject(f, X, Y)
        theta, hint = f.theta, ()
    restored = None
    if isinstance(f, Recipe):
        f, theta = _of_recipe(f, theta, X, Y, seed)
        X = Y = None
    elif callable(f):
        restored = Restored(f, X=X, Y=Y)
    if theta is None:
        raise SettingError("theta is missing: give the parameters at which to check")
    function = Function(f, theta)  # type: ignore[arg-type]  # it checks that f is callable
    if restored is not None:
        function.f = restored
    data = readings(X, Y, masks, function.theta)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
        return _report(function, data, max_parameters, seed, restored, hint)


def _of_model(model: Any, X: Any, Y: Any) -> tuple[Recipe, Array, Any, Any]:
    """Return the recipe and theta (D,) of a model's first fitted member, and rows to check on."""
    given = resolved(model, X, Y, MODEL_ROWS, spread=True)
    member = int(np.argmin(given.population.diverged))
    one = given.population[member]
    return replace(one.recipe, dropout=0.0, dtype="float64"), one.theta[0], given.X, given.Y


def _report(
    function: Function, data: list[Data], max_parameters: int, seed: int,
    restored: Restored | None, hint: tuple[str, ...],
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
    if abs(loss - again) > REPEAT_TOLERANCE * max(abs(loss), abs(again), 1e-300):
        raise DataError(
            f"f's loss at the same theta is {loss:.6g} and then {again:.6g}: fix what it draws "
            "(its seed, its batch) or changes in place"
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
    wrong = [block for block in range(len(theta)) if not evidence.agrees(block)]
    everywhere = tuple(range(len(theta)))
    not_finite = tuple(number for number in wrong if not np.isfinite(given[number]).all())
    repeats = repeat_fault(given, second, third)
    faults: list[Fault] = []
    if not_finite:
        faults = [Fault("not finite", not_finite)]
    elif repeats is not None:
        faults = [Fault(repeats, everywhere)]
    elif wrong and before is not None and _is_constant(before, given, theta):
        faults = [Fault("stale", everywhere)]
    elif wrong:
        faults, data = _fewest_faults(evidence, wrong, data, float(loss), function.eps)
        network = function.f if restored is None else restored.f
        if _is_vague(faults):
            faults = _rarer_fault(function, network, evidence, wrong) or faults
    if not not_finite:
        faults = [*faults, *by_shape(evidence, faults)]
    changes = []
    if function.updated:
        changes.append(Fault("update in the call", tuple(sorted(function.updated))))
    if restored is not None and restored.changed:
        changes.append(Fault("data changed", (), detail=" and ".join(restored.changed)))
    if changes:  # they may be why the rest is wrong
        explained = (*_VAGUE, "small difference")
        faults = [*changes, *(each for each in faults if each.kind not in explained)]
    examples = data[0].examples if data else None
    blocks = tuple(_block(evidence, number) for number in range(len(theta)))
    return GradientReport(
        loss=float(loss),
        blocks=blocks,
        mistakes=tuple(_mistakes(function.names, faults, examples)),
        method=method,
        examples=examples,
        notes=hint if faults else (),
    )


def _is_vague(faults: Sequence[Fault]) -> bool:
    return any(fault.kind in (*_VAGUE, "shape") for fault in faults)


def _rarer_fault(
    function: Function, network: Any, evidence: Evidence, wrong: Sequence[int]
) -> list[Fault]:
    """Return the fault that takes further calls to tell, or a small difference's; [] if none."""
    if isinstance(network, NetworkObject):
        restored = Restored(network.fresh(), X=network.X, Y=network.Y)
        fresh = Function(restored, network.theta)(function.theta)[1]
        if all(evidence.agrees(block, fresh[block]) for block in wrong):
            return [Fault("stale", tuple(range(len(evidence.names))))]
    rounding = cancellation(function, evidence, wrong)
    if rounding is not None:
        return [rounding]
    small = all(_is_small(evidence, block) for block in wrong)
    return [Fault("small difference", tuple(wrong))] if small else []


def _is_small(evidence: Evidence, block: int) -> bool:
    """Return whether a block is wrong by less than a thousandth."""
    slope, given = evidence.slopes[block], reshaped(evidence.given[block], evidence.slopes[block])
    known = np.isfinite(slope)
    return given is not None and bool(
        np.abs(given - slope)[known].max() < 1e-3 * np.abs(slope[known]).max()
    )


def _is_constant(before: Sequence[Array], given: Sequence[Array], theta: Sequence[Array]) -> bool:
    """Return whether f's gradient is the same at another theta."""
    fits = all(x.shape == y.shape for x, y in zip(given, theta, strict=True))
    return fits and any(map(np.any, given)) and not differ(before, given)


def _fewest_faults(
    evidence: Evidence, wrong: list[int], data: list[Data], loss: float, eps: float
) -> tuple[list[Fault], list[Data]]:
    """Return the fewest faults that explain the wrong blocks, and the readings of X and Y.

    The first reading is the one in which they were found.
    """
    order = in_another_order(evidence, wrong)
    if order is not None:
        return [order], data
    best = by_block(evidence, wrong, data[0] if data else None)
    for reading in data:
        simple = by_block(evidence, wrong, reading)
        columns = reading.examples == "columns"
        model = infer_network(evidence, reading.X, reading.T, loss, reading.masks, eps, columns)
        if model is None:
            continue
        data = [reading, *(each for each in data if each is not reading)]
        best, faults = simple, by_network(evidence, model, wrong)
        if faults is not None:
            only_factors = all(fault.kind in FACTOR_KINDS for fault in faults)
            unexplained = any(fault.kind in ("unknown", "shape") for fault in simple)
            vague = _is_vague(simple)
            if len(faults) <= len(simple) or (vague and not only_factors) or unexplained:
                return faults, data
        break
    penalty = decay(evidence, wrong)
    if penalty is not None and (
        len(best) > 1 or any(fault.kind in ("unknown", "shape") for fault in best)
    ):
        return [penalty], data
    return localised(evidence, best, wrong, data[0] if data else None), data


def _mistakes(
    names: Sequence[str], faults: Sequence[Fault], examples: str | None
) -> Iterator[Mistake]:
    """Yield each kind of mistake once, with all its places and blocks."""
    terms = words(examples)
    for kind in dict.fromkeys(fault.kind for fault in faults):
        same = [fault for fault in faults if fault.kind == kind]
        places = list(dict.fromkeys(fault.place for fault in same if fault.place))
        blocks = sorted({block for fault in same for block in fault.blocks})
        general, _, other = kind.partition(": ") if kind.startswith("another") else (kind, "", "")
        message, remedy = (text.format(**terms) for text in MESSAGES[general])
        if places:
            message += f", at {' and '.join(places)}"
        if other:
            message += f": it is {other}'s"
        details = [fault.detail.format(**terms) for fault in same if fault.detail]
        if details:
            message += f" ({'; '.join(dict.fromkeys(details))})"
        yield Mistake(kind, tuple(names[block] for block in blocks), message, remedy)


def _block(evidence: Evidence, number: int) -> Block:
    expected, returned = evidence.slopes[number], evidence.given[number].shape
    known = np.isfinite(expected)
    given = reshaped(evidence.given[number], expected)
    name, shape, checked = evidence.names[number], expected.shape, int(known.sum())
    if given is None:
        return Block(name, shape, "wrong", np.inf, (), np.nan, np.nan, checked, returned)
    error = np.where(known, np.nan_to_num(np.abs(given - expected), nan=np.inf), -1.0)
    index = tuple(int(i) for i in np.unravel_index(int(error.argmax()), error.shape))
    largest = max(np.abs(given[known]).max(), np.abs(expected[known]).max(), 1e-300)
    verdict: Verdict = "agrees" if evidence.is_conclusive(number) else "inconclusive"
    keeps_shape = update_shape(evidence.theta[number], evidence.given[number]) == shape
    if not evidence.agrees(number) or not keeps_shape:
        verdict = "wrong"
    return Block(
        name, shape, verdict, float(error.max() / largest), index, float(given[index]),
        float(expected[index]), checked, returned,
    )  # fmt: skip


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
