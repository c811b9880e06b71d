"""The progress line: in a terminal, and in a notebook."""

import io
import sys
from types import ModuleType, SimpleNamespace

import pytest

from seedbed.progress import StatusLine


class Terminal(io.TextIOWrapper):
    def __init__(self, encoding="utf-8"):
        super().__init__(io.BytesIO(), encoding=encoding)

    def isatty(self):
        return True

    @property
    def screen(self):
        """What a terminal shows of one line."""
        line = ""
        for each in self.buffer.getvalue().decode(self.encoding).split("\r"):
            line = each + line[len(each) :]
        return line


def test_the_line_has_a_bar_and_fits_the_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "50")
    with StatusLine(True) as line:
        line.write("epoch 1", 0.25)
        assert terminal.screen == "━━━━╌╌╌╌╌╌╌╌╌╌╌╌  25%  epoch 1"
        line.write("short", 1.0)
        assert terminal.screen.rstrip() == "━━━━━━━━━━━━━━━━ 100%  short"
        line.write("no share " * 9)
        assert terminal.screen == ("no share " * 9)[:49]
    assert terminal.screen.strip() == ""


def test_the_bar_needs_no_unicode(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal("ascii"))
    StatusLine(True).write("half", 0.5)
    assert sys.stderr.screen == "########--------  50%  half"


@pytest.mark.parametrize("kind", ["xterm", "dumb"])
def test_a_terminal_that_cannot_rewrite_shows_no_line_by_itself(monkeypatch, kind):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr("seedbed.progress._DELAY_SECONDS", 0.0)
    monkeypatch.setenv("TERM", kind)
    assert StatusLine(None).is_due is (kind == "xterm")


class Notebook:
    """Stands in for IPython with a kernel; keeps what its cell shows."""

    def __init__(self, monkeypatch, has_reader):
        self.shown, self.updates, self.ids = [], 0, []
        parent = {"content": {"allow_stdin": has_reader}}
        shell = SimpleNamespace(kernel=SimpleNamespace(get_parent=lambda: parent))
        ipython, module = ModuleType("IPython"), ModuleType("IPython.display")
        ipython.get_ipython, module.display = (lambda: shell), self.display
        monkeypatch.setitem(sys.modules, "IPython", ipython)
        monkeypatch.setitem(sys.modules, "IPython.display", module)

    def display(self, content, raw, display_id):
        assert raw
        assert display_id
        self.shown.append(content)
        return SimpleNamespace(update=self.update)

    def update(self, content, raw):
        assert raw
        self.updates += 1
        self.shown[-1] = content


def test_a_notebook_shows_one_display_that_is_updated(monkeypatch, capsys):
    notebook = Notebook(monkeypatch, has_reader=True)
    with StatusLine(True) as line:
        for epoch in range(1, 21):
            line.write(f"epoch {epoch} of <20>", epoch / 20)
        assert len(notebook.shown) == 1
        assert notebook.shown[0]["text/plain"] == "epoch 20 of <20>"
        assert "epoch 20 of &lt;20&gt;" in notebook.shown[0]["text/html"]
        assert 'value="1.0000"' in notebook.shown[0]["text/html"]
    assert notebook.updates == 20
    assert set(notebook.shown[0].values()) == {""}
    assert capsys.readouterr().err == ""  # it would be red


@pytest.mark.parametrize("has_reader", [True, False])
def test_a_notebook_that_a_program_runs_shows_no_line_by_itself(monkeypatch, has_reader):
    Notebook(monkeypatch, has_reader)
    monkeypatch.setattr("seedbed.progress._DELAY_SECONDS", 0.0)
    assert StatusLine(None).is_due is has_reader
    assert StatusLine(True).is_due
    assert not StatusLine(False).is_due
    shell = SimpleNamespace(kernel=SimpleNamespace())  # another kind of kernel
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: shell)
    assert not StatusLine(None).is_due
