"""Formulas and layers as C."""

from __future__ import annotations

from seedbed.exporting.c_words import array, integers, kind_of, number
from seedbed.exporting.model import DensePlan, EmbeddingPlan, Layer, PeriodicPlan
from seedbed.exporting.tracing import Kind, Step, Trace
from seedbed.layers.periodic import TWO_PI

_OPERATIONS = {
    "add": "{0} + {1}", "sub": "{0} - {1}", "mul": "{0} * {1}", "div": "{0} / {1}", "neg": "-{0}",
    "lt": "TRUTH({0} < {1})", "le": "TRUTH({0} <= {1})", "gt": "TRUTH({0} > {1})",
    "ge": "TRUTH({0} >= {1})", "eq": "TRUTH({0} == {1})", "ne": "TRUTH({0} != {1})",
    "and": "{0} * {1}", "or": "TRUTH({0} > 0 || {1} > 0)", "where": "{0} != 0 ? {1} : {2}",
    "max": "{0} > {1} || {0} != {0} ? {0} : {1}", "min": "{0} < {1} || {0} != {0} ? {0} : {1}",
    "fma": "FMA({0}, {1}, {2})", "abs": "FABS({0})", "sqrt": "SQRT({0})",
    "copysign": "COPYSIGN({0}, {1})", "two_to": "two_to({0})",
    "times_two_to": "times_two_to({0}, {1})", "exponent": "exponent({0})",
    "mantissa": "mantissa({0})",
}  # fmt: skip


def function(name: str, of: Trace) -> str:
    """Return the definition of a formula."""
    arguments = [f"real v{place}" for place in range(of.arguments)]
    single = len(of.results) == 1
    out = [] if single else [f"real *r{place}" for place in range(len(of.results))]
    lines = [f"static {'real' if single else 'void'} {name}({', '.join([*arguments, *out])}) {{"]
    if not of.steps:  # a constant
        lines += [f"    (void)v{place};" for place in range(of.arguments)]
    for place, step in enumerate(of.steps):
        lines.append(f"    const real v{of.arguments + place} = {_expression(step, of.kind)};")
    results = [_operand(each, of.kind) for each in of.results]
    if single:
        lines.append(f"    return {results[0]};")
    else:
        lines += [f"    *r{place} = {result};" for place, result in enumerate(results)]
    return "\n".join([*lines, "}"])


def _expression(step: Step, kind: Kind) -> str:
    operands = [_operand(each, kind) for each in step.operands]
    return _OPERATIONS[step.name].format(*operands)


def _operand(operand: int | float, kind: Kind) -> str:
    return f"v{operand}" if isinstance(operand, int) else f"({number(operand, kind)})"


def layer_code(place: int, layer: Layer, width: int, following: int) -> tuple[list[str], list[str]]:
    """Return the constants of a layer, and the lines that compute it for member m from x to y."""
    if isinstance(layer, DensePlan):
        size = layer.W.shape[1] * layer.W.shape[2]
        constants = [array(f"w{place}", layer.W), array(f"b{place}", layer.b)]
        lines = [f"affine(x, w{place} + m * {size}, b{place} + m * {following}, {width}, "
                 f"{following}, y);"]  # fmt: skip
        if not layer.activation.is_identity:
            lines.append(f"for (i = 0; i < {following}; i++) y[i] = f{place}(y[i]);")
        return constants, lines
    others = len(layer.others)
    constants = [integers(f"others{place}", layer.others)] if others else []
    lines = [f"for (i = 0; i < {others}; i++) y[i] = x[others{place}[i]];"] if others else []
    if isinstance(layer, EmbeddingPlan):
        start = others
        for column, E in zip(layer.columns, layer.E, strict=True):
            _, rows, units = E.shape
            constants.append(array(f"e{place}_{column}", E))
            lines.append(
                f"for (i = 0; i < {units}; i++) y[{start} + i] = e{place}_{column}[(m * {rows} + "
                f"(int)x[{column}]) * {units} + i];"
            )
            start += units
        return constants, lines
    return _periodic(place, layer, constants, lines)


def _periodic(
    place: int, layer: PeriodicPlan, constants: list[str], lines: list[str]
) -> tuple[list[str], list[str]]:
    F, k, units = len(layer.columns), layer.c.shape[2], layer.b.shape[2]
    height = layer.W.shape[2]
    constants += [
        integers(f"columns{place}", layer.columns),
        array(f"c{place}", layer.c),
        array(f"w{place}", layer.W),
        array(f"b{place}", layer.b),
    ]
    start = len(layer.others)
    if layer.p is not None:
        constants.append(array(f"p{place}", layer.p))
        lines.append(f"for (i = 0; i < {F}; i++) y[{start} + i] = x[columns{place}[i]];")
        start += F
    lines.append(f"for (j = 0; j < {F}; j++) {{")
    lines.append(f"    real h[{height}];")
    lines.append(f"    for (i = 0; i < {k}; i++) {{")
    lines.append("        real cosine, sine;")
    lines.append(f"        real t = c{place}[(m * {F} + j) * {k} + i] * x[columns{place}[j]];")
    if layer.p is not None:
        lines.append(f"        t = FMA(p{place}[(m * {F} + j) * {k} + i], "
                     f"{number(1 / TWO_PI, kind_of(layer.c))}, t);")  # fmt: skip
    lines.append("        waves(t, &cosine, &sine);")
    if layer.p is not None:
        lines.append("        h[i] = cosine;")
        lines.append("        (void)sine;")
    else:
        lines.append(f"        h[i] = sine, h[{k} + i] = cosine;")
    lines.append("    }")
    lines.append(
        f"    affine(h, w{place} + (m * {F} + j) * {height * units}, b{place} + (m * {F} + j) * "
        f"{units}, {height}, {units}, y + {start} + j * {units});"
    )
    if layer.p is None:
        lines.append(f"    for (i = 0; i < {units}; i++) y[{start} + j * {units} + i] = "
                     f"relu{place}(y[{start} + j * {units} + i]);")  # fmt: skip
    lines.append("}")
    return constants, lines
