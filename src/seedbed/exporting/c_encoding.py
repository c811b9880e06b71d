"""The function from a row to inputs as C."""

from __future__ import annotations

from collections.abc import Sequence

from seedbed import reproducible
from seedbed.exporting import c_runtime as runtime
from seedbed.exporting.c_words import array, identifiers, in_comment, integers, number, texts
from seedbed.exporting.model import ExportModel
from seedbed.exporting.texts import folds
from seedbed.tables.columns import CategoryColumn
from seedbed.tables.dates import DateColumn
from seedbed.tables.notation import MISSING_WORDS
from seedbed.tables.numbers import MAX_SQUARABLE


def fields(model: ExportModel) -> list[tuple[str, str, str]]:
    """Return each column's field: its identifier, its type, and a comment."""
    encoding = model.encoding
    if encoding is None:
        return []
    names = identifiers(column.name for column in encoding.columns)
    found = []
    for word, column in zip(names, encoding.columns, strict=True):
        shown = in_comment(column.name)
        if isinstance(column, CategoryColumn):
            found.append((word, "const char *", f"{shown}: UTF-8; NULL or empty where missing"))
        elif isinstance(column, DateColumn):
            found.append((word, "double ", f"{shown}: days since 1970-01-01; NAN where missing"))
        else:
            found.append((word, "double ", f"{shown}: NAN where missing"))
    return found


def encode_code(model: ExportModel, name: str) -> str:
    """Return the function from a row to inputs."""
    encoding = model.encoding
    head = f"static int encode(const {name}_row *row, real *x, int *unseen) {{"
    if encoding is None:
        return "\n".join([
            head, "    int i;",
            f"    for (i = 0; i < {model.inputs}; i++) {{",
            "        if (row->x[i] - row->x[i] != 0) return -1;",
            "        x[i] = row->x[i];", "    }",
            *(
                f"    if (!(x[{column}] >= 0 && x[{column}] < {levels} && "
                f"x[{column}] == (real)(int)x[{column}])) return -1;"
                for column, levels in model.levels.items()
            ),
            "    *unseen = 0;", "    return 0;", "}", "",
        ])  # fmt: skip
    words = {column.name: word for (word, _, _), column in
             zip(fields(model), encoding.columns, strict=True)}  # fmt: skip
    encoder, parts, lines = model.number_encoder, [], [head]
    count, bins = len(encoder.names), len(model.bins)
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
        names = [words[each] for each in encoder.names]
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
                      _category(place, column, words[column.name], start)]  # fmt: skip
            start += column.width
        lines.append("        (void)k;")
        lines.append("    }")
    if model.circles:
        parts.append(array("cos_series", reproducible._COS_SERIES, "float64") + "\n")
        parts.append(array("sin_series", reproducible._SIN_SERIES, "float64") + "\n")
        parts.append(runtime.CIRCLES)
        for place, circle in model.circles:
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
        texts("missing_words", words),
        texts("fold_from", [each for each, _ in folds()]),
        texts("fold_to", [each for _, each in folds()]),
    ]
    for place, column in enumerate(columns):
        codes = column._codes
        names = sorted(codes, key=lambda name: name.encode("utf-8", "surrogatepass"))
        tables.append(texts(f"names{place}", names))
        tables.append(integers(f"codes{place}", [codes[each] for each in names]) + "\n")
    return "\n".join([*tables, runtime.TEXTS])


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
