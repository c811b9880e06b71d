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


@pytest.mark.parametrize(
    ("marks", "expected"),
    [(Marks("."), 4.008), (Marks(","), 4008), (Marks("", "."), 4008), (Marks("", ""), 4.008)],
)
def test_the_caller_decides(tmp_path, marks, expected):
    path = tmp_path / "t.csv"
    path.write_text("v;w\n4.008;x\n1.455;x\n")
    assert read_column(read(path, marks), "v").values[0] == expected


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
