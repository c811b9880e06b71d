"""An ONNX graph in the making, and formulas as its operators."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from seedbed.errors import FormulaError
from seedbed.exporting.tracing import Kind, Step, Trace

_OPERATORS = {
    "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "neg": "Neg", "abs": "Abs",
    "sqrt": "Sqrt", "max": "Max", "min": "Min", "lt": "Less", "le": "LessOrEqual", "gt": "Greater",
    "ge": "GreaterOrEqual", "eq": "Equal", "and": "And", "or": "Or", "where": "Where",
    "exp": "Exp", "log": "Log", "sign": "Sign", "tanh": "Tanh",
}  # fmt: skip
_MASKS = {"lt", "le", "gt", "ge", "eq", "ne", "and", "or"}
_OF_MASKS = {"and", "or"}

TYPES = {
    "float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "int64": TensorProto.INT64,
    "string": TensorProto.STRING,
}  # fmt: skip
"""ONNX's types of numbers and texts."""


class Graph:
    """Nodes and constants; each value has a readable name of its own."""

    def __init__(self, taken: Iterable[str]) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._taken = {"", *taken}
        self._known: dict[tuple[Any, ...], str] = {}

    def name(self, wanted: str) -> str:
        """Return a name that no value has, ``wanted`` if possible."""
        found, number = wanted, 2
        while found in self._taken:
            found, number = f"{wanted} {number}", number + 1
        self._taken.add(found)
        return found

    def constant(self, values: Any, name: str) -> str:
        """Return the name of a constant array of numbers or texts; equal ones are one."""
        values = np.asarray(values)
        key = values.dtype.str, values.shape, values.tobytes()
        if values.dtype.kind in "OU":
            key = "texts", values.shape, tuple(values.reshape(-1).tolist())
            values = values.astype(object)
        if key not in self._known:
            self._known[key] = self.name(name)
            self.constants.append(numpy_helper.from_array(values, self._known[key]))
        return self._known[key]

    def node(self, operator: str, *inputs: str, name: str, **attributes: Any) -> str:
        """Add a node, and return its output's name."""
        output = self.name(name)
        domain = "ai.onnx.ml" if operator == "LabelEncoder" else ""
        self.nodes.append(
            helper.make_node(operator, inputs, [output], output, domain=domain, **attributes)
        )
        return output

    def cast(self, value: str, kind: str, name: str) -> str:
        """Add a conversion to "float32", "float64" or "int64"."""
        return self.node("Cast", value, name=name, to=TYPES[kind])

    def columns(self, values: Sequence[str], name: str) -> str:
        """Add the matrix (N, C) of columns (N,)."""
        axis = self.constant(np.array([1]), "axis 1")
        made = [self.node("Unsqueeze", each, axis, name=f"{name}: column") for each in values]
        return self.node("Concat", *made, name=name, axis=1)

    def for_each_member(self, x: str, count: int, kind: Kind, name: str) -> str:
        """Add x (1 or P, N, I) for P members: broadcast by adding zeros (P, 1, 1)."""
        zeros = self.constant(np.zeros((count, 1, 1), kind), "a zero for each member")
        return self.node("Add", x, zeros, name=name)

    def formula(self, of: Trace, x: str, name: str) -> str:
        """Add a formula of x, elementwise, and return its result's name.

        Raises: FormulaError if it has an operation that ONNX lacks.
        """
        values: dict[int, str] = {0: x}
        masks: set[int] = set()
        for place, step in enumerate(of.steps):
            number = of.arguments + place
            last = of.results == (number,)
            values[number] = self._step(
                step, values, masks, of.kind, name if last else f"{name}: {step.name}"
            )
            if step.name in _MASKS:
                masks.add(number)
        (result,) = of.results
        if isinstance(result, float):  # the same for every x, in x's shape
            constant = self._number(result, of.kind)
            either = self.node("IsNaN", x, name=f"{name}: either")
            return self.node("Where", either, constant, constant, name=name)
        return self.cast(values[result], of.kind, name) if result in masks else values[result]

    def _step(
        self, step: Step, values: dict[int, str], masks: set[int], kind: Kind, name: str
    ) -> str:
        def operand(place: int) -> str:
            given = step.operands[place]
            if isinstance(given, float):
                return self._number(given, kind)
            wants_mask = step.name in _OF_MASKS or (step.name == "where" and place == 0)
            if given in masks and not wants_mask:
                return self.cast(values[given], kind, f"{name}: as a number")
            if given not in masks and wants_mask:
                no = self.node("Equal", values[given], self._number(0.0, kind), name=f"{name}: no")
                return self.node("Not", no, name=f"{name}: yes")
            return values[given]

        operands = [operand(place) for place in range(len(step.operands))]
        if step.name == "fma":
            product = self.node("Mul", *operands[:2], name=f"{name}: product")
            return self.node("Add", product, operands[2], name=name)
        if step.name == "ne":
            same = self.node("Equal", *operands, name=f"{name}: equal")
            return self.node("Not", same, name=name)
        if step.name == "expm1":
            power = self.node("Exp", *operands, name=f"{name}: e^x")
            return self.node("Sub", power, self._number(1.0, kind), name=name)
        if step.name == "log1p":
            sum_ = self.node("Add", *operands, self._number(1.0, kind), name=f"{name}: 1 + x")
            return self.node("Log", sum_, name=name)
        if step.name not in _OPERATORS:
            raise FormulaError(f"ONNX has no operator for {step.name}, which a formula needs")
        return self.node(_OPERATORS[step.name], *operands, name=name)

    def _number(self, value: float, kind: Kind) -> str:
        return self.constant(np.array(value, kind), f"{value:.6g}")
