"""Names, numbers and texts as C writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from seedbed.exporting.tracing import Kind

KEYWORDS = """
    auto break case char const continue default do double else enum extern float for goto if inline
    int long register restrict return short signed sizeof static struct switch typedef union
    unsigned void volatile while _Bool _Complex _Imaginary
    alignas alignof and and_eq asm bitand bitor bool catch char8_t char16_t char32_t class co_await
    co_return co_yield compl concept consteval constexpr constinit const_cast decltype delete
    dynamic_cast explicit export false friend mutable namespace new noexcept not not_eq nullptr
    operator or or_eq private protected public reinterpret_cast requires static_assert static_cast
    template this thread_local throw true try typeid typename using virtual wchar_t xor xor_eq
"""
"""Of C and, as the header may be included there, of C++."""

MACROS = """
    NAN INFINITY NULL BIAS FMA FABS SQRT COPYSIGN MANTISSA_BITS TRUTH LONGEST_WORD linux unix errno
    HUGE_VAL OVERFLOW UNDERFLOW DOMAIN SING PLOSS TLOSS isnan isinf isfinite signbit
"""
"""Names that the source file, the headers that it includes or compilers define."""
_LINE_NUMBERS = 8


def identifiers(names: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """Return a C identifier for each name, all different: other characters become underscores."""
    used, found = {*taken, *KEYWORDS.split(), *MACROS.split()}, []
    for name in names:
        word = re.sub(r"\W|[^\x00-\x7f]", "_", name) or "_"
        word = f"_{word}" if word[0].isdigit() else word
        word = f"{word.lstrip('_') or 'column'}" if word.startswith("_") else word
        word = f"c{word}" if word[0].isdigit() else word
        candidate, number = word, 2
        while candidate in used:
            candidate, number = f"{word}_{number}", number + 1
        used.add(candidate)
        found.append(candidate)
    return found


def number(value: float, kind: Kind = "float32") -> str:
    """Return a number as C writes it, exactly."""
    suffix = "f" if kind == "float32" else ""
    value = float(np.dtype(kind).type(value))
    if np.isnan(value):
        return "NAN"
    if np.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    if value == int(value) and abs(value) < 1e6:
        return f"{value:.1f}{suffix}"
    digits, _, exponent = value.hex().partition("p")
    digits = digits.rstrip("0") if "." in digits else digits
    return f"{digits.rstrip('.')}p{exponent}{suffix}"


def in_comment(value: str) -> str:
    """Return a text that may stand in a comment."""
    printable = "".join(c if c.isprintable() else "?" for c in value)
    return printable.replace("*/", "* /").replace("/*", "/ *")


def text(value: str) -> str:
    """Return a text as a C literal of its UTF-8 bytes."""
    found = []
    for byte in value.encode("utf-8", "surrogatepass"):
        plain = 32 <= byte < 127 and chr(byte) not in '"\\?'
        found.append(chr(byte) if plain else f"\\{byte:03o}")
    return f'"{"".join(found)}"'


def array(name: str, values: Any, kind: Kind | None = None) -> str:
    """Return the definition of a constant array of numbers, of their own kind."""
    if kind is None:
        kind = kind_of(values)
    flat = np.asarray(values).reshape(-1).tolist()
    c_type = "float" if kind == "float32" else "double"
    return _table(f"static const {c_type} {name}", [number(each, kind) for each in flat])


def integers(name: str, values: Sequence[int]) -> str:
    """Return the definition of a constant array of whole numbers."""
    return _table(f"static const int {name}", list(map(str, values)))


def kind_of(values: Any) -> Kind:
    """Return the kind of an array's numbers."""
    return "float64" if np.asarray(values).dtype == np.float64 else "float32"


def _table(head: str, words: Sequence[str]) -> str:
    words = words or ["0"]
    lines = [
        "    " + ", ".join(words[start : start + _LINE_NUMBERS])
        for start in range(0, len(words), _LINE_NUMBERS)
    ]
    body = ",\n".join(lines)
    return f"{head}[{len(words)}] = {{\n{body}\n}};"


def texts(name: str, values: Sequence[str]) -> str:
    """Return the definition of a constant array of texts."""
    lines = ",\n".join(f"    {text(each)}" for each in values)
    return f"static const char *const {name}[{len(values)}] = {{\n{lines}\n}};\n"
