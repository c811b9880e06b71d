"""``seedbed check FILE.py``: output, exit status and errors."""

import json

import pytest

RIGHT = """
import numpy as np

X, Y = np.eye(3), np.ones((2, 3))
theta = {"W": np.ones((2, 3)), "b": np.ones((2, 1))}

def loss_and_gradient(theta):
    d = theta["W"] @ X + theta["b"] - Y
    HERE
    return (d**2).sum() / 3, {"W": 2 * d @ X.T / 3, "b": 2 * d.sum(axis=1, keepdims=True) / 3}

if __name__ == "__main__":
    raise SystemExit("this is not run")
"""
NETWORK = """
import numpy as np
from helper import slope

class Net:
    def __init__(self):
        self.W1, self.b1 = np.ones((3, 3)), np.zeros(3)

    def forward(self, X):
        self.y = X @ self.W1 + self.b1
        return self.y

    def loss(self, y_hat, Y):
        return ((y_hat - Y) ** 2).mean()

    def backward(self, X, Y):
        d = slope(self.y, Y)
        self.dW1, self.db1 = X.T @ d, d.sum(axis=0)

net, X, Y = Net(), np.eye(4)[:, 1:], np.zeros((4, 3))
"""


@pytest.fixture
def check(run, tmp_path):
    """Check a file with this text; return the status, output and errors."""

    def command(text, *options):
        (tmp_path / "student.py").write_text(text, encoding="utf-8")
        return run("check", tmp_path / "student.py", *options)

    return command


def test_a_right_gradient_has_status_0(check):
    status, out, err = check(RIGHT.replace("HERE", ""), "--json")
    result = json.loads(out)
    assert (status, err) == (0, "")
    assert (result["verdict"], result["examples"]) == ("agrees", "columns")
    assert result["checked"].endswith("student.py")


def test_a_wrong_gradient_has_status_1_and_names_the_mistake(check):
    status, out, err = check(RIGHT.replace("HERE", "").replace(", keepdims=True", ""))
    assert (status, err) == (1, "")
    assert "1. b: the gradient has lost an axis" in out
    assert out.endswith("1 mistake named\n")


def test_a_network_object_and_its_helper_file_are_checked(check, tmp_path):
    helper = tmp_path / "helper.py"
    helper.write_text("def slope(y, t):\n    return 2 * (y - t) / len(y)\n", encoding="utf-8")
    status, out, _ = check(NETWORK, "--json")
    assert (status, json.loads(out)["mistakes"][0]["kind"]) == (1, "1/outputs missing")


def test_what_cannot_be_told_has_status_1(check):
    status, out, _ = check(
        "import numpy as np\ntheta = np.full(4, 1e-3, dtype='f')\n"
        "def f(w):\n    w = np.float32(w)\n    return np.float32(1000) + (w**2).sum(), 2 * w\n"
    )
    assert status == 1
    assert out.endswith("inconclusive: it cannot be told whether the gradient of theta is right\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (RIGHT.replace("HERE", "1 / 0"), "student.py line 9: ZeroDivisionError: division by zero"),
        (RIGHT.replace("HERE", "while True: pass"), "student.py line 9: not done after 1 s"),
        (RIGHT.replace("HERE", "print(d.shape)"), "line 9 prints '(2, 3)': leave prints out"),
        (RIGHT.replace("HERE", "return 1.0"), "student.py: f must return (loss, gradient), not 1"),
        ("def f(:", "student.py line 1: SyntaxError: invalid syntax"),
        ("x = 1", "student.py: it defines no gradient: define loss_and_gradient(theta) and theta"),
        ("def f(theta): pass", "student.py: it defines f but no theta"),
        ("import sys\nsys.exit(0)", "student.py line 2: SystemExit: 0"),
        ("import os\nos._exit(0)", "student.py: it ended the process with status 0"),
        ("import os\nos.system('echo hi')\ntheta = 1.0\ndef f(t): return t * t, 2 * t",
         "student.py prints: leave prints out"),
    ],
    ids=["raises", "loops", "prints", "returns", "syntax", "nothing", "theta", "exits", "dies",
         "descriptor"],
)  # fmt: skip
def test_a_file_that_cannot_be_checked_is_one_line(check, text, message):
    status, out, err = check(text, "--timeout", 1 if "while" in text else 30)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_invalid_options_are_refused(check, run, tmp_path):
    for words in (("--target", "y"), ("--rows", 3), ("--lr", 0.1)):
        status, out, err = check("x = 1", *words)
        assert (status, out) == (2, "")
        assert f"{words[0]} has no effect with a Python file" in err
    status, _, err = run("check", tmp_path / "missing.py")
    assert status == 2
    assert "missing.py: there is no such file" in err
    status, _, err = run("check", "--as-published", "--timeout", 5)
    assert status == 2
    assert "--timeout has no effect" in err
