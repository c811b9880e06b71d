"""Tables as people have them: what files, frames and arrays of the same values are read as."""

import gzip
import io
import sqlite3
from collections import Counter

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import seedbed as sb
from seedbed.tables.columns import read_column
from seedbed.tables.encoding import fit
from seedbed.tables.notation import Marks, infer, parse_all
from seedbed.tables.reading import read
from seedbed.tables.sources import ArraySource, FrameSource, as_frame
from seedbed.tables.targets import find_target

# ---------------------------------------------------------------- numbers

NUMBERS = {
    "plain": (["1", "2.5", "-3e-4", "+7"], [1, 2.5, -3e-4, 7]),
    "thousands points": (["4.008", "455", "1.200"], [4008, 455, 1200]),
    "thousands commas": (["2,559", "455", "1,200"], [2559, 455, 1200]),
    "millions": (["1.234.567", "12", "3.000"], [1234567, 12, 3000]),
    "decimal commas": (["1,5", "2,25", "3"], [1.5, 2.25, 3]),
    "German": (["1.234,5", "12,75", "1.000"], [1234.5, 12.75, 1000]),
    "English": (["1,234.5", "12.75", "1,000"], [1234.5, 12.75, 1000]),
    "Swiss": (["1'234.5", "12.75", "1\u2019000"], [1234.5, 12.75, 1000]),
    "French": (["1 234,5", "12,75", "1\u202f000", "7\u00a0000"], [1234.5, 12.75, 1000, 7000]),
    "decimals beside large numbers": (["4.008", "1455", "1.200"], [4.008, 1455, 1.2]),
    "a leading zero": (["0.125", "1.250", "455"], [0.125, 1.25, 455]),
    "percent": (["47%", "3 %", "12.5%"], [47, 3, 12.5]),
    "dollars": (["$12.50", "$ 3", "$1,768.00", "7"], [12.5, 3, 1768, 7]),
    "euros": (["12,50 €", "3,00 €", "1.768,00 €"], [12.5, 3, 1768]),
    "currency codes": (["12 EUR", "EUR 3", "4.5 EUR"], [12, 3, 4.5]),
    "units": (["3 kg", "4.5kg", "12 kg"], [3, 4.5, 12]),
    "speeds": (["30 km/h", "55 km/h", "7.5 km/h"], [30, 55, 7.5]),
    "areas": (["30 m2", "55 m2", "7.5 m2"], [30, 55, 7.5]),
    "degrees": (["21°C", "-3°C", "4.5 °C"], [21, -3, 4.5]),
    "accounting": (["(1.2)", "3", "(4,000)", "5,500.5"], [-1.2, 3, -4000, 5500.5]),
    "Unicode minus": (["\u22121.2", "3", "\u22124"], [-1.2, 3, -4]),
    "minus and currency": (["-$3.50", "$-2", "$1.25"], [-3.5, -2, 1.25]),
    "words for missing": (["1", "NA", "n/a", "None", "-", "?", "unknown", "2"],
                          [1, None, None, None, None, None, None, 2]),
    "one odd word": ([*map(str, range(30)), "odd"], [*range(30), None]),
    "blanks": ([" 1", "2 ", "\t3"], [1, 2, 3]),
    "exponents": (["1e5", "2E-3", "1.5e+2"], [1e5, 2e-3, 150]),
    "no digit before the point": ([".5", "-.25", "5."], [0.5, -0.25, 5]),
}  # fmt: skip
TEXTS = {
    "codes with zeros": ["007", "012", "120"],
    "long codes": ["1234567890123456", "2", "3"],
    "letters and digits": ["A1", "A2", "B3"],
    "digits and letters": ["1a", "2b", "3c"],
    "phone numbers": ["030 1234", "040 5678", "089 91011"],
    "versions": ["1.2.3", "2.0.1", "10.0.0"],
    "ranges": ["10-20", "20-30", "30-40"],
    "fractions": ["1/2", "3/4", "5/8"],
    "country codes": ["US", "NA", "DE"],
    "colours": ["red", "?", "blue"],
    "units that differ": ["3 kg", "4 g", "5 kg"],
    "two colons": ["12:30:15:1", "13:00:00:2", "1:1:1:1"],
    "addresses": ["12 Main St", "7 Oak Rd", "9 Elm"],
    "digits of another script": ["١", "٢", "٣"],
    "underscores": ["1_000", "2_000", "3_000"],
    "hexadecimal": ["0x10", "0x1F", "0x00"],
}
REFUSED = {
    "ambiguous points": (["4.008", "1.455", "7.001"], r"'4.008', which may be 4.008 or 4008"),
    "ambiguous commas": (["4,008", "1,455", "7,001"], r"'4,008', which may be 4.008 or 4008"),
    "two decimal marks": (["1.5", "2,5", "3.25"], "writes numbers in two ways"),
    "a mark for both": (["1.5", "1.234.567", "2.25"], "writes numbers in two ways"),
    "days or months": (["03/04/2026", "05/06/2026", "01/02/2026"], "day and the month cannot be"),
}
DATES = {
    "ISO": (["2026-01-31", "2025-12-01", "1969-12-31"], [20484, 20423, -1]),
    "ISO with times": (["2026-01-31T12:00:00", "2026-01-31 18:00", "1970-01-01T00:00:00Z"],
                       [20484.5, 20484.75, 0]),
    "fractions of seconds": (["1970-01-01 00:00:43.2", "1970-01-01 00:01:26.4", "1970-01-02"],
                             [0.0005, 0.001, 1]),
    "slashes": (["2026/01/31", "2025/12/01", "2024/02/29"], [20484, 20423, 19782]),
    "German": (["31.01.2026", "1.12.2025", "29.02.2024"], [20484, 20423, 19782]),
    "day first": (["31/01/2026", "01/12/2025", "29/02/2024"], [20484, 20423, 19782]),
    "month first": (["01/31/2026", "12/01/2025", "02/29/2024"], [20484, 20423, 19782]),
    "names of months": (["31 Jan 2026", "1 Dec 2025", "29 February 2024"], [20484, 20423, 19782]),
    "American names": (["Jan 31, 2026", "Dec 1, 2025", "Feb 29 2024"], [20484, 20423, 19782]),
    "times of day": (["06:00", "18:00:00", "00:00"], [0.25, 0.75, 0]),
    "times with halves": (["6:00 AM", "6:00 pm", "12:00 AM"], [0.25, 0.75, 0]),
    "missing": (["2026-01-31", "NA", "2024-02-29"], [20484, None, 19782]),
}  # fmt: skip


def as_pandas(values):
    return FrameSource(as_frame(pd.DataFrame({"v": values})))


def as_pandas_strings(values):
    return FrameSource(as_frame(pd.DataFrame({"v": pd.Series(values, dtype="string")})))


def as_polars(values):
    return FrameSource(as_frame(pl.DataFrame({"v": values})))


def as_array(values):
    return ArraySource(np.array(values, dtype=object)[:, None], ["v"])


def as_texts(values):
    return ArraySource(np.array(values)[:, None], ["v"])


SOURCES = [as_pandas, as_pandas_strings, as_polars, as_array, as_texts]


def file_of(values, tmp_path, separator):
    path = tmp_path / "t.csv"
    frame = pl.DataFrame({"v": values, "w": ["x"] * len(values)})
    path.write_text(frame.write_csv(separator=separator), encoding="utf-8")
    return read(path)


def check(found, kind, expected):
    assert found.kind == kind
    if kind == "text":
        assert found.values.tolist() == expected
    else:
        numbers = [np.nan if value is None else value for value in expected]
        np.testing.assert_allclose(found.values, numbers, rtol=1e-15, atol=1e-9)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", [*NUMBERS, *TEXTS, *DATES])
def test_columns_in_frames_and_arrays(name, source):
    kind = "number" if name in NUMBERS else "text" if name in TEXTS else "date"
    values, expected = {**NUMBERS, **DATES}.get(name, (TEXTS.get(name),) * 2)
    if name == "German" and kind == "number":
        values, expected = NUMBERS[name]
    check(read_column(source(values), "v"), kind, expected)


@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize("name", [*NUMBERS, *TEXTS])
def test_columns_in_files(name, separator, tmp_path):
    values, expected = NUMBERS.get(name, (TEXTS.get(name),) * 2)
    table = file_of(values, tmp_path, separator)
    check(read_column(table, "v"), "number" if name in NUMBERS else "text", expected)


@pytest.mark.parametrize("name", DATES)
def test_dates_in_files(name, tmp_path):
    values, expected = DATES[name]
    check(read_column(file_of(values, tmp_path, ","), "v"), "date", expected)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_decided_is_refused(name, source):
    values, message = REFUSED[name]
    with pytest.raises(sb.TableError, match=message) as caught:
        read_column(source(values), "v")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("marks", "expected"),
    [(Marks("."), 4.008), (Marks(","), 4008), (Marks("", "."), 4008), (Marks("", ""), 4.008)],
)
def test_the_caller_decides(tmp_path, marks, expected):
    path = tmp_path / "t.csv"
    path.write_text("v;w\n4.008;x\n1.455;x\n")
    assert read_column(read(path, marks), "v").values[0] == expected


def test_other_columns_decide(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("v;w\n4,008;1.5\n1,455;2.25\n")
    assert read_column(read(path), "v").values.tolist() == [4008, 1455]
    path.write_text("v;w\n4,008;1,5\n1,455;2,25\n")
    assert read_column(read(path), "v").values.tolist() == [4.008, 1.455]


# ---------------------------------------------------------------- one table, every source

TABLE = {
    "age": ["34", "51", "28", "NA", "47", "39", "62", "25"],
    "income": ["$1,768", "$2,500.50", "$900", "$3,100", "$1,000", "$870.25", "$4,000", "$1,250"],
    "share": ["47%", "3%", "12.5%", "80%", "55%", "9%", "31%", "64%"],
    "since": ["2020-01-31", "2021-06-01", "2019-03-15", "2020-01-31", "2022-12-24", "2018-07-04",
              "2021-01-01", "2020-02-29"],
    "country": ["NA", "US", "DE", "US", "NA", "DE", "US", "NA"],
    "member": ["true", "false", "true", "true", "false", "false", "true", "false"],
    "code": ["007", "012", "120", "007", "012", "120", "007", "012"],
    "y": ["1.5", "2.5", "0.5", "3.25", "2.75", "1.25", "4.5", "0.75"],
}  # fmt: skip


def sources_of_one_table(tmp_path):
    """Yield each way in which people have ``TABLE``."""
    frame = pl.DataFrame(TABLE)
    text = frame.write_csv()
    for name, content in {
        "comma.csv": text.encode(),
        "bom.csv": b"\xef\xbb\xbf" + text.encode(),
        "crlf.csv": text.replace("\n", "\r\n").encode(),
        "utf16.csv": text.encode("utf-16"),
        "tab.csv": frame.write_csv(separator="\t").encode(),
        "semicolon.csv": frame.write_csv(separator=";").encode(),
        "bar.csv": frame.write_csv(separator="|").encode(),
        "sep.csv": b"sep=;\n" + frame.write_csv(separator=";").encode(),
        "trailing.csv": "".join(
            line + ";\n" for line in frame.write_csv(separator=";").splitlines()
        ).encode(),
        "blanks.csv": frame.rename(lambda name: f" {name} ").with_columns(
            pl.col("*") + "  "
        ).write_csv().encode(),
        "quoted.csv": frame.write_csv(quote_style="always").encode(),
        "packed.csv.gz": gzip.compress(text.encode()),
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(content)
        yield name, read(tmp_path / name)
    frame.write_parquet(tmp_path / "t.parquet")
    yield "parquet", read(tmp_path / "t.parquet")
    frame.write_ndjson(tmp_path / "t.jsonl")
    yield "lines of JSON", read(tmp_path / "t.jsonl")
    with sqlite3.connect(tmp_path / "t.db") as database:
        pd.DataFrame(TABLE).to_sql("people", database, index=False)
    database.close()
    frame.write_excel(tmp_path / "t.xlsx")
    yield "Excel", read(tmp_path / "t.xlsx")
    yield "SQLite", read(f"{tmp_path / 't.db'}::people")
    yield "pandas", FrameSource(as_frame(pd.DataFrame(TABLE)))
    yield "pandas strings", FrameSource(as_frame(pd.DataFrame(TABLE).astype("string")))
    yield "pandas categories", FrameSource(as_frame(pd.DataFrame(TABLE).astype("category")))
    yield "polars", FrameSource(as_frame(frame))
    rows = np.array([TABLE[name] for name in TABLE], dtype=object).T
    yield "array of objects", ArraySource(rows, list(TABLE))
    yield "array of texts", ArraySource(rows.astype(str), list(TABLE))
    typed = pd.read_csv(io.StringIO(text), dtype={"code": str}, parse_dates=["since"],
                        keep_default_na=False, na_values={"age": ["NA"]})  # fmt: skip
    typed["member"] = typed["member"].astype(bool)
    for column, mark in (("income", "$"), ("share", "%")):
        typed[column] = typed[column].str.strip(mark).str.replace(",", "").astype(float)
    yield "pandas, typed", FrameSource(as_frame(typed))
    yield "polars, typed", FrameSource(as_frame(pl.DataFrame(
        {name: typed[name].to_list() for name in typed}, nan_to_null=True
    )))  # fmt: skip


def test_every_source_of_a_table_gives_the_same_bits(tmp_path):
    """The encoding is the same whatever the source is, and each model reads every source."""
    encodings, rows = {}, np.arange(8)
    tables = dict(sources_of_one_table(tmp_path))
    first, expected = None, None
    for name, table in tables.items():
        target, known = find_target(table, "y", None)
        assert len(known) == 8, name
        encoding, _ = fit(table, rows, target)
        encodings[name] = encoding
        X, Y = encoding.inputs(table)[0], encoding.target.encode(table)
        if first is None:
            first, expected = encoding, (X, Y)
            kinds = Counter(type(column).__name__ for column in encoding.columns)
            assert kinds == {"NumberColumn": 3, "DateColumn": 1, "CategoryColumn": 3}
        np.testing.assert_array_equal(X, expected[0], err_msg=name)
        np.testing.assert_array_equal(Y, expected[1], err_msg=name)
    assert len(tables) == 24
    for name in ("comma.csv", "semicolon.csv", "pandas", "SQLite"):  # trained on texts
        for other, table in tables.items():
            X = encodings[name].inputs(table)[0]
            np.testing.assert_array_equal(X, expected[0], err_msg=f"{name} reads {other}")


# ---------------------------------------------------------------- fuzz


def grouped(digits, separator):
    head = len(digits) % 3 or 3
    return separator.join(
        [digits[:head], *(digits[i : i + 3] for i in range(head, len(digits), 3))]
    )


@st.composite
def written_numbers(draw):
    """Return numbers, and how a random but consistent writer writes them."""
    decimal = draw(st.sampled_from(".,"))
    separators = ["", ".", ",", " ", "\u00a0", "\u202f", "'", "\u2019"]
    thousands = draw(st.sampled_from([each for each in separators if each != decimal]))
    places, minus = draw(st.integers(0, 4)), draw(st.sampled_from(["-", "\u2212", "()"]))
    before = draw(st.sampled_from(["", "$", "€ ", "USD "]))
    behind = draw(st.sampled_from(["", "%", " kg", " EUR", "km/h", " m2"])) if not before else ""
    numbers, texts = [], []
    for value in draw(st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=8)):
        whole, rest = divmod(abs(value), 10**places)
        fraction = str(rest).rjust(places, "0") if places else ""
        text = (
            before
            + grouped(str(whole), thousands)
            + (decimal + fraction if places else "")
            + behind
        )
        if value < 0:
            text = f"({text})" if minus == "()" else minus + text
        texts.append(text)
        numbers.append(float(f"{'-' if value < 0 else ''}{whole}.{fraction or 0}"))
    return numbers, texts


@settings(max_examples=300, deadline=None)
@given(written_numbers())
def test_numbers_are_read_back_or_refused(written):
    numbers, texts = written
    try:
        reading = infer(Counter(texts), Marks, "v")
    except sb.TableError:
        return
    assert reading is not None
    assert reading.odd == ()
    assert parse_all(texts, reading.notation)[0].tolist() == numbers
