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
        "compare": "is better than lr=0.0003",
        "estimator": "of 45 new wines named right",
        "xor": "seeds solve XOR",
        "table": "of 69 new rows predicted right",
    }
    assert expected[path.stem] in result.stdout


def test_the_readmes_python_runs(tmp_path, monkeypatch):
    readme = (EXAMPLES[0].parents[1] / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", readme, flags=re.MULTILINE | re.DOTALL)
    first, second, third = blocks
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(first, names)
    assert repr(names["population"]).startswith(
        "<Population of 100: 3-4-1 (tanh, identity); 100 finished; loss "
    )
    assert (tmp_path / "xor.safetensors").exists()
    exec(second, names)
    assert re.search(r"lr 0.03 is better .*won 8 of 8", names["found"].sentences[0])
    exec(third, names)
    assert names["network"].score(names["X_test"], names["y_test"]) > 0.9
    assert (tmp_path / "wine.safetensors").exists()
