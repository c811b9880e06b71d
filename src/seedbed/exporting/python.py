"""An exported model as one Python file, which needs the standard library alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from seedbed.exporting import python_runtime
from seedbed.exporting.model import DensePlan, EmbeddingPlan, ExportModel, Layer, PeriodicPlan
from seedbed.exporting.packing import base64_of
from seedbed.exporting.rows import Rows
from seedbed.exporting.tracing import Kind, Trace
from seedbed.layers.periodic import TWO_PI
from seedbed.tables.columns import CategoryColumn
from seedbed.tables.dates import DateColumn
from seedbed.tables.notation import MISSING_WORDS
from seedbed.tables.numbers import MAX_SQUARABLE

_OPERATIONS = {
    "add": "rounded({0} + {1})", "sub": "rounded({0} - {1})", "mul": "rounded({0} * {1})",
    "div": "div({0}, {1})", "neg": "-{0}", "lt": "float({0} < {1})", "le": "float({0} <= {1})",
    "gt": "float({0} > {1})", "ge": "float({0} >= {1})", "eq": "float({0} == {1})",
    "ne": "float({0} != {1})", "and": "{0} * {1}", "or": "max({0}, {1})",
    "where": "{1} if {0} != 0 else {2}", "max": "{0} if {0} > {1} or {0} != {0} else {1}",
    "min": "{0} if {0} < {1} or {0} != {0} else {1}", "fma": "fma({0}, {1}, {2})",
    "abs": "abs({0})", "sqrt": "sqrt({0})", "copysign": "math.copysign({0}, {1})",
    "two_to": "two_to({0})", "times_two_to": "times_two_to({0}, {1})",
    "exponent": "exponent({0})", "mantissa": "mantissa({0})",
}  # fmt: skip

_OF_ARRAYS = {
    "add": "{0} + {1}", "sub": "{0} - {1}", "mul": "{0} * {1}", "div": "{0} / {1}", "neg": "-{0}",
    "lt": "numpy.float32({0} < {1})", "le": "numpy.float32({0} <= {1})",
    "gt": "numpy.float32({0} > {1})", "ge": "numpy.float32({0} >= {1})",
    "eq": "numpy.float32({0} == {1})", "ne": "numpy.float32({0} != {1})", "and": "{0} * {1}",
    "or": "numpy.maximum({0}, {1})", "where": "where({0}, {1}, {2})",
    "max": "where(({0} > {1}) | ({0} != {0}), {0}, {1})",
    "min": "where(({0} < {1}) | ({0} != {0}), {0}, {1})", "fma": "fma_of_arrays({0}, {1}, {2})",
    "abs": "numpy.abs({0})", "sqrt": "numpy.sqrt({0})", "copysign": "numpy.copysign({0}, {1})",
    "two_to": "two_to_of_arrays({0})",
    "times_two_to": "({0}.view(numpy.int32) + shifted_of_arrays({1})).view(numpy.float32)",
    "exponent": "exponent_of_arrays({0})", "mantissa": "mantissa_of_arrays({0})",
}  # fmt: skip
"""The operations with arrays of float32: one of the operands is an array, of float32."""


def function(name: str, of: Trace) -> str:
    """Return the definition of a formula and, for float32, of what computes it with arrays.

    ``name`` returns the result, or several; ``name_of_arrays`` returns a tuple.
    """
    results = ", ".join(map(_operand, of.results))
    parts = [_function(name, of, _OPERATIONS, results)]
    if of.kind == "float32":
        each = ", ".join(
            _operand(each) if isinstance(each, int) else f"numpy.full_like(v0, {_operand(each)})"
            for each in of.results
        )
        parts.append(_function(f"{name}_of_arrays", of, _OF_ARRAYS, f"({each},)"))
    return "\n\n\n".join(parts)


def _function(name: str, of: Trace, operations: dict[str, str], results: str) -> str:
    arguments = ", ".join(f"v{place}" for place in range(of.arguments))
    lines = [f"def {name}({arguments}):"]
    for place, step in enumerate(of.steps):
        expression = operations[step.name].format(*map(_operand, step.operands))
        lines.append(f"    v{of.arguments + place} = {expression}")
    return "\n".join([*lines, f"    return {results}"])


def _operand(operand: int | float) -> str:
    return f"v{operand}" if isinstance(operand, int) else number(operand)


def number(value: float) -> str:
    """Return a number as Python writes it, exactly."""
    value = float(value)
    if np.isnan(value):
        return "math.nan"
    if np.isinf(value):
        return "math.inf" if value > 0 else "(-math.inf)"
    return repr(value) if not np.signbit(value) else f"({value!r})"


def source(model: ExportModel, rows: Rows) -> str:
    """Return the file.

    Raises: FormulaError for a formula that cannot be translated.
    """
    text = Path(python_runtime.__file__).read_text(encoding="utf-8")
    runtime = text.partition("-" * 76 + "\n")[2].strip()
    words = sorted(MISSING_WORDS) if model.encoding is not None else []
    runtime = runtime.replace('KIND = "float32"', f"KIND = {model.kind!r}", 1)
    runtime = runtime.replace(
        "MISSING_WORDS: frozenset[str] = frozenset()",
        f"MISSING_WORDS = frozenset({words!r})\nCLASSES = {list(model.classes)!r}", 1,
    )  # fmt: skip
    constants, body = [], []
    for place, layer in enumerate(model.layers):
        own, lines = _layer(place, layer, model)
        constants += own
        body += lines
    head = [
        f'"""{_shown(model.name)}: {model.members} networks, exported by Seedbed.',
        "",
        f"Model: {model.digest or 'not saved'}",
        "",
        "predict(row) predicts a row, a dict by column; self_test() predicts the test rows, and",
        "returns how many give other bits than the model did. It needs Python 3.10 and its",
        "standard library; NumPy makes predictions faster.",
        "",
        *_described(model),
        '"""',
    ]
    parts = [
        "\n".join(head) + "\n\n" + runtime,
        *(function(name, of) for name, of in model.traces.items()),
        "\n".join(constants),
        *([_LOG_SOFTMAX] if model.normalised else []),
        _encode(model),
        _members(model, body),
        _predict(model),
        _self_test(model, rows),
    ]
    return "\n\n\n".join(part for part in parts if part) + "\n"


def _listed(numbers: Iterable[float]) -> str:
    return f"[{', '.join(map(number, numbers))}]"


def _shown(name: str) -> str:
    """Return a name as a docstring may show it."""
    printable = "".join(c if c.isprintable() else "?" for c in name)
    return printable.replace("\\", "\\\\").replace('"', "'")


def _described(model: ExportModel) -> list[str]:
    """Return a line for each column."""
    if model.encoding is None:
        return [f"A row is a list of {model.inputs} inputs."]
    lines = ["Columns:"]
    for column in model.encoding.columns:
        if isinstance(column, CategoryColumn):
            kind = f"a text, one of {len(column.categories)}; None where missing"
        elif isinstance(column, DateColumn):
            kind = "a date, or days since 1970-01-01; None where missing"
        else:
            kind = "a number; None where missing"
        lines.append(f"    {_shown(column.name)}: {kind}")
    return lines


def _numbers(name: str, values: Any) -> str:
    """Return the definition of an array of numbers."""
    return f"{name} = numbers({base64_of(values)!r}, {str(values.dtype)!r})"


def _layer(place: int, layer: Layer, model: ExportModel) -> tuple[list[str], list[str]]:
    """Return a layer's constants, and the lines that compute it."""
    width, following = model.widths[place], model.widths[place + 1]
    if isinstance(layer, DensePlan):
        constants = [_numbers(f"W{place}", layer.W), _numbers(f"b{place}", layer.b)]
        lines = [f"x = affine(x, W{place}, b{place}, {width}, {following})"]
        if layer.activation.is_identity:
            return constants, lines
        lines.append(_mapped(f"f{place}", model.kind))
        return constants, lines
    others = f"[row[i] for i in {list(layer.others)!r}]"
    if isinstance(layer, EmbeddingPlan):
        constants, vectors = [], []
        for column, E in zip(layer.columns, layer.E, strict=True):
            _, rows, units = E.shape
            constants.append(_numbers(f"E{place}_{column}", E))
            start = f"(m * {rows} + int(row[{column}])) * {units}"
            vectors.append(f"*E{place}_{column}[{start} : {start} + {units}]")
        made = ", ".join([f"*{others}", *vectors])
        return constants, [f"x = [[{made}] for m, row in enumerate(x)]"]
    return _periodic(place, layer, others)


def _periodic(place: int, layer: PeriodicPlan, others: str) -> tuple[list[str], list[str]]:
    F, k, units = len(layer.columns), layer.c.shape[2], layer.b.shape[2]
    kind = layer.relu.kind
    height = layer.W.shape[2]
    constants = [_numbers(f"c{place}", layer.c)]
    if layer.p is not None:
        constants.append(_numbers(f"p{place}", layer.p))
    constants += [_numbers(f"W{place}", layer.W), _numbers(f"b{place}", layer.b)]
    turns = f"rounded(c{place}[(m * {F} + j) * {k} + i] * row[column])"
    if layer.p is not None:
        factor = number(float(np.dtype(kind).type(1 / TWO_PI)))
        turns = f"fma(p{place}[(m * {F} + j) * {k} + i], {factor}, {turns})"
    columns = f"*[row[i] for i in {list(layer.columns)!r}], " if layer.p is not None else ""
    own = f"cosine[m][{k} * j : {k} * (j + 1)]"
    wave = own if layer.p is not None else f"[*{own.replace('cosine', 'sine')}, *{own}]"
    lines = [
        f"turns = [[{turns} for j, column in enumerate({list(layer.columns)!r})",
        f"          for i in range({k})] for m, row in enumerate(x)]",
        f"cosine, sine = mapped(waves, {_arrays('waves', kind)}, turns)",
        f"h = [{wave} for m in range(len(x)) for j in range({F})]",
        f"z = affine(h, W{place}, b{place}, {height}, {units})",
        *([_mapped(f"relu{place}", kind, "z")] if layer.p is None else []),
        f"x = [[*{others}, {columns}*(v for own in z[{F} * m : {F} * (m + 1)] for v in own)]",
        "     for m, row in enumerate(x)]",
    ]
    return constants, lines


def _mapped(name: str, kind: Kind, x: str = "x") -> str:
    """Return the line that computes a formula of one result."""
    return f"({x},) = mapped({name}, {_arrays(name, kind)}, {x})"


def _arrays(name: str, kind: Kind) -> str:
    """Return the name of a formula with arrays, which float64 does without."""
    return f"{name}_of_arrays" if kind == "float32" else "None"


_LOG_SOFTMAX = '''\
def log_softmax(y):
    """Return y - log sum e^y."""
    top = y[0]
    for v in y[1:]:
        top = top if top > v or top != top else v
    y = [rounded(v - top) for v in y]
    sums = exponential(y[0])
    for v in y[1:]:
        sums = rounded(sums + exponential(v))
    sums = logarithm(sums)
    return [rounded(v - sums) for v in y]'''


def _encode(model: ExportModel) -> str:
    """Return the function from a row to inputs and the number of unseen values."""
    encoding = model.encoding
    lines = [
        "def encode(row):",
        '    """Return a row\'s inputs, and how many values are unseen."""',
    ]
    if encoding is None:
        checks = [
            f"    if len(row) != {model.inputs}:",
            f'        raise ValueError(f"the row has {{len(row)}} numbers: give {model.inputs}")',
            "    x = [rounded(as_number(i, v)) for i, v in enumerate(row)]",
            "    if any(v != v for v in x):",
            '        raise ValueError("the row holds NaN: give finite numbers")',
        ]
        for place, levels in model.levels.items():
            checks += [
                f"    if x[{place}] not in range({levels}):",
                f'        raise ValueError(f"input {place} is {{x[{place}]}}: give a whole number '
                f'from 0 to {levels - 1}")',
            ]
        return "\n".join([*lines, *checks, "    return x, 0"])
    encoder = model.number_encoder
    constants = [
        f"NUMBERS = {encoder.names!r}",
        f"CENTERS = {encoder.center.tolist()!r}",
        f"FACTORS = {encoder.factor.tolist()!r}",
        f"BINS = {model.bins!r}",
        f"FLAGGED = {encoder.flagged.tolist()!r}",
    ]
    limit = number(MAX_SQUARABLE)
    lines += [
        "    a = [as_number(name, row.get(name)) for name in NUMBERS]",
        "    missing = [v != v for v in a]",
        "    a = [CENTERS[i] if missing[i] else v for i, v in enumerate(a)]",
        "    x, unseen = [], 0",
        "    for v, center, factor in zip(a, CENTERS, FACTORS, strict=True):",
        f"        z = min(max((v - center) * factor, -{limit}), {limit})",
        "        x.append(single(z / math.sqrt(1 + z * z / 9)) + 0.0)",
        "    for column, low, slope in BINS:",
        "        x.append(single(min(max((a[column] - low) * slope, 0.0), 1.0)) + 0.0)",
        "    x += [float(missing[column]) for column in FLAGGED]",
    ]
    for place, column in enumerate(model.categories):
        constants.append(f"CODES{place} = {column._codes!r}")
        lines.append(
            f"    code = category(row.get({column.name!r}), CODES{place}, {column.name!r})"
        )
        if column.has_rest:
            lines.append(f"    code = {len(column.categories)} if code == -2 else code")
        lines.append("    unseen += code == -2")
        if column.embedded:
            lines.append("    x.append(float(code + 1) if code >= 0 else 0.0)")
        elif column.width == 1:
            two = "1.0 - 2.0 * code" if len(column.categories) == 2 else "1.0"
            lines.append(f"    x.append({two} if code >= 0 else 0.0)")
        else:
            lines.append(f"    x += [float(code == k) for k in range({column.width})]")
    for place, circle in model.circles:
        whole = f"math.floor(a[{place}])"
        turns = {
            "time": f"a[{place}] - {whole}",
            "weekday": f"({whole} + 3) % 7 / 7",
            "month": f"month({whole}) / 12",
        }[circle]
        lines.append(f"    x += [0.0, 0.0] if missing[{place}] else list(circle({turns}))")
    lines.append("    return x, unseen")
    return "\n".join([*constants, "", "", *lines])


def _members(model: ExportModel, body: list[str]) -> str:
    lines = [
        "def member_predictions(x):",
        '    """Return each member\'s predictions for inputs x."""',
        f"    x = [x] * {model.members}",
        *("    " + line for line in body),
    ]
    if model.normalised:
        lines.append("    x = [log_softmax(row) for row in x]")
    if not model.predict.is_identity:
        lines.append("    " + _mapped("predicted", model.kind))
    return "\n".join([*lines, "    return x"])


def _predict(model: ExportModel) -> str:
    P, O = model.members, model.outputs
    scaled = model.scaled_target
    lines = []
    if scaled is not None:
        lines += [f"MEANS = {list(scaled.mean)!r}", f"SCALES = {list(scaled.scale)!r}", "", ""]
    lines += [
        "def predict(row):",
        '    """Predict a row: return a dict.',
        "",
        '    "value" is the mean of the members for each output, "spread" their standard',
        '    deviation, "label" the most probable class, or None, and "unseen" how many values',
        "    training did not see: they count as missing.",
        '    """',
        "    x, unseen = encode(row)",
        "    each = member_predictions(x)",
        f"    mean = [rounded(total([m[o] for m in each]) / {P}) for o in range({O})]",
        "    value = mean",
    ]
    if scaled is not None:
        lines += [
            "    value = [a + s * v for a, s, v in zip(MEANS, SCALES, mean)]",
            "    each = [[a + s * v for a, s, v in zip(MEANS, SCALES, m)] for m in each]",
        ]
    lines += [
        "    spread = []",
        f"    for o in range({O}):",
        f"        average = total([m[o] for m in each]) / {P}",
        "        squares = [(m[o] - average) * (m[o] - average) for m in each]",
        f"        spread.append(math.sqrt(total(squares) / {P}))",
        "    label = None",
    ]
    if model.normalises_mean:
        lines += ["    whole = total(value)", "    value = [v / whole for v in value]"]
    if model.classes:
        place = "mean.index(max(mean))" if O > 1 else "int(mean[0] > 0.5)"
        lines.append(f"    label = CLASSES[{place}]")
    lines.append('    return {"value": value, "spread": spread, "label": label, "unseen": unseen}')
    return "\n".join(lines)


def _self_test(model: ExportModel, rows: Rows) -> str:
    encoding = model.encoding
    if encoding is None:
        given = f"[{', '.join(map(_listed, rows.rows))}]"
    else:
        names = [column.name for column in encoding.columns]
        made = []
        for row in rows.rows:
            pairs = [
                f"{name!r}: {value!r}" if isinstance(value, str | type(None))
                else f"{name!r}: {'None' if value != value else repr(float(value))}"
                for name, value in zip(names, row, strict=True)
            ]  # fmt: skip
            made.append("{" + ", ".join(pairs) + "}")
        given = "[\n    " + ",\n    ".join(made) + ",\n]"
    return "\n".join([
        f"TEST_ROWS = {given}",
        f"EXPECTED = [{', '.join(map(_listed, rows.expected.tolist()))}]",
        "",
        "",
        "def self_test():",
        '    """Return how many of the test rows give other bits than the model did."""',
        "    pairs = zip(TEST_ROWS, EXPECTED, strict=True)",
        '    return sum(repr(predict(row)["value"]) != repr(expected) for row, expected in pairs)',
        "",
        "",
        'if __name__ == "__main__":',
        "    wrong = self_test()",
        '    print(f"{len(TEST_ROWS) - wrong} of {len(TEST_ROWS)} test rows give the same bits")',
        "    raise SystemExit(wrong > 0)",
    ])  # fmt: skip
