"""One step as the engine takes it, laid out: forward, backward, update."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from seedbed.arrays import Array, checked_index
from seedbed.checks import checked_inputs, checked_targets
from seedbed.engines import numpy_engine, objective
from seedbed.engines.batches import whole_batch
from seedbed.explaining.explanation import Explanation
from seedbed.explaining.sheet import Call, Sheet
from seedbed.explaining.sources import name_of, uses
from seedbed.formulas.losses import log_softmax
from seedbed.formulas.optimizers import Rule
from seedbed.formulas.penalties import penalty, penalty_d, shrink
from seedbed.network import Network
from seedbed.population import Population

_OF_THE_STEP = (
    "np", "x", "t", "smoothing", "t_smooth", "y", "l", "loss", "l1", "l2", "penalty", "objective",
    "rate", "factor", "lr", "k", "weight_decay", "clip_norm", "norm", "clip",
)  # fmt: skip
_OF_A_LAYER = (
    "W{}", "b{}", "z{}", "a{}", "da{}", "dz{}", "dW{}", "db{}", "pW{}", "gW{}", "gb{}",
    "W{}_decayed",
)  # fmt: skip


def explain(
    population: Population,
    X: Any,
    Y: Any,
    *,
    member: int = 0,
    row: int | None = None,
) -> Explanation:
    """Return every number of one step of a member's training on X, Y: forward, backward, update.

    The step is the first of a training from the member's parameters, on all rows at once, or on
    one ``row``; without dropout. The numbers are the NumPy engine's own, in float64; the formulas
    are the source's, each in Python of ``np`` and the symbols above it.

    Shapes: X (N, I); Y (N, O), (N,) or class numbers (N,).
    Raises: SettingError for a member or a row that is not there; ShapeError, DataError.
    """
    network, loss = population.network, population.recipe.loss
    member = checked_index("member", member, len(population))
    one = population[member]
    x = checked_inputs(X, network, np.float64)
    t = checked_targets(Y, loss, network.outputs, len(x), np.float64)
    if row is not None:
        row = checked_index("row", row, len(x))
        x, t = x[row : row + 1], t[row : row + 1]
    with np.errstate(all="ignore"):  # what overflows shows as a number that is not finite
        step = _Step(one, x, t)
        step.forward()
        step.backward()
        step.update()
    rows = f"row {row}" if row is not None else f"{len(x)} rows"
    title = f"One step of seed {one.seeds[0]}, {network}, on {rows}"
    return Explanation(title, tuple(step.sheet.numbers))


class _Watched:
    """An optimizer's rule that keeps what the engine gives it and what it returns.

    given     w, g, then the state before the step, (1, D) each
    returned  w and the state after it
    """

    def __init__(self, rule: Rule, slots: int) -> None:
        self.rule, self.slots = rule, slots
        self.lr: Array | float = np.nan
        self.k = 0
        self._given: list[list[Array]] = []
        self._returned: list[list[Array]] = []

    def __call__(self, w: Array, g: Array, k: int, lr: Array, *rest: Array) -> tuple[Array, ...]:
        self.k, self.lr = k, lr
        self._given.append([each.copy() for each in (w, g, *rest[: self.slots])])
        returned = self.rule(w, g, k, lr, *rest)
        self._returned.append([np.broadcast_to(each, w.shape).copy() for each in returned])
        return returned

    @cached_property
    def given(self) -> list[Array]:
        return _joined(self._given)

    @cached_property
    def returned(self) -> list[Array]:
        return _joined(self._returned)


class _Step:
    """A member's step: the engine's run of it, and the sheet on which it is laid out."""

    def __init__(self, one: Population, x: Array, t: Array) -> None:
        self.one, self.x, self.t = one, x, t
        self.network, self.loss = one.network, one.recipe.loss
        self.optimizer, self.kind = one.recipe.optimizer, type(one.recipe.optimizer).__name__
        theta = one.theta.astype(np.float64)
        self.before, self.numbers = theta.copy(), one.recipe.hyperparameters(1, np.float64)
        self.layers = [(layer.W[0], layer.b[0]) for layer in self.network.views(self.before)]
        self.gradient = objective.Objective(self.network, self.loss, self.numbers, theta)
        self.batch = whole_batch(x, t, None, self.loss)
        self.trace = objective.Trace()
        self.value = self.gradient.gradient(self.batch, trace=self.trace)
        self.penalty = self.gradient.penalty()
        self.whole = self.gradient.g.copy()
        slots = self.optimizer.init(theta, self.numbers.lr)
        self.rule = _Watched(self.optimizer.rule, len(slots))
        self.factor = one.recipe.schedule(0.0)
        numpy_engine.update(self.gradient, self.rule, slots, 1, self.factor)
        self.states = _states(self.optimizer.rule, len(slots))
        reserved = [*_OF_THE_STEP, *self.optimizer.hyperparameters]
        reserved += [f"{state}0" for state in self.states]
        for number in range(1, len(self.layers) + 1):
            reserved += [symbol.format(number) for symbol in _OF_A_LAYER]
        self.sheet = Sheet(reserved)
        self.y = "y" if self.loss.targets == "classes" else f"a{len(self.layers)}"
        self.target = "t_smooth" if self.loss.smoothing else "t"

    def forward(self) -> None:
        """x to the loss; with penalties, to what is minimised."""
        show, compute, loss = self.sheet.show, self.sheet.compute, self.loss
        show("forward", "x", "the inputs", self.x)
        show("forward", "t", "the targets", self.t)
        if loss.smoothing:
            classes = self.t.shape[1] if loss.targets == "classes" else 2
            formula = f"(1 - smoothing) * t + smoothing / {classes}"
            show("forward", "smoothing", "the loss's label smoothing", loss.smoothing)
            show("forward", "t_smooth", formula, self.batch.t[0])
        for number, (layer, (W, b), each) in enumerate(
            zip(self.network.layers, self.layers, self.trace.passes, strict=True), 1
        ):
            show("forward", f"W{number}", "weights", W)
            show("forward", f"b{number}", "biases", b)
            formula = f"{_below(number)} @ W{number} + b{number}"
            show("forward", f"z{number}", formula, each.z[0])
            call = Call(layer.activation.f, [f"z{number}"], layer.activation.name)
            compute("forward", f"a{number}", "{}", [call], each.a[0], str(number))
        seen = loss.normalised(self.trace.y[0])
        if self.y == "y":
            outputs = Call(log_softmax, [f"a{len(self.layers)}"], "log_softmax")
            compute("forward", "y", "{}  # log-probabilities", [outputs], seen)
        call = Call(loss.f, [self.y, self.target], loss.name)
        compute("forward", "l", "{}", [call], loss.f(seen, self.batch.t[0]))
        # a mean over rows and outputs; classes share one row's loss, and are summed
        mean = "l.sum(axis=1).mean()" if loss.targets == "classes" else "l.mean()"
        show("forward", "loss", mean, self.value[0])
        if self.gradient.penalized:
            show("forward", "l1", "the recipe's l1", self.numbers.l1[0, 0])
            show("forward", "l2", "the recipe's l2", self.numbers.l2[0, 0])
            weights = [f"W{number}" for number in range(1, len(self.layers) + 1)]
            calls = [Call(penalty, [W, "l1", "l2"], "penalty") for W in weights]
            form = " + ".join(["np.sum({})"] * len(calls))
            compute("forward", "penalty", form, calls, self.penalty[0])
            show("forward", "objective", "loss + penalty", (self.value + self.penalty)[0])

    def backward(self) -> None:
        """dX for every X, the last layer's first: derivatives of the loss; then the penalty's."""
        show, compute, loss = self.sheet.show, self.sheet.compute, self.loss
        rows, outputs = self.t.shape
        terms = rows * loss.terms(outputs)
        slopes, count = self.trace.slopes[::-1], len(self.layers)
        bare = self.network.views(self.trace.bare)
        for number in range(count, 0, -1):
            activation, (da, dz) = self.network.layers[number - 1].activation, slopes[number - 1]
            if number == count:
                call = Call(loss.df, [self.y, self.target], f"{loss.name}_d")
                compute("backward", f"da{number}", f"({{}}) / {terms}", [call], da[0])
            else:
                formula = f"dz{number + 1} @ W{number + 1}.T"
                show("backward", f"da{number}", formula, da[0])
            call = Call(activation.df, [f"z{number}", f"a{number}"], f"{activation.name}_d")
            compute("backward", f"dz{number}", f"da{number} * {{}}", [call], dz[0], str(number))
            (dW, db), dz_ = bare[number - 1], f"dz{number}"
            show("backward", f"dW{number}", f"{_below(number)}.T @ {dz_}", dW[0])
            show("backward", f"db{number}", f"{dz_}.sum(axis=0, keepdims=True)", db[0])
        if self.gradient.penalized:
            for number, (W, _) in enumerate(self.layers, 1):
                slope = penalty_d(W, self.numbers.l1, self.numbers.l2)
                call = Call(penalty_d, [f"W{number}", "l1", "l2"], "penalty_d")
                compute("backward", f"pW{number}", "{}", [call], slope)

    def update(self) -> None:
        """Show the numbers of the step, and then what becomes of each W and b."""
        rule = self.rule
        changed = self.gradient.penalized or self.numbers.clip_norm is not None
        given = list(zip(*(_blocks(self.network, each) for each in rule.given), strict=True))
        returned = zip(*(_blocks(self.network, each) for each in rule.returned), strict=True)
        self._numbers_of_the_step()
        for (symbol, old), inputs, outputs in zip(
            _blocks(self.network, self.before), given, returned, strict=True
        ):
            w, g, *before = [value for _, value in inputs]
            d = f"d{symbol}"
            if changed and (formula := self._whole(symbol)) != d:
                d = f"g{symbol}"
                self.sheet.show("update", d, formula, g)
            start = symbol
            if self.gradient.decays and symbol[0] == "W":
                start = f"{symbol}_decayed"
                call = Call(shrink, [symbol, "lr", "weight_decay"], "shrink")
                self.sheet.compute("update", start, "{}", [call], w)
            befores = []
            for state, value, everywhere in zip(
                self.states, before, self.rule.given[2:], strict=True
            ):
                befores.append(f"{state}0")
                if not _alike(everywhere):
                    befores[-1] += f"_{symbol}"
                    words = f"{state} before the first step"
                    self.sheet.show("update", befores[-1], words, value)
            self._rule(symbol, [start, d], befores, [value for _, value in outputs])
            new = outputs[0][1]
            self.sheet.show("update", f"{symbol} change", f"{symbol} new - {symbol}", new - old)

    def _numbers_of_the_step(self) -> None:
        show, numbers, lr = self.sheet.show, self.numbers, np.ravel(self.rule.lr)[0]
        if self.factor == 1:
            show("update", "lr", f"{self.kind}'s learning rate", lr)
        else:
            schedule = f"{self.one.recipe.schedule.name}'s factor, at the first step"
            show("update", "rate", f"{self.kind}'s learning rate", numbers.lr[0, 0])
            show("update", "factor", schedule, self.factor)
            show("update", "lr", "rate * factor", lr)
        for name, number in zip(self.optimizer.hyperparameters, numbers.optimizer, strict=True):
            show("update", name, f"{self.kind}'s {name}", number[0, 0])
        if self.gradient.decays:
            decay = numbers.weight_decay[0, 0]
            show("update", "weight_decay", f"{self.kind}'s weight_decay", decay)
        if uses(self.rule.rule, 2):
            show("update", "k", "the number of the step", self.rule.k)
        for state, before in zip(self.states, self.rule.given[2:], strict=True):
            if _alike(before):
                first = before[0, 0]
                words = f"{state} before the first step, for every parameter"
                words = "lr" if first and first == lr else words
                show("update", f"{state}0", words, first)
        if numbers.clip_norm is not None:
            squares = [
                f"np.sum(({whole}) ** 2)" if "+" in whole else f"np.sum({whole} ** 2)"
                for symbol, _ in _blocks(self.network, self.whole)
                for whole in [self._whole(symbol, clipped=False)]
            ]
            norm = objective.length(self.whole)[0, 0]
            factor = objective.clip_factor(self.whole, numbers.clip_norm)[0, 0]
            show("update", "clip_norm", "the recipe's clip_norm", numbers.clip_norm[0, 0])
            show("update", "norm", f"np.sqrt({' + '.join(squares)})", norm)
            show("update", "clip", "clip_norm / np.maximum(norm, clip_norm)", factor)

    def _rule(
        self, symbol: str, inputs: list[str], befores: list[str], outputs: list[Array]
    ) -> None:
        """Show a block's state and parameters after the step, by the rule's own source."""
        rule = self.rule.rule
        after = [f"{state}{symbol}" for state in self.states]
        symbols = [*inputs, "k", "lr", *befores, *self.optimizer.hyperparameters]
        call = Call(rule, symbols, self.kind)
        own = [*inputs, *(each for each in befores if symbol in each)]
        found = self.sheet.told(call, ["", *self.states], symbol, own, outputs)
        if found is None:
            results = [f"{name_of(rule, self.kind)}({', '.join(symbols)})"] * len(outputs)
            shown = set[str]()
        else:
            (lines, results), numbers = found
            shown = set(lines)
            numbers |= dict(zip(after, outputs[1:], strict=True))
            self.sheet.add("update", lines, numbers)
        for name, formula, value in zip(after, results[1:], outputs[1:], strict=True):
            if name not in shown:
                self.sheet.show("update", name, formula, value)
        self.sheet.show("update", f"{symbol} new", results[0], outputs[0])

    def _whole(self, symbol: str, clipped: bool = True) -> str:
        """Return the formula of the gradient that the rule is given: penalty, then clipping."""
        formula = f"d{symbol}"
        if self.gradient.penalized and symbol[0] == "W":
            formula += f" + p{symbol}"
        if clipped and self.numbers.clip_norm is not None:
            formula = f"({formula}) * clip" if "+" in formula else f"{formula} * clip"
        return formula


def _blocks(network: Network, array: Array) -> Iterator[tuple[str, Array]]:
    """Yield W1, b1, … and their part of an array (1, D)."""
    for number, (W, b) in enumerate(network.views(array), 1):
        yield f"W{number}", W[0]
        yield f"b{number}", b[0]


def _states(rule: Rule, count: int) -> list[str]:
    """Return what a rule calls its state, behind w, g, k and lr."""
    try:
        names = list(inspect.signature(rule).parameters)[4 : 4 + count]
    except (TypeError, ValueError):  # compiled, and says nothing of them
        names = []
    return names if len(names) == count else [f"s{number}" for number in range(count)]


def _alike(array: Array) -> bool:
    """Return whether one number says it for all parameters."""
    return bool((array == array[0, 0]).all())


def _below(number: int) -> str:
    """Return the symbol of a layer's inputs."""
    return "x" if number == 1 else f"a{number - 1}"


def _joined(pieces: Sequence[Sequence[Array]]) -> list[Array]:
    """Return the pieces of each array, put together again."""
    return [np.concatenate(each, axis=1) for each in zip(*pieces, strict=True)]
