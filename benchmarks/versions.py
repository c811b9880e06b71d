"""Whether the tests pass on every Python, with the oldest and newest packages: writes versions.md.

    pip install -e . && python benchmarks/versions.py [--root DIR] [--python PATH]... [--resume]

Each Python gets an environment with the lowest versions that pyproject.toml allows and that have
wheels for it, and one with the highest. Each environment runs tests/core, test_compiled.py and
test_estimators.py, where a warning is an error. The Pythons are those on PATH, pyenv's, and those
given with --python.
"""

import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path
from xml.etree import ElementTree

from machine import cache_folder, described

HOME = Path(__file__).parents[1]
PAGE = Path(__file__).with_name("versions.md")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
EXTRAS = ("fast", "sklearn", "cli", "files")
"""Whose packages are installed at their lowest and highest versions."""
SHOWN = ("numpy", "numba", "scikit-learn", "polars", "narwhals", "threadpoolctl", "scipy", "pandas")
TESTS = ("tests/core", "tests/extras/test_compiled.py", "tests/extras/test_estimators.py")
ASK = "import platform; print(platform.python_version())"


def requirements():
    """Return what Seedbed and its extras require, as pyproject.toml has it."""
    project = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"]]
    for extra in EXTRAS:
        wanted += project["optional-dependencies"][extra]
    return [line for line in wanted if not line.startswith("seedbed")]


def pythons(given):
    """Return {"3.11": (path, "3.11.7"), ...}: of each wanted Python the first one that starts."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    paths = [*map(Path, given), Path(sys.executable)]
    for python in PYTHONS:
        on_path = shutil.which(f"python{python}")
        paths += [Path(on_path)] if on_path else []
        paths += sorted(pyenv.glob(f"{python}.*/bin/python"))
    found = {}
    for path in paths:
        asked = subprocess.run([path, "-c", ASK], capture_output=True, text=True, check=False)
        if asked.returncode == 0:
            version = asked.stdout.strip()
            found.setdefault(".".join(version.split(".")[:2]), (path, version))
    return found


def installed(uv, place, python, resolution):
    """Make an environment at ``place``."""
    shutil.rmtree(place, ignore_errors=True)
    subprocess.run([python, "-m", "venv", "--without-pip", place], check=True)
    inside, pinned = place / "bin" / "python", place / "pinned.txt"
    wheels = ["--python", inside, "--only-binary", ":all:"]
    command = [uv, "pip", "compile", "-q", *wheels, "--no-annotate", "--no-header"]
    resolved = subprocess.run(
        [*command, "--resolution", resolution, "-"],
        input="\n".join(requirements()),
        capture_output=True,
        text=True,
        check=True,
    )
    pinned.write_text(resolved.stdout, encoding="utf-8")
    # what only the tests need is new in both, as far as it goes with the versions pinned
    with_tests = ["-r", pinned, "pytest", "hypothesis", "pandas"]
    for wanted in ([*wheels, *with_tests], ["--python", inside, "--no-deps", "-e", HOME]):
        install = [uv, "pip", "install", "-q", *wanted]
        subprocess.run(install, capture_output=True, text=True, check=True)


def tested(place):
    """Run the tests in the environment at ``place``, which leaves a report there."""
    leave = ["-p", "no:cacheprovider", f"--junitxml={place / 'report.xml'}"]
    subprocess.run(
        [place / "bin" / "python", "-m", "pytest", *TESTS, *leave],
        cwd=HOME,
        env={**os.environ, "NUMBA_CACHE_DIR": str(place / "compiled")},
        check=False,
    )


def results(uv, place):
    """Return the cells of a row, and a line for each failure, from the report at ``place``."""
    listed = [uv, "pip", "list", "-q", "--python", place / "bin" / "python", "--format", "json"]
    packages = json.loads(subprocess.run(listed, capture_output=True, text=True, check=True).stdout)
    versions = {each["name"]: each["version"] for each in packages}
    suite = ElementTree.parse(place / "report.xml").getroot()[0]
    lines = []
    for case in suite.iter("testcase"):
        fault = next((each for each in case if each.tag in ("failure", "error")), None)
        if fault is not None:
            why = (fault.get("message") or "").strip().split("\n")[0][:200]
            lines.append(f"{case.get('classname')}::{case.get('name')}: `{why}`")
    passed = int(suite.get("tests")) - len(lines) - int(suite.get("skipped"))
    shown = [versions.get(package, "") for package in SHOWN]
    return [*shown, passed, len(lines), f"{float(suite.get('time')):.0f}"], lines


def row(*cells):
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def write(lines, failures):
    """Write the page, as far as it goes."""
    head = [
        row("Python", "packages", *SHOWN, "passed", "failed", "seconds"),
        "|---" * (len(SHOWN) + 5) + "|",
    ]
    page = [
        "# The oldest and newest packages of each Python",
        f"{datetime.date.today()}; {described('numpy')}",
        __doc__.split("\n\n", 2)[2].strip().replace("\n", " "),
        "\n".join([*head, *lines]),
        *(["## What failed", "\n".join(failures)] if failures else []),
    ]
    PAGE.write_text("\n\n".join(page) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, default=cache_folder("versions"))
    parser.add_argument("--python", action="append", default=[], metavar="PATH")
    parser.add_argument(
        "--resume", action="store_true", help="keep the environments that were tested before"
    )
    options = parser.parse_args()
    root = options.root.absolute()
    tools = root / "tools"
    uv = tools / "bin" / "uv"
    if not uv.exists():
        venv.create(tools, with_pip=True, clear=True)
        subprocess.run([tools / "bin" / "pip", "install", "-q", "uv"], check=True)
    found, lines, failures = pythons(options.python), [], []
    for python in PYTHONS:
        if python not in found:
            lines.append(row(python, "not found here", *[""] * (len(SHOWN) + 3)))
            continue
        path, version = found[python]
        for name, resolution in (("oldest", "lowest-direct"), ("newest", "highest")):
            place = root / f"{python}-{name}"
            try:
                if not (options.resume and (place / "report.xml").exists()):
                    installed(uv, place, path, resolution)
                    tested(place)
                cells, why = results(uv, place)
            except subprocess.CalledProcessError as error:
                cells = [""] * len(SHOWN) + ["not installed", "", ""]
                why = [" ".join((error.stderr or str(error)).split())]
            lines.append(row(version, name, *cells))
            failures += [f"- Python {python}, {name}: {each}" for each in why]
            write(lines, failures)
    write(lines, failures)
    print(PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
