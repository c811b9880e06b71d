"""Run the command seedbed on an emulated 64-bit ARM processor.

    pip install -e '.[all]' && python benchmarks/arm.py [--root DIR] ARGUMENTS...

``python benchmarks/arm.py verify`` runs ``seedbed verify`` there. It needs a Debian system with
apt-get, dpkg-deb and qemu-user-static. The first run installs Debian's Python for arm64 in DIR, and
NumPy, Numba and the other packages in the versions installed here, so that only the processor
differs. The engine takes some minutes to compile under emulation; DIR keeps the compiled code.
"""

import argparse
import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

from machine import cache_folder

SOURCE = Path(__file__).parents[1] / "src"
EMULATORS = ("qemu-aarch64-static", "qemu-aarch64")
DEBIAN = ("python3", "libstdc++6", "libgomp1")
"""Debian's packages, installed with their dependencies; wheels link to the two libraries."""
PYPI = (
    "numpy",
    "numba",
    "threadpoolctl",
    "scikit-learn",
    "narwhals",
    "polars",
    "rich",
    "safetensors",
)
PLATFORMS = [f"manylinux_2_{minor}_aarch64" for minor in range(17, 35)] + ["manylinux2014_aarch64"]
APT = """
APT::Architecture "arm64";
APT::Architectures {{ "arm64"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "";
Dir::State "{state}";
Dir::State::status "{state}/status";
Dir::Cache "{cache}";
"""


def program(names, package):
    """Return the path of the first program found, or exit and name the package to install."""
    for name in names:
        if path := shutil.which(name):
            return path
    sys.exit(f"arm.py: no {names[0]} on PATH: install Debian's package {package}")


def done(command, what, **settings):
    """Run a command quietly, or exit with the last line of its output."""
    result = subprocess.run(command, capture_output=True, text=True, check=False, **settings)
    if result.returncode:
        said = (result.stderr.strip() or result.stdout.strip()).split("\n")[-1]
        sys.exit(f"arm.py: {what}: {said}")


def system(root):
    """Unpack Debian's Python for arm64 into ``root``, with dependencies; return the Python.

    apt-get gets separate folders, so that it neither sees nor changes this system's packages.
    """
    place, stamp = root / "system", root / "system.made"
    if not stamp.exists():
        apt_get, dpkg_deb = program(["apt-get"], "apt"), program(["dpkg-deb"], "dpkg")
        shutil.rmtree(place, ignore_errors=True)
        state, cache = root / "apt" / "state", root / "apt" / "cache"
        for folder in (state / "lists" / "partial", cache / "archives" / "partial"):
            folder.mkdir(parents=True, exist_ok=True)
        (state / "status").write_text("", encoding="utf-8")
        settings = root / "apt" / "apt.conf"
        settings.write_text(APT.format(state=state, cache=cache), encoding="utf-8")
        environment = {**os.environ, "APT_CONFIG": str(settings)}
        done([apt_get, "update"], "apt-get update for arm64", env=environment)
        download = [apt_get, "install", "--yes", "--download-only", *DEBIAN]
        done(download, "apt-get found no Python for arm64", env=environment)
        for name in ("bin", "lib", "sbin"):  # newer packages ship /usr alone and need these links
            (place / "usr" / name).mkdir(parents=True)
            (place / name).symlink_to(f"usr/{name}")
        for archive in sorted((cache / "archives").glob("*.deb")):
            done([dpkg_deb, "--extract", archive, place], f"cannot unpack {archive.name}")
        shutil.rmtree(root / "apt")
        stamp.touch()
    return (place / "usr" / "bin" / "python3").resolve()


def packages(root, python):
    """Install the packages for arm64 from PyPI in the versions installed here; return the folder.

    A change of any version installed here rebuilds the folder.
    """
    place, stamp = root / "packages", root / "packages.txt"
    here = {each.name: each.version for each in importlib.metadata.distributions()}
    pins = "".join(f"{name}=={version}\n" for name, version in sorted(here.items()))
    pins = f"# {' '.join(PYPI)} for {python.name}\n{pins}"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != pins:
        shutil.rmtree(place, ignore_errors=True)
        stamp.unlink(missing_ok=True)
        constraints = root / "constraints.txt"
        constraints.write_text(pins, encoding="utf-8")
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", place]
        install += ["--only-binary", ":all:", "--constraint", constraints]
        install += ["--python-version", python.name.removeprefix("python")]
        for platform in PLATFORMS:
            install += ["--platform", platform]
        done([*install, *PYPI], "pip found no packages for arm64")
        constraints.rename(stamp)
    return place


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], usage="%(prog)s [-h] [--root DIR] ARGUMENTS..."
    )
    parser.add_argument(
        "--root", type=Path, default=cache_folder("arm"), help="the machine's folder"
    )
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="passed to seedbed")
    options = parser.parse_args()
    if not options.arguments:
        parser.error("no arguments for seedbed were given: try verify")
    emulator = program(EMULATORS, "qemu-user-static")
    root = options.root.absolute()
    root.mkdir(parents=True, exist_ok=True)
    python = system(root)
    environment = {
        **os.environ,
        "QEMU_LD_PREFIX": str(root / "system"),
        "PYTHONPATH": f"{SOURCE}{os.pathsep}{packages(root, python)}",
        "PYTHONDONTWRITEBYTECODE": "1",  # both machines use SOURCE
        "NUMBA_CACHE_DIR": str(root / "compiled"),
    }
    command = [emulator, python, "-m", "seedbed", *options.arguments]
    sys.exit(subprocess.run(command, env=environment, check=False).returncode)


if __name__ == "__main__":
    main()
