"""An exported model as C99: a header and a source file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from seedbed import reproducible
from seedbed.engines import mathematics
from seedbed.errors import SettingError
from seedbed.exporting import c_runtime as runtime
from seedbed.exporting.model import (
    DensePlan,
    EmbeddingPlan,
    ExportModel,
    Layer,
    PeriodicPlan,
)
from seedbed.exporting.texts import folds
from seedbed.exporting.tracing import Kind, Step, Trace, trace
from seedbed.layers.periodic import TWO_PI
from seedbed.tables.columns import CategoryColumn
from seedbed.tables.dates import DateColumn
from seedbed.tables.notation import MISSING_WORDS
from seedbed.tables.numbers import MAX_SQUARABLE

KEYWORDS = """
    auto break case char const continue default do double else enum extern float for goto if inline
    int long register restrict return short signed sizeof static struct switch typedef union
    unsigned void volatile while _Bool _Complex _Imaginary
"""
_LINE_NUMBERS = 8


def identifiers(names: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """Return a C identifier for each name, all different: other characters become underscores."""
    used, found = {*taken, *KEYWORDS.split()}, []
    for name in names:
        word = re.sub(r"\W|[^\x00-\x7f]", "_", name) or "_"
        word = f"_{word}" if word[0].isdigit() else word
        word = f"{word.lstrip('_') or 'column'}" if word.startswith("_") else word
        word = f"c{word}" if word[0].isdigit() else word
        candidate, number = word, 2
        while candidate in used:
            candidate, number = f"{word}_{number}", number + 1
        used.add(candidate)
        found.append(candidate)
    return found


def number(value: float, kind: Kind = "float32") -> str:
    """Return a number as C writes it, exactly."""
    suffix = "f" if kind == "float32" else ""
    value = float(np.dtype(kind).type(value))
    if np.isnan(value):
        return "NAN"
    if np.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    if value == int(value) and abs(value) < 1e6:
        return f"{value:.1f}{suffix}"
    digits, _, exponent = value.hex().partition("p")
    digits = digits.rstrip("0") if "." in digits else digits
    return f"{digits.rstrip('.')}p{exponent}{suffix}"


def text(value: str) -> str:
    """Return a text as a C literal of its UTF-8 bytes."""
    found = []
    for byte in value.encode("utf-8", "surrogatepass"):
        plain = 32 <= byte < 127 and chr(byte) not in '"\\?'
        found.append(chr(byte) if plain else f"\\{byte:03o}")
    return f'"{"".join(found)}"'


def array(name: str, values: Any, kind: Kind | None = None) -> str:
    """Return the definition of a constant array of numbers, of their own kind."""
    if kind is None:
        kind = _kind(values)
    flat = np.asarray(values).reshape(-1).tolist()
    c_type = "float" if kind == "float32" else "double"
    return _table(f"static const {c_type} {name}", [number(each, kind) for each in flat])


def integers(name: str, values: Sequence[int]) -> str:
    """Return the definition of a constant array of whole numbers."""
    return _table(f"static const int {name}", list(map(str, values)))


def _kind(values: Any) -> Kind:
    """Return the kind of an array's numbers."""
    return "float64" if np.asarray(values).dtype == np.float64 else "float32"


def _table(head: str, words: Sequence[str]) -> str:
    words = words or ["0"]
    lines = [
        "    " + ", ".join(words[start : start + _LINE_NUMBERS])
        for start in range(0, len(words), _LINE_NUMBERS)
    ]
    body = ",\n".join(lines)
    return f"{head}[{len(words)}] = {{\n{body}\n}};"


# ---------------------------------------------------------------- formulas

_C_OPERATIONS = {
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
    return _C_OPERATIONS[step.name].format(*operands)


def _operand(operand: int | float, kind: Kind) -> str:
    return f"v{operand}" if isinstance(operand, int) else f"({number(operand, kind)})"


# ---------------------------------------------------------------- layers


def _layer(place: int, layer: Layer, width: int, following: int) -> tuple[list[str], list[str]]:
    """Return the constants of a layer, and the lines that compute it for member m from x to y."""
    if isinstance(layer, DensePlan):
        size = layer.W.shape[1] * layer.W.shape[2]
        constants = [array(f"w{place}", layer.W), array(f"b{place}", layer.b)]
        lines = [f"affine(x, w{place} + m * {size}, b{place} + m * {following}, {width}, "
                 f"{following}, y);"]  # fmt: skip
        if layer.activation.steps:
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
                     f"{number(1 / TWO_PI, _kind(layer.c))}, t);")  # fmt: skip
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


# ---------------------------------------------------------------- the files


def source(model: ExportModel, name: str, rows: Any = None) -> tuple[str, str]:
    """Return the header and the source file.

    name  a C identifier, which all public names begin with
    rows  ``testing.TestRows``: rows with the bits that they must give

    Raises: SettingError for a name that is no identifier; FormulaError.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or name in KEYWORDS.split():
        raise SettingError(f"the name {name!r} is no C identifier: give one such as model")
    return _header(model, name), _source(model, name, rows)


def _fields(model: ExportModel) -> list[tuple[str, str, str]]:
    """Return each column's field: its identifier, its type, and a comment."""
    encoding = model.encoding
    if encoding is None:
        return []
    names = identifiers(column.name for column in encoding.columns)
    fields = []
    for word, column in zip(names, encoding.columns, strict=True):
        shown = column.name.replace("*/", "* /")
        if isinstance(column, CategoryColumn):
            fields.append((word, "const char *", f"{shown}: UTF-8; NULL or empty where missing"))
        elif isinstance(column, DateColumn):
            fields.append((word, "double ", f"{shown}: days since 1970-01-01; NAN where missing"))
        else:
            fields.append((word, "double ", f"{shown}: NAN where missing"))
    return fields


def _header(model: ExportModel, name: str) -> str:
    upper, encoding = name.upper(), model.encoding
    target = None if encoding is None else encoding.target
    classes = () if target is None else target.classes
    fields = _fields(model)
    lines = [
        f"/* {model.name.replace('*/', '* /')}: {model.members} networks, exported by Seedbed.",
        f"   Model: {model.digest or 'not saved'}",
        "   Compile the source with -ffp-contract=off. Functions have no state: threads may share",
        "   them. */",
        f"#ifndef {upper}_H",
        f"#define {upper}_H",
        "",
        f"#define {upper}_OUTPUTS {model.outputs}",
        f"#define {upper}_CLASSES {len(classes)}",
        f"#define {upper}_MEMBERS {model.members}",
        "",
        "typedef struct {",
    ]
    if encoding is None:
        c_type = "float" if model.kind == "float32" else "double"
        lines.append(f"    {c_type} x[{model.inputs}]; /* the networks' inputs */")
    lines += [f"    {kind}{word}; /* {comment} */" for word, kind, comment in fields]
    meaning = "probabilities of the classes" if classes else "predictions"
    lines += [
        f"}} {name}_row;",
        "",
        "typedef struct {",
        f"    double value[{upper}_OUTPUTS];  /* {meaning}: the members' mean */",
        f"    double spread[{upper}_OUTPUTS]; /* the members' standard deviation */",
        "    int label;  /* the most probable class's number; 0 without classes */",
        "    int unseen; /* categories that training did not see, taken as missing */",
        f"}} {name}_result;",
        "",
    ]
    if classes:
        lines += [f"extern const char *const {name}_classes[{upper}_CLASSES];", ""]
    lines += [
        "/* Predicts a row. Returns 0, or -1 if a number is infinite. */",
        f"int {name}_predict(const {name}_row *row, {name}_result *result);",
        "",
        "/* Predicts the test rows, and returns how many give other bits than the model did. */",
        f"int {name}_self_test(void);",
        "",
        "#endif",
        "",
    ]
    return "\n".join(lines)


def _source(model: ExportModel, name: str, rows: Any) -> str:
    upper = name.upper()
    traces = {f"f{place}": layer.activation for place, layer in enumerate(model.layers)
              if isinstance(layer, DensePlan) and layer.activation.steps}  # fmt: skip
    for place, layer in enumerate(model.layers):
        if isinstance(layer, PeriodicPlan):
            traces["waves"] = trace(mathematics.cos_sin_of_turns, kind=model.kind)
            if layer.p is None:
                traces[f"relu{place}"] = layer.relu
    if model.normalised:
        traces |= {
            "exponential": trace(mathematics.exp, kind=model.kind),
            "logarithm": trace(mathematics.log, kind=model.kind),
        }
    if model.predict.steps:
        traces["predicted"] = model.predict
    used = {step.name for each in traces.values() for step in each.steps}
    constants, body = [], []
    for place, layer in enumerate(model.layers):
        width, following = model.widths[place], model.widths[place + 1]
        own, lines = _layer(place, layer, width, following)
        constants += own
        body += [*lines, "swap = x, x = y, y = swap;"]
    widest = max(model.widths)
    encoding = model.encoding
    target = None if encoding is None else encoding.target
    classes = () if target is None else target.classes
    parts = [
        f'#include "{name}.h"',
        "",
        runtime.RUNTIME,
        runtime.REALS[model.kind],
        *(code for each, code in runtime.BITS_OF[model.kind].items() if each in used),
        *(function(each, of) + "\n" for each, of in traces.items()),
        runtime.AFFINE,
        runtime.TOTAL,
        *([runtime.LOG_SOFTMAX] if model.normalised else []),
        *(each + "\n" for each in constants),
    ]
    if classes:
        listed = ", ".join(map(text, classes))
        parts.append(f"const char *const {name}_classes[{upper}_CLASSES] = {{{listed}}};\n")
    parts.append(_encode(model, name))
    parts += [
        f"/* the outputs of member m for inputs x, which has room for {widest} numbers */",
        "static void member(int m, const real *inputs, double *out) {",
        f"    real one[{widest}], two[{widest}], *x = one, *y = two, *swap;",
        "    int i, j = 0;",
        f"    for (i = 0; i < {model.inputs}; i++) x[i] = inputs[i];",
        "    (void)j;",
        *("    " + line for line in body),
        *([f"    log_softmax(x, {model.outputs});"] if model.normalised else []),
        f"    for (i = 0; i < {model.outputs}; i++) out[i] = "
        f"{'predicted(x[i])' if model.predict.steps else 'x[i]'};",
        "}",
        "",
        *_predict(model, name),
        *_self_test(model, name, rows),
    ]
    return "\n".join(parts)


def _encode(model: ExportModel, name: str) -> str:
    """Return the function from a row to inputs."""
    encoding = model.encoding
    head = f"static int encode(const {name}_row *row, real *x, int *unseen) {{"
    if encoding is None:
        return "\n".join([
            head, "    int i;",
            f"    for (i = 0; i < {model.inputs}; i++) {{",
            "        if (row->x[i] - row->x[i] != 0) return -1;",
            "        x[i] = row->x[i];", "    }", "    *unseen = 0;", "    return 0;", "}", "",
        ])  # fmt: skip
    fields = {column.name: word for (word, _, _), column in
              zip(_fields(model), encoding.columns, strict=True)}  # fmt: skip
    encoder, parts, lines = model.number_encoder, [], [head]
    count, bins = len(encoder.names), len(encoder.bin_columns)
    lines.append("    int found = 0;")
    if count:
        parts += [
            array("centers", encoder.center, "float64") + "\n",
            array("factors", encoder.factor, "float64") + "\n",
        ]
        if bins:
            parts += [
                integers("bin_columns", encoder.bin_columns.tolist()) + "\n",
                array("lows", encoder.low, "float64") + "\n",
                array("slopes", encoder.slope, "float64") + "\n",
            ]
        if len(encoder.flagged):
            parts.append(integers("flagged", encoder.flagged.tolist()) + "\n")
        names = [fields[each] for each in encoder.names]
        listed = ", ".join(f"row->{each}" for each in names)
        limit = number(MAX_SQUARABLE, "float64")
        lines += [
            f"    double a[{count}];",
            f"    unsigned char missing[{count}];",
            "    int i;",
            f"    const double given[{count}] = {{{listed}}};",
            f"    for (i = 0; i < {count}; i++) {{",
            "        double z;",
            "        if (given[i] - given[i] != 0 && given[i] == given[i]) return -1;",
            "        missing[i] = given[i] != given[i];",
            "        a[i] = missing[i] ? centers[i] : given[i];",
            "        z = (a[i] - centers[i]) * factors[i];",
            f"        z = z < -{limit} ? -{limit} : z > {limit} ? {limit} : z;",
            "        x[i] = (float)(z / sqrt(1 + z * z / 9)) + 0.0f;",
            "    }",
        ]
        if bins:
            lines += [
                f"    for (i = 0; i < {bins}; i++) {{",
                "        const double along = (a[bin_columns[i]] - lows[i]) * slopes[i];",
                f"        x[{count} + i] = (float)(along < 0 ? 0 : along > 1 ? 1 : along) + 0.0f;",
                "    }",
            ]
        if len(encoder.flagged):
            lines.append(
                f"    for (i = 0; i < {len(encoder.flagged)}; i++) x[{count + bins} + i] = "
                "missing[flagged[i]] ? 1.0f : 0.0f;"
            )
    start = encoder.width
    if model.categories:
        parts.append(_category_tables(model.categories))
        lines.append("    {")
        lines.append("        int code, k;")
        for place, column in enumerate(model.categories):
            lines += [f"        {each}" for each in
                      _category(place, column, fields[column.name], start)]  # fmt: skip
            start += column.width
        lines.append("        (void)k;")
        lines.append("    }")
    circles = [(place, column, circle) for place, column in enumerate(model.numbers)
               if isinstance(column, DateColumn) for circle in column.circles]  # fmt: skip
    if circles:
        parts.append(array("cos_series", reproducible._COS_SERIES, "float64") + "\n")
        parts.append(array("sin_series", reproducible._SIN_SERIES, "float64") + "\n")
        parts.append(runtime.CIRCLES)
        for place, _, circle in circles:
            whole = f"floor(a[{place}])"
            turns = {
                "time": f"a[{place}] - {whole}",
                "weekday": f"((double)((((int64_t){whole} + 3) % 7 + 7) % 7)) / 7",
                "month": f"(double)month({whole}) / 12",
            }[circle]
            lines += [
                f"    if (missing[{place}]) x[{start}] = x[{start + 1}] = 0.0f;",
                f"    else circle({turns}, &x[{start}], &x[{start + 1}]);",
            ]
            start += 2
    lines += ["    *unseen = found;", "    return 0;", "}", ""]
    return "\n".join([*parts, *lines])


def _category_tables(columns: Sequence[CategoryColumn]) -> str:
    """Return the tables of texts, and what reads them."""
    words = sorted((word for word in MISSING_WORDS if word), key=lambda word: word.encode())
    longest = max(len(word.encode()) for word in words)
    tables = [
        f"#define LONGEST_WORD {longest}",
        "",
        _texts("missing_words", words),
        _texts("fold_from", [each for each, _ in folds()]),
        _texts("fold_to", [each for _, each in folds()]),
    ]
    for place, column in enumerate(columns):
        codes = column._codes
        names = sorted(codes, key=lambda name: name.encode("utf-8", "surrogatepass"))
        tables.append(_texts(f"names{place}", names))
        tables.append(integers(f"codes{place}", [codes[each] for each in names]) + "\n")
    return "\n".join([*tables, runtime.TEXTS])


def _texts(name: str, values: Sequence[str]) -> str:
    lines = ",\n".join(f"    {text(each)}" for each in values)
    return f"static const char *const {name}[{len(values)}] = {{\n{lines}\n}};\n"


def _category(place: int, column: CategoryColumn, field: str, start: int) -> list[str]:
    """Return the lines that write a category's inputs from ``start`` on."""
    count, width = len(column._codes), column.width
    lines = [f"code = category(row->{field}, names{place}, codes{place}, {count});"]
    if column.has_rest:
        lines.append(f"if (code == -2) code = {len(column.categories)};")
    lines.append("if (code == -2) found++;")
    if column.embedded:
        lines.append(f"x[{start}] = code < 0 ? 0.0f : (float)(1 + code);")
    elif width == 1:
        value = "(float)(1 - 2 * code)" if len(column.categories) == 2 else "1.0f"
        lines.append(f"x[{start}] = code < 0 ? 0.0f : {value};")
    else:
        lines.append(f"for (k = 0; k < {width}; k++) x[{start} + k] = 0.0f;")
        lines.append(f"if (code >= 0) x[{start} + code] = 1.0f;")
    return lines


def _predict(model: ExportModel, name: str) -> list[str]:
    """Return the function that predicts a row."""
    P, O = model.members, model.outputs
    target = None if model.encoding is None else model.encoding.target
    classes = () if target is None else target.classes
    regression = target is not None and target.task == "regression"
    parts = []
    if regression:
        assert target is not None
        parts += [array("means", target.mean, "float64"), array("scales", target.scale, "float64"),
                  ""]  # fmt: skip
    lines = [
        f"int {name}_predict(const {name}_row *row, {name}_result *result) {{",
        f"    real x[{model.inputs}], mean[{O}];",
        f"    double out[{P}][{O}], column[{P}];",
        "    int m, o;",
        "    if (encode(row, x, &result->unseen) != 0) return -1;",
        f"    for (m = 0; m < {P}; m++) member(m, x, out[m]);",
        f"    for (o = 0; o < {O}; o++) {{",
        "        double average;",
        f"        for (m = 0; m < {P}; m++) column[m] = out[m][o];",
        f"        mean[o] = (real)(total(column, {P}) / {P});",
    ]
    if regression:
        lines += [
            "        result->value[o] = means[o] + scales[o] * mean[o];",
            f"        for (m = 0; m < {P}; m++) out[m][o] = means[o] + scales[o] * out[m][o];",
        ]
    else:
        lines.append("        result->value[o] = mean[o];")
    lines += [
        f"        for (m = 0; m < {P}; m++) column[m] = out[m][o];",
        f"        average = total(column, {P}) / {P};",
        f"        for (m = 0; m < {P}; m++) {{",
        "            const double d = out[m][o] - average;",
        "            column[m] = d * d;",
        "        }",
        f"        result->spread[o] = sqrt(total(column, {P}) / {P});",
        "    }",
        "    result->label = 0;",
    ]
    if classes:
        lines += [
            "    {",
            f"        double copy[{O}], sum;",
            f"        for (o = 0; o < {O}; o++) copy[o] = result->value[o];",
            f"        sum = total(copy, {O});",
            f"        for (o = 0; o < {O}; o++) result->value[o] = result->value[o] / sum;",
            f"        for (o = 1; o < {O}; o++) if (mean[o] > mean[result->label]) "
            "result->label = o;",
            "    }",
        ]
    lines += ["    return 0;", "}", ""]
    return [*parts, *lines]


def _self_test(model: ExportModel, name: str, rows: Any) -> list[str]:
    """Return the function that predicts the test rows."""
    if rows is None or not len(rows.expected):
        return [f"int {name}_self_test(void) {{", "    return 0;", "}", ""]
    made = []
    for row in rows.rows:
        values = [
            ("NULL" if each is None else text(each)) if isinstance(each, str | type(None))
            else number(each, "float64")
            for each in row
        ]  # fmt: skip
        listed = ", ".join(values)
        made.append(f"    {{{listed}}}" if model.encoding is not None else f"    {{{{{listed}}}}}")
    expected = np.asarray(rows.expected)
    body = ",\n".join(made)
    return [
        f"static const {name}_row test_rows[{len(made)}] = {{\n{body}\n}};",
        array("expected", expected, "float64"),
        "",
        f"int {name}_self_test(void) {{",
        "    int wrong = 0, i, o;",
        f"    for (i = 0; i < {len(made)}; i++) {{",
        f"        {name}_result result;",
        f"        int equal = {name}_predict(&test_rows[i], &result) == 0;",
        f"        for (o = 0; equal && o < {model.outputs}; o++)",
        f"            equal = memcmp(&result.value[o], &expected[i * {model.outputs} + o], "
        "sizeof(double)) == 0;",
        "        wrong += !equal;",
        "    }",
        "    return wrong;",
        "}",
        "",
    ]
