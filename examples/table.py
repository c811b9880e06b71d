"""Train on a CSV file and predict another one, with the functions behind the command."""

import csv
import tempfile
from pathlib import Path

from sklearn.datasets import load_breast_cancer

from seedbed.cli import main

folder = Path(tempfile.mkdtemp())
data = load_breast_cancer()
names = [*(name.replace(" ", "_") for name in data.feature_names), "diagnosis"]

for part, rows in (("train", slice(0, 500)), ("new", slice(500, None))):
    with (folder / f"{part}.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(names)
        for x, t in zip(data.data[rows], data.target[rows], strict=True):
            lines.writerow([*x, data.target_names[t]])

model, out = folder / "model.safetensors", folder / "predictions.csv"
assert main(["train", f"{folder}/train.csv", "--target", "diagnosis", "--out", f"{model}"]) == 0
assert main(["predict", f"{model}", f"{folder}/new.csv", "--out", f"{out}"]) == 0

with out.open() as file:
    rows = list(csv.DictReader(file))
right = sum(row["predicted_diagnosis"] == row["diagnosis"] for row in rows)
print(f"{right} of {len(rows)} new rows predicted correctly: {out}")
