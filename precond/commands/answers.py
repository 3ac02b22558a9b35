"""``--json``: a command prints one JSON object instead of lines for people.

The object has ``command``, ``exit_status``, ``seconds``, ``answer`` (what the command says it
found, ``answered``), ``printed`` (the lines for people) and ``error``, which is null, or has what
was expected, what came and what to do.  Progress and notes stay on standard error.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from precond.errors import PrecondError

if TYPE_CHECKING:
    from precond.proof.precondition import Precondition

HELP = "print one JSON object instead of lines ('precond help json')"


def add_json(parser: argparse.ArgumentParser, *, below: bool = False) -> None:
    """``--json`` of a command and of its actions (``below``: an action's, which says nothing
    where it is not given)."""
    default = argparse.SUPPRESS if below else False
    parser.add_argument("--json", action="store_true", default=default, help=HELP)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                add_json(one, below=True)


def answered(arguments: argparse.Namespace, **content: object) -> None:
    """What ``--json`` prints as the command's answer; a later call adds to an earlier one's."""
    arguments.answer = {**getattr(arguments, "answer", {}), **content}


@contextmanager
def answer_to(arguments: argparse.Namespace) -> Iterator[None]:
    """Where ``--json`` was given, keep what is printed meanwhile, and print the object after it.

    The body puts its exit status in ``arguments.status`` and an error in ``arguments.error``.
    """
    if not getattr(arguments, "json", False):
        yield
        return
    target, kept = sys.stdout, io.StringIO()
    sys.stdout = kept
    try:
        yield
    finally:
        sys.stdout = target
    content = {
        "command": arguments.command,
        "exit_status": arguments.status,
        "seconds": round(time.monotonic() - arguments.begun, 3),
        "answer": plain(getattr(arguments, "answer", {})),
        "error": said(arguments.error),
        "printed": kept.getvalue().splitlines(),
    }
    print(json.dumps(content, indent=1, allow_nan=False))


def counts_by_status(entries: Iterable[Precondition]) -> dict[str, dict[str, int]]:
    """Of each kind of entry, how many have each status."""
    counts: dict[str, dict[str, int]] = {}
    for entry in entries:
        of_kind = counts.setdefault(entry.kind.value, {})
        status = entry.verdict.status.value
        of_kind[status] = of_kind.get(status, 0) + 1
    return counts


def said(error: PrecondError | None) -> dict[str, str | None] | None:
    """An error's line and its parts."""
    if error is None:
        return None
    parts = {name: getattr(error, name) for name in ("problem", "expected", "got", "fix")}
    return {"line": str(error), **parts}


def plain(value: Any) -> Any:
    """``value`` as JSON has it: paths and enums as text, what is not finite as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # numpy's and torch's numbers and arrays
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str):
        return [plain(one) for one in value]
    return value
