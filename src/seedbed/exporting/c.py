"""An exported model as C99: a header and a source file."""

from __future__ import annotations

import re

import numpy as np

from seedbed.errors import SettingError
from seedbed.exporting import c_runtime as runtime
from seedbed.exporting.c_encoding import encode_code, fields
from seedbed.exporting.c_layers import function, layer_code
from seedbed.exporting.c_words import KEYWORDS, array, in_comment, number, text
from seedbed.exporting.model import ExportModel
from seedbed.exporting.rows import Rows


def source(model: ExportModel, name: str, rows: Rows) -> tuple[str, str]:
    """Return the header and the source file.

    name  a C identifier, which all public names begin with
    rows  test rows, with the predictions that they must give

    Raises: SettingError for a name that is no identifier; FormulaError.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or name in KEYWORDS.split():
        raise SettingError(f"the name {name!r} is no C identifier: give one such as model")
    return _header(model, name), _source(model, name, rows)


_BYTES = {"float": 4, "double": 8, "int": 4}
_NUMBERS = re.compile(r"^static const (float|double|int) \w+\[(\d+)\]", re.M)
_TEXT = re.compile(r'"((?:[^"\\\n]|\\[0-7]{3})*)"')


def constant_bytes(code: str) -> int:
    """Return what the constants of a source file take: numbers, and texts with pointers of 4 bytes.

    Test rows are not counted: compiled with -fdata-sections and -ffunction-sections and linked with
    --gc-sections, a program that does not call the self test is without them.
    """
    code = re.sub(r"^#.*", "", code.partition(" test_rows[")[0], flags=re.M)
    numbers = sum(_BYTES[kind] * int(count) for kind, count in _NUMBERS.findall(code))
    texts = [re.sub(r"\\[0-7]{3}", "?", text) for text in _TEXT.findall(code)]
    return numbers + sum(len(text) + 1 + 4 for text in texts)


def _header(model: ExportModel, name: str) -> str:
    upper, encoding, classes = name.upper(), model.encoding, model.classes
    members = fields(model)
    lines = [
        f"/* {in_comment(model.name)}: {model.members} networks, exported by Seedbed.",
        f"   Model: {model.digest or 'not saved'}",
        "   Functions have no state: threads may share them. */",
        f"#ifndef {upper}_H",
        f"#define {upper}_H",
        "",
        f"#define {upper}_OUTPUTS {model.outputs}",
        f"#define {upper}_CLASSES {len(classes)}",
        f"#define {upper}_MEMBERS {model.members}",
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        "typedef struct {",
    ]
    if encoding is None:
        c_type = "float" if model.kind == "float32" else "double"
        lines.append(f"    {c_type} x[{model.inputs}]; /* the networks' inputs */")
    lines += [f"    {kind}{word}; /* {comment} */" for word, kind, comment in members]
    no_category = ", or no category's" if model.levels and encoding is None else ""
    meaning = "probabilities of the classes" if classes else "predictions"
    meaning = "the probability of the second class" if model.outputs < len(classes) else meaning
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
        *(
            [
                "/* A row whose values are all missing: copy it, and set those that are known. */",
                f"extern const {name}_row {name}_missing;",
                "",
            ]
            if encoding is not None
            else []
        ),
        f"/* Predicts a row. Returns 0, or -1 if a number is infinite{no_category}. */",
        f"int {name}_predict(const {name}_row *row, {name}_result *result);",
        "",
        "/* Predicts the test rows, and returns how many give other bits than the model did. */",
        f"int {name}_self_test(void);",
        "",
        "#ifdef __cplusplus",
        "}",
        "#endif",
        "",
        "#endif",
        "",
    ]
    return "\n".join(lines)


def _source(model: ExportModel, name: str, rows: Rows) -> str:
    upper = name.upper()
    traces = model.traces
    used = {step.name for each in traces.values() for step in each.steps}
    constants, body = [], []
    for place, layer in enumerate(model.layers):
        width, following = model.widths[place], model.widths[place + 1]
        own, lines = layer_code(place, layer, width, following)
        constants += own
        body += [*lines, "swap = x, x = y, y = swap;"]
    widest = max(model.widths)
    encoding, classes = model.encoding, model.classes
    parts = [
        f'#include "{name}.h"',
        "",
        runtime.RUNTIME,
        runtime.REALS[model.kind],
        *(code for each, code in runtime.OF_BITS.items() if each in used),
        *(function(each, of) + "\n" for each, of in traces.items()),
        runtime.AFFINE,
        *([runtime.TOTAL] if model.members > 1 or model.normalises_mean else []),
        *([runtime.LOG_SOFTMAX] if model.normalised else []),
        *(each + "\n" for each in constants),
    ]
    if classes:
        listed = ", ".join(map(text, classes))
        parts.append(f"const char *const {name}_classes[{upper}_CLASSES] = {{{listed}}};\n")
    if encoding is not None:
        missing = ["NAN" if kind == "double " else "NULL" for _, kind, _ in fields(model)]
        parts.append(f"const {name}_row {name}_missing = {{{', '.join(missing)}}};\n")
    parts.append(encode_code(model, name))
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
        f"{'x[i]' if model.predict.is_identity else 'predicted(x[i])'};",
        "}",
        "",
        *_predict(model, name),
        *_self_test(model, name, rows),
    ]
    return "\n".join(parts)


def _predict(model: ExportModel, name: str) -> list[str]:
    """Return the function that predicts a row."""
    P, O = model.members, model.outputs
    scaled = model.scaled_target
    parts = []
    if scaled is not None:
        parts += [array("means", scaled.mean, "float64"), array("scales", scaled.scale, "float64"),
                  ""]  # fmt: skip
    lines = [
        f"int {name}_predict(const {name}_row *row, {name}_result *result) {{",
        f"    real x[{model.inputs}], mean[{O}];",
        f"    double out[{P}][{O}];",
        "    int m, o;",
        "    if (encode(row, x, &result->unseen) != 0) return -1;",
        f"    for (m = 0; m < {P}; m++) member(m, x, out[m]);",
        f"    for (o = 0; o < {O}; o++) {{",
        *(_mean_and_spread(P, scaled is not None) if P > 1 else _of_one_member()),
        "        result->value[o] = "
        f"{'mean[o]' if scaled is None else 'means[o] + scales[o] * mean[o]'};",
        "    }",
        "    result->label = 0;",
    ]
    if model.normalises_mean:
        lines += [
            "    {",
            f"        double copy[{O}], sum;",
            f"        for (o = 0; o < {O}; o++) copy[o] = result->value[o];",
            f"        sum = total(copy, {O});",
            f"        for (o = 0; o < {O}; o++) result->value[o] = result->value[o] / sum;",
            "    }",
        ]
    if model.classes and O > 1:
        lines.append(f"    for (o = 1; o < {O}; o++) if (mean[o] > mean[result->label]) "
                     "result->label = o;")  # fmt: skip
    elif model.classes:
        lines.append("    result->label = mean[0] > 0.5;")
    lines += ["    return 0;", "}", ""]
    return [*parts, *lines]


def _of_one_member() -> list[str]:
    return ["        mean[o] = (real)out[0][o];", "        result->spread[o] = 0;"]


def _mean_and_spread(P: int, scaled: bool) -> list[str]:
    """Return the lines for the mean and the standard deviation of P members' output o."""
    lines = [
        f"        double column[{P}], average;",
        f"        for (m = 0; m < {P}; m++) column[m] = out[m][o];",
        f"        mean[o] = (real)(total(column, {P}) / {P});",
    ]
    if scaled:
        lines.append(
            f"        for (m = 0; m < {P}; m++) out[m][o] = means[o] + scales[o] * out[m][o];"
        )
    return [
        *lines,
        f"        for (m = 0; m < {P}; m++) column[m] = out[m][o];",
        f"        average = total(column, {P}) / {P};",
        f"        for (m = 0; m < {P}; m++) {{",
        "            const double d = out[m][o] - average;",
        "            column[m] = d * d;",
        "        }",
        f"        result->spread[o] = sqrt(total(column, {P}) / {P});",
    ]


def _self_test(model: ExportModel, name: str, rows: Rows) -> list[str]:
    """Return the function that predicts the test rows."""
    if not len(rows.expected):
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
        "/* whether numbers have the same bits, or are both NaN */",
        "static int same(double x, double y) {",
        "    return memcmp(&x, &y, sizeof x) == 0 || (x != x && y != y);",
        "}",
        "",
        f"int {name}_self_test(void) {{",
        "    int wrong = 0, i, o;",
        f"    for (i = 0; i < {len(made)}; i++) {{",
        f"        {name}_result result;",
        f"        int equal = {name}_predict(&test_rows[i], &result) == 0;",
        f"        for (o = 0; equal && o < {model.outputs}; o++)",
        f"            equal = same(result.value[o], expected[i * {model.outputs} + o]);",
        "        wrong += !equal;",
        "    }",
        "    return wrong;",
        "}",
        "",
    ]
