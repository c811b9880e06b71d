"""Helpers of the benchmarks: the machine's description, cache folders, hiding AVX-512."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import seedbed as sb


def processor():
    """Return the processor's name and model number: a cloud's processors often share a name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    fields = {name.strip(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    if not {"model name", "model"} <= set(fields):
        return platform.processor() or platform.machine()
    return f"{fields['model name']}, model {fields['model']}"


def described(*packages):
    """Return the processor, the cores used, and the versions of Python, Seedbed and packages."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    return (
        f"{processor()}, {len(os.sched_getaffinity(0))} of its cores used, Python "
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
