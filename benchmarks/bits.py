"""Where ``seedbed verify`` was run, and whether the bits were the same: writes bits.md.

    pip install -e '.[all]' && python benchmarks/bits.py

On this processor, as if on narrower ones (``held.py``), and on an emulated 64-bit ARM processor
(``arm.py``, which needs a Debian system with qemu-user-static).
"""

import datetime
import json
import subprocess
import sys
from pathlib import Path

from machine import described

HERE = Path(__file__).parent
RESULTS = HERE / "bits.md"
WAYS = {
    "this processor": [sys.executable, HERE / "held.py", "native", sys.executable, "-m", "seedbed"],
    "held to AVX2": [sys.executable, HERE / "held.py", "avx2", sys.executable, "-m", "seedbed"],
    "held to SSE4.2": [sys.executable, HERE / "held.py", "sse2", sys.executable, "-m", "seedbed"],
    "ARM, emulated by QEMU": [sys.executable, HERE / "arm.py"],
}


def row(way, command):
    """Run ``seedbed verify`` one way; return the table's row."""
    done = subprocess.run(
        [*command, "verify", "--json"], capture_output=True, text=True, check=False
    )
    if not done.stdout:
        said = (done.stderr.strip() or "it said nothing").splitlines()[-1]
        return f"| {way} | not run: {said} | | | | | |"
    told = json.loads(done.stdout)
    machine, count = told["machine"], len(told["found"])
    same = f"{count - len(told['different'])} of {count}"
    return f"| {way} | {' | '.join(str(value) for value in machine.values())} | {same} |"


def main():
    page = [
        "# The same bits on every machine",
        "",
        f"Printed by `python benchmarks/bits.py` on {datetime.date.today()}: {described('numba')}.",
        "",
        "`seedbed verify` trains populations and estimators with the compiled engine, and compares",
        "the SHA-256 of their parameters, losses and predictions with the committed ones.",
        "",
        "| where | processor | bytes a vector | multiply-add | NumPy | Numba | the same bits |",
        "|---|---|---|---|---|---|---|",
    ]
    for way, command in WAYS.items():
        page.append(row(way, command))
        print(page[-1], flush=True)
    RESULTS.write_text("\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
