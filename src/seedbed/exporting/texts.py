"""What exported models need to know of texts."""

from __future__ import annotations

from functools import cache


@cache
def folds() -> tuple[tuple[str, str], ...]:
    """Return the characters beyond ASCII that casefold to ASCII, and to what.

    A word for a missing value may be written with them, such as "mi\u017f\u017fing".
    """
    characters = map(chr, range(128, 0x20000))
    return tuple((each, each.casefold()) for each in characters if each.casefold().isascii())
