"""Run a command as on another x86 processor: every library is limited to its instructions.

    python benchmarks/held.py avx2|zen|sse2|native COMMAND...

Environment variables limit NumPy's loops, OpenBLAS, Numba and the peers of ``speed.py``. The
processor must have the remaining instructions. This Python runs a command that ends in ``.py``.
"""

import os
import re
import subprocess
import sys

_AVX2 = {
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "",
    "OPENBLAS_CORETYPE": "Haswell",
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
}
KINDS = {
    "avx2": (_AVX2, "AVX512|X86_V4"),
    "zen": ({**_AVX2, "OPENBLAS_CORETYPE": "Zen"}, "AVX512|X86_V4"),
    "sse2": (
        {
            "NUMBA_CPU_NAME": "nehalem",
            "NUMBA_CPU_FEATURES": "",
            "OPENBLAS_CORETYPE": "Nehalem",
            "ATEN_CPU_CAPABILITY": "default",
            "ONEDNN_MAX_CPU_ISA": "SSE41",
            "XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2",
        },
        "AVX|FMA|X86_V[34]|F16C|XOP",
    ),
    "native": ({}, "(?!)"),
}
"""For each kind: the variables, and a pattern of the NumPy features that it lacks."""


def environment(kind):
    """Return this process's environment, limited to ``kind``."""
    variables, without = KINDS[kind]
    given = {**os.environ, **variables}
    if "XLA_FLAGS" in variables:
        given["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {variables['XLA_FLAGS']}".strip()
    if features := _features(without):
        given["NPY_DISABLE_CPU_FEATURES"] = " ".join(features)
    return given


def _features(without):
    """Return the CPU features that NumPy must not use."""
    code = (
        "from numpy._core._multiarray_umath import __cpu_dispatch__ as names, "
        "__cpu_features__ as have; print(*[name for name in names if have.get(name)])"
    )
    free = {name: value for name, value in os.environ.items() if name != "NPY_DISABLE_CPU_FEATURES"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=free
    )
    return [name for name in done.stdout.split() if re.match(without, name)]


def main():
    kind, *command = sys.argv[1:] or [""]
    if kind not in KINDS or not command:
        sys.exit(f"usage: python benchmarks/held.py {'|'.join(KINDS)} COMMAND...")
    if command[0].endswith(".py"):
        command.insert(0, sys.executable)
    os.execvpe(command[0], command, environment(kind))


if __name__ == "__main__":
    main()
