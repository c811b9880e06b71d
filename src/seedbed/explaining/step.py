"""explain(): one training step of the engine, number by number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from seedbed.arrays import Array, checked_index
from seedbed.checks import checked_inputs, checked_targets
from seedbed.engines import numpy_engine, objective
from seedbed.engines.batches import whole_batch
from seedbed.explaining.explanation import Explanation
from seedbed.explaining.symbolic import name_of, uses_parameter
from seedbed.explaining.trace import FormulaTrace
from seedbed.formulas.losses import log_softmax
from seedbed.formulas.optimizers import Rule
from seedbed.formulas.penalties import penalty, penalty_d, shrink
from seedbed.layers.base import Call, Line
from seedbed.network import Network
from seedbed.population import Population
from seedbed.tables.model import resolved
from seedbed.tables.sources import join_names

_STEP_SYMBOLS = (
    "np", "x", "t", "smoothing", "t_smooth", "y", "l", "loss", "l1", "l2", "penalty", "objective",
    "rate", "factor", "lr", "k", "weight_decay", "clip_norm", "norm", "clip", "r", "J",
)  # fmt: skip


def explain(
    model: Population | Any,
    X: Any,
    Y: Any = None,
    *,
    member: int = 0,
    row: int | None = None,
) -> Explanation:
    """Return every number of one step of a member's training on X, Y: forward, backward, update.

    The step is the first of a training that starts from the member's parameters, on all rows in one
    batch or on one ``row``, without dropout. The numbers are the NumPy engine's, in float64. The
    formulas come from the source: Python in ``np`` and the symbols above.

    model   a Population, a fitted estimator, or a model file's path
    X, Y    for a population, inputs (N, I) and targets (N, O), (N,) or class numbers (N,); else the
            raw table and its target, as in ``fit``; Y None takes X's target column
    member  by its place
    row     of X, counted from 0; None takes all rows

    Raises: SettingError for a member or a row out of range; ShapeError, DataError.
    """
    given = resolved(model, X, Y)
    population, X, Y = given.population, given.X, given.Y
    network, loss = population.network, population.recipe.loss
    member = checked_index("member", member, len(population))
    one = population[member]
    x = checked_inputs(X, network, np.float64)
    t = checked_targets(Y, loss, network.outputs, len(x), np.float64, classes=population.classes)
    if row is not None:
        row = checked_index("row", row, len(x))
        x, t = x[row : row + 1], t[row : row + 1]
    with np.errstate(all="ignore"):  # overflow shows as a number that is not finite
        step = _Step(one, x, t, given.input_names, given.output_names)
        step.forward()
        step.backward()
        step.update()
    rows = f"row {row}" if row is not None else f"{len(x)} rows"
    title = f"One step of seed {one.seeds[0]}, {network}, on {rows}"
    return Explanation(title, tuple(step.shown.numbers))


class _RecordedRule:
    """An optimizer's rule that records its arguments and results.

    given     w, g, then the state before the step, (1, D) each; residuals and their Jacobian, where
              the optimizer needs them, are not kept
    returned  w and the state after the step
    """

    def __init__(self, rule: Rule, states: int, first: int) -> None:
        self.rule, self.own = rule, slice(first, first + states)
        self.lr: Array | float = np.nan
        self.k = 0
        self._given: list[list[Array]] = []
        self._returned: list[list[Array]] = []

    def __call__(self, w: Array, g: Array, k: int, lr: Array, *rest: Array) -> tuple[Array, ...]:
        self.k, self.lr = k, lr
        self._given.append([each.copy() for each in (w, g, *rest[self.own])])
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
    """A member's step, run by the engine, and the numbers shown of it."""

    def __init__(
        self,
        one: Population,
        x: Array,
        t: Array,
        input_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
    ) -> None:
        self.one, self.x, self.t = one, x, t
        self.inputs, self.targets = (
            what if names is None else f"{what}: {join_names(names)}"
            for what, names in (("the inputs", input_names), ("the targets", output_names))
        )
        self.network, self.loss = one.network, one.recipe.loss
        self.optimizer, self.kind = one.recipe.optimizer, type(one.recipe.optimizer).__name__
        theta = one.theta.astype(np.float64)
        self.before, self.hyperparameters = theta.copy(), one.recipe.hyperparameters(1, np.float64)
        self.layers = self.network.views(self.before)
        self.decaying = [block.symbol for block in self.network.blocks if block.decays]
        self.gradient = objective.Objective(self.network, self.loss, self.hyperparameters, theta)
        self.batch = whole_batch(x, t, None, self.loss)
        self.trace = objective.Trace()
        self.value = self.gradient.gradient(self.batch, trace=self.trace)
        self.penalty = self.gradient.penalty()
        self.unclipped = self.gradient.g.copy()
        state = self.optimizer.init(theta, self.hyperparameters.lr)
        self.residuals: tuple[Array, ...] = ()
        if self.optimizer.needs == "jacobian":
            self.residuals = self.gradient.residuals(self.batch)
        self.rule = _RecordedRule(self.optimizer.rule, len(state), len(self.residuals))
        self.factor = one.recipe.schedule(0.0)
        numpy_engine.update(self.gradient, self.rule, state, 1, self.factor, self.residuals)
        self.states = self.optimizer.state
        reserved = [*_STEP_SYMBOLS, *self.optimizer.hyperparameters]
        reserved += [f"{state}0" for state in self.states]
        reserved += [
            symbol.format(block.symbol)
            for block in self.network.blocks
            for symbol in ("{}", "d{}", "p{}", "g{}", "{}_decayed")
        ]
        reserved += [
            f"{symbol}{number + 1}"
            for number in range(len(self.layers))
            for symbol in ("z", "a", "da", "dz", *self.network.layers[number].symbols)
        ]
        self.shown = FormulaTrace(reserved)
        self.y = "y" if self.loss.targets == "classes" else f"a{len(self.layers)}"
        self.target = "t_smooth" if self.loss.smoothing else "t"

    def forward(self) -> None:
        """Show x to the loss, and with penalties to the objective."""
        show, compute, loss = self.shown.show, self.shown.compute, self.loss
        show("forward", "x", self.inputs, self.x)
        show("forward", "t", self.targets, self.t)
        if loss.smoothing:
            classes = self.t.shape[1] if loss.targets == "classes" else 2
            formula = f"(1 - smoothing) * t + smoothing / {classes}"
            show("forward", "smoothing", "the loss's label smoothing", loss.smoothing)
            show("forward", "t_smooth", formula, self.batch.t[0])
        for number, (layer, p, done) in enumerate(
            zip(self.network.layers, self.layers, self.trace.passes, strict=True), 1
        ):
            lines = layer.explain_forward(str(number), _inputs_of(number), p, done)
            self._show_lines("forward", number, lines)
        y = loss.normalised(self.trace.y[0])
        if self.y == "y":
            outputs = Call(log_softmax, [f"a{len(self.layers)}"], "log_softmax")
            compute("forward", "y", "{}  # log-probabilities", [outputs], y)
        call = Call(loss.f, [self.y, self.target], loss.name)
        compute("forward", "l", "{}", [call], loss.f(y, self.batch.t[0]))
        # the mean over rows and outputs; classes of one distribution are summed
        mean = "l.sum(axis=1).mean()" if loss.targets == "classes" else "l.mean()"
        show("forward", "loss", mean, self.value[0])
        if self.gradient.penalized:
            show("forward", "l1", "the recipe's l1", self.hyperparameters.l1[0, 0])
            show("forward", "l2", "the recipe's l2", self.hyperparameters.l2[0, 0])
            calls = [Call(penalty, [W, "l1", "l2"], "penalty") for W in self.decaying]
            form = " + ".join(["np.sum({})"] * len(calls))
            compute("forward", "penalty", form, calls, self.penalty[0])
            show("forward", "objective", "loss + penalty", (self.value + self.penalty)[0])

    def backward(self) -> None:
        """Show the loss's derivatives from the last layer to the first, then the penalty's."""
        show, compute, loss = self.shown.show, self.shown.compute, self.loss
        rows, outputs = self.t.shape
        terms = rows * loss.terms(outputs)
        slopes, count = self.trace.slopes[::-1], len(self.layers)
        bare = self.network.views(self.trace.dloss)
        for number in range(count, 0, -1):
            layer, (da, dz) = self.network.layers[number - 1], slopes[number - 1]
            if number == count:
                call = Call(loss.df, [self.y, self.target], f"{loss.name}_d")
                compute("backward", f"da{number}", f"({{}}) / {terms}", [call], da[0])
            else:
                formula = self.network.layers[number].explain_dx(
                    str(number + 1), self.network.widths[number]
                )
                show("backward", f"da{number}", formula, da[0])
            p, done, dp = self.layers[number - 1], self.trace.passes[number - 1], bare[number - 1]
            lines = layer.explain_backward(str(number), _inputs_of(number), p, done, da, dz, dp)
            self._show_lines("backward", number, lines)
        if self.gradient.penalized:
            for symbol, w in _blocks(self.network, self.before):
                if symbol in self.decaying:
                    slope = penalty_d(w, self.hyperparameters.l1, self.hyperparameters.l2)
                    call = Call(penalty_d, [symbol, "l1", "l2"], "penalty_d")
                    compute("backward", f"p{symbol}", "{}", [call], slope)

    def _show_lines(self, part: str, number: int, lines: Iterable[Line]) -> None:
        """Show a layer's lines."""
        for symbol, formula, value, calls in lines:
            if calls:
                self.shown.compute(part, symbol, formula, calls, value, str(number))
            else:
                self.shown.show(part, symbol, formula, value)

    def update(self) -> None:
        """Show the hyperparameters, then how each W and b changes."""
        rule = self.rule
        changed = self.gradient.penalized or self.hyperparameters.clip_norm is not None
        given = list(zip(*(_blocks(self.network, each) for each in rule.given), strict=True))
        returned = zip(*(_blocks(self.network, each) for each in rule.returned), strict=True)
        self._show_hyperparameters()
        for (symbol, old), inputs, outputs in zip(
            _blocks(self.network, self.before), given, returned, strict=True
        ):
            w, g, *before = [value for _, value in inputs]
            d = f"d{symbol}"
            if changed and (formula := self._gradient_formula(symbol)) != d:
                d = f"g{symbol}"
                self.shown.show("update", d, formula, g)
            start = symbol
            if self.gradient.decays and symbol in self.decaying:
                start = f"{symbol}_decayed"
                call = Call(shrink, [symbol, "lr", "weight_decay"], "shrink")
                self.shown.compute("update", start, "{}", [call], w)
            befores = []
            for state, value, whole in zip(self.states, before, rule.given[2:], strict=True):
                befores.append(f"{state}0")
                if not _is_uniform(whole):
                    befores[-1] += f"_{symbol}"
                    words = f"{state} before the first step"
                    self.shown.show("update", befores[-1], words, value)
            self._show_rule(symbol, [start, d], befores, [value for _, value in outputs])
            new = outputs[0][1]
            self.shown.show("update", f"{symbol} change", f"{symbol} new - {symbol}", new - old)

    def _show_hyperparameters(self) -> None:
        show, given, lr = self.shown.show, self.hyperparameters, np.ravel(self.rule.lr)[0]
        if self.factor == 1:
            show("update", "lr", f"{self.kind}'s learning rate", lr)
        else:
            schedule = f"{self.one.recipe.schedule.name}'s factor, at the first step"
            show("update", "rate", f"{self.kind}'s learning rate", given.lr[0, 0])
            show("update", "factor", schedule, self.factor)
            show("update", "lr", "rate * factor", lr)
        for name, number in zip(self.optimizer.hyperparameters, given.optimizer, strict=True):
            show("update", name, f"{self.kind}'s {name}", number[0, 0])
        if self.gradient.decays:
            decay = given.weight_decay[0, 0]
            show("update", "weight_decay", f"{self.kind}'s weight_decay", decay)
        if self.residuals:
            r, J = self.residuals
            show("update", "r", "the residuals, whose squares sum to the objective", r[0])
            show("update", "J", "their Jacobian by all parameters", J[0])
        if uses_parameter(self.rule.rule, 2):
            show("update", "k", "the step number", self.rule.k)
        for state, before in zip(self.states, self.rule.given[2:], strict=True):
            if _is_uniform(before):
                first = before[0, 0]
                words = f"{state} before the first step, for every parameter"
                words = "lr" if first and first == lr else words
                show("update", f"{state}0", words, first)
        if given.clip_norm is not None:
            formulas = [
                self._gradient_formula(symbol, clipped=False)
                for symbol, _ in _blocks(self.network, self.unclipped)
            ]
            squares = [f"np.sum({f'({g})' if '+' in g else g} ** 2)" for g in formulas]
            norm = objective.gradient_norm(self.unclipped)[0, 0]
            factor = objective.clip_factor(self.unclipped, given.clip_norm)[0, 0]
            show("update", "clip_norm", "the recipe's clip_norm", given.clip_norm[0, 0])
            show("update", "norm", f"np.sqrt({' + '.join(squares)})", norm)
            show("update", "clip", "clip_norm / np.maximum(norm, clip_norm)", factor)

    def _show_rule(
        self, symbol: str, inputs: list[str], befores: list[str], outputs: list[Array]
    ) -> None:
        """Show a block's state and parameters after the step, by the rule's source."""
        rule = self.rule.rule
        after = [f"{state}{symbol}" for state in self.states]
        jacobian = ["r", "J"] if self.residuals else []  # of all blocks: the rule is named only
        symbols = [*inputs, "k", "lr", *jacobian, *befores, *self.optimizer.hyperparameters]
        call = Call(rule, symbols, self.kind)
        own = [*inputs, *(each for each in befores if symbol in each)]
        read = None
        if not jacobian:
            read = self.shown.read(call, ["", *self.states], symbol, own, outputs)
        if read is None:
            results = [f"{name_of(rule, self.kind)}({', '.join(symbols)})"] * len(outputs)
            shown = set[str]()
        else:
            (lines, results), values = read
            shown = set(lines)
            self.shown.add("update", lines, values | dict(zip(after, outputs[1:], strict=True)))
        for name, formula, value in zip(after, results[1:], outputs[1:], strict=True):
            if name not in shown:
                self.shown.show("update", name, formula, value)
        self.shown.show("update", f"{symbol} new", results[0], outputs[0])

    def _gradient_formula(self, symbol: str, clipped: bool = True) -> str:
        """Return the formula of the rule's gradient: the penalty is added, then it is clipped."""
        formula = f"d{symbol}"
        if self.gradient.penalized and symbol in self.decaying:
            formula += f" + p{symbol}"
        if clipped and self.hyperparameters.clip_norm is not None:
            formula = f"({formula}) * clip" if "+" in formula else f"{formula} * clip"
        return formula


def _blocks(network: Network, array: Array) -> Iterator[tuple[str, Array]]:
    """Yield each block's symbol, such as W1, and its part of an array (1, D)."""
    for block in network.blocks:
        yield block.symbol, array[0, block.where].reshape(block.shape)


def _is_uniform(array: Array) -> bool:
    """Return whether all parameters have the same number."""
    return bool((array == array[0, 0]).all())


def _inputs_of(number: int) -> str:
    """Return the symbol of a layer's inputs."""
    return "x" if number == 1 else f"a{number - 1}"


def _joined(pieces: Sequence[Sequence[Array]]) -> list[Array]:
    """Return each array, concatenated from its pieces."""
    return [np.concatenate(each, axis=1) for each in zip(*pieces, strict=True)]
