"""Run ``seedbed verify`` on several processors and compare the bits: writes bits.md.

    pip install -e '.[all]' && python benchmarks/bits.py

The processors are this one, this one limited to narrower vectors (``held.py``), and an emulated
64-bit ARM processor (``arm.py``, which needs a Debian system with qemu-user-static).
"""

import datetime
import json
import subprocess
import sys
from pathlib import Path

from machine import described

HERE = Path(__file__).parent
RESULTS = HERE / "bits.md"
SEEDBED = [sys.executable, "-m", "seedbed"]
WAYS = {
    "this processor": [sys.executable, HERE / "held.py", "native", *SEEDBED],
    "limited to AVX2": [sys.executable, HERE / "held.py", "avx2", *SEEDBED],
    "limited to SSE4.2": [sys.executable, HERE / "held.py", "sse2", *SEEDBED],
    "ARM, emulated by QEMU": [sys.executable, HERE / "arm.py"],
}


def row(way, command):
    """Run ``seedbed verify`` one way; return the table's row."""
    done = subprocess.run(
        [*command, "verify", "--json"], capture_output=True, text=True, check=False
    )
    if not done.stdout:
        said = (done.stderr.strip() or "no output").splitlines()[-1]
        return f"| {way} | not run: {said} | | | | | |"
    result = json.loads(done.stdout)
    machine, count = result["machine"], len(result["found"])
    same = f"{count - len(result['different'])} of {count}"
    return f"| {way} | {' | '.join(str(value) for value in machine.values())} | {same} |"


def main():
    page = [
        "# The same bits on every machine",
        "",
        f"Printed by `python benchmarks/bits.py` on {datetime.date.today()}: {described('numba')}.",
        "",
        "`seedbed verify` trains populations and estimators with the compiled engine, and compares",
        "the SHA-256 of their parameters, losses and predictions with committed digests.",
        "",
        "| run on | processor | vector, bytes | multiply-add | NumPy | Numba | same bits |",
        "|---|---|---|---|---|---|---|",
    ]
    for way, command in WAYS.items():
        page.append(row(way, command))
        print(page[-1], flush=True)
    RESULTS.write_text("\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
