"""The errors and warnings that Seedbed raises.

SeedbedError
├── SettingError (ValueError)        a hyperparameter, seed or option that cannot be meant
│   └── FormulaError                 a formula that the compiled engine cannot compile
├── ShapeError (ValueError)          arrays whose shapes do not fit together
├── DataError (ValueError)           values that cannot be trained on: NaN, no rows, one class
│   └── TableError                   a table that cannot be read or does not fit its model
│       └── ValueTypeError (TypeError)   a value in a table that is neither number nor text
├── FileError                        a model file that is broken, or of a newer version
└── MissingDependencyError (ImportError)   a part whose optional dependency is not installed

SeedbedWarning (UserWarning)
├── DivergenceWarning                members whose training failed
└── InterruptWarning                 training that was cut short

Each message is one line: what came, what was expected and how to mend it.
"""


class SeedbedError(Exception):
    """The base of every error that Seedbed raises on purpose."""


class SettingError(SeedbedError, ValueError):
    """A hyperparameter, seed or option that cannot be meant."""


class FormulaError(SettingError):
    """A formula of the user's own that the compiled engine cannot compile."""


class ShapeError(SeedbedError, ValueError):
    """Arrays whose shapes do not fit together; the message names both."""


class DataError(SeedbedError, ValueError):
    """Values that cannot be trained on."""


class TableError(DataError):
    """A table that cannot be read, or that does not fit the model applied to it."""


class ValueTypeError(TableError, TypeError):
    """A value in a table that is neither a number nor a text."""


class FileError(SeedbedError):
    """A model file that is cut short, edited, of a newer version, or no model file at all."""


class MissingDependencyError(SeedbedError, ImportError):
    """A part of Seedbed whose optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"this needs {package}: run  pip install 'seedbed[{extra}]'")


def reason(error: Exception) -> str:
    """Return why the system refused, in its words, for messages."""
    return getattr(error, "strerror", None) or str(error)


class SeedbedWarning(UserWarning):
    """The base of every warning that Seedbed gives."""


class DivergenceWarning(SeedbedWarning):
    """Some members' loss or parameters stopped being finite; they are marked, not dropped."""


class InterruptWarning(SeedbedWarning):
    """Training was stopped by Ctrl-C or by a callback before its last epoch."""
