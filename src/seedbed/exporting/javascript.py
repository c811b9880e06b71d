"""An exported model as one ES module, for Node and browsers, without dependencies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from seedbed import reproducible
from seedbed.exporting.model import DensePlan, EmbeddingPlan, ExportModel, Layer, PeriodicPlan
from seedbed.exporting.packing import base64_of
from seedbed.exporting.rows import Rows
from seedbed.exporting.texts import folds
from seedbed.exporting.tracing import Step, Trace
from seedbed.layers.periodic import TWO_PI
from seedbed.tables.columns import CategoryColumn
from seedbed.tables.dates import DateColumn
from seedbed.tables.notation import MISSING_WORDS
from seedbed.tables.numbers import MAX_SQUARABLE

_OPERATIONS = {
    "add": "rounded({0} + {1})", "sub": "rounded({0} - {1})", "mul": "rounded({0} * {1})",
    "div": "rounded({0} / {1})", "neg": "-{0}", "lt": "Number({0} < {1})",
    "le": "Number({0} <= {1})", "gt": "Number({0} > {1})", "ge": "Number({0} >= {1})",
    "eq": "Number({0} === {1})", "ne": "Number({0} !== {1})", "and": "{0} * {1}",
    "or": "Math.max({0}, {1})", "where": "{0} !== 0 ? {1} : {2}",
    "max": "{0} > {1} || {0} !== {0} ? {0} : {1}", "min": "{0} < {1} || {0} !== {0} ? {0} : {1}",
    "fma": "fma({0}, {1}, {2})", "abs": "Math.abs({0})", "sqrt": "rounded(Math.sqrt({0}))",
    "copysign": "copysign({0}, {1})", "two_to": "two_to({0})",
    "times_two_to": "times_two_to({0}, {1})", "exponent": "exponent({0})",
    "mantissa": "mantissa({0})",
}  # fmt: skip


def function(name: str, of: Trace) -> str:
    """Return the definition of a formula."""
    arguments = ", ".join(f"v{place}" for place in range(of.arguments))
    lines = [f"function {name}({arguments}) {{"]
    for place, step in enumerate(of.steps):
        lines.append(f"  const v{of.arguments + place} = {_expression(step)};")
    results = ", ".join(map(_operand, of.results))
    lines.append(f"  return {results if len(of.results) == 1 else f'[{results}]'};")
    return "\n".join([*lines, "}"])


def _expression(step: Step) -> str:
    return _OPERATIONS[step.name].format(*map(_operand, step.operands))


def _operand(operand: int | float) -> str:
    return f"v{operand}" if isinstance(operand, int) else number(operand)


def number(value: float) -> str:
    """Return a number as JavaScript writes it, exactly."""
    value = float(value)
    if np.isnan(value):
        return "NaN"
    if np.isinf(value):
        return "Infinity" if value > 0 else "(-Infinity)"
    return repr(value) if not np.signbit(value) else f"({value!r})"


def _list(values: Any) -> str:
    """Return a list of numbers."""
    return f"[{', '.join(map(number, values))}]"


def source(model: ExportModel, rows: Rows) -> str:
    """Return the module.

    Raises: FormulaError for a formula that cannot be translated.
    """
    words = sorted(MISSING_WORDS) if model.encoding is not None else []
    runtime = Path(__file__).with_name("runtime.js").read_text(encoding="utf-8").strip()
    runtime = runtime.replace('KIND = "float32"', f'KIND = "{model.kind}"', 1)
    runtime = runtime.replace("new Set([])", f"new Set({json.dumps(words)})", 1)
    constants = [
        f"const FOLDS = {json.dumps(dict(folds()))};",
        f"const COS_SERIES = {_list(reproducible._COS_SERIES)};",
        f"const SIN_SERIES = {_list(reproducible._SIN_SERIES)};",
    ]
    body = []
    for place, layer in enumerate(model.layers):
        own, lines = _layer(place, layer, model)
        constants += own
        body += lines
    parts = [
        _head(model),
        runtime,
        *(function(name, of) for name, of in model.traces.items()),
        "\n".join(constants),
        *([_LOG_SOFTMAX] if model.normalised else []),
        _encode(model),
        _members(model, body),
        _predict(model),
        _self_test(model, rows),
    ]
    return "\n\n".join(parts) + "\n"


def _head(model: ExportModel) -> str:
    lines = [
        f"{model.name}: {model.members} networks, exported by Seedbed.",
        f"Model: {model.digest or 'not saved'}",
        "",
        "predict(row) predicts a row, an object by column; selfTest() predicts the test rows, and",
        "returns how many give other bits than the model did.",
        "",
    ]
    if model.encoding is None:
        lines.append(f"A row is an array of {model.inputs} inputs.")
    else:
        lines.append("Columns:")
    for column in () if model.encoding is None else model.encoding.columns:
        if isinstance(column, CategoryColumn):
            kind = f"a text, one of {len(column.categories)}; null where missing"
        elif isinstance(column, DateColumn):
            kind = "a Date, or days since 1970-01-01; null where missing"
        else:
            kind = "a number; null where missing"
        lines.append(f"    {column.name}: {kind}")
    shown = "\n".join(f"// {line}".rstrip() for text in lines for line in text.splitlines() or [""])
    return f"{shown}\n\nexport const CLASSES = {json.dumps(model.classes)};"


def _numbers(values: Any) -> str:
    """Return an array of numbers."""
    return f'numbers("{base64_of(values)}", "{values.dtype}")'


def _layer(place: int, layer: Layer, model: ExportModel) -> tuple[list[str], list[str]]:
    """Return a layer's constants, and the lines that compute it."""
    width, following = model.widths[place], model.widths[place + 1]
    if isinstance(layer, DensePlan):
        constants = [
            f"const W{place} = {_numbers(layer.W)};",
            f"const b{place} = {_numbers(layer.b)};",
        ]
        lines = [f"x = affine(x, W{place}, b{place}, {width}, {following});"]
        if layer.activation.is_identity:
            return constants, lines
        lines.append(f"x = x.map((row) => row.map((v) => f{place}(v)));")
        return constants, lines
    others = f"...{list(layer.others)!r}.map((i) => row[i])"
    if isinstance(layer, EmbeddingPlan):
        constants, vectors = [], []
        for column, E in zip(layer.columns, layer.E, strict=True):
            _, rows, units = E.shape
            constants.append(f"const E{place}_{column} = {_numbers(E)};")
            start = f"(m * {rows} + row[{column}]) * {units}"
            vectors.append(f"...E{place}_{column}.subarray({start}, {start} + {units})")
        made = ", ".join([others, *vectors])
        return constants, [f"x = x.map((row, m) => [{made}]);"]
    return _periodic(place, layer, others)


def _periodic(place: int, layer: PeriodicPlan, others: str) -> tuple[list[str], list[str]]:
    F, k, units = len(layer.columns), layer.c.shape[2], layer.b.shape[2]
    kind, height = layer.relu.kind, layer.W.shape[2]
    columns = list(layer.columns)
    constants = [f"const c{place} = {_numbers(layer.c)};"]
    if layer.p is not None:
        constants.append(f"const p{place} = {_numbers(layer.p)};")
    constants += [
        f"const W{place} = [{', '.join(_numbers(layer.W[:, j]) for j in range(F))}];",
        f"const b{place} = [{', '.join(_numbers(layer.b[:, j]) for j in range(F))}];",
    ]
    turns = f"rounded(c{place}[(m * {F} + j) * {k} + i] * row[column])"
    if layer.p is not None:
        factor = number(float(np.dtype(kind).type(1 / TWO_PI)))
        turns = f"fma(p{place}[(m * {F} + j) * {k} + i], {factor}, {turns})"
    embedded = "v" if layer.p is not None else f"relu{place}(v)"
    wave = "cosine" if layer.p is not None else "[...sine, ...cosine]"
    themselves = f", ...{columns!r}.map((i) => row[i])" if layer.p is not None else ""
    lines = [
        f"const made{place} = x.map((row) => [{others}{themselves}]);",
        f"{columns!r}.forEach((column, j) => {{",
        "  const h = x.map((row, m) => {",
        "    const sine = [], cosine = [];",
        f"    for (let i = 0; i < {k}; i++) {{",
        f"      const [c, s] = waves({turns});",
        "      cosine.push(c);",
        "      sine.push(s);",
        "    }",
        f"    return {wave};",
        "  });",
        f"  affine(h, W{place}[j], b{place}[j], {height}, {units}).forEach((row, m) =>",
        f"    made{place}[m].push(...row.map((v) => {embedded})));",
        "});",
        f"x = made{place};",
    ]
    return constants, lines


_LOG_SOFTMAX = """\
/** y - log sum e^y. */
function logSoftmax(y) {
  let top = y[0];
  for (const v of y.slice(1)) top = top > v || top !== top ? top : v;
  const shifted = y.map((v) => rounded(v - top));
  let sum = exponential(shifted[0]);
  for (const v of shifted.slice(1)) sum = rounded(sum + exponential(v));
  sum = logarithm(sum);
  return shifted.map((v) => rounded(v - sum));
}"""


def _encode(model: ExportModel) -> str:
    """Return the function from a row to inputs and the number of unseen values."""
    encoding = model.encoding
    if encoding is None:
        lines = [
            "const encode = (row) => {",
            "  const x = Array.from(row, (v, i) => rounded(asNumber(i, v)));",
            f"  if (x.length !== {model.inputs} || x.some((v) => v !== v))",
            f'    throw new RangeError("a row is {model.inputs} finite numbers");',
        ]
        for place, levels in model.levels.items():
            own = f"x[{place}]"
            lines += [
                f"  if (!Number.isInteger({own}) || {own} < 0 || {own} >= {levels})",
                f"    throw new RangeError(`input {place} is ${{{own}}}: give a whole number "
                f"from 0 to {levels - 1}`);",
            ]
        return "\n".join([*lines, "  return [x, 0];", "};"])
    encoder = model.number_encoder
    bins = ", ".join(f"[{c}, {number(low)}, {number(slope)}]" for c, low, slope in model.bins)
    limit = number(MAX_SQUARABLE)
    constants = [
        f"const NUMBERS = {json.dumps(encoder.names)};",
        f"const CENTERS = {_list(encoder.center)};",
        f"const FACTORS = {_list(encoder.factor)};",
        f"const BINS = [{bins}];",
        f"const FLAGGED = {encoder.flagged.tolist()!r};",
    ]
    lines = [
        "/** A row's inputs, and how many values are unseen. */",
        "function encode(row) {",
        "  const given = NUMBERS.map((name) => asNumber(name, valueOf(row, name)));",
        "  const missing = given.map((v) => v !== v);",
        "  const a = given.map((v, i) => (missing[i] ? CENTERS[i] : v));",
        "  const x = [];",
        "  let unseen = 0, code;",
        "  a.forEach((v, i) => {",
        f"    const z = Math.min(Math.max((v - CENTERS[i]) * FACTORS[i], -{limit}), {limit});",
        "    x.push(Math.fround(z / Math.sqrt(1 + (z * z) / 9)) + 0);",
        "  });",
        "  for (const [column, low, slope] of BINS)",
        "    x.push(Math.fround(Math.min(Math.max((a[column] - low) * slope, 0), 1)) + 0);",
        "  for (const column of FLAGGED) x.push(Number(missing[column]));",
    ]
    for place, column in enumerate(model.categories):
        codes = json.dumps([[text, code] for text, code in column._codes.items()])
        constants.append(f"const CODES{place} = new Map({codes});")
        lines.append(f"  code = category(valueOf(row, {json.dumps(column.name)}), CODES{place});")
        if column.has_rest:
            lines.append(f"  if (code === -2) code = {len(column.categories)};")
        lines.append("  unseen += Number(code === -2);")
        if column.embedded:
            lines.append("  x.push(code >= 0 ? code + 1 : 0);")
        elif column.width == 1:
            two = "1 - 2 * code" if len(column.categories) == 2 else "1"
            lines.append(f"  x.push(code >= 0 ? {two} : 0);")
        else:
            lines.append(f"  for (let k = 0; k < {column.width}; k++) x.push(Number(code === k));")
    for place, circle in model.circles:
        whole = f"Math.floor(a[{place}])"
        turns = {
            "time": f"a[{place}] - {whole}",
            "weekday": f"((({whole} + 3) % 7) + 7) % 7 / 7",
            "month": f"month({whole}) / 12",
        }[circle]
        lines.append(f"  x.push(...(missing[{place}] ? [0, 0] : circle({turns})));")
    return "\n".join([*constants, "", *lines, "  return [x, unseen];", "}"])


def _members(model: ExportModel, body: list[str]) -> str:
    lines = [
        "/** Each member's predictions for inputs. */",
        "function memberPredictions(inputs) {",
        f"  let x = Array.from({{ length: {model.members} }}, () => inputs);",
        *("  " + line for line in body),
    ]
    if model.normalised:
        lines.append("  x = x.map(logSoftmax);")
    if not model.predict.is_identity:
        lines.append("  x = x.map((row) => row.map((v) => predicted(v)));")
    return "\n".join([*lines, "  return x;", "}"])


def _predict(model: ExportModel) -> str:
    P, O = model.members, model.outputs
    scaled = model.scaled_target
    lines = []
    if scaled is not None:
        lines += [f"const MEANS = {_list(scaled.mean)};", f"const SCALES = {_list(scaled.scale)};",
                  ""]  # fmt: skip
    lines += [
        "/**",
        " * Predicts a row. value is the mean of the members for each output, spread their",
        " * standard deviation, label the most probable class, or null, and unseen how many values",
        " * training did not see: they count as missing.",
        " */",
        "export function predict(row) {",
        "  const [x, unseen] = encode(row);",
        "  let each = memberPredictions(x);",
        f"  const outputs = [...Array({O}).keys()];",
        f"  const mean = outputs.map((o) => rounded(total(each.map((m) => m[o])) / {P}));",
        "  let value = mean;",
    ]
    if scaled is not None:
        lines += [
            "  value = mean.map((v, o) => MEANS[o] + SCALES[o] * v);",
            "  each = each.map((m) => m.map((v, o) => MEANS[o] + SCALES[o] * v));",
        ]
    lines += [
        "  const spread = outputs.map((o) => {",
        f"    const average = total(each.map((m) => m[o])) / {P};",
        "    const squares = each.map((m) => (m[o] - average) * (m[o] - average));",
        f"    return Math.sqrt(total(squares) / {P});",
        "  });",
        "  let label = null;",
    ]
    if model.normalises_mean:
        lines += ["  const whole = total(value);", "  value = value.map((v) => v / whole);"]
    if model.classes:
        largest = "mean.reduce((best, v, o) => (v > mean[best] ? o : best), 0)"
        lines.append(f"  label = CLASSES[{largest if O > 1 else 'Number(mean[0] > 0.5)'}];")
    return "\n".join([*lines, "  return { value, spread, label, unseen };", "}"])


def _self_test(model: ExportModel, rows: Rows) -> str:
    encoding = model.encoding
    made = []
    for row in rows.rows:
        values = [
            json.dumps(value) if isinstance(value, str | type(None))
            else "null" if value != value else number(value)
            for value in row
        ]  # fmt: skip
        if encoding is not None:
            names = [json.dumps(column.name) for column in encoding.columns]
            pairs = [f"[{name}]: {value}" for name, value in zip(names, values, strict=True)]
            made.append(f"{{ {', '.join(pairs)} }}")
        else:
            made.append(f"[{', '.join(values)}]")
    given = ",\n  ".join(made)
    expected = ",\n  ".join(map(_list, rows.expected))
    return "\n".join([
        f"const TEST_ROWS = [\n  {given},\n];",
        f"const EXPECTED = [\n  {expected},\n];",
        "",
        "/** How many of the test rows give other bits than the model did. */",
        "export function selfTest() {",
        "  const equal = (row, i) =>",
        "    predict(row).value.every((v, o) => Object.is(v, EXPECTED[i][o]));",
        "  return TEST_ROWS.filter((row, i) => !equal(row, i)).length;",
        "}",
    ])  # fmt: skip
