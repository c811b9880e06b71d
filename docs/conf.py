"""Configuration of the pages:  sphinx-build -WE docs docs/_build

The build runs every example and copies the library's functions from their files. A failing example,
a missing function and a public name without an entry are errors.
"""

import os
import re
import sys
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
os.environ["NO_COLOR"] = "1"
os.environ["SEEDBED_JOURNAL"] = "off"  # a page shows the same, however often it is built
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

from docstrings import attribute_docstrings, to_rst

import seedbed

project = "Seedbed"
author = "the Seedbed founders"
copyright = "the Seedbed founders"  # noqa: A001  # Sphinx's name
version = release = seedbed.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx_copybutton", "mathml"]
exclude_patterns = ["_build"]
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # types of other libraries

nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 80
copybutton_prompt_text = r">>> |\$ "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_math_renderer = "mathml"
html_title = f"Seedbed {version}"
html_show_sphinx = False
html_static_path = ["static"]
html_css_files = ["output.css"]
html_copy_source = False


def convert_docstring(app, what, name, unit, options, lines):
    """Convert a docstring to reStructuredText; a formula's stands below it in its file."""
    own = attribute_docstrings().get(name.rpartition(".")[2]) if what == "data" else None
    lines[:] = to_rst(lines if own is None else own)


def refuse_unrun_python(app, name, source):
    """Refuse Python that a page shows without running it, and commands without a check."""
    if re.search(r"^[`:]{3,} *(?:python|py|\{code-block\} *python)\s*$", source[0], re.MULTILINE):
        raise ValueError(f"{name} shows Python that does not run: make it a {{code-cell}}")
    cells = re.findall(r"^```\{code-cell\}\n(.*?)^```", source[0], re.MULTILINE | re.DOTALL)
    for cell, after in pairwise([*cells, ""]):
        if re.search("^!", cell, re.MULTILINE) and "assert _exit_code" not in after:
            raise ValueError(f"{name}: no cell after {cell.strip()!r} checks its exit status")


def refuse_missing_names(app, env):
    """Refuse a public name that no page describes."""
    from sphinx.errors import SphinxError

    described = {name for name, *_ in env.get_domain("py").get_objects()}
    missing = [name for name in seedbed.__all__ if f"seedbed.{name}" not in described]
    if [name for name in missing if name not in ("metrics", "xor")]:  # modules with sections
        raise SphinxError(f"no page describes {', '.join(missing)}: add it under docs/api")


def setup(app):
    """Connect the functions above."""
    app.connect("autodoc-process-docstring", convert_docstring)
    app.connect("source-read", refuse_unrun_python)
    app.connect("env-check-consistency", refuse_missing_names)
