"""Results as HTML for notebooks and pages: blocks of headings, tables, lines and curves.

Functions escape the texts that they get. A block's style is scoped to its class; its colours follow
the theme that the page names, or else the reader's system.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from seedbed.arrays import Array

_DARK_PAGES = (
    '[data-jp-theme-light="false"]', '[data-theme="dark"]', '[theme="dark"]', ".vscode-dark",
)  # fmt: skip
"""JupyterLab and nbconvert; Sphinx themes and marimo; Colab; Visual Studio Code."""
_LIGHT_PAGES = (
    '[data-jp-theme-light="true"]', '[data-theme="light"]', '[theme="light"]', ".vscode-light",
)  # fmt: skip
_LIGHT = """--ink: #1f2328; --muted: #59636e; --line: #d8dde3; --surface: #ffffff; --band: #f6f8fa;
  --accent: #0072b2; --good: #1a7f37; --bad: #b3261e; color-scheme: light;"""
_DARK = """--ink: #e8ebef; --muted: #98a1ad; --line: #3a4049; --surface: #16181d; --band: #1e2127;
  --accent: #56b4e9; --good: #56c271; --bad: #ff8a80; color-scheme: dark;"""


def _within(pages: Sequence[str]) -> str:
    return ", ".join(f"{page} .seedbed" for page in pages)


# The class is doubled where a rule has to win against a notebook's own rules for tables.
STYLE = f"""<style>
.seedbed {{ {_LIGHT} }}
@media (prefers-color-scheme: dark) {{ .seedbed {{ {_DARK} }} }}
{_within(_LIGHT_PAGES)} {{ {_LIGHT} }}
{_within(_DARK_PAGES)} {{ {_DARK} }}
.seedbed {{ box-sizing: border-box; width: fit-content; max-width: 100%; overflow-x: auto;
  margin: 4px 0; padding: 10px 14px; border: 1px solid var(--line); border-radius: 6px;
  color: var(--ink); background: var(--surface);
  font: 13px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }}
.seedbed.seedbed :is(h4, p, ol, ul, table, pre) {{ margin: 0 0 8px; padding: 0;
  color: inherit; font-size: 13px; line-height: 1.5; }}
.seedbed.seedbed > :last-child, .seedbed.seedbed li > p:last-child {{ margin-bottom: 0; }}
.seedbed.seedbed h4 {{ font-weight: 600; }}
.seedbed.seedbed :is(ol, ul) {{ padding-left: 20px; list-style-position: outside; }}
.seedbed.seedbed table {{ border-collapse: collapse; border: none; table-layout: auto; width: auto;
  background: none; box-shadow: none; display: table; font-variant-numeric: tabular-nums; }}
.seedbed.seedbed table tr {{ background: none; border: none; }}
.seedbed.seedbed table :is(td, th) {{ padding: 2px 12px 2px 0; border: none; background: none;
  border-bottom: 1px solid var(--line); color: inherit; font-size: 13px; text-align: left;
  vertical-align: top; white-space: normal; max-width: 60em; }}
.seedbed.seedbed table tr :is(td, th):last-child {{ padding-right: 0; }}
.seedbed.seedbed table tbody tr:last-child :is(td, th) {{ border-bottom: none; }}
.seedbed.seedbed table thead th {{ font-weight: 600; color: var(--muted); white-space: nowrap; }}
.seedbed.seedbed table th[scope="row"] {{ font-weight: 400; color: var(--muted); }}
.seedbed.seedbed table th[scope="rowgroup"] {{ font-weight: 600; color: var(--muted);
  padding-top: 10px; }}
.seedbed.seedbed table .sb-note {{ white-space: nowrap; }}
.seedbed.seedbed table .sb-number {{ text-align: right; white-space: nowrap; }}
.seedbed.seedbed :is(pre, code) {{ font: 12px/1.5 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono",
  monospace; background: none; border: none; padding: 0; color: inherit; }}
.seedbed.seedbed pre {{ white-space: pre; margin: 0; overflow: visible; }}
.seedbed.seedbed .sb-note {{ color: var(--muted); font-weight: 400; }}
.seedbed.seedbed .sb-good {{ color: var(--good); font-weight: 600; }}
.seedbed.seedbed .sb-bad {{ color: var(--bad); font-weight: 600; }}
.seedbed.seedbed svg {{ display: block; margin: 0 0 8px; }}
.seedbed.seedbed progress {{ width: 180px; height: 8px; vertical-align: middle;
  accent-color: var(--accent); margin-right: 10px; }}
</style>"""


def block(*parts: str) -> str:
    """Return parts of HTML as one block with its style."""
    return "\n".join(['<div class="seedbed">', STYLE, *filter(None, parts), "</div>"])


def document(title: str, content: str) -> str:
    """Return a whole page around a block."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
</head>
<body>
{content}
</body>
</html>"""


def heading(text: str, note: str = "", *, good: bool | None = None) -> str:
    """Return a heading, in the colour of success or failure, and a note behind it."""
    kind = "" if good is None else f' class="sb-{"good" if good else "bad"}"'
    behind = f' <span class="sb-note">{escape(note)}</span>' if note else ""
    return f"<h4><span{kind}>{escape(text)}</span>{behind}</h4>"


def paragraph(text: str, *, note: bool = False) -> str:
    """Return a paragraph; a note is muted."""
    kind = ' class="sb-note"' if note else ""
    return f"<p{kind}>{escape(text)}</p>" if text else ""


def items(texts: Iterable[str], *, ordered: bool = False) -> str:
    """Return a list; nothing for no texts."""
    tag = "ol" if ordered else "ul"
    content = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<{tag}>{content}</{tag}>" if content else ""


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a table of names and values."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in pairs
    )
    return f"<table><tbody>{rows}</tbody></table>"


def table(
    headers: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    texts: Iterable[int] = (0,),
    more: str = "",
) -> str:
    """Return a table; the columns numbered in ``texts`` hold texts, the others numbers.

    more  a last line, such as of rows that are not shown
    """
    left = set(texts)

    def line(cells: Sequence[str], tag: str) -> str:
        kinds = ("" if place in left else ' class="sb-number"' for place in range(len(cells)))
        return "".join(
            f"<{tag}{kind}>{escape(cell)}</{tag}>" for kind, cell in zip(kinds, cells, strict=True)
        )

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    last = f'<tr><td colspan="{len(headers)}" class="sb-note">{escape(more)}</td></tr>'
    return (
        f"<table><thead><tr>{line(headers, 'th')}</tr></thead>"
        f"<tbody>{body}{last if more else ''}</tbody></table>"
    )


def code(text: str) -> str:
    """Return a text in the font of code."""
    return f"<code>{escape(text)}</code>"


def note(text: str) -> str:
    """Return a muted text."""
    return f'<span class="sb-note">{escape(text)}</span>'


def lines(texts: Iterable[str]) -> str:
    """Return lines whose columns stay aligned."""
    return f"<pre>{escape(chr(10).join(texts))}</pre>"


def groups(parts: Iterable[tuple[str, Sequence[Sequence[str]]]], columns: int) -> str:
    """Return a table of groups of rows, each below its title; cells are HTML, titles texts."""
    pieces = []
    for title, rows in parts:
        head = f'<tr><th scope="rowgroup" colspan="{columns}">{escape(title)}</th></tr>'
        body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
        pieces.append(f"<tbody>{head}{body}</tbody>")
    return f"<table>{''.join(pieces)}</table>"


def curve(low: Array, middle: Array, high: Array, label: str) -> str:
    """Return a small curve with a band around it, on a logarithmic axis if all are positive.

    label  describes the curve to those who don't see it

    Shapes: low, middle, high (E,), at least two of them finite.
    """
    values = np.array([low, middle, high], dtype=np.float64)
    values = values[:, np.isfinite(values).all(axis=0)]
    if values.shape[1] < 2:
        return ""
    width, height = 320, 56
    step = max(1, 2 * values.shape[1] // width)  # every second pixel
    values = values[:, np.r_[0 : values.shape[1] - 1 : step, values.shape[1] - 1]]
    if values.min() > 0:
        values = np.log(values)
    span = float(np.ptp(values)) or 1.0
    x = np.linspace(1, width - 1, values.shape[1])
    y = height - 3 - (height - 6) * (values - values.min()) / span

    def points(x: Array, y: Array) -> str:
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))

    band = points(np.r_[x, x[::-1]], np.r_[y[0], y[2][::-1]])
    return (
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">'
        f"<title>{escape(label)}</title>"
        f'<polygon points="{band}" fill="currentColor" style="fill: var(--accent)" '
        'fill-opacity="0.25"/>'
        f'<polyline points="{points(x, y[1])}" fill="none" stroke="currentColor" '
        'style="stroke: var(--accent)" stroke-width="1.5"/></svg>'
    )


def progress(share: float | None, text: str) -> str:
    """Return a progress bar, in motion if the share is unknown, and a text behind it."""
    value = "" if share is None else f' value="{share:.4f}"'
    return block(f'<div><progress max="1"{value}></progress>{escape(text)}</div>')
