"""What accuracy.py's records say: ratios of one method to its peers, and the page."""

import math
from pathlib import Path

import numpy as np
import open_tables
import pandas as pd
from accuracy_records import EFFORTS, OURS, PEERS, LackingError, complete, newest, source

import seedbed as sb

METRICS = {"error": "Error", "log_loss": "Log loss"}
ASKED = (
    "Ratios are {ours}'s number divided by the peer's, below 1 where {ours} is better; a table's "
    "number is its mean over the splits. The error is the error rate, or RMSE over the target's "
    "standard deviation; an error rate below half a test row counts as half a row. *Without one "
    "table* is the geometric mean without the table whose absence makes it least, and most. The "
    "verdict is that of `sb.judge`, which gets the logarithm of one number for each table: would "
    "the ratios lean so far to one side of 1 if each were equally likely to be inverted (the exact "
    "signed-rank test, p times the number of peers)? It is about other tables like "
    "these, not about other splits of the same."
)


def means(records, metrics=("error", "log_loss", "seconds")):
    """Return a frame for each metric: a table a row, a method a column, the mean over the splits.

    All methods must have the same tables and splits.
    """
    rows = pd.DataFrame(records)
    names = [name for name in open_tables.TABLES if name in set(rows["table"])]
    methods = list(dict.fromkeys(rows["method"]))
    grouped = rows.groupby(["table", "method"])
    tested = grouped["tested"].sum().unstack()[methods[0]]
    found = {}
    for metric in metrics:
        if metric in rows:
            frame = grouped[metric].mean().unstack().loc[names, methods]
            found[metric] = frame.dropna(how="all")
    rates = [name for name in names if open_tables.TABLES[name][0] != "regression"]
    half = (0.5 / tested).where(tested.index.isin(rates), 0.0)
    found["error"] = found["error"].clip(lower=half.loc[names], axis=0)
    return found


def geometric(values):
    return float(np.exp(np.mean(np.log(np.asarray(values, dtype=float)))))


def without_one(ratios):
    """Return the least and the most of the geometric means without one table: (mean, table)."""
    found = [(geometric(ratios.drop(name)), name) for name in ratios.index]
    return min(found), max(found)


def verdicts(frame, ours):
    """Return ``sb.judge``'s words and adjusted p on each peer; a table stands for a seed."""
    logarithms = {name: np.log(frame[name].to_numpy()) for name in frame}
    judged = sb.judge(logarithms, higher_is_better=False, design="fixed", baseline=ours)
    words = {}
    for peer in frame.columns.drop(ours):
        pair = judged[peer, ours]
        word = pair.verdict.value
        if pair.better == peer:
            word = word.replace("better", "worse")
        words[peer] = f"{word}, p = {pair.p_adjusted:.2g}"
    return words


def ratios(frame, ours, seconds=None):
    """Return the lines of a table of ratios, a peer a row, and a sentence on the best peer."""
    words = verdicts(frame, ours)
    head = ["peer", "geometric mean", "median", "without one table: least", "most", "lower on"]
    head += ["verdict"] + ([] if seconds is None else ["fit time"])
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    mean = {}
    for peer in frame.columns.drop(ours):
        ratio = frame[ours] / frame[peer]
        mean[peer] = geometric(ratio)
        cells = [peer, f"{mean[peer]:.3f}", f"{ratio.median():.3f}"]
        cells += [f"{value:.3f} ({name})" for value, name in without_one(ratio)]
        cells += [f"{int((ratio < 1).sum())} of {len(ratio)}", words[peer]]
        if seconds is not None:
            taken = seconds.loc[frame.index]
            cells.append(f"{geometric(taken[ours] / taken[peer]):.3g}")
        lines.append(f"| {' | '.join(cells)} |")
    others = frame.drop(columns=ours)
    worst = (frame[ours] / others.min(axis=1)).sort_values(ascending=False)[:3]
    shown = ", ".join(
        f"{name} {ratio:.2f} ({others.loc[name].idxmin()})" for name, ratio in worst.items()
    )
    best = max(mean, key=mean.get)
    sentence = f"The best peer by the mean is {best}. Each table against its own best peer, worst "
    return [*lines, "", f"{sentence}first: {shown}."]


def parts(names):
    """Return the tables to summarise: all, and those that may choose defaults or not."""
    kinds = {
        "all {} tables": set(names),
        "the {} tuning tables": set(open_tables.TUNING),
        "the {} report tables": set(open_tables.REPORT),
    }
    found = {title: [name for name in names if name in kind] for title, kind in kinds.items()}
    return {title: kept for title, kept in found.items() if len(kept) > 1}


def summary(records, ours):
    """Return the tables of ratios of ``ours`` to the other methods, as lines of Markdown."""
    found = means(records)
    lines = []
    for metric, title in METRICS.items():
        if metric not in found:
            continue
        for which, names in parts(list(found[metric].index)).items():
            seconds = found["seconds"] if metric == "error" else None
            lines += [f"### {title}, {which.format(len(names))}", ""]
            lines += [*ratios(found[metric].loc[names], ours, seconds), ""]
    return lines


def shared(records, methods):
    """Return the methods' newest records on the splits that all have, and a note on the others.

    Raises: LackingError if they share none.
    """
    found = {method: newest(records, method) for method in methods}
    cells = {
        method: {(record["table"], record["split"]) for record in one}
        for method, one in found.items()
    }
    common = set.intersection(*cells.values())
    if len({table for table, _ in common}) < 2:
        has = "; ".join(f"{method} has {len(which)}" for method, which in cells.items())
        raise LackingError(f"the methods share splits of fewer than two tables: {has}")
    kept = [
        record
        for one in found.values()
        for record in one
        if (record["table"], record["split"]) in common
    ]
    everything = set.union(*cells.values())
    lacking = {method: len(everything - which) for method, which in cells.items()}
    left = ", ".join(f"{method} lacks {count}" for method, count in lacking.items() if count)
    note = f"{len(common)} splits of {len({table for table, _ in common})} tables"
    return kept, note + (f"; left out: {len(everything - common)} ({left})" if left else "")


def efforts(records, tables, splits, peers):
    """Return the records of Seedbed's efforts that are complete, and their tables of ratios.

    A line is an effort and a peer; the columns are geometric means.
    """
    kept, own = [], {}
    for method in (OURS, *EFFORTS, *peers):
        try:
            one = complete(records, method, tables, splits)
        except LackingError:
            continue
        kept += one
        if method not in peers:
            own[method] = one
    others = [record for method in EFFORTS for record in own.get(method, [])]
    if not others:
        return [], []
    found, lines = means(kept), []
    for which, names in parts(list(found["error"].index)).items():
        lines += [f"### {which.format(len(names))[0].upper()}{which.format(len(names))[1:]}", ""]
        lines += ["| effort | peer | error | log loss | fit time |", "|---|---|---|---|---|"]
        for effort in own:
            for peer in [*(() if effort == OURS else (OURS,)), *peers]:
                cells = [effort, peer]
                for metric in ("error", "log_loss", "seconds"):
                    frame = found.get(metric)
                    frame = None if frame is None else frame.loc[frame.index.intersection(names)]
                    known = frame is not None and len(frame)
                    cells.append(f"{geometric(frame[effort] / frame[peer]):.3g}" if known else "")
                lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return others, lines


def origins(records):
    """Return a line a method: its setting, its packages, where and when it was measured."""
    lines = ["| method | measured | of | with | on |", "|---|---|---|---|---|"]
    rows = pd.DataFrame(records)
    for method, of_one in rows.groupby("method", sort=False):
        days = sorted(of_one["date"].str[:10])
        when = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
        versions = [
            ", ".join(f"{name} {version}" for name, version in one.items())
            for one in of_one["versions"]
        ]
        cells = [" and ".join(dict.fromkeys(every)) for every in (versions, of_one["cpu"])]
        settings = " and ".join(dict.fromkeys(of_one["setting"]))
        lines.append(f"| {method} | {when} | {settings} | {' | '.join(cells)} |")
    if rows["cpu"].nunique() > 1:
        lines += ["", "The processors differ, so the ratios of fit times are not exact."]
    return lines


def table(frame, cell):
    lines = [f"| table | {' | '.join(frame.columns)} |", "|---" * (len(frame.columns) + 1) + "|"]
    for name in frame.index:
        mark = " (report)" if name in open_tables.REPORT else ""
        cells = [cell(name, method) for method in frame.columns]
        lines.append(f"| {name}{mark} | {' | '.join(cells)} |")
    return [*lines, ""]


def page(records, about, tables, splits, peers=PEERS):
    """Return the page, from complete records of Seedbed and of the peers.

    Raises: LackingError if a method's records are not complete.
    """
    lacking, kept = [], []
    for method in (OURS, *peers):
        try:
            kept += complete(records, method, tables, splits)
        except LackingError as error:
            lacking.append(str(error))
    if lacking:
        raise LackingError("\n".join(lacking))
    found = means(kept)
    rows = pd.DataFrame(kept)
    spread = rows.groupby(["table", "method"])["error"].std().unstack()
    exact = rows.groupby(["table", "method"])["error"].mean().unstack()

    def error(name, method):
        deviation = spread[method][name]
        return f"{exact[method][name]:.4f}" + (
            "" if math.isnan(deviation) else f" ± {deviation:.4f}"
        )

    total = ", ".join(
        f"{method} {seconds:.0f} s" for method, seconds in found["seconds"].sum().items()
    )
    lines = ["# Accuracy of the estimators' defaults", "", about, ""]
    left_out = [peer for peer in PEERS if peer not in peers]
    if left_out:
        lines += [f"Not measured with this version: {', '.join(left_out)}.", ""]
    lines += [ASKED.format(ours=OURS), "", "## Ratios", "", *summary(kept, OURS)]
    others, compared = efforts(records, tables, splits, peers)
    if others:
        lines += ["## Efforts", "", "Geometric means of the ratios.", "", *compared]
    lines += ["## Error", "", "Mean over the splits ± their standard deviation.", ""]
    lines += table(found["error"], error)
    if "log_loss" in found:
        lines += ["## Log loss", ""]
        lines += table(found["log_loss"], lambda *at: f"{found['log_loss'].at[*at]:.4f}")
    lines += ["## Fit time, in seconds", "", f"All tables, a split: {total}.", ""]
    lines += table(found["seconds"], lambda *at: f"{found['seconds'].at[*at]:.2f}")
    lines += extras(records)
    lines += ["## Where and when", ""]
    lines += ["Seedbed's numbers are of its newest source that has all tables and splits.", ""]
    return "\n".join([*lines, *origins([*kept, *others])]) + "\n"


def extras(records):
    """Return the newest record of each other part, which says of which source it is."""
    lines = []
    for part in ("One row predicted", "MNIST"):
        found = [record for record in records if record.get("part") == part]
        if found:
            last = max(found, key=lambda record: record["date"])
            where = f"{last['date'][:10]}, {last['setting']}, {last['cpu']}."
            lines += [f"## {part}", "", last["about"], "", *last["lines"], "", where, ""]
    return lines


def write(path, records, about, tables, splits, peers=PEERS):
    """Write the page; return a remark if Seedbed's source has changed since it was measured."""
    Path(path).write_text(page(records, about, tables, splits, peers), encoding="utf-8")
    used = complete(records, OURS, tables, splits)[0]["setting"]
    now = f"source {source()}"
    return "" if used == now else f"the page is of {used}; the present one is {now}"
