"""An exported model as an ONNX model: one input for each column, all members in one graph.

ONNX leaves the order of sums and the last bits of exp open: predictions agree within rounding.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from onnx import helper

import seedbed
from seedbed.exporting import onnx_encoding
from seedbed.exporting.model import ExportModel
from seedbed.exporting.onnx_graph import TYPES, Graph
from seedbed.exporting.onnx_layers import Members
from seedbed.exporting.rows import Rows

OPSET, ML_OPSET, IR_VERSION = 17, 3, 8
"""Versions that onnxruntime reads since 1.12, of 2022."""


def source(model: ExportModel, name: str, rows: Rows) -> bytes:
    """Return the file's content.

    name  the graph's name
    rows  test rows, with predictions, which the file's metadata hold

    Raises: SettingError for a layer that ONNX can't have, FormulaError.
    """
    inputs = onnx_encoding.inputs(model)
    graph = Graph(each.name for each in inputs)
    x, indices, unseen = onnx_encoding.Encoder(graph, model).encoded()
    members = Members(graph, model).predictions(x, indices)
    outputs = _results(graph, model, members, unseen)
    whole = helper.make_graph(
        graph.nodes, name, inputs, outputs, graph.constants,
        doc_string=f"{model.name}: {model.members} networks, exported by Seedbed",
    )  # fmt: skip
    made = helper.make_model(
        whole, ir_version=IR_VERSION, producer_name="seedbed", producer_version=seedbed.__version__,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
    )  # fmt: skip
    helper.set_model_props(made, _metadata(model, rows))
    return bytes(made.SerializeToString(deterministic=True))


def _metadata(model: ExportModel, rows: Rows) -> dict[str, str]:
    """Return what the file says of itself."""
    columns = {}
    if model.encoding is not None:
        names = onnx_encoding.input_names(model.encoding)
        columns = {names[each.name]: onnx_encoding.described(each)
                   for each in model.encoding.columns}  # fmt: skip
    given = [[None if value != value else value for value in row] for row in rows.rows]
    expected = [[value if np.isfinite(value) else None for value in row] for row in rows.expected]
    return {
        "model": model.digest or "not saved",
        "columns": json.dumps(columns, ensure_ascii=False),
        "classes": json.dumps(model.classes, ensure_ascii=False),
        "test_rows": json.dumps(given, ensure_ascii=False),
        "expected": json.dumps(expected),
    }


def _results(graph: Graph, model: ExportModel, members: str, unseen: str) -> list[Any]:
    """Return the outputs: label, probabilities or value, spread, unseen."""
    g, O = graph, model.outputs
    each = g.cast(members, "float64", "members, as doubles")
    scaled = model.scaled_target
    if scaled is not None:
        scale = g.constant(np.array(scaled.scale)[None, None], "target's scale")
        mean = g.constant(np.array(scaled.mean)[None, None], "target's mean")
        each = g.node("Mul", each, scale, name="members, scaled")
        each = g.node("Add", each, mean, name="members, in the target's unit")
    average = g.node("ReduceMean", each, name="mean of members", axes=[0], keepdims=0)
    away = g.node("Sub", each, average, name="away from the mean")
    square = g.node("Mul", away, away, name="away squared")
    variance = g.node("ReduceMean", square, name="variance of members", axes=[0], keepdims=0)
    found, name = [], "value"
    if model.classes:
        names = g.constant(np.array(model.classes, object), "classes")
        if O > 1:
            name = "probabilities"
            best = g.node("ArgMax", average, name="most probable", axis=1, keepdims=0)
        else:
            half = g.constant(np.array(0.5), "0.5")
            over = g.node("Greater", average, half, name="over 0.5")
            over = g.cast(over, "int64", "class of a column")
            best = g.node("Squeeze", over, g.constant(np.array([1]), "axis 1"), name="class")
        found.append(_output(g, "Gather", [names, best], "label", "string"))
    if model.normalises_mean:
        total = g.node("ReduceSum", average, g.constant(np.array([1]), "axis 1"),
                       name="sum of probabilities", keepdims=1)  # fmt: skip
        value = _output(g, "Div", [average, total], name, "float64", O)
    else:
        value = _output(g, "Identity", [average], name, "float64", O)
    spread = _output(g, "Sqrt", [variance], "spread", "float64", O)
    count = _output(g, "Cast", [unseen], "unseen", "int64", to=TYPES["int64"])
    return [*found, value, spread, count]


def _output(
    graph: Graph, operator: str, inputs: list[str], name: str, kind: str,
    width: int | None = None, **attributes: Any,
) -> Any:  # fmt: skip
    """Add a node whose output is one of the graph's, (N,) or (N, width)."""
    made = graph.node(operator, *inputs, name=name, **attributes)
    shape: list[str | int | None] = ["rows"] if width is None else ["rows", width]
    return helper.make_tensor_value_info(made, TYPES[kind], shape)
