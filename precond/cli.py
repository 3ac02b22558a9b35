"""The command line: parse, call, print.  Errors are one line on stderr and exit status 2."""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import NoReturn

from precond.commands import (
    adversarial,
    analyze,
    check,
    cluster,
    debug,
    decompose,
    distill,
    explain,
    export,
    info,
    ledger,
    monitor,
    patterns,
    prove,
    robustness,
    verify,
)
from precond.commands.arguments import EXIT_INTERRUPTED
from precond.errors import PrecondError
from precond.printable import PrintableStream, printable

COMMANDS = (
    analyze,
    cluster,
    debug,
    adversarial,
    prove,
    check,
    verify,
    explain,
    export,
    info,
    ledger,
    robustness,
    distill,
    decompose,
    monitor,
    patterns,
)
EXIT_ERROR = 2
NEGATIVE = re.compile(r"-\.?\d")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 2 for a user's error, 130 after Ctrl-C."""
    begun = time.monotonic()
    words = sys.argv[1:] if arguments is None else arguments
    with _printable_output():
        return _run(_parser().parse_args(joined(words)), begun)


@contextmanager
def _printable_output() -> Iterator[None]:
    """Whatever a command prints, no control character of a file reaches the terminal."""
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(PrintableStream, streams)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


def _run(arguments: argparse.Namespace, begun: float) -> int:
    arguments.begun = begun
    try:
        return int(arguments.run(arguments))
    except PrecondError as error:
        print(f"precond: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print(f"precond: {_stopped(arguments)}", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _stopped(arguments: argparse.Namespace) -> str:
    """What is known when Ctrl-C ends a command that does not say it itself, and how to go on."""
    from collections import Counter
    from pathlib import Path

    from precond.proof.ledger.ledger import Ledger

    out = getattr(arguments, "out", None)
    file = getattr(arguments, "ledger", None) or (
        None if out is None else Path(out) / "ledger.sqlite"
    )
    if file is None or not Path(file).is_file():
        again = "; with --out DIR its verdicts would be kept" if hasattr(arguments, "out") else ""
        return f"stopped{again}" if out is None else "stopped; run the same command again"
    try:
        with Ledger(file, writable=False) as ledger:
            counts = Counter(entry.verdict.status.value for entry in ledger.entries())
    except PrecondError:
        return "stopped"
    known = ", ".join(f"{count} {word}" for word, count in sorted(counts.items())) or "no verdicts"
    return (
        f"stopped; known so far: {known} ({file}, 'precond ledger {file} list'). "
        "Run the same command again to go on"
    )


class _Parser(argparse.ArgumentParser):
    """Its errors repeat what was typed, on one line."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def joined(words: Sequence[str]) -> list[str]:
    """``--option -1:1`` as ``--option=-1:1``: argparse takes the second word for an option.

    No option begins with a minus and a digit (or a point), so such a word is a value.
    """
    result: list[str] = []
    for word in words:
        last = result[-1] if result else ""
        if NEGATIVE.match(word) and last.startswith("--") and last != "--" and "=" not in last:
            result[-1] = f"{last}={word}"
        else:
            result.append(word)
    return result


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="precond",
        description="Say why a ReLU network does what it does, and prove it.",
    )
    parser.add_argument("--version", action="version", version=version("precond"))
    parser.add_argument(
        "--name", action="version", version="precond", help="print the name of this program"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    for command in COMMANDS:
        command.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
