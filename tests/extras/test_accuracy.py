"""benchmarks/accuracy_*.py: what is read from records, and which records are taken."""

import json

import accuracy_page
import accuracy_records
import open_tables
import pytest
from accuracy_records import OURS, PEERS, LackingError

TABLES = ["wine", "vowel", "yacht", "digits", "caravan", "concrete", "diabetes"]


def record(method, table, error, *, setting="1", split=0, day=1, **others):
    return {
        "method": method, "setting": setting, "table": table, "split": split, "seconds": 2.0,
        "error": error, "tested": 100, "versions": {"numpy": "2"}, "cpu": "x",
        "date": f"2026-01-{day:02d}T00:00:00+00:00", **others,
    }  # fmt: skip


def records(splits=1):
    ours = [0.1, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1]
    return [
        record(method, table, error, split=split, seconds=seconds)
        for split in range(splits)
        for table, mine in zip(TABLES, ours, strict=True)
        for method, error, seconds in ((OURS, mine, 3.0), *((peer, 0.2, 2.0) for peer in PEERS))
    ]


def test_a_third_of_the_tables_reports():
    assert len(open_tables.TUNING) == 20
    assert len(open_tables.REPORT) == 10
    assert set(open_tables.TUNING) | set(open_tables.REPORT) == set(open_tables.TABLES)


def test_ratios_are_those_by_hand():
    two = [one for one in records() if one["method"] in (OURS, "CatBoost")]
    lines = accuracy_page.summary(two, OURS)
    (row,) = [line for line in lines if line.startswith("| CatBoost") and "of 7" in line]
    mean, best, worst = 0.5 ** (6 / 7), 0.5, 0.5 ** (5 / 6)
    assert f"| {mean:.3f} | 0.500 | {best:.3f} (vowel) | {worst:.3f} (" in row
    verdict = "better, perhaps only slightly, p = 0.031"  # 2 of the 64 signs of six equal ratios
    assert f"| 6 of 7 | {verdict} | 1.5 |" in row
    assert "vowel 1.00 (CatBoost)" in "\n".join(lines)
    worse = accuracy_page.summary(two, "CatBoost")
    assert "| 0 of 7 | worse, perhaps only slightly, p = 0.031 | 0.667 |" in "\n".join(worse)


def test_an_error_rate_below_half_a_row_counts_as_half_a_row():
    found = accuracy_page.means(
        [
            record(method, table, 0.001, split=split)
            for table in ("wine", "yacht")
            for method in "ab"
            for split in range(2)
        ]
    )
    assert found["error"].to_numpy().tolist() == [[0.0025, 0.0025], [0.001, 0.001]]


def test_only_the_newest_setting_that_is_complete_counts():
    old = [record(OURS, table, 0.5, setting="old", day=2) for table in TABLES]
    new = [record(OURS, table, 0.1, setting="new", day=3) for table in TABLES]
    kept = accuracy_records.complete(old + new[1:], OURS, TABLES, 1)
    assert {one["setting"] for one in kept} == {"old"}
    kept = accuracy_records.complete(new + old, OURS, TABLES, 1)
    assert {one["setting"] for one in kept} == {"new"}
    with pytest.raises(LackingError, match=r"lacks wine: run accuracy.py --methods 'Seedbed'"):
        accuracy_records.complete(old[2:] + new[1:], OURS, TABLES, 1)
    with pytest.raises(LackingError, match=r"lacks vowel \(split 1\), yacht"):
        accuracy_records.complete(records(2)[: 8 * 8], OURS, TABLES[:2] + TABLES[2:3], 2)


def test_a_summary_takes_the_splits_that_all_have():
    some = [one for one in records(2) if one["method"] != "TabM-D" or one["split"] == 0]
    kept, note = accuracy_page.shared(some, [OURS, "TabM-D"])
    assert {one["split"] for one in kept} == {0}
    assert note == "7 splits of 7 tables; left out: 7 (TabM-D lacks 7)"
    with pytest.raises(LackingError, match="no records of nothing: there are those of Seedbed"):
        accuracy_page.shared(some, [OURS, "nothing"])


def test_the_page_needs_every_method_and_names_those_that_lack_tables():
    text = accuracy_page.page(records(), "About.", TABLES, 1)
    assert "### Error, all 7 tables" in text
    assert "### Error, the 5 tuning tables" in text
    assert "Log loss" not in text.replace("log loss", "")
    some = [one for one in records() if (one["method"], one["table"]) != ("TabM-D", "caravan")]
    with pytest.raises(LackingError, match=r"^TabM-D lacks caravan"):
        accuracy_page.page(some, "About.", TABLES, 1)


def test_records_are_appended_and_the_last_of_equals_is_read(tmp_path):
    path = tmp_path / "records.jsonl"
    assert accuracy_records.read(path) == []
    for error in (0.1, 0.3):
        accuracy_records.append(path, record(OURS, "wine", error))
    assert [one["error"] for one in accuracy_records.read(path)] == [0.3]
    accuracy_records.append(path, record(OURS, "wine", 0.5, setting="2"))
    assert [one["error"] for one in accuracy_records.read(path)] == [0.3, 0.5]
    path.write_text(json.dumps({"a": 1}) + "\n{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"line 2 of .* is not JSON: delete it"):
        accuracy_records.read(path)


def test_the_setting_is_the_source_and_the_parameters():
    plain = accuracy_records.setting(OURS)
    assert plain == accuracy_records.setting(OURS, {})
    assert accuracy_records.setting("deep", {"dropout": 0}) == f'{plain} {{"dropout": 0}}'
    assert accuracy_records.setting("HistGradientBoosting").startswith("scikit-learn ")


def test_efforts_are_compared_with_the_default_and_the_peers():
    fast = [record("Seedbed, fast", table, 0.2) for table in TABLES]
    text = accuracy_page.page([*records(), *fast], "About.", TABLES, 1)
    section = text.split("## Efforts")[1].split("\n## ")[0]
    assert "| Seedbed, fast | Seedbed | " in section
    assert "| Seedbed | CatBoost | " in section
    assert "Seedbed, high" not in section
    own = {one["table"]: one["error"] for one in records() if one["method"] == OURS}
    ratio = accuracy_page.geometric([0.2 / own[table] for table in TABLES])
    assert f"| Seedbed, fast | Seedbed | {ratio:.3g} |  | " in section
    assert "## Efforts" not in accuracy_page.page(records(), "About.", TABLES, 1)
