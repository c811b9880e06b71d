"""The examples run as they stand, and are short."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


def test_there_are_four():
    assert [path.name for path in EXAMPLES] == ["compare.py", "estimator.py", "table.py", "xor.py"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_has_at_most_30_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 30
    result = subprocess.run(
        [sys.executable, "-W", "error", path], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    expected = {
        "compare": " over lr=0.0003 is ",
        "estimator": "of 45 new wines classified correctly",
        "xor": "seeds solve XOR",
        "table": "of 69 new rows predicted correctly",
    }
    assert expected[path.stem] in result.stdout


def test_the_readmes_python_prints_what_the_readme_shows(capsys):
    readme = (EXAMPLES[0].parents[1] / "README.md").read_text(encoding="utf-8")
    block = r"^```python\n(.*?)^```\n```text\n(.*?)^```"
    examples = re.findall(block, readme, flags=re.MULTILINE | re.DOTALL)
    assert len(examples) == readme.count("```python") == 4
    names = {}
    for code, printed in examples:
        exec(code, names)
        assert capsys.readouterr().out == printed
    assert repr(names["population"]).startswith("<Population of 1000: 3-2-1 (sigmoid, ")
    assert names["found"]["lr 0.003", "lr 0.0025"].better == "lr 0.003"
