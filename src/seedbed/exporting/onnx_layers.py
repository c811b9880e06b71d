"""The networks' layers as ONNX: all members at once.

Every member's layer is a part of one product: h (P, N, I), W (P, I, O), so h W is (P, N, O).
"""

from __future__ import annotations

import numpy as np

from seedbed.errors import SettingError
from seedbed.exporting.model import DensePlan, EmbeddingPlan, ExportModel, PeriodicPlan
from seedbed.exporting.onnx_encoding import Lookup
from seedbed.exporting.onnx_graph import Graph
from seedbed.layers.periodic import TWO_PI


class Members:
    """Adds the nodes from the networks' inputs to their predictions."""

    def __init__(self, graph: Graph, model: ExportModel) -> None:
        self.graph, self.model, self.kind = graph, model, model.kind

    def predictions(self, x: str, indices: dict[int, Lookup]) -> str:
        """Return all members' predictions (P, N, O) of the loss."""
        g = self.graph
        first = self.model.layers[0]
        if isinstance(first, EmbeddingPlan):
            h = self._embedded(first, x, indices)
        elif indices:
            raise SettingError("ONNX needs an Embedding as the first layer of embedded columns")
        else:
            h = g.node("Unsqueeze", x, g.constant(np.array([0]), "axis 0"), name="as one member")
        for place, layer in enumerate(self.model.layers):
            if isinstance(layer, EmbeddingPlan):
                if place:
                    raise SettingError("ONNX needs an Embedding as the first layer")
            elif isinstance(layer, DensePlan):
                h = self._dense(place, layer, h)
            else:
                h = self._periodic(place, layer, h)
        if self.model.normalised:
            h = g.node("LogSoftmax", h, name="log-probabilities", axis=-1)
        return g.formula(self.model.predict, h, "members' predictions")

    def _dense(self, place: int, layer: DensePlan, h: str) -> str:
        g, name = self.graph, f"layer {place + 1}"
        h = g.node("MatMul", h, g.constant(layer.W, f"{name}: W"), name=f"{name}: x W")
        h = g.node("Add", h, g.constant(layer.b[:, None], f"{name}: b"), name=f"{name}: x W + b")
        return g.formula(layer.activation, h, name)

    def _embedded(self, layer: EmbeddingPlan, x: str, indices: dict[int, Lookup]) -> str:
        """Return the embedding's outputs (P, N, …)."""
        g, pieces = self.graph, []
        if self.model.encoding is None:
            indices = {
                column: Lookup(self._numbers_of(x, column), np.arange(levels))
                for column, levels in self.model.levels.items()
            }
            if layer.others:
                others = g.constant(np.array(layer.others), "other columns")
                x = g.node("Gather", x, others, name="other inputs", axis=1)
        if sorted(indices) != sorted(layer.columns):
            raise SettingError("ONNX needs an Embedding of all embedded columns as the first layer")
        if layer.others:
            pieces.append(
                g.for_each_member(x, self.model.members, self.kind, "inputs for each member")
            )
        for column, E in zip(layer.columns, layer.E, strict=True):
            row, levels = indices[column]
            table = g.constant(E[:, levels], f"embedding {column}")
            pieces.append(g.node("Gather", table, row, name=f"embedded {column}", axis=1))
        return g.node("Concat", *pieces, name="layer 1", axis=2)

    def _numbers_of(self, x: str, column: int) -> str:
        at = self.graph.constant(np.array(column), f"column {column}")
        own = self.graph.node("Gather", x, at, name=f"input {column}", axis=1)
        return self.graph.cast(own, "int64", f"category {column}")

    def _periodic(self, place: int, layer: PeriodicPlan, h: str) -> str:
        """Return the outputs (P, N, …) of a periodic layer for h (1 or P, N, I)."""
        g, name = self.graph, f"layer {place + 1}"
        P, F = layer.c.shape[:2]
        units = layer.b.shape[2]
        pieces = []
        columns = g.constant(np.array(layer.columns), f"{name}: columns")
        own = g.node("Gather", h, columns, name=f"{name}: numbers", axis=2)
        if layer.others:
            others = g.constant(np.array(layer.others), f"{name}: other columns")
            rest = g.node("Gather", h, others, name=f"{name}: others", axis=2)
            pieces.append(g.for_each_member(rest, P, self.kind, f"{name}: others by member"))
        if layer.p is not None:
            pieces.append(g.for_each_member(own, P, self.kind, f"{name}: numbers by member"))
        last = g.constant(np.array([3]), "axis 3")
        t = g.node("Unsqueeze", own, last, name=f"{name}: numbers as columns")  # (P, N, F, 1)
        t = g.node("Mul", t, g.constant(layer.c[:, None], f"{name}: c"), name=f"{name}: c x")
        if layer.p is not None:
            phases = (layer.p / TWO_PI).astype(self.kind)[:, None]
            t = g.node("Add", t, g.constant(phases, f"{name}: p / 2 pi"), name=f"{name}: turns")
        whole = g.node("Round", t, name=f"{name}: whole turns")
        t = g.node("Sub", t, whole, name=f"{name}: part of a turn")  # small angles are exact
        two_pi = g.constant(np.array(TWO_PI, self.kind), "2 pi as networks count")
        t = g.node("Mul", t, two_pi, name=f"{name}: angle")
        waves = g.node("Cos", t, name=f"{name}: cos")
        if layer.p is None:
            sine = g.node("Sin", t, name=f"{name}: sin")
            waves = g.node("Concat", sine, waves, name=f"{name}: sin and cos", axis=3)
        waves = g.node("Transpose", waves, name=f"{name}: by column", perm=[0, 2, 1, 3])
        z = g.node("MatMul", waves, g.constant(layer.W, f"{name}: W"), name=f"{name}: h W")
        z = g.node("Add", z, g.constant(layer.b[:, :, None], f"{name}: b"), name=f"{name}: h W + b")
        z = g.node("Transpose", z, name=f"{name}: by row", perm=[0, 2, 1, 3])
        shape = g.constant(np.array([P, -1, F * units]), f"{name}: shape")
        z = g.node("Reshape", z, shape, name=f"{name}: embeddings")
        if layer.p is None:
            z = g.formula(layer.relu, z, f"{name}: relu")
        return g.node("Concat", *pieces, z, name=name, axis=2) if pieces else z
