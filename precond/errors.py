"""The exception family.

Every message is one line that says what is wrong, what was expected, what came
instead, and what to do; what is not visible in it (a name may hold anything) is shown as an
escape.  The command line prints that line and exits with status 2.
"""

from __future__ import annotations

from precond.printable import printable


class PrecondError(Exception):
    """Base of every error a user can cause or mend.

    ``problem`` names the thing (file, node, layer, option); ``expected``, ``got`` and
    ``fix`` complete the line where they are known.
    """

    def __init__(
        self,
        problem: str,
        *,
        expected: str | None = None,
        got: str | None = None,
        fix: str | None = None,
    ) -> None:
        self.problem = problem
        self.expected = expected
        self.got = got
        self.fix = fix
        parts = [problem]
        if expected is not None:
            parts.append(f"expected {expected}")
        if got is not None:
            parts.append(f"got {got}")
        text = parts[0] if len(parts) == 1 else f"{parts[0]}: {', '.join(parts[1:])}"
        text = text if fix is None else f"{text}. {fix}"
        super().__init__(printable(text))


class ModelError(PrecondError):
    """A model file or module that cannot be read as a network."""


class UnsupportedOperator(ModelError):
    """A model uses an operator that has no exact meaning here."""


class DataError(PrecondError):
    """Inputs, labels or signatures of the wrong kind, width, length or value."""


class QueryError(PrecondError):
    """A box, pattern, property or query that does not fit the network or itself."""


class ArgumentError(PrecondError, TypeError):
    """An argument of another kind than a call takes, such as a network for a claim."""


class MissingDependency(PrecondError):
    """An optional package is needed for what was asked."""


class OutputError(PrecondError):
    """A place that cannot be written."""
