"""Helpers of the benchmarks: the machine's description, cache folders, hiding AVX-512."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import seedbed as sb


def described(*packages):
    """Return the processor, the cores used, and the versions of Python, Seedbed and packages."""
    cpu, info = platform.processor() or platform.machine(), Path("/proc/cpuinfo")
    if info.exists():
        named = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = named[0].split(":")[1].strip() if named else cpu
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    return (
        f"{cpu}, {len(os.sched_getaffinity(0))} of its cores used, Python "
        f"{platform.python_version()}, Seedbed {sb.__version__}, {versions}"
    )


def cache_folder(name):
    """Return the folder for ``name`` in the user's caches."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "seedbed" / name


def without_avx512(directory):
    """Return the environment of a process without AVX-512."""
    library = Path(directory) / "hide_avx512.so"
    source = Path(__file__).with_name("hide_avx512.c")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
    return {**os.environ, "LD_PRELOAD": str(library)}
