"""The errors and warnings that Seedbed raises.

SeedbedError
├── SettingError (ValueError)        an invalid hyperparameter, seed or option
│   └── FormulaError                 a formula of a user's own that is wrong, or that the compiled
│                                    engine cannot compile
├── ShapeError (ValueError)          arrays whose shapes do not match
├── DataError (ValueError)           values that cannot be trained on: NaN, no rows, one class
│   └── TableError                   a table that cannot be read or does not fit its model
│       └── ValueTypeError (TypeError)   a table value that is neither a number nor a text
├── MethodError                      a method of a comparison that raised, or cannot be scored
├── FileError                        a broken model file, or one of a newer version
└── MissingDependencyError (ImportError)   an optional dependency that is not installed

SeedbedWarning (UserWarning)
├── CallbackWarning                  a callback that raised, which ended the training
├── DivergenceWarning                members whose training failed
└── InterruptWarning                 training that stopped before its last epoch

Each message is one line: what came, what was expected and how to mend it. It has at most 300
characters, and shows control characters instead of sending them to a terminal.
"""

from __future__ import annotations

import re
from typing import Any

MAX_MESSAGE = 300
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tabs and line ends, those that turn text around, and lone surrogates."""


def visible(text: str) -> str:
    """Return the text with control characters as escapes."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def message_of(text: str) -> str:
    """Return a message as one visible line; a long one loses its middle."""
    line = visible(" ".join(text.split()))
    if len(line) <= MAX_MESSAGE:
        return line
    end = MAX_MESSAGE // 3
    return f"{line[: MAX_MESSAGE - end - 3]} … {line[-end:]}"


class SeedbedError(Exception):
    """Base class of Seedbed's errors."""

    def __init__(self, *values: Any) -> None:
        super().__init__(*(message_of(each) if isinstance(each, str) else each for each in values))


class SettingError(SeedbedError, ValueError):
    """An invalid hyperparameter, seed or option."""


class FormulaError(SettingError):
    """A user-defined formula that is wrong, or that the compiled engine cannot compile."""


class ShapeError(SeedbedError, ValueError):
    """Arrays whose shapes do not match; the message names both."""


class DataError(SeedbedError, ValueError):
    """Values that cannot be trained on."""


class TableError(DataError):
    """A table that cannot be read or does not fit the model applied to it."""


class ValueTypeError(TableError, TypeError):
    """A value in a table that is neither a number nor a text."""


class MethodError(SeedbedError):
    """A method of a comparison that raised, or whose predictions cannot be scored."""


class FileError(SeedbedError):
    """A file that is truncated, edited, of a newer version, or not a model file."""


class MissingDependencyError(SeedbedError, ImportError):
    """An optional dependency that is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"this needs {package}: run pip install 'seedbed[{extra}]'")


def reason(error: Exception) -> str:
    """Return the operating system's message, or the exception's if it has none."""
    return getattr(error, "strerror", None) or str(error)


class SeedbedWarning(UserWarning):
    """Base class of Seedbed's warnings."""

    def __init__(self, *values: Any) -> None:
        super().__init__(*(message_of(each) if isinstance(each, str) else each for each in values))


class CallbackWarning(SeedbedWarning):
    """A callback raised an exception, which ended the training."""


class DivergenceWarning(SeedbedWarning):
    """Some members' loss or parameters became non-finite; they are marked, not dropped."""


class InterruptWarning(SeedbedWarning):
    """Ctrl-C or a callback stopped training before its last epoch."""
