"""``seedbed verify``: checks that this machine computes the same bits as every other one."""

from __future__ import annotations

import importlib
import platform
import time
from argparse import Namespace
from typing import Any

import numpy as np

from seedbed import verification
from seedbed.cli.show import print_json
from seedbed.engines.select import COMPILED
from seedbed.errors import SettingError
from seedbed.tables.sources import join_names

DIFFERENT = 1
"""The exit status if a digest differs."""


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "verify",
        help="check that this machine computes the same bits as every other one",
        description="Train small populations and estimators on synthetic data with the compiled "
        "engine, and compare the SHA-256 of their parameters, losses and predictions with the "
        "committed digests. The exit status is 1 if one differs.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="run only the trainings whose names begin with NAME",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Run the trainings and print one line each; return the exit status."""
    if (missing := COMPILED.missing()) is not None:
        raise missing
    names = _chosen(options.names)
    if any(name.startswith("estimator") for name in names):
        importlib.import_module("seedbed.estimators")  # raises first if a dependency is missing
    known, found, machine = verification.known(), {}, _machine()
    if not options.json:
        print(", ".join(f"{what} {value}" for what, value in machine.items()) + "\n")
    began = time.perf_counter()
    for name in names:
        found[name] = verification.digest(name)
        if not options.json:
            same = "same" if found[name] == known.get(name) else "DIFFERENT"
            print(f"{found[name][:16]}  {same:9}  {name}", flush=True)
    wrong = [name for name in names if found[name] != known.get(name)]
    seconds = time.perf_counter() - began
    if options.json:
        print_json({"machine": machine, "found": found, "different": wrong, "seconds": seconds})
    elif wrong:
        print(f"\nnot as committed: {len(wrong)} of {len(names)}")
    else:
        print(f"\nas committed: {len(names)} of {len(names)} ({seconds:.1f} s)")
    return DIFFERENT if wrong else 0


def _chosen(prefixes: list[str]) -> list[str]:
    cases = [repr(name) for name in verification.CASES]
    for prefix in prefixes:
        if not any(name.casefold().startswith(prefix.casefold()) for name in verification.CASES):
            raise SettingError(
                f"no training's name begins with {prefix!r}: choose from {join_names(cases)}, or "
                "give no name to run all"
            )
    folded = tuple(prefix.casefold() for prefix in prefixes) or ""
    return [name for name in verification.CASES if name.casefold().startswith(folded)]


def _machine() -> dict[str, Any]:
    import numba

    from seedbed.engines.compiled.target import HAS_FMA, VECTOR_BYTES

    return {
        "processor": platform.machine(),
        "vector bytes": VECTOR_BYTES,
        "multiply-add": "in hardware" if HAS_FMA else "in software",
        "NumPy": np.__version__,
        "Numba": numba.__version__,
    }
