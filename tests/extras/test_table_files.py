"""The files of tests/tables: what is read of each, from every source; README.md there says how."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

import seedbed as sb
from seedbed.tables import csv_frames, reading
from seedbed.tables.columns import read_column
from seedbed.tables.csv_text import CsvReader, TextRows
from seedbed.tables.dates import DateColumn
from seedbed.tables.encoding import fit
from seedbed.tables.notation import PLAIN
from seedbed.tables.numbers import NumberColumn
from seedbed.tables.sources import ArraySource, FrameSource, as_frame
from seedbed.tables.targets import Target

FOLDER = Path(__file__).parent.parent / "tables"
EXPECTED = {
    path.relative_to(FOLDER).as_posix().removesuffix(".json"): json.loads(path.read_text("utf-8"))
    for path in sorted(FOLDER.glob("*/*.json"))
    if path.with_suffix("").exists()
}
REFUSED = [name for name, expected in EXPECTED.items() if "refused" in expected]
READ = [name for name in EXPECTED if name not in REFUSED]
KINDS = {"numbers": "number", "categories": "text", "dates": "date"}


def test_every_file_has_its_expectation():
    files = {path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("*/*")}
    assert files == {*EXPECTED, *(f"{name}.json" for name in EXPECTED)}
    assert len(READ) >= 260
    assert len(REFUSED) >= 44


# ---------------------------------------------------------------- what people have


def frame_of_texts(name):
    """Return a file as a user of pandas reads it, all of its values texts; None if pandas can't."""
    given = EXPECTED[name].get("pandas", {})
    if given is None:
        return None
    return pd.read_csv(FOLDER / name, dtype=str, keep_default_na=False, **given)


def typed_frame(name):
    """Return a file with the types that pandas finds; None if it finds others than those meant."""
    expected = EXPECTED[name]
    if expected.get("pandas", {}) is None or "typed" not in expected:
        return None
    given = expected.get("pandas", {}) | expected["typed"]
    return pd.read_csv(FOLDER / name, **given)


def moment(text):
    """Return a date, with or without a time, or a time of day, as datetime64."""
    return np.datetime64(f"1970-01-01T{text}" if "-" not in text else text.replace(" ", "T"), "us")


def typed_values(column):
    """Return an expected column as Python's own types."""
    ((kind, values),) = column.items()
    if kind != "dates":
        return values
    times = all(text is None or "-" not in text for text in values)
    dates = [None if text is None else moment(text).item() for text in values]
    return [date if date is None or not times else date.time() for date in dates]


def objects(frame):
    """Return a pandas frame as an array of objects."""
    return frame.to_numpy(dtype=object)


def as_texts(frame):
    """Return sources of texts, by name."""
    names = list(map(str, frame.columns))
    rows = objects(frame)
    return {
        "pandas": FrameSource(as_frame(frame)),
        "pandas strings": FrameSource(as_frame(frame.astype("string"))),
        "polars": FrameSource(as_frame(pl.DataFrame({n: frame[n].tolist() for n in frame}))),
        "objects": ArraySource(rows, [name.strip() for name in names]),
        "texts": ArraySource(rows.astype(str), [name.strip() for name in names]),
    }  # fmt: skip


def as_values(columns):
    """Return sources of typed values, by name."""
    values = {name: typed_values(column) for name, column in columns.items()}
    rows = np.empty((len(next(iter(values.values()))), len(values)), dtype=object)
    for place, each in enumerate(values.values()):
        rows[:, place] = each
    found = {
        "pandas of values": FrameSource(as_frame(pd.DataFrame(values))),
        "polars of values": FrameSource(as_frame(pl.DataFrame(values, strict=False))),
        "objects of values": ArraySource(rows, list(columns)),
    }
    if all("numbers" in column for column in columns.values()):
        found["numbers"] = ArraySource(rows.astype(np.float64), list(columns))
    return found


def rows_of(name):
    """Return a file as ``seedbed predict`` reads it, a few rows at a time."""
    with reading.opened(FOLDER / name) as stream:
        reader = CsvReader(stream.read1, name, list(EXPECTED[name]["columns"]))
        return TextRows(reader, [fields for records in reader for fields in records], 0)


# ---------------------------------------------------------------- what is read


def check_columns(source, columns):
    """Assert that a table has these columns, and read the values of each."""
    assert source.columns == list(columns)
    for name, column in columns.items():
        ((kind, values),) = column.items()
        read = read_column(source, name)
        if kind == "categories" or (read.kind == "text" and not any(values)):
            assert (read.kind, read.values.tolist()) == ("text", values)
            continue
        if kind == "dates":
            values = [None if v is None else moment(v).astype(np.int64) / 86_400e6 for v in values]
        assert read.kind == KINDS[kind]
        missing = [np.nan if value is None else value for value in values]
        np.testing.assert_array_equal(read.values, missing, err_msg=name)


def fitted(source):
    """Return the encoding of a table, its inputs, and the notes on its columns."""
    target = Target(("the target stands outside",))
    encoding, notes = fit(source, np.arange(len(source)), target, separate_target=True)
    X, more = encoding.inputs(source)
    return encoding, X, notes, more


def without_notation(encoding):
    """Return an encoding's columns without what depends on how the values are written."""
    bare = {"notation": PLAIN, "odd": ()}
    return [
        replace(column, **bare)
        if isinstance(column, NumberColumn)
        else replace(column, format="", days=replace(column.days, **bare))
        if isinstance(column, DateColumn)
        else column
        for column in encoding.columns
    ]


def check_notes(found, expected):
    assert len(found) == len(expected), found
    for note, words in zip(found, expected, strict=True):
        assert words in note


@pytest.mark.parametrize("name", READ)
def test_a_file_gives_the_same_inputs_whatever_the_source(name, monkeypatch):
    expected = EXPECTED[name]
    columns, frames_refused = expected["columns"], expected.get("frames")
    table = reading.read(FOLDER / name)
    check_columns(table, columns)
    if "unlearnable" in expected:
        with pytest.raises(sb.TableError, match=expected["unlearnable"]):
            fitted(table)
        return
    encoding, X, notes, missing = fitted(table)
    check_notes([*table.notes, *(note.line for note in notes)], expected.get("notes", []))

    sources = as_values(columns)
    typed = typed_frame(name)
    if typed is not None:
        sources["pandas, typed"] = FrameSource(as_frame(typed))
    texts = {}
    monkeypatch.setattr(csv_frames, "LARGE_FILE", 0)
    texts["a large file"] = reading.read(FOLDER / name)
    frame = frame_of_texts(name)
    if frame is not None:
        texts |= as_texts(frame)
    for kind, source in (sources | texts).items():
        if kind in texts and frames_refused and isinstance(source, FrameSource | ArraySource):
            with pytest.raises(sb.TableError, match=frames_refused):
                fitted(source)
            continue
        if kind in ("a large file", "pandas", "objects"):  # the encodings tell the others
            check_columns(source, columns)
        other, inputs, said, _ = fitted(source)
        np.testing.assert_array_equal(inputs, X, err_msg=kind)
        if kind == "pandas, typed":  # whose booleans are false and true, whatever the file has
            continue
        assert without_notation(other) == without_notation(encoding), kind
        if kind in texts:
            assert said == notes, kind
    if name.endswith("json") or name.endswith("jsonl"):
        return
    sources |= texts
    sources["rows of a stream"] = rows_of(name)
    for kind, source in sources.items():  # read with the file's encoding
        inputs, more = encoding.inputs(source)
        np.testing.assert_array_equal(inputs, X, err_msg=kind)
        assert more.missing == missing.missing, kind


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_is_refused_in_one_line(name, run, monkeypatch):
    words, path = EXPECTED[name]["refused"], FOLDER / name
    for size in (csv_frames.LARGE_FILE, 0):
        monkeypatch.setattr(csv_frames, "LARGE_FILE", size)
        with pytest.raises(sb.TableError) as raised:
            fitted(reading.read(path))
        assert words.replace("{file}", str(path)) in str(raised.value)
        assert "\n" not in str(raised.value)
    status, out, err = run("train", path, "--target", "y", "--task", "regression")
    assert (status, out) == (2, "")
    assert words.replace("{file}", str(path)) in err
    assert len(err.splitlines()) == 1
    frame = frame_of_texts(name)
    for kind, source in ({} if frame is None else as_texts(frame)).items():
        with pytest.raises(sb.TableError) as raised:
            fitted(source)
        assert words.replace("{file}", "X") in str(raised.value), kind


# ---------------------------------------------------------------- the command


@pytest.mark.parametrize("name", [name for name in READ if name.startswith("whole/")])
def test_the_command_and_its_model_read_a_file_and_frames_alike(name, run, tmp_path):
    path, model = FOLDER / name, tmp_path / "m.safetensors"
    expected = EXPECTED[name]
    target = next(n for n, column in reversed(expected["columns"].items()) if "numbers" in column)
    words = ["--task", "regression", "--members", 1, "--epochs", 1, "--hidden", 2, "--test", 0.1]
    status, out, err = run("train", path, "--target", target, *words, "--json", "--out", model)
    assert (status, err) == (0, "")
    check_notes(
        [
            note
            for note in json.loads(out)["notes"]
            if "missing value" not in note and "rows without" not in note
        ],
        expected.get("notes", []),
    )
    status, out, _ = run("predict", model, path, "--json")
    assert status == 0
    predicted = json.loads(out)[f"predicted_{target}"]
    values = {n: typed_values(column) for n, column in expected["columns"].items()}
    frames = [frame_of_texts(name), pd.DataFrame(values), pl.DataFrame(values, strict=False)]
    for frame in frames:
        inputs = [column for column in frame.columns if column.strip() != target]
        assert sb.load(model).predict(frame[inputs]).tolist() == predicted
